//! Screen 0: what needs you, what runs, what is due, what was missed, engine and disk, and the newest runs. Quiet when there is nothing, and
//! then says what was checked.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::list::{self, Shape, Trust};
use super::text::{LABEL, Text};
use super::{beside, runs, split, third, when, word};
use crate::base::size;
use crate::console::model::list::Row;
use crate::console::model::screen::PAGE;
use crate::console::model::{Link, Model};
use crate::console::question::Question;
use crate::console::update::facts;
use crate::console::widget::paint;
use crate::console::widget::table::{Cell, Column};
use crate::theme::{Glyphs, Look, Role};

const NEEDS: &[Column] = &[
    Column::left("SEV", "severity", 3, 0),
    Column::left("SINCE", "since", 12, 0),
    Column::right("AGE", "", 6),
    Column::left("WHAT", "what", 24, 1).said(),
    Column::left("PRESS", "", PRESS, 0),
    Column::left("AFFECTS", "affects", 8, 4).if_any(),
];

/// Columns of keys: what takes more is a command, which the detail tells; in the list Enter leads to where it is told.
const PRESS: u16 = 10;
/// Rows of what goes on now, with its title, and what the newest runs have at least.
const NOW: u16 = 6;
/// Rows of the same beside the lists, where its lines are broken, with the ages of the answers below it.
const BESIDE_NOW: u16 = 16;

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let screen = model.screen();
    let ([needs, newest], [of_needs, of_runs]) = (screen.kind.panes(), screen.lists.as_slice()) else { return };
    let (area, strip_column) = third(model, look, area, buf);
    let (left, detail) = beside(model, look, area, buf, 7);
    // A detail below the list would push everything else out.
    let (left, detail) = if detail.is_some_and(|d| d.y > left.y) { (area, None) } else { (left, detail) };
    let room = left.height;
    // What goes on now stands beside the lists where there is something beside them.
    let between = strip_column.is_none() && detail.is_none();
    // A line that is broken in two would push the last one out.
    let strip = now(model, between.then_some((left.width, look.glyphs.ellipsis)));
    let most = if between { room.saturating_sub(2 * NOW).max((room / 2).min(NOW)) } else { room / 2 };
    let wanted = (of_needs.len() as u16).saturating_add(2).clamp(3, most.max(3));
    let below = room.saturating_sub(wanted);
    let (top, rest) = split(left, below);
    let empty = quiet(model);
    let shape = Shape {
        pane: *needs,
        list: of_needs,
        focused: screen.focus == 0,
        columns: NEEDS,
        empty: &empty,
        cells: &need,
        more: totals(model),
    };
    list::draw(model, look, top, buf, &shape);
    let of_strip = match between {
        false => 0,
        true if rest.height >= 2 * NOW => NOW,
        true => rest.height / 2,
    };
    let (strip_area, runs_area) = split(rest, rest.height.saturating_sub(of_strip));
    let used = if of_strip > 0 { strip.draw(look, strip_area, buf) } else { 0 };
    if let Some(column) = strip_column {
        let used = strip.draw(look, column, buf);
        data(model).draw(look, Rect { y: column.y + used, height: column.height - used, ..column }, buf);
    }
    let runs_area = Rect { y: strip_area.y + used, height: runs_area.height + (strip_area.height - used), ..runs_area };
    let shape = Shape {
        pane: *newest,
        list: of_runs,
        focused: screen.focus == 1,
        columns: runs::COLUMNS,
        empty: runs::none(model),
        cells: &runs::cells,
        more: String::new(),
    };
    list::draw(model, look, runs_area, buf, &shape);
    if let Some(area) = detail {
        let text = match (screen.focus, list::current(model, needs, of_needs), list::current(model, newest, of_runs)) {
            (0, Some(row), _) => about(model, &look.glyphs, row),
            (_, _, Some(row)) => runs::about(model, &look.glyphs, row),
            _ => Text::new(),
        };
        // What goes on now stands still, however much there is to say of the row under the cursor.
        let below = if strip_column.is_none() { BESIDE_NOW.min(area.height / 2) } else { 0 };
        let (area, rest) = split(area, below);
        text.draw(look, area, buf);
        if below > 0 {
            let mut strip = strip;
            strip.join(data(model));
            strip.draw(look, rest, buf);
        }
    }
}

