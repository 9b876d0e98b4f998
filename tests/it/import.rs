//! `pipeline import` as scripts use it: what goes where, what is never overwritten, exit codes, and that the file runs.

use serde_json::json;

use crate::support::Home;

const JENKINSFILE: &str = "pipeline {\n    agent any\n    parameters { string(name: 'WHO', defaultValue: 'world') }\n    stages {\n        stage('Greet') {\n            steps { sh \"echo \\\"hello ${params.WHO}\\\"\" }\n        }\n        stage('Program') {\n            when { expression { params.WHO == 'nobody' } }\n            steps { script { foo() } }\n        }\n    }\n}\n";

#[test]
fn an_imported_pipeline_passes_lint_and_runs() {
    let home = Home::new();
    let original = home.root().join("greet.Jenkinsfile");
    std::fs::write(&original, JENKINSFILE).unwrap();
    let original = original.to_str().unwrap();
    let plain = home.qd(["pipeline", "import", original]).expect(0);
    assert!(plain.stdout.contains("\nname: greet\n") && plain.stderr.contains("greet.Jenkinsfile:10: manual: script"), "{plain:?}");
    home.pipeline("greet", &plain.stdout);
    home.qd(["pipeline", "lint", "greet"]).expect(0);
    let run = home.qd(["--json", "run", "greet", "--wait", "-p", "WHO=you; exit 7"]).expect(0).json();
    assert_eq!(run["verdict"], "success", "{run}");
    assert!(home.qd(["log", "greet#1"]).expect(0).stdout.contains("hello you; exit 7"));
    // The part that nobody converted fails, and says which line it was.
    home.qd(["run", "greet", "--wait", "-p", "WHO=nobody"]).expect(1);
    assert!(home.qd(["log", "greet#2"]).expect(0).stdout.contains("line 10 of greet.Jenkinsfile is not converted: script"));
}

#[test]
fn the_report_is_json_and_no_file_is_overwritten() {
    let home = Home::new();
    let original = home.root().join("Jenkinsfile");
    std::fs::write(&original, JENKINSFILE).unwrap();
    let (original, to) = (original.to_str().unwrap(), home.root().join("out.yml"));
    let to = to.to_str().unwrap();
    let made = home.qd(["--json", "pipeline", "import", original, "--name", "other", "-o", to]).expect(0).json();
    assert_eq!((&made["name"], &made["file"]), (&json!("other"), &json!(to)));
    let text = std::fs::read_to_string(to).unwrap();
    assert_eq!(made["pipeline"], json!(text));
    let lines: Vec<u64> = made["report"].as_array().unwrap().iter().filter_map(|l| l["line"].as_u64()).collect();
    assert_eq!(lines, (1..=6).chain(8..=10).collect::<Vec<_>>());
    assert_eq!(made["report"][8]["verdict"], "manual");
    assert_eq!(made["summary"]["manual"], 1);
    let again = home.qd(["pipeline", "import", original, "-o", to]).expect(4);
    assert!(again.stderr.contains("overwrites nothing"), "{again:?}");
    assert_eq!(std::fs::read_to_string(to).unwrap(), text);
}

#[test]
fn what_cannot_be_imported_is_refused_with_its_place() {
    let home = Home::new();
    let original = home.root().join("Jenkinsfile");
    let path = original.to_str().unwrap();
    std::fs::write(&original, "// old\nnode('a') {\n  sh 'x'\n}\n").unwrap();
    let out = home.qd(["pipeline", "import", path]).expect(2);
    assert!(out.stderr.contains("Jenkinsfile:2:1") && out.stderr.contains("^^^^") && out.stdout.is_empty(), "{out:?}");
    let json = home.qd(["--json", "pipeline", "import", path]).expect(2).json();
    assert_eq!((&json["diagnostics"][0]["line"], &json["error"]["code"]), (&json!(2), &json!("bad-input")));
    home.qd(["pipeline", "import", "/nonexistent"]).expect(2);
    home.qd(["pipeline", "import", "/dev/null"]).expect(2);
    home.qd(["pipeline", "import", path, "--name", "Not A Name"]).expect(2);
}

/// The pipelines of the site are known to the import: a job that starts one becomes a stage that is its run.
#[test]
fn a_job_that_starts_another_one_starts_its_pipeline() {
    let home = Home::new();
    home.pipeline(
        "smoke",
        "format: 1\nname: smoke\nparameters: {WHERE: {type: string}}\nstages:\n  - name: a\n    run: echo \"in $WHERE\"\n",
    );
    let original = home.root().join("night.Jenkinsfile");
    let text = "pipeline {\n  agent any\n  options { skipDefaultCheckout() }\n  parameters { string(name: 'PLACE', defaultValue: 'oslo') }\n  stages {\n    stage('Build') { steps { sh 'echo built' } }\n    stage('Smoke') { steps { build job: 'qa/smoke', parameters: [string(name: 'WHERE', value: params.PLACE)] } }\n  }\n}\n";
    std::fs::write(&original, text).unwrap();
    let made = home.qd(["pipeline", "import", original.to_str().unwrap()]).expect(0);
    assert!(made.stdout.contains("    build:\n      pipeline: smoke\n") && made.stderr.ends_with("0 approximated, 0 manual\n"), "{made:?}");
    home.pipeline("night", &made.stdout);
    let run = home.qd(["--json", "run", "night", "-p", "PLACE=rome", "--wait"]).expect(0).json();
    assert_eq!(run["stages"][1]["detail"], "smoke#1", "{run}");
    assert!(home.qd(["log", "smoke#1"]).expect(0).stdout.contains("in rome"));
}
