//! `get WHAT`: rows of the engine, as a table for people or as JSON for scripts.

use super::Ctx;
use super::args::Get;
use super::connect;
use super::failure::{Failure, Outcome};
use super::out::Out;
use super::{get_repo, rows};
use crate::api::ApiError;
use crate::api::client::encode;
use crate::api::types::{RawRows, Rows, TABLES};
use crate::base::sanitise;

pub fn run(ctx: &Ctx, out: &mut Out, get: &Get) -> Outcome {
    if get.what.is_empty() {
        return Err(Failure::bad("say what to get", format!("there are: {}", TABLES.join(" "))));
    }
    let site = ctx.site_to_look(out)?;
    let view = get.view.clone();
    let get = &in_view(get)?;
    if let Some(name) = &get.name {
        return get_repo::run(ctx, out, &site, get, name);
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
    let at = |f: Failure| f.within(&get.cut.filter);
    if out.json {
        let rows: RawRows = connect::block_on(async { connect::read(ctx, &site, &path).await }).map_err(at)?;
        out.value(&rows);
        return rows.error.map_or(Ok(()), |_| Err(Failure::told(1)));
    }
    let rows: Rows = connect::block_on(async { connect::read(ctx, &site, &path).await }).map_err(at)?;
    match &view {
        Some(view) if rows.rows.is_empty() => out.advice(format!(
            "no pipeline of the view `{}`: `views:` of a pipeline's file names those that show it; quarterdeck --json get pipelines has them",
            sanitise::cell(view)
        )),
        _ => rows::show(out, get, &rows),
    }
    match &rows.error {
        None => Ok(()),
        Some(e) => Err(ApiError::failed(e.clone(), what_now(&get.what)).into()),
    }
}

/// What to do where a table is wrong as a whole: a broken chain, a scheduler that does not look any more.
fn what_now(table: &str) -> &'static str {
    match table {
        "audit" => "the store was changed behind the engine's back: keep STATE/state.db as it is, and find out by whom",
        _ => "start the engine anew: quarterdeck engine stop, then quarterdeck engine start; what runs goes on",
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
