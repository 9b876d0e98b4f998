//! What stands around every screen: identity and mode above, the worst facts below it, keys and command line at the bottom.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::when;
use crate::console::keymap::{Found, Scope};
use crate::console::model::screen::Kind;
use crate::console::model::{Link, Mode, Model, PromptKind};
use crate::console::{command, update};
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
        bar(model, look, Rect { y: area.y + rows - 2, height: 1, ..area }, buf);
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
    let mut names: Vec<String> =
        all.iter().filter(|a| Some(a.lease) != own && live(&a.until)).map(|a| crate::base::sanitise::cell(&a.who)).collect();
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
    let facts = update::facts(model);
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
fn ribbon_room(facts: &[update::Fact], width: u16) -> (u16, usize) {
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

/// Keys that do something for this screen, as many as fit.
fn bar(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let scopes = model.screen().scopes();
    if update::page::typing(model) {
        let text = "Esc ends typing   Tab indents   C-w C-k C-u delete   C-_ undoes";
        paint::text(buf, area, 0, 0, text, look.style(Role::KeyText), look.glyphs.ellipsis);
        return;
    }
    let own;
    let shown: &[(&str, &str)] = match model.screen().kind {
        Kind::Run(_) => {
            own = of_run(model);
            &own
        }
        Kind::Mirrors => &[
            ("diff", "diff"),
            ("cves", "CVE"),
            ("out-of-band", "oob"),
            ("used-by", "used by"),
            ("replicas", "replicas"),
            ("graph", "graph"),
            ("history", "history"),
            ("do-run", "sync"),
            ("do-freeze", "freeze"),
            ("snapshot", "snapshot"),
            ("do-hold-add", "hold"),
            ("log", "log"),
        ],
        Kind::Content => &[
            ("mark", "mark"),
            ("diff", "diff"),
            ("cves", "CVE"),
            ("pane", "holds"),
            ("filter", "filter"),
            ("do-hold-add", "hold"),
            ("do-hold-drop", "drop"),
            ("do-hold-extend", "extend"),
            ("do-oob-add", "add"),
        ],
        Kind::Diff(_) => &[
            ("cves", "CVE"),
            ("pane", "packages"),
            ("filter", "filter"),
            ("sort", "sort"),
            ("next-problem", "problem"),
            ("swap", "turn round"),
            ("do-hold-add", "hold"),
            ("copy-command", "copy"),
            ("back", "back"),
        ],
        Kind::Promotions | Kind::Promotion(_) => {
            own = of_promotion(model);
            &own
        }
        Kind::Log(..) => &[
            ("log-follow", "follow"),
            ("log-search", "search"),
            ("log-next", "next"),
            ("log-filter", "filter"),
            ("log-error", "first error"),
            ("log-next-step", "step"),
            ("log-time", "time"),
            ("log-save", "save"),
            ("log-wrap", "wrap"),
            ("log-stamps", "times"),
            ("log-hex", "hex"),
        ],
        Kind::Pipeline(_) => &[
            ("edit-type", "type"),
            ("edit-editor", "own editor"),
            ("edit-save", "save"),
            ("edit-undo", "undo"),
            ("next-tab", "tab"),
            ("next-problem", "next finding"),
            ("do-run", "run"),
            ("back", "back"),
        ],
        Kind::Home => &[
            ("open", "open"),
            ("log", "log"),
            ("do-ack", "ack"),
            ("why", "why"),
            ("filter", "filter"),
            ("do-run", "run"),
            ("do-cancel", "cancel"),
        ],
        Kind::Jobs => {
            &[("open", "open"), ("pipeline", "file"), ("log", "log"), ("filter", "filter"), ("do-run", "run"), ("do-cancel", "cancel")]
        }
        Kind::Schedule => &[("open", "last run"), ("pipeline", "file"), ("pane", "next list"), ("filter", "filter"), ("do-run", "run")],
        Kind::Audit | Kind::Decisions | Kind::Locks => &[("open", "run"), ("log", "log"), ("filter", "filter"), ("copy-command", "copy")],
        Kind::Doctor => &[("next-problem", "problem"), ("filter", "filter"), ("refresh", "ask again"), ("copy-command", "copy")],
        Kind::Runs => &[("open", "open"), ("log", "log"), ("why", "why"), ("filter", "filter"), ("do-run", "run"), ("do-cancel", "cancel")],
    };
    let mut x = 0;
    for (id, keys, words) in fitting(model, scopes, shown, area.width) {
        x = one(model, look, area, buf, x, (id, &keys, words));
    }
}

/// The hint of one key; where the next begins.
fn one(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, x: u16, (id, keys, words): (&str, &str, &str)) -> u16 {
    let dead = why_off(model, id).is_some();
    let (key, text) = if dead { (Role::KeyOff, Role::KeyOff) } else { (Role::Key, Role::KeyText) };
    let x = paint::text(buf, area, x, 0, keys, look.style(key), "");
    let x = paint::text(buf, area, x, 0, " ", look.style(text), "");
    let x = paint::text(buf, area, x, 0, words, look.style(text), "");
    paint::text(buf, area, x, 0, "  ", look.style(text), "")
}

/// What can be done with a run as it stands comes first: nobody looks for the key of what cannot be.
fn of_run(model: &Model) -> Vec<(&'static str, &'static str)> {
    const SEE: [(&str, &str); 5] = [("open", "open"), ("log", "log"), ("next-problem", "problem"), ("why", "why"), ("back", "back")];
    let Kind::Run(run) = &model.screen().kind else { return SEE.to_vec() };
    let doc = model.run(run);
    let is = |state: &str| doc.is_some_and(|d| d.state == state);
    let acts: &[(&str, &str)] = match doc.and_then(|d| d.verdict.as_deref()) {
        Some("success") => &[],
        Some(_) => &[("do-resume", "resume")],
        None if is("waiting") || update::waits_for_people(model, run) => {
            &[("do-approve", "approve"), ("do-deny", "deny"), ("do-cancel", "cancel")]
        }
        None if doc.is_some() => &[("do-cancel", "cancel")],
        None => &[],
    };
    acts.iter().chain(&SEE).copied().collect()
}

/// What the state of this promotion allows, then what shows a part of it.
fn of_promotion(model: &Model) -> Vec<(&'static str, &'static str)> {
    const ACTS: [(&str, &str); 9] = [
        ("do-promote-halt", "halt"),
        ("do-promote-approve", "approve"),
        ("do-promote-start", "start"),
        ("do-promote-resume", "resume"),
        ("do-promote-rollback", "roll back"),
        ("do-promote-waive", "waive"),
        ("do-promote-soak", "soak"),
        ("do-promote-veto", "veto"),
        ("do-promote", "open the next"),
    ];
    const PARTS: [(&str, &str); 7] = [
        ("evidence", "evidence"),
        ("diff", "changes"),
        ("cves", "CVE"),
        ("blast", "blast"),
        ("undo", "way back"),
        ("calendar", "calendar"),
        ("story", "story"),
    ];
    let Some(id) = update::promotions::shown(model) else {
        return vec![("refresh", "ask again"), ("filter", "filter"), ("back", "back")];
    };
    let allowed = |command: &str| match command::find(command) {
        Some(command::Meaning::Do(action)) => {
            update::promotions::target(model, action, &id).is_ok_and(|t| update::promotions::why_not(model, action, &t).is_none())
        }
        _ => false,
    };
    ACTS.into_iter().filter(|(command, _)| allowed(command)).chain(PARTS).collect()
}

/// Keys that lead everywhere else, in the order that they are drawn in.
const ALWAYS: [(&str, &str); 6] =
    [("home", "home"), ("mirrors", "mirrors"), ("promotions", "promote"), ("jobs", "jobs"), ("palette", "command"), ("help", "help")];
/// So many of a screen's own keys come before those that lead elsewhere.
const OWN: usize = 4;

/// The keys that there is room for, by what is needed most: how to ask and how to get away, the screen's first keys, where most of the work
/// is; then the rest.
fn fitting<'a>(model: &Model, scopes: &[Scope], shown: &[(&'a str, &'a str)], width: u16) -> Vec<(&'a str, String, &'a str)> {
    let own = shown.iter().copied();
    let all: Vec<(&str, String, &str)> = own
        .chain(ALWAYS.into_iter().filter(|(id, _)| !shown.iter().any(|(s, _)| s == id)))
        .filter_map(|(id, words)| Some((id, model.keys.keys_of(scopes, id)?, words)))
        .collect();
    let rank = |(i, (id, ..)): &(usize, &(&str, String, &str))| match *id {
        "help" | "palette" => 0,
        _ if *i < OWN => 1,
        "jobs" | "home" => 2,
        _ => 3,
    };
    let mut order: Vec<(usize, &(&str, String, &str))> = all.iter().enumerate().collect();
    order.sort_by_key(rank);
    let mut room = usize::from(width) + 2;
    let mut fits = vec![false; all.len()];
    for (i, (_, keys, words)) in order {
        let needs = paint::width(keys) + 1 + paint::width(words) + 2;
        if needs <= room {
            room -= needs;
            fits[i] = true;
        }
    }
    all.into_iter().zip(fits).filter(|(_, fits)| *fits).map(|(key, _)| key).collect()
}

/// Why a key does nothing here; none where it does.
pub fn why_off(model: &Model, id: &str) -> Option<String> {
    match command::find(id) {
        Some(command::Meaning::Do(action)) => update::why_not(model, action),
        Some(command::Meaning::View(_)) => update::idle(model, id),
        None => None,
    }
}

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

impl crate::console::model::Screen {
    /// The scopes of keys that hold on this screen, outermost first.
    pub fn scopes(&self) -> &'static [Scope] {
        match self.kind {
            Kind::Log(..) => &[Scope::Global, Scope::Log],
            Kind::Mirrors => &[Scope::Global, Scope::List, Scope::Mirrors],
            Kind::Pipeline(_) => &[Scope::Global, Scope::Pipeline],
            Kind::Promotions | Kind::Promotion(_) => &[Scope::Global, Scope::List, Scope::Promotions],
            Kind::Content => &[Scope::Global, Scope::List, Scope::Content],
            Kind::Diff(_) => &[Scope::Global, Scope::List, Scope::Diff],
            _ => &[Scope::Global, Scope::List],
        }
    }
}
