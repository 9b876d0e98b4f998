//! The screens as pure functions: model in, cells out. `frame` is what stands around every one of them.

mod audit;
mod dialog;
mod frame;
mod help;
mod home;
mod jobs;
mod run;
mod runs;
mod schedule;
mod welcome;
mod when;
pub mod word;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::model::Model;
use super::model::screen::Kind;
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
        Kind::Audit => audit::draw(model, look, inner, buf),
        Kind::Schedule => schedule::draw(model, look, inner, buf),
    }
    if model.help {
        help::draw(model, look, inner, buf);
    }
    if let Some(d) = &model.dialog {
        dialog::draw(model, d, look, inner, buf);
    }
}

/// Splits rows off the end of an area.
fn split(area: Rect, below: u16) -> (Rect, Rect) {
    let below = below.min(area.height);
    let above = area.height - below;
    (Rect { height: above, ..area }, Rect { y: area.y + above, height: below, ..area })
}
