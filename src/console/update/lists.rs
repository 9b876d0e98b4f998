//! What moves about in lists: the cursor, marks, sort, filter and tabs; and what stands under the cursor.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::console::model::list::Row;
use crate::console::model::screen::{Kind, Pane};
use crate::console::model::{Known, Model, word};
use crate::console::question::Question;

/// A cell is marked as changed for so long.
pub const FRESH_S: i64 = 5;
/// No page has more rows.
const LONGEST: usize = 400;
impl Model {
    /// The rows of a list, and a number that is another one whenever they are.
    pub fn table(&self, pane: &Pane) -> (&[Row], u64) {
        self.answered(pane, &self.question_of(pane))
    }

    pub fn answered(&self, pane: &Pane, question: &Question) -> (&[Row], u64) {
        if pane.what == "needs" {
            return (&self.needs, self.needs_version);
        }
        let version = self.known(question).map_or(0, |k| k.version);
        (self.rows(question).map_or(&[], |r| r.rows.as_slice()), version)
    }

    /// The row under the cursor of the list in front.
    pub fn under_cursor(&self) -> Option<&Row> {
        let (pane, list) = self.screen().pane()?;
        list.current(self.table(&pane).0)
    }

    /// Whether this cell changed a moment ago.
    pub fn is_fresh(&self, pane: &Pane, id: &str, field: &str) -> bool {
        let Some(known) = self.known(&self.question_of(pane)) else { return false };
        recent(known, self.now) && known.changed.get(id).is_some_and(|fields| fields.contains(field))
    }

    /// Whether anything that is marked as changed will have to be drawn as unchanged soon.
    pub fn anything_fresh(&self) -> bool {
        self.known.values().any(|k| !k.changed.is_empty() && recent(k, self.now))
    }
}

fn recent(known: &Known, now: Timestamp) -> bool {
    known.at.is_some_and(|at| now.duration_since(at).as_secs() < FRESH_S)
}

/// Fields of the table in front.
pub fn columns(model: &Model) -> Vec<String> {
    let Some((pane, _)) = model.screen().pane() else { return Vec::new() };
    // Where the engine found no row that passes a filter, those of before say what there is.
    let head = || model.rows(&model.screen().base(&pane)).and_then(|r| r.rows.first());
    model.table(&pane).0.first().or_else(head).map(|r| r.keys().cloned().collect()).unwrap_or_default()
}

/// Ids of the rows that are shown and held, in order.
pub fn shown(model: &Model) -> Vec<String> {
    let Some((pane, list)) = model.screen().pane() else { return Vec::new() };
    let rows = model.table(&pane).0;
    list.held().filter_map(|n| list.row(rows, n)).map(|r| pane.id(r)).collect()
}

/// What the row under the cursor is about: a run, a pipeline, or its id.
pub fn current(model: &Model) -> Option<String> {
    if let Kind::Run(run) | Kind::Log(run, _) = &model.screen().kind {
        return Some(run.to_string());
    }
    if let Kind::Pipeline(name) = &model.screen().kind {
        return Some(name.clone());
    }
    if let Kind::Promotion(id) = &model.screen().kind {
        return Some(id.clone());
    }
    let (pane, list) = model.screen().pane()?;
    list.current(model.table(&pane).0).map(|r| pane.subject(r)).filter(|s| !s.is_empty())
}

/// Rows that a list has room for, about: paging and scrolling need no more.
fn height(model: &Model) -> usize {
    usize::from(model.size.1.saturating_sub(8)).max(1)
}

/// Does something with the list in front and its rows.
fn with(model: &mut Model, act: impl FnOnce(&mut crate::console::model::List, &Pane, &[Row])) {
    let Some((pane, _)) = model.screen().pane() else { return };
    // Asked before the list is taken out: which part of the table it holds, it alone knows.
    let question = model.question_of(&pane);
    let Some((_, list)) = model.screen_mut().pane_mut() else { return };
    let mut own = std::mem::take(list);
    act(&mut own, &pane, model.answered(&pane, &question).0);
    if let Some((_, list)) = model.screen_mut().pane_mut() {
        *list = own;
    }
}

pub fn step(model: &mut Model, to: impl FnOnce(usize, usize, usize) -> usize) {
    let height = height(model);
    if model.screen().lists.is_empty() {
        let screen = model.screen_mut();
        screen.scroll = u16::try_from(to(usize::from(screen.scroll), LONGEST, height).min(LONGEST)).unwrap_or(u16::MAX);
        return;
    }
    with(model, |list, pane, rows| {
        let at = to(list.at, list.len(), height);
        list.select(pane, rows, at);
        list.top = list.first(height);
    });
}

