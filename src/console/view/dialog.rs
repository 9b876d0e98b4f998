//! The dialog before a change: what it touches, how it is undone, what it costs, what is asked, and what must be typed. The focus is on cancel.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::console::model::dialog::Focus;
use crate::console::model::{Dialog, Model};
use crate::console::update::open;
use crate::console::widget::paint::wrapped;
use crate::console::widget::{input, paint};
use crate::domain::level::Level;
use crate::theme::{Look, Role};

/// Where texts begin, behind their labels.
pub const INDENT: u16 = 9;

pub fn draw(model: &Model, dialog: &Dialog, look: &Look, area: Rect, buf: &mut Buffer) {
    let role = if dialog.level >= Level::L2 { Role::DialogDanger } else { Role::Dialog };
    let wide = usize::from(inside(area));
    let own = if dialog.is_form() { &[][..] } else { dialog.fields.as_slice() };
    let asked = asked(dialog, wide);
    let error = dialog.error.as_deref().map(|e| wrapped(e, wide.max(8))).unwrap_or_default();
    // Below the facts: fields, the line of the name, the error, and what the keys do.
    let least = own.len() + asked.len() + error.len().max(1) + 1;
    let all = usize::from(area.height).saturating_sub(2);
    let lines = facts(model, dialog, look, wide.saturating_sub(usize::from(INDENT)).max(8), all.saturating_sub(least));
    let below = (least + dialog.diff.len()).min(all.saturating_sub(lines.len()).max(least));
    let title = format!("{}: {}", dialog.action.title, dialog.subject());
    let inner = boxed(look, area, buf, (lines.len() + below) as u16, &title);
    let mut page = Page { look, inner, buf, y: 0 };
    for (label, text) in &lines {
        page.at(0, label, Role::Label);
        page.line(INDENT, text, Role::Text);
    }
    if !dialog.diff.is_empty() {
        let rows = page.inner.height.saturating_sub(page.y + error.len().max(1) as u16 + 1);
        let part = Rect { y: page.inner.y + page.y, height: rows, ..page.inner };
        super::pipeline::difference(look, part, page.buf, &dialog.diff, dialog.scroll);
        page.y += rows;
    }
    let names = own.iter().map(|f| paint::width(&f.name)).max().unwrap_or(0).min(24) as u16;
    for (i, f) in own.iter().enumerate() {
        let here = dialog.focus == Focus::Field(i);
        page.at(0, if here { look.glyphs.cursor } else { " " }, Role::Strong);
        page.at(2, &paint::cut(&f.name, usize::from(names), look.glyphs.ellipsis), Role::Label);
        let x = match here {
            true => input::draw(look, page.buf, page.inner, 3 + names, page.y, &f.line, look.style(Role::Prompt)),
            false => page.at(3 + names, f.text(), Role::Text),
        };
        let hint = match (&f.default, f.missing()) {
            (_, true) => format!("must be given: {}", f.kind),
            (Some(d), _) if d != f.text() && !d.is_empty() => format!("{}; default {d}", f.kind),
            _ => f.kind.clone(),
        };
        page.line(x + 2, &hint, if f.missing() { Role::PromptError } else { Role::Dim });
    }
    let here = dialog.focus == Focus::Name;
    for (i, (asks, typed)) in asked.iter().enumerate() {
        page.at(0, if here && i == 0 { look.glyphs.cursor } else { " " }, Role::Strong);
        let x = page.at(2, asks, role);
        page.line(x, typed, Role::Prompt);
    }
    for line in &error {
        page.line(0, line, Role::PromptError);
    }
    page.y += u16::from(error.is_empty());
    // `Cancel` would say the opposite in the question about cancelling a run.
    let cancel = match dialog.focus {
        Focus::Cancel => "[ No ]",
        _ => "  No  ",
    };
    let x = page.at(0, cancel, if dialog.focus == Focus::Cancel { Role::Key } else { Role::KeyText });
    page.line(x + 2, hint(dialog), role);
}

/// What is told, in so many rows: where that is too much, the longest fact is cut first, so that of each something stands.
fn facts(model: &Model, dialog: &Dialog, look: &Look, width: usize, room: usize) -> Vec<(String, String)> {
    let (command, values) = (open::command(model, dialog), values(dialog));
    let told = dialog.facts.iter().map(|(l, t)| (l.as_str(), t.as_str()));
    let more = values.as_deref().map(|v| ("values", v)).into_iter().chain([("same as", command.as_str())]);
    let mut all: Vec<(&str, Vec<String>)> = told.chain(more).map(|(label, text)| (label, wrapped(text, width))).collect();
    while all.iter().map(|(_, lines)| lines.len()).sum::<usize>() > room
        && let Some((_, lines)) = all.iter_mut().max_by_key(|(_, lines)| lines.len()).filter(|(_, lines)| lines.len() > 1)
    {
        lines.pop();
        if let Some(last) = lines.last_mut() {
            *last = format!(
                "{} {}",
                paint::cut(last.trim_end_matches(look.glyphs.ellipsis).trim_end(), width.saturating_sub(2), ""),
                look.glyphs.ellipsis
            );
        }
    }
    let label = |i: usize, label: &str| if i == 0 { label.to_owned() } else { String::new() };
    let mut out: Vec<(String, String)> =
        all.into_iter().flat_map(|(l, lines)| lines.into_iter().enumerate().map(move |(i, line)| (label(i, l), line))).collect();
    // What must be answered is never pushed out by what is told.
    if out.len() > room {
        out.truncate(room.saturating_sub(1));
        out.push((String::new(), look.glyphs.ellipsis.to_owned()));
    }
    out
}

/// Columns for what is typed, beside what is to be typed.
const TYPED: usize = 12;

