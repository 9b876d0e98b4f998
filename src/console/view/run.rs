//! One run: its head, the stage view with the runs before it, the steps, and why it stands as it does.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{when, word};
use crate::api::types::{RunDoc, StageDoc};
use crate::base::duration;
use crate::console::model::Model;
use crate::console::question::Question;
use crate::console::widget::paint;
use crate::domain::run::RunRef;
use crate::theme::{Look, Role};

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, run: &RunRef) {
    let mut page = Page { look, area, buf, y: 0 };
    let Some(doc) = model.run(run) else {
        let known = model.known(&Question::Run(run.clone()));
        let text = known.and_then(|k| k.error.as_ref()).map_or_else(|| "asking the engine".to_owned(), |e| format!("{e}. {}", e.help));
        return page.line(2, &text, Role::Dim);
    };
    head(model, &mut page, doc);
    page.y += 1;
    stages(model, &mut page, doc);
    if let Some(why) = model.why(run).filter(|w| !w.reasons.is_empty()) {
        page.y += 1;
        page.line(0, "WHY", Role::Section);
        for reason in &why.reasons {
            for text in reason.lines() {
                page.line(2, text, Role::Text);
            }
        }
    }
    history(model, &mut page, run);
}

struct Page<'a> {
    look: &'a Look,
    area: Rect,
    buf: &'a mut Buffer,
    y: u16,
}

impl Page<'_> {
    fn at(&mut self, x: u16, text: &str, role: Role) -> u16 {
        paint::text(self.buf, self.area, x, self.y, text, self.look.style(role), self.look.glyphs.ellipsis)
    }

    fn line(&mut self, x: u16, text: &str, role: Role) {
        self.at(x, text, role);
        self.y += 1;
    }
}

fn head(model: &Model, page: &mut Page<'_>, doc: &RunDoc) {
    let outcome = doc.verdict.clone().unwrap_or_else(|| doc.state.clone());
    let (sign, role) = word::verdict(&outcome, &page.look.glyphs);
    let x = page.at(0, &format!("{sign} "), role);
    let x = page.at(x, &format!("{} ", doc.run), Role::Strong);
    let x = page.at(x, &format!("{outcome} "), role);
    let started = doc.started.as_deref().and_then(|t| t.parse::<jiff::Timestamp>().ok());
    let ended = doc.ended.as_deref().and_then(|t| t.parse::<jiff::Timestamp>().ok());
    let mut x = x;
    if let Some(from) = started {
        let ms = ended.unwrap_or(model.now).duration_since(from).as_millis();
        x = page.at(x, &format!("{}  ", duration::short(u64::try_from(ms).unwrap_or(0))), Role::Text);
        x = page.at(x, &format!("started {}  ", when::show(model, from)), Role::Dim);
    }
    page.at(x, &doc.detail, Role::Text);
    page.y += 1;
}

/// One row a stage: sign, name, time against the longest, its words; below it the steps that are not simply green.
fn stages(model: &Model, page: &mut Page<'_>, doc: &RunDoc) {
    page.line(0, "STAGE", Role::Section);
    let names = doc.stages.iter().map(|s| paint::width(&s.name)).max().unwrap_or(0).min(usize::from(page.area.width / 2)) as u16;
    let longest = doc.stages.iter().filter_map(|s| s.duration_ms).max().unwrap_or(0).max(1);
    let bar = usize::from(page.area.width / 6).clamp(4, 24);
    for stage in &doc.stages {
        let outcome = stage.verdict.clone().unwrap_or_else(|| stage.state.clone());
        let (sign, role) = word::verdict(&outcome, &page.look.glyphs);
        page.at(0, sign, role);
        let name = paint::cut(&stage.name, usize::from(names), page.look.glyphs.ellipsis);
        page.at(2, &name, Role::Text);
        let x = 2 + names + 1;
        let time = stage.duration_ms.map(duration::short).unwrap_or_default();
        page.at(x, &format!("{time:>7}"), Role::Text);
        let full = stage.duration_ms.map_or(0, |ms| (ms as u128 * bar as u128).div_ceil(longest as u128) as usize).min(bar);
        let strip = page.look.glyphs.bar[2].repeat(full);
        page.at(x + 8, &strip, role);
        let words = if stage.detail.is_empty() { outcome } else { format!("{outcome}  {}", stage.detail) };
        page.at(x + 9 + bar as u16, &words, role);
        page.y += 1;
        steps(page, stage);
    }
    let _ = model;
}

fn steps(page: &mut Page<'_>, stage: &StageDoc) {
    for step in
        stage.steps.iter().filter(|s| s.verdict.as_deref().is_some_and(|v| v != "success" && v != "skipped") || s.state == "running")
    {
        let outcome = step.verdict.clone().unwrap_or_else(|| step.state.clone());
        let (sign, role) = word::verdict(&outcome, &page.look.glyphs);
        let code = step.exit_code.map(|c| format!("  exit {c}")).unwrap_or_default();
        page.line(4, &format!("{sign} {}  {outcome}{code}  {}", step.name, step.detail), role);
    }
}

fn history(model: &Model, page: &mut Page<'_>, run: &RunRef) {
    let Some(rows) = model.rows(&Question::History { pipeline: run.pipeline.clone(), limit: 14 }) else { return };
    page.y += 1;
    page.line(0, &format!("LAST RUNS OF {}", run.pipeline), Role::Section);
    for row in &rows.rows {
        let outcome = word::outcome(row);
        let (sign, role) = word::verdict(&outcome, &page.look.glyphs);
        let took = when::lasted(row, "duration_ms").unwrap_or_default();
        let at = when::instant(row, "started").map(|t| when::show(model, t)).unwrap_or_default();
        let here = if word::text(row, "run") == run.to_string() { page.look.glyphs.cursor } else { " " };
        page.at(0, here, Role::Strong);
        page.at(2, sign, role);
        page.line(
            4,
            &format!("#{:<6} {outcome:<9} {took:>7}  {at:<12}  {}", word::text(row, "number"), word::text(row, "changes")),
            Role::Text,
        );
    }
}
