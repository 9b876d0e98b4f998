//! What the screens of content and of mirrors compare, and when that is asked for: two versions by their marks, stable against latest where
//! nothing is marked, a repository's own two sides. What is costly to say of a row is asked once the cursor rests on it.

use super::beside;
use crate::console::model::list::Row;
use crate::console::model::screen::{Kind, PAGE, Pair};
use crate::console::model::{Model, word};
use crate::console::question::Question;

/// From this size on the screen of mirrors has room for what differs.
pub const ROOM: (u16, u16) = (120, 34);

/// `CentOS-Stream-9-20260403.1` without what all of them share.
pub fn label(text: &str) -> String {
    text.rsplit('-').next().unwrap_or(text).to_owned()
}

/// What its metadata calls itself. Tools that write metadata use the second when they did: that is told as its day, which reads like a compose
/// and is none (that has a dot); another long number is known by its end.
pub fn revision(text: &str) -> String {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<i64>().ok().filter(|s| digits && (AGES.0..AGES.1).contains(s)).map(jiff::Timestamp::from_second) {
        Some(Ok(at)) => at.strftime("%Y%m%d").to_string(),
        _ if text.is_empty() => String::new(),
        _ if digits && text.len() > 8 => format!("rev ..{}", &text[text.len() - 4..]),
        _ => format!("rev {text}"),
    }
}

/// Seconds that metadata may have been written in: from the year 2000 to 2100.
const AGES: (i64, i64) = (946_684_800, 4_102_444_800);

/// What it says of itself: its compose, else its revision; empty where it says neither.
pub fn dated(row: &Row, compose: &str) -> String {
    match label(&word::text(row, compose)) {
        l if l.is_empty() => revision(&word::text(row, &compose.replace("compose", "revision"))),
        l => l,
    }
}

/// What people call a content: its compose, else its revision, else the head of its fingerprint.
pub fn name(row: &Row, compose: &str, fp: &str) -> String {
    match (dated(row, compose), word::text(row, fp)) {
        (d, _) if !d.is_empty() => d,
        (_, f) if !f.is_empty() => f.chars().take(8).collect(),
        _ => "-".into(),
    }
}

/// What is asked for beside the lists: of the row under the cursor.
pub fn needs(model: &Model) -> Vec<Question> {
    match &model.screen().kind {
        Kind::Content => {
            let holds = model.screen().focus != 0;
            let rows = if holds { Vec::new() } else { beside::asked(model).into_iter().map(Some).collect() };
            let pairs = rows.into_iter().chain(holds.then(|| versions(model)));
            pairs.filter_map(|here| pair(model, here).ok()).map(|p| p.question("sources")).collect()
        }
        Kind::Diff(pair) => beside::asked(model).into_iter().filter_map(|row| source(row, pair)).collect(),
        Kind::Mirrors if beside::is_at_rest(model) => {
            let Some(row) = model.under_cursor() else { return Vec::new() };
            let mut out = vec![Question::Repo(word::text(row, "repo"))];
            // Which datacentre holds latest is in their rows: without them another question would be asked first.
            let places = model.rows(&Question::Rows { what: "mirrors", limit: PAGE }).is_some();
            if places && model.size.0 >= ROOM.0 && model.size.1 >= ROOM.1 {
                out.extend(repo_pair(model, row).map(|p| p.question("sources")));
            }
            out
        }
        _ => Vec::new(),
    }
}

/// The source package of a row, with what was written of it; of a package, its source.
pub fn source(row: &Row, pair: &Pair) -> Option<Question> {
    let name = Some(word::text(row, "source")).filter(|n| !n.is_empty())?;
    Some(Question::Source { a: pair.a.clone(), b: pair.b.clone(), name })
}

/// The version under the cursor of its list.
fn versions(model: &Model) -> Option<&Row> {
    let screen = model.screen();
    let (pane, list) = (screen.kind.panes().first()?, screen.lists.first()?);
    list.current(model.table(pane).0)
}

/// The two versions that are compared on the screen of content where the cursor is `here`, the older one first; else why none are.
fn pair(model: &Model, here: Option<&Row>) -> Result<Pair, String> {
    let screen = model.screen();
    let (Some(pane), Some(list)) = (screen.kind.panes().first(), screen.lists.first()) else { return Err(String::new()) };
    let rows = model.table(pane).0;
    let marked: Vec<&Row> = rows.iter().filter(|r| list.marks.contains(&pane.id(r))).collect();
    let (x, y) = match (marked.as_slice(), here) {
        ([], Some(here)) => return served(rows, here),
        ([one], Some(here)) if pane.id(one) != pane.id(here) => (*one, here),
        ([_], _) => return Err("mark a second version with space, or move to the one that it is compared with".to_owned()),
        ([x, y], _) => (*x, *y),
        ([], None) => return Err("no content was seen yet".to_owned()),
        (many, _) => return Err(format!("{} versions are marked, and two can be compared: u takes all marks away", many.len())),
    };
    let older = |r: &Row| word::text(r, "first_seen");
    if older(y) < older(x) { of(y, x) } else { of(x, y) }
}

