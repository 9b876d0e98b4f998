//! `schedule preview`: what the clock will start, from the files alone. No engine is needed, and none is asked.

use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::json;

use super::Ctx;
use super::args::Schedule as Command;
use super::failure::{Failure, Outcome};
use super::out::{Out, Tone};
use super::table::{self, left};
use crate::api::ApiError;
use crate::base::{instant, suggest};
use crate::engine::catalog;
use crate::pipeline::preview::{self, Row};

/// Without `--year`, so many days.
const DAYS: i64 = 14;

pub fn run(ctx: &Ctx, out: &mut Out, command: Command) -> Outcome {
    match command {
        Command::Preview { year, pipeline } => show(ctx, out, year, &pipeline),
    }
}

fn show(ctx: &Ctx, out: &mut Out, year: Option<Option<i16>>, wanted: &[String]) -> Outcome {
    let site = ctx.site(out)?;
    let now = Timestamp::now();
    let catalog = catalog::with_stages(catalog::of_site(&ctx.dirs, &site, ctx.uid)?, &ctx.dirs, ctx.uid);
    let (from, to) = span(out, year, now)?;
    if let Some(unknown) = wanted.iter().find(|w| !catalog.pipelines.contains(w)) {
        let known = catalog.pipelines.iter().map(String::as_str);
        let help = suggest::meant(unknown, known, format!("there are: {}", catalog.pipelines.join(", ")));
        return Err(Failure::bad(format!("no pipeline `{unknown}`"), help));
    }
    let mut rows: Vec<Row> = Vec::new();
    let mut broken = Vec::new();
    for name in catalog.pipelines.iter().filter(|n| wanted.is_empty() || wanted.contains(n)) {
        match catalog::judge(&ctx.dirs, name, ctx.uid, &catalog) {
            Ok(judged) => match &judged.file {
                Some(file) => rows.extend(preview::rows(file, &catalog, from, to)),
                None => broken.push(judged.first_error().unwrap_or_else(|| name.clone())),
            },
            Err(e) => broken.push(e.to_string()),
        }
    }
    rows.sort_by(|a, b| (a.scheduled_for, &a.pipeline, &a.trigger).cmp(&(b.scheduled_for, &b.pipeline, &b.trigger)));
    // Who names a pipeline asks about its file too.
    if let Some(why) = broken.first().filter(|_| !wanted.is_empty()) {
        let help = format!("all of it: quarterdeck pipeline lint {}", wanted[0]);
        return Err(ApiError::failed(format!("a file has errors: {}", crate::base::sanitise::cell(why)), help).into());
    }
    for why in &broken {
        out.note(&format!("note: not shown, for its file has errors: {}", crate::base::sanitise::cell(why)));
    }
    if out.json {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        // The first moment that belongs to it, and the first that does not.
        let [from, to] = [from, to].map(|t| instant::utc(t.checked_add(1.nanosecond()).unwrap_or(t)));
        out.value(&json!({"what": "schedule-preview", "from": from, "to": to, "rows": rows}));
        return Ok(());
    }
    if rows.is_empty() {
        out.line("no clock starts anything in this time: `cron:` or `every:` below `triggers:` of a pipeline says when");
        return Ok(());
    }
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|r| {
            let closed = r.closed.as_deref().unwrap_or_default();
            let moved = r.from.as_ref().map(|f| format!("moved from {f}")).unwrap_or_default();
            let marks = [preview::words(r.dst), &moved, closed].iter().filter(|t| !t.is_empty()).copied().collect::<Vec<_>>().join("; ");
            vec![r.local.clone(), r.pipeline.clone(), marks, r.trigger.clone()]
        })
        .collect();
    table::print(out, &[left("LOCAL"), left("PIPELINE"), left("NOTE"), left("TRIGGER")], &lines);
    let moved = rows.iter().filter(|r| r.dst != crate::pipeline::schedule::Dst::None).count();
    out.line(out.paint(Tone::Dim, &format!("{} starts, {moved} of them where clocks change", rows.len())));
    Ok(())
}

/// The next days; with `--year` the next year; with `--year N` that year in the site's zone.
fn span(out: &Out, year: Option<Option<i16>>, now: Timestamp) -> Result<(Timestamp, Timestamp), Failure> {
    let far = || Failure::bad("that year is too far away", "give one from 1970 to 2200");
    match year {
        None => Ok((now, now.checked_add(SignedDuration::from_hours(24 * DAYS)).map_err(|_| far())?)),
        Some(None) => Ok((now, now.to_zoned(out.zone.clone()).checked_add(1.year()).map_err(|_| far())?.timestamp())),
        Some(Some(year)) if (1970..=2200).contains(&year) => {
            let first = |y: i16| {
                let midnight = jiff::civil::Date::new(y, 1, 1).ok()?.at(0, 0, 0, 0);
                // One nanosecond less, so that midnight itself belongs to its year.
                crate::pipeline::schedule::resolve(&out.zone, midnight)?.checked_sub(1.nanosecond()).ok()
            };
            Ok((first(year).ok_or_else(far)?, first(year + 1).ok_or_else(far)?))
        }
        Some(Some(_)) => Err(far()),
    }
}
