//! What acts on promotions and holds need of the console: why a key does nothing for this row, what its dialog says, and what it asks.

use indexmap::IndexMap;
use serde_json::Value;

use super::content;
use crate::action::{Action, Target};
use crate::api::types::Rule;
use crate::console::edit::Line;
use crate::console::model::dialog::Field;
use crate::console::model::list::Row;
use crate::console::model::screen::{Kind, PAGE};
use crate::console::model::{Model, word};
use crate::console::question::Question;
use crate::domain::promotion::SIDES;
use crate::domain::promotion::gate::GATES;
use crate::domain::promotion::state::{Act, State, next};

/// Signs of a sha that go with a request: what was seen is what is agreed to.
const SHA: usize = 16;
/// Lines of one kind in a dialog.
const SHOWN: usize = 6;

/// The promotion that the screen is about, or that is under the cursor.
pub fn current(model: &Model) -> Option<String> {
    match &model.screen().kind {
        Kind::Promotion(id) => Some(id.clone()),
        Kind::Promotions => super::lists::current(model),
        _ => None,
    }
}

/// The promotion that is shown: on the list it follows the cursor once that rests.
pub fn shown(model: &Model) -> Option<String> {
    match &model.screen().kind {
        Kind::Promotion(id) => Some(id.clone()),
        Kind::Promotions => super::beside::front(model).map(|r| word::text(r, "promotion")).filter(|id| !id.is_empty()),
        _ => None,
    }
}

/// The row of a promotion in `get promotions`.
pub fn row<'a>(model: &'a Model, id: &str) -> Option<&'a Row> {
    let rows = model.rows(&Question::Rows { what: "promotions", limit: PAGE })?;
    rows.rows.iter().find(|r| word::text(r, "promotion") == id)
}

/// What the action would be done to, for the row under the cursor.
pub fn target(model: &Model, action: &Action, id: &str) -> Result<String, String> {
    let what = model.screen().pane().map_or("", |(p, _)| p.what);
    let promotion = matches!(model.screen().kind, Kind::Promotion(_)) || what == "promotions";
    let os = || match promotion {
        true => row(model, id).map(|r| word::text(r, "os")).filter(|o| !o.is_empty()),
        false => content::os(model),
    };
    match action.target {
        Target::Promotion if promotion => Ok(id.to_owned()),
        Target::Os if promotion || is_content(model) => os().ok_or_else(|| format!("the OS of `{id}` is not known")),
        Target::Promotion => Err("it is done to a promotion: 6 shows them".to_owned()),
        Target::Repo if what == "repos" => Ok(id.to_owned()),
        Target::Repo => Err("it is done to a repository: 3 shows them".to_owned()),
        Target::Hold if what == "holds" => Ok(id.to_owned()),
        Target::Hold if is_content(model) => Err("it is done to a hold: tab goes to them".to_owned()),
        Target::Hold => Err("it is done to a hold: g c shows them".to_owned()),
        _ => Err(format!("`{id}` is nothing that it could be done to")),
    }
}

/// Whether the screen is about contents: an act on an OS is about that of the row under the cursor.
fn is_content(model: &Model) -> bool {
    matches!(model.screen().kind, Kind::Content | Kind::Diff(_) | Kind::Mirrors)
}

/// The row of a repository.
fn repo<'a>(model: &'a Model, name: &str) -> Option<&'a Row> {
    let rows = model.rows(&Question::Rows { what: "repos", limit: PAGE })?;
    rows.rows.iter().find(|r| word::text(r, "repo") == name)
}

/// The row of a hold or an addition.
fn hold<'a>(model: &'a Model, number: &str) -> Option<&'a Row> {
    let rows = model.rows(&Question::Rows { what: "holds", limit: PAGE })?;
    rows.rows.iter().find(|r| word::text(r, "hold") == number)
}

