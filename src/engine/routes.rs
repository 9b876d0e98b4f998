//! The paths of the API: read a request, ask the right part, write the answer. No decision is taken here.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};

use super::answer::{Fault, answer, answer_text};
use super::asked::{Attempt, Body, Name, Params, Run, Unasked, Viewer, only, patience, whole_number};
use super::blocking::blocking;
use super::identity::Peer;
use super::lease::Connection;
use super::question::Question;
use super::state::Engine;
use super::{
    act, approvals, arm, diff, doctor, events, freshness, get as rows_of, log, log_search, metrics, pages, paging, preview, promotion,
    repo_page, rows, secret_acts, status, tested, trees, wait, why,
};
use crate::api::ApiError;
use crate::api::diff_part::{self, Part};
use crate::api::types::{Arm, Do, MAX_BODY, Machine, Rows, Why};
use crate::base::sanitise;
use crate::domain::rows::RunRow;
use crate::domain::run::{RunRef, RunState, valid_name};

type Shared = State<Arc<Engine>>;
type Asked = Query<Params>;

/// A question's path, what answers it, and the words that it knows behind the `?`.
type Route<'a> = (&'static str, MethodRouter<Arc<Engine>>, &'a [&'static str]);

/// What a part of a table is asked by.
const PART: [&str; 8] = ["filter", "sort", "limit", "offset", "around", "by", "count", "exact"];
/// What a comparison is asked by.
const PAIR: [&str; 3] = ["a", "b", "changelogs"];

