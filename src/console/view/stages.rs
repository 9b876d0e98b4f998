//! The stage view: a row a stage, with this run's time, a bar, the usual time, and the runs before it side by side; matrices as grids.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::text::rule;
use super::{when, word};
use crate::api::page::{CellDoc, History, PastRun};
use crate::api::types::{RunDoc, StageDoc};
use crate::base::duration;
use crate::console::model::Model;
use crate::console::widget::paint;
use crate::domain::run::RunRef;
use crate::theme::{Look, Role};

/// Columns of one run before this one, with its gap.
const RUN: u16 = 9;
/// Columns of a time.
const TIME: u16 = 7;

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

    /// Text that ends before column `x`.
    fn before(&mut self, x: u16, text: &str, role: Role) {
        let wide = paint::width(text) as u16;
        self.at(x.saturating_sub(wide), text, role);
    }
}

/// Draws stages and matrices; returns the rows that were used.
pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, doc: &RunDoc, run: &RunRef) -> u16 {
    let mut page = Page { look, area, buf, y: 0 };
    let history = model.history(&run.pipeline);
    table(model, &mut page, doc, history, run);
    if let Some(about) = model.about(run) {
        let mut by_stage: Vec<(&str, Vec<&CellDoc>)> = Vec::new();
        for cell in &about.cells {
            match by_stage.iter_mut().find(|(s, _)| *s == cell.stage) {
                Some((_, cells)) => cells.push(cell),
                None => by_stage.push((&cell.stage, vec![cell])),
            }
        }
        for (stage, cells) in by_stage {
            matrix(&mut page, stage, &cells);
        }
    }
    page.y.min(area.height)
}

fn table(model: &Model, page: &mut Page<'_>, doc: &RunDoc, history: Option<&History>, run: &RunRef) {
    let width = page.area.width;
    let names = doc.stages.iter().map(|s| paint::width(&s.name)).max().unwrap_or(5).max(5).min(usize::from(width / 4).max(6)) as u16;
    let bar = (width / 10).clamp(4, 12);
    let times = 2 + names + 1 + TIME;
    let average = times + 1 + bar + 1 + TIME;
    let past: Vec<&PastRun> = history.map(|h| h.runs.iter().filter(|r| r.number != run.number).collect()).unwrap_or_default();
    let room = usize::from(width.saturating_sub(average + 1) / RUN);
    let past = &past[..past.len().min(room)];
    let column = |i: usize| average + 1 + RUN * (i as u16 + 1);
    // Title, then one column for each run.
    rule(page.look, page.area, page.buf, page.y, "STAGES", "");
    page.y += 1;
    page.before(times, "TIME", Role::Heading);
    page.before(average, "USUAL", Role::Heading);
    for (i, r) in past.iter().enumerate() {
        let (_, role) = word::verdict(r.verdict.as_deref().unwrap_or(&r.state), &page.look.glyphs);
        page.before(column(i), &format!("#{}", r.number), role);
    }
    page.y += 1;
    let longest = doc.stages.iter().filter_map(|s| elapsed(model, history, run, s)).max().unwrap_or(0).max(1);
    for stage in &doc.stages {
        let outcome = stage.verdict.clone().unwrap_or_else(|| stage.state.clone());
        let (sign, role) = word::verdict(&outcome, &page.look.glyphs);
        page.at(0, sign, role);
        let name = paint::cut(&stage.name, usize::from(names), page.look.glyphs.ellipsis);
        page.at(2, &name, Role::Text);
        let took = elapsed(model, history, run, stage);
        let usual = history.and_then(|h| h.averages.iter().find(|a| a.stage == stage.name)?.average_ms);
        // Twice its usual time is worth a look, whatever the verdict says.
        let slow = matches!((took, usual), (Some(t), Some(u)) if t > 2 * u && t > 5_000);
        let time = took.map(duration::short).unwrap_or_else(|| "-".into());
        page.before(times, &time, if slow { Role::Warn } else { Role::Text });
        let full = took.map_or(0, |ms| (u128::from(ms) * u128::from(bar)).div_ceil(u128::from(longest)) as usize).min(usize::from(bar));
        let strip = format!("{}{}", page.look.glyphs.bar[2].repeat(full), page.look.glyphs.bar[0].repeat(usize::from(bar) - full));
        page.at(times + 1, &strip, role);
        page.before(average, &usual.map(duration::short).unwrap_or_else(|| "-".into()), Role::Dim);
        for (i, r) in past.iter().enumerate() {
            let Some(s) = r.stages.iter().find(|s| s.name == stage.name) else {
                page.before(column(i), "N/A", Role::Dim);
                continue;
            };
            let (sign, role) = word::verdict(s.verdict.as_deref().unwrap_or(&s.state), &page.look.glyphs);
            let time = s.duration_ms.map(duration::short).unwrap_or_default();
            page.before(column(i), &format!("{time}{sign}"), role);
        }
        page.y += 1;
        words(page, stage, &outcome);
    }
    if !past.is_empty() {
        footer(model, page, past, &column);
    }
}

