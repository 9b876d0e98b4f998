//! `get WHAT`: rows of the engine, as a table for people or as JSON for scripts.

use serde_json::Value;

use super::Ctx;
use super::args::Get;
use super::connect;
use super::failure::{Failure, Outcome};
use super::out::{Out, Tone};
use super::table::{self, Column, left, right};
use super::tested;
use super::view::{Row, View};
use crate::api::ApiError;
use crate::api::client::encode;
use crate::api::order::Page;
use crate::api::types::{RawRows, Rows, TABLES};
use crate::base::{count, duration, sanitise};
use crate::domain::filter::cell;

pub fn run(ctx: &Ctx, out: &mut Out, get: &Get) -> Outcome {
    if get.what.is_empty() {
        return Err(Failure::bad("say what to get", format!("there are: {}", TABLES.join(" "))));
    }
    let site = ctx.site_to_look(out)?;
    let view = get.view.clone();
    let get = &in_view(get)?;
    if let Some(name) = &get.name {
        return super::get_repo::run(ctx, out, &site, get, name);
    }
    let mut path = format!("/v1/get/{}?filter={}", encode(&get.what), encode(&get.cut.filter));
    if let Some(sort) = &get.cut.sort {
        path.push_str(&format!("&sort={}", encode(sort)));
    }
    if let Some(limit) = get.cut.limit {
        path.push_str(&format!("&limit={limit}"));
    }
    if let Some(offset) = get.cut.offset {
        path.push_str(&format!("&offset={offset}&exact=1"));
    }
    if out.json {
        let rows: RawRows = connect::block_on(async { connect::read(ctx, &site, &path).await })?;
        out.value(&rows);
        return rows.error.map_or(Ok(()), |_| Err(Failure::told(1)));
    }
    let rows: Rows = connect::block_on(async { connect::read(ctx, &site, &path).await })?;
    match &view {
        Some(view) if rows.rows.is_empty() => out.advice(format!(
            "no pipeline of the view `{}`: `views:` of a pipeline's file names those that show it; quarterdeck --json get pipelines has them",
            sanitise::cell(view)
        )),
        _ => show(out, get, &rows),
    }
    match &rows.error {
        None => Ok(()),
        Some(e) => Err(ApiError::failed(
            e.clone(),
            "the store was changed behind the engine's back: keep STATE/state.db as it is, and find out by whom",
        )
        .into()),
    }
}

/// `--view` as a term of the filter: the tab's whole name, among those of the pipeline.
fn in_view(get: &Get) -> Result<Get, Failure> {
    let mut get = get.clone();
    if let Some(view) = get.view.take() {
        if get.what != "pipelines" || view.contains('"') {
            return Err(Failure::bad(
                if get.what == "pipelines" { "no view has a `\"` in its name" } else { "only pipelines have views" },
                "quarterdeck get pipelines --view NAME",
            ));
        }
        get.cut.filter = format!("{} views~\"(^|, ){}(, |$)\"", get.cut.filter, regex::escape(&view));
    }
    Ok(get)
}

