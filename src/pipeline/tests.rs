//! Tests of the room as a whole: the five worked files, the shipped ones, freezing.

mod builds;
mod hostile;
mod json_schema;

use indexmap::IndexMap;
use proptest::prelude::*;

use super::catalog::{Catalog, Field, FieldType, Repo, StepKind, Touches};
use super::plan::{Action, LockMode, PostWhen, StageKind};
use super::*;

const fn field(name: &'static str, ty: FieldType, required: bool) -> Field {
    Field { name, ty, required, doc: "a field" }
}

const fn kind(kind: &'static str, with: &'static [Field]) -> StepKind {
    StepKind { kind, doc: "a kind", with, touches: Touches::Local }
}

const KINDS: &[StepKind] = &[
    kind(
        "mirror/sync",
        &[
            field("url", FieldType::List, true),
            field("dest", FieldType::Path, true),
            field("set", FieldType::Text, false),
            field("parallel", FieldType::Int, false),
            field("shrink", FieldType::Text, false),
            field("stall", FieldType::Duration, false),
            field("credentials", FieldType::Text, false),
        ],
    ),
    kind(
        "content/closure",
        &[
            field("tree", FieldType::List, true),
            field("set", FieldType::Text, false),
            field("level", FieldType::Word(&["metadata", "presence", "checksums"]), false),
        ],
    ),
    kind("content/unpack", &[field("tree", FieldType::List, true), field("set", FieldType::Text, false)]),
    kind(
        "git/checkout",
        &[field("url", FieldType::Text, true), field("ref", FieldType::Text, false), field("dest", FieldType::Inside, false)],
    ),
];

/// A site with everything that the worked files name; kinds as the steps room will have them.
pub fn catalog() -> Catalog {
    let repo = |name: &str| {
        (
            name.to_owned(),
            Repo {
                upstream: vec![format!("http://up/{name}"), format!("http://up2/{name}")],
                tree: format!("/srv/{name}"),
                writer: "quarterdeck".into(),
                replicas: vec![],
            },
        )
    };
    Catalog {
        kinds: KINDS.to_vec(),
        later_kinds: vec![("koji/build", "build queues"), ("salt/apply", "salt")],
        secrets: vec!["koji-cert".into(), "matrix-webhook".into(), "signing-token".into()],
        locks: [("mirror".to_owned(), 1), ("kvm".to_owned(), 1), ("loopdev".to_owned(), 4)].into_iter().collect(),
        sets: [("el9-latest".to_owned(), vec!["baseos".into(), "appstream".into()])].into_iter().collect(),
        repos: [repo("baseos"), repo("appstream")].into_iter().collect(),
        pipelines: ["nightly-repo-updates", "rpmcanary"].map(str::to_owned).into_iter().chain(OTHERS.map(|(n, _)| n.to_owned())).collect(),
        outlines: OTHERS.iter().filter_map(|(n, text)| Some(((*n).to_owned(), outline(&others(n, text))?))).collect(),
        notifiers: [notifier("matrix", &["matrix-webhook"]), notifier("mail", &[])].into_iter().collect(),
        roles: ["operator", "release-manager", "admin"].map(str::to_owned).to_vec(),
        time_zone: "UTC".into(),
        calendars: [("workdays".to_owned(), Ok(workdays()))].into_iter().collect(),
        ..Catalog::default()
    }
}

fn notifier(name: &str, secrets: &[&str]) -> (String, super::catalog::Notifier) {
    let command = vec![format!("/opt/tell {name}"), "--now".to_owned()];
    (name.to_owned(), super::catalog::Notifier { command, secrets: secrets.iter().map(|s| (*s).to_owned()).collect() })
}

