//! The pipelines under fire, and what each of them does where nobody is killed.

use std::path::Path;

use super::check::{Beat, Nature};

/// What the pipelines below do where nobody is killed.
pub static NATURES: &[Nature] = &[
    Nature { pipeline: "solo", verdict: "success", must: &["one", "two"] },
    Nature { pipeline: "cells", verdict: "success", must: &["a", "b", "c", "after"] },
    Nature { pipeline: "flaky", verdict: "success", must: &["flaky", "after"] },
    Nature { pipeline: "posted", verdict: "failure", must: &["never"] },
    Nature { pipeline: "good", verdict: "success", must: &["work", "always"] },
    Nature { pipeline: "stray", verdict: "success", must: &["stray"] },
    Nature { pipeline: "gap", verdict: "success", must: &["first", "second"] },
    Nature { pipeline: "hold", verdict: "success", must: &["hold"] },
    Nature { pipeline: "pool", verdict: "success", must: &["one", "two"] },
    Nature { pipeline: "full", verdict: "success", must: &["full"] },
    Nature { pipeline: "late", verdict: "failure", must: &["never"] },
    Nature { pipeline: "push", verdict: "success", must: &[] },
    Nature { pipeline: "gate", verdict: "success", must: &["asked", "agreed"] },
    Nature { pipeline: "promote", verdict: "success", must: &["promoted"] },
    Nature { pipeline: "sync", verdict: "success", must: &["before", "after"] },
    Nature { pipeline: "nest", verdict: "success", must: &["before", "after"] },
    Nature { pipeline: "leaf", verdict: "success", must: &["leaf"] },
    Nature { pipeline: "tick", verdict: "success", must: &["timed"] },
    Nature { pipeline: "tock", verdict: "success", must: &["timed"] },
    Nature { pipeline: "tack", verdict: "success", must: &["timed"] },
];

const SOLO: &str = r#"
stages:
  - name: one
    locks: [press]
    run: exec "$CHAOS" step cell=one ms=50 lock=press:ex
  - name: two
    locks: [{name: press, mode: shared}]
    run: exec "$CHAOS" step cell=two ms=30 lock=press:sh
"#;
const CELLS: &str = r#"
stages:
  - name: cells
    matrix: {k: [a, b, c], max_parallel: 2}
    run: exec "$CHAOS" step cell=$matrix_k ms=40
  - name: after
    run: exec "$CHAOS" step cell=after ms=10
"#;
const FLAKY: &str = r#"
stages:
  - name: flaky
    idempotent: true
    retry: {attempts: 5, delay: 50ms, on: [exit 75, failure, lost]}
    run: exec "$CHAOS" step cell=flaky ms=30 again=1 fail_first=1
  - name: after
    run: exec "$CHAOS" step cell=after ms=10
"#;
const POSTED: &str = r#"
stages:
  - name: work
    run: exec "$CHAOS" step cell=work ms=20 exit=3
post:
  always: [{run: exec "$CHAOS" step cell=always ms=60}]
  failure: [{run: exec "$CHAOS" step cell=failure ms=40}]
"#;
const GOOD: &str = r#"
stages:
  - name: work
    run: |
      # The child exists, and has said nothing yet.
      sleep 0.08
      exec "$CHAOS" step cell=work ms=30
post:
  always: [{run: exec "$CHAOS" step cell=always ms=60}]
"#;
const STRAY: &str = r#"
stages:
  - name: stray
    run: exec "$CHAOS" step cell=stray ms=20 daemon=1 child=0.4
"#;
const GAP: &str = r#"
stages:
  - name: first
    run: exec "$CHAOS" step cell=first ms=10
  - name: second
    locks: [press]
    run: exec "$CHAOS" step cell=second ms=20 lock=press:ex
"#;
const HOLD: &str = r#"
stages:
  - name: hold
    locks: [press]
    run: exec "$CHAOS" step cell=hold ms=350 lock=press:ex
"#;
const POOL: &str = r#"
stages:
  - name: one
    locks: [pool]
    run: exec "$CHAOS" step cell=one ms=60 lock=pool:n2
  - name: two
    locks: [pool]
    run: exec "$CHAOS" step cell=two ms=30 lock=pool:n2
"#;
const FULL: &str = r#"
stages:
  - name: full
    run: exec "$CHAOS" step cell=full ms=700 lines=60
"#;
/// Runs into its limit and ignores TERM: the ladder of cancelling is climbed to its end.
const LATE: &str = r#"
options: {grace: 50ms, keep: {runs: 100000}}
stages:
  - name: late
    timeout: 200ms
    run: |
      trap '' TERM
      exec "$CHAOS" step cell=late ms=60000
"#;
const SYNC: &str = r#"
stages:
  - name: before
    run: exec "$CHAOS" step cell=before ms=5
  - name: publish
    writes: [core]
    uses: mirror/sync
    with: {url: "@URL@", dest: "@TREE@", settle: 100ms}
  - name: after
    reads: [core]
    run: exec "$CHAOS" step cell=after ms=5
"#;

/// The same step by way of a shell, which can name a crash point to it.
const PUSH: &str = r#"
stages:
  - name: push
    writes: [core]
    run: |
      export QD_CRASH_AT="$point" QD_CRASH_ONCE="$once" QD_CRASH_SIGNAL="$hold"
      exec "$QUARTERDECK" step mirror/sync --with url="@URL@" --with dest="@TREE@" --with settle=0s
"#;

/// Waits for a person in the middle; the harness is that person, in no hurry.
const GATE: &str = r#"
stages:
  - name: asked
    run: exec "$CHAOS" step cell=asked ms=10
  - name: consent
    approve: {roles: [admin], expires: 1h}
  - name: agreed
    locks: [press]
    run: exec "$CHAOS" step cell=agreed ms=20 lock=press:ex
