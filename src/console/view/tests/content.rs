//! The screens of content, of two contents, and of mirrors: what the engine says to them, and what they do with it.

use serde_json::{Value, json};

use super::*;
use crate::console::model::screen::{Pair, Side};
use crate::console::msg::Effect;
use crate::console::update::content;

const LATEST: &str = "9c41aa03bb17e2c000000000000000000000000000000000000000000000aaaa";
const STABLE: &str = "71aa049900000000000000000000000000000000000000000000000000000bbb";
const OLD: &str = "0be1ab12cd340000000000000000000000000000000000000000000000000ccc";

fn version(set: &str, fp: &str, seen: &str, stands: &str, places: [&str; 3], word: &str) -> Value {
    let why = if word.is_empty() { "its package list was not kept and no snapshot has it: it cannot be compared" } else { "" };
    json!({
        "set": set, "os": &set[..3], "fp": fp, "compose": format!("CentOS-Stream-9-{}", &seen[..10].replace('-', "")), "first_seen": seen,
        "packages": 9_214, "size_bytes": 25_877_207_040_u64, "stands": stands, "latest": places[0], "stable": places[1],
        "candidate": places[2], "snapshots": if places[1].is_empty() { "" } else { "alder:20260105-71aa04990000 birch:20260105-71aa04990000" },
        "also": if places[1].is_empty() { "" } else { "alder/stable.previous" }, "word": word, "why": why,
    })
}

pub(super) fn versions() -> Vec<Value> {
    vec![
        version("el9-latest", LATEST, "2026-04-05T06:31:00Z", "latest 2/3", ["alder birch", "", ""], "el9-latest@latest"),
        version("el9-latest", OLD, "2026-03-31T06:31:00Z", "latest 1/3, candidate 3/3", ["cedar", "", "alder birch cedar"], OLD),
        version("el9-latest", "aa".repeat(32).as_str(), "2026-03-26T06:31:00Z", "", ["", "", ""], ""),
        version("el9-latest", STABLE, "2025-12-29T06:31:00Z", "stable 3/3", ["", "alder birch cedar", ""], STABLE),
        version("el8-latest", "cc".repeat(32).as_str(), "2024-05-28T06:31:00Z", "stable 3/3, latest 3/3", ["a b c", "a b c", ""], "cc"),
    ]
}

pub(super) fn holds() -> Vec<Value> {
    let hold = |id: u32, kind: &str, package: &str, nevra: &str, state: &str| {
        json!({
            "hold": id, "kind": kind, "os": "el9", "package": package, "nevra": nevra, "state": state, "owner": "os-team", "reason": "INC-1: keys",
            "by": "ann", "made": "2026-04-06T12:00:00Z", "until": "2026-04-20T12:00:00Z", "recheck": "2026-04-13T12:00:00Z",
            "ended": if state == "ENDED" { json!("2026-04-06T13:00:00Z") } else { Value::Null }, "how": if state == "ENDED" { "dropped by ann" } else { "" },
            "source": if kind == "oob" { "appstream" } else { "" }, "promotion": if kind == "oob" { "PR-2026Q1-el9-oob" } else { "" },
            "served": if kind == "oob" { json!("2026-04-06T14:00:00Z") } else { Value::Null },
        })
    };
    vec![
        hold(4, "hold", "crypto-policies", "", "ACTIVE"),
        hold(3, "oob", "openssh", "openssh-9.9p1-7.el9.x86_64", "RECHECK"),
        hold(2, "oob", "bind", "bind-32:9.18.29-4.el9.x86_64", "EXPIRED"),
        hold(1, "hold", "nano", "", "ENDED"),
    ]
}

/// The comparison as it is whole.
fn whole() -> crate::api::diff::DiffDoc {
    let mut doc: crate::api::diff::DiffDoc = serde_json::from_value(promotion::diff()).unwrap();
    doc.rows = serde_json::from_value(json!([
        {"change": "up", "name": "openssl", "arch": "x86_64", "repo": "baseos", "source": "openssl", "stream": "", "old": "1:3.2.2-9.el9",
         "new": "1:3.5.1-7.el9", "old_repo": "baseos", "old_bytes": 1_000_000, "new_bytes": 1_250_000},
        {"change": "moved", "name": "nginx", "arch": "x86_64", "repo": "appstream", "source": "nginx", "stream": "nginx:1.24", "old": "0:1.24.0-1.el9",
         "new": "0:1.24.0-1.el9", "old_repo": "extras", "old_bytes": 40_000, "new_bytes": 40_000},
    ]))
    .unwrap();
    doc.streams =
        serde_json::from_value(json!([{"change": "up", "module": "nginx", "stream": "1.24", "old": "9010", "new": "9020"}])).unwrap();
    doc.metadata = serde_json::from_value(json!([{"change": "rebuilt", "repo": "baseos", "type": "group"}])).unwrap();
    doc
}