fn rows<'a>(model: &'a Model, what: &'static str) -> &'a [Row] {
    model.rows(&Question::Rows { what, limit: PAGE }).map_or(&[], |r| r.rows.as_slice())
}

/// `running 1  queue 2  executors 1/2 busy`, as far as it is known.
fn totals(model: &Model) -> String {
    let Some(s) = model.status() else { return String::new() };
    let queue = rows(model, "queue");
    let waits = queue.iter().filter(|r| word::text(r, "state") != "running").count();
    // To the engine a run that waits for people is under way; here it is one that waits, and only that.
    let people = queue.iter().filter(|r| word::text(r, "state") == "waiting").count() as u64;
    let running = s.runs_running.saturating_sub(people);
    let executors = if s.executors > 0 { format!("   executors {}/{} busy", s.executors_busy, s.executors) } else { String::new() };
    let acked = model.needs.iter().filter(|r| !word::text(r, "ack").is_empty()).count();
    let acked = if acked > 0 { format!("acked {acked}   ") } else { String::new() };
    let old = Some(as_of(model)).filter(|t| !t.is_empty()).map(|t| format!("   {t}")).unwrap_or_default();
    format!("{acked}running {running}   waiting {waits}{executors}{old}")
}

/// When what is told of now was so, where nobody has heard of it since.
fn as_of(model: &Model) -> String {
    match &model.link {
        Link::Down { since, .. } => format!("as of {}", when::brief(model, *since)),
        _ => String::new(),
    }
}

/// What was looked at, where nothing is wrong.
fn quiet(model: &Model) -> String {
    let looked = model.known(&Question::Rows { what: "pipelines", limit: PAGE }).and_then(|k| k.at);
    let looked = looked.map(|t| format!(", looked at {}", when::relative(model.now, t))).unwrap_or_default();
    match facts::looked_at(model) {
        Some(l) => format!("nothing needs you: nothing is red in {l}; queue, clock, disk and engine are well{looked}"),
        None => "nothing needs you, and nothing can: no pipeline is configured. quarterdeck site init writes those that are shipped".into(),
    }
}

fn need(model: &Model, _look: &Look, row: &Row) -> Vec<Cell> {
    let severity = word::text(row, "severity");
    let ack = word::text(row, "ack");
    let role = match severity.as_str() {
        _ if !ack.is_empty() => Role::Dim,
        "S3" => Role::Warn,
        _ => Role::Bad,
    };
    let age = when::roughly(model, row, "since", "what").unwrap_or_default();
    let press = match word::text(row, "press") {
        p if paint::width(&p) > usize::from(PRESS) => "enter".to_owned(),
        p => p,
    };
    vec![
        Cell::new(severity, role),
        Cell::new(list::at(model, row, "since"), Role::Dim),
        Cell::new(age, Role::Dim),
        Cell::new(word::text(row, "what"), role),
        Cell::new(press, Role::Key),
        Cell::new(word::text(row, "affects"), if ack.is_empty() { Role::Dim } else { Role::Text }),
    ]
}

