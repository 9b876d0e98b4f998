//! The log of one step: its head, how it is looked at, and the lines that the window holds of it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::word;
use crate::api::log::AttemptsDoc;
use crate::base::{duration, size};
use crate::console::log::LogScreen;
use crate::console::log::line::Line;
use crate::console::log::state::{GUTTER, HEX_ROW, Hex, STAMP};
use crate::console::log::window::{Row, Top};
use crate::console::model::{Clock, Link, Model};
use crate::console::question::{Answer, Question};
use crate::console::update::log::attempts;
use crate::console::widget::paint;
use crate::domain::run::RunRef;
use crate::theme::{Look, Role};

/// Rows above the lines.
const HEAD: u16 = 2;

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let Some(log) = &model.screen().log else { return };
    head(model, look, area, buf, log);
    standing(model, look, area, buf, log);
    if area.height <= HEAD {
        return;
    }
    let body = Rect { y: area.y + HEAD, height: area.height - HEAD, ..area };
    if let Some(text) = absent(model, log) {
        let bad = log.error.is_some();
        let style = look.style(if bad { Role::Bad } else { Role::Dim });
        for (text, y) in words(&text, usize::from(area.width.saturating_sub(2 * GUTTER))).iter().zip(1..) {
            paint::text(buf, body, GUTTER, y, text, style, look.glyphs.ellipsis);
        }
        return;
    }
    match &log.hex {
        Some(hex) => bytes(look, body, buf, hex),
        None => lines(model, look, body, buf, log),
    }
}

/// `✓ build / compile (el9)  attempt 2 of 3  success  1m20s`.
fn head(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, log: &LogScreen) {
    let sign = look.glyphs.ellipsis;
    let doc = attempts(model, log);
    let Some((doc, a)) = doc.and_then(|d| Some((d, log.attempt(d)?))) else {
        let place = log.place.as_deref().unwrap_or("the step that matters most");
        paint::text(buf, area, 0, 0, &format!("{}  {place}", log.run), look.style(Role::Section), sign);
        return;
    };
    let outcome = a.verdict.clone().unwrap_or_else(|| a.state.clone());
    let (mark, role) = word::verdict(&outcome, &look.glyphs);
    let x = paint::text(buf, area, 0, 0, mark, look.style(role), sign);
    let x = paint::text(buf, area, x + 1, 0, &format!("{} / {}", a.stage, a.label()), look.style(Role::Section), sign);
    let same = |b: &&crate::api::log::AttemptDoc| (&b.stage, &b.cell, &b.step) == (&a.stage, &a.cell, &a.step);
    let tries = doc.attempts.iter().filter(same).count();
    let mut text = if tries > 1 { format!("  attempt {} of {tries}", a.number) } else { String::new() };
    text += &format!("  {outcome}");
    let instant = |t: &Option<String>| t.as_deref().and_then(|t| t.parse::<jiff::Timestamp>().ok());
    if let Some(from) = instant(&a.started) {
        let ms = instant(&a.ended).unwrap_or(model.heard()).duration_since(from).as_millis();
        text += &format!("  {}", duration::short(u64::try_from(ms).unwrap_or(0)));
    }
    let x = paint::text(buf, area, x, 0, &text, look.style(role), sign);
    let all = log.choices(doc);
    if let Some(at) = all.iter().position(|b| b.fence == a.fence).filter(|_| all.len() > 1) {
        let text = format!("  step {} of {}", at + 1, all.len());
        paint::text(buf, area, x, 0, &text, look.style(Role::Dim), sign);
    }
}

