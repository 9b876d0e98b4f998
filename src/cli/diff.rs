//! `diff A B`: two contents, package by package. On a private site it reads both itself; a shared engine is asked, unless both are paths or
//! addresses.

use std::time::Duration;

use super::Ctx;
use super::args::Diff;
use super::connect::{self, Start};
use super::failure::{Failure, Outcome};
use super::out::{Out, Tone};
use super::rows::shown_of;
use super::table::{self, left, right};
use crate::api::ApiError;
use crate::api::client::encode;
use crate::api::diff::{Counts, DiffDoc, PackageDoc, SideDoc, SourceDoc};
use crate::api::diff_part::Part;
use crate::base::clock::{Clock, SystemClock};
use crate::base::{count, sanitise, size, sys};
use crate::engine::contents::{Places, compare};

/// An engine that reads two sets over the network may take so long.
const ANSWER: Duration = Duration::from_secs(660);
/// CVE ids that one cell names.
const NAMED: usize = 3;

pub fn run(ctx: &Ctx, out: &mut Out, args: &Diff) -> Outcome {
    let site = ctx.site_to_look(out)?;
    let path = |word: &str| word.contains("://") || word.starts_with(['/', '.']) || std::path::Path::new(word).is_dir();
    let (_, shared) = ctx.dirs.socket(&site);
    let p = &args.cut;
    let part = Part { packages: args.packages, filter: p.filter.clone(), sort: p.sort.clone(), offset: p.offset, limit: p.limit };
    let doc = if shared && !(path(&args.a) && path(&args.b)) {
        let question = question(args, &part);
        connect::block_on(async {
            let mut client = connect::connect(ctx, &site, Start::Never).await?;
            client.get::<DiffDoc>(&question, ANSWER).await.map_err(|t| Failure::from(ApiError::from(t)).within(&p.filter))
        })?
    } else {
        // Two readers that seldom allocate need no arena each.
        sys::return_freed_memory(1);
        let places = Places { site: &site, state: &ctx.dirs.state, paths: true };
        // What cannot be read as a filter is told before minutes of reading.
        DiffDoc::default().part(&part, SystemClock.now()).map_err(|e| Failure::from(e).within(&p.filter))?;
        let (a, b) = (places.find(&args.a)?, places.find(&args.b)?);
        let whole = compare(&ctx.dirs.state, &a, &b, !args.no_changelogs)?;
        if part.is_whole() { whole } else { whole.part(&part, SystemClock.now())? }
    };
    let differs = !doc.equal;
    if out.json {
        out.value(&doc);
    } else {
        show(out, args, &doc);
    }
    if args.exit_code && differs { Err(Failure::told(1)) } else { Ok(()) }
}

fn question(args: &Diff, part: &Part) -> String {
    let mut path = format!("/v1/diff?a={}&b={}&changelogs={}", encode(&args.a), encode(&args.b), u8::from(!args.no_changelogs));
    if part.is_whole() {
        return path;
    }
    path.push_str(if part.packages { "&of=packages" } else { "&of=sources" });
    let texts = [("filter", Some(part.filter.clone()).filter(|f| !f.is_empty())), ("sort", part.sort.clone())];
    let numbers = [("offset", part.offset), ("limit", part.limit)].map(|(name, n)| (name, n.map(|n| n.to_string())));
    for (name, value) in texts.into_iter().chain(numbers) {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encode(&value)));
        }
    }
    path
}

fn show(out: &Out, args: &Diff, doc: &DiffDoc) {
    for (name, side) in [("a", &doc.a), ("b", &doc.b)] {
        out.line(out.paint(Tone::Dim, &side_line(name, side)));
    }
    if doc.equal {
        out.line("nothing differs: the same packages, modules and groups");
        return;
    }
    out.line(count_line("packages", &doc.packages, Some(doc.fetch_bytes)));
    out.line(count_line("sources", &doc.sources_changed, None));
    if !args.no_changelogs {
        out.line(cve_line(doc));
    }
    for s in &doc.streams {
        let versions = format!("{} -> {}", s.old.as_deref().unwrap_or("-"), s.new.as_deref().unwrap_or("-"));
        out.line(sanitise::cell(&format!("module {}:{} {} {versions}", s.module, s.stream, s.change)));
    }
    for m in &doc.metadata {
        out.line(sanitise::cell(&format!("metadata {} of {} {}", m.ty, m.repo, if m.change == "rebuilt" { "differs" } else { &m.change })));
    }
    let shown = if args.packages { packages(out, &doc.rows) } else { sources(out, args, &doc.sources) };
    match doc.page {
        Some(page) if shown == 0 && page.total == 0 && !args.cut.filter.trim().is_empty() => {
            out.line(format!("none of them passes the filter {}", sanitise::cell(&args.cut.filter)));
        }
        Some(page) if (shown as u64) < page.total && shown > 0 => {
            let after = page.offset + shown as u64;
            let more = page.total - after;
            let text = if more > 0 { format!("; {more} more: leave out --limit, or --offset {after}") } else { String::new() };
            out.line(out.paint(Tone::Dim, &format!("{}{text}", shown_of(page, shown))));
        }
        Some(page) if (shown as u64) < page.total => out.line(format!("{} in all, and none on this page", count::s(page.total, "row"))),
        _ => {}
    }
}