/// A stage's words and the steps that are not simply green, below it.
fn words(page: &mut Page<'_>, stage: &StageDoc, outcome: &str) {
    let (_, role) = word::verdict(outcome, &page.look.glyphs);
    if !stage.detail.is_empty() {
        page.at(2, &stage.detail, if outcome == "success" { Role::Dim } else { role });
        page.y += 1;
    }
    let open =
        |s: &&crate::api::types::StepDoc| s.verdict.as_deref().is_some_and(|v| v != "success" && v != "skipped") || s.state == "running";
    for step in stage.steps.iter().filter(open).take(20) {
        let outcome = step.verdict.clone().unwrap_or_else(|| step.state.clone());
        let (sign, role) = word::verdict(&outcome, &page.look.glyphs);
        let code = step.exit_code.map(|c| format!("  exit {c}")).unwrap_or_default();
        page.at(4, &format!("{sign} {}  {outcome}{code}  {}", step.name, step.detail), role);
        page.y += 1;
    }
}

/// When the runs before it were, how long they took, and what moved.
fn footer(model: &Model, page: &mut Page<'_>, past: &[&PastRun], column: &dyn Fn(usize) -> u16) {
    page.at(2, "run", Role::Label);
    for (i, r) in past.iter().enumerate() {
        page.before(column(i), &r.duration_ms.map(duration::short).unwrap_or_else(|| "-".into()), Role::Strong);
    }
    page.y += 1;
    page.at(2, "when", Role::Label);
    for (i, r) in past.iter().enumerate() {
        let at = r.started.as_deref().and_then(|t| t.parse::<Timestamp>().ok());
        let text = at.map(|t| when::day(model, t)).unwrap_or_default();
        page.before(column(i), &text, Role::Dim);
    }
    page.y += 1;
    page.at(2, "changes", Role::Label);
    for (i, r) in past.iter().enumerate() {
        let text = match r.changes.as_deref() {
            Some("none") => "none",
            Some(_) => "moved",
            None => "?",
        };
        page.before(column(i), text, Role::Dim);
    }
    page.y += 1;
}

/// How long a stage took, or has taken so far.
fn elapsed(model: &Model, history: Option<&History>, run: &RunRef, stage: &StageDoc) -> Option<u64> {
    if stage.duration_ms.is_some() || stage.state != "running" {
        return stage.duration_ms;
    }
    let own = history?.runs.iter().find(|r| r.number == run.number)?;
    let from: Timestamp = own.stages.iter().find(|s| s.name == stage.name)?.started.as_deref()?.parse().ok()?;
    u64::try_from(model.now.duration_since(from).as_millis()).ok()
}