pub(super) fn changes(table: &str) -> Value {
    let doc = whole();
    let rows = crate::api::diff_part::rows(&doc, table, "", None, NOW.parse().unwrap()).unwrap();
    let page = json!({"offset": 0, "total": rows.len()});
    json!({"what": table, "revision": 1, "age_ms": 0, "rows": rows, "page": page, "diff": doc.head()})
}

pub(super) fn source(name: &str) -> Value {
    let mut doc = whole().of_source(name);
    for s in &mut doc.sources {
        s.entries = serde_json::from_value(json!([
            {"date": "2026-03-30T00:00:00Z", "author": "ann <ann@ops.example> - 3.5.1-7", "text": "- reject signing keys with a SHA-1 binding\n- CVE-2026-90001"},
        ]))
        .unwrap();
    }
    json!(doc)
}

pub(super) fn repo(name: &str) -> Value {
    json!({
        "repo": name, "usual_ms": 34_000,
        "history": [
            {"at": "2026-04-05T06:31:00Z", "place": "alder", "compose": "CentOS-Stream-9-20260403.1", "fp": LATEST, "packages": 9_214, "trouble": ""},
            {"at": "2026-04-05T06:30:00Z", "place": "cedar", "compose": "", "fp": null, "packages": 0, "trouble": "http://cedar/: connection refused"},
        ],
        "syncs": [
            {"run": "nightly#12", "state": "running", "verdict": null, "started": "2026-04-07T08:05:50Z", "duration_ms": null, "changes": null},
            {"run": "nightly#11", "state": "done", "verdict": "failure", "started": "2026-04-06T06:31:00Z", "duration_ms": 80_000, "changes": "none"},
        ],
        "snapshots": [
            {"place": "alder", "id": "20260105-71aa04990000", "fp": STABLE, "made": "2026-01-05T16:00:00Z", "pointers": ["stable"]},
            {"place": "alder", "id": "20251006-00aa04990000", "fp": OLD, "made": "2025-10-06T16:00:00Z", "pointers": []},
        ],
        "space": [
            {"place": "tree", "path": "/srv/mirror/appstream9", "free_bytes": 3_408_486_046_105_u64, "total_bytes": 10_995_116_277_760_u64, "why": ""},
            {"place": "cedar", "path": "http://cedar/el9/", "free_bytes": null, "total_bytes": null, "why": "it is an address: its disk is not seen from here"},
        ],
        "used_by": [
            {"kind": "set", "name": "el9-latest", "how": "with base9"},
            {"kind": "promotion", "name": "el9", "how": "is served as stable in alder birch cedar"},
            {"kind": "pipeline", "name": "nightly", "how": "writes el9-latest"},
            {"kind": "replica", "name": "cedar", "how": "its hosts read http://cedar/el9/"},
        ],
        "unknown": ["hosts: no source (add [salt])"], "holds": holds()[..3],
    })
}

fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    let mut out = Vec::new();
    for key in keys.split(' ') {
        out = update(model, Msg::Key { key: key.parse().unwrap(), repeat: false });
        fill(model);
        // What a dialog reads again first.
        for question in model.asked.clone() {
            tell(model, &question, &said(&question));
        }
    }
    out
}

/// Mirrors, with the cursor resting on the repository that is behind.
fn on_appstream(size: (u16, u16)) -> Model {
    let mut model = filled(Kind::Mirrors, size);
    press(&mut model, "j");
    let later = model.now + jiff::SignedDuration::from_secs(1);
    update(&mut model, Msg::Tick(later));
    fill(&mut model);
    model
}

fn fp_of(word: &str) -> String {
    word.chars().take(8).collect()
}