pub fn router(engine: Arc<Engine>) -> Router {
    let mut parts_of_diffs = PART.to_vec();
    parts_of_diffs.extend(PAIR);
    let routes: [Route<'_>; 21] = [
        ("/v1/status", get(status), &[]),
        ("/v1/get/{what}", get(table), &PART),
        ("/v1/machine", get(machine), &[]),
        ("/v1/plan/{pipeline}", get(plan), &[]),
        ("/v1/runs/{pipeline}/{number}", get(run), &["wait", "ended"]),
        ("/v1/about/{pipeline}/{number}", get(about), &[]),
        ("/v1/promotions/{id}", get(promotion_page), &[]),
        ("/v1/promotions/{id}/why", get(promotion_why), &[]),
        ("/v1/promotions/{id}/evidence", get(evidence), &[]),
        ("/v1/history/{pipeline}", get(history), &["limit"]),
        ("/v1/why/{repo}", get(why_repo), &[]),
        ("/v1/why/{pipeline}/{number}", get(why), &[]),
        ("/v1/attempts/{pipeline}/{number}", get(attempts), &["first_error"]),
        ("/v1/log/{pipeline}/{number}/{fence}", get(log_page), &log::Ask::KEYS),
        ("/v1/grep/{pipeline}/{number}/{fence}", get(log_search), &log_search::Ask::KEYS),
        ("/v1/diff", get(diff), &["a", "b", "changelogs", "of", "source", "filter", "sort", "limit", "offset"]),
        ("/v1/diff/{table}", get(diff_table), &parts_of_diffs),
        ("/v1/repos/{name}", get(repo), &[]),
        ("/v1/events", get(stream), &["from"]),
        ("/v1/secrets/{name}/test", get(secret_test), &[]),
        ("/v1/cobblers/{name}/login", get(cobbler_login), &[]),
    ];
    // What changes something says all in its body, and collectors add words of their own to the page of metrics.
    let mut router = Router::new()
        .route("/v1/do", post(change))
        .route("/v1/arm", post(arm))
        .route("/v1/disarm", post(disarm))
        .route("/metrics", get(metrics_page));
    for (path, methods, names) in routes {
        let names: Arc<[&'static str]> = names.into();
        let judge = move |request: Request, next: Next| {
            let known = only(request.uri(), &names);
            async move {
                match known {
                    Ok(()) => next.run(request).await,
                    Err(e) => Fault::from(e).into_response(),
                }
            }
        };
        router = router.route(path, methods.route_layer(middleware::from_fn(judge)));
    }
    router.fallback(unknown).method_not_allowed_fallback(unknown).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(engine)
}

async fn unknown(request: Request) -> Fault {
    ApiError::bad(
        format!("no `{} {}` in this version of the API", request.method(), request.uri().path()),
        "client and engine may differ in version",
    )
    .into()
}

async fn status(State(engine): Shared, Viewer(caller): Viewer) -> Result<Response, Fault> {
    let mut status = blocking(move || status::of(&engine)).await?;
    status.you = caller.actor.name;
    Ok(answer(&status))
}

/// What the engine sees of its machine; `get doctor` has the rest beside it, which takes far ends to answer.
async fn machine(State(engine): Shared, _: Viewer) -> Result<Response, Fault> {
    Ok(answer(&blocking(move || Ok(Machine { rows: doctor::engine_rows(&engine) })).await?))
}

async fn table(State(engine): Shared, _: Viewer, Name(what): Name, Query(q): Asked) -> Result<Response, Fault> {
    let question = Question {
        what,
        filter: q.get("filter").cloned().unwrap_or_default(),
        sort: q.get("sort").cloned(),
        limit: whole_number(&q, "limit")?,
        page: paging::Ask::of(&q)?,
    };
    Ok(answer_text(rows_of::text(&engine, question).await?))
}

async fn change(
    State(engine): Shared,
    Extension(peer): Extension<Peer>,
    Extension(link): Extension<Connection>,
    Body(request): Body<Do>,
) -> Result<Response, Fault> {
    Ok(answer(&act::act_as(&engine, move |e| e.caller(peer, e.watch.uid()), link, request).await?))
}

async fn arm(
    State(engine): Shared,
    Viewer(caller): Viewer,
    Extension(link): Extension<Connection>,
    Body(ask): Body<Arm>,
) -> Result<Response, Fault> {
    Ok(answer(&arm::arm(&engine, caller, link, ask).await?))
}

async fn disarm(State(engine): Shared, _: Viewer, Extension(link): Extension<Connection>, _: Unasked) -> Result<Response, Fault> {
    Ok(answer(&arm::disarm(&engine, link).await?))
}

async fn plan(State(engine): Shared, _: Viewer, Name(pipeline): Name) -> Result<Response, Fault> {
    Ok(answer(&blocking(move || preview::of(&engine, &pipeline)).await?))
}

async fn row(engine: &Arc<Engine>, run: &RunRef) -> Result<RunRow, ApiError> {
    let (engine, run) = (engine.clone(), run.clone());
    blocking(move || engine.store.run(&run).map_err(ApiError::from)).await
}

async fn run(State(engine): Shared, _: Viewer, Run(run): Run, Query(q): Asked) -> Result<Response, Fault> {
    let summary = wait::summary(&engine, &run, patience(&q)?, whole_number(&q, "ended")?).await?;
    let mut document = rows::document(&summary);
    let row = row(&engine, &run).await?;
    document.basis = preview::basis(&row);
    if summary.state == RunState::Done {
        document.first_error = log::first_error(&engine, &row).await.map(Box::new);
    }
    Ok(answer(&document))
}

async fn zone_of(engine: &Arc<Engine>) -> Result<jiff::tz::TimeZone, ApiError> {
    let engine = engine.clone();
    blocking(move || Ok(engine.zone())).await
}

async fn why(State(engine): Shared, _: Viewer, Run(run): Run) -> Result<Response, Fault> {
    let row = row(&engine, &run).await?;
    let (tests, others, child): (Vec<String>, _, _) = {
        let (engine, row) = (engine.clone(), row.clone());
        let look = move || {
            let run = &row.run;
            let late = why::late(&engine.store.facts(run)?);
            let child = why::failed_child(&row, &engine.runner.run_summary(run)?).cloned();
            Ok((late.into_iter().chain(tested::said(&engine.store, run)?).collect(), engine.store.set_off(run)?, child))
        };
        blocking(look).await?
    };
    let known = engine.clone();
    let reasons = engine.runner.why(&run).await?;
    let detail = reasons.iter().map(|r| serde_json::to_value(r).unwrap_or_default()).collect();
    let people = {
        let (run, reasons) = (run.clone(), reasons.clone());
        blocking(move || Ok(approvals::words(&known, &known.watch.current().unwrap_or_default(), &run, &reasons))).await?
    };
    let zone = zone_of(&engine).await?;
    let mut reasons: Vec<String> = reasons.iter().map(|r| r.in_zone(&zone).to_string()).collect();
    reasons.extend(people);
    let ended = why::ended(&row, log::first_error(&engine, &row).await.as_ref(), child.as_ref(), tests, &others);
    if row.state == RunState::Done && !ended.is_empty() {
        reasons = ended;
    }
    Ok(answer(&Why { run: run.to_string(), state: row.state.to_string(), reasons, detail }))
}

/// Why a repository of the site is as it is.
async fn why_repo(State(engine): Shared, _: Viewer, Name(repo): Name) -> Result<Response, Fault> {
    freshness::look_now(&engine, &repo).await;
    let found = {
        let engine = engine.clone();
        let repo = repo.clone();
        blocking(move || trees::why(&engine, &repo)).await?
    };
    let missing = || {
        let run = match valid_name(&repo) {
            true => format!("runs of a pipeline: quarterdeck get runs --filter pipeline={repo}"),
            false => "a run is PIPELINE#NUMBER".to_owned(),
        };
        ApiError::bad(
            format!("no repository `{}` in the site file", sanitise::cell(&repo)),
            format!("quarterdeck get repos lists them; {run}"),
        )
    };
    Ok(answer(&found.ok_or_else(missing)?))
}

async fn about(State(engine): Shared, _: Viewer, Run(run): Run) -> Result<Response, Fault> {
    Ok(answer(&blocking(move || pages::about(&engine, &run)).await?))
}

async fn history(State(engine): Shared, _: Viewer, Name(pipeline): Name, Query(q): Asked) -> Result<Response, Fault> {
    let limit = whole_number(&q, "limit")?.unwrap_or(8);
    Ok(answer(&blocking(move || pages::history(&engine, &pipeline, limit)).await?))
}

/// All that the screen of a promotion shows, with its plan as it is now.
async fn promotion_page(State(engine): Shared, _: Viewer, Name(id): Name) -> Result<Response, Fault> {
    Ok(answer(&blocking(move || promotion::doc::document(&engine, &promotion::find(&engine, &id)?)).await?))
}

async fn promotion_why(State(engine): Shared, _: Viewer, Name(id): Name) -> Result<Response, Fault> {
    let look = move || {
        let p = promotion::find(&engine, &id)?;
        Ok(Why { run: p.id.clone(), state: p.state.to_string(), reasons: promotion::doc::why(&engine, &p)?, detail: Vec::new() })
    };
    Ok(answer(&blocking(look).await?))
}

/// The archive: tar, gzip.
async fn evidence(State(engine): Shared, _: Viewer, Name(id): Name) -> Result<Response, Fault> {
    let bytes = promotion::evidence::pack(&engine, &id).await?;
    Ok(([(header::CONTENT_TYPE, "application/gzip")], bytes).into_response())
}

/// Beside `/v1`, where every collector looks for it.
async fn metrics_page(State(engine): Shared, _: Viewer) -> Result<Response, Fault> {
    let page = metrics::page(&engine).await?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response())
}

