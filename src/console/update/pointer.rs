//! The mouse, where a person has asked for it: a click puts the cursor on a row, the wheel moves it. Neither ever answers a dialog.

use super::{commands, help, lists};
use crate::console::model::Model;
use crate::console::msg::{Effect, Hit};

/// Rows that the wheel moves by.
const ROWS: usize = 3;

/// Something else has the keys: the mouse waits with them.
fn is_covered(model: &Model) -> bool {
    model.dialog.is_some() || model.prompt.is_some() || model.help.is_some() || model.opening.is_some()
}

pub fn click(model: &mut Model, hit: Hit) {
    if is_covered(model) || model.screen().lists.get(hit.list).is_none_or(|l| hit.row >= l.len()) {
        return;
    }
    model.screen_mut().focus = hit.list;
    lists::step(model, |_, _, _| hit.row);
}

pub fn wheel(model: &mut Model, down: bool) -> Vec<Effect> {
    if model.help.is_some() && model.dialog.is_none() && model.prompt.is_none() {
        help::turn(model, if down { ROWS as isize } else { -(ROWS as isize) });
        return Vec::new();
    }
    if is_covered(model) {
        return Vec::new();
    }
    (0..ROWS).flat_map(|_| commands::run(model, if down { "down" } else { "up" })).collect()
}
