//! One run: its head, the stage view beside the runs before it, the matrix, why it stands as it does, and what belongs to it.
//!
//! The page is drawn as long as it is, and shown from where it is scrolled to. Below it stand the last lines of the log that matters most.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::list::{self, Trust};
use super::text::Text;
use super::{excerpt, run_parts, scrolled, spots, stage_page, stages, when, word};
use crate::api::page::About;
use crate::api::types::RunDoc;
use crate::base::duration;
use crate::console::model::{Mode, Model};
use crate::console::question::Question;
use crate::console::update::open;
use crate::console::widget::paint;
use crate::domain::run::RunRef;
use crate::theme::{Look, Role};

/// Rows of the longest page.
const LONGEST: u16 = 400;

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
    let mut whole = Buffer::empty(Rect::new(0, 0, area.width, LONGEST));
    let (used, _) = draw_page(model, look, &mut whole, doc, run, &trust);
    let (area, below) = super::split(area, excerpt::rows(model, run, used, area.height));
    excerpt::draw(model, look, below, buf, run);
    scrolled::draw(look, area, buf, &whole, used, model.screen().scroll, "");
}

/// What scrolling needs to know of a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measure {
    /// Its rows.
    pub rows: u16,
    /// The one where its cursor stands.
    pub at: Option<u16>,
    /// Rows that show of it at once: the excerpt has the others.
    pub seen: u16,
}

/// The page on a screen with room for `height` rows of it and its excerpt.
pub fn measure(model: &Model, run: &RunRef, (width, height): (u16, u16)) -> Measure {
    let Some(doc) = model.run(run) else { return Measure { seen: height.max(1), ..Measure::default() } };
    let look = Look { theme: crate::theme::Theme::plain(), glyphs: crate::theme::Glyphs::ASCII };
    let mut whole = Buffer::empty(Rect::new(0, 0, width, LONGEST));
    let (rows, at) = draw_page(model, &look, &mut whole, doc, run, &Trust::Now);
    Measure { rows, at, seen: height.saturating_sub(excerpt::rows(model, run, rows, height)).max(1) }
}

/// Draws the whole page; returns its rows, and the one where the cursor stands.
fn draw_page(model: &Model, look: &Look, buf: &mut Buffer, doc: &RunDoc, run: &RunRef, trust: &Trust) -> (u16, Option<u16>) {
    let area = buf.area;
    let head_rows = head(model, doc, run, look, trust).draw(look, area, buf);
    let below = Rect { y: head_rows, height: area.height - head_rows, ..area };
    let facts = run_parts::all(model, doc, run, &look.glyphs);
    let old = matches!(trust, Trust::Old(_)) || !moved(model, run).is_empty();
    let cursor = model.screen().spot.as_deref();
    let page = |buf: &mut Buffer, area: Rect| {
        stages::draw(model, &mut stage_page::Page { look, area, buf, y: 0, cursor, found: None, old }, doc, run)
    };
    let down = |y: Option<u16>, by: u16| y.map(|y| y + by);
    if area.width >= spots::BESIDE {
        let left = spots::left(area.width) + 1;
        let (used, at) = page(buf, Rect { width: left - 1, ..below });
        let right = Rect { x: left + 1, width: area.width - left - 1, ..below };
        let (beside, at_fact) = facts.draw_page(look, right, buf);
        let rows = used.max(beside);
        for y in 0..rows {
            paint::text(buf, below, left - 1, y, look.glyphs.upright, look.style(Role::Border), "");
        }
        return (head_rows + rows, down(at.or(at_fact), head_rows));
    }
    let (used, at) = page(buf, below);
    let rest = Rect { y: below.y + used, height: below.height - used, ..below };
    let (facts, at_fact) = facts.draw_page(look, rest, buf);
    (head_rows + used + facts, down(at, head_rows).or(down(at_fact, head_rows + used)))
}

/// Content sets that are other content now than when the run ended, as far as anybody has read them since.
fn moved<'a>(model: &'a Model, run: &RunRef) -> Vec<&'a str> {
    let inputs = model.about(run).map_or(&[][..], |a| a.inputs.as_slice());
    let other = |i: &&crate::api::page::Input| matches!((&i.now, &i.current), (Some(was), Some(now)) if was != now);
    inputs.iter().filter(other).map(|i| i.name.as_str()).collect()
}