async fn stream(State(engine): Shared, _: Viewer, headers: HeaderMap, Query(q): Asked) -> Result<Response, Fault> {
    let from = headers.get("last-event-id").and_then(|v| v.to_str().ok()).or(q.get("from").map(String::as_str));
    Ok(events::stream(engine, from.and_then(|t| t.parse().ok())))
}

async fn secret_test(State(engine): Shared, Viewer(caller): Viewer, Name(name): Name) -> Result<Response, Fault> {
    Ok(answer(&secret_acts::test(&engine, caller, name).await?))
}

async fn cobbler_login(State(engine): Shared, Viewer(caller): Viewer, Name(name): Name) -> Result<Response, Fault> {
    Ok(answer(&secret_acts::log_in(&engine, caller, name).await?))
}

/// A parameter that must be there.
fn word(q: &Params, key: &str) -> Result<String, ApiError> {
    let missing = || ApiError::bad(format!("`{key}` names no content"), "ask for /v1/diff?a=CONTENT&b=CONTENT");
    q.get(key).filter(|w| !w.is_empty()).cloned().ok_or_else(missing)
}

fn with_changelogs(q: &Params) -> bool {
    q.get("changelogs").is_none_or(|v| v != "0")
}

/// Two contents compared: the whole of it, one source package of it, or a part.
async fn diff(State(engine): Shared, _: Viewer, Query(q): Asked) -> Result<Response, Fault> {
    let part = Part {
        packages: match q.get("of").map(String::as_str) {
            None | Some("sources") => false,
            Some("packages") => true,
            Some(_) => return Err(ApiError::bad("`of` is sources or packages", "").into()),
        },
        filter: q.get("filter").cloned().unwrap_or_default(),
        sort: q.get("sort").cloned(),
        offset: whole_number(&q, "offset")?,
        limit: whole_number(&q, "limit")?,
    };
    let doc = diff::of(&engine, word(&q, "a")?, word(&q, "b")?, with_changelogs(&q)).await?;
    if let Some(name) = q.get("source") {
        return Ok(answer(&doc.of_source(name)));
    }
    if part.is_whole() {
        return Ok(answer(&*doc));
    }
    Ok(answer(&doc.part(&part, engine.clock.now())?))
}

