//! Long tables: which part of one is asked for, so that the rows in sight and some around them are held, and never more than two parts.

use super::{asks, lists};
use crate::api::order::Page;
use crate::console::model::list::{List, Row};
use crate::console::model::screen::{PAGE, Pane};
use crate::console::model::{Link, Model, word};
use crate::console::question::{PageAsk, Question, is_long};

/// Comparisons, sources and repositories that were looked at in passing and are still held.
const PASSED: usize = 40;

/// Which part of a table the rows are that a list shows; none where they are all of it, or all that there ever will be.
pub fn part(model: &Model, question: &Question, rows: &[Row]) -> Option<Page> {
    // Behind a saved state there is nobody who has the rest.
    if matches!(model.link, Link::Saved { .. }) {
        return None;
    }
    let page = model.rows(question)?.page?;
    (matches!(question, Question::Page(_)) || page.total > rows.len() as u64).then_some(page)
}

/// Takes the parts that came and says which are wanted, for each list of the screen. True = a list has other rows now.
pub fn turn(model: &mut Model) -> bool {
    let panes = model.screen().kind.panes();
    let mut lists = std::mem::take(&mut model.screen_mut().lists);
    let mut moved = false;
    for (pane, list) in panes.iter().zip(&mut lists).filter(|(p, _)| is_long(p.what)) {
        // What came is put in order first: its places are not those of the part before.
        moved |= came(model, list) || wants(model, pane, list);
    }
    model.screen_mut().lists = lists;
    forget(model);
    moved
}

/// The part that was wanted takes the place of the one that is held.
fn came(model: &Model, list: &mut List) -> bool {
    let Some(wanted) = &list.wanted else { return false };
    let question = Question::Page(Box::new(wanted.clone()));
    if model.asked.contains(&question) {
        return false;
    }
    let ready = model.known(&question).is_some_and(|k| k.answer.is_some() && k.error.is_none());
    if ready {
        list.page = list.wanted.take();
    }
    ready
}

fn wants(model: &Model, pane: &Pane, list: &mut List) -> bool {
    let plain = list.filter.trim().is_empty() && list.sort.is_none();
    let head = model.rows(&model.screen().base(pane));
    let held = head.map_or(0, |h| h.rows.len());
    let longer = head.and_then(|h| h.page).is_some_and(|p| p.total > held as u64);
    let long = list.only.is_none() && !matches!(model.link, Link::Saved { .. }) && (longer || list.page.is_some());
    let height = usize::from(model.size.1);
    let (from, to) = sight(list, height);
    if !long || (plain && list.wanted.is_none() && to.min(list.len()) <= held && list.is_of(list.page.as_ref())) {
        list.wanted = None;
        return list.page.take().is_some();
    }
    if list.is_of(list.page.as_ref()) && (list.page.is_some() || plain) && covers(list, from, to) {
        list.wanted = None;
        return false;
    }
    // What is under way is waited for, and then looked at again: a filter that is typed asks once for each answer, not for each key.
    if list.wanted.as_ref().is_some_and(|w| model.asked.contains(&Question::Page(Box::new(w.clone())))) {
        return false;
    }
    let around = if list.is_of(list.page.as_ref()) { None } else { list.selected.clone() };
    list.wanted = Some(PageAsk {
        what: pane.what,
        by: pane.id,
        filter: list.filter.trim().to_owned(),
        sort: list.sort.clone(),
        offset: if around.is_some() { 0 } else { from.saturating_sub(PAGE.saturating_sub(height) / 2) },
        around,
        limit: PAGE,
        of: model.screen().compared(),
    });
    false
}

/// The rows that are in sight, or would be.
fn sight(list: &List, height: usize) -> (usize, usize) {
    let first = list.first(height);
    (first, first + height)
}

fn covers(list: &List, from: usize, to: usize) -> bool {
    let held = list.held();
    held.start <= from.min(list.len()) && to.min(list.len()) <= held.end
}

/// Parts that no list has any more.
fn forget(model: &mut Model) {
    let lists = model.stack.iter().flat_map(|s| &s.lists).flat_map(|l| l.page.iter().chain(&l.wanted));
    let kept: std::collections::BTreeSet<PageAsk> = lists.cloned().collect();
    model.known.retain(|q, _| !matches!(q, Question::Page(p) if !kept.contains(p)));
    let passing =
        |q: &Question| matches!(q, Question::Changes { .. } | Question::Brief { .. } | Question::Source { .. } | Question::Repo(_));
    let mut seen: Vec<(Option<jiff::Timestamp>, Question)> =
        model.known.iter().filter(|(q, _)| passing(q)).map(|(q, k)| (k.at, q.clone())).collect();
    if seen.len() > PASSED {
        let needed = asks::needs(model);
        seen.sort();
        for (_, q) in seen.iter().take(seen.len() - PASSED).filter(|(_, q)| !needed.contains(q)) {
            model.known.remove(q);
        }
    }
}