/// Why the act does nothing for this promotion now, as far as its row tells; the engine has the last word.
pub fn why_not(model: &Model, action: &Action, target: &str) -> Option<String> {
    if action.id == "promote" {
        let rows = model.rows(&Question::Rows { what: "promotions", limit: PAGE })?;
        let open = |r: &&Row| word::text(r, "os") == target && state(r).is_some_and(|s| !s.is_over());
        return rows.rows.iter().find(open).map(|r| format!("{} is open: one of each OS at a time", word::text(r, "promotion")));
    }
    if action.target == Target::Repo {
        let row = repo(model, target)?;
        let (frozen, until) = (word::text(row, "frozen"), word::text(row, "frozen_until"));
        return match (action.id, until.is_empty(), frozen.is_empty()) {
            (_, true, false) => Some(format!("the site file lets {target} stand still: {frozen}")),
            ("thaw", true, true) => Some(format!("{target} is not frozen")),
            // The same key ends it.
            _ => None,
        };
    }
    if action.target == Target::Hold {
        let row = hold(model, target)?;
        let over = word::text(row, "state") == "ENDED";
        return over.then(|| format!("hold {target} of {} is over: {}", word::text(row, "package"), word::text(row, "how")));
    }
    if action.target != Target::Promotion {
        return None;
    }
    let row = row(model, target)?;
    let now = state(row)?;
    let act = match action.id {
        "promote-soak" => Act::Pin,
        "promote-start" => Act::Start,
        "promote-halt" => Act::Halt,
        "promote-resume" => Act::Resume,
        "promote-rollback" => Act::RollBack,
        "promote-veto" => Act::Veto,
        "promote-approve" => Act::Agree,
        "promote-waive" if !now.is_before_start() => return Some(format!("it is {now}: gates are waived before the start")),
        _ => return None,
    };
    let halted_in = word::text(row, "halted_in").parse().ok();
    if let Err(e) = next(now, act, halted_in) {
        return Some(e.to_string());
    }
    let moved = row.get("switched").and_then(Value::as_u64).unwrap_or(0) > 0 || matches!(now, State::Halted | State::Closed);
    (act == Act::RollBack && !moved).then(|| "it has moved nothing: V ends it".to_owned())
}

fn state(row: &Row) -> Option<State> {
    word::text(row, "state").parse().ok()
}

/// What is read again before anybody is asked.
pub fn read(action: &Action, target: &str) -> Question {
    match action.target {
        Target::Promotion => Question::Promotion(target.to_owned()),
        Target::Hold => Question::Rows { what: "holds", limit: PAGE },
        Target::Repo => Question::Rows { what: "repos", limit: PAGE },
        _ => Question::Rows { what: "promotions", limit: PAGE },
    }
}

/// What a dialog about a promotion is judged by: its state, its plan as it is now, and who has agreed.
pub fn basis(doc: &Row) -> String {
    let count = |f: &str| doc.get(f).and_then(Value::as_array).map_or(0, Vec::len);
    format!(
        "{} {} {} {} {}",
        word::text(doc, "state"),
        word::text(doc, "sha"),
        word::text(doc, "sha_now"),
        count("approvals"),
        count("waivers")
    )
}

/// What is told of it, in order.
pub fn facts(model: &Model, action: &Action, target: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    if let Some(row) = repo(model, target).filter(|_| action.target == Target::Repo) {
        out.push(("now".to_owned(), format!("{target} is {}: {}", word::text(row, "freshness"), word::text(row, "detail"))));
        let others = match word::text(row, "writer").as_str() {
            "quarterdeck" => String::new(),
            writer => format!("its tree is written by {writer}, whose own schedule goes on"),
        };
        if !others.is_empty() {
            out.push(("but".to_owned(), others));
        }
        return out;
    }
    if let Some(row) = hold(model, target).filter(|_| action.target == Target::Hold) {
        let what = if word::text(row, "nevra").is_empty() { word::text(row, "package") } else { word::text(row, "nevra") };
        out.push((
            "now".to_owned(),
            format!("{} {} of {} is {}", word::text(row, "kind"), what, word::text(row, "os"), word::text(row, "state")),
        ));
        let until =
            crate::console::model::when::instant(row, "until").map(|t| crate::console::model::when::show(model, t)).unwrap_or_default();
        out.push(("until".to_owned(), format!("{until}, {}: {}", word::text(row, "owner"), word::text(row, "reason"))));
        return out;
    }
    let Some(doc) = model.promotion(target).filter(|_| action.target == Target::Promotion) else { return out };
    let mut put = |label: &str, text: String| {
        if !text.is_empty() {
            out.push((label.to_owned(), text));
        }
    };
    let sha = word::short(&word::text(doc, "sha"));
    put(
        "now",
        format!("{} is {}{}", target, word::text(doc, "state"), if sha.is_empty() { String::new() } else { format!(", plan {sha}") }),
    );
    if flag(doc, "has_moved") {
        put("MOVED", format!("the plan is {} now: {}", word::short(&word::text(doc, "sha_now")), texts(doc, "moved").join("; ")));
    }
    match action.id {
        "promote-soak" => put("taken", "what the trees hold now, as a snapshot in every datacentre".to_owned()),
        "promote-approve" => {
            put("gates", gates(doc));
            put("missing", texts(doc, "missing").join(" and "));
            put("who", format!("two people, one of each side, one of them not {}", word::text(doc, "author")));
            lines(&mut put, "changes", &moves(doc));
        }
        "promote-start" => {
            put("gates", gates(doc));
            put("given", approvals(doc));
            lines(&mut put, "moves", &moves(doc));
        }
        "promote-resume" => {
            put("halted", format!("in {}", word::text(doc, "halted_in")));
            lines(&mut put, "moves", &moves(doc));
        }
        "promote-rollback" => {
            lines(&mut put, "back", &texts(doc, "undo"));
            lines(&mut put, "stays", &texts(doc, "not_undone"));
        }
        "promote-waive" => lines(&mut put, "open", &open_gates(doc)),
        _ => {}
    }
    out
}

