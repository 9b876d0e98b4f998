//! The page of one run: names that are long, stages of several steps, and what its pipeline calls it.

use super::*;

const RUN: &str = "nightly#12";

/// The page with this run and this of what is around it.
fn page(size: (u16, u16), run: Value, about: impl Fn(&mut Value)) -> String {
    let kind = Kind::Run(RUN.parse().unwrap());
    let mut model = bare(kind, size);
    update(&mut model, Msg::Link(LinkMsg::Up));
    let name: crate::domain::run::RunRef = RUN.parse().unwrap();
    let mut around = said(&Question::About(name.clone()));
    about(&mut around);
    tell(&mut model, &Question::About(name.clone()), &around);
    tell(&mut model, &Question::Run(name), &run);
    fill(&mut model);
    text(&model)
}

fn ended(verdict: &str, stage: Value) -> Value {
    json!({
        "run": RUN, "verdict": verdict, "detail": "", "started": "2026-04-07T08:05:50Z", "round_started": "2026-04-07T08:05:50Z",
        "ended": "2026-04-07T08:06:50Z", "duration_ms": 60_000, "state": "done", "stages": [stage],
    })
}

fn step(name: &str, verdict: &str, code: i32, detail: &str) -> Value {
    json!({"name": name, "verdict": verdict, "exit_code": code, "state": "done", "detail": detail})
}

#[test]
fn what_one_cell_says_is_not_said_of_the_stage() {
    let shown = |second: &str| {
        let steps = [step("sync (repo=baseos)", "success", 0, "49 packages new"), step("sync (repo=appstream)", "success", 0, second)];
        let stage =
            json!({"name": "sync", "verdict": "success", "duration_ms": 900, "state": "done", "detail": "49 packages new", "steps": steps});
        page((100, 40), ended("success", stage), |_| ())
    };
    assert!(!shown("24 packages new").contains("49 packages new"), "{}", shown("24 packages new"));
    assert!(shown("49 packages new").contains("49 packages new"), "where all say the same it is true of the stage");
}

#[test]
fn a_long_cell_is_told_from_its_neighbours_and_says_how_it_ended() {
    let cell = |n: u32| format!("kernel-{}-{n}-5.14.0-601.el9.x86_64", "m".repeat(90));
    let stage = json!({
        "name": "test", "verdict": "failure", "duration_ms": 900, "state": "done", "detail": "", "steps": [step(&format!("test (nvr={})", cell(3)), "failure", 4, "exit code 4")],
    });
    let shown = page((80, 40), ended("failure", stage), |about| {
        about["cells"] = (1..4)
            .map(|n| json!({"stage": "test", "cell": format!("nvr={}", cell(n)), "step": "s", "state": "done", "verdict": "success", "duration_ms": 9, "detail": ""}))
            .collect();
    });
    assert!(shown.lines().any(|l| l.contains("test (nvr=") && l.contains("failure  exit 4")), "{shown}");
    for n in 1..4 {
        assert!(shown.contains(&format!("~{n}-5.14.0-601.el9.x86_64 9ms")), "{n}\n{shown}");
    }
}

#[test]
fn the_name_that_a_pipeline_gives_a_run_stands_on_its_page() {
    let stage = json!({"name": "sync", "verdict": "success", "duration_ms": 900, "state": "done", "detail": "", "steps": []});
    let none = page((80, 24), ended("success", stage.clone()), |about| about["run"]["title"] = json!("nightly #12"));
    assert!(!none.contains("nightly #12"), "{none}");
    let shown = page((80, 24), ended("success", stage), |about| about["run"]["title"] = json!("sync of releasever 9"));
    assert!(shown.lines().nth(3).is_some_and(|l| l.trim() == "sync of releasever 9"), "{shown}");
}