/// Pipelines that files of tests build: name, and what stands below it.
const OTHERS: [(&str, &str); 9] = [
    ("asks", "parameters: {size: {type: int}, count: {type: int, default: 1}, who: {type: string, default: a}}"),
    ("back", "stages: [{name: a, build: between}]"),
    ("between", "stages: [{name: a, build: again}]"),
    ("deep1", "stages: [{name: a, build: deep2}]"),
    ("deep2", "stages: [{name: a, build: deep3}]"),
    ("deep3", "stages: [{name: a, build: deep4}]"),
    ("deep4", "stages: [{name: a, build: locked}]"),
    ("grouped", "options: {concurrency: {group: ci}}"),
    ("locked", "stages: [{name: sync, danger: L2, locks: [mirror], writes: [el9-latest], run: echo}]"),
];

fn others(name: &str, more: &str) -> String {
    let stages = if more.contains("stages:") { "" } else { "\nstages: [{name: a, run: echo}]" };
    format!("format: 1\nname: {name}\n{more}{stages}\n")
}

fn workdays() -> calendar::Calendar {
    let days = [true, true, true, true, true, false, false];
    let window = calendar::Rule { span: calendar::Span::Weekly { days, from: 0, to: 1_440 }, reason: String::new() };
    calendar::Calendar {
        name: "workdays".into(),
        zone: "UTC".into(),
        owner: "ops".into(),
        reason: "somebody is here".into(),
        windows: vec![window],
        freezes: Vec::new(),
    }
}

#[test]
fn what_only_time_decides_about_calendars_is_judged_only_where_a_moment_is_given() {
    let text = |cron: &str| {
        format!("format: 1\nname: p\ntriggers:\n  - cron: {cron}\n    calendar: workdays\nstages:\n  - name: a\n    run: echo\n")
    };
    let now: jiff::Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    let found = |cron: &str, catalog: &Catalog| short(&load(&text(cron), "p.yml", catalog).1);
    let judged = Catalog { now: Some(now), ..catalog() };
    assert_eq!(found("0 6 * * *", &judged), Vec::<String>::new());
    assert!(
        found("0 6 * * 0,6", &judged)[0].contains("schedule.calendar every start of this trigger falls"),
        "{:?}",
        found("0 6 * * 0,6", &judged)
    );
    assert_eq!(found("0 6 * * 0,6", &catalog()), Vec::<String>::new());
    let ever = calendar::Span::Weekly { days: [true; 7], from: 0, to: 1_440 };
    let shut = calendar::Calendar { freezes: vec![calendar::Rule { span: ever, reason: String::new() }], ..workdays() };
    let with = |c| Catalog { calendars: [("workdays".to_owned(), c)].into_iter().collect(), ..judged.clone() };
    assert!(found("0 6 * * *", &with(Ok(shut)))[0].contains("never opens again"));
    assert!(found("0 6 * * *", &with(Err("c.toml:1:1: bad".into())))[0].contains("cannot be read: c.toml:1:1"));
}

pub fn short(diags: &[Diagnostic]) -> Vec<String> {
    diags.iter().map(|d| format!("{}:{} {} {} | {}", d.line, d.column, d.code, d.message, d.help)).collect()
}

fn good(text: &str) -> File {
    let (file, found) = load(text, "p.yml", &catalog());
    assert!(found.is_empty(), "{:#?}", short(&found));
    file.unwrap()
}

const WORKED: &str = include_str!("../../tests/fixtures/pipelines/worked.yml");

#[test]
fn the_five_worked_files_say_what_this_version_lacks_and_nothing_else() {
    let docs: Vec<&str> = WORKED.split("\n---\n").collect();
    assert_eq!(docs.len(), 5);
    let all: Vec<String> = docs.iter().flat_map(|d| short(&load(d, "w.yml", &catalog()).1).into_iter().chain(["--".into()])).collect();
    insta::assert_snapshot!(all.join("\n"));
}

const NIGHTLY: &str = include_str!("../../pipelines/nightly-repo-updates.yml");
const CANARY: &str = include_str!("../../pipelines/rpmcanary.yml");

