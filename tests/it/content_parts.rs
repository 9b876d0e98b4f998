//! A comparison read in parts, the versions of a set and where each stands, and repositories that people freeze: by the command line and by the
//! raw socket, over real trees, snapshots and an engine.

use quarterdeck::demo::catalogue::Repo;
use quarterdeck::demo::{Estate, estate};
use quarterdeck::domain::freshness::Observed;
use serde_json::{Value, json};

use crate::api::raw;
use crate::diff::{composes, site_of, snapshot};
use crate::support::home::Home;
use crate::support::until;

/// A site whose set `el9` is the second compose, with the first as the snapshot that `stable` leads to. Returns the snapshot.
fn estate_of(home: &Home) -> String {
    let [a, b] = composes(home);
    let root = site_of(home, &b);
    let id = snapshot(home, &root, &a, &["set=el9"]);
    std::os::unix::fs::symlink(format!("snapshots/{id}"), root.join("stable")).unwrap();
    id
}

fn names(doc: &Value, table: &str, column: &str) -> Vec<String> {
    doc[table].as_array().unwrap().iter().map(|r| r[column].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_comparison_is_filtered_sorted_and_read_in_parts() {
    let home = Home::new();
    estate_of(&home);
    let diff = |more: &[&str]| {
        let args: Vec<&str> = ["diff", "el9@stable", "el9@latest"].into_iter().chain(more.iter().copied()).collect();
        home.json(&args)
    };
    let whole = diff(&[]);
    assert!(whole.get("page").is_none(), "the whole has no page");
    let all = names(&whole, "sources", "source");
    assert!(all.len() > 3, "{all:?}");
    // The one filter language, over sources; their packages go with them, and the counts stay.
    let up = diff(&["--filter", "change=up"]);
    let wanted: Vec<&Value> = whole["sources"].as_array().unwrap().iter().filter(|s| s["change"] == "up").collect();
    assert_eq!(up["sources"].as_array().unwrap().iter().collect::<Vec<_>>(), wanted);
    assert_eq!((&up["page"], &up["sources_changed"]), (&json!({"offset": 0, "total": wanted.len()}), &whole["sources_changed"]));
    let sources = names(&up, "sources", "source");
    assert!(names(&up, "rows", "source").iter().all(|s| sources.contains(s)));
    // Pages are parts of one order.
    let sorted = names(&diff(&["--sort", "-grown_bytes"]), "sources", "source");
    let mut paged = Vec::new();
    for offset in (0..all.len()).step_by(2) {
        paged.extend(names(&diff(&["--sort", "-grown_bytes", "--limit", "2", "--offset", &offset.to_string()]), "sources", "source"));
    }
    assert_eq!(paged, sorted);
    let packages = diff(&["--packages", "--filter", "arch=noarch", "--limit", "1"]);
    assert!(names(&packages, "rows", "arch").iter().all(|a| a == "noarch") && names(&packages, "rows", "arch").len() <= 1);
    // What is no column is wrong use, and says what there is.
    let out = home.qd(["diff", "el9@stable", "el9", "--filter", "nam=x"]).expect(2);
    assert!(out.stderr.contains("nam"), "{out:?}");
    home.qd(["diff", "el9@stable", "el9", "--sort", "size"]).expect(2);
    let shown = home.qd(["diff", "el9@stable", "el9", "--filter", "source=none-of-that-name"]).expect(0).stdout;
    assert!(shown.contains("none of them passes the filter"), "{shown}");

    // The same of an engine, as the console asks it.
    home.qd(["get", "runs"]).expect(0);
    let ask = |path: &str| raw(&home.socket(), "GET", path, "");
    let (status, part) = ask("/v1/diff/sources?a=el9%40stable&b=el9%40latest&sort=-grown_bytes&limit=2&offset=2");
    assert_eq!((status, names(&part, "rows", "source")), (200, sorted.iter().skip(2).take(2).cloned().collect::<Vec<_>>()), "{part}");
    assert_eq!((&part["page"]["total"], &part["diff"]["a"]["fp"]), (&json!(all.len()), &whole["a"]["fp"]));
    assert_eq!(part["diff"]["sources"], json!([]), "the head has no rows");
    let (_, around) = ask(&format!("/v1/diff/sources?a=el9%40stable&b=el9&limit=1&around={}&by=source", all[all.len() - 1]));
    assert_eq!(names(&around, "rows", "source"), [all[all.len() - 1].clone()]);
    let (_, one) = ask(&format!("/v1/diff?a=el9%40stable&b=el9&source={}", all[0]));
    assert_eq!((names(&one, "sources", "source"), names(&one, "rows", "source").is_empty()), (vec![all[0].clone()], false));
    assert_eq!(ask("/v1/diff/colours?a=el9%40stable&b=el9").0, 400);
    assert_eq!(ask("/v1/diff/sources?a=el9%40stable").0, 400);
    assert_eq!(ask("/v1/diff?a=el9%40stable&b=el9&of=colours").0, 400);
}

#[test]
fn versions_say_where_they_stand_and_are_compared_by_their_words() {
    let home = Home::new();
    let snapshot = estate_of(&home);
    let rows = home.json(&["get", "versions"])["rows"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 2, "{rows:?}");
    let of = |stands: &str| rows.iter().find(|r| r["stands"] == stands).unwrap_or_else(|| panic!("{stands}: {rows:?}"));
    let (latest, stable) = (of("latest"), of("stable"));
    assert_eq!((&stable["snapshots"], &stable["stable"]), (&json!(format!("el9:{snapshot}")), &json!("el9")));
    assert_eq!((&stable["set"], &latest["set"], &latest["os"]), (&json!("el9"), &json!("el9"), &json!("el9")));
    let words = [stable, latest].map(|r| r["word"].as_str().unwrap().to_owned());
    let (by_word, whole) = (home.json(&["diff", &words[0], &words[1]]), home.json(&["diff", "el9@stable", "el9"]));
    assert_eq!((&by_word["packages"], &by_word["b"]["fp"]), (&whole["packages"], &latest["fp"]));
    // The tables of before take a part too.
    let page = home.json(&["get", "versions", "--limit", "1", "--offset", "1", "--sort", "fp"]);
    assert_eq!((&page["page"], page["rows"].as_array().unwrap().len()), (&json!({"offset": 1, "total": 2}), 1));
    assert_eq!(home.json(&["get", "versions", "--filter", "stable!="])["rows"], json!([stable]));
    // A place of a repository is a content too.
    let repo = Repo::ALL[0].id();
    assert_eq!(home.json(&["diff", &format!("{repo}@tree"), &format!("repo:{repo}@latest")])["equal"], true);
    let out = home.qd(["diff", &format!("{repo}@nowhere"), "el9"]).expect(2);
    assert!(out.stderr.contains("says no `nowhere`") && out.stderr.contains("its places: latest"), "{out:?}");
    // The trees are gone: nobody says that they hold what they held, and the snapshot is still there.
    let drawn = home.qd(["screen", "content", "--size", "140x40"]).expect(0).stdout;
    assert!(drawn.contains("VERSIONS") && drawn.contains("DIFF ") && drawn.contains("HOLDS"), "{drawn}");
    let drawn = home.qd(["screen", "diff", "el9@stable", "el9@latest", "--size", "120x40"]).expect(0).stdout;
    assert!(drawn.contains("SOURCES") && drawn.contains("CVE ids"), "{drawn}");
    home.qd(["screen", "diff", "el9@stable"]).expect(2);
}

const DAY_US: i64 = 86_400_000_000;

fn list_of(home: &Home, fp: &str) -> std::path::PathBuf {
    home.state().join(format!("content/{fp}.list.zst"))
}

/// Of old contents those go that stand nowhere and that nobody names, with their lists, also where the engine is killed in between.
#[test]
fn an_old_content_goes_with_its_list_and_what_somebody_needs_stays() {
    let home = Home::new();
    let id = estate_of(&home);
    let rows = home.json(&["get", "versions"])["rows"].as_array().unwrap().clone();
    let fp_of = |stands: &str| rows.iter().find(|r| r["stands"] == stands).unwrap()["fp"].as_str().unwrap().to_owned();
    let (latest, stable) = (fp_of("latest"), fp_of("stable"));
    assert!(stable.starts_with(id.rsplit('-').next().unwrap()));
    until("the list of what is live", || list_of(&home, &latest).exists());
    home.qd(["engine", "stop"]).expect(0);

    let now_us = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(400 * 86_400);
    let (held, gone, young) = ("b".repeat(64), "c".repeat(64), "d".repeat(64));
    let db = rusqlite::Connection::open(home.state().join("state.db")).unwrap();
    let put = |fp: &str, days: i64| {
        let sql = "INSERT OR REPLACE INTO content (fp, content_set, os, packages, size_bytes, first_seen_us, seen_us) VALUES (?1, 'el9', 'el9', 1, 1, ?2, ?2)";
        db.execute(sql, rusqlite::params![fp, now_us - days * DAY_US]).unwrap();
    };
    (0..30).for_each(|n| put(&format!("{n:064x}"), n));
    for fp in [&latest, &stable, &held, &gone] {
        put(fp, 400);
        if *fp != latest {
            std::fs::copy(list_of(&home, &latest), list_of(&home, fp)).unwrap();
        }
        std::fs::File::options().write(true).open(list_of(&home, fp)).unwrap().set_modified(old).unwrap();
    }
    // Of no row, and young: somebody may be about to write its row.
    std::fs::copy(list_of(&home, &latest), list_of(&home, &young)).unwrap();
    // The last look at a place found it.
    let seen = Observed { fp: Some(held.clone()), ..Observed::default() };
    let seen = serde_json::to_string(&seen).unwrap();
    db.execute("INSERT INTO observation (repo, place, json, at_us) VALUES ('base9', 'tree', ?1, 1)", [seen]).unwrap();
    drop(db);

    let mut first = home.command(["engine", "run"]);
    let mut first = first.env("QD_CRASH_AT", "contents.forgotten").stdout(std::process::Stdio::null()).spawn().unwrap();
    assert!(!first.wait().unwrap().success(), "it was killed between rows and files");
    assert!(list_of(&home, &gone).exists());
    home.qd(["engine", "start"]).expect(0);
    until("the list to go", || !list_of(&home, &gone).exists());
    for fp in [&latest, &stable, &held, &young] {
        assert!(list_of(&home, fp).exists(), "{fp}");
    }
    let rows = home.json(&["get", "versions"])["rows"].as_array().unwrap().clone();
    let there = |fp: &str| rows.iter().any(|r| r["fp"] == fp);
    assert!(there(&latest) && there(&stable) && there(&held) && !there(&gone), "{rows:?}");
    assert_eq!(rows.len(), 33);
}

#[test]
fn a_repository_that_people_froze_stands_still_until_they_thaw_it() {
    let home = Home::new();
    let demo = home.root().join("demo");
    let upstream = Estate::start(&demo, 11).unwrap();
    let tree = home.root().join("trees/baseos");
    std::fs::create_dir_all(tree.parent().unwrap()).unwrap();
    let url = upstream.repo_url(Repo::BaseOS);
    home.site(&format!(
        "[mirror]\nroots = [\"{}\"]\n[repos.base9]\nupstream = [\"{url}/\"]\ntree = \"{}\"\n[repos.old]\ntree = \"/srv/old\"\nfrozen = \"history\"\n\
         [content.el9]\nos = \"el9\"\nrepos = [\"base9\"]\n",
        tree.parent().unwrap().display(),
        tree.display()
    ));
    home.pipeline(
        "sync",
        &format!(
            "format: 1\nname: sync\nstages:\n  - name: Sync\n    writes: el9\n    uses: mirror/sync\n    with: {{url: \"{url}/\", dest: \"{}\"}}\n",
            tree.display()
        ),
    );
    let sync = || home.qd(["--json", "run", "sync", "--wait"]).expect(0).json();
    let repomd = || std::fs::read(tree.join("repodata/repomd.xml")).unwrap();
    sync();
    let before = repomd();
    // Nothing is open-ended, nothing is without a reason, and the site file has the first word.
    let freeze = |repo: &str, until: &str, reason: &str| {
        let with = format!("until={until}");
        home.qd(["do", "freeze", repo, "--with", &with, "--reason", reason, "--confirm", repo])
    };
    freeze("base9", "91d", "kernel").expect(2);
    freeze("base9", "7d", "").expect(2);
    home.qd(["do", "freeze", "base9", "--reason", "x", "--confirm", "base9"]).expect(2);
    freeze("base8", "7d", "kernel").expect(2);
    let out = freeze("old", "7d", "kernel").expect(4);
    assert!(out.stderr.contains("history"), "{out:?}");
    home.qd(["do", "freeze", "base9", "--with", "until=7d", "--reason", "kernel"]).expect(4);
    home.qd(["do", "thaw", "base9", "--reason", "x", "--confirm", "base9"]).expect(4);
    freeze("base9", "7d", "the kernel is bad").expect(0);
    freeze("base9", "7d", "again").expect(4);
    let row = |repo: &str| {
        let rows = home.json(&["get", "repos"])["rows"].as_array().unwrap().clone();
        rows.into_iter().find(|r| r["repo"] == repo).unwrap()
    };
    let shown = row("base9");
    assert!(shown["frozen_until"].is_string() && shown["frozen"].as_str().unwrap().contains("the kernel is bad"), "{shown}");
    assert_eq!(shown["freshness"], "frozen");
    let decided = home.json(&["get", "decisions", "--filter", "kind=freeze"])["rows"].clone();
    assert_eq!((&decided[0]["subject"], &decided[0]["ended"]), (&json!("repo base9"), &Value::Null));
    // Upstream moves on; the sync ends well and touches nothing, and says why.
    estate::advance(&demo).unwrap();
    let still = sync();
    let step = &still["stages"][0]["steps"][0];
    assert_eq!((&still["verdict"], repomd() == before), (&json!("success"), true), "{still}");
    assert!(
        step["detail"].as_str().unwrap().contains("base9 is frozen until")
            && step["detail"].as_str().unwrap().contains("the kernel is bad"),
        "{step}"
    );
    home.qd(["do", "thaw", "base9", "--reason", "fixed", "--confirm", "base9"]).expect(0);
    assert_eq!(row("base9")["frozen_until"], Value::Null);
    sync();
    assert!(repomd() != before, "it moves again");
    let audit = home.json(&["get", "audit"])["rows"].as_array().unwrap().clone();
    let acts: Vec<&str> =
        audit.iter().filter(|r| r["subject"] == "repo base9" && r["result"] == "done").filter_map(|r| r["action"].as_str()).collect();
    assert_eq!(acts, ["thaw", "freeze"]);
}