"#;

/// A tree of its own moves, is kept as a snapshot, and the pointer `stable` is led there; one at a time, as the shipped pipeline says it.
const PROMOTE: &str = r#"
options: {keep: {runs: 100000}, concurrency: {group: stable, limit: 1, on_conflict: queue}}
stages:
  - name: fetch
    run: exec "$QUARTERDECK" step mirror/sync --with url="@URL@" --with dest="@ROOT@/latest" --with settle=0s
  - name: take
    idempotent: true
    run: |
      export QD_CRASH_AT="$point" QD_CRASH_ONCE="$once" QD_CRASH_SIGNAL="$hold"
      exec "$QUARTERDECK" step mirror/snapshot --with tree="core=@ROOT@/latest" --with root="@ROOT@"
  - name: lead
    idempotent: true
    uninterruptible: true
    run: |
      export QD_CRASH_AT="$point" QD_CRASH_ONCE="$once" QD_CRASH_SIGNAL="$hold"
      exec "$QUARTERDECK" step mirror/switch --with root="@ROOT@" --with name=stable --with to="$QD_OUT_TAKE_ID"
  - name: after
    run: exec "$CHAOS" step cell=promoted ms=5
"#;

/// Its middle stages are runs of `leaf`: one under a lock that only this file knows, two beside each other, one that is not waited for.
const NEST: &str = r#"
stages:
  - name: before
    run: exec "$CHAOS" step cell=before ms=10
  - name: one
    locks: [shelf]
    build: {pipeline: leaf, parameters: {origin: "${run.id}/one", shelf: "shelf:ex"}}
  - name: both
    matrix: {k: [a, b]}
    build: {pipeline: leaf, parameters: {origin: "${run.id}/both/${matrix.k}"}}
  - name: loose
    build: {pipeline: leaf, parameters: {origin: "${run.id}/loose"}, wait: false}
  - name: after
    run: exec "$CHAOS" step cell=after ms=10
"#;
const LEAF: &str = r#"
stages:
  - name: leaf
    run: exec "$CHAOS" step cell=leaf ms=40 lock="$shelf"
"#;

/// Nobody asks for it but the clock.
const TIMED_BODY: &str = r#"
stages:
  - name: timed
    run: exec "$CHAOS" step cell=timed ms=5 lines=1
"#;

/// Pipelines that the clock fires, and what becomes there of starts that were missed.
pub const TIMED: &[(&str, &str)] =
    &[("tick", "{policy: skip}"), ("tock", "{policy: once, within: 10m}"), ("tack", "{policy: all, within: 10m, max: 3}")];

/// The shortest interval that there is; as many triggers share it as make one start every other second.
const EVERY_S: i64 = 60;
const APART_S: i64 = 2;

fn timed(second: i64) -> &'static str {
    ["tick", "tock", "tick", "tack"][(second / APART_S % 4) as usize]
}

fn seconds() -> impl Iterator<Item = i64> {
    (0..EVERY_S / APART_S).map(|n| n * APART_S)
}

/// What the triggers of an estate are due by.
pub fn beats() -> Vec<Beat> {
    let beat = |s| Beat { pipeline: timed(s), every_us: EVERY_S * 1_000_000, phase_us: s * 1_000_000 };
    seconds().map(beat).collect()
}

fn triggers(name: &str) -> String {
    let Some((_, policy)) = TIMED.iter().find(|(n, _)| *n == name) else { return String::new() };
    let one = |s| format!("  - every: {EVERY_S}s\n    anchor: 2026-01-05 00:00:{s:02}\n    timezone: UTC\n    catch_up: {policy}\n");
    format!("triggers:\n{}", seconds().filter(|s| timed(*s) == name).map(one).collect::<String>())
}

pub const PIPELINES: &[(&str, &str)] = &[
    ("solo", SOLO),
    ("cells", CELLS),
    ("flaky", FLAKY),
    ("posted", POSTED),
    ("good", GOOD),
    ("stray", STRAY),
    ("gap", GAP),
    ("hold", HOLD),
    ("pool", POOL),
    ("full", FULL),
    ("late", LATE),
    ("sync", SYNC),
    ("push", PUSH),
    ("promote", PROMOTE),
    ("gate", GATE),
    ("nest", NEST),
    ("leaf", LEAF),
    ("tick", TIMED_BODY),
    ("tock", TIMED_BODY),
    ("tack", TIMED_BODY),
];

/// The whole file of one pipeline. `token` makes every run's plan its own; `point`, `once` and `hold` plant a crash in a step.
pub fn text(name: &str, body: &str, exe: &str, chaos: &Path, journal: &Path, url: &str, tree: &Path) -> String {
    let parameters: String =
        ["token", "point", "once", "hold"].iter().map(|p| format!("  {p}: {{type: string, default: none}}\n")).collect();
    let parameters = match name {
        "leaf" => format!("{parameters}  origin: {{type: string, default: \"\"}}\n  shelf: {{type: string, default: \"\"}}\n"),
        _ => parameters,
    };
    let env = format!("  QUARTERDECK: {exe}\n  CHAOS: {}\n  CHAOS_JOURNAL: {}\n", chaos.display(), journal.display());
    let body = body.replace("@URL@", url).replace("@TREE@", &tree.to_string_lossy());
    let body = body.replace("@ROOT@", &tree.with_file_name("promoted").to_string_lossy());
    // Retention must not take away what is to be checked at the end.
    let keep = if body.contains("options:") { "" } else { "options: {keep: {runs: 100000}}\n" };
    let triggers = triggers(name);
    format!("format: 1\nname: {name}\n{triggers}parameters:\n{parameters}env:\n{env}{keep}{body}")
}
