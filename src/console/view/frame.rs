//! What stands around every screen: identity and mode above, the worst facts below it, keys and command line at the bottom.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::{bar, text, when};
use crate::base::sanitise;
use crate::console::command;
use crate::console::keymap::Found;
use crate::console::model::{Link, Mode, Model, PromptKind};
use crate::console::update::facts::{self, Fact};
use crate::theme::{Look, Role};

use super::super::widget::{input, paint};

/// Draws the frame, and returns what is left for the screen; none where there is no room for one.
pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) -> Option<Rect> {
    identity(model, look, area, buf);
    let rows = area.height;
    if rows < 2 {
        return None;
    }
    let bottom = Rect { y: area.y + rows - 1, height: 1, ..area };
    line(model, look, bottom, buf);
    // Ribbon and key bar go first where there is little room.
    let (ribbon_rows, bar_rows) = (u16::from(rows >= 4), u16::from(rows >= 6));
    if ribbon_rows == 1 {
        ribbon(model, look, Rect { y: area.y + 1, height: 1, ..area }, buf);
    }
    if bar_rows == 1 {
        bar::draw(model, look, Rect { y: area.y + rows - 2, height: 1, ..area }, buf);
    }
    let used = 2 + ribbon_rows + bar_rows;
    (rows > used).then(|| Rect { y: area.y + 1 + ribbon_rows, height: rows - used, ..area })
}

/// Columns of a title that is cut.
const TITLE: usize = 20;

/// `quarterdeck SITE DEMO READ-ONLY [8]JOBS … Tue 07 Apr 03:07 CDT`: what is most needed is leftmost and never cut by the clock.
fn identity(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let base = look.style(Role::Identity);
    paint::row(buf, area, 0, base);
    let mut x = 0;
    let mut put = |text: &str, role: Role| {
        let own = look.style(role);
        // Where the bar is made by reversal, a word that is not reversed stands out of it.
        let out = matches!(role, Role::Demo | Role::Armed | Role::Alarm) && !own.add_modifier.contains(Modifier::REVERSED);
        let style = if out && own.bg.is_none() { own } else { base.patch(own) };
        x = paint::text(buf, area, x, 0, text, style, look.glyphs.ellipsis);
        x = paint::text(buf, area, x, 0, " ", base, "");
    };
    put("quarterdeck", Role::Identity);
    put(&model.site.name, Role::Strong);
    if model.site.demo {
        put("DEMO", Role::Demo);
    }
    match (&model.link, &model.mode) {
        (Link::Down { .. }, _) => put("DISCONNECTED", Role::Alarm),
        (Link::Saved { .. }, _) => put("SAVED STATE", Role::Alarm),
        (Link::Connecting, _) => put("connecting", Role::ReadOnly),
        (Link::Up, Mode::ReadOnly) => put("READ-ONLY", Role::ReadOnly),
        (Link::Up, Mode::Armed { until, .. }) => {
            let left = until.duration_since(model.now).as_secs().max(0);
            put(&format!("ARMED {}:{:02}", left / 60, left % 60), Role::Armed);
        }
    }
    let others = others(model);
    if !others.is_empty() {
        put(&format!("also armed: {}", others.join(",")), Role::Alarm);
    }
    if let Some(since) = model.frozen {
        put(&format!("FROZEN {}", when::brief(model, since)), Role::Alarm);
    }
    if model.status().is_some_and(|s| s.draining) {
        put("DRAINED", Role::Alarm);
    }
    // The way back gives way to the clock, and the day to what the screen is called.
    let (title, crumbs) = (model.screen().kind.title(), crumbs(model, area.width));
    let [long, short] = ["%a %d %b %H:%M %Z", "%H:%M %Z"].map(|form| clock(model, form));
    // A long name gives way to the time, but for its ends.
    let most = usize::from(area.width.saturating_sub(x + 3)).saturating_sub(paint::width(&short));
    let title = if most >= TITLE { paint::middle(&title, most, look.glyphs.ellipsis) } else { title };
    let needs = x + paint::width(&title) as u16 + 2;
    // How many sources answer stands behind the clock, and gives way last but for the time itself.
    let answers = answering(model);
    let behind = answers.as_ref().map(|(text, _)| format!(" {text}")).unwrap_or_default();
    let room = area.width.saturating_sub(paint::width(&behind) as u16);
    let behind_fits = needs + paint::width(&short) as u16 <= room;
    let (behind, room) = if behind_fits { (behind, room) } else { (String::new(), area.width) };
    // The blank behind the way back is not there without it.
    let wide = |crumbs: &str| paint::width(crumbs) as u16 + u16::from(!crumbs.is_empty());
    let fits = |clock: &str, crumbs: &str| needs + wide(crumbs) + paint::width(clock) as u16 <= room;
    let (clock, crumbs) = match (fits(&long, &crumbs), fits(&long, "")) {
        (true, _) => (long, crumbs),
        (false, true) if fits(&short, &crumbs) => (short, crumbs),
        (false, true) => (long, String::new()),
        (false, false) => (short, String::new()),
    };
    let mut put = |text: &str, role: Role| {
        let style = base.patch(look.style(role));
        x = paint::text(buf, area, x, 0, text, style, look.glyphs.ellipsis);
        x = paint::text(buf, area, x, 0, " ", base, "");
    };
    if !crumbs.is_empty() {
        put(&crumbs, Role::Identity);
    }
    put(&title, Role::Strong);
    let at = room.saturating_sub(paint::width(&clock) as u16);
    if at > x {
        let end = paint::text(buf, area, at, 0, &clock, base, "");
        let role = if answers.is_some_and(|(_, all)| all) { Role::Identity } else { Role::Alarm };
        paint::text(buf, area, end, 0, &behind, base.patch(look.style(role)), "");
    }
}

