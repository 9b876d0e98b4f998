//! The effect: every tree that was synced is looked at as `mirror/verify` does, against what Cobbler itself mirrors.

use tokio::runtime::Runtime;

use super::{Records, Work};
use crate::domain::content::Collector;
use crate::domain::mirror::{Relation, State, whole};
use crate::domain::report::Fact;
use crate::steps::error::StepError;
use crate::steps::mirror::look::{self, Found};
use crate::steps::with::With;
use crate::systems::cobbler::Repo;
use crate::systems::repo::RepoAt;

/// Findings of one tree that are told.
const SHOWN: usize = 50;
/// Requests at a time to one tree.
const PARALLEL: usize = 8;

pub(super) fn trees(work: &Work<'_>, records: &Records, with: &With, runtime: &Runtime, took: &str) -> Result<(), StepError> {
    let report = work.report;
    let mut all = Collector::new();
    let mut found = Vec::new();
    for (wanted, record) in work.options.repos.iter().zip(&records.repos) {
        let tree = RepoAt { name: wanted.name.clone(), at: wanted.tree.clone() };
        let own: Vec<RepoAt> =
            if wanted.upstream.is_empty() { upstream(record, &wanted.name).into_iter().collect() } else { wanted.upstream.clone() };
        let seen = look::at(&tree, &own.iter().collect::<Vec<_>>(), work.options.look, PARALLEL, report, &mut all, runtime)?;
        for line in seen.findings.iter().take(SHOWN) {
            report.say(&format!("{}: {line}", wanted.name));
        }
        report.fact(Fact::Mirror(seen.seen.clone()));
        found.push((seen, record));
    }
    tell(work, with, &found, all);
    for (seen, record) in &found {
        judge(seen, record, records)?;
    }
    let lines: Vec<String> = found.iter().map(|(f, _)| format!("{}: {}", f.seen.repo, f.seen.detail)).collect();
    report.summary(&format!("{}, {took}", lines.join("; ")));
    Ok(())
}

/// What Cobbler mirrors, where it is one address that can be asked.
fn upstream(record: &Repo, name: &str) -> Option<RepoAt> {
    let http = record.mirror.starts_with("http://") || record.mirror.starts_with("https://");
    (http && matches!(record.mirror_type.as_str(), "baseurl" | "")).then(|| RepoAt { name: name.to_owned(), at: record.mirror.clone() })
}

fn tell(work: &Work<'_>, with: &With, found: &[(Found, &Repo)], all: Collector) {
    let report = work.report;
    let reading = all.finish();
    if found.iter().all(|(f, _)| f.seen.fp.is_some())
        && let (Some(fp), Some(md)) = (reading.fp.known(), reading.md.known())
    {
        report.output("fp", fp);
        report.output("md", md);
        if let Some(set) = with.text("set") {
            report.fact(Fact::Content { set: set.to_owned(), fp: fp.to_owned(), md: md.to_owned() });
        }
    }
    for (name, f) in
        [("packages", (|f| f.seen.packages) as fn(&Found) -> u64), ("missing", |f| f.seen.missing), ("short", |f| f.seen.short)]
    {
        report.output(name, &found.iter().map(|(seen, _)| f(seen)).sum::<u64>().to_string());
    }
    let lines: Vec<String> = found.iter().map(|(f, _)| format!("{}: {}", f.seen.repo, f.seen.detail)).collect();
    report.detail(&lines.join("; "));
    report.refresh("mirrors", "");
}

fn judge(found: &Found, record: &Repo, records: &Records) -> Result<(), StepError> {
    let said = format!("Cobbler calls its task complete, and {} is {}", found.seen.repo, found.seen.detail);
    if found.probe.unreachable {
        return Err(StepError::far_end(
            format!("Cobbler calls its task complete, and whether it is cannot be seen: {}", found.seen.detail),
            "say where the tree can be read: `mirror` in the table of the site file, or tree=NAME=PLACE",
        ));
    }
    if found.probe.absent {
        return Err(StepError::failed(
            format!("Cobbler calls its task complete, and there is no repository at {}", found.seen.tree),
            "is that where its trees are? see `mirror` in the table of the site file, or tree=NAME=PLACE",
        ));
    }
    if !whole(&found.probe) {
        let next = if found.probe.moved {
            "somebody wrote it meanwhile: verify again (mirror/verify) when that writer has ended"
        } else if found.probe.lost > 0 && records.settings.loses_noarch(&record.arch) {
            "add `-a noarch` to reposync_flags in Cobbler's settings, or set the repository's arch to none, then run it again"
        } else {
            "run it again: the next sync repairs what is missing or short; a damaged file is removed by hand first"
        };
        return Err(StepError::failed(said, next));
    }
    match found.seen.state {
        // Upstream has moved on since, or could not be asked from here: the tree is whole all the same.
        State::InSync | State::Behind | State::Unknown | State::Pinned => Ok(()),
        State::Unreachable if found.probe.relation == Relation::NoAnswer => Ok(()),
        _ => Err(StepError::failed(said, "somebody else writes that tree, or it mirrors another place: look at the repository's record")),
    }
}
