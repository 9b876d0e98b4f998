//! More parts of a promotion's page: its keys, the security lane and what it adds, what it makes of additions that are served, its calendar, and
//! where its evidence comes from.

use jiff::Timestamp;
use serde_json::Value;

use super::text::Text;
use super::{when, word};
use crate::base::count;
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::update::promotions::{flag, objects, texts};
use crate::theme::Role;

/// What shows one part alone.
const KEYS: [(&str, &str); 7] = [
    ("diff", "what changes"),
    ("cves", "CVE ids"),
    ("blast", "blast radius"),
    ("undo", "way back"),
    ("calendar", "calendar"),
    ("story", "story"),
    ("evidence", "evidence"),
];

/// One line: each key and what it shows.
pub fn keys(model: &Model, out: &mut Text) {
    let scopes = model.screen().scopes();
    let mut spans = Vec::new();
    for (id, words) in KEYS {
        if let Some(keys) = model.keys.keys_of(scopes, id) {
            spans.push((format!("{keys} "), Role::Key));
            spans.push((format!("{words}  "), Role::KeyText));
        }
    }
    out.labelled("SHOW", spans);
}

fn moment(row: &Row, field: &str) -> Option<Timestamp> {
    row.get(field).and_then(Value::as_i64).and_then(|us| Timestamp::from_microsecond(us).ok())
}

/// `until Thu 14:05, in 31h12m`, or since when it is over.
fn left(model: &Model, row: &Row) -> (String, Role) {
    let Some(at) = moment(row, "until_us") else { return (String::new(), Role::Dim) };
    let (shown, far) = (when::show(model, at), when::relative(model.now, at));
    match at > model.now {
        true => (format!("until {shown}, {far}"), Role::Waiting),
        false => (format!("EXPIRED {shown}, {far}"), Role::Bad),
    }
}

/// Which gates the security lane does not wait for, and how long what it adds may stay.
pub fn lane(model: &Model, doc: &Row) -> Text {
    let mut out = Text::new();
    if word::text(doc, "lane") != "oob" {
        return out;
    }
    out.title("SECURITY LANE", "48 h, then the next promotion");
    out.put("skips", texts(doc, "skips").join("; "), Role::Warn);
    for line in objects(doc, "holds").filter(|h| word::text(h, "kind") == "oob") {
        let (text, role) = left(model, line);
        out.hang(2, vec![("adds ".to_owned(), Role::Label), (format!("{}  ", word::text(line, "nevra")), Role::Strong), (text, role)]);
    }
    out
}

/// What becomes of packages that were added out of band and are served.
pub fn additions(model: &Model, doc: &Row) -> Text {
    let mut out = Text::new();
    let all: Vec<&Row> = objects(doc, "additions").collect();
    if all.is_empty() {
        return out;
    }
    let absorbed = all.iter().filter(|a| word::text(a, "fate") == "absorbed").count();
    out.title("ADDED OUT OF BAND", format!("{absorbed} of {} absorbed", all.len()));
    for a in all {
        let (fate, by) = (word::text(a, "fate"), word::text(a, "by"));
        let role = match fate.as_str() {
            "absorbed" => Role::Good,
            "dropped" => Role::Warn,
            _ => Role::Unknown,
        };
        let by = match (fate.as_str(), by.as_str()) {
            ("unknown", _) => "what the candidate has nobody knows yet".to_owned(),
            (_, "") => "the candidate has nothing by that name".to_owned(),
            (_, by) => format!("the candidate has {by}"),
        };
        let (text, late) = left(model, a);
        out.hang(
            2,
            vec![
                (format!("{fate:<9}"), role),
                (format!("{}  ", word::text(a, "nevra")), Role::Strong),
                (format!("{by}; {} of {}  ", word::text(a, "promotion"), word::text(a, "owner")), Role::Text),
                (text, late),
            ],
        );
    }
    out
}

/// Whether its calendar is open, and when that changes.
pub fn calendar(model: &Model, doc: &Row) -> Text {
    let mut out = Text::new();
    let Some(c) = doc.get("calendar").and_then(Value::as_object) else {
        out.title("CALENDAR", "");
        out.say("the site names none: add calendar to [promotion.OS]", Role::Unknown);
        return out;
    };
    out.title("CALENDAR", format!("{} of {}", word::text(c, "calendar"), word::text(c, "owner")));
    match flag(c, "open") {
        true => out.put("now", "open", Role::Good),
        false => out.put("now", word::text(c, "why"), Role::Bad),
    }
    let broken = word::text(c, "broken");
    if !broken.is_empty() {
        out.put("broken", format!("{broken}; it holds as it was whole last"), Role::Bad);
    }
    let mut any = false;
    for turn in objects(c, "coming") {
        let Some(at) = when::instant(turn, "at") else { continue };
        any = true;
        let (text, role) = match (flag(turn, "open"), flag(turn, "freeze")) {
            (true, _) => ("opens".to_owned(), Role::Good),
            (_, true) => (format!("frozen: {}", word::text(turn, "why")), Role::Bad),
            _ => (format!("closes: {}", word::text(turn, "why")), Role::Warn),
        };
        out.hang(
            14,
            vec![
                (format!("{:<13} ", when::show(model, at)), Role::Label),
                (format!("{text}  "), role),
                (when::relative(model.now, at), Role::Dim),
            ],
        );
    }
    if !any {
        let days = c.get("days").and_then(Value::as_u64).unwrap_or(0);
        out.say(&format!("nothing changes within {}", count::s(days, "day")), Role::Dim);
    }
    out.put("zone", word::text(c, "zone"), Role::Dim);
    out
}

/// The archive of all that was said of it, and what it proves.
pub fn evidence(model: &Model, doc: &Row) -> Text {
    let mut out = Text::new();
    let id = word::text(doc, "promotion");
    let held = |f: &str| doc.get(f).and_then(Value::as_array).map_or(0, |a| a.len() as u64);
    let runs = doc.get("runs").and_then(Value::as_object).map_or(0, |r| r.values().filter(|v| v.is_string()).count());
    out.title("EVIDENCE", "");
    let key = model.keys.keys_of(model.screen().scopes(), "evidence").map(|k| format!("{k} copies: ")).unwrap_or_default();
    out.hang(2, vec![(key, Role::Key), (format!("quarterdeck evidence {id}"), Role::Strong)]);
    let held = format!(
        "{}, {}, {}, {} with the digests of their logs",
        count::s(held("plans"), "plan"),
        count::s(held("approvals"), "approval"),
        count::s(held("waivers"), "waiver"),
        count::s(runs as u64, "run")
    );
    out.hang(2, vec![(held, Role::Dim)]);
    out
}