/// What is served as stable against latest, of the set of this row.
fn served(rows: &[Row], here: &Row) -> Result<Pair, String> {
    let set = word::text(here, "set");
    let most = |field: &str| {
        let places = |r: &Row| word::text(r, field).split_whitespace().count();
        rows.iter().filter(|r| word::text(r, "set") == set && places(r) > 0).max_by_key(|r| places(r))
    };
    let own = || rows.iter().find(|r| word::text(r, "set") == set && word::text(r, "stands").contains("latest"));
    let Some(stable) = most("stable") else { return Err(format!("{set} has no stable yet: mark two versions with space")) };
    let Some(latest) = most("latest").or_else(own) else {
        return Err(format!("what the trees of {set} hold now cannot be read: mark two versions with space"));
    };
    if word::text(stable, "fp") == word::text(latest, "fp") {
        return Err(format!("latest and stable of {set} hold the same"));
    }
    let pair = of(stable, latest)?;
    let called = |r: &Row, role: &str| format!("{} ({role})", name(r, "compose", "fp"));
    Ok(Pair { names: (called(stable, "stable"), called(latest, "latest")), ..pair })
}

fn of(a: &Row, b: &Row) -> Result<Pair, String> {
    let known = |r: &Row| match word::text(r, "word") {
        w if w.is_empty() => Err(format!("{}: {}", name(r, "compose", "fp"), word::text(r, "why"))),
        w => Ok(w),
    };
    let called = |r: &Row| {
        let stands: Vec<&str> = ["stable", "candidate", "latest"].into_iter().filter(|f| word::text(r, "stands").contains(f)).collect();
        let role = if stands.is_empty() { String::new() } else { format!(" ({})", stands.join(", ")) };
        format!("{}{role}", name(r, "compose", "fp"))
    };
    Ok(Pair { a: known(a)?, b: known(b)?, names: (called(a), called(b)), os: word::text(b, "os") })
}

/// What is served as stable of a repository against its latest; else why that is not compared.
pub fn repo_pair(model: &Model, row: &Row) -> Result<Pair, String> {
    let repo = word::text(row, "repo");
    if word::text(row, "stable").is_empty() {
        return Err(format!("[repos.{repo}] names no `stable` in the site file: there is nothing to compare latest with"));
    }
    let places = model.rows(&Question::Rows { what: "mirrors", limit: PAGE }).map_or(&[][..], |r| r.rows.as_slice());
    let own = || places.iter().filter(|p| word::text(p, "repo") == repo);
    let stable = own().find(|p| word::text(p, "role") == "stable").map(|p| word::text(p, "fp")).unwrap_or_default();
    let latest = word::text(row, "fp");
    if !stable.is_empty() && stable == latest {
        return Err("latest and stable hold the same".to_owned());
    }
    let holds = |p: &&Row| word::text(p, "role") == "replica" && !latest.is_empty() && word::text(p, "fp") == latest;
    let place = own().find(holds).map_or_else(|| "latest".to_owned(), |p| word::text(p, "dc"));
    let called = |compose: &str, other: &str| match label(&word::text(row, compose)) {
        l if l.is_empty() => format!("{repo} {other}"),
        l => format!("{repo} {other} {l}"),
    };
    Ok(Pair {
        a: format!("repo:{repo}@stable"),
        b: format!("repo:{repo}@{place}"),
        names: (called("stable_compose", "stable"), called("compose", "latest")),
        os: word::text(row, "os"),
    })
}

/// What the screen compares now; else why not.
pub fn compared(model: &Model) -> Result<Pair, String> {
    match &model.screen().kind {
        Kind::Diff(pair) => Ok(pair.clone()),
        Kind::Content => pair(model, versions(model)),
        Kind::Mirrors => model.under_cursor().map_or_else(|| Err("there is no row to compare".to_owned()), |row| repo_pair(model, row)),
        _ => Err("nothing is compared here: content and mirrors have contents to compare".to_owned()),
    }
}

/// What the screen of content shows as compared: it follows the cursor once that rests.
pub fn shown(model: &Model) -> Result<Pair, String> {
    let screen = model.screen();
    match (screen.kind.panes().first(), screen.lists.first()) {
        (Some(pane), Some(list)) => pair(model, beside::row(model, pane, list)),
        _ => Err(String::new()),
    }
}

/// The OS that an act on content is about: of the row under the cursor, or of what is compared.
pub fn os(model: &Model) -> Option<String> {
    let of = match &model.screen().kind {
        Kind::Diff(pair) => Some(pair.os.clone()),
        Kind::Content | Kind::Mirrors => model.under_cursor().map(|r| word::text(r, "os")),
        _ => None,
    };
    of.filter(|o| !o.is_empty())
}

/// The package that the cursor stands on, as `hold-add` names it.
pub fn package(model: &Model) -> Option<String> {
    let row = model.under_cursor()?;
    match (&model.screen().kind, model.screen().pane()?.0.what) {
        (Kind::Diff(_), "packages") => Some(word::text(row, "name")),
        (Kind::Diff(_), _) => Some(word::text(row, "source")),
        (Kind::Content, "holds") => Some(word::text(row, "package")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: serde_json::Value) -> Row {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn what_a_content_says_of_itself_has_one_form() {
        let of = |compose: &str, revision: &str| {
            let row = row(serde_json::json!({"compose": compose, "revision": revision, "fp": "4e000b4a2b446c"}));
            (dated(&row, "compose"), name(&row, "compose", "fp"))
        };
        assert_eq!(of("CentOS-Stream-9-20260401.0", "1775012400").0, "20260401.0", "the compose comes first");
        assert_eq!(of("", "1774926000").0, "20260331", "seconds are a day");
        assert_eq!(of("", "17749260001234").0, "rev ..1234", "no second of these centuries");
        assert_eq!((of("", "55").0.as_str(), of("", "r-55").0.as_str()), ("rev 55", "rev r-55"));
        assert_eq!(of("", ""), (String::new(), "4e000b4a".to_owned()));
    }
}