#[test]
fn stable_is_compared_with_latest_unless_two_are_marked() {
    let mut model = filled(Kind::Content, (140, 40));
    let pair = content::compared(&model).unwrap();
    assert_eq!((fp_of(&pair.a), pair.b.as_str(), pair.os.as_str()), (fp_of(STABLE), "el9-latest@latest", "el9"));
    assert!(text(&model).contains("DIFF 20251229 (stable) -> 20260405 (latest)"), "{}", text(&model));
    // One mark: against the row under the cursor, the older one first whichever it is.
    press(&mut model, "j space");
    assert_eq!(model.screen().lists[0].at, 2, "a mark moves on");
    assert!(content::compared(&model).unwrap_err().contains("cannot be compared"));
    press(&mut model, "j");
    let pair = content::compared(&model).unwrap();
    assert_eq!((fp_of(&pair.a), fp_of(&pair.b)), (fp_of(STABLE), fp_of(OLD)));
    press(&mut model, "g g space");
    assert_eq!(content::compared(&model).unwrap().b, "el9-latest@latest");
    press(&mut model, "G space");
    assert!(content::compared(&model).unwrap_err().contains("3 versions are marked"));
    press(&mut model, "u");
    assert!(content::compared(&model).unwrap_err().contains("hold the same"), "the set of the row under the cursor");
    let later = model.now + jiff::SignedDuration::from_secs(1);
    update(&mut model, Msg::Tick(later));
    assert!(text(&model).contains("latest and stable of el8-latest hold the same"), "once the cursor rests");
}

#[test]
fn a_comparison_is_walked_by_source_and_by_package() {
    let mut model = filled(Kind::Content, (140, 40));
    press(&mut model, "d");
    assert!(matches!(&model.screen().kind, Kind::Diff(p) if p.os == "el9"));
    press(&mut model, "v");
    assert_eq!(model.screen().lists[0].filter, "fixes!=none fixes!=");
    let known: Vec<String> = model.under_cursor().iter().map(|r| crate::console::model::word::text(r, "fixes")).collect();
    assert!(!known.iter().any(|f| f == "none" || f.is_empty()), "{known:?}");
    press(&mut model, "v");
    assert_eq!(model.screen().lists[0].filter, "");
    // The packages of one source.
    press(&mut model, "enter");
    assert_eq!(model.screen().focus, 1);
    assert!(model.screen().lists[1].filter.starts_with("source=\""));
    let command = press(&mut model, "c");
    let Some(Effect::Copy(line)) = command.first() else { panic!("{command:?}") };
    assert!(line.starts_with("quarterdeck diff ") && line.contains(" --packages --filter "), "{line}");
    press(&mut model, "tab x");
    assert!(matches!(&model.screen().kind, Kind::Diff(p) if p.a == "el9-latest@latest"), "the other way round");
    press(&mut model, "esc");
    assert_eq!(model.screen().kind, Kind::Content);
}

#[test]
fn what_differs_is_never_shown_as_known_where_it_is_not() {
    let mut model = bare(Kind::Diff(Pair::of("el9-latest@stable", "el9-latest@latest")), (100, 30));
    update(&mut model, Msg::Link(LinkMsg::Up));
    assert!(text(&model).contains("asking the engine"));
    let q = update::needs(&model).into_iter().find(|q| matches!(q, Question::Changes { .. })).unwrap();
    let result = Err(ApiError::bad("no pointer `stable` of el9-latest lies below the roots", "mirror/switch makes pointers"));
    update(&mut model, Msg::Answer { question: q, result });
    let shown = text(&model);
    assert!(
        shown.contains("no pointer `stable`") && shown.contains("mirror/switch makes pointers") && shown.contains("r asks again"),
        "{shown}"
    );
    // Old: marked as that.
    let mut model = filled(Kind::Content, (140, 40));
    update(&mut model, Msg::Link(LinkMsg::Down("it was killed".into())));
    assert!(text(&model).contains("STALE from"), "{}", text(&model));
}

#[test]
fn parts_of_a_repository_come_and_go_with_their_keys() {
    for (key, side, words) in [
        ("k", Side::Replicas, "-- cedar"),
        ("u", Side::Used, "3.1 TiB free of 10 TiB"),
        ("h", Side::History, "connection refused"),
        ("g", Side::Graph, "from upstream to who reads it"),
    ] {
        let mut model = on_appstream((140, 40));
        assert!(!text(&model).contains(words), "{key}");
        press(&mut model, key);
        assert_eq!(model.screen().side, side);
        assert!(text(&model).contains(words), "{key}: {}", text(&model));
        press(&mut model, key);
        assert_eq!(model.screen().side, Side::All);
    }
    // At 80 columns too.
    let mut model = on_appstream((80, 24));
    press(&mut model, "u");
    assert!(text(&model).contains("ROOM") && text(&model).contains("not seen from here"), "{}", text(&model));
}

