//! A long history through the front door: pages, filters and orders of `get runs` over runs that nobody ran.

use serde_json::{Value, json};

use crate::api::raw;
use crate::support::{Home, history};

const RUNS: usize = 400;

/// Rows of the API, for a query string.
fn rows(home: &Home, query: &str) -> Vec<Value> {
    let (status, answer) = raw(&home.socket(), "GET", &format!("/v1/get/runs?{query}"), "");
    assert_eq!(status, 200, "{query}: {answer}");
    answer["rows"].as_array().unwrap().clone()
}

fn encoded(filter: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair("filter", filter).finish()
}

#[test]
fn what_the_database_tests_first_changes_no_answer() {
    let home = Home::new();
    history::load(&home.state(), RUNS);
    home.qd(["engine", "start"]).expect(0);
    let all = rows(&home, "");
    assert_eq!(all.len(), RUNS);
    let red = (0..RUNS).filter(|n| history::verdict(*n) != quarterdeck::domain::run::Verdict::Success).count();
    let text = |r: &Value, c: &str| r[c].as_str().unwrap_or_default().to_owned();
    type Test<'a> = &'a dyn Fn(&Value) -> bool;
    let cases: &[(&str, Test)] = &[
        ("verdict=failure", &|r| r["verdict"] == "failure"),
        ("verdict!=success", &|r| r["verdict"] != "success"),
        ("VERDICT=Failure pipeline=CANARY", &|r| r["verdict"] == "failure" && r["pipeline"] == "canary"),
        ("pipeline!=canary state=done", &|r| r["pipeline"] != "canary"),
        ("run=compose#7", &|r| r["run"] == "compose#7"),
        ("run=compose#007", &|_| false),
        ("number=7", &|r| r["number"] == 7),
        ("number=7.0 pipeline=canary", &|r| r["number"] == 7 && r["pipeline"] == "canary"),
        ("number<5", &|r| r["number"].as_u64().unwrap() < 5),
        ("state!=done", &|_| false),
        ("state=waiting", &|_| false),
        ("verdict=", &|_| false),
        ("pipeline=canary pipeline=compose", &|_| false),
        ("failed_stage=publish", &|r| r["failed_stage"] == "publish"),
        ("~^mirror", &|r| text(r, "run").starts_with("mirror")),
    ];
    for (filter, test) in cases {
        let wanted: Vec<&Value> = all.iter().filter(|r| test(r)).collect();
        let found = rows(&home, &encoded(filter));
        assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{filter}");
        let page = rows(&home, &format!("{}&limit=3", encoded(filter)));
        assert_eq!(page.iter().collect::<Vec<_>>(), wanted.iter().take(3).copied().collect::<Vec<_>>(), "{filter}, a page");
    }
    assert_eq!(rows(&home, &encoded("verdict=failure")).len(), red);
    let numbers = |query: &str| rows(&home, query).iter().map(|r| r["number"].as_u64().unwrap()).collect::<Vec<_>>();
    assert!(numbers("sort=number").is_sorted() && numbers("sort=-number").iter().rev().is_sorted());
    assert_eq!(numbers("sort=-number&limit=2"), [100, 100]);
    assert_eq!((rows(&home, "limit=0").len(), rows(&home, "limit=50").len()), (0, 50));
    // The command line prints what the engine wrote, byte for byte but for the end of the line.
    let (_, answer) = raw(&home.socket(), "GET", "/v1/get/runs?limit=2", "");
    assert_eq!(home.json(&["get", "runs", "--limit", "2"]), answer);
    assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), ["what", "revision", "age_ms", "rows"]);
    assert_eq!(
        home.json(&["get", "runs", "--filter", "verdict=failure", "--sort", "-number", "--limit", "1"])["rows"][0]["number"],
        json!(100)
    );
}