fn head(model: &Model, doc: &RunDoc, run: &RunRef, look: &Look, trust: &Trust) -> Text {
    let mut out = Text::new();
    let outcome = doc.verdict.clone().unwrap_or_else(|| doc.state.clone());
    let (sign, role) = word::verdict(&outcome, &look.glyphs);
    let (sign, role, outcome) = match (trust, role) {
        // Nothing but a person moves it: that it is in the queue as well is no news.
        _ if open::waits_for_people(model, run) => (sign, Role::Warn, "waits for people".to_owned()),
        (Trust::Old(_), Role::Good) => ("~", Role::Unknown, format!("~{outcome}")),
        (_, Role::Good) if !moved(model, run).is_empty() => ("~", Role::Unknown, format!("~{outcome}")),
        _ => (sign, role, outcome),
    };
    let time = |t: &Option<String>| t.as_deref().and_then(|t| t.parse::<jiff::Timestamp>().ok());
    let (started, ended) = (time(&doc.started), time(&doc.ended));
    // A saved state, or an engine, of before rounds had a time of their own has that of the run.
    let began = time(&doc.round_started).or(started.filter(|_| doc.round == 0));
    let mut spans = vec![(format!("{sign} {} ", doc.run), role), (format!("{} ", outcome.to_uppercase()), role)];
    if let Some(from) = began {
        let so_far = || u64::try_from(ended.unwrap_or(model.heard()).duration_since(from).as_millis()).unwrap_or(0);
        spans.push((format!(" {}  ", duration::short(doc.duration_ms.unwrap_or_else(so_far))), Role::Strong));
    }
    if let Some(from) = started {
        spans.push((format!("started {}  ", when::show(model, from)), Role::Dim));
    }
    if let (Some(from), 1..) = (began, doc.round) {
        spans.push((format!("resumed {}  ", when::show(model, from)), Role::Dim));
    }
    if let Some(about) = model.about(run) {
        let moved = word::changes(&about.run);
        if !moved.is_empty() {
            spans.push((format!("{moved}  "), Role::Text));
        }
        spans.push((format!("by {} ({})", word::text(&about.run, "requested_by"), word::text(&about.run, "trigger")), Role::Dim));
    }
    out.spans(spans);
    // What its pipeline calls this very run (`run_name`); where it says nothing, the title is the name again.
    let said = |t: &String| !t.is_empty() && *t != doc.run && *t != format!("{} #{}", run.pipeline, run.number);
    if let Some(title) = model.about(run).map(|a| word::text(&a.run, "title")).filter(said) {
        out.say(&title, Role::Text);
    }
    if let Trust::Old(why) = trust {
        out.say(&format!("STALE {why}"), Role::Warn);
    }
    let moved = moved(model, run);
    if !moved.is_empty() && doc.state == "done" {
        out.say(
            &format!("since it ended, content {} has become other content: this verdict is not about that", moved.join(", ")),
            Role::Warn,
        );
    }
    if let Some(about) = model.about(run).filter(|_| doc.state != "done") {
        usual(model, about, &mut out);
    }
    if !doc.detail.is_empty() {
        out.say(&doc.detail, Role::Text);
    }
    if let Some(e) = &doc.first_error {
        out.put("ERROR", e.text.clone(), Role::Bad);
    }
    if doc.verdict.is_none() && doc.state == "waiting" {
        let first = if matches!(model.mode, Mode::ReadOnly) { ", once armed: `:arm 15m REASON`" } else { "" };
        out.put("NEXT", format!("A approves, V denies{first}"), Role::Key);
    }
    out
}

/// How long runs of this pipeline take, and whether this one is beyond that.
fn usual(model: &Model, about: &About, out: &mut Text) {
    let Some(eta) = &about.eta else { return };
    let of = |ms| duration::short(ms);
    let runs = if eta.samples == 1 { "of 1 good run".to_owned() } else { format!("of {} good runs", eta.samples) };
    let usual = format!("usually {}, nine in ten within {}  ({runs})", of(eta.p50_ms), of(eta.p90_ms));
    match when::instant(&about.run, "slow_since") {
        Some(since) => {
            out.put("SLOW", format!("past {} (p95) since {}", of(eta.p95_ms), when::show(model, since)), Role::Warn);
            out.put("", usual, Role::Dim);
        }
        None => out.put("ETA", usual, Role::Dim),
    }
}