/// What is to be typed, and what is: in one row, or below one another where the name is too long for that. Of what is typed, the end is seen.
fn asked(dialog: &Dialog, width: usize) -> Vec<(String, String)> {
    if dialog.level < Level::L2 {
        return Vec::new();
    }
    let typed = format!("{}{}", dialog.typed, if dialog.focus == Focus::Name { "_" } else { "" });
    let asks = format!("type {}: ", dialog.phrase());
    let room = width.saturating_sub(2).max(8);
    let needs = paint::width(dialog.phrase().as_str()).max(TYPED) + 1;
    if paint::width(&asks) + needs <= room {
        return vec![(asks, typed)];
    }
    let mut end = typed.as_str();
    while paint::width(end) > room {
        end = end.split_at(end.chars().next().map_or(0, char::len_utf8)).1;
    }
    let own = (String::new(), end.to_owned());
    wrapped(asks.trim_end(), room).into_iter().map(|line| (line, String::new())).chain([own]).collect()
}

/// The values of a form, in one line.
fn values(dialog: &Dialog) -> Option<String> {
    let value = |f: &crate::console::model::dialog::Field| {
        let shown = if f.text().is_empty() { "(empty)" } else { f.text() };
        format!("{}={shown}{}", f.name, if f.default.as_deref() == Some(f.text()) { " (default)" } else { "" })
    };
    dialog.is_form().then(|| dialog.fields.iter().map(value).collect::<Vec<_>>().join(", "))
}

/// What the keys do where the focus is.
fn hint(dialog: &Dialog) -> &'static str {
    if !dialog.diff.is_empty() {
        return "y does it   up, down: more   Enter, Esc: no   c copies";
    }
    match (dialog.focus, dialog.level >= Level::L2, dialog.fields.is_empty()) {
        (Focus::Cancel, false, true) => "y does it   Enter, Esc: no   c copies the command",
        (Focus::Cancel, false, false) if dialog.is_form() => "y does it   e: values   Enter, Esc: no   c copies",
        (Focus::Cancel, false, false) => "y does it   Tab: values   Enter, Esc: no   c copies",
        (Focus::Cancel, true, _) => "Tab: type the name   Enter, Esc: no   c copies the command",
        (Focus::Field(_), ..) => "Enter, Tab: next   C-u clears   Esc: no",
        (Focus::Name, ..) => "Enter does it once the name is there   Esc: no",
    }
}

pub struct Page<'a> {
    pub look: &'a Look,
    pub inner: Rect,
    pub buf: &'a mut Buffer,
    pub y: u16,
}

impl Page<'_> {
    pub fn at(&mut self, x: u16, text: &str, role: Role) -> u16 {
        paint::text(self.buf, self.inner, x, self.y, text, self.look.style(role), self.look.glyphs.ellipsis)
    }

    pub fn line(&mut self, x: u16, text: &str, role: Role) {
        self.at(x, text, role);
        self.y += 1;
    }
}

fn outside(area: Rect) -> u16 {
    area.width.saturating_sub(4).min(120).max(area.width.min(20))
}

/// Columns inside of a box in this area.
pub fn inside(area: Rect) -> u16 {
    outside(area).saturating_sub(4)
}

/// A box in the middle of the area with a title; returns its inside.
pub fn boxed(look: &Look, area: Rect, buf: &mut Buffer, rows: u16, title: &str) -> Rect {
    let width = outside(area);
    let height = rows.saturating_add(2).min(area.height);
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    paint::clear(buf, place, look.style(Role::Screen).patch(look.style(Role::Dialog)));
    let (border, last) = (look.style(Role::Border), height.saturating_sub(1));
    let rule = look.glyphs.line.repeat(usize::from(width.saturating_sub(2)));
    let [above_left, above_right, below_left, below_right] = look.glyphs.corners;
    for (y, left, right) in [(0, above_left, above_right), (last, below_left, below_right)] {
        paint::text(buf, place, 0, y, &format!("{left}{rule}{right}"), border, "");
    }
    // Without colours nothing else tells it from what it covers.
    for y in 1..last {
        paint::text(buf, place, 0, y, look.glyphs.upright, border, "");
        paint::text(buf, place, width.saturating_sub(1), y, look.glyphs.upright, border, "");
    }
    let room = Rect { width: width.saturating_sub(2), ..place };
    let title = paint::middle(title, usize::from(width.saturating_sub(6)), look.glyphs.ellipsis);
    paint::text(buf, room, 2, 0, &format!(" {title} "), look.style(Role::Section), look.glyphs.ellipsis);
    Rect { x: place.x + 2.min(width), y: place.y + 1.min(height), width: width.saturating_sub(4), height: height.saturating_sub(2) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action;

    /// However long a name is, what is typed of it is seen, and of that the end.
    #[test]
    fn what_is_typed_is_seen_beside_any_name() {
        let of = |name: &str, typed: &str| {
            let mut d = Dialog::about(action::find("run").unwrap(), vec![name.to_owned()], 0);
            (d.level, d.focus, d.typed) = (Level::L2, Focus::Name, typed.to_owned());
            asked(&d, 40)
        };
        assert_eq!(of("nightly", "nig"), [("type nightly: ".to_owned(), "nig_".to_owned())]);
        let long = "a-pipeline-of-a-name-that-is-longer-than-a-row-of-the-box";
        let rows = of(long, &long[..50]);
        assert_eq!(rows.len(), 4, "{rows:?}");
        assert!(rows.iter().all(|(asks, typed)| paint::width(asks) + paint::width(typed) <= 38), "{rows:?}");
        assert_eq!(rows[..3].iter().map(|(asks, _)| asks.as_str()).collect::<String>(), format!("type{long}:"));
        assert!(rows[3].1.ends_with("-than-a-row-of-_"), "{rows:?}");
    }
}
