//! `get mirrors REPO`: one repository with its places, and all that stands around it: syncs, snapshots, room, holds, and who uses it.

use serde_json::{Map, Value, json};

use super::Ctx;
use super::args::Get;
use super::connect;
use super::failure::{Failure, Outcome};
use super::out::{Out, Tone};
use super::rows;
use super::table::{self, left, right};
use super::times;
use crate::api::client::encode;
use crate::api::repo::RepoDoc;
use crate::api::types::Rows;
use crate::base::{duration, sanitise, size};
use crate::config::Site;

pub fn run(ctx: &Ctx, out: &mut Out, site: &Site, ask: &Get, name: &str) -> Outcome {
    if !matches!(ask.what.as_str(), "mirrors" | "repos") {
        let help = "quarterdeck get WHAT --filter COLUMN=VALUE picks rows of the others";
        return Err(Failure::bad("only mirrors are asked for by name", help));
    }
    if !ask.cut.is_whole() {
        return Err(Failure::bad("one repository is shown whole", "leave out --filter, --sort, --limit and --offset, or the name"));
    }
    // A quote in it would end the word; no repository of a site file has one.
    let filter = encode(&format!("repo=\"{}\"", name.replace('"', "")));
    let (rows, doc): (Rows, RepoDoc) = connect::block_on(async {
        // It knows which names there are.
        let doc = connect::read(ctx, site, &format!("/v1/repos/{}", encode(name))).await?;
        Ok((connect::read(ctx, site, &format!("/v1/get/{}?filter={filter}", encode(&ask.what))).await?, doc))
    })?;
    if out.json {
        out.value(&whole(&rows, &doc));
    } else {
        rows::show(out, ask, &rows);
        show(out, &doc);
    }
    Ok(())
}

/// The rows as `get` has them, and beside them what stands around the repository.
fn whole(rows: &Rows, doc: &RepoDoc) -> Map<String, Value> {
    let object = |value: Value| match value {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let mut all = object(json!({"what": rows.what, "revision": rows.revision, "age_ms": rows.age_ms, "rows": rows.rows}));
    all.extend(object(serde_json::to_value(doc).unwrap_or_default()));
    all
}

fn show(out: &Out, doc: &RepoDoc) {
    let now = jiff::Timestamp::now();
    let age = |text: Option<&str>| times::age(text, now);
    let title = |text: &str| {
        out.line("");
        out.line(out.paint(Tone::Bold, text));
    };
    title("used by");
    let users: Vec<Vec<String>> = doc.used_by.iter().map(|u| vec![u.kind.clone(), u.name.clone(), u.how.clone()]).collect();
    if !users.is_empty() {
        table::print(out, &[left("KIND"), left("NAME"), left("HOW")], &users);
    }
    for u in &doc.unknown {
        out.line(sanitise::cell(&format!("unknown: {u}")));
    }
    if !doc.holds.is_empty() {
        title("held and added");
        let text = |h: &Map<String, Value>, key: &str| h.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let row = |h: &Map<String, Value>| ["kind", "package", "state", "owner", "reason"].map(|key| text(h, key)).to_vec();
        let columns = [left("KIND"), left("PACKAGE"), left("STATE"), left("OWNER"), left("WHY")];
        table::print(out, &columns, &doc.holds.iter().map(row).collect::<Vec<_>>());
    }
    if !doc.syncs.is_empty() {
        title("syncs");
        let row = |s: &crate::api::repo::SyncDoc| {
            let verdict = s.verdict.clone().unwrap_or_else(|| s.state.clone());
            let took = s.duration_ms.map(duration::short).unwrap_or_default();
            vec![s.run.clone(), verdict, took, age(s.started.as_deref()), s.changes.clone().unwrap_or_else(|| "?".to_owned())]
        };
        let columns = [left("RUN"), left("STATE"), right("TIME"), left("STARTED"), left("CHANGED")];
        table::print(out, &columns, &doc.syncs.iter().map(row).collect::<Vec<_>>());
    }
    title("room");
    let row = |s: &crate::api::repo::SpaceDoc| {
        let bytes = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), size::short);
        vec![s.place.clone(), bytes(s.free_bytes), bytes(s.total_bytes), if s.why.is_empty() { s.path.clone() } else { s.why.clone() }]
    };
    table::print(out, &[left("PLACE"), right("FREE"), right("OF"), left("WHERE")], &doc.space.iter().map(row).collect::<Vec<_>>());
    title("snapshots");
    if doc.snapshots.is_empty() {
        out.line("no snapshot holds it");
        return;
    }
    let row = |s: &crate::api::repo::SnapshotDoc| vec![s.place.clone(), s.id.clone(), age(s.made.as_deref()), s.pointers.join(" ")];
    let columns = [left("PLACE"), left("SNAPSHOT"), left("MADE"), left("POINTERS")];
    table::print(out, &columns, &doc.snapshots.iter().map(row).collect::<Vec<_>>());
}