/// Puts the cursor on a row of the list in front.
pub fn place(model: &mut Model, at: usize) {
    step(model, |_, _, _| at);
}

pub fn problem(model: &mut Model, forward: bool) {
    let Some((pane, list)) = model.screen().pane() else { return };
    if list.is_part() {
        let at = list.at;
        if let Some((_, l)) = model.screen_mut().pane_mut() {
            l.hunt = Some((forward, at));
        }
        return;
    }
    let (rows, at, len) = (model.table(&pane).0, list.at, list.len());
    let mut order = (1..=len).map(|i| if forward { (at + i) % len } else { (at + len - i) % len });
    match order.find(|n| list.row(rows, *n).is_some_and(word::problem)) {
        Some(n) => step(model, |_, _, _| n),
        None => model.say("no row here has a problem"),
    }
}

pub fn mark(model: &mut Model) {
    // What is done to a row must be the row itself.
    let own = model.screen().pane().and_then(|(p, l)| l.current(model.table(&p).0).map(|r| p.id(r) == p.subject(r)));
    if own == Some(false) {
        return model.say("rows of this list cannot be marked: what they are about is elsewhere");
    }
    with(model, |list, pane, rows| {
        let Some(id) = list.current(rows).map(|r| pane.id(r)) else { return };
        list.anchor = Some(id.clone());
        if !list.marks.remove(&id) {
            list.marks.insert(id);
        }
    });
    step(model, |at, _, _| at + 1);
}

/// Marks every row from the one that was marked last to the one under the cursor.
pub fn mark_range(model: &mut Model) {
    let own = model.screen().pane().and_then(|(p, l)| l.current(model.table(&p).0).map(|r| p.id(r) == p.subject(r)));
    if own == Some(false) {
        return model.say("rows of this list cannot be marked: what they are about is elsewhere");
    }
    let mut missing = true;
    with(model, |list, pane, rows| {
        let anchor = list.anchor.clone().and_then(|a| list.held().find(|n| list.row(rows, *n).is_some_and(|r| pane.id(r) == a)));
        let (Some(from), true) = (anchor, list.row(rows, list.at).is_some()) else { return };
        missing = false;
        let (from, to) = (from.min(list.at), from.max(list.at));
        let ids: Vec<String> = (from..=to).filter_map(|n| list.row(rows, n)).map(|r| pane.id(r)).collect();
        list.marks.extend(ids);
    });
    if missing {
        model.say("mark the first row of the range with space; it must be among the rows that are held here");
    }
}

/// Takes every mark away.
pub fn unmark(model: &mut Model) {
    with(model, |list, _, _| {
        list.marks.clear();
        list.anchor = None;
    });
}

pub fn sort(model: &mut Model, turn: bool) {
    let columns = columns(model);
    with(model, |l, _, _| {
        l.sort = match (l.sort.take(), turn) {
            (Some((c, backwards)), true) => Some((c, !backwards)),
            (None, true) => columns.first().map(|c| (c.clone(), true)),
            (None, false) => columns.first().map(|c| (c.clone(), false)),
            (Some((c, _)), false) => columns.iter().position(|x| *x == c).and_then(|i| columns.get(i + 1)).map(|c| (c.clone(), false)),
        };
    });
}

pub fn clear_filter(model: &mut Model) {
    with(model, |l, _, _| l.filter.clear());
}

/// The tabs of the list in front: `all`, then the views that its pipelines name.
pub fn tabs(model: &Model) -> Vec<String> {
    let Some(pane) = model.screen().kind.panes().first().filter(|p| p.what == "pipelines") else { return Vec::new() };
    let views = model.table(pane).0.iter().flat_map(|r| {
        let text = word::text(r, "views");
        text.split(',').map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()).collect::<Vec<_>>()
    });
    let views: BTreeSet<String> = views.collect();
    std::iter::once("all".to_owned()).chain(views).collect()
}

/// To the next tab, or the one before; false where there is no other.
pub fn tab(model: &mut Model, forward: bool) -> bool {
    let tabs = tabs(model);
    let screen = model.screen_mut();
    let Some(list) = screen.lists.first_mut().filter(|_| tabs.len() > 1) else { return false };
    let at = list.only.as_ref().and_then(|(_, v)| tabs.iter().position(|t| t == v)).unwrap_or(0);
    let next = if forward { (at + 1) % tabs.len() } else { (at + tabs.len() - 1) % tabs.len() };
    list.only = (next > 0).then(|| ("views", tabs[next].clone()));
    list.top = 0;
    screen.focus = 0;
    true
}
