//! The screens as pure functions: model in, cells out. `frame` is what stands around every one of them.

mod audit;
mod bar;
mod changes;
mod content;
mod debug;
mod dialog;
mod diff;
mod doctor;
mod excerpt;
mod form;
mod frame;
mod freshness;
mod help;
mod home;
mod jobs;
mod list;
pub mod log;
mod matrix;
mod mirror_parts;
mod mirrors;
mod offers;
pub mod outcome;
mod pipeline;
#[cfg(test)]
mod pipeline_tests;
mod pipeline_text;
mod plain;
mod promotion;
mod promotion_more;
mod promotion_parts;
mod promotion_state;
mod promotions;
pub mod run;
mod run_parts;
mod runs;
mod schedule;
mod scrolled;
mod stage_page;
mod stages;
#[cfg(test)]
pub(super) mod tests;
mod text;
mod welcome;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::model::screen::Kind;
use super::model::{Model, spots, when, word};
use super::widget::paint;
use crate::theme::{Look, Role};

/// Draws everything.
pub fn draw(model: &Model, look: &Look, buf: &mut Buffer) {
    let area = buf.area;
    buf.set_style(area, look.style(Role::Screen));
    if model.welcome {
        return welcome::draw(look, area, buf);
    }
    let Some(inner) = frame::draw(model, look, area, buf) else { return };
    match &model.screen().kind {
        Kind::Home => home::draw(model, look, inner, buf),
        Kind::Jobs => jobs::draw(model, look, inner, buf),
        Kind::Runs => runs::draw(model, look, inner, buf),
        Kind::Run(run) => run::draw(model, look, inner, buf, run),
        Kind::Log(..) => log::draw(model, look, inner, buf),
        Kind::Pipeline(_) => pipeline::draw(model, look, inner, buf),
        Kind::Audit => audit::draw(model, look, inner, buf),
        Kind::Schedule => schedule::draw(model, look, inner, buf),
        Kind::Decisions | Kind::Locks => plain::draw(model, look, inner, buf),
        Kind::Doctor => doctor::draw(model, look, inner, buf),
        Kind::Mirrors => mirrors::draw(model, look, inner, buf),
        Kind::Content => content::draw(model, look, inner, buf),
        Kind::Diff(_) => diff::draw(model, look, inner, buf),
        Kind::Promotions => promotions::draw(model, look, inner, buf),
        Kind::Promotion(id) => promotion::page(model, look, inner, buf, id),
    }
    if let Some(p) = model.prompt.as_ref().filter(|p| !p.offers.is_empty()) {
        offers::draw(p, look, inner, buf);
    }
    if let Some(from) = model.help {
        help::draw(model, look, inner, buf, from);
    }
    if let Some(stats) = &model.debug {
        debug::draw(model, stats, look, inner, buf);
    }
    if let Some(d) = &model.dialog {
        match (d.told, d.filling) {
            (true, _) => outcome::draw(d, look, inner, buf),
            (_, true) => form::draw(model, d, look, inner, buf),
            _ => dialog::draw(model, d, look, inner, buf),
        }
    }
    frame::notice(model, look, area, buf);
}

/// Splits rows off the end of an area.
fn split(area: Rect, below: u16) -> (Rect, Rect) {
    let below = below.min(area.height);
    let above = area.height - below;
    (Rect { height: above, ..area }, Rect { y: area.y + above, height: below, ..area })
}

/// From this width on, a detail stands beside its list.
const BESIDE: u16 = 120;
/// The list's share of the width beside its detail, in percent.
const SHARE: u16 = 65;
/// With fewer columns or rows there is no detail: Enter shows what is behind a row.
const LEAST: (u16, u16) = (60, 14);

/// From this width on, what stands below a list and its detail gets a column of its own.
const THIRD: u16 = 220;

/// What is left for list and detail, and the third column where there is room for one.
fn third(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) -> (Rect, Option<Rect>) {
    if model.screen().wide || area.width < THIRD || area.height < LEAST.1 {
        return (area, None);
    }
    let left = area.width * 68 / 100;
    for y in 0..area.height {
        paint::text(buf, area, left, y, look.glyphs.upright, look.style(Role::Border), "");
    }
    (Rect { width: left, ..area }, Some(Rect { x: area.x + left + 2, width: area.width - left - 2, ..area }))
}

/// List and detail: side by side, or the detail in `rows` rows below; no detail where there is no room, or where the list is to be wide.
fn beside(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, rows: u16) -> (Rect, Option<Rect>) {
    beside_list(model, look, area, buf, rows, 0)
}

/// The same for a list that has `least` columns of its own at least, where they stand side by side.
fn beside_list(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, rows: u16, least: u16) -> (Rect, Option<Rect>) {
    if model.screen().wide || area.width < LEAST.0 || area.height < LEAST.1 {
        return (area, None);
    }
    if area.width < BESIDE {
        let (above, below) = split(area, rows.min(area.height / 2));
        return (above, Some(below));
    }
    let left = (area.width * SHARE / 100).max(least.min(area.width * 3 / 4));
    for y in 0..area.height {
        paint::text(buf, area, left, y, look.glyphs.upright, look.style(Role::Border), "");
    }
    let right = Rect { x: area.x + left + 2, width: area.width - left - 2, ..area };
    (Rect { width: left - 1, ..area }, Some(right))
}
