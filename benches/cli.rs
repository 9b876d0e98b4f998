//! What a command costs by itself: `quarterdeck get runs` against an engine with history, beside starting a process at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/mod.rs"]
mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::process::{Command, Stdio};

use common::{Samples, ms, size};
use support::home::Home;

const US: &str = "quarterdeck";

fn main() {
    let mut samples = Samples::new("cli");
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n[runner]\nexecutors = 2\n");
    home.pipeline("one", "format: 1\nname: one\nstages:\n  - name: only\n    run: 'true'\n");
    let history = size(50, 3);
    for _ in 0..history {
        home.qd(["run", "one"]).expect(0);
    }
    support::wait::until("the runs to end", || home.json(&["get", "runs", "--filter", "state!=done"])["rows"] == serde_json::json!([]));
    for _ in 0..size(100, 3) {
        for (metric, args) in
            [("get runs", &["get", "runs"][..]), ("get runs --json", &["--json", "get", "runs"]), ("--version", &["--version"])]
        {
            let mut command = home.command(args);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
            let (took, out) = ms(|| command.output().expect("the client runs"));
            assert!(out.status.success() && !out.stdout.is_empty());
            samples.add(US, env!("CARGO_PKG_VERSION"), metric, "ms", took);
        }
        let (took, ok) = ms(|| Command::new("true").stdin(Stdio::null()).stdout(Stdio::null()).status().is_ok_and(|s| s.success()));
        assert!(ok);
        samples.add("true", "", "a process that does nothing", "ms", took);
    }
    println!("  get runs: p50 {:.2} ms   (budget: below 15)", samples.median(US, "get runs"));
    samples.finish();
}
