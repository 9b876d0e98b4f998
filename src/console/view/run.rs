//! One run: its head, the stage view beside the runs before it, the matrix, why it stands as it does, and what belongs to it.
//!
//! The page is drawn as long as it is, and shown from where it is scrolled to.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::list::{self, Trust};
use super::text::Text;
use super::{run_parts, stages, when, word};
use crate::api::types::RunDoc;
use crate::base::duration;
use crate::console::model::Model;
use crate::console::question::Question;
use crate::console::widget::paint;
use crate::domain::run::RunRef;
use crate::theme::{Look, Role};

/// Rows of the longest page.
const LONGEST: u16 = 400;
/// From this width on, what belongs to the run stands beside its stages.
const BESIDE: u16 = 120;

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, run: &RunRef) {
    if area.width == 0 || area.height == 0 {
        return;
    }
    let trust = list::trust(model, &Question::Run(run.clone()));
    let Some(doc) = model.run(run) else {
        let mut text = Text::new();
        match trust {
            Trust::None(why) => text.say(&why, Role::Bad),
            _ => text.say("asking the engine", Role::Dim),
        }
        text.draw(look, area, buf);
        return;
    };
    let page = Rect::new(0, 0, area.width, LONGEST);
    let mut whole = Buffer::empty(page);
    let used = draw_page(model, look, &mut whole, doc, run, &trust);
    let top = model.screen().scroll.min(used.saturating_sub(area.height));
    for y in 0..area.height.min(used.saturating_sub(top)) {
        for x in 0..area.width {
            buf[(area.x + x, area.y + y)] = whole[(x, top + y)].clone();
        }
    }
    if used > top + area.height {
        let text = format!(" {} {} more rows ", look.glyphs.down, used - top - area.height);
        let at = area.width.saturating_sub(paint::width(&text) as u16);
        paint::text(buf, area, at, area.height - 1, &text, look.style(Role::Dim), "");
    }
}

/// Draws the whole page; returns its rows.
fn draw_page(model: &Model, look: &Look, buf: &mut Buffer, doc: &RunDoc, run: &RunRef, trust: &Trust) -> u16 {
    let area = buf.area;
    let head_rows = head(model, doc, run, look, trust).draw(look, area, buf);
    let below = Rect { y: head_rows, height: area.height - head_rows, ..area };
    let facts = run_parts::all(model, doc, run, &look.glyphs);
    if area.width >= BESIDE {
        let left = area.width * 62 / 100;
        let stages_area = Rect { width: left - 1, ..below };
        let used = stages::draw(model, look, stages_area, buf, doc, run);
        let right = Rect { x: left + 1, width: area.width - left - 1, ..below };
        let beside = facts.draw(look, right, buf);
        let rows = used.max(beside);
        for y in 0..rows {
            paint::text(buf, below, left - 1, y, look.glyphs.upright, look.style(Role::Border), "");
        }
        return head_rows + rows;
    }
    let used = stages::draw(model, look, below, buf, doc, run);
    let rest = Rect { y: below.y + used, height: below.height - used, ..below };
    head_rows + used + facts.draw(look, rest, buf)
}

fn head(model: &Model, doc: &RunDoc, run: &RunRef, look: &Look, trust: &Trust) -> Text {
    let mut out = Text::new();
    let outcome = doc.verdict.clone().unwrap_or_else(|| doc.state.clone());
    let (sign, role) = word::verdict(&outcome, &look.glyphs);
    let (sign, role, outcome) = match (trust, role) {
        (Trust::Old(_), Role::Good) => ("~", Role::Unknown, format!("~{outcome}")),
        _ => (sign, role, outcome),
    };
    let time = |t: &Option<String>| t.as_deref().and_then(|t| t.parse::<jiff::Timestamp>().ok());
    let (started, ended) = (time(&doc.started), time(&doc.ended));
    let mut spans = vec![(format!("{sign} {} ", doc.run), role), (format!("{} ", outcome.to_uppercase()), role)];
    if let Some(from) = started {
        let ms = ended.unwrap_or(model.now).duration_since(from).as_millis();
        spans.push((format!(" {}  ", duration::short(u64::try_from(ms).unwrap_or(0))), Role::Strong));
        spans.push((format!("started {}  ", when::show(model, from)), Role::Dim));
    }
    if let Some(about) = model.about(run) {
        let moved = word::changes(&about.run);
        if !moved.is_empty() {
            spans.push((format!("{moved}  "), Role::Text));
        }
        spans.push((format!("by {} ({})", word::text(&about.run, "requested_by"), word::text(&about.run, "trigger")), Role::Dim));
    }
    out.spans(spans);
    if let Trust::Old(why) = trust {
        out.say(&format!("STALE {why}"), Role::Warn);
    }
    if !doc.detail.is_empty() {
        out.say(&doc.detail, Role::Text);
    }
    if let Some(e) = &doc.first_error {
        out.put("ERROR", e.text.clone(), Role::Bad);
    }
    out
}