/// A matrix: by its first key downwards and its second across where it has two; else cells in columns.
fn matrix(page: &mut Page<'_>, stage: &str, cells: &[&CellDoc]) {
    // A cell is as good as its worst step.
    let mut worst: BTreeMap<&str, (u8, &str, u64)> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for c in cells {
        let word = c.verdict.as_deref().unwrap_or(&c.state);
        let entry = worst.entry(&c.cell).or_insert_with(|| {
            order.push(&c.cell);
            (0, word, 0)
        });
        entry.2 += c.duration_ms.unwrap_or(0);
        if weight(word) >= entry.0 {
            (entry.0, entry.1) = (weight(word), word);
        }
    }
    let bad = worst.values().filter(|(_, w, _)| matches!(*w, "failure" | "lost" | "invalid")).count();
    let right = if bad > 0 { format!("{bad} of {} red", order.len()) } else { format!("{} cells", order.len()) };
    rule(page.look, page.area, page.buf, page.y, &format!("MATRIX {stage}"), &right);
    page.y += 1;
    let cell = |key: &str| {
        let (_, word, ms) = worst.get(key).copied().unwrap_or((0, "", 0));
        let time = if ms > 0 { format!(" {}", duration::short(ms)) } else { String::new() };
        (word.to_owned(), time)
    };
    let parts: Vec<Option<[(&str, &str); 2]>> = order.iter().map(|k| two(k)).collect();
    if let Some(pairs) = parts.into_iter().collect::<Option<Vec<_>>>().filter(|p| !p.is_empty()) {
        let (mut rows, mut columns): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for [(_, a), (_, b)] in &pairs {
            if !rows.contains(a) {
                rows.push(a);
            }
            if !columns.contains(b) {
                columns.push(b);
            }
        }
        let left = rows.iter().map(|r| paint::width(r)).max().unwrap_or(0).min(24) as u16 + 2;
        let wide = columns.iter().map(|c| paint::width(c)).max().unwrap_or(0).clamp(9, 16) as u16 + 2;
        for (i, c) in columns.iter().enumerate() {
            let name = paint::cut(c, usize::from(wide) - 2, page.look.glyphs.ellipsis);
            page.at(left + 2 + wide * i as u16, &name, Role::Heading);
        }
        page.y += 1;
        for r in &rows {
            let name = paint::cut(r, usize::from(left) - 1, page.look.glyphs.ellipsis);
            page.at(2, &name, Role::Text);
            for (i, c) in columns.iter().enumerate() {
                let x = left + 2 + wide * i as u16;
                match pairs.iter().zip(&order).find(|([(_, a), (_, b)], _)| a == r && b == c) {
                    Some((_, key)) => put(page, x, cell(key)),
                    None => {
                        let none = page.look.glyphs.none;
                        page.at(x, none, Role::Dim);
                    }
                }
            }
            page.y += 1;
        }
        return;
    }
    let wide = order.iter().map(|k| paint::width(label(k))).max().unwrap_or(0).min(30) as u16 + 10;
    let across = (page.area.width.saturating_sub(2) / wide).max(1);
    for (i, key) in order.iter().enumerate() {
        let x = 2 + wide * (i as u16 % across);
        let (word, time) = cell(key);
        let (sign, role) = word::verdict(&word, &page.look.glyphs);
        let x = page.at(x, &format!("{sign} "), role);
        let name = paint::cut(label(key), 30, page.look.glyphs.ellipsis);
        let x = page.at(x, &name, Role::Text);
        page.at(x, &time, Role::Dim);
        if (i as u16 + 1).is_multiple_of(across) || i + 1 == order.len() {
            page.y += 1;
        }
    }
}

fn put(page: &mut Page<'_>, x: u16, (word, time): (String, String)) {
    let (sign, role) = word::verdict(&word, &page.look.glyphs);
    let text = if matches!(role, Role::Bad) { format!("{sign} {}{time}", word.to_uppercase()) } else { format!("{sign}{time}") };
    page.at(x, &text, role);
}

/// `os=el9` as `el9`: one key needs no name.
fn label(key: &str) -> &str {
    match (key.contains(','), key.split_once('=')) {
        (false, Some((_, v))) => v,
        _ => key,
    }
}

/// `os=el9,arch=x86_64` as two pairs.
fn two(key: &str) -> Option<[(&str, &str); 2]> {
    let mut parts = key.split(',').map(|p| p.split_once('='));
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Some(a)), Some(Some(b)), None) => Some([a, b]),
        _ => None,
    }
}

fn weight(word: &str) -> u8 {
    match word {
        "failure" | "lost" | "invalid" => 5,
        "running" => 4,
        "cancelled" => 3,
        "success" => 1,
        "skipped" => 0,
        _ => 2,
    }
}
