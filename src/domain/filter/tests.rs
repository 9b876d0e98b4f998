//! The filter language by examples, its errors by place, and that no text makes it fall over.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const COLUMNS: [&str; 8] = ["run", "number", "verdict", "detail", "started", "duration_ms", "log_bytes", "pinned"];

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

fn row() -> Map<String, Value> {
    let v = json!({"run": "nightly-repo-updates#165", "number": 165, "verdict": "Failure", "detail": "exit 7 in \"sync\"",
        "started": "2026-11-25T11:30:00Z", "duration_ms": 80_000, "pinned": false, "log_bytes": 1_048_576, "extra": null});
    v.as_object().unwrap().clone()
}

fn passes(text: &str) -> bool {
    Filter::parse(text, &COLUMNS, now()).unwrap_or_else(|e| panic!("{text}: {e} ({})", e.help)).matches(&row())
}

#[test]
fn terms_mean_what_the_manual_says() {
    for yes in [
        "",
        "  ",
        "nightly",
        "NIGHTLY #165",
        "verdict=failure",
        "verdict!=success",
        "!success",
        "!verdict=success",
        "number=165",
        "number>99",
        "number>=165",
        "number<=165",
        "number<1e3",
        "run~^nightly.*#1",
        "run=~165",
        "~sync",
        "verdict==failure",
        "duration_ms>1m",
        "duration_ms<5m",
        "duration_ms=80s",
        "duration_ms=80000",
        "log_bytes=1MiB",
        "log_bytes<2mb",
        "started>2026-11-25",
        "started<2026-11-26",
        "started>-1h",
        "started<-20m",
        "started>=2026-11-25T11:30:00Z",
        "started=2026-11-25T12:30:00+01:00",
        "started=2026-11-25",
        "started!=2026-11-24",
        "started=2026-11",
        "started!=2026-10",
        "started>2026-11",
        "started<2026-12",
        "number=165.0",
        "pinned=FALSE",
        "\"exit 7\"",
        "detail=\"exit 7 in \\\"sync\\\"\"",
        "\"\"",
        "number!=7 verdict=failure",
        "verdict!~succ",
        "!verdict!=failure",
        "Number=165",
    ] {
        assert!(passes(yes), "{yes}");
    }
    for no in [
        "weekly",
        "!nightly",
        "verdict=success",
        "verdict=lost",
        "verdict!=failure",
        "number>165",
        "number<165",
        "run~^165",
        "~banana",
        "duration_ms>5m",
        "started>-10m",
        "started>2026-11-26",
        "nightly weekly",
        "started=2026-12",
        "started>2026-12",
        "verdict=",
        "\"verdict=failure\"",
    ] {
        assert!(!passes(no), "{no}");
    }
}

#[test]
fn an_empty_value_finds_empty_cells_and_nothing_is_before_them() {
    let mut r = row();
    r.insert("verdict".into(), Value::Null);
    r.remove("started");
    let holds = |t: &str| Filter::parse(t, &COLUMNS, now()).unwrap().matches(&r);
    assert!(holds("verdict=") && holds("started=") && holds("verdict!=success"));
    assert!(!holds("started<2030-01-01") && !holds("started>1970-01-01") && !holds("detail=") && !holds("verdict!="));
}

#[test]
fn every_date_of_four_digits_is_a_time_also_the_last_and_the_first() {
    let mut r = row();
    r.insert("started".into(), json!("2026-11-25T11:00:00.000Z"));
    let holds = |t: &str| Filter::parse(t, &COLUMNS, now()).unwrap_or_else(|e| panic!("{t}: {e}")).matches(&r);
    for later in ["9999-12-30", "9999-12-31", "9999-12", "9999-12-31T23:59:59Z", "9999-12-31T00:00:00-05:00"] {
        assert!(
            holds(&format!("started<{later}")) && holds(&format!("started!={later}")) && !holds(&format!("started>={later}")),
            "{later}"
        );
    }
    for before in ["0000-01-01", "0000-01", "0000-01-01T00:00:00+05:00", "-40000d"] {
        assert!(holds(&format!("started>{before}")) && !holds(&format!("started<={before}")), "{before}");
    }
}

#[test]
fn errors_have_their_place_and_a_way_out() {
    for (text, position, message, help) in [
        ("verdct=x", 1, "no column `verdct`", "did you mean `verdict`?"),
        ("ok banana>3", 4, "no column `banana`", "columns here: run number"),
        ("a \"b", 3, "never closed", ""),
        ("!", 1, "nothing follows `!`", ""),
        ("=x", 1, "column is missing", ""),
        ("!=x", 2, "column is missing", ""),
        ("run~", 4, "pattern is missing", ""),
        ("run~(", 5, "no regular expression", "put a \\"),
        ("run~(a{1000}){1000}", 5, "too large", ""),
        ("number>", 7, "value is missing", "only = and !="),
        ("duration_ms>soon", 13, "not a duration", ""),
        ("log_bytes>many", 11, "not a size", ""),
        ("started>=nope", 10, "`nope` is no time", "-1h for an hour ago"),
        ("started=2026-13-01", 9, "is no time", "a date"),
        ("!started!=1e3", 11, "is no time", ""),
        ("number=abc", 8, "`abc` is no number", ""),
        ("number>>3", 8, "`>3` is no number", ""),
        ("verdict=lost number=<3", 21, "`<3` is no number", ""),
        ("number<\"1 2\"", 9, "is no number", ""),
        ("pinned=yes", 8, "neither true nor false", ""),
    ] {
        let e = Filter::parse(text, &COLUMNS, now()).expect_err(text);
        assert_eq!(e.position, position, "{text}: {e}");
        assert!(e.message.contains(message) && e.help.contains(help), "{text}: {e:?}");
    }
}

