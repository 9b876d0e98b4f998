//! What a click of the mouse is on: the list and the row under it. No view says where it drew what; a click is on a row where the cursor,
//! put there, is drawn at the place of the click.

use ratatui::buffer::Buffer;

use super::model::Model;
use super::msg::{Hit, Msg};
use super::shot;
use super::update::update;
use crate::theme::{Look, Role};

/// The row at a column and row of the terminal, both counted from 0; none where there is none.
pub fn hit(model: &Model, look: &Look, x: u16, y: u16) -> Option<Hit> {
    let mut found: Option<(u16, Hit)> = None;
    for list in 0..model.screen().lists.len() {
        let mut probe = model.clone();
        probe.screen_mut().focus = list;
        let Some((_, here)) = cursor(&shot::draw(&probe, look), look) else { continue };
        let Some(row) =
            probe.screen().lists.get(list).and_then(|l| l.at.checked_add_signed(isize::from(y as i16) - isize::from(here as i16)))
        else {
            continue;
        };
        let hit = Hit { list, row };
        let _ = update(&mut probe, Msg::Click(hit));
        let now = cursor(&shot::draw(&probe, look), look);
        if let Some((column, _)) = now.filter(|(column, line)| *line == y && *column <= x)
            && found.is_none_or(|(best, _)| column > best)
        {
            found = Some((column, hit));
        }
    }
    found.map(|(_, hit)| hit)
}

/// Where the cursor of the list that has the keys is drawn.
fn cursor(buf: &Buffer, look: &Look) -> Option<(u16, u16)> {
    let style = look.style(Role::Selected);
    let is = |x: u16, y: u16| {
        let cell = &buf[(x, y)];
        cell.symbol() == look.glyphs.cursor && cell.modifier.contains(style.add_modifier) && style.bg.is_none_or(|bg| cell.bg == bg)
    };
    (0..buf.area.height).find_map(|y| (0..buf.area.width).find(|x| is(*x, y)).map(|x| (x, y)))
}