#[test]
fn keys_of_mirrors_lead_to_content() {
    let mut model = on_appstream((80, 24));
    press(&mut model, "d");
    assert!(
        matches!(&model.screen().kind, Kind::Diff(p) if p.a == "repo:appstream9@stable" && p.b == "repo:appstream9@latest" && p.os == "el9")
    );
    press(&mut model, "esc o");
    assert_eq!((model.screen().kind.clone(), model.screen().focus), (Kind::Content, 1));
    assert_eq!(model.screen().lists[1].filter, "os=el9 state!=ENDED");
    assert_eq!(model.screen().lists[1].len(), 3);
    press(&mut model, "esc");
    let copied = press(&mut model, "c");
    assert!(matches!(copied.first(), Some(Effect::Copy(_))) || model.notice.as_ref().is_some_and(|n| n.bad), "{copied:?}");
    // Without a stable there is nothing to compare, and that is said.
    press(&mut model, "G d");
    assert_eq!(model.screen().kind, Kind::Mirrors);
    assert!(model.notice.as_ref().unwrap().text.contains("names no `stable`"));
}

#[test]
fn what_is_costly_to_say_is_asked_once_the_cursor_rests() {
    let mut model = filled(Kind::Mirrors, (140, 40));
    let asks = |m: &Model| update::needs(m).iter().any(|q| matches!(q, Question::Repo(_)));
    assert!(asks(&model), "of the row that nobody chose at once");
    update(&mut model, Msg::Key { key: "j".parse().unwrap(), repeat: false });
    assert!(!asks(&model), "not while the cursor moves");
    assert!(update::beside::wakes_in(&model).is_some(), "but soon");
    let later = model.now + jiff::SignedDuration::from_millis(500);
    let effects = update(&mut model, Msg::Tick(later));
    assert!(effects.iter().any(|e| matches!(e, Effect::Ask(Question::Repo(r)) if r == "appstream9")), "{effects:?}");
    let later = model.now + jiff::SignedDuration::from_secs(1);
    update(&mut model, Msg::Tick(later));
    assert_eq!(update::beside::wakes_in(&model), None);
}

#[test]
fn what_stands_beside_follows_the_cursor_once_that_rests_and_keys_are_about_the_cursor() {
    let mut model = filled(Kind::Mirrors, (140, 40));
    let title = |m: &Model| text(m).lines().find_map(|l| l.rsplit_once("| -- ").map(|(_, t)| t.split(' ').next().unwrap_or("").to_owned()));
    let first = title(&model);
    update(&mut model, Msg::Key { key: "j".parse().unwrap(), repeat: false });
    assert_eq!(title(&model), first, "{}", text(&model));
    // A key is about the row under the cursor, whatever stands beside it.
    assert_eq!(update(&mut model, Msg::Key { key: "y".parse().unwrap(), repeat: false }), [Effect::Copy("appstream9".into())]);
    let wait = update::beside::wakes_in(&model).unwrap();
    assert!(wait <= std::time::Duration::from_millis(150), "{wait:?}");
    let later = model.now + jiff::SignedDuration::try_from(wait).unwrap();
    update(&mut model, Msg::Tick(later));
    assert_eq!(title(&model).as_deref(), Some("appstream9"), "{}", text(&model));
    // A clock that was set back holds nothing up.
    update(&mut model, Msg::Key { key: "j".parse().unwrap(), repeat: false });
    let before = model.now - jiff::SignedDuration::from_hours(1);
    update(&mut model, Msg::Tick(before));
    assert_ne!(title(&model).as_deref(), Some("appstream9"), "{}", text(&model));
}

#[test]
fn a_hold_is_made_of_the_package_under_the_cursor_and_dropped_by_its_number() {
    let mut model = filled(Kind::Diff(Pair { os: "el9".into(), ..Pair::of("a@stable", "a@latest") }), (100, 30));
    let until = (NOW.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(900)).to_string();
    let armed = crate::api::types::Armed { lease: 7, who: "ann".into(), reason: "INC-1".into(), until };
    update(&mut model, Msg::Armed(Ok(armed)));
    press(&mut model, "H");
    let d = model.dialog.as_ref().unwrap_or_else(|| panic!("{:?}", model.notice));
    assert_eq!((d.action.id, d.targets.as_slice()), ("hold-add", &["el9".to_owned()][..]));
    assert!(d.fields.iter().any(|f| f.name == "package" && !f.line.text().is_empty()));
    model.dialog = None;
    model.stack.push(Screen::of(Kind::Content));
    let now = model.now;
    update(&mut model, Msg::Tick(now));
    fill(&mut model);
    press(&mut model, "tab U");
    let d = model.dialog.as_ref().unwrap_or_else(|| panic!("{:?}", model.notice));
    assert_eq!((d.action.id, d.targets.as_slice()), ("hold-drop", &["4".to_owned()][..]));
    assert!(d.facts.iter().any(|(l, t)| l == "now" && t.contains("crypto-policies of el9 is ACTIVE")), "{:?}", d.facts);
    model.dialog = None;
    press(&mut model, "G U");
    assert!(model.dialog.is_none() && model.notice.as_ref().unwrap().text.contains("is over: dropped by ann"));
}

