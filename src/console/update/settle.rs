//! After each message: what is derived is brought to what is known, and every list of the screen has the index of its rows.

use std::collections::{BTreeMap, BTreeSet};

use super::{facts, follow, pages};
use crate::console::model::list::Row;
use crate::console::model::screen::{Kind, Pane};
use crate::console::model::{Known, Model};
use crate::console::question::{Answer, Question};

/// More changes at once than this are no news but another table.
const MOST: usize = 200;
/// More steps than a message can ask for: parts of a table that come, and problems found in them.
const STEPS: usize = 4;

/// Brings what is derived to what is known, until nothing moves.
pub fn settle(model: &mut Model) {
    let needs = facts::rows(model);
    if needs != model.needs {
        model.needs = needs;
        model.needs_version += 1;
    }
    for _ in 0..STEPS {
        sync(model);
        let moved = pages::turn(model);
        if moved {
            sync(model);
        }
        if !pages::hunt(model) && !moved {
            break;
        }
    }
    hand_over(model);
    follow::settle(model);
}

/// While nothing needs anybody, the newest runs have the keys of home: what stands beside the lists is what a key acts on. They go back when
/// something does, unless somebody has moved about in the runs meanwhile.
fn hand_over(model: &mut Model) {
    let screen = model.screen_mut();
    let (Kind::Home, [needs, runs]) = (&screen.kind, screen.lists.as_slice()) else { return };
    match screen.focus {
        0 if needs.is_empty() && !runs.is_empty() => (screen.focus, screen.lent) = (1, true),
        1 if screen.lent && !needs.is_empty() && runs.selected.is_none() => (screen.focus, screen.lent) = (0, false),
        _ => {}
    }
}

/// The index of each list of the screen.
fn sync(model: &mut Model) {
    let panes = model.screen().kind.panes();
    model.screen_mut().lists.resize_with(panes.len(), Default::default);
    let questions: Vec<Question> = panes.iter().map(|p| model.question_of(p)).collect();
    let mut lists = std::mem::take(&mut model.screen_mut().lists);
    for ((pane, question), list) in panes.iter().zip(&questions).zip(&mut lists) {
        let (rows, version) = model.answered(pane, question);
        list.sync(pane, rows, pages::part(model, question, rows), version, model.now);
    }
    model.screen_mut().lists = lists;
}

/// Which cells of the new answer are other than those of the old one, by id and field.
pub fn changed(pane: Option<Pane>, known: &Known, new: &Answer) -> BTreeMap<String, BTreeSet<String>> {
    let (Some(pane), Some(Answer::Rows(old)), Answer::Rows(new)) = (pane, &known.answer, new) else { return BTreeMap::new() };
    let before: BTreeMap<String, &Row> = old.rows.iter().map(|r| (pane.id(r), r)).collect();
    let mut out = BTreeMap::new();
    for row in &new.rows {
        let id = pane.id(row);
        let Some(was) = before.get(&id) else { continue };
        let fields: BTreeSet<String> = row.iter().filter(|(f, v)| was.get(*f) != Some(v)).map(|(f, _)| f.clone()).collect();
        if !fields.is_empty() {
            out.insert(id, fields);
        }
    }
    if out.len() > MOST { BTreeMap::new() } else { out }
}
