//! Screen 8: pipelines with how they last ended and their weather, views as tabs; the queue with true reasons; executors by what runs on them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::home::strip;
use super::list::{self, Shape};
use super::stage_page::Page;
use super::stages;
use super::text::Text;
use super::{beside, split, third, when, word};
use crate::base::{count, duration};
use crate::console::model::list::{List, Row};
use crate::console::model::screen::PAGE;
use crate::console::model::{Model, Pane};
use crate::console::question::Question;
use crate::console::update::{beside as follow, facts, lists};
use crate::console::widget::paint;
use crate::console::widget::table::{Cell, Column};
use crate::domain::problem;
use crate::theme::{Glyphs, Look, Role};

/// Runs that are looked through for those of one pipeline: a frame costs the same however many there are.
const SEARCHED: usize = 2_000;
/// Rows of the stages of a pipeline: title, heading, five stages, and three below them.
const STAGES: u16 = 10;
/// Runs of the weather strip.
const NIGHTS: u16 = 14;

const PIPELINES: &[Column] = &[
    Column::left("PIPELINE", "pipeline", 20, 1).name(),
    Column::left("", "last_verdict", 1, 0),
    Column::left("LAST 14", "weather", NIGHTS, 0),
    Column::left("LAST SUCCESS", "last_success_ended", 13, 0),
    Column::left("LAST FAILURE", "last_failure_ended", 13, 0),
    Column::right("TOOK", "last_duration_ms", 6),
    Column::left("CHANGES", "changes", 12, 3),
    Column::left("TRIGGERS", "triggers", 12, 4),
];

const QUEUE: &[Column] = &[
    Column::left("RUN", "run", 12, 1).name(),
    Column::left("STATE", "state", 8, 0),
    Column::right("FOR", "queued", 6),
    Column::left("WHY", "blocked", 16, 2),
];

const EXECUTORS: &[Column] = &[
    Column::right("#", "executor", 2),
    Column::left("RUN", "run", 12, 1).name(),
    Column::left("STAGE/STEP", "stage", 16, 2),
    Column::right("FOR", "since", 6),
];

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let screen = model.screen();
    let ([pipelines, queue, executors], [of_pipelines, of_queue, of_executors]) = (screen.kind.panes(), screen.lists.as_slice()) else {
        return;
    };
    let shape = Shape {
        pane: *pipelines,
        list: of_pipelines,
        focused: screen.focus == 0,
        columns: PIPELINES,
        empty: "no pipeline: put one into CONFIG/pipelines, or run quarterdeck site init",
        cells: &pipeline,
        more: String::new(),
    };
    if screen.wide {
        return list::draw(model, look, below_tabs(model, look, area, buf), buf, &shape);
    }
    let (area, column) = third(model, look, area, buf);
    let rows = (of_queue.len().max(of_executors.len().min(4)) as u16).saturating_add(3).min(area.height / 3).max(4);
    let rows = if area.height < 10 || column.is_some() { 0 } else { rows };
    let (above, below) = split(area, rows);
    let above = below_tabs(model, look, above, buf);
    let (left, detail) = beside(model, look, above, buf, 6);
    let (left, stages) = split(left, stage_rows(model, left.height, of_pipelines.len()));
    list::draw(model, look, left, buf, &shape);
    // It follows the cursor once that rests: a held key costs the cursor alone.
    let row = follow::row(model, pipelines, of_pipelines);
    if let (Some(area), Some(row)) = (detail, row) {
        about(model, &look.glyphs, row).draw(look, area, buf);
    }
    if let (true, Some(row)) = (stages.height > 0, row) {
        let mut page = Page { look, area: stages, buf, y: 0, cursor: None, found: None, old: false };
        stages::history(model, &mut page, &word::text(row, "pipeline"), is_umbrella(row));
    }
    if let Some(column) = column {
        let (above, below) = split(column, column.height / 2);
        list::draw(model, look, above, buf, &queue_shape(*queue, of_queue, screen.focus));
        list::draw(model, look, below, buf, &executors_shape(model, *executors, of_executors, screen.focus));
        return;
    }
    if rows == 0 {
        return;
    }
    let beside = below.width >= 120;
    let title = if beside || screen.focus == 2 { String::new() } else { working(model, executors) };
    super::text::rule(look, below, buf, 0, &title, "");
    let below = Rect { y: below.y + 1, height: below.height - 1, ..below };
    // Where there is no room for both, the reasons come first, and the executors are in the line above.
    let half = match (beside, screen.focus) {
        (true, _) => below.width * 58 / 100,
        (false, 2) => 0,
        (false, _) => below.width,
    };
    list::draw(model, look, Rect { width: half, ..below }, buf, &queue_shape(*queue, of_queue, screen.focus));
    let rest = Rect { x: below.x + half, width: below.width - half, ..below };
    list::draw(model, look, rest, buf, &executors_shape(model, *executors, of_executors, screen.focus));
}

