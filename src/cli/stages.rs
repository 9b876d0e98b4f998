//! The stage view of a run in plain text: while it runs, and as a table at its end. Pure but for the table, which prints.

use super::out::{Out, Tone};
use super::table::{self, left, right};
use crate::api::types::{RunDoc, StageDoc, StepDoc};
use crate::base::{duration, sanitise};

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
    let mut rows = Vec::new();
    for stage in &doc.stages {
        let time = stage.duration_ms.map(duration::short).unwrap_or_default();
        rows.push(vec![stage.name.clone(), word(&stage.state, stage.verdict.as_deref()).to_owned(), time, tail(stage)]);
        if stage.steps.len() > 1 && stage.verdict.as_deref() != Some("skipped") {
            for step in &stage.steps {
                let word = word(&step.state, step.verdict.as_deref()).to_owned();
                rows.push(vec![format!("- {}", short(stage, step)), word, String::new(), step.detail.clone()]);
            }
        }
    }
    table::print(out, &[left("STAGE"), left("VERDICT"), right("TIME"), left("DETAIL")], &rows);
    let verdict = doc.verdict.as_deref().unwrap_or(&doc.state);
    let detail = sanitise::cell(&doc.detail);
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    out.line(format!("{} {}{detail}", doc.run, out.verdict(verdict)));
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