/// How it is looked at: following or not, where in the log, and what is searched for.
fn standing(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, log: &LogScreen) {
    if log.fence.is_none() {
        return;
    }
    let sign = look.glyphs.ellipsis;
    let mut x = 0;
    let mut put = |text: &str, role: Role| x = paint::text(buf, area, x, 1, text, look.style(role), sign);
    match (&model.link, log.complete, log.follow && log.hex.is_none()) {
        (Link::Down { .. }, ..) => put("disconnected", Role::Warn),
        (_, true, _) => put("ended", Role::Dim),
        (_, false, true) => put("following", Role::Running),
        (_, false, false) => put("paused", Role::Warn),
    }
    let at = match &log.hex {
        Some(h) => h.top + HEX_ROW * u64::from(area.height.saturating_sub(HEAD)),
        None if log.follow => log.size,
        None => log.top.offset,
    };
    let share = (u128::from(at.min(log.size)) * 100).checked_div(u128::from(log.size)).unwrap_or(100);
    put(&format!("  {share}% of {}", size::short(log.size)), Role::Dim);
    if let Some(f) = &log.filter {
        put("  only ", Role::Dim);
        put(&f.pattern.text, Role::Match);
        let how = match (f.running && !f.asked, f.full, f.complete) {
            (true, ..) => "  searching".to_owned(),
            (_, true, _) => "  more follow: page down at the end".to_owned(),
            _ => String::new(),
        };
        let around = if f.context == 1 { "line" } else { "lines" };
        put(&format!("  {}, {} {around} around{how}", hits(f.hits, ""), f.context), Role::Count);
        if f.from > 0 {
            put("  g g: from the beginning", Role::Dim);
        }
    }
    if let Some(s) = &log.search {
        put("  /", Role::Dim);
        put(&s.pattern.text, Role::Match);
        let more = if s.is_full() { "+" } else { "" };
        let where_ = s.number().map_or_else(|| format!("  {}", hits(s.hits.len(), more)), |n| format!("  {n} of {}{more}", s.hits.len()));
        put(&where_, Role::Count);
        if s.running || s.wanted {
            let done = (u128::from(s.next.min(log.size)) * 100).checked_div(u128::from(log.size)).unwrap_or(0);
            put(&format!("  searching {done}%, esc stops"), Role::Running);
        }
    }
    if let Some(bytes) = log.saving {
        put(&format!("  saving {}", size::short(bytes)), Role::Running);
    }
    if log.column > 0 && !log.wrap && log.hex.is_none() {
        put(&format!("  from column {}", log.column + 1), Role::Dim);
    }
    if let Some(e) = log.error.as_ref().filter(|_| !log.window.is_empty()) {
        put(&format!("  {e}; r asks again"), Role::Bad);
    }
    if let Some(note) = &log.note {
        put(&format!("  {note}"), Role::Warn);
    }
}

/// `1 hit`, `500+ hits`.
fn hits(n: usize, more: &str) -> String {
    format!("{n}{more} {}", if n == 1 && more.is_empty() { "hit" } else { "hits" })
}

/// A sentence on rows of this width.
fn words(text: &str, width: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in text.split(' ') {
        match rows.last_mut() {
            Some(row) if row.is_empty() || paint::width(row) + 1 + paint::width(word) <= width => {
                if !row.is_empty() {
                    row.push(' ');
                }
                row.push_str(word);
            }
            _ => rows.push(word.to_owned()),
        }
    }
    rows
}

fn no_such(run: &RunRef, place: &str, doc: &AttemptsDoc) -> String {
    // Attempts of a resume come behind those of all stages before it.
    let mut names: Vec<&str> = Vec::new();
    for a in &doc.attempts {
        if !names.contains(&a.stage.as_str()) {
            names.push(&a.stage);
        }
    }
    format!("{run} has run no `{place}`; it ran: {}", names.join(", "))
}

/// The log of a stage or step that the run has not, once the engine has said which it has.
pub fn no_such_place(model: &Model) -> Option<String> {
    let log = model.screen().log.as_deref().filter(|l| l.fence.is_none())?;
    match model.known(&Question::Attempts(log.run.clone()))?.answer.as_ref()? {
        Answer::Attempts(doc) if !doc.attempts.is_empty() => Some(no_such(&log.run, log.place.as_deref()?, doc)),
        _ => None,
    }
}