/// One thing that needs the person, in full.
fn about(model: &Model, glyphs: &Glyphs, row: &Row) -> Text {
    let mut out = Text::new();
    let target = word::text(row, "target");
    out.title(if target.is_empty() { word::text(row, "severity") } else { target.clone() }, "");
    out.put("WHAT", word::text(row, "what"), Role::Text);
    let since = when::instant(row, "since");
    out.put(
        "SINCE",
        since.map(|t| format!("{}  ({})", when::show(model, t), when::relative(model.now, t))).unwrap_or_default(),
        Role::Text,
    );
    out.put("WHY", word::text(row, "why"), Role::Text);
    let who = word::text(row, "ack");
    if !who.is_empty() {
        out.put("ACK", format!("{who} until {}: {}", list::at(model, row, "ack_until"), word::text(row, "ack_why")), Role::Strong);
    }
    out.put("AFFECTS", word::text(row, "affects"), Role::Text);
    if let Some(run) = rows(model, "runs").iter().take(PAGE).find(|r| word::text(r, "run") == target) {
        out.put("DETAIL", word::text(run, "detail"), Role::Bad);
        out.put("CHANGES", word::changes(run), Role::Text);
    }
    let pipeline = target.split('#').next().unwrap_or_default();
    if let Some(p) = rows(model, "pipelines").iter().find(|p| word::text(p, "pipeline") == pipeline) {
        out.put("LAST 14", strip(&word::text(p, "weather"), glyphs), Role::Text);
        out.put("TRIGGERS", word::text(p, "triggers"), Role::Dim);
    }
    out.put("NEXT", next(row), Role::Key);
    out
}

/// What to press, with what it does.
fn next(row: &Row) -> String {
    let press = word::text(row, "press");
    let there = match word::text(row, "go").as_str() {
        "run" => "enter opens the run",
        "mirrors" => "enter shows it among the mirrors, with what to do",
        "promotions" => "enter shows the promotion",
        "schedule" => "enter shows what was due",
        _ => "enter shows where something can be done about it",
    };
    let keys = match press.as_str() {
        "enter" => there.to_owned(),
        "enter, l" => format!("{there}, l its log"),
        "enter, A V" => format!("{there}; A approves, V denies, once armed"),
        "p" => "p opens its file".to_owned(),
        _ => return press,
    };
    let free = word::text(row, "ack").is_empty() && !word::text(row, "subject").is_empty();
    if free { format!("{keys}; a says that you look after it") } else { keys }
}

/// The signs of the last runs, oldest left.
pub fn strip(weather: &str, glyphs: &Glyphs) -> String {
    let sign = |c: char| match c {
        '.' => glyphs.none,
        '>' => glyphs.running,
        '#' => "#",
        '?' => "?",
        'x' => "x",
        _ => "",
    };
    weather.chars().map(sign).collect()
}

