//! The debug overlay: what the console costs, and what it holds.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::base::{count, size};
use crate::console::model::{Model, Stats};
use crate::console::question::Answer;
use crate::console::widget::paint;
use crate::theme::{Look, Role};

const WIDE: u16 = 34;

pub fn draw(model: &Model, stats: &Stats, look: &Look, area: Rect, buf: &mut Buffer) {
    let lines = lines(model, stats);
    let (width, height) = (WIDE.min(area.width), (lines.len() as u16).min(area.height));
    let place = Rect { x: area.x + area.width - width, y: area.y, width, height };
    paint::clear(buf, place, look.style(Role::Dialog));
    for (y, (name, value)) in lines.iter().enumerate() {
        paint::text(buf, place, 1, y as u16, name, look.style(Role::Dialog), look.glyphs.ellipsis);
        paint::text(buf, place, 11, y as u16, value, look.style(Role::Dialog), look.glyphs.ellipsis);
    }
}

fn lines(model: &Model, s: &Stats) -> Vec<(&'static str, String)> {
    let rows: usize = model.known.values().map(|k| if let Some(Answer::Rows(r)) = &k.answer { r.rows.len() } else { 0 }).sum();
    let log = model.screen().log.as_ref().map_or(0, |l| l.held());
    let revision = model.status().map_or_else(|| "not known".to_owned(), |s| format!("{}.{}", s.epoch, s.revision));
    vec![
        ("frame", format!("{}.{} ms  {} B", s.frame_us / 1_000, s.frame_us % 1_000 / 100, s.frame_bytes)),
        ("frames", format!("{}  {} in {} writes", s.frames, size::short(s.bytes), s.writes)),
        ("pace", format!("{} ms  rtt {}", s.gap_ms, s.rtt_ms.map_or_else(|| "?".to_owned(), |r| format!("{r} ms")))),
        ("queues", format!("in {}  out {}  asked {}", s.inbox, s.orders, model.asked.len())),
        ("held", format!("{}  {}", count::s(model.known.len() as u64, "answer"), count::s(rows as u64, "row"))),
        ("log", size::short(log as u64)),
        ("revision", revision),
    ]
}