/// Why there are no lines, and what next.
fn absent(model: &Model, log: &LogScreen) -> Option<String> {
    if matches!(model.link, Link::Saved { .. }) && log.window.is_empty() {
        return Some("a saved state holds no logs, but for the last lines on the page of a run: open the console on its engine".to_owned());
    }
    let known = model.known(&Question::Attempts(log.run.clone()));
    let doc = known.and_then(|k| k.answer.as_ref()).and_then(|a| if let Answer::Attempts(d) = a { Some(d) } else { None });
    let Some(doc) = doc else {
        return Some(match (known.and_then(|k| k.error.as_ref()), &model.link) {
            (Some(e), _) => word::cured(e),
            (None, Link::Down { why, .. }) => format!("no engine: {why}. It is asked when it is back"),
            (_, _) => "asking the engine which steps ran".to_owned(),
        });
    };
    if log.fence.is_none() {
        return Some(match (&log.place, doc.attempts.is_empty(), doc.done) {
            (_, true, false) => "nothing has run yet; w says why. Its log opens here as soon as it begins".to_owned(),
            (_, true, true) => "nothing of this run was started; w says why".to_owned(),
            (Some(place), false, _) => no_such(&log.run, place, doc),
            (None, false, _) => "asking the engine".to_owned(),
        });
    }
    let nothing = match &log.hex {
        Some(h) => h.bytes.is_empty(),
        None => log.window.is_empty(),
    };
    if !nothing {
        return None;
    }
    if let Some(e) = &log.error {
        return Some(format!("{}; r asks again", word::cured(e)));
    }
    if let Some(f) = &log.filter {
        return Some(match ((f.running || f.wanted) && !f.asked, f.complete) {
            (true, _) => "searching".to_owned(),
            (false, true) => format!("no line has {}; \\ shows all lines", f.pattern.text),
            (false, false) => format!("no line has {} yet; \\ shows all lines", f.pattern.text),
        });
    }
    Some(match (log.loaded, log.complete, &model.link) {
        (false, _, Link::Down { .. }) => "not read before the engine went away; it is read when it is back".to_owned(),
        (false, ..) => "reading the log".to_owned(),
        (true, true, _) => log.note.clone().unwrap_or_else(|| "the step wrote nothing".to_owned()),
        (true, false, _) => "the step has written nothing yet".to_owned(),
    })
}

fn lines(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, log: &LogScreen) {
    let fit = log.fit(area.width);
    let top = if log.follow { log.window.bottom(usize::from(area.height), fit) } else { log.window.settle(log.top, fit) };
    let from = log.window.index(top.offset);
    let mut page = Page { model, look, area, buf, log, y: 0 };
    for row in log.window.rows().iter().skip(from) {
        if page.y >= area.height {
            break;
        }
        page.row(row, if row.offset == top.offset { top } else { Top { offset: row.offset, row: 0 } });
    }
}

struct Page<'a> {
    model: &'a Model,
    look: &'a Look,
    area: Rect,
    buf: &'a mut Buffer,
    log: &'a LogScreen,
    y: u16,
}