/// What runs, what is due, what was missed, engine and disk.
///
/// `line`: the columns of a line and the sign of what is cut, where each has one line and no more.
fn now(model: &Model, line: Option<(u16, &str)>) -> Text {
    let mut out = Text::new();
    out.title("NOW", as_of(model));
    let running: Vec<String> = rows(model, "runs")
        .iter()
        .take(PAGE)
        .filter(|r| word::text(r, "state") == "running")
        .map(|r| format!("{} {}", word::text(r, "run"), runs::took(model, r)))
        .collect();
    let known = |what| !matches!(list::trust(model, &Question::Rows { what, limit: PAGE }), Trust::Asking | Trust::None(_));
    let none = |what: &'static str, text: &str| if known(what) { text.to_owned() } else { "not known".to_owned() };
    let room = line.map_or(usize::MAX, |(width, _)| usize::from(width).saturating_sub(usize::from(LABEL)));
    let first = |list: &[String], n: usize| {
        let more = if list.len() > n { format!("  and {} more", list.len() - n) } else { String::new() };
        format!("{}{more}", list.iter().take(n).cloned().collect::<Vec<_>>().join("   "))
    };
    // As many as there is room for, one at least.
    let some = |list: &[String], most: usize| {
        let fits = (1..=most.min(list.len())).rev().map(|n| first(list, n)).find(|t| paint::width(t) <= room);
        fits.unwrap_or_else(|| first(list, 1))
    };
    let one = |text: String| line.map_or_else(|| text.clone(), |(_, sign)| paint::cut(&text, room, sign).to_string());
    match running.is_empty() {
        true => out.put("RUNNING", none("runs", "nothing"), Role::Dim),
        false => out.put("RUNNING", one(some(&running, 4)), Role::Running),
    }
    let mut due: Vec<(jiff::Timestamp, String)> =
        rows(model, "schedule").iter().filter_map(|r| Some((when::instant(r, "next")?, word::text(r, "pipeline")))).collect();
    due.sort();
    let due: Vec<String> = due.iter().map(|(t, p)| format!("{} {p} ({})", when::show(model, *t), when::relative(model.now, *t))).collect();
    let (clock, off) = model.status().map_or(("", ""), |s| s.scheduler.split_once(": ").unwrap_or((s.scheduler.as_str(), "")));
    match due.is_empty() {
        true if clock == "off" => out.put("DUE", format!("nothing: {off}"), Role::Dim),
        true => out.put("DUE", none("schedule", "nothing is due by the clock"), Role::Dim),
        false => out.put("DUE", one(some(&due, 2)), Role::Text),
    }
    let missed: Vec<String> = rows(model, "schedule")
        .iter()
        .filter(|r| matches!(word::text(r, "last_outcome").as_str(), "skipped" | "late"))
        .map(|r| format!("{} {} {}", word::text(r, "pipeline"), word::text(r, "last_outcome"), list::at(model, r, "last_scheduled")))
        .collect();
    let clocks = rows(model, "schedule").iter().any(|r| !word::text(r, "next").is_empty());
    let well = if clocks { "nothing: every clock started its run last time" } else { "nothing: no clock starts anything" };
    match missed.is_empty() {
        true => out.put("MISSED", none("schedule", well), Role::Dim),
        false => out.put("MISSED", one(some(&missed, 3)), Role::Warn),
    }
    if let Some(s) = model.status() {
        let up = s.started.parse::<jiff::Timestamp>().map(|t| when::relative(model.now, t)).unwrap_or_default();
        let role = if s.scheduler.starts_with("dead") || !s.site_error.is_empty() { Role::Bad } else { Role::Text };
        // Why nothing is due is said there.
        let scheduler = if clock == "off" && due.is_empty() { clock } else { s.scheduler.as_str() };
        out.put("ENGINE", one(format!("{} pid {}, started {up}, scheduler {scheduler}", s.version, s.pid)), role);
        if let Some(free) = s.free_bytes {
            out.put("DISK", one(format!("{} free below {}", size::short(free), s.state_dir)), Role::Text);
        }
    } else {
        out.put("ENGINE", "not known", Role::Dim);
    }
    out
}

/// How old each answer is.
fn data(model: &Model) -> Text {
    let mut out = Text::new();
    out.title("DATA", "r asks again");
    for what in ["runs", "pipelines", "queue", "schedule"] {
        let q = Question::Rows { what, limit: PAGE };
        let (text, role) = match (list::trust(model, &q), model.known(&q).and_then(|k| k.at)) {
            (Trust::Now, Some(_)) => ("as the engine says it".to_owned(), Role::Text),
            (Trust::Now, None) | (Trust::Asking, _) => ("asked".to_owned(), Role::Dim),
            (Trust::Old(why), _) => (format!("STALE {why}"), Role::Warn),
            (Trust::None(why), _) => (why, Role::Bad),
        };
        out.put(what, text, role);
    }
    let mut mute = Vec::new();
    let all = model.status().map(|s| s.sources.as_slice()).unwrap_or_default();
    for s in all.iter().filter(|s| s.state != "answers") {
        let since = s.answered.as_deref().and_then(|t| t.parse().ok());
        let since = since.map(|t| format!(" since {}", when::show(model, t))).unwrap_or_default();
        mute.push(format!("{} {}{since}", crate::base::sanitise::cell(&s.source), s.state.to_uppercase()));
    }
    match (all.is_empty(), mute.is_empty()) {
        (true, _) => {}
        (_, true) => out.put("sources", format!("all {} answer", all.len()), Role::Text),
        (_, false) => out.put("sources", mute.join(", "), Role::Warn),
    }
    out
}