/// Goes on to the next problem: through the rows that are held, and on to the part behind them.
pub fn hunt(model: &mut Model) -> bool {
    let Some((pane, list)) = model.screen().pane() else { return false };
    let Some((forward, began)) = list.hunt else { return false };
    let (rows, at, held) = (model.table(&pane).0, list.at, list.held());
    if !held.contains(&at) {
        // Its part is on the way, unless it cannot be had.
        let question = list.wanted.clone().map(|w| Question::Page(Box::new(w)));
        let failed = question.as_ref().and_then(|q| model.known(q)).is_some_and(|k| k.error.is_some());
        if failed || model.link != Link::Up {
            return stop(model, began, "the rows further on cannot be had now");
        }
        return false;
    }
    let here: Vec<usize> = if forward { (at..held.end).collect() } else { (held.start..=at).rev().collect() };
    let found = here.into_iter().find(|n| *n != began && list.row(rows, *n).is_some_and(word::problem));
    let (base, end, len) = (held.start, held.end, list.len());
    match (found, forward) {
        (Some(n), _) => {
            lists::place(model, n);
            if let Some((_, l)) = model.screen_mut().pane_mut() {
                l.hunt = None;
            }
            true
        }
        (None, true) if end < len => on(model, end),
        (None, false) if base > 0 => on(model, base - 1),
        (None, true) => stop(model, began, "no row further down has a problem"),
        (None, false) => stop(model, began, "no row further up has a problem"),
    }
}

fn on(model: &mut Model, at: usize) -> bool {
    lists::place(model, at);
    model.say(format!("looking for the next problem: row {}", at + 1));
    true
}

fn stop(model: &mut Model, began: usize, why: &str) -> bool {
    if let Some((_, l)) = model.screen_mut().pane_mut() {
        l.hunt = None;
    }
    lists::place(model, began);
    model.say(why);
    true
}

impl Model {
    /// The answer to the question that the rows of a list are of now.
    pub fn question_of(&self, pane: &Pane) -> Question {
        self.screen().question(pane)
    }

    /// How many rows of a long table there are in all, whatever is held or filtered.
    pub fn total(&self, pane: &Pane) -> Option<u64> {
        let of = |question: &Question| self.rows(question).and_then(|r| r.page).map(|p| p.total);
        match self.question_of(pane) {
            // The part is newer than the beginning of the table.
            Question::Page(p) if p.filter.is_empty() => of(&Question::Page(p)),
            _ => of(&self.screen().base(pane)),
        }
    }