/// Rows of the last runs of the pipeline, stage by stage, below the list: what the list leaves, and enough for most pipelines where it leaves less.
fn stage_rows(model: &Model, height: u16, pipelines: usize) -> u16 {
    let (width, rows) = model.size;
    if width < follow::STAGES.0 || rows < follow::STAGES.1 || height < 2 * STAGES {
        return 0;
    }
    let list = u16::try_from(pipelines).unwrap_or(u16::MAX).saturating_add(2).min(height);
    (height - list).max(STAGES)
}

fn is_umbrella(row: &Row) -> bool {
    row.get("umbrella").and_then(serde_json::Value::as_bool).unwrap_or(false)
}

fn queue_shape(pane: Pane, list: &List, focus: usize) -> Shape<'_> {
    let empty = "the queue is empty: nothing runs or waits";
    Shape { pane, list, focused: focus == 1, columns: QUEUE, empty, cells: &queued, more: String::new() }
}

fn executors_shape<'a>(model: &Model, pane: Pane, list: &'a List, focus: usize) -> Shape<'a> {
    let more = model.status().map(|s| format!("{} busy", s.executors_busy)).unwrap_or_default();
    Shape { pane, list, focused: focus == 2, columns: EXECUTORS, empty: "no executor is known", cells: &executor, more }
}

/// What the executors do, in one line.
fn working(model: &Model, pane: &Pane) -> String {
    let Some(s) = model.status().filter(|s| s.executors > 0) else { return String::new() };
    let busy = model.table(pane).0.iter().filter(|r| word::text(r, "state") == "busy");
    let what: Vec<String> = busy.take(2).map(|r| format!("{} {}", word::text(r, "run"), word::text(r, "stage"))).collect();
    let what = if what.is_empty() { String::new() } else { format!(": {}", what.join(", ")) };
    format!("EXECUTORS {}/{} busy{what}", s.executors_busy, s.executors)
}