fn lines(put: &mut impl FnMut(&str, String), label: &str, all: &[String]) {
    let more = all.len().saturating_sub(SHOWN);
    let mut text = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n");
    if more > 0 {
        text.push_str(&format!("\nand {more} more"));
    }
    put(label, text);
}

/// Whether a field is true.
pub fn flag(row: &Row, field: &str) -> bool {
    row.get(field).and_then(Value::as_bool).unwrap_or(false)
}

/// The texts of a list; nothing where there is none.
pub fn texts(row: &Row, field: &str) -> Vec<String> {
    let of = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    row.get(field).and_then(Value::as_array).map(|a| a.iter().map(of).collect()).unwrap_or_default()
}

/// The objects of a list.
pub fn objects<'a>(row: &'a Row, field: &str) -> impl Iterator<Item = &'a Row> {
    row.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

fn gates(doc: &Row) -> String {
    let all: Vec<&Row> = objects(doc, "gates").collect();
    let passed = all.iter().filter(|g| flag(g, "passes")).count();
    let waived: Vec<String> = all.iter().filter(|g| word::text(g, "result") == "WAIVED").map(|g| word::text(g, "gate")).collect();
    let told = if waived.is_empty() { String::new() } else { format!("; WAIVED {}", waived.join(" ")) };
    format!("{passed} of {} pass{told}", all.len())
}

/// Gates that do not pass, with their reasons.
fn open_gates(doc: &Row) -> Vec<String> {
    let line = |g: &Row| format!("{} {}: {}", word::text(g, "gate"), word::text(g, "result"), word::text(g, "detail"));
    objects(doc, "gates").filter(|g| !flag(g, "passes")).map(line).collect()
}

fn approvals(doc: &Row) -> String {
    let sha = word::text(doc, "sha");
    let given = objects(doc, "approvals").filter(|a| word::text(a, "sha") == sha);
    given.map(|a| format!("{}: {}", word::text(a, "side"), word::text(a, "who"))).collect::<Vec<_>>().join(", ")
}

fn moves(doc: &Row) -> Vec<String> {
    let line = |m: &Row| {
        let done = if flag(m, "switched") { " (switched)" } else { "" };
        format!("{}: {} {} -> {}{done}", word::text(m, "dc"), word::text(m, "pointer"), word::text(m, "from"), word::text(m, "to"))
    };
    objects(doc, "moves").map(line).collect()
}

/// Arguments that nobody edits: the sha that was shown.
pub fn with(model: &Model, action: &Action, target: &str) -> IndexMap<String, String> {
    let mut out = IndexMap::new();
    let sha = model.promotion(target).map(|d| word::text(d, "sha")).unwrap_or_default();
    if action.target == Target::Promotion && !sha.is_empty() && action.args.iter().any(|a| a.name == "sha") {
        out.insert("sha".to_owned(), sha.chars().take(SHA).collect());
    }
    out
}

fn rule(name: &str) -> Rule {
    match name {
        "gate" => Rule::Choice { choices: GATES.iter().map(ToString::to_string).collect() },
        "side" => Rule::Choice { choices: SIDES.iter().map(ToString::to_string).collect() },
        "retake" => Rule::Bool,
        _ => Rule::Text { pattern: None, min: None, max: None },
    }
}

/// What is asked: the arguments of the registry, but for what is fixed, filled in where the screen knows.
pub fn fields(model: &Model, action: &Action, target: &str) -> Vec<Field> {
    let doc = model.promotion(target);
    let known = |name: &str| match (name, doc) {
        ("gate", Some(doc)) => objects(doc, "gates").find(|g| !flag(g, "passes")).map(|g| word::text(g, "gate")).unwrap_or_default(),
        ("package", _) if action.id == "hold-add" => content::package(model).unwrap_or_default(),
        ("side", Some(doc)) => texts(doc, "missing").into_iter().next().unwrap_or_default(),
        _ => String::new(),
    };
    let field = |a: &crate::action::Arg| Field {
        name: a.name.to_owned(),
        kind: a.doc.to_owned(),
        default: (!a.required).then(String::new),
        about: String::new(),
        rule: rule(a.name),
        line: Line::from(known(a.name).as_str()),
    };
    action.args.iter().filter(|a| a.name != "sha").map(field).collect()
}

/// What must be typed, where it is not the name.
pub fn word(model: &Model, action: &Action, target: &str) -> String {
    match model.promotion(target) {
        Some(doc) if action.id == "promote-start" => word::text(doc, "start"),
        _ => String::new(),
    }
}