/// One table of a comparison, in the shape of `get`, with what stands above it.
async fn diff_table(State(engine): Shared, _: Viewer, Name(table): Name, Query(q): Asked) -> Result<Response, Fault> {
    if diff_part::columns(&table).is_none() {
        let help = format!("there are: {}", diff_part::TABLES.join(" "));
        return Err(ApiError::bad(format!("a comparison has no `{}`", sanitise::cell(&table)), help).into());
    }
    let ask = paging::Ask::of(&q)?.unwrap_or_default();
    let limit = whole_number(&q, "limit")?.unwrap_or(paging::MOST).min(paging::MOST);
    let revision = engine.model.position().revision;
    let doc = diff::of(&engine, word(&q, "a")?, word(&q, "b")?, with_changelogs(&q)).await?;
    let filter = q.get("filter").map_or("", String::as_str);
    let mut rows = diff_part::rows(&doc, &table, filter, q.get("sort").map(String::as_str), engine.clock.now())?;
    let page = Some(ask.cut(&mut rows, limit));
    Ok(answer(&Rows { what: table, revision, age_ms: 0, rows, error: None, page, diff: Some(Box::new(doc.head())) }))
}

/// What stands around one repository.
async fn repo(State(engine): Shared, _: Viewer, Name(name): Name) -> Result<Response, Fault> {
    Ok(answer(&repo_page::asked(&engine, name).await?))
}

async fn attempts(State(engine): Shared, _: Viewer, Run(run): Run, Query(q): Asked) -> Result<Response, Fault> {
    let errors = q.get("first_error").is_some_and(|v| v == "1");
    Ok(answer(&log::attempts(&engine, &run, errors).await?))
}

async fn log_page(State(engine): Shared, _: Viewer, Attempt(run, fence): Attempt, Query(q): Asked) -> Result<Response, Fault> {
    let ask = log::Ask::of(&q)?;
    Ok(answer(&log::page(&engine, &run, fence, ask).await?))
}

async fn log_search(State(engine): Shared, _: Viewer, Attempt(run, fence): Attempt, Query(q): Asked) -> Result<Response, Fault> {
    let ask = log_search::Ask::of(&q)?;
    Ok(log_search::search(&engine, &run, fence, ask).await?)
}
