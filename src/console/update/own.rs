//! Who looks after what is wrong: the one change that needs no arming. A line of the palette that names its object, its time and why; nothing
//! is sent before that line is entered by hand.

use super::facts::{ack_of, facts};
use super::lists::current;
use super::prompt;
use crate::api::types::Do;
use crate::base::duration::Span;
use crate::console::model::{Model, word};
use crate::console::msg::Effect;
use crate::domain::problem::Problem;

/// A shift: what the line begins with.
const SHIFT: &str = "8h";

/// The key was pressed: the line for what is under the cursor. What you look after yourself is given back.
pub fn open(model: &mut Model, id: &str) -> Vec<Effect> {
    if let Some(why) = nobody(model) {
        model.complain(why);
        return Vec::new();
    }
    let problem = match under(model) {
        Ok(p) => p,
        Err(why) => {
            model.complain(why);
            return Vec::new();
        }
    };
    let you = model.status().map(|s| s.you.as_str()).unwrap_or_default();
    let mine = ack_of(model, &problem).is_some_and(|a| a.who == you);
    let line = match id == "unack" || mine {
        true => format!("unack {}", problem.subject),
        false => format!("ack {} {SHIFT} ", problem.subject),
    };
    prompt::begin(model, &line);
    Vec::new()
}

/// Why the key does nothing now.
pub fn why_not(model: &Model) -> Option<String> {
    nobody(model).or_else(|| under(model).err())
}

/// Nobody could be told. Arming is not asked for; all else that keeps a console from changing anything is.
fn nobody(model: &Model) -> Option<String> {
    let read_only = || model.never_armed.then(|| "this console was opened read-only".to_owned());
    let frozen = || model.frozen.is_some().then(|| "the screen is frozen: f lets it go on".to_owned());
    model.nobody().or_else(frozen).or_else(|| model.newer_engine()).or_else(read_only)
}

/// What is wrong with what is under the cursor.
fn under(model: &Model) -> Result<Problem, String> {
    let needs = model.screen().pane().filter(|(p, _)| p.what == "needs");
    let id = match needs {
        Some((pane, list)) => list.current(model.table(&pane).0).map(|r| word::text(r, "subject")),
        None => current(model),
    };
    let id = id.filter(|i| !i.is_empty()).ok_or_else(|| "nothing under the cursor could be looked after".to_owned())?;
    // A red run is its pipeline's.
    let names = [id.as_str(), id.rsplit_once('#').map_or(id.as_str(), |(p, _)| p)];
    let all: Vec<Problem> = facts(model).into_iter().filter_map(|f| f.problem).collect();
    let found = names.iter().find_map(|n| all.iter().find(|p| p.subject == *n));
    found.cloned().ok_or_else(|| format!("nothing is wrong with {id} that somebody could look after"))
}

