//! `mirror/sync` from its words to its end: takes the tree, lets the cycle run, and tells what it brought.

use std::sync::Arc;

use super::options::Options;
use super::{Outcome, Sync, attempt, root};
use crate::base::size::short;
use crate::base::{count, duration};
use crate::domain::report::Fact;
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::report::Report;
use crate::steps::with::With;
use crate::systems::repo::{Tree, owner};
use crate::wire::http::Client;

/// Entry of the registry.
pub fn run(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    let options = Options::read(with, env)?;
    let started = env.clock.boot_us();
    root::inside_snapshot(&options.dest)?;
    let tree = Tree::create(&options.dest)?;
    let _lease = owner::take(&tree, &root::me(env))?;
    let client = Client::new(options.patience, options.credentials.clone(), options.parallel)
        .map_err(|e| StepError::failed(e.to_string(), "this is a fault of the machine's TLS set-up; quarterdeck doctor may say more"))?;
    let sync = Arc::new(Sync { tree, client, options, report: report.clone() });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4)))
        .enable_all()
        .build()
        .map_err(|e| StepError::failed(format!("no runtime: {e}"), "see whether the process limit is reached (ulimit -u)"))?;
    let outcome = runtime.block_on(attempt::sync(&sync))?;
    drop(runtime);
    tell(&sync, &outcome, duration::short(env.clock.boot_us().saturating_sub(started) / 1_000));
    report.finish()
}

fn tell(sync: &Sync, outcome: &Outcome, took: String) {
    let (report, state) = (&sync.report, &outcome.state);
    report.fact(Fact::Content { set: sync.options.set.clone(), fp: state.fp.clone(), md: state.md.clone() });
    report.output("fp", &state.fp);
    report.output("md", &state.md);
    report.output("packages", &state.packages.len().to_string());
    report.output("bytes", &state.bytes().to_string());
    report.output("downloaded", &outcome.downloaded.to_string());
    let name = &sync.options.repo;
    if outcome.unchanged {
        report.detail("no-change");
        report.summary(&format!(
            "{name}: no-change, {} ({}), md {}, {took}",
            count::s(state.packages.len() as u64, "package"),
            short(state.bytes()),
            &state.md[..12]
        ));
        return;
    }
    let change = format!(
        "{} ({}): {} new, {} gone, {} downloaded ({})",
        count::s(state.packages.len() as u64, "package"),
        short(state.bytes()),
        outcome.new,
        outcome.gone,
        outcome.downloaded,
        short(outcome.downloaded_bytes)
    );
    report.detail(&change);
    report.summary(&format!("{name}: {change} from {}, md {}, {took}", outcome.from, &state.md[..12]));
}
