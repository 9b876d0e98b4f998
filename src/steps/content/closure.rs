//! `content/closure`: every Requires of every package has a provider in the trees. Weak dependencies and `rpmlib()` take no part.
//!
//! Agrees with `dnf repoclosure` over the same repositories, but for three things: packages that dnf hides as modular are judged here too,
//! `(a if b)` is met where there is no `b`, since such a package installs (dnf calls it unresolved), and `(a and b)` is not, since such a
//! package does not (dnf calls it resolved).

use super::{repos, tell};
use crate::base::count;
use crate::domain::closure::{Finding, Findings, World};
use crate::domain::content::{Collector, Reading};
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::report::Report;
use crate::steps::with::With;
use crate::systems::repo::deps;
use crate::wire::excerpt;

/// Lines of failures and unknowns that are printed; the numbers are always whole.
const SHOWN: usize = 100;

pub fn run(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    let (trees, extra) = (repos(with, "tree", env), repos(with, "extra", env));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime =
        runtime.map_err(|e| StepError::failed(format!("no runtime: {e}"), "see whether the process limit is reached (ulimit -u)"))?;
    let mut world = World::default();
    let mut all = Collector::new();
    let mut held = Vec::new();
    for (i, repo) in trees.iter().chain(&extra).enumerate() {
        let checked = i < trees.len();
        report.progress(i as u64, (trees.len() + extra.len()) as u64, "repositories", "reading packages");
        held.push(runtime.block_on(deps::load(&mut world, repo, checked, &|_| true, &mut all))?);
    }
    let wanted = world.wanted_files();
    if !wanted.is_empty() {
        for loaded in &held {
            runtime.block_on(deps::load_files(&mut world, loaded, &wanted))?;
        }
    }
    let total = world.requirements() as u64;
    let findings = world.judge(|done| report.progress(done as u64, total, "requirements", "judging"));
    let reading = all.finish();
    crate::base::crash::point("closure.judged");
    tell(report, with, &reading);
    conclude(report, &world, &reading, &findings)
}

fn conclude(report: &Report, world: &World, reading: &Reading, Findings { unmet, unknown }: &Findings) -> Result<(), StepError> {
    let line = |f: &Finding| format!("{} needs {}", f.package, excerpt(&f.requirement));
    for item in unknown.iter().take(SHOWN) {
        report.say(&format!("unknown: {}", line(item)));
    }
    for item in unmet.iter().take(SHOWN) {
        report.say(&format!("unmet: {}", line(item)));
    }
    if unmet.len().max(unknown.len()) > SHOWN {
        report.say(&format!("only the first {SHOWN} of each are shown"));
    }
    report.output("unmet", &unmet.len().to_string());
    report.output("unknown", &unknown.len().to_string());
    let list = |items: &[Finding]| {
        let more = if items.len() > 3 { format!(", and {} more", items.len() - 3) } else { String::new() };
        format!("{}{more}", items.iter().take(3).map(line).collect::<Vec<_>>().join("; "))
    };
    if !unmet.is_empty() {
        return Err(StepError::failed(
            format!("{} requirements of {} packages have no provider: {}", unmet.len(), reading.packages, list(unmet)),
            "sync the repository that provides them, or give it as `extra`",
        ));
    }
    let mut detail =
        format!("closed: {}, {}", count::s(reading.packages, "package"), count::s(world.requirements() as u64, "different requirement"));
    if !unknown.is_empty() {
        detail.push_str(&format!("; {} unknown: {}", unknown.len(), list(unknown)));
    }
    report.detail(&detail);
    report.summary(&detail);
    report.finish()
}