impl Page<'_> {
    fn row(&mut self, row: &Row, top: Top) {
        let (look, log, area) = (self.look, self.log, self.area);
        let hit = log.search.as_ref().is_some_and(|s| s.current == Some(row.offset));
        let (sign, role) = match (hit, log.error_at == Some(row.offset)) {
            (true, _) => (look.glyphs.cursor, Role::Strong),
            (false, true) => (look.glyphs.bad, Role::Bad),
            (false, false) => (" ", Role::Text),
        };
        let base = look.style(if row.context { Role::Dim } else { Role::Text });
        let stamp = if log.stamps_fit(area.width) { STAMP } else { 0 };
        if top.row == 0 {
            paint::text(self.buf, area, 0, self.y, sign, look.style(role), "");
            if stamp > 0 {
                let text = row.at_ms.map(|ms| moment(self.model, ms)).unwrap_or_default();
                paint::text(self.buf, area, GUTTER, self.y, &paint::cut(&text, usize::from(STAMP) - 1, ""), look.style(Role::Dim), "");
            }
        }
        let x = GUTTER + stamp;
        if row.binary {
            let text = format!("[{} that are no text; x shows them]", size::short(row.end.saturating_sub(row.offset)));
            paint::text(self.buf, area, x, self.y, &text, look.style(Role::Warn), look.glyphs.ellipsis);
            self.y += 1;
            return;
        }
        let line = Line::read(&row.text, look.theme.name != "mono");
        let mark = log.search.as_ref().map(|s| &s.pattern).or(log.filter.as_ref().map(|f| &f.pattern));
        let found: Vec<_> = mark
            .map(|p| p.marks.find_iter(&line.text).map(|m| m.range()).filter(|r| !r.is_empty()).take(500).collect())
            .unwrap_or_default();
        let marked = look.style(Role::Match);
        let fit = log.fit(area.width);
        if fit.wrap {
            for letters in line.rows(fit.width).into_iter().skip(top.row) {
                line.draw(self.buf, area, (x, self.y), letters, base, &found, marked);
                self.y += 1;
            }
        } else {
            let (letters, more) = line.part(log.column, fit.width);
            line.draw(self.buf, area, (x, self.y), letters, base, &found, marked);
            if more && area.width > x {
                paint::text(self.buf, area, area.width - 1, self.y, look.glyphs.ellipsis, look.style(Role::Dim), "");
            }
            self.y += 1;
        }
    }
}

/// `01:29:03.123`, or how long ago.
fn moment(model: &Model, ms: i64) -> String {
    let Ok(at) = jiff::Timestamp::from_millisecond(ms) else { return String::new() };
    match model.clock {
        Clock::Relative => super::when::relative(model.now, at),
        Clock::Site | Clock::Here | Clock::Utc => at.to_zoned(super::when::zone(model)).strftime("%H:%M:%S%.3f").to_string(),
    }
}

/// Sixteen bytes a row: where, in hexadecimal digits, and the letters among them.
fn bytes(look: &Look, area: Rect, buf: &mut Buffer, hex: &Hex) {
    let sign = look.glyphs.ellipsis;
    for y in 0..area.height {
        let at = hex.top + u64::from(y) * HEX_ROW;
        let Some(from) = at.checked_sub(hex.at).and_then(|o| usize::try_from(o).ok()) else { continue };
        let Some(row) = hex.bytes.get(from..hex.bytes.len().min(from + HEX_ROW as usize)).filter(|r| !r.is_empty()) else { break };
        let digits: Vec<String> = row.iter().map(|b| format!("{b:02x}")).collect();
        let letters: String = row.iter().map(|b| if (b' '..=b'~').contains(b) { *b as char } else { '.' }).collect();
        let x = paint::text(buf, area, 0, y, &format!("{at:010x}  "), look.style(Role::Dim), sign);
        paint::text(buf, area, x, y, &digits.join(" "), Style::default(), sign);
        paint::text(buf, area, x + 49, y, &letters, look.style(Role::Strong), sign);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_ran_again_is_named_once() {
        let attempt = |fence: u64, stage: &str| {
            serde_json::json!({"fence": fence, "stage": stage, "cell": "", "step": stage, "number": 1, "state": "done", "verdict": null,
                               "started": null, "ended": null, "log_bytes": 0})
        };
        let all = [attempt(1, "a"), attempt(2, "b"), attempt(3, "a"), attempt(4, "b")];
        let doc: AttemptsDoc = serde_json::from_value(serde_json::json!({"run": "n#1", "done": true, "attempts": all})).unwrap();
        assert_eq!(no_such(&RunRef::new("n", 1), "c", &doc), "n#1 has run no `c`; it ran: a, b");
    }
}
