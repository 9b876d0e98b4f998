//! The stage view of a run in plain text: while it runs, and as a table at its end. Pure but for the table, which prints.

use super::out::{Out, Tone};
use super::table::{self, left, right};
use crate::api::types::{RunDoc, StageDoc, StepDoc};
use crate::base::{count, duration, sanitise};

/// A stage of so many steps has a line for each in the table; of more, those that did not go well.
const FEW: usize = 12;

/// The run as it stands, at most `width` columns wide, colours not counted.
pub fn frame(out: &Out, doc: &RunDoc, width: usize) -> Vec<String> {
    let mut lines = vec![cut(&format!("{}  {}", doc.run, doc.state), width)];
    let name = doc.stages.iter().map(|s| s.name.chars().count()).max().unwrap_or(0).min(width / 2);
    for stage in &doc.stages {
        lines.push(row(out, 2, name, &stage.name, word(&stage.state, stage.verdict.as_deref()), &tail(stage), width));
        // The steps of what is under way; of what is over, only those that did not go well.
        let open = stage.state == "running";
        for step in stage.steps.iter().filter(|s| open || bad(s)) {
            if open && stage.steps.len() == 1 && step.detail.is_empty() {
                continue;
            }
            lines.push(row(out, 4, name, &short(stage, step), word(&step.state, step.verdict.as_deref()), &step.detail, width));
        }
    }
    lines
}

/// What is worth a line of its own when it becomes true: by a key, the text.
pub fn moments(out: &Out, doc: &RunDoc) -> Vec<(String, String)> {
    let mut told = Vec::new();
    for stage in &doc.stages {
        for step in &stage.steps {
            let word = word(&step.state, step.verdict.as_deref());
            if matches!(word, "pending" | "claimed" | "skipped") {
                continue;
            }
            let detail = if step.verdict.is_some() && !step.detail.is_empty() {
                format!(": {}", sanitise::cell(&step.detail))
            } else {
                String::new()
            };
            let name = if step.name == stage.name { stage.name.clone() } else { format!("{} / {}", stage.name, short(stage, step)) };
            let text = format!("{} {}{detail}", out.verdict(word), sanitise::cell(&name));
            told.push((format!("{}/{}", stage.name, step.name), text));
        }
    }
    told
}

/// The stage table, and the verdict below it.
pub fn table(out: &Out, doc: &RunDoc) {
    table::print(out, &[left("STAGE"), left("VERDICT"), right("TIME"), left("DETAIL")], &rows(doc));
    let verdict = doc.verdict.as_deref().unwrap_or(&doc.state);
    let detail = sanitise::cell(&doc.detail);
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    if let Some(e) = &doc.first_error {
        out.line(format!("first error ({}): {}", sanitise::cell(&e.how), sanitise::cell(&e.text)));
    }
    let time = doc.duration_ms.map(|ms| format!(" ({})", duration::short(ms))).unwrap_or_default();
    out.line(format!("{} {}{time}{detail}", doc.run, out.verdict(verdict)));
}

/// A row for each stage, and below it its steps where it has several.
fn rows(doc: &RunDoc) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for stage in &doc.stages {
        let time = stage.duration_ms.map(duration::short).unwrap_or_default();
        rows.push(vec![stage.name.clone(), word(&stage.state, stage.verdict.as_deref()).to_owned(), time, tail(stage)]);
        if stage.steps.len() > 1 && stage.verdict.as_deref() != Some("skipped") {
            let few = stage.steps.len() <= FEW;
            for step in stage.steps.iter().filter(|s| few || bad(s)) {
                let word = word(&step.state, step.verdict.as_deref()).to_owned();
                rows.push(vec![format!("- {}", short(stage, step)), word, String::new(), step.detail.clone()]);
            }
        }
    }
    rows
}

/// The step's name below its stage's: without what repeats it, so that of a matrix the cell is left.
fn short(stage: &StageDoc, step: &StepDoc) -> String {
    let rest = step.name.strip_prefix(stage.name.as_str()).map(str::trim).unwrap_or(&step.name);
    match rest.strip_prefix('(').and_then(|r| r.strip_suffix(')')) {
        Some(cell) if rest.len() < step.name.len() => cell.to_owned(),
        _ if rest.is_empty() => step.name.clone(),
        _ => rest.to_owned(),
    }
}

/// What there is to say of a stage beside its verdict: its own words, or those of its only step.
fn tail(stage: &StageDoc) -> String {
    match stage.steps.as_slice() {
        [only] if stage.detail.is_empty() => only.detail.clone(),
        // A step with a name of its own is named where it went wrong.
        [only] if bad(only) && only.name != stage.name && only.detail == stage.detail => format!("{}: {}", short(stage, only), only.detail),
        [_, _, ..] if stage.steps.len() > FEW => {
            let wrong = stage.steps.iter().filter(|s| bad(s)).count();
            if wrong > 0 {
                format!("{wrong} of {} steps went wrong", stage.steps.len())
            } else {
                count::s(stage.steps.len() as u64, "step")
            }
        }
        // Its steps say it, each for itself.
        [_, _, ..] if stage.steps.iter().any(|s| s.detail == stage.detail) => String::new(),
        _ => stage.detail.clone(),
    }
}

fn word<'a>(state: &'a str, verdict: Option<&'a str>) -> &'a str {
    verdict.unwrap_or(state)
}

fn bad(step: &StepDoc) -> bool {
    step.verdict.as_deref().is_some_and(|v| v != "success" && v != "skipped")
}