#[test]
fn one_key_freezes_and_thaws_and_another_takes_a_snapshot() {
    let mut model = on_appstream((140, 40));
    let until = (model.now + jiff::SignedDuration::from_secs(900)).to_string();
    let armed = crate::api::types::Armed { lease: 7, who: "ann".into(), reason: "INC-1".into(), until };
    update(&mut model, Msg::Armed(Ok(armed)));
    press(&mut model, "F");
    let d = model.dialog.take().unwrap_or_else(|| panic!("{:?}", model.notice));
    assert_eq!((d.action.id, d.targets.as_slice()), ("freeze", &["appstream9".to_owned()][..]));
    assert!(d.fields.iter().any(|f| f.name == "until"));
    // Once it is frozen, the same key ends that.
    let q = Question::Rows { what: "repos", limit: crate::console::model::screen::PAGE };
    let mut body = said(&q);
    body["rows"][0]["frozen"] = json!("frozen until 2026-04-14T08:00:00.000Z by ann: INC-1");
    body["rows"][0]["frozen_until"] = json!("2026-04-14T08:00:00.000Z");
    tell(&mut model, &q, &body);
    assert!(text(&model).contains("FROZEN    until"), "{}", text(&model));
    update(&mut model, Msg::Key { key: "F".parse().unwrap(), repeat: false });
    tell(&mut model, &q, &body);
    assert_eq!(model.dialog.take().map(|d| d.action.id), Some("thaw"));
    // No pipeline of this site takes snapshots alone: that is said, and what would.
    press(&mut model, "S");
    assert!(model.dialog.is_none() && model.notice.as_ref().unwrap().text.contains("mirror/snapshot"), "{:?}", model.notice);
}

/// The rows of a frame, each with a map of its styles below it: colour and weight are part of what is said.
pub fn styled(model: &Model, theme: &str) -> String {
    let theme = Theme::of(theme, &crate::theme::built_in(theme).unwrap().unwrap(), crate::theme::Depth::True);
    let buf = shot::draw(model, &Look { theme, glyphs: Glyphs::UTF8 });
    let mut legend: Vec<String> = Vec::new();
    let mut out = String::new();
    for y in 0..buf.area.height {
        let (mut words, mut map) = (String::new(), String::new());
        for x in 0..buf.area.width {
            let cell = &buf[(x, y)];
            words.push_str(cell.symbol());
            let codes = shot::sgr(cell.style());
            let n = legend.iter().position(|l| *l == codes).unwrap_or_else(|| {
                legend.push(codes);
                legend.len() - 1
            });
            map.push(char::from(b'a' + n as u8));
        }
        out.push_str(&format!("{}\n{}\n", words.trim_end(), map));
    }
    for (n, codes) in legend.iter().enumerate() {
        out.push_str(&format!("{}: {}\n", char::from(b'a' + n as u8), codes.escape_debug()));
    }
    out
}

#[test]
fn styles_of_the_screens_of_content() {
    for (name, kind) in
        [("mirrors", Kind::Mirrors), ("content", Kind::Content), ("diff", Kind::Diff(Pair::of("el9-latest@stable", "el9-latest@latest")))]
    {
        for (theme, size) in [("dark", (80, 24)), ("light", (140, 40)), ("mono", (80, 24))] {
            insta::assert_snapshot!(format!("{name}_{theme}"), styled(&filled(kind.clone(), size), theme));
        }
    }
}

/// Two long versions that differ at their ends only are told apart, and the name beside them is whole.
#[test]
fn what_a_version_ends_with_is_seen_beside_long_names() {
    let mut model = filled(Kind::Diff(Pair::of("el9-latest@stable", "el9-latest@latest")), (140, 40));
    let q = update::needs(&model).into_iter().find(|q| matches!(q, Question::Changes { .. })).unwrap();
    let mut body = said(&q);
    let row = &mut body["rows"][0];
    (row["source"], row["old"], row["new"]) =
        (json!("ca-certificates"), json!("0:2025.2.80_v9.0.304-91.el9.alma"), json!("0:2025.2.80_v9.0.304-92.el9.alma"));
    tell(&mut model, &q, &body);
    let shown = text(&model);
    let row = shown.lines().find(|l| l.starts_with("> ca-certificates ")).unwrap_or_else(|| panic!("{shown}"));
    assert!(row.contains("-91.el9.alma") && row.contains("-92.el9.alma"), "{shown}");
}
