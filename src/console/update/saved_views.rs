//! `:view`: a screen with its filter and order by a name.

use super::travel;
use crate::console::model::Model;
use crate::console::msg::Effect;
use crate::console::views;

/// `NAME`, `save NAME` or `drop NAME`.
pub fn typed(model: &mut Model, rest: &str) -> Result<Vec<Effect>, String> {
    let (word, name) = rest.split_once(' ').map_or((rest, ""), |(w, n)| (w, n.trim()));
    match word {
        "save" => {
            views::keep(model, name)?;
            model.say(format!("`:view {name}` opens this screen from now on"));
            Ok(vec![Effect::Views])
        }
        "drop" if views::forget(model, name) => {
            model.say(format!("the view {name} is forgotten"));
            Ok(vec![Effect::Views])
        }
        "drop" => Err(unknown(model, name)),
        name => {
            let screen = model.views.screen(name).ok_or_else(|| unknown(model, name))?;
            travel::enter(model, screen);
            Ok(Vec::new())
        }
    }
}

fn unknown(model: &Model, name: &str) -> String {
    let all: Vec<&str> = model.views.names().collect();
    let name = crate::base::sanitise::cell(name);
    match all.as_slice() {
        [] => format!("no view `{name}`: `:view save NAME` keeps the screen in front"),
        all => format!("no view `{name}`: there are {}", all.join(" ")),
    }
}