fn row(out: &Out, indent: usize, name_width: usize, name: &str, word: &str, detail: &str, width: usize) -> String {
    let name = cut(&sanitise::cell(name), (name_width + 2).saturating_sub(indent - 2));
    let pad = " ".repeat((name_width + 4).saturating_sub(indent + name.chars().count()));
    let head = format!("{}{name}{pad}  ", " ".repeat(indent));
    let left = width.saturating_sub(head.chars().count() + word.chars().count());
    let gap = if detail.is_empty() { String::new() } else { format!("{}  ", " ".repeat(9usize.saturating_sub(word.chars().count()))) };
    let detail = cut(&format!("{gap}{}", sanitise::cell(detail)), left);
    format!("{head}{}{}", out.verdict(word), out.paint(Tone::Dim, detail.trim_end()))
}

/// At most `width` characters; the last one says that there was more.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        out.push('~');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Color;

    fn step(name: &str, state: &str, verdict: Option<&str>, detail: &str) -> StepDoc {
        StepDoc {
            name: name.into(),
            verdict: verdict.map(Into::into),
            exit_code: None,
            state: state.into(),
            detail: detail.into(),
            child: None,
        }
    }

    fn doc() -> RunDoc {
        let stage = |name: &str, state: &str, verdict: Option<&str>, ms, steps| StageDoc {
            name: name.into(),
            verdict: verdict.map(Into::into),
            duration_ms: ms,
            steps,
            state: state.into(),
            detail: String::new(),
        };
        RunDoc {
            basis: String::new(),
            first_error: None,
            run: "nightly-repo-updates#1".into(),
            verdict: None,
            detail: String::new(),
            started: None,
            ended: None,
            duration_ms: None,
            round: 0,
            round_started: None,
            state: "running".into(),
            stages: vec![
                stage("HW Info", "done", Some("success"), Some(120), vec![step("HW Info", "done", Some("success"), "")]),
                stage(
                    "Update core-latest repos",
                    "running",
                    None,
                    None,
                    vec![
                        step("Update core-latest repos (repo=baseos)", "running", None, "34/45 packages\u{1b}[2J"),
                        step(
                            "Update core-latest repos (repo=appstream)",
                            "done",
                            Some("failure"),
                            "refused: the repository would shrink by 80 percent, from 62 packages to 12",
                        ),
                    ],
                ),
                stage("summary", "pending", None, None, vec![step("summary", "pending", None, "")]),
            ],
        }
    }

    #[test]
    fn what_one_step_says_is_not_said_of_its_stage() {
        let told = |steps: Vec<StepDoc>, verdict: &str, detail: &str| {
            let mut doc = doc();
            let stage =
                StageDoc { steps, verdict: Some(verdict.into()), detail: detail.into(), state: "done".into(), ..doc.stages[0].clone() };
            doc.stages = vec![stage];
            rows(&doc).into_iter().map(|r| format!("{}|{}", r[0], r[3])).collect::<Vec<_>>()
        };
        let cell = |n: u32, verdict: &str, detail: &str| step(&format!("HW Info (n={n})"), "done", Some(verdict), detail);
        let two = told(vec![cell(1, "success", "49 packages"), cell(2, "success", "24 packages")], "success", "49 packages");
        assert_eq!(two, ["HW Info|", "- n=1|49 packages", "- n=2|24 packages"]);
        let many =
            |bad: u32| (0..1_000).map(|n| if n < bad { cell(n, "failure", "exit code 4") } else { cell(n, "success", "") }).collect();
        assert_eq!(told(many(0), "success", ""), ["HW Info|1000 steps"]);
        assert_eq!(
            told(many(2), "failure", "exit code 4"),
            ["HW Info|2 of 1000 steps went wrong", "- n=0|exit code 4", "- n=1|exit code 4"]
        );
        let one = told(vec![step("break it", "done", Some("failure"), "exit code 37")], "failure", "exit code 37");
        assert_eq!(one, ["HW Info|break it: exit code 37"]);
    }

    #[test]
    fn a_frame_shows_what_is_under_way_and_keeps_to_its_width() {
        let out = Out::new(false, Color::Never);
        let lines = frame(&out, &doc(), 79);
        assert!(lines.iter().all(|l| l.chars().count() <= 79 && !l.contains('\u{1b}')), "{lines:#?}");
        assert_eq!(lines.len(), 6, "{lines:#?}");
        assert!(
            lines[3].starts_with("    repo=baseos") && lines[3].contains("running") && lines[3].contains("34/45 packages"),
            "{lines:#?}"
        );
        assert!(lines[4].ends_with('~') && lines[5].contains("pending"), "{lines:#?}");
        let column = |l: &str, w: &str| l.find(w);
        assert_eq!(column(&lines[1], "success"), column(&lines[3], "running"));
        for width in 0..30 {
            frame(&out, &doc(), width);
        }
    }

    #[test]
    fn without_a_terminal_each_change_is_one_line() {
        let out = Out::new(false, Color::Never);
        let texts: Vec<String> = moments(&out, &doc()).into_iter().map(|(_, t)| t).collect();
        assert_eq!(texts.len(), 3);
        assert_eq!(texts[0], "success HW Info");
        assert_eq!(texts[1], "running Update core-latest repos / repo=baseos");
        assert!(texts[2].starts_with("failure Update core-latest repos / repo=appstream: refused"));
    }
}