#[test]
fn cells_sort_naturally_with_empty_ones_last() {
    let mut cells = [json!(null), json!("n#10"), json!("n#9"), json!(""), json!(10), json!(9)];
    cells.sort_by(order);
    let texts: Vec<String> = cells.iter().map(cell).collect();
    assert_eq!(texts, ["9", "10", "n#9", "n#10", "", ""]);
}

proptest! {
    #[test]
    fn no_text_makes_it_fall_over(text in "\\PC{0,40}") {
        if let Ok(f) = Filter::parse(&text, &COLUMNS, now()) {
            f.matches(&row());
        }
    }

    #[test]
    fn a_term_and_its_negation_never_agree(value in "[a-z0-9]{1,8}", op in prop::sample::select(vec!["=", "!=", "<", ">", "<=", ">=", "~"])) {
        let ask = |text: &str| Filter::parse(text, &COLUMNS, now()).map(|f| f.matches(&row()));
        let text = format!("detail{op}{value}");
        // What looks like a time and is none (`<5m`) is refused either way.
        match (ask(&text), ask(&format!("!{text}"))) {
            (Ok(a), Ok(b)) => prop_assert_ne!(a, b),
            (a, b) => prop_assert!(a.is_err() && b.is_err() && op != "=" && op != "~", "{a:?} {b:?}"),
        }
    }

    #[test]
    fn a_quoted_text_finds_itself(text in "[ -~]{1,20}") {
        let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let mut r = Map::new();
        r.insert("detail".into(), Value::String(text.clone()));
        let word = Filter::parse(&quoted, &COLUMNS, now()).unwrap();
        let equal = Filter::parse(&format!("detail={quoted}"), &COLUMNS, now()).unwrap();
        prop_assert!(word.matches(&r) && equal.matches(&r));
    }
}

#[test]
fn what_is_meant_as_a_time_and_is_none_is_told() {
    for bad in [
        "started>1h",
        "started<10m",
        "started>yesterday",
        "started<=NOW",
        "started>+2d",
        "started>14:00",
        "started<9:30",
        "started>=14:00:05",
        "started>2026-11-25T11:00",
        "started<2026-11-25T11:00:00.5",
    ] {
        let e = Filter::parse(bad, &COLUMNS, now()).unwrap_err();
        assert!(
            e.message.ends_with("is no time")
                && e.help.contains("-1h")
                && e.position == bad.find(['>', '<']).unwrap() + 2 + usize::from(bad.contains('=')),
            "{bad}: {e}"
        );
    }
    for good in [
        "duration_ms>1h",
        "log_bytes>5m",
        "verdict>a",
        "detail=1h",
        "started>2026-11",
        "started>2026-11-25T11:00Z",
        "run>a:1",
        "detail=14:00",
    ] {
        assert!(Filter::parse(good, &COLUMNS, now()).is_ok(), "{good}");
    }
}

#[test]
fn a_word_that_no_row_can_have_is_told_with_those_that_it_can() {
    let told = |text: &str, columns: &[&str]| Filter::parse(text, columns, now()).unwrap_err();
    let e = told("run=a verdict=sucess", &COLUMNS);
    assert_eq!((e.position, e.message.as_str()), (15, "no verdict is `sucess`"), "{e}");
    assert_eq!(e.help, "did you mean `success`? There are: success failure cancelled lost invalid skipped");
    assert!(told("verdict!=green", &COLUMNS).help.starts_with("write one of: success failure"));
    // Of a name that many tables have, the words are those of the table.
    let runs = ["state", "failed_stage"];
    let promotions = ["state", "author"];
    assert!(Filter::parse("state=running", &runs, now()).is_ok() && Filter::parse("state=rolled-back", &promotions, now()).is_ok());
    assert!(told("state=READY", &runs).help.contains("queued running waiting done"));
    assert!(told("state=runing", &promotions).help.contains("ROLLED-BACK"));
    assert!(Filter::parse("state=anything", &["state"], now()).is_ok(), "a table that nobody listed");
    assert_eq!(told("danger=l4", &["danger"]).help, "write one of: L0 L1 L2 L3");
    assert!(Filter::parse("danger=l2 danger= danger!= danger~l[12] danger>L1", &["danger"], now()).is_ok());
    // The word that stands for nothing is none to write.
    assert!(told("cause=none", &["cause", "outcome"]).help.starts_with("write one of: missed calendar"));
}
