//! Stages that are runs of other pipelines, as a file is read, planned and drawn; and the five worked files as a whole.

use super::*;
use crate::domain::level::Level;

/// What another version brings (remote executors) is left out here, `run.url` is what a run has instead, and the step kinds are known: then
/// nothing is wrong with the five, and each has a plan.
#[test]
fn the_five_worked_files_are_clean_and_freeze_but_for_what_others_bring() {
    const MORE: &[StepKind] = &[
        kind(
            "koji/build",
            &[field("target", FieldType::Text, true), field("arch", FieldType::Text, false), field("from", FieldType::Path, false)],
        ),
        kind(
            "salt/apply",
            &[
                field("target", FieldType::Text, true),
                field("state", FieldType::Text, true),
                field("expect_changes", FieldType::Int, false),
            ],
        ),
    ];
    let site = Catalog { kinds: KINDS.iter().chain(MORE).copied().collect(), later_kinds: Vec::new(), ..catalog() };
    let latest = |q: &params::RunQuery| Ok(crate::domain::run::RunRef::new(q.pipeline.clone(), q.number.unwrap_or(165)));
    let ctx = FreezeCtx { find_run: &latest, ..FreezeCtx::NOTHING };
    let mut plans = Vec::new();
    for doc in WORKED.split("\n---\n") {
        let lines = doc.lines().filter(|l| !l.starts_with("agent:"));
        let text = lines.collect::<Vec<_>>().join("\n").replace(", agent: {labels: [aarch64]}", "").replace("run.url", "run.id") + "\n";
        let (file, found) = load(&text, "w.yml", &site);
        let left: Vec<String> = short(&found).into_iter().filter(|f| !f.contains("retry.not-idempotent")).collect();
        assert_eq!(left, Vec::<String>::new(), "{doc}");
        plans.push(freeze(&file.unwrap(), &site, &given(&[]), &ctx).unwrap());
    }
    let names: Vec<&str> = plans.iter().map(|p| p.pipeline.as_str()).collect();
    assert_eq!(names, ["nightly-repo-updates", "rpmcanary", "imgcanary", "nightly-converge-tests", "quarterly-promotion"]);
    assert_eq!(plans[0].keep.pin, ["last-success", "last-failure", "promoted"]);
    let pinned = plans[4].stages.last().and_then(|s| s.cells[0].steps.first()).map(|s| &s.action);
    assert_eq!(pinned, Some(&Action::Pin { run: "nightly-repo-updates#165".into() }));
}