/// `ack NAME [TIME] WHY`, `unack NAME [WHY]`.
pub fn typed(model: &mut Model, id: &'static str, rest: &str) -> Result<Vec<Effect>, String> {
    if let Some(why) = nobody(model) {
        return Err(why);
    }
    let (target, rest) = rest.split_once(' ').map_or((rest, ""), |(t, r)| (t, r.trim()));
    let mut request = Do { action: id.to_owned(), target: target.to_owned(), console: true, ..Do::default() };
    let (first, more) = rest.split_once(' ').map_or((rest, ""), |(f, m)| (f, m.trim()));
    let time = id == "ack" && first.parse::<Span>().is_ok();
    request.reason = if time { more } else { rest }.to_owned();
    if time {
        request.with.insert("until".to_owned(), first.to_owned());
    }
    if id == "ack" && request.reason.is_empty() {
        return Err(format!("say what is being done about it: ack {target} {SHIFT} WHY"));
    }
    Ok(vec![Effect::Do(Box::new(request))])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{connected, done, key, rows, table, told, typed as types};
    use super::super::update;
    use super::*;
    use crate::api::types::Ack;
    use crate::console::model::screen::Screen;
    use crate::console::msg::Msg;
    use crate::console::question::{Answer, Question};
    use crate::console::shot;
    use crate::theme::{Glyphs, Look, Theme};

    /// Home, where `n` is red.
    fn red() -> Model {
        let mut m = connected();
        m.stack = vec![Screen::home()];
        let mut s = m.status().unwrap().clone();
        env!("CARGO_PKG_VERSION").clone_into(&mut s.version);
        update(&mut m, Msg::Answer { question: Question::Status, result: Ok(Answer::Status(Box::new(s))) });
        let row = json!([{"pipeline": "n", "last_verdict": "failure", "red_runs": 2, "last_failure": "n#6", "last_success": "n#4"}]);
        update(&mut m, Msg::Answer { question: table("pipelines"), result: Ok(rows("pipelines", row)) });
        m
    }

    fn acked(m: &mut Model, who: &str, problem: &str) {
        let mut s = m.status().unwrap().clone();
        let (at, until) = (m.now.to_string(), (m.now + jiff::SignedDuration::from_hours(1)).to_string());
        s.acks = vec![Ack { subject: "n".into(), problems: vec![problem.into()], who: who.into(), why: "key expired".into(), at, until }];
        update(m, Msg::Answer { question: Question::Status, result: Ok(Answer::Status(Box::new(s))) });
    }

    #[test]
    fn a_key_names_what_is_under_the_cursor_and_the_line_says_until_when_and_why() {
        let mut m = red();
        assert!(done(&key(&mut m, "a")).is_empty());
        assert_eq!(m.prompt.as_ref().unwrap().line.text(), "ack n 8h ");
        assert!(done(&key(&mut m, "enter")).is_empty(), "without a reason nothing is sent");
        types(&mut m, "the key has expired");
        let all = done(&key(&mut m, "enter"));
        let [d] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((d.action.as_str(), d.target.as_str(), d.reason.as_str(), d.console), ("ack", "n", "the key has expired", true));
        assert_eq!(d.with.get("until").map(String::as_str), Some("8h"));
        assert!(matches!(m.mode, crate::console::model::Mode::ReadOnly), "nobody had to arm anything");
    }

    #[test]
    fn what_somebody_looks_after_is_shown_as_that_and_what_goes_wrong_later_is_not() {
        let mut m = red();
        acked(&mut m, "sec-02", "red since n#4 was good");
        m.size = (100, 24);
        let screen = shot::text(&shot::draw(&m, &Look { theme: Theme::plain(), glyphs: Glyphs::ASCII }));
        assert!(screen.contains("ack") && screen.contains("sec-02") && screen.contains("acked 1"), "{screen}");
        let f = facts(&m).into_iter().find(|f| f.problem.is_some()).unwrap();
        assert_eq!((f.weight, f.text.contains("(ack sec-02)")), (1, true));
        // It was good meanwhile: this is another streak.
        acked(&mut m, "sec-02", "red since n#1 was good");
        assert_eq!(facts(&m).into_iter().find(|f| f.problem.is_some()).unwrap().weight, 2);
        // Its time is over.
        acked(&mut m, "sec-02", "red since n#4 was good");
        m.now += jiff::SignedDuration::from_hours(2);
        assert_eq!(facts(&m).into_iter().find(|f| f.problem.is_some()).unwrap().weight, 2);
    }

    #[test]
    fn the_same_key_gives_back_what_is_ones_own() {
        let mut m = red();
        let you = m.status().unwrap().you.clone();
        acked(&mut m, &you, "red since n#4 was good");
        key(&mut m, "a");
        assert_eq!(m.prompt.as_ref().unwrap().line.text(), "unack n");
        let all = done(&key(&mut m, "enter"));
        assert_eq!((all[0].action.as_str(), all[0].target.as_str()), ("unack", "n"));
        acked(&mut m, "somebody-else", "red since n#4 was good");
        key(&mut m, "a");
        assert_eq!(m.prompt.as_ref().unwrap().line.text(), "ack n 8h ", "it is taken over");
    }

    #[test]
    fn without_an_engine_or_a_problem_the_key_says_why() {
        let mut m = connected();
        key(&mut m, "a");
        assert!(m.prompt.is_none() && told(&m).contains("nothing is wrong with a#3"), "{}", told(&m));
        let mut m = red();
        m.never_armed = true;
        key(&mut m, "a");
        assert!(m.prompt.is_none() && told(&m).contains("read-only"), "{}", told(&m));
        let mut m = red();
        update(&mut m, Msg::Link(crate::console::msg::LinkMsg::Down("gone".into())));
        key(&mut m, "a");
        assert!(m.prompt.is_none() && told(&m).contains("disconnected"), "{}", told(&m));
    }

    #[test]
    fn a_paste_and_a_held_key_enter_nothing() {
        let mut m = red();
        key(&mut m, "a");
        types(&mut m, "why");
        assert!(done(&update(&mut m, Msg::Burst("enter".parse().unwrap()))).is_empty());
        assert!(done(&update(&mut m, Msg::Key { key: "enter".parse().unwrap(), repeat: true })).is_empty());
        assert_eq!(done(&key(&mut m, "enter")).len(), 1);
    }
}