/// `src 3/4`: how many far ends answer, of those that the engine asks by itself, and whether all do. Without an engine nobody knows.
fn answering(model: &Model) -> Option<(String, bool)> {
    let all = &model.status()?.sources;
    if all.is_empty() {
        return None;
    }
    let good = all.iter().filter(|s| s.state == "answers").count();
    Some(match model.link {
        Link::Up | Link::Saved { .. } => (format!("src {good}/{}", all.len()), good == all.len()),
        Link::Down { .. } | Link::Connecting => (format!("src ?/{}", all.len()), false),
    })
}

/// Who else is armed now, as far as the engine has told.
fn others(model: &Model) -> Vec<String> {
    let own = if let Mode::Armed { lease, .. } = model.mode { Some(lease) } else { None };
    let live = |until: &str| until.parse::<jiff::Timestamp>().is_ok_and(|t| t > model.now);
    let all = model.status().map(|s| s.armed.as_slice()).unwrap_or_default();
    let mut names: Vec<String> = all.iter().filter(|a| Some(a.lease) != own && live(&a.until)).map(|a| sanitise::cell(&a.who)).collect();
    names.sort();
    names.dedup();
    names
}

/// The way back, as far as there is room for it: `HOME > JOBS >`.
fn crumbs(model: &Model, width: u16) -> String {
    let depth = model.stack.len().saturating_sub(1);
    let titles: Vec<String> = model.stack.iter().take(depth).map(|s| format!("{} >", s.kind.title())).collect();
    let room = usize::from(width / 5);
    let from = (0..titles.len()).find(|i| paint::width(&titles[*i..].join(" ")) <= room).unwrap_or(titles.len());
    titles[from..].join(" ")
}

fn clock(model: &Model, form: &str) -> String {
    model.now.to_zoned(when::zone(model)).strftime(form).to_string()
}

/// The worst facts, worst first; one quiet sentence where there is none. How many have no room is told at the right.
fn ribbon(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    paint::row(buf, area, 0, look.style(Role::Ribbon));
    let facts = facts::facts(model);
    let (room, rest) = ribbon_room(&facts, area.width);
    if rest > 0 {
        let text = format!("+{rest}");
        let at = area.width.saturating_sub(paint::width(&text) as u16);
        paint::text(buf, area, at, 0, &text, look.style(Role::RibbonWarn), "");
    }
    let area = Rect { width: room, ..area };
    let mut x = 0;
    for (i, fact) in facts.iter().enumerate() {
        if i > 0 {
            x = paint::text(buf, area, x, 0, " | ", look.style(Role::Dim), "");
        }
        let role = match fact.weight {
            2.. => Role::RibbonBad,
            1 => Role::RibbonWarn,
            0 => Role::Ribbon,
        };
        // What is wrong with the worst one is told, however long its name.
        let text = if i == 0 { paint::named(&fact.text, usize::from(room), look.glyphs.ellipsis) } else { fact.text.clone() };
        x = paint::text(buf, area, x, 0, &text, look.style(role), look.glyphs.ellipsis);
    }
}