#[test]
fn a_run_of_another_pipeline_has_its_danger_and_is_planned_and_drawn() {
    let file = "format: 1
name: umbrella
parameters: {n: {type: int, default: 3}}
stages:
  - name: both
    matrix: {os: [el9, el10]}
    build: {pipeline: asks, parameters: {size: \"${params.n}\", who: \"${matrix.os}\"}}
  - name: loose
    build: {pipeline: deep4, wait: false}
  - name: report
    run: echo \"$QD_OUT_BOTH_RUN\"
";
    let file = good(file);
    assert_eq!((file.stages[0].level(&file), file.stages[1].level(&file), file.level()), (Level::L1, Level::L2, Level::L2));
    let plan = freeze(&file, &catalog(), &given(&[]), &FreezeCtx::NOTHING).unwrap();
    assert_eq!((plan.danger, plan.stages[1].danger, plan.stages[2].danger), (Level::L2, Level::L2, Level::L1));
    let Action::Build { pipeline, parameters, wait } = &plan.stages[0].cells[1].steps[0].action else { panic!("{plan:?}") };
    assert_eq!((pipeline.as_str(), *wait, parameters["size"].as_str(), parameters["who"].as_str()), ("asks", true, "3", "el10"));
    let now = "2026-03-28T20:00:00Z".parse().unwrap();
    let (told, drawn) = (describe::text(&plan, &file, &catalog(), now), graph::ascii(&graph::of_file(&file)));
    assert!(told.contains("a run of asks size=3 who=el9, and waits for its end"), "{told}");
    assert!(told.contains("a run of deep4, and does not wait"), "{told}");
    assert!(drawn.contains("[2 cells; a run of asks]") && drawn.contains("[a run of deep4, not waited for]"), "{drawn}");
    let back: super::plan::Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(back, plan);
    let explained = schema::explain::explain(Some("stage.build"), &catalog()).unwrap();
    assert!(explained.contains("Keys: pipeline, parameters, wait"), "{explained}");
    assert_eq!(schema::json::schema()["$defs"]["stage"]["properties"]["build"]["anyOf"][1]["$ref"], "#/$defs/build");
}

#[test]
fn people_are_told_by_a_command_of_the_site_and_lint_knows_which() {
    let file = |post: &str| format!("format: 1\nname: p\nstages:\n  - name: a\n    run: echo\npost: {{failure: [{post}]}}\n");
    let one = good(&file("{notify: matrix, with: {room: \"#ops\", text: \"${run.id} failed in ${run.failed_stage}: $HOME\"}}"));
    let plan = freeze(&one, &catalog(), &given(&[]), &FreezeCtx::NOTHING).unwrap();
    let step = &plan.stages.last().unwrap().cells[0].steps[0];
    assert_eq!(step.action, Action::Shell { script: "exec '/opt/tell matrix' --now".into(), interpreter: Vec::new() });
    assert_eq!(step.env["notify_room"], "#ops");
    assert_eq!((step.name.as_str(), step.secrets[0].name.as_str(), step.secrets[0].env), ("notify matrix", "matrix-webhook", false));
    let facts = expr::Facts {
        run: Some(crate::domain::run::RunRef::new("p", 7)),
        run_verdict: Some(crate::domain::run::Verdict::Failure),
        run_failed_stage: "a".into(),
        ..expr::Facts::default()
    };
    let (_, env) = expr::fill_action(step, &facts).unwrap();
    assert_eq!(env["notify_text"], "p#7 failed in a: $HOME");
    for (post, found) in [
        ("{notify: matrx}", "ref.notify the site has no [notify.matrx] | did you mean `matrix`?"),
        ("{notify: zzzzzz}", "ref.notify the site has no [notify.zzzzzz] | add [notify.zzzzzz] with `command` to the site file"),
        ("{notify: mail, run: echo}", "notify.key `run` has no meaning beside `notify`"),
        ("{notify: mail, secrets: [koji-cert]}", "notify.key `secrets` has no meaning beside `notify`"),
        ("{notify: mail, with: {\"a b\": c}}", "notify.field `a b` cannot be part of the name"),
        ("{notify: mail, with: {to: [a, b]}}", "notify.field `to` must be a single value"),
        ("{notify: mail, with: {to: \"${run.url}\"}}", "`run.url` is nothing that a run has"),
    ] {
        let (_, all) = load(&file(post), "w.yml", &catalog());
        let all = short(&all);
        assert!(all.iter().any(|f| f.contains(found)), "{post}: {all:?}");
    }
    // It stands in post sections only.
    let (_, all) = load("format: 1\nname: p\nstages:\n  - name: a\n    notify: mail\n    run: echo\n", "w.yml", &catalog());
    assert!(short(&all).iter().any(|f| f.contains("`notify` belongs to a post step")), "{:?}", short(&all));
}

/// Lint took it, and every run of it failed.
#[test]
fn the_verdict_of_a_run_is_asked_for_at_its_end_only() {
    let file =
        |stage: &str, post: &str| format!("format: 1\nname: p\nstages:\n  - name: a\n    run: echo\n{stage}post: {{always: [{post}]}}\n");
    let asks = "{run: echo, env: {V: \"${run.verdict} ${run.failed_stage}\"}}";
    good(&file("", asks));
    for stage in [
        "    env: {V: \"${run.verdict}\"}\n".to_owned(),
        "    when: run.verdict == \"success\"\n".to_owned(),
        format!("    post: {{always: [{asks}]}}\n"),
    ] {
        let (_, all) = load(&file(&stage, "{run: echo}"), "w.yml", &catalog());
        assert!(short(&all).iter().any(|f| f.contains("is known only when the run ends")), "{stage}: {:?}", short(&all));
    }
}
