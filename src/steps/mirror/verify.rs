//! `mirror/verify`: looks at trees, as closely as it is asked to, and says in which state each is.
//!
//! Exit codes: 0 where every tree is whole and in a state that was expected (`expect`; without it: in-sync, behind, ahead, pinned,
//! syncing, and unknown where no upstream was given); 1 where one is partial, damaged, moving or in another state; 3 where one, or its
//! upstream, does not answer.

use super::look::{self, Found};
use crate::base::{crash, suggest};
use crate::domain::content::Collector;
use crate::domain::mirror::{Look, State, judge, whole};
use crate::domain::report::Fact;
use crate::steps::content::repos;
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::report::Report;
use crate::steps::with::With;
use crate::systems::repo::RepoAt;
use crate::wire::excerpt;

/// Lines of findings that are printed for each tree; the numbers are always whole.
const SHOWN: usize = 50;
const USUAL: [State; 6] = [State::InSync, State::Behind, State::Ahead, State::Pinned, State::Syncing, State::Unknown];

struct Options {
    trees: Vec<RepoAt>,
    /// As `trees`, or empty.
    upstreams: Vec<RepoAt>,
    look: Look,
    expect: Vec<State>,
    strict: bool,
    parallel: usize,
}

impl Options {
    fn read(with: &With, env: &StepEnv) -> Result<Self, StepError> {
        let (trees, upstreams) = (repos(with, "tree", env), repos(with, "upstream", env));
        for (i, repo) in trees.iter().enumerate() {
            if repo.name.chars().any(|c| c.is_control() || c.is_whitespace()) {
                return Err(StepError::input("the name of a tree holds a blank or a control character", "names are one word"));
            }
            if trees[..i].iter().any(|r| r.name == repo.name) {
                return Err(StepError::input(format!("two trees are called `{}`", repo.name), "give each a name: tree=NAME=PATH"));
            }
        }
        // With one tree every upstream is its own, and the first that answers is compared with.
        if trees.len() > 1
            && let Some(stray) = upstreams.iter().find(|u| !trees.iter().any(|t| t.name == u.name))
        {
            return Err(StepError::input(
                format!("the upstream `{}` belongs to no tree", stray.name),
                "with several trees each upstream is NAME=ADDRESS, with the name of its tree",
            ));
        }
        let look = with.text("level").and_then(|l| l.parse().ok()).unwrap_or_default();
        let expect = with.list("expect").iter().filter(|e| !e.is_empty()).map(|e| {
            let next = || suggest::meant(e, State::NAMES.iter().copied(), format!("states are {}", State::NAMES.join(", ")));
            e.parse().map_err(|()| StepError::input(format!("`expect` is `{}`, which is no state", excerpt(e)), next()))
        });
        let expect = expect.collect::<Result<Vec<State>, _>>()?;
        let parallel = match with.int("parallel").unwrap_or(8) {
            n @ 1..=64 => n as usize,
            n => return Err(StepError::input(format!("`parallel` is {n}"), "give 1 to 64")),
        };
        Ok(Self { trees, upstreams, look, expect, strict: with.flag("strict"), parallel })
    }

    fn upstreams_of(&self, tree: &RepoAt) -> Vec<&RepoAt> {
        self.upstreams.iter().filter(|u| self.trees.len() == 1 || u.name == tree.name).collect()
    }
}

pub fn run(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    let options = Options::read(with, env)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(super::crowd::usual().min(4))
        .enable_all()
        .build()
        .map_err(|e| StepError::failed(format!("no runtime: {e}"), "see whether the process limit is reached (ulimit -u)"))?;
    let mut all = Collector::new();
    let mut found = Vec::new();
    for tree in &options.trees {
        let looked = look::at(tree, &options.upstreams_of(tree), options.look, options.parallel, report, &mut all, &runtime)?;
        tell_one(report, &looked);
        found.push(looked);
        crash::point("verify.looked");
    }
    tell(report, with, &options, &found, all);
    verdict(&options, &found)?;
    crash::point("verify.told");
    report.finish()
}