/// The tabs, where there is more than one; returns what is left.
fn below_tabs(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) -> Rect {
    let tabs = lists::tabs(model);
    if tabs.len() < 2 || area.height < 4 {
        return area;
    }
    let here = model.screen().lists.first().and_then(|l| l.only.as_ref()).map_or("all", |(_, v)| v.as_str()).to_owned();
    let mut x = paint::text(buf, area, 0, 0, "VIEWS ", look.style(Role::Label), "");
    for tab in tabs {
        let (text, role) = if tab == here { (format!("[{tab}]"), Role::Selected) } else { (format!(" {tab} "), Role::Text) };
        x = paint::text(buf, area, x, 0, &text, look.style(role), look.glyphs.ellipsis);
    }
    paint::text(buf, area, x, 0, "  [ ] turn", look.style(Role::Dim), look.glyphs.ellipsis);
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

/// `N/A`, or the number of a run and when it ended.
fn ended(model: &Model, row: &Row, run: &str, at: &str, form: fn(&Model, jiff::Timestamp) -> String) -> String {
    let number = word::text(row, run);
    let number = number.rsplit_once('#').map(|(_, n)| format!("#{n} ")).unwrap_or_default();
    when::instant(row, at).map_or_else(|| "N/A".to_owned(), |t| format!("{number}{}", form(model, t)))
}

fn standing(model: &Model, row: &Row, glyphs: &Glyphs) -> (&'static str, Role) {
    let last = word::text(row, "last_run");
    match word::text(row, "errors").as_str() {
        // Its newest run has not ended, and may not even have begun.
        "" | "0" if word::text(row, "last_verdict").is_empty() && !last.is_empty() => {
            let queue = model.rows(&Question::Rows { what: "queue", limit: PAGE }).map_or(&[][..], |q| q.rows.as_slice());
            let waits = queue.iter().find(|r| word::text(r, "run") == last).map(|r| word::text(r, "state")).filter(|s| s != "running");
            word::verdict(waits.as_deref().unwrap_or("running"), glyphs)
        }
        // It was good, on content that is not there any more.
        "" | "0" if word::is_moved(row) && word::text(row, "last_verdict") == "success" => ("~", Role::Unknown),
        "" | "0" => word::verdict(&word::text(row, "last_verdict"), glyphs),
        _ => ("!", Role::Bad),
    }
}

/// What there is stands before what there is not.
fn known(text: String) -> Cell {
    let role = if text == "N/A" { Role::Dim } else { Role::Text };
    Cell::new(text, role)
}

/// `1 error`, of a number as the engine writes it.
fn errors(n: &str) -> String {
    count::s(n.parse().unwrap_or(0), "error")
}

fn pipeline(model: &Model, look: &Look, row: &Row) -> Vec<Cell> {
    let (sign, role) = standing(model, row, &look.glyphs);
    let changes = match word::text(row, "errors").as_str() {
        "" | "0" if word::is_moved(row) => Cell::new(format!("since then {}", word::text(row, "moved")), Role::Unknown),
        "" | "0" => Cell::new(word::changes(row), Role::Dim),
        n => Cell::new(format!("{} in its file", errors(n)), Role::Bad),
    };
    vec![
        Cell::new(word::text(row, "pipeline"), Role::Strong),
        Cell::new(sign, role),
        Cell::new(format!("{:>1$}", strip(&word::text(row, "weather"), &look.glyphs), usize::from(NIGHTS)), role),
        known(ended(model, row, "last_success", "last_success_ended", when::brief)),
        known(ended(model, row, "last_failure", "last_failure_ended", when::brief)),
        known(when::lasted(row, "last_duration_ms").unwrap_or_else(|| "N/A".into())),
        changes,
        Cell::new(word::text(row, "triggers"), Role::Dim),
    ]
}

fn about(model: &Model, glyphs: &Glyphs, row: &Row) -> Text {
    let mut out = Text::new();
    let name = word::text(row, "pipeline");
    let kind = if is_umbrella(row) { "umbrella: as the runs it set off" } else { "" };
    out.title(name.clone(), format!("{} {kind}", word::text(row, "danger")).trim().to_owned());
    let broken = !matches!(word::text(row, "errors").as_str(), "" | "0");
    if broken {
        out.put("FILE", format!("{}: quarterdeck pipeline lint {name}", errors(&word::text(row, "errors"))), Role::Bad);
    }
    let next = model
        .rows(&Question::Rows { what: "schedule", limit: PAGE })
        .and_then(|r| r.rows.iter().filter(|r| word::text(r, "pipeline") == name).filter_map(|r| when::instant(r, "next")).min());
    out.put("NEXT", next.map(|t| format!("{}  {}", when::show(model, t), when::relative(model.now, t))).unwrap_or_default(), Role::Text);
    let red = row.get("red_runs").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if red > 0 {
        out.put("RED", format!("{red} in a row, since {}", list::at(model, row, "red_since")), Role::Bad);
    }
    if let Some(a) = problem::red(row).and_then(|p| facts::ack_of(model, &p)) {
        out.put(
            "ACK",
            format!("{} until {}: {}", a.who, a.until.parse().map(|t| when::show(model, t)).unwrap_or_default(), a.why),
            Role::Strong,
        );
    }
    out.put("CHANGES", word::changes(row), Role::Text);
    if word::is_moved(row) {
        let text =
            format!("{} is other content now than what the last success was about: nothing says that it is good", word::text(row, "moved"));
        out.put("MOVED", text, Role::Warn);
    }
    out.put("STARTS", list::or(row, "triggers", "by hand only"), Role::Text);
    out.put("GOOD", ended(model, row, "last_success", "last_success_ended", when::show), Role::Text);
    out.put("FAILED", ended(model, row, "last_failure", "last_failure_ended", when::show), Role::Text);
    out.put("DOES", word::text(row, "description"), Role::Text);
    out.put("VIEWS", word::text(row, "views"), Role::Dim);
    if !broken {
        out.put("FILE", word::text(row, "file"), Role::Dim);
    }
    out.title("BUILD HISTORY", "");
    let all = model.rows(&Question::Rows { what: "runs", limit: PAGE }).map_or(&[][..], |r| r.rows.as_slice());
    let mut any = false;
    for run in
        all.iter().take(SEARCHED).filter(|r| r.get("pipeline").and_then(|p| p.as_str()) == Some(name.as_str())).take(usize::from(NIGHTS))
    {
        any = true;
        let outcome = word::outcome(run);
        let (sign, role) = word::verdict(&outcome, glyphs);
        let at = when::instant(run, "started").or_else(|| when::instant(run, "queued"));
        out.spans(vec![
            (format!("{sign} #{:<5} ", word::text(run, "number")), role),
            (format!("{:<12} {:>6} ", at.map(|t| when::show(model, t)).unwrap_or_default(), super::runs::took(model, run)), Role::Text),
            (word::changes(run), Role::Dim),
        ]);
    }
    if !any {
        out.say("no run yet: B starts one", Role::Dim);
    }
    out
}

fn queued(model: &Model, look: &Look, row: &Row) -> Vec<Cell> {
    let state = word::text(row, "state");
    let (_, role) = word::verdict(&state, &look.glyphs);
    vec![
        Cell::plain(word::text(row, "run")),
        Cell::new(state, role),
        Cell::new(when::so_far(model, row, "queued", "run").unwrap_or_default(), Role::Dim),
        match word::text(row, "blocked") {
            why if why.is_empty() && word::is_slow(row) => Cell::new("SLOW: past its p95", Role::Warn),
            why => Cell::plain(why),
        },
    ]
}

fn executor(model: &Model, _look: &Look, row: &Row) -> Vec<Cell> {
    let number = Cell::new(word::text(row, "executor"), Role::Dim);
    if word::text(row, "state") != "busy" {
        return vec![number, Cell::new("idle", Role::Dim), Cell::plain(""), Cell::plain("")];
    }
    let cell = word::text(row, "cell");
    let cell = if cell.is_empty() { String::new() } else { format!(" ({cell})") };
    vec![
        number,
        Cell::new(word::text(row, "run"), Role::Running),
        Cell::plain(format!("{}/{}{cell}", word::text(row, "stage"), word::text(row, "step"))),
        Cell::plain(when::elapsed(model, row, "since").map(duration::short).unwrap_or_default()),
    ]
}
