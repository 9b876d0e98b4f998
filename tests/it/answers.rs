//! What commands answer about a run or a pipeline: its title, where the log of a stage that is a run of its own is, and a file that is broken.

use crate::support::{Home, until};

#[test]
fn a_title_is_finished_and_what_stands_in_a_parameter_is_no_template() {
    let home = Home::new();
    let file = "format: 1\nname: named\nparameters: {p: {type: string, default: x}}\n\
                run_name: '${params.p} 日本 ${run.id} of ${run.pipeline}, $${HOME} no. ${run.number}'\nstages:\n  - {name: a, run: 'true'}\n";
    home.pipeline("named", file);
    home.qd(["run", "named", "--wait"]).expect(0);
    home.qd(["run", "named", "--wait", "-p", "p=${run.number} $"]).expect(0);
    let rows = home.json(&["get", "runs", "--sort", "number"]);
    let titles: Vec<&str> = rows["rows"].as_array().unwrap().iter().map(|r| r["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["x 日本 named#1 of named, ${HOME} no. 1", "${run.number} $ 日本 named#2 of named, ${HOME} no. 2"]);
}

#[test]
fn the_log_of_a_stage_that_is_a_run_of_its_own_is_that_of_the_run_that_failed() {
    let home = Home::new();
    let child = "format: 1\nname: child\nparameters: {m: {type: string}}\nstages:\n  - {name: c, run: 'echo \"$m\"; [ \"$m\" != bad ]'}\n";
    home.pipeline("child", child);
    let above = "format: 1\nname: above\nstages:\n\
                 \x20 - {name: b, matrix: {m: [good, bad]}, build: {pipeline: child, parameters: {m: '${matrix.m}'}}}\n\
                 \x20 - {name: last, when: always, build: {pipeline: child, parameters: {m: fine}}}\n";
    home.pipeline("above", above);
    home.qd(["run", "above", "--wait"]).expect(1);
    let rows = home.json(&["get", "runs", "--filter", "pipeline=child verdict=failure"]);
    let failed = rows["rows"][0]["run"].as_str().unwrap();
    let why = home.qd(["why", "above#1"]).expect(0).stdout;
    assert!(why.contains(&format!("its log: {}", home.named(&format!("log '{failed}'")))), "{why}");
    let told = home.qd(["log", "above#1", "--first-error"]).expect(0);
    let said = format!("its stage `b` is a run of its own, which did: {}", home.named(&format!("log '{failed}' --first-error")));
    assert!(format!("{}{}", told.stdout, told.stderr).contains(&said), "{told:?}");
}

#[test]
fn a_preview_of_a_pipeline_whose_file_is_broken_says_so() {
    let home = Home::new();
    home.pipeline("good", "format: 1\nname: good\ntriggers: [{cron: '0 0 1 1 *'}]\nstages:\n  - {name: a, run: 'true'}\n");
    home.pipeline("bad", "format: 1\nname: bad\ntriggers: [{cron: '0 0 32 * *'}]\nstages:\n  - {name: a, run: 'true'}\n");
    let told = home.qd(["schedule", "preview", "--pipeline", "bad"]).expect(1).stderr;
    assert!(told.contains("bad.yml:3:") && told.contains(&home.named("pipeline lint bad")), "{told}");
    let all = home.qd(["--json", "schedule", "preview", "--year", "2027"]).expect(0);
    assert!(all.stderr.contains("not shown, for its file has errors"), "{}", all.stderr);
    let all = all.json();
    let span = (all["from"].as_str().unwrap(), all["to"].as_str().unwrap());
    assert_eq!(span, ("2027-01-01T00:00:00.000Z", "2028-01-01T00:00:00.000Z"));
    assert_eq!(all["rows"].as_array().unwrap().len(), 1, "{all}");
}

#[test]
fn a_plan_with_a_run_in_it_asks_an_engine_that_runs_and_does_without_one_where_the_run_is_named() {
    let home = Home::new();
    home.pipeline(
        "made",
        "format: 1\nname: made\nparameters: {bad: {type: bool, default: false}}\nstages:\n  - {name: a, run: '[ \"$bad\" = false ]'}\n",
    );
    let file = "format: 1\nname: uses\nparameters: {r: {type: run, of: made, result: success, default: latest}}\nstages:\n  - {name: a, run: 'echo $r'}\n";
    home.pipeline("uses", file);
    let told = home.qd(["pipeline", "plan", "uses"]).expect(2).stdout;
    assert!(told.contains("no engine runs that could say which run of `made` it is"), "{told}");
    let named = |run: &str| home.qd(["--json", "pipeline", "plan", "uses", "-p", &format!("r={run}")]);
    assert_eq!(named("made#7").expect(0).json()["parameters"]["r"], "made#7");
    home.qd(["run", "made", "--wait"]).expect(0);
    home.qd(["run", "made", "--wait", "-p", "bad=true"]).expect(1);
    assert_eq!(home.json(&["pipeline", "plan", "uses"])["parameters"]["r"], "made#1");
    named("made#2").expect(2);
    named("made#7").expect(2);
}

#[test]
fn a_stage_that_ran_twice_is_named_once() {
    let home = Home::new();
    home.pipeline("red", "format: 1\nname: red\nstages:\n  - {name: a, run: 'exit 3'}\n  - {name: b, when: always, run: 'true'}\n");
    home.qd(["run", "red", "--wait"]).expect(1);
    home.qd(["resume", "red#1"]).expect(0);
    until("the resumed run to end", || home.json(&["get", "runs"])["rows"][0]["state"] == "done");
    let told = home.qd(["log", "red#1/nosuch"]).expect(2).stderr;
    assert!(told.contains("it ran: a, b\n"), "{told}");
}