/// Columns for the facts, and how many of those that are not well do not show there. They come first.
fn ribbon_room(facts: &[Fact], width: u16) -> (u16, usize) {
    let hidden = |room: u16| {
        let mut at = 0;
        let wrong = facts.iter().take_while(|f| f.weight > 0);
        let begins = wrong.map(|f| {
            let begin = at;
            at += paint::width(&f.text) + 3;
            begin
        });
        begins.filter(|b| b + SEEN > usize::from(room)).count()
    };
    match hidden(width) {
        0 => (width, 0),
        _ => {
            let room = width.saturating_sub(TOLD);
            (room, hidden(room))
        }
    }
}

/// Of a fact that is cut so many columns show, or it is as good as not there.
const SEEN: usize = 10;
/// Columns of ` +12`.
const TOLD: u16 = 4;

/// The last row: what is being typed, what may follow a key, or what was said last.
fn line(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let sign = look.glyphs.ellipsis;
    if let Some(p) = &model.prompt {
        let lead = match p.kind {
            PromptKind::Command => ":",
            PromptKind::Filter | PromptKind::LogSearch => "/",
            PromptKind::LogFilter => "&",
            PromptKind::LogTime => "time ",
            PromptKind::LogSave => "save as ",
            PromptKind::PageSearch => "/",
        };
        let x = paint::text(buf, area, 0, 0, lead, look.style(Role::Key), sign);
        // An error is never pushed out by what it is about.
        let room = p.error.as_ref().map_or(area.width, |_| area.width - area.width / 2);
        let x = input::draw(look, buf, Rect { width: room, ..area }, x, 0, &p.line, look.style(Role::Prompt));
        if let Some(e) = &p.error {
            paint::text(buf, area, x + 2, 0, e, look.style(Role::PromptError), sign);
        }
        return;
    }
    if !model.pressed.is_empty() {
        let pressed = model.pressed.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let mut x = paint::text(buf, area, 0, 0, &format!("{pressed} "), look.style(Role::Key), sign);
        if let Found::Prefix(next) = model.keys.look_up(model.screen().scopes(), &model.pressed) {
            for (key, id) in next {
                let title = command::find(id).map_or(id, |m| m.title());
                x = paint::text(buf, area, x, 0, &format!("{key} "), look.style(Role::Key), sign);
                x = paint::text(buf, area, x, 0, &format!("{title}  "), look.style(Role::KeyText), sign);
            }
        }
        return;
    }
    if let Some(n) = &model.notice {
        paint::text(buf, area, 0, 0, &n.text, look.style(if n.bad { Role::PromptError } else { Role::Notice }), sign);
    } else if let Link::Down { since, .. } = &model.link {
        let text = format!("as of {}; tried again by itself; more: quarterdeck engine status", when::relative(model.now, *since));
        paint::text(buf, area, 0, 0, &text, look.style(Role::Dim), sign);
    }
}

/// What was said last, where the last row is too short for it: over the rows above, until the next key. What to do next stands at its end.
pub fn notice(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let Some(n) = model.notice.as_ref().filter(|_| model.prompt.is_none() && model.pressed.is_empty()) else { return };
    let words = sanitise::cell(&n.text);
    let lines = paint::wrapped(&words, usize::from(area.width));
    // The first row says where one is, the second what is wrong: they stay.
    let rows = (lines.len() as u16).min(area.height.saturating_sub(2));
    if lines.len() < 2 || rows < 2 {
        return;
    }
    let place = Rect { y: area.y + area.height - rows, height: rows, ..area };
    paint::clear(buf, place, look.style(Role::Screen));
    // Without colours nothing else tells it from what it covers.
    if area.height > rows + 2 {
        text::rule(look, Rect { y: place.y - 1, height: 1, ..area }, buf, 0, "", "");
    }
    let style = look.style(if n.bad { Role::PromptError } else { Role::Notice });
    let whole = lines.len() <= usize::from(rows);
    for (y, line) in lines.iter().take(usize::from(rows)).enumerate() {
        let last = !whole && y + 1 == usize::from(rows);
        let cut = if last { format!("{line}{}", look.glyphs.ellipsis) } else { line.clone() };
        paint::text(buf, place, 0, y as u16, &cut, style, look.glyphs.ellipsis);
    }
}
