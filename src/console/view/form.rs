//! The values of a run, before the question: what each may be, what is wrong with it, and the command that starts it so.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::dialog::{Page, boxed, inside};
use crate::console::form;
use crate::console::model::dialog::{Field, Focus};
use crate::console::model::{Dialog, Model};
use crate::console::update::open;
use crate::console::widget::paint::wrapped;
use crate::console::widget::{input, paint};
use crate::theme::{Look, Role};

/// Options that are listed at once.
const OPTIONS: usize = 6;

struct Row {
    /// Of this field; none = words around them.
    field: Option<usize>,
    indent: u16,
    text: String,
    role: Role,
}

pub fn draw(model: &Model, dialog: &Dialog, look: &Look, area: Rect, buf: &mut Buffer) {
    let names = dialog.fields.iter().map(|f| paint::width(&f.name)).max().unwrap_or(0).min(24) as u16;
    let indent = names + 3;
    let (rows, here) = rows(model, dialog, indent, inside(area));
    let below = 4;
    let room = usize::from(area.height).saturating_sub(2 + below).max(1);
    let first = (here + 1).saturating_sub(room).min(rows.len().saturating_sub(room));
    let shown = rows.len().min(room);
    let title = format!("{}: {}   its values", dialog.action.title, dialog.subject());
    let inner = boxed(look, area, buf, (shown + below) as u16, &title);
    let mut page = Page { look, inner, buf, y: 0 };
    for row in rows.iter().skip(first).take(room) {
        match row.field {
            Some(i) => field(&mut page, dialog, i, names),
            None => page.line(row.indent, &row.text, row.role),
        }
    }
    page.line(0, &open::command(model, dialog).replace('\n', "; "), Role::Dim);
    page.line(0, "Values are kept with the run and shown to all: no passwords here.", Role::Dim);
    page.line(0, dialog.error.as_deref().unwrap_or_default(), Role::PromptError);
    page.line(0, hint(model, dialog), Role::KeyText);
}

/// All rows, and which is the last that must be seen.
fn rows(model: &Model, dialog: &Dialog, indent: u16, width: u16) -> (Vec<Row>, usize) {
    let (mut out, mut here) = (Vec::new(), 0);
    let words = |text: String, role| Row { field: None, indent, text, role };
    for (i, f) in dialog.fields.iter().enumerate() {
        let focused = dialog.focus == Focus::Field(i);
        out.push(Row { field: Some(i), indent, text: String::new(), role: Role::Text });
        // What there is no room for beside the value.
        let (hint, role) = hint_of(f);
        if focused && !fits(f, &hint, indent, width) {
            out.extend(wrapped(&hint, usize::from(width.saturating_sub(indent)).max(8)).into_iter().map(|l| words(l, role)));
        }
        if focused && !f.about.is_empty() {
            out.extend(wrapped(&f.about, usize::from(width.saturating_sub(indent)).max(8)).into_iter().map(|l| words(l, Role::Dim)));
        }
        if focused {
            let all = form::options(model, f);
            let at = all.iter().position(|o| o == f.text()).unwrap_or(0);
            let first = (at + 1).saturating_sub(OPTIONS).min(all.len().saturating_sub(OPTIONS));
            for option in all.iter().skip(first).take(OPTIONS) {
                let sign = if option == f.text() { "(*)" } else { "( )" };
                out.push(words(format!("{sign} {option}"), if option == f.text() { Role::Strong } else { Role::Text }));
            }
            let more = all.len().saturating_sub(first + OPTIONS);
            if more > 0 {
                out.push(words(format!("    {more} more"), Role::Dim));
            }
        }
        // What was not touched yet is only asked for.
        if let Some(why) = form::problem(f).filter(|_| !f.text().is_empty() || dialog.error.is_some()) {
            out.push(words(why, Role::PromptError));
        }
        if focused {
            here = out.len() - 1;
        }
    }
    (out, here)
}

fn field(page: &mut Page<'_>, dialog: &Dialog, i: usize, names: u16) {
    let Some(f) = dialog.fields.get(i) else { return };
    let look = page.look;
    let here = dialog.focus == Focus::Field(i);
    page.at(0, if here { look.glyphs.cursor } else { " " }, Role::Strong);
    page.at(2, &paint::cut(&f.name, usize::from(names), look.glyphs.ellipsis), Role::Label);
    // The value keeps half of the line, whatever is said about it.
    let value = Rect { width: (names + 3).max(page.inner.width / 2), ..page.inner }.intersection(page.inner);
    let x = if here {
        input::draw(look, page.buf, value, 3 + names, page.y, &f.line, look.style(Role::Prompt))
    } else {
        paint::text(page.buf, value, 3 + names, page.y, f.text(), look.style(Role::Text), look.glyphs.ellipsis)
    };
    let (hint, role) = hint_of(f);
    let hint = if here && !fits(f, &hint, names + 3, page.inner.width) { "" } else { &hint };
    page.line(x + 2, hint, role);
}

/// What the value may be, and what it is where nobody gives one.
fn hint_of(f: &Field) -> (String, Role) {
    match (&f.default, f.missing()) {
        (_, true) => (format!("must be given: {}", f.kind), Role::PromptError),
        (Some(d), _) if d != f.text() => (format!("{}; default {d}", f.kind), Role::Dim),
        _ => (f.kind.clone(), Role::Dim),
    }
}

/// Whether a hint has room beside its value and the cursor.
fn fits(f: &Field, hint: &str, indent: u16, width: u16) -> bool {
    usize::from(indent) + paint::width(f.text()) + 3 + paint::width(hint) <= usize::from(width)
}

fn hint(model: &Model, dialog: &Dialog) -> &'static str {
    let pick = match dialog.focus {
        Focus::Field(i) => dialog.fields.get(i).is_some_and(|f| !form::options(model, f).is_empty()),
        _ => false,
    };
    if pick {
        "left, right: pick   Enter: next, then the question   Esc: no"
    } else {
        "Enter: next, then the question   Tab: fields   Esc: no"
    }
}
