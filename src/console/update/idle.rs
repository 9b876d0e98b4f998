//! Why a command that changes nothing but the view has nothing to do on this screen, as far as that can be said before it is pressed.

use super::{lists, subject};
use crate::console::model::Model;
use crate::console::model::screen::Kind;

/// Whether the screen is of the kind that has tabs.
pub fn has_tabs(model: &Model) -> bool {
    matches!(model.screen().kind, Kind::Jobs | Kind::Log(..) | Kind::Pipeline(_))
}

/// None where it does something, or where only pressing it tells.
pub fn idle(model: &Model, id: &str) -> Option<String> {
    let screen = model.screen();
    let list = screen.pane();
    let read = matches!(screen.kind, Kind::Log(..) | Kind::Pipeline(_));
    let why = match id {
        "filter" | "sort" | "sort-backwards" | "mark" | "mark-range" | "unmark" | "wide" if list.is_none() => "there is no list here",
        "clear-filter" if list.is_none() && !read => "there is no list here",
        "pane" if screen.lists.len() < 2 => "there is no other list here",
        "next-tab" | "previous-tab" if !has_tabs(model) => "there are no tabs here: 8 has them",
        "next-tab" | "previous-tab" if screen.kind == Kind::Jobs && lists::tabs(model).len() < 2 => {
            "no pipeline here names a view: `views:` in its file does"
        }
        "left" | "right" if !matches!(screen.kind, Kind::Run(_) | Kind::Log(..)) => "there is nothing beside",
        "pipeline" if matches!(screen.kind, Kind::Pipeline(_)) => "this is its page",
        "last-view" if model.before.is_empty() => "there was no other view yet",
        "open" if list.is_some_and(|(pane, list)| list.current(model.table(&pane).0).is_none()) => "there is no row under the cursor",
        "copy-id" if list.is_some() && lists::current(model).is_none() => "there is no row under the cursor, or it has no name of its own",
        "open" | "why" if list.is_some() => return subject::shut(model),
        "pipeline" if subject::pipeline_of(model).is_none() => "no row here is about a pipeline; :pipeline NAME opens one",
        "back" if model.stack.len() < 2 => "this is home; :quit leaves",
        _ => return None,
    };
    Some(why.to_owned())
}
