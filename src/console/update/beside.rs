//! What stands beside a list, where that is a page of its own: it follows the cursor once that rests. A held key costs a slow link the cursor
//! alone, and the engine nothing. What a key does is always about the row under the cursor.

use jiff::{SignedDuration, Timestamp};

use crate::console::model::list::{List, Row};
use crate::console::model::screen::{Kind, PAST, Pane, Place};
use crate::console::model::{Link, Model, word};
use crate::console::question::Question;

/// So long the cursor rests before what stands beside the list follows: longer than a held key takes to come again.
pub(super) const REST: SignedDuration = SignedDuration::from_millis(150);
/// So long before the engine is asked for what takes it a while.
const ASK: SignedDuration = SignedDuration::from_millis(400);
/// An answer that takes longer is shown as one that is asked for.
pub(super) const PATIENCE: SignedDuration = SignedDuration::from_secs(1);

/// Where the cursor of a page without lists stands.
const SPOT: &str = "spot";
/// From this size on the screen of jobs has room for the last runs of the pipeline under the cursor, stage by stage.
pub const STAGES: (u16, u16) = (120, 30);

/// Screens whose lists have a page of its own beside each row. Elsewhere a detail is a few words of the row itself, and follows at once.
pub(super) fn follows(kind: &Kind) -> bool {
    matches!(kind, Kind::Promotions | Kind::Content | Kind::Diff(_) | Kind::Mirrors | Kind::Jobs | Kind::Run(_))
}

pub(super) fn here(model: &Model) -> Option<Place> {
    // The cursor of a run's page stands on no row.
    if let Kind::Run(_) = model.screen().kind {
        return Some((SPOT, model.screen().spot.clone().unwrap_or_default()));
    }
    let (pane, list) = model.screen().pane()?;
    list.current(model.table(&pane).0).map(|row| (pane.what, pane.id(row)))
}

/// How long the cursor has been where it is. A clock that was set back holds nothing up.
pub(super) fn passed(model: &Model) -> SignedDuration {
    let since = model.screen().rest.at.as_ref().map_or(Timestamp::MIN, |(_, since)| *since);
    let passed = model.now.duration_since(since);
    if passed.is_negative() { SignedDuration::MAX } else { passed }
}

/// The row that stands beside this list: the one under the cursor, or where that was before it moved on.
pub fn row<'a>(model: &'a Model, pane: &Pane, list: &List) -> Option<&'a Row> {
    let rows = model.table(pane).0;
    let current = list.current(rows);
    let beside = model.screen().rest.beside.as_ref().filter(|(what, _)| *what == pane.what && follows(&model.screen().kind));
    match (beside, current) {
        (Some((_, id)), Some(row)) if pane.id(row) != *id => rows.iter().find(|r| pane.id(r) == *id).or(current),
        _ => current,
    }
}

/// The same for the list in front.
pub fn front(model: &Model) -> Option<&Row> {
    let (pane, list) = model.screen().pane()?;
    row(model, &pane, list)
}

/// What the excerpt of a run's page is of: what the cursor stands on, or stood on before it moved on.
pub fn spot(model: &Model) -> Option<&str> {
    let beside = model.screen().rest.beside.as_ref().filter(|(what, _)| *what == SPOT).map(|(_, id)| id.as_str());
    beside.or(model.screen().spot.as_deref())
}

/// The last runs of the pipeline that stands beside the list of pipelines; with `here` of the one under the cursor.
pub(super) fn history(model: &Model, here: bool) -> Option<Question> {
    let screen = model.screen();
    if screen.wide || model.size.0 < STAGES.0 || model.size.1 < STAGES.1 {
        return None;
    }
    let (pane, list) = (screen.kind.panes().first()?, screen.lists.first()?);
    let row = if here { list.current(model.table(pane).0) } else { row(model, pane, list) }?;
    Some(Question::History { pipeline: word::text(row, "pipeline"), limit: PAST })
}

/// What the screen of jobs asks for beside its lists.
pub fn histories(model: &Model) -> Vec<Question> {
    let next = history(model, true).filter(|_| rests(model));
    let mut all: Vec<Question> = history(model, false).into_iter().chain(next).collect();
    all.dedup();
    all
}

/// Whether the cursor has rested long enough for what it is on to be asked for.
pub fn rests(model: &Model) -> bool {
    passed(model) >= REST
}

/// Rows that the engine is asked about: the one that stands beside the list, and the one under the cursor once that rests.
pub fn asked(model: &Model) -> Vec<&Row> {
    let current = model.under_cursor().filter(|_| passed(model) >= REST);
    let mut all: Vec<&Row> = front(model).into_iter().chain(current).collect();
    all.dedup();
    all
}

/// Whether the cursor has rested long enough for what costs the engine a while.
pub fn is_at_rest(model: &Model) -> bool {
    passed(model) >= ASK
}

/// How long until something follows the cursor, or is asked because it rests; none = nothing waits.
pub fn wakes_in(model: &Model) -> Option<std::time::Duration> {
    let kind = &model.screen().kind;
    if !follows(kind) || matches!(model.link, Link::Saved { .. }) {
        return None;
    }
    let behind = model.screen().rest.beside != Some(here(model)?);
    let passed = passed(model);
    let all = [(REST, behind), (ASK, matches!(kind, Kind::Mirrors | Kind::Promotions)), (PATIENCE, behind)];
    let left = all.into_iter().filter(|(at, wanted)| *wanted && passed < *at).map(|(at, _)| at - passed).min()?;
    std::time::Duration::try_from(left).ok()
}