fn tell_one(report: &Report, found: &Found) {
    let seen = &found.seen;
    for line in found.findings.iter().take(SHOWN) {
        report.say(&format!("{}: {line}", seen.repo));
    }
    if found.findings.len() > SHOWN {
        report.say(&format!("{}: {} more of them", seen.repo, found.findings.len() - SHOWN));
    }
    report.fact(Fact::Mirror(seen.clone()));
}

fn tell(report: &Report, with: &With, options: &Options, found: &[Found], all: Collector) {
    let sum = |f: fn(&Found) -> u64| found.iter().map(f).sum::<u64>().to_string();
    let reading = all.finish();
    let whole = found.iter().all(|f| f.seen.fp.is_some());
    if let (true, Some(fp), Some(md)) = (whole, reading.fp.known(), reading.md.known()) {
        report.output("fp", fp);
        report.output("md", md);
        if let Some(set) = with.text("set") {
            report.fact(Fact::Content { set: set.to_owned(), fp: fp.to_owned(), md: md.to_owned() });
        }
    }
    // The worst of them stands for all.
    let worst = [State::Damaged, State::Partial, State::Unreachable, State::Unknown, State::Syncing, State::Behind, State::Ahead];
    let state = worst.into_iter().find(|w| found.iter().any(|f| f.seen.state == *w)).or(found.first().map(|f| f.seen.state));
    report.output("state", state.map_or("unknown", State::as_str));
    report.output("level", options.look.as_str());
    for (name, f) in [
        ("packages", (|f| f.seen.packages) as fn(&Found) -> u64),
        ("bytes", |f| f.seen.bytes),
        ("missing", |f| f.seen.missing),
        ("short", |f| f.seen.short),
        ("damaged", |f| f.seen.damaged),
        ("extra", |f| f.seen.extra),
        ("behind", |f| f.seen.behind),
    ] {
        report.output(name, &sum(f));
    }
    let lines: Vec<String> = found.iter().map(|f| format!("{}: {}", f.seen.repo, f.seen.detail)).collect();
    report.detail(&lines.join("; "));
    for line in &lines {
        report.summary(line);
    }
}

fn verdict(options: &Options, found: &[Found]) -> Result<(), StepError> {
    let named = |f: &Found| format!("{}: {}", f.seen.repo, f.seen.detail);
    let listed = |bad: &[&Found]| bad.iter().map(|f| named(f)).collect::<Vec<_>>().join("; ");
    let expected = |f: &Found| {
        let state = judge(&f.probe);
        if options.expect.is_empty() { USUAL.contains(&state) } else { options.expect.contains(&state) }
    };
    let broken: Vec<&Found> = found
        .iter()
        .filter(|f| f.seen.state != State::Unreachable && (!whole(&f.probe) || (options.strict && f.seen.extra > 0)))
        // Somebody who expects a broken tree wants to see it broken.
        .filter(|f| !(options.expect.contains(&f.seen.state)))
        .collect();
    if !broken.is_empty() {
        let next = if broken.iter().all(|f| f.probe.moved) {
            "somebody wrote it meanwhile: verify again when that writer has ended"
        } else {
            "sync it again: mirror/sync repairs what is missing or damaged; a snapshot that is damaged must not be served"
        };
        return Err(StepError::failed(listed(&broken), next));
    }
    let silent: Vec<&Found> = found.iter().filter(|f| f.seen.state == State::Unreachable && !expected(f)).collect();
    if !silent.is_empty() {
        return Err(StepError::far_end(listed(&silent), "look at the far end (curl -I shows what it answers), then retry"));
    }
    let other: Vec<&Found> = found.iter().filter(|f| !expected(f)).collect();
    if !other.is_empty() {
        let words: Vec<&str> = options.expect.iter().map(|s| s.as_str()).collect();
        return Err(StepError::failed(
            format!("{} (expected: {})", listed(&other), words.join(", ")),
            "sync it, or say with `expect` what is right here",
        ));
    }
    Ok(())
}