pub(super) fn show(out: &Out, get: &Get, rows: &Rows) {
    if rows.rows.is_empty() {
        out.advice(empty(get, rows.page));
        return;
    }
    let now = jiff::Timestamp::now();
    let view = View { out, now };
    let (columns, lines): (Vec<Column>, Vec<Vec<String>>) = match rows.what.as_str() {
        "runs" => (
            vec![left("RUN"), left("STATE"), right("TIME"), left("STARTED"), left("BY"), left("DETAIL")],
            rows.rows
                .iter()
                .map(|r| {
                    vec![
                        view.text(r, "run"),
                        view.either(r, "verdict", "state"),
                        view.span(r),
                        view.time(r, "started"),
                        view.text(r, "requested_by"),
                        view.fault(r),
                    ]
                })
                .collect(),
        ),
        "queue" => (
            vec![left("RUN"), left("STATE"), left("QUEUED"), left("BY"), left("WHY")],
            rows.rows
                .iter()
                .map(|r| {
                    vec![
                        view.text(r, "run"),
                        view.text(r, "state"),
                        view.age(r, "queued"),
                        view.text(r, "requested_by"),
                        view.text(r, "blocked"),
                    ]
                })
                .collect(),
        ),
        "locks" => (
            vec![left("LOCK"), left("MODE"), right("SLOTS"), left("HELD BY"), left("SINCE"), left("STAGE")],
            rows.rows
                .iter()
                .map(|r| {
                    vec![
                        view.text(r, "lock"),
                        or(view.text(r, "mode"), "free"),
                        view.text(r, "slots"),
                        view.text(r, "run"),
                        view.age(r, "since"),
                        view.text(r, "stage"),
                    ]
                })
                .collect(),
        ),
        "audit" => (
            vec![right("SEQ"), left("AT"), left("WHO"), left("ACTION"), left("SUBJECT"), left("RESULT"), left("REASON")],
            rows.rows
                .iter()
                .map(|r| {
                    vec![
                        view.text(r, "seq"),
                        view.time(r, "at"),
                        view.who(r),
                        view.text(r, "action"),
                        view.text(r, "subject"),
                        view.text(r, "result"),
                        view.text(r, "reason"),
                    ]
                })
                .collect(),
        ),
        "decisions" => (
            vec![right("ID"), left("KIND"), left("SUBJECT"), left("WHO"), left("AT"), left("ENDED"), left("WHY")],
            rows.rows
                .iter()
                .map(|r| {
                    vec![
                        view.text(r, "id"),
                        view.text(r, "kind"),
                        view.text(r, "subject"),
                        view.who(r),
                        view.time(r, "at"),
                        view.time(r, "ended"),
                        view.text(r, "why"),
                    ]
                })
                .collect(),
        ),
        "promotions" => (
            vec![left("PROMOTION"), left("STATE"), left("FROM"), left("TO"), right("GATES"), left("MISSING"), left("BY"), left("DETAIL")],
            rows.rows
                .iter()
                .map(|r| {
                    vec![
                        view.text(r, "promotion"),
                        view.text(r, "state"),
                        view.text(r, "from"),
                        view.text(r, "to"),
                        format!("{}/{}", view.text(r, "passed"), view.text(r, "gates")),
                        view.text(r, "missing"),
                        view.text(r, "author"),
                        view.text(r, "detail"),
                    ]
                })
                .collect(),
        ),
        "pipelines" => (
            vec![
                left("PIPELINE"),
                left("LAST RUN"),
                left("VERDICT"),
                left("LAST OK"),
                left("LAST BAD"),
                right("DURATION"),
                left("CHANGES"),
                left("TRIGGERS"),
            ],
            rows.rows
                .iter()
                .map(|r| {
                    let errors = if cell(r.get("errors").unwrap_or(&Value::Null)) == "0" {
                        view.text(r, "triggers")
                    } else {
                        format!(
                            "{}: quarterdeck pipeline lint {}",
                            count::s(r.get("errors").and_then(serde_json::Value::as_u64).unwrap_or(0), "error"),
                            view.text(r, "pipeline")
                        )
                    };
                    vec![
                        view.text(r, "pipeline"),
                        view.text(r, "last_run"),
                        view.text(r, "last_verdict"),
                        view.ended(r, "last_success"),
                        view.ended(r, "last_failure"),
                        or(view.duration(r, "last_duration_ms"), "N/A"),
                        view.changes(r),
                        errors,
                    ]
                })
                .collect(),
        ),
        "schedule" => (
            vec![left("PIPELINE"), left("NEXT"), left("TRIGGER"), left("LAST"), left("STATE"), left("CATCH-UP"), left("CALENDAR")],
            rows.rows
                .iter()
                .map(|r| {
                    let last = match view.text(r, "last_outcome").as_str() {
                        "" => "-".to_owned(),
                        outcome => format!("{outcome} {}", view.time(r, "last_scheduled")),
                    };
                    let detail = view.text(r, "detail");
                    let state = view.text(r, "state") + &if detail.is_empty() { String::new() } else { format!(": {detail}") };
                    let next = or(view.text(r, "next_local"), "-");
                    let calendar = view.either(r, "calendar_state", "calendar");
                    vec![view.text(r, "pipeline"), next, view.text(r, "trigger"), last, state, view.text(r, "catch_up"), calendar]
                })
                .collect(),
        ),
        "due" => (
            vec![left("LOCAL"), left("PIPELINE"), left("TRIGGER"), left("NOTE")],
            rows.rows
                .iter()
                .map(|r| {
                    let notes = [view.text(r, "dst"), view.text(r, "calendar")];
                    let note = notes.iter().filter(|t| !t.is_empty()).cloned().collect::<Vec<_>>().join("; ");
                    vec![view.text(r, "local"), view.text(r, "pipeline"), view.text(r, "trigger"), note]
                })
                .collect(),
        ),
        "sources" => (
            vec![left("SOURCE"), left("KIND"), left("STATE"), left("ANSWERED"), right("PLACES"), left("AT"), left("ERROR")],
            rows.rows
                .iter()
                .map(|r| {
                    vec![
                        view.text(r, "source"),
                        view.text(r, "kind"),
                        view.text(r, "state"),
                        view.age(r, "answered"),
                        view.text(r, "places"),
                        view.text(r, "at"),
                        view.text(r, "error"),
                    ]
                })
                .collect(),
        ),
        "executors" => (
            vec![right("EXECUTOR"), left("STATE"), left("RUN"), left("STAGE"), left("STEP"), left("CELL"), left("SINCE")],
            rows.rows
                .iter()
                .map(|r| {
                    let texts = ["executor", "state", "run", "stage", "step", "cell"].map(|c| view.text(r, c));
                    texts.into_iter().chain([view.age(r, "since")]).collect()
                })
                .collect(),
        ),
        "doctor" => (
            vec![left("STATE"), left("CHECK"), left("FOUND"), left("WHAT TO DO")],
            rows.rows.iter().map(|r| ["state", "check", "found", "help"].map(|c| view.text(r, c)).to_vec()).collect(),
        ),
        "occurrences" => (
            vec![left("SCHEDULED FOR"), left("PIPELINE"), left("OUTCOME"), left("RUN"), left("WHY"), left("TRIGGER")],
            rows.rows
                .iter()
                .map(|r| {
                    vec![
                        view.time(r, "scheduled_for"),
                        view.text(r, "pipeline"),
                        view.text(r, "outcome"),
                        view.text(r, "run"),
                        view.text(r, "why"),
                        view.text(r, "trigger"),
                    ]
                })
                .collect(),
        ),
        "content" => (
            vec![left("SET"), left("OS"), left("CONTENT"), left("READ"), left("REPOS"), left("DETAIL")],
            rows.rows
                .iter()
                .map(|r| {
                    let fp: String = or(view.text(r, "fp"), "unknown").chars().take(12).collect();
                    vec![view.text(r, "set"), view.text(r, "os"), fp, view.age(r, "read"), view.text(r, "repos"), view.text(r, "detail")]
                })
                .collect(),
        ),
        what => match tested::table(&view, what, &rows.rows) {
            Some(table) => table,
            None => plain(&rows.rows),
        },
    };
    let lines: Vec<Vec<String>> = lines.into_iter().map(|l| l.iter().map(|c| out.again(c)).collect()).collect();
    table::print(out, &columns, &lines);
    if let Some(page) = rows.page {
        out.line(out.paint(Tone::Dim, &shown_of(page, lines.len())));
    }
    if rows.age_ms > 10_000 {
        out.line(out.paint(Tone::Dim, &format!("oldest answer: {} ago", duration::short(rows.age_ms))));
    }
}