    /// Why the part of a table that is wanted cannot be had.
    pub fn missing(&self, list: &List) -> Option<String> {
        let wanted = Question::Page(Box::new(list.wanted.clone()?));
        self.known(&wanted)?.error.as_ref().map(ToString::to_string)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::types::Rows;
    use crate::console::keymap::Keymap;
    use crate::console::model::screen::Kind;
    use crate::console::model::{Screen, Site};
    use crate::console::msg::{Effect, LinkMsg, Msg};
    use crate::console::question::Answer;
    use crate::console::update::update;

    /// A table of runs that counts down from `total`; each hundredth is red.
    struct Engine {
        total: usize,
        asked: usize,
    }

    impl Engine {
        fn rows(&self, filter: &str) -> Vec<usize> {
            (1..=self.total).rev().filter(|n| filter != "verdict=failure" || n % 100 == 0).collect()
        }

        /// What it says to a question; nothing to what this is not about.
        fn says(&mut self, question: &Question) -> Option<Answer> {
            let (all, limit, offset) = match question {
                Question::Rows { what: "runs", limit } => (self.rows(""), *limit, 0),
                Question::Page(p) => {
                    let all = self.rows(&p.filter);
                    let around = p.around.as_ref().and_then(|a| all.iter().position(|n| format!("a#{n}") == *a));
                    let from = around.map_or(p.offset, |at| at.saturating_sub(p.limit / 2)).min(all.len().saturating_sub(p.limit));
                    (all, p.limit, from)
                }
                _ => return None,
            };
            self.asked += 1;
            let page = Some(Page { offset: offset as u64, total: all.len() as u64 });
            let row = |n: &usize| {
                let verdict = if n.is_multiple_of(100) { "failure" } else { "success" };
                json!({"run": format!("a#{n}"), "verdict": verdict, "state": "done"}).as_object().unwrap().clone()
            };
            let rows = all.iter().skip(offset).take(limit).map(row).collect();
            Some(Answer::Rows(Rows { what: "runs".into(), rows, page, ..Rows::default() }))
        }

        /// Answers until nothing is asked any more.
        fn serve(&mut self, model: &mut Model, mut effects: Vec<Effect>) {
            for _ in 0..2_000 {
                let Some(effect) = effects.pop() else { return };
                if let Effect::Ask(question) = effect
                    && let Some(answer) = self.says(&question)
                {
                    effects.extend(update(model, Msg::Answer { question, result: Ok(answer) }));
                }
            }
            panic!("it asks for ever");
        }

        fn keys(&mut self, model: &mut Model, keys: &str) {
            for key in keys.split(' ') {
                let effects = update(model, Msg::Key { key: key.parse().unwrap(), repeat: false });
                self.serve(model, effects);
            }
        }
    }

    fn console(engine: &mut Engine) -> Model {
        let site = Site { name: "s".into(), demo: false, zone: jiff::tz::TimeZone::UTC };
        let now = "2026-04-07T03:07:00Z".parse().unwrap();
        let mut model = Model::new(site, Keymap::default_keys(), now, (100, 30));
        model.stack.push(Screen::of(Kind::Runs));
        let effects = update(&mut model, Msg::Link(LinkMsg::Up));
        engine.serve(&mut model, effects);
        model
    }

    fn list(model: &Model) -> &List {
        &model.screen().lists[0]
    }

    fn held(model: &Model) -> usize {
        model.known.values().map(|k| if let Some(Answer::Rows(r)) = &k.answer { r.rows.len() } else { 0 }).sum()
    }

    #[test]
    fn a_long_table_is_walked_to_its_end_and_never_held() {
        let mut engine = Engine { total: 50_000, asked: 0 };
        let mut model = console(&mut engine);
        assert_eq!((list(&model).len(), list(&model).selected.as_deref()), (50_000, None));
        engine.keys(&mut model, "G");
        assert_eq!((list(&model).at, list(&model).selected.as_deref()), (49_999, Some("a#1")));
        for _ in 0..200 {
            engine.keys(&mut model, "pgup");
            assert!(list(&model).current(model.table(&model.screen().pane().unwrap().0).0).is_some(), "the cursor's row is there");
            assert!(held(&model) <= 3 * PAGE, "{} rows are held", held(&model));
        }
        assert!(engine.asked < 60, "{} questions for 200 pages", engine.asked);
        engine.keys(&mut model, "g g");
        assert_eq!((list(&model).at, list(&model).page.clone()), (0, None), "at its beginning the table is what every screen has");
    }

    #[test]
    fn a_filter_is_the_engine_s_over_all_rows_and_the_cursor_keeps_its_row() {
        let mut engine = Engine { total: 50_000, asked: 0 };
        let mut model = console(&mut engine);
        engine.keys(&mut model, "G up up");
        assert_eq!(list(&model).selected.as_deref(), Some("a#3"));
        let effects = {
            model.screen_mut().lists[0].filter = "verdict=failure".into();
            let now = model.now;
            update(&mut model, Msg::Tick(now))
        };
        engine.serve(&mut model, effects);
        assert_eq!((list(&model).len(), model.total(&model.screen().pane().unwrap().0)), (500, Some(50_000)));
        engine.keys(&mut model, "G");
        assert_eq!(list(&model).selected.as_deref(), Some("a#100"));
        // Without the filter it stands on the same row, wherever that is among all.
        engine.keys(&mut model, "\\");
        assert_eq!((list(&model).selected.as_deref(), list(&model).at), (Some("a#100"), 49_900));
    }

    #[test]
    fn the_next_problem_is_found_beyond_what_is_held() {
        let mut engine = Engine { total: 5_050, asked: 0 };
        let mut model = console(&mut engine);
        for wanted in (0..12).map(|i| format!("a#{}", 5_000 - i * 100)) {
            engine.keys(&mut model, "n");
            assert_eq!(list(&model).selected, Some(wanted));
        }
        engine.keys(&mut model, "N N");
        assert_eq!(list(&model).selected.as_deref(), Some("a#4100"));
        engine.keys(&mut model, "G n");
        assert_eq!((list(&model).selected.as_deref(), list(&model).hunt), (Some("a#1"), None), "there is none further down");
    }

    #[test]
    fn an_engine_that_answers_to_no_page_is_asked_once() {
        let mut engine = Engine { total: 2_000, asked: 0 };
        let mut model = console(&mut engine);
        let effects = update(&mut model, Msg::Key { key: "G".parse().unwrap(), repeat: false });
        let asks = |effects: Vec<Effect>| effects.into_iter().filter(|e| matches!(e, Effect::Ask(Question::Page(_)))).count();
        let question =
            effects.iter().find_map(|e| if let Effect::Ask(q @ Question::Page(_)) = e { Some(q.clone()) } else { None }).unwrap();
        let result = Err(crate::api::ApiError::bad("no such column", ""));
        assert_eq!(asks(update(&mut model, Msg::Answer { question, result })), 0);
        let now = model.now;
        assert_eq!(asks(update(&mut model, Msg::Tick(now))), 0);
    }
}