fn side_line(name: &str, side: &SideDoc) -> String {
    let fp = side.fp.get(..12).unwrap_or(&side.fp);
    let what = sanitise::cell(&side.is);
    format!("{name}  {what}  fp {fp}  {}  {}", count::s(side.packages, "package"), size::short(side.size_bytes))
}

fn count_line(what: &str, c: &Counts, fetch: Option<u64>) -> String {
    let all = [
        (c.up, "up"),
        (c.down, "down"),
        (c.new, "new"),
        (c.gone, "gone"),
        (c.rebuilt, "rebuilt (same version, other bytes)"),
        (c.moved, "moved to another repository"),
        (c.copies, "with other old copies"),
        (c.same, "same"),
    ];
    // The first four are always told: a zero is an answer too.
    let parts = all.iter().enumerate().filter(|(i, (n, _))| *i < 4 || *n > 0).map(|(_, (n, word))| format!("{n} {word}"));
    let fetch = fetch.map(|bytes| format!("; {} to fetch", size::short(bytes))).unwrap_or_default();
    format!("{what}: {}{fetch}", parts.collect::<Vec<_>>().join(", "))
}

fn cve_line(doc: &DiffDoc) -> String {
    let k = &doc.changelogs;
    let mut line = format!("CVE ids in changelogs: {}; changelogs {} complete", doc.cves.len(), k.complete);
    if k.partial > 0 {
        line.push_str(&format!(", {} cut (at least these)", k.partial));
    }
    if k.unknown > 0 {
        line.push_str(&format!(", {} unknown", k.unknown));
    }
    line
}

fn grown(old: Option<u64>, new: Option<u64>) -> String {
    let (old, new) = (old.unwrap_or(0), new.unwrap_or(0));
    match new.cmp(&old) {
        std::cmp::Ordering::Less => format!("-{}", size::short(old - new)),
        std::cmp::Ordering::Equal => "0".to_owned(),
        std::cmp::Ordering::Greater => format!("+{}", size::short(new - old)),
    }
}

/// Without the epoch where it is 0: as people write versions.
fn version(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), |t| t.strip_prefix("0:").unwrap_or(t).to_owned())
}

fn sources(out: &Out, args: &Diff, rows: &[SourceDoc]) -> usize {
    let columns = [left("SOURCE"), left("CHANGE"), left("OLD"), left("NEW"), right("PKGS"), right("SIZE"), left("CVE")];
    let cells = |s: &SourceDoc| {
        let mut row = vec![s.source.clone(), s.change.clone(), version(s.old.as_deref()), version(s.new.as_deref())];
        row.extend([s.packages.to_string(), grown(Some(s.old_bytes), Some(s.new_bytes)), s.fixes(NAMED)]);
        row
    };
    if rows.is_empty() {
        return 0;
    }
    if !args.changelogs {
        table::print(out, &columns, &rows.iter().map(cells).collect::<Vec<_>>());
        return rows.len();
    }
    for s in rows {
        let head = format!("{} {}  {} -> {}  {}", s.source, s.change, version(s.old.as_deref()), version(s.new.as_deref()), s.fixes(NAMED));
        out.line(out.paint(Tone::Bold, &sanitise::cell(&head)));
        for e in &s.entries {
            let day = e.date.as_deref().and_then(|d| d.get(..10)).unwrap_or("no date");
            out.line(format!("  {day}  {}", sanitise::cell(&e.author)));
            for line in e.text.lines() {
                out.line(format!("    {}", sanitise::line(line, sanitise::Colour::Drop)));
            }
        }
    }
    rows.len()
}

fn packages(out: &Out, rows: &[PackageDoc]) -> usize {
    let columns = [left("PACKAGE"), left("CHANGE"), left("OLD"), left("NEW"), right("SIZE"), left("REPO"), left("STREAM")];
    let cells = |p: &PackageDoc| {
        let repo = match &p.old_repo {
            Some(old) if p.change == "moved" => format!("{old} -> {}", p.repo),
            _ => p.repo.clone(),
        };
        let mut row = vec![format!("{}.{}", p.name, p.arch), p.change.clone(), version(p.old.as_deref()), version(p.new.as_deref())];
        row.extend([grown(p.old_bytes, p.new_bytes), repo, p.stream.clone()]);
        row
    };
    if !rows.is_empty() {
        table::print(out, &columns, &rows.iter().map(cells).collect::<Vec<_>>());
    }
    rows.len()
}