/// `rows 21 to 40 of 118`.
pub(super) fn shown_of(page: Page, shown: usize) -> String {
    format!("rows {} to {} of {}", page.offset + 1, page.offset + shown as u64, page.total)
}

/// A table of a newer engine, as it comes.
fn plain(rows: &[Row]) -> (Vec<Column>, Vec<Vec<String>>) {
    (
        vec![left("ROW")],
        rows.iter().map(|r| vec![r.iter().map(|(k, v)| format!("{k}={}", cell(v))).collect::<Vec<_>>().join(" ")]).collect(),
    )
}

fn or(text: String, other: &str) -> String {
    if text.is_empty() { other.to_owned() } else { text }
}

/// Empty says why.
fn empty(get: &Get, page: Option<Page>) -> String {
    if get.cut.limit == Some(0) {
        return "--limit 0 shows no rows".to_owned();
    }
    if let Some(page) = page.filter(|p| p.total > 0) {
        return format!(
            "there {} {}, and --offset leaves all out",
            if page.total == 1 { "is" } else { "are" },
            count::s(page.total, "row")
        );
    }
    if !get.cut.filter.trim().is_empty() {
        return format!("no {} pass the filter {}", get.what, sanitise::cell(&get.cut.filter));
    }
    match get.what.as_str() {
        "runs" => "no runs yet: quarterdeck run PIPELINE",
        "queue" => "the queue is empty: nothing runs or waits",
        "locks" => "no lock is held, and the site file names none",
        "holds" => "nothing is held: quarterdeck do hold-add OS --with package=NAME --with until=7d",
        "promotions" => "no promotion yet: quarterdeck do promote OS, with a table [promotion.OS] in site.toml",
        "pipelines" => "no pipelines: put NAME.yml into CONFIG/pipelines, or run quarterdeck site init",
        "content" | "versions" => "no content sets: add [content.NAME] to site.toml",
        "decisions" => "nothing was decided yet",
        "artifacts" => "no run has kept a file yet: name files with `artifacts:` in a pipeline",
        "fingerprints" => "no run has kept a file or read a content set yet",
        "tests" | "failures" | "flaky" | "slowest" => tested::empty(&get.what),
        "repos" | "mirrors" => "no repositories: add [repos.NAME] to site.toml",
        "sources" => "no far end is asked: [repos.NAME] and [cobbler.NAME] of site.toml name them",
        "schedule" => "no pipeline has a trigger: `triggers:` in its file says what starts it",
        "due" => "no clock starts anything: `cron:` or `every:` below `triggers:` of a pipeline says when",
        "occurrences" => "nothing was due yet: quarterdeck get schedule shows what will be",
        _ => "nothing was done yet",
    }
    .to_owned()
}