fn given(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

const WITH_GIT: FreezeCtx<'static> = FreezeCtx { have: &|p| p == "git", ..FreezeCtx::NOTHING };

#[test]
fn the_shipped_pipelines_are_clean_and_freeze() {
    let nightly = good(NIGHTLY);
    good(CANARY);
    let plan = freeze(&nightly, &catalog(), &given(&[("scm_url", "/srv/git/scm")]), &WITH_GIT).unwrap();
    let names: Vec<(&str, Option<&str>)> = plan.stages.iter().map(|s| (s.name.as_str(), s.when.as_deref())).collect();
    assert_eq!(names, [("Checkout SCM", None), ("HW Info", None), ("Update core-latest repos", None), ("Post Actions", None)]);
    let update = &plan.stages[2];
    assert_eq!(update.cells.iter().map(|c| c.key.as_str()).collect::<Vec<_>>(), ["repo=baseos", "repo=appstream"]);
    let Action::Native { kind, with } = &update.cells[1].steps[0].action else { panic!() };
    assert_eq!(kind, "mirror/sync");
    assert_eq!(
        serde_json::to_string(with).unwrap(),
        r#"{"url":["http://up/appstream","http://up2/appstream"],"dest":"/srv/appstream","shrink":"20"}"#
    );
    assert_eq!((update.locks[0].name.as_str(), update.locks[0].mode), ("content:el9-latest", LockMode::Exclusive));
    assert_eq!(plan.writes, ["el9-latest"]);
    assert_eq!(plan.stages[3].kind, StageKind::Post { when: PostWhen::Always, of: None });
    // Without git, or without an address, the checkout is skipped and the rest goes on.
    let plan = freeze(&nightly, &catalog(), &given(&[]), &WITH_GIT).unwrap();
    assert_eq!(plan.stages[0].when.as_deref(), Some("false"));
}

/// Every file of `tests/fixtures/pipelines/bad` beside its `.expect`: one line a finding, `LINE:COLUMN severity code | message | help`.
/// `QD_BLESS=1` rewrites them; read the difference before committing it.
#[test]
fn each_bad_file_is_told_its_slips_at_their_places() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pipelines/bad");
    let mut names: Vec<_> =
        std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "yml")).collect();
    names.sort();
    assert!(names.len() > 80, "{}", names.len());
    let mut wrong = Vec::new();
    for path in names {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (file, found) = load(&text, &name, &catalog());
        let errors = found.iter().any(Diagnostic::is_error);
        assert_eq!(file.is_none(), errors, "{name}: a file is typed exactly when it has no error");
        assert!(!found.is_empty(), "{name}: nothing was found");
        let lines: String =
            found.iter().map(|d| format!("{}:{} {} {} | {} | {}\n", d.line, d.column, d.severity, d.code, d.message, d.help)).collect();
        for d in &found {
            let shown = render(d, &text);
            assert!(shown.contains(&d.message) && !shown.contains('\u{1b}'), "{name}: {shown}");
        }
        let expect = path.with_extension("expect");
        if std::env::var_os("QD_BLESS").is_some() {
            std::fs::write(&expect, &lines).unwrap();
        } else if std::fs::read_to_string(&expect).unwrap_or_default() != lines {
            wrong.push(format!("{name}:\n{lines}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn faults(file: &str, pairs: &[(&str, &str)], ctx: &FreezeCtx<'_>) -> Vec<String> {
    short(&freeze(&good(file), &catalog(), &given(pairs), ctx).unwrap_err())
}

#[test]
fn parameters_are_typed_and_every_fault_is_told_at_once() {
    let file = "format: 1
name: x
parameters:
  ver: {type: choice, choices: [el8, el9, el10]}
  dry_run: {type: bool, default: false}
  count: {type: int, min: 1, max: 9, default: 3}
  ticket: {type: string, pattern: '^CHG[0-9]{7}$', default: CHG0000001}
  of: {type: run, of: nightly-repo-updates, result: success, default: latest}
stages: [{name: a, run: echo}]
";
    let none = FreezeCtx::NOTHING;
    assert_eq!(
        faults(file, &[("vers", "el9"), ("dry_run", "yes"), ("count", "010"), ("ticket", "x; rm -rf /"), ("of", "rpmcanary#3")], &none),
        [
            "0:0 param.unknown there is no parameter `vers` | did you mean `ver`?",
            "4:3 param.missing parameter `ver` needs a value: one of el8, el9, el10 | give it: -p ver=VALUE",
            "5:3 param.value parameter `dry_run`: `yes` is not allowed, it must be true or false | did you mean `true`?",
            "6:3 param.value parameter `count`: `010` is not allowed, it must be a whole number from 1 to 9 | ",
            "7:3 param.value parameter `ticket`: `x; rm -rf /` is not allowed, it must be a text that matches ^CHG[0-9]{7}$ | ",
            "8:3 param.value parameter `of`: `rpmcanary#3` is not allowed, it must be a successful run such as nightly-repo-updates#12, or `latest` | ",
        ]
    );
    assert!(faults(file, &[("ver", "el9")], &none)[0].contains("no run of `nightly-repo-updates` is known here"));
    let found = FreezeCtx {
        have: none.have,
        find_run: &|q| Ok(crate::domain::run::RunRef::new(q.pipeline.clone(), q.number.unwrap_or(165))),
        ..none
    };
    let plan = freeze(&good(file), &catalog(), &given(&[("ver", "el9")]), &found).unwrap();
    let values: Vec<(&str, &str)> = plan.parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        values,
        [("ver", "el9"), ("dry_run", "false"), ("count", "3"), ("ticket", "CHG0000001"), ("of", "nightly-repo-updates#165")]
    );
}

const RICH: &str = "format: 1
name: rich
parameters:
  dry_run: {type: bool, default: false}
  title: {type: string, default: hello}
run_name: '${params.title} of ${run.id}'
env: {TITLE: '${params.title}', PLAIN: 'a $HOME ${run.pipeline}'}
secrets: [koji-cert, {name: signing-token}]
options: {concurrency: {group: g, limit: 2, on_conflict: cancel-older}, timeout: 3h, keep: {runs: 5}, log: {max: 1MiB, on_limit: kill}, grace: 3s, interpreter: bash -e}
stages:
  - name: prepare
    run: echo \"n=1\" >> $QD_REPORT
  - name: left
    needs: [prepare]
    when: not params.dry_run and matrix.os != \"el7\" and stages.prepare.verdict == \"success\"
    matrix:
      os: [el7, el8, el9]
      arch: [x86_64, aarch64]
      exclude: [{os: el8, arch: aarch64}]
      include: [{os: el10, arch: riscv64}]
      max_parallel: 2
      fail_fast: true
    locks: [{name: loopdev, mode: shared, slots: 2}, mirror]
    reads: el9-latest
    idempotent: true
    on_lost: retry
    retry: {attempts: 3, delay: 5s, backoff: 2}
    env: {CELL: '${matrix.os}/${params.title}', LATE: '${stages.prepare.outputs.n}'}
    secrets: [{name: koji-cert, env: true}]
    steps:
      - name: one
        run: make \"$matrix_os\"
        secrets: [koji-cert, signing-token]
        artifacts: [out/*.rpm]
        timeout: 5m
      - name: two
        uses: mirror/sync
        with: {url: ['${repos.baseos.upstream}', 'http://x/${matrix.os}'], dest: '/d/${stages.prepare.outputs.n}/${matrix.arch}'}
    post: {always: [{run: echo bye}]}
  - name: right
    needs: [prepare]
    danger: L2
    uninterruptible: true
    run: echo
  - name: join
    needs: [left, right]
    when: always
    run: echo
post: {failure: [{name: tell, run: echo bad}], fixed: [{run: echo good}]}
";

fn rich() -> String {
    RICH.to_owned()
}

#[test]
fn a_rich_file_freezes_to_this_plan() {
    let plan = freeze(&good(&rich()), &catalog(), &given(&[("title", "${run.number} $")]), &WITH_GIT).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&plan).unwrap());
    let back: super::plan::Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(back, plan);
    // What a value holds is never read as a path again.
    let facts = expr::Facts { run: Some(crate::domain::run::RunRef::new("rich", 7)), ..expr::Facts::default() };
    assert_eq!(expr::fill(&plan.run_name, &facts).unwrap(), "${run.number} $ of rich#7");
    assert_eq!(expr::fill(&plan.env["TITLE"], &facts).unwrap(), "${run.number} $");
    assert_eq!(expr::fill(&plan.env["PLAIN"], &facts).unwrap(), "a $HOME rich");
}

#[test]
fn pictures_and_descriptions() {
    let (file, now) = (good(&rich()), "2026-03-28T20:00:00Z".parse().unwrap());
    let plan = freeze(&file, &catalog(), &given(&[]), &WITH_GIT).unwrap();
    let nightly = good(NIGHTLY);
    let nightly_plan = freeze(&nightly, &catalog(), &given(&[]), &WITH_GIT).unwrap();
    insta::assert_snapshot!(
        [
            graph::ascii(&graph::of_file(&file)),
            graph::ascii(&graph::of_file(&nightly)),
            graph::dot(&graph::of_file(&file)),
            describe::text(&plan, &file, &catalog(), now),
            describe::text(&nightly_plan, &nightly, &catalog(), now),
        ]
        .join("\n----\n")
    );
}

#[test]
fn commands_answer_with_text_json_and_exit_code() {
    let source = |name: &str, text: &str| cmd::Source { name: name.into(), bytes: Ok(text.as_bytes().to_vec()), must: None };
    let style = cmd::Style::default();
    let clean = cmd::lint(&[source("n.yml", NIGHTLY)], &catalog(), style);
    assert_eq!((clean.code, clean.text.as_str()), (0, "1 file: 0 errors, 0 warnings\n"));
    assert_eq!(clean.json.to_string(), r#"{"diagnostics":[]}"#);
    let twice = cmd::lint(&[source("n.yml", NIGHTLY), source("m.yml", NIGHTLY)], &catalog(), style);
    assert_eq!((twice.code, twice.json["diagnostics"][0]["code"].as_str()), (1, Some("file.name")));
    let broken = cmd::lint(&[source("b.yml", "format: 1\nnam: x\n")], &catalog(), style);
    assert_eq!(broken.code, 1);
    let keys: Vec<&String> = broken.json["diagnostics"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["file", "line", "column", "severity", "code", "message", "help"]);
    let absent = cmd::lint(
        &[cmd::Source {
            name: "gone.yml".into(),
            bytes: Err(cmd::Unread {
                message: "cannot read the file: No such file or directory".into(),
                help: "check path and permissions".into(),
            }),
            must: None,
        }],
        &catalog(),
        style,
    );
    assert_eq!(absent.code, 2);
    assert!(absent.text.contains("cannot read the file: No such file or directory"), "{}", absent.text);
    let latin = cmd::Source { name: "l.yml".into(), bytes: Ok(b"format: 1\nname: x\xff\n".to_vec()), must: None };
    let latin = cmd::lint(&[latin], &catalog(), style);
    assert_eq!(
        (latin.code, latin.json["diagnostics"][0]["line"].as_u64(), latin.json["diagnostics"][0]["column"].as_u64()),
        (2, Some(2), Some(8))
    );
    let other = cmd::lint(&[cmd::Source { must: Some("other".into()), ..source("other.yml", NIGHTLY) }], &catalog(), style);
    assert!(other.code == 1 && other.text.contains("other.yml:3:7") && other.text.contains("calls itself"), "{}", other.text);
    let now = "2026-11-25T00:00:00Z".parse().unwrap();
    let bad = cmd::plan(&source("n.yml", NIGHTLY), &catalog(), &given(&[("shrnk", "1")]), &WITH_GIT, now, style);
    assert_eq!(bad.code, 2);
    assert!(bad.text.contains("did you mean `shrink`?"), "{}", bad.text);
    let plan = cmd::plan(&source("n.yml", NIGHTLY), &catalog(), &given(&[]), &WITH_GIT, now, style);
    assert_eq!((plan.code, plan.json["next"][0]["at"].as_str()), (0, Some("2026-11-25T01:29:00.000Z")));
    let drawn = format!("format: 1\nname: d\ndescription: |\n  a\u{1b}[2Jb\n  \u{202e}c\n{}", "stages: [{name: a, run: echo}]\n");
    let drawn = cmd::list(&[source("d.yml", &drawn)], &catalog(), now).text;
    assert!(drawn.lines().count() == 2 && !drawn.contains(['\u{1b}', '\u{202e}']), "{drawn:?}");
    let list = cmd::list(&[source("n.yml", NIGHTLY), source("b.yml", "x")], &catalog(), now);
    assert_eq!(
        (list.code, list.json["pipelines"][0]["pipeline"].as_str(), list.json["pipelines"][1]["errors"].as_u64()),
        (1, Some("nightly-repo-updates"), Some(1))
    );
    for (slip, help) in [
        ("timout", "did you mean `timeout`?"),
        ("stages.aprove", "did you mean `stages.approve`?"),
        ("xyzzy", "quarterdeck pipeline explain lists them"),
    ] {
        let unknown = cmd::explain(Some(slip), &catalog()).unwrap_err();
        assert_eq!((unknown.message, unknown.help.as_str()), (format!("no key, section or step kind `{slip}`"), help));
    }
    for path in ["stage.timeout", "stages.timeout"] {
        assert!(cmd::explain(Some(path), &catalog()).unwrap().text.contains("Wall time of the stage"), "{path}");
    }
    assert!(cmd::explain(Some("options.keep.runs"), &catalog()).unwrap().text.contains("newest"));
    assert!(cmd::explain(Some("mirror/sync"), &catalog()).unwrap().text.contains("dest"));
    assert!(cmd::explain(None, &catalog()).unwrap().text.contains("post_step"));
    assert!(cmd::explain(Some("approve"), &catalog()).unwrap().text.contains("holds no executor and no lock"));
}

#[test]
fn a_shell_s_complaint_lands_on_its_line() {
    let text = "format: 1\nname: x\nstages:\n  - name: a\n    run: |\n      echo a\n      if true; then\n  - name: b\n    interpreter: python3\n    run: if\n";
    let check = |s: &lint::shell::Script| {
        assert!(s.text.starts_with("echo a"), "only shells are asked");
        vec![lint::shell::Fault { line: 2, message: "unexpected end of file".into() }]
    };
    let (file, found) = load_with(text, "p.yml", &catalog(), Some(&check));
    assert!(file.is_none());
    assert_eq!(
        short(&found)[0],
        "7:7 shell.syntax the shell cannot read this: unexpected end of file | repair the script; quotes, `fi`, `done` and `)` are the usual ones"
    );
}

#[test]
fn a_script_that_files_have_in_common_is_one_question_to_the_shell() {
    let asked = std::cell::Cell::new(0);
    let check = lint::shell::once(|s: &lint::shell::Script| {
        asked.set(asked.get() + 1);
        let line = s.text.lines().count();
        if s.text.contains("if") { vec![lint::shell::Fault { line, message: "unexpected end of file".into() }] } else { Vec::new() }
    });
    let text = |n: usize| format!("format: 1\nname: p{n}\nstages:\n  - name: a\n    run: echo\n  - name: b\n    run: if true\n");
    for n in 0..50 {
        let (file, found) = load_with(&text(n), "p.yml", &catalog(), Some(&check));
        assert!(file.is_none() && short(&found)[0].starts_with("7:10 shell.syntax"), "{found:?}");
    }
    assert_eq!(asked.get(), 2);
    // Another shell is another question.
    let bash = text(0).replace("    run: echo", "    interpreter: bash\n    run: echo");
    load_with(&bash, "p.yml", &catalog(), Some(&check));
    assert_eq!(asked.get(), 3);
}

/// A key that the schema accepts and the model never reads would be ignored in silence.
#[test]
fn every_key_of_the_registry_is_read() {
    let builder = [
        include_str!("model/build.rs"),
        include_str!("model/trigger.rs"),
        include_str!("model/parameter.rs"),
        include_str!("model/stage.rs"),
        include_str!("model/step.rs"),
        include_str!("model/approve.rs"),
        include_str!("model/child.rs"),
    ]
    .concat();
    let unread: Vec<String> = schema::contexts()
        .iter()
        .flat_map(|c| c.here().map(move |k| (c.name, k.name)))
        .filter(|(_, key)| !builder.contains(&format!("\"{key}\"")))
        .map(|(c, k)| format!("{c}.{k}"))
        .collect();
    // `format` has one value, and sha256 is recorded of every artifact, and proved of every input, whether it is asked for or not.
    assert_eq!(unread, ["pipeline.format", "input.verify", "artifact.fingerprint"]);
}

#[test]
fn carets_stand_where_the_slip_is() {
    let shown: Vec<String> =
        ["duplicate-key", "tab", "timout", "dotted-in-run", "needs-cycle", "unknown-secret", "unclosed-bracket", "unicode"]
            .iter()
            .map(|name| {
                let text =
                    std::fs::read_to_string(format!("{}/tests/fixtures/pipelines/bad/{name}.yml", env!("CARGO_MANIFEST_DIR"))).unwrap();
                let (_, found) = load(&text, &format!("{name}.yml"), &catalog());
                found.iter().map(|d| render(d, &text)).collect::<Vec<_>>().join("\n")
            })
            .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (file, found) = load_bytes(&bytes, "p.yml", &catalog(), None);
        prop_assert!(file.is_some() || !found.is_empty());
    }

    #[test]
    fn no_text_of_yaml_s_own_signs_makes_it_panic(text in "[-:>|&*!{}\\[\\]?,#%@`'\"a-c \t\n${}.]{0,80}") {
        let _ = load(&text, "p.yml", &catalog());
    }

    /// A real file with one piece cut out, doubled or replaced: it is read or told, and what is told can be shown.
    #[test]
    fn a_damaged_file_is_read_or_told(cut in 0usize..2_400, len in 0usize..40, with in "[-:>|&*!{}\\[\\]'\"a-z \t\n]{0,6}") {
        let mut text: Vec<char> = rich().chars().collect();
        let (a, b) = (cut.min(text.len()), (cut + len).min(text.len()));
        text.splice(a..b, with.chars());
        let text: String = text.into_iter().collect();
        let (file, found) = load(&text, "p.yml", &catalog());
        prop_assert_eq!(file.is_none(), found.iter().any(Diagnostic::is_error));
        for d in &found {
            prop_assert!(d.line as usize <= text.lines().count() + 1);
            prop_assert!(!render(d, &text).is_empty());
        }
        if let Some(file) = file {
            let once = freeze(&file, &catalog(), &IndexMap::new(), &WITH_GIT);
            prop_assert_eq!(once, freeze(&file, &catalog(), &IndexMap::new(), &WITH_GIT));
        }
    }

    /// No value of a text parameter changes anything but that text.
    #[test]
    fn a_parameter_stays_a_text(value in "\\PC{0,30}|[$\\{\\}a-z.]{0,30}") {
        let plan = freeze(&good(&rich()), &catalog(), &given(&[("title", &value)]), &WITH_GIT).unwrap();
        let facts = expr::Facts { run: Some(crate::domain::run::RunRef::new("rich", 7)), ..expr::Facts::default() };
        prop_assert_eq!(expr::fill(&plan.env["TITLE"], &facts).unwrap(), value.clone());
        prop_assert_eq!(expr::fill(&plan.run_name, &facts).unwrap(), format!("{value} of rich#7"));
    }
}
