//! `quarterdeck diff`: two contents by every word for them, held against the metadata as a general XML reader sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use quarterdeck::demo::catalogue::Repo;
use quarterdeck::demo::{Estate, estate, publish};
use serde_json::{Value, json};

use crate::api::raw;
use crate::demo_tools::packages_of;
use crate::mirror::step;
use crate::support::home::{Home, run};

/// A whole copy of a directory.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (at, to) = (entry.path(), to.join(entry.file_name()));
        if at.is_dir() {
            copy(&at, &to);
        } else {
            std::fs::copy(&at, &to).unwrap();
        }
    }
}

/// Two composes of the demo as they lie upstream: `a` and `b`, each with both repositories.
pub fn composes(home: &Home) -> [PathBuf; 2] {
    let demo = home.root().join("demo");
    let up = {
        let estate = Estate::start(&demo, 11).unwrap();
        estate.places().upstream_dir()
    };
    let (a, b) = (home.root().join("a"), home.root().join("b"));
    for repo in Repo::ALL {
        copy(&publish::repo_dir(&up, repo), &a.join(repo.id()));
    }
    estate::advance(&demo).unwrap();
    for repo in Repo::ALL {
        copy(&publish::repo_dir(&up, repo), &b.join(repo.id()));
    }
    [a, b]
}

/// The primary that repomd.xml names: the one before it may lie beside it.
fn primary_file(dir: &Path) -> PathBuf {
    let repomd = std::fs::read_to_string(dir.join("repodata/repomd.xml")).unwrap();
    let href = repomd.split("href=\"").map(|t| t.split('"').next().unwrap()).find(|h| h.contains("primary.xml")).unwrap();
    dir.join(href)
}

fn primary(dir: &Path) -> String {
    let bytes = std::fs::read(primary_file(dir)).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(&bytes[..]), &mut text).unwrap();
    text
}

/// Name and architecture of every package of a compose, with its full names.
fn by_name(compose: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for repo in Repo::ALL {
        for nevra in packages_of(&primary(&compose.join(repo.id()))).into_keys() {
            let (rest, arch) = nevra.rsplit_once('.').unwrap();
            let name = rest.rsplitn(3, '-').last().unwrap();
            out.entry(format!("{name}.{arch}")).or_default().insert(nevra);
        }
    }
    out
}

fn words(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn two_composes_differ_as_their_metadata_says() {
    let home = Home::new();
    let [a, b] = composes(&home);
    let doc = home.json(&["diff", &words(&a), &words(&b)]);
    let (old, new) = (by_name(&a), by_name(&b));
    let of = |change: &str| -> BTreeSet<String> {
        let rows = doc["rows"].as_array().unwrap().iter().filter(|r| r["change"] == change);
        rows.map(|r| format!("{}.{}", r["name"].as_str().unwrap(), r["arch"].as_str().unwrap())).collect()
    };
    let new_ones: BTreeSet<String> = new.keys().filter(|k| !old.contains_key(*k)).cloned().collect();
    let gone: BTreeSet<String> = old.keys().filter(|k| !new.contains_key(*k)).cloned().collect();
    let other: BTreeSet<String> = new.iter().filter(|(k, v)| old.get(*k).is_some_and(|o| o != *v)).map(|(k, _)| k.clone()).collect();
    assert_eq!((of("new"), of("gone")), (new_ones, gone));
    let versions: BTreeSet<String> = of("up").into_iter().chain(of("down")).chain(of("copies")).collect();
    assert_eq!(versions, other);
    assert!(!of("up").is_empty() && doc["equal"] == false, "{doc}");
    assert_eq!(doc["a"]["packages"], json!(old.values().map(BTreeSet::len).sum::<usize>()));
    // Every source that went up says how much of its changelog is known, and only such a one has entries.
    for s in doc["sources"].as_array().unwrap() {
        let known = s["changelog"].as_str().unwrap();
        assert!(["complete", "partial", "unknown"].contains(&known), "{s}");
        assert!(s["change"] == "up" || s["change"] == "down" || s["entries"] == json!([]), "{s}");
    }
    let up: u64 = doc["sources_changed"]["up"].as_u64().unwrap() + doc["sources_changed"]["down"].as_u64().unwrap();
    let k = &doc["changelogs"];
    assert_eq!(k["complete"].as_u64().unwrap() + k["partial"].as_u64().unwrap() + k["unknown"].as_u64().unwrap(), up);
    // The way back, the same content, and what people see.
    let back = home.json(&["diff", &words(&b), &words(&a)]);
    assert_eq!((&back["packages"]["new"], &back["packages"]["down"]), (&doc["packages"]["gone"], &doc["packages"]["up"]));
    assert_eq!(home.json(&["diff", &words(&a), &words(&a)])["equal"], true);
    let shown = home.qd(["diff", &words(&a), &words(&b)]).expect(0).stdout;
    assert!(shown.contains("packages: ") && shown.contains("SOURCE") && shown.contains("CVE ids in changelogs: "), "{shown}");
    let shown = home.qd(["diff", &words(&a), &words(&b), "--packages", "--limit", "1"]).expect(0).stdout;
    assert!(shown.contains("PACKAGE") && shown.contains(" more: leave out --limit"), "{shown}");
    home.qd(["diff", &words(&a), &words(&b), "--changelogs"]).expect(0);
    home.qd(["diff", &words(&a), &words(&b), "--exit-code"]).expect(1);
    home.qd(["diff", &words(&a), &words(&a), "--exit-code"]).expect(0);
}

/// A site whose set `el9` is what lies in these trees; returns where its snapshots are.
pub(crate) fn site_of(home: &Home, trees: &Path) -> PathBuf {
    let roots = home.root().join("mirror");
    let root = roots.join("el9");
    std::fs::create_dir_all(&roots).unwrap();
    let repos: String = Repo::ALL.iter().map(|r| format!("[repos.{0}]\ntree = \"{1}/{0}\"\n", r.id(), trees.display())).collect();
    let names: Vec<String> = Repo::ALL.iter().map(|r| format!("\"{}\"", r.id())).collect();
    home.site(&format!(
        "[mirror]\nroots = [\"{}\"]\n{repos}[content.el9]\nos = \"el9\"\nrepos = [{}]\n",
        roots.display(),
        names.join(", ")
    ));
    root
}

/// Takes a snapshot of trees below `root`, and returns its id.
pub(crate) fn snapshot(home: &Home, root: &Path, trees: &Path, more: &[&str]) -> String {
    let mut with: Vec<String> = Repo::ALL.iter().map(|r| format!("tree={}={}", r.id(), trees.join(r.id()).display())).collect();
    with.extend([format!("root={}", root.display()), "packages=copy".into()]);
    let with: Vec<&str> = with.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let before: BTreeSet<String> = ids(root);
    run(step("mirror/snapshot", &with, Path::new("/nowhere"), &home.root().join("report"))).expect(0);
    ids(root).difference(&before).next().cloned().unwrap()
}

#[test]
fn contents_are_found_by_set_pointer_snapshot_and_fingerprint() {
    let home = Home::new();
    let [a, b] = composes(&home);
    let root = site_of(&home, &b);
    let (first, second) = (snapshot(&home, &root, &a, &[]), snapshot(&home, &root, &b, &[]));
    std::os::unix::fs::symlink(format!("snapshots/{first}"), root.join("stable")).unwrap();
    let want = home.json(&["diff", &words(&a), &words(&b)]);
    let fp = want["a"]["fp"].as_str().unwrap().to_owned();
    assert!(first.contains(&fp[..12]), "{first} {fp}");
    for (x, y) in [
        ("el9@stable", "el9"),
        ("stable", "el9@latest"),
        (first.as_str(), second.as_str()),
        (&fp[..10], &words(&b)),
        (&words(&root.join("snapshots").join(&first)), "el9"),
    ] {
        let got = home.json(&["diff", x, y]);
        assert_eq!(
            (&got["packages"], &got["a"]["fp"], &got["b"]["fp"]),
            (&want["packages"], &want["a"]["fp"], &want["b"]["fp"]),
            "{x} {y}"
        );
    }
    for (x, words) in [
        ("el8", "no content is called"),
        ("el8@latest", "no content set `el8`"),
        ("el9@nightly", "no pointer `nightly`"),
        ("abcdef0123", "no content is called"),
        ("/nowhere/at/all", "there is no repository here"),
        ("", "no content is called"),
    ] {
        let out = home.qd(["diff", x, "el9"]).expect(2);
        assert!(out.stderr.contains(words), "{x}: {out:?}");
        assert!(x.is_empty() || out.stderr.matches(x).count() <= 1, "said once: {out:?}");
    }
    // A far end that does not answer is exit 3; a tree that is damaged is unknown, and compares with nothing.
    home.qd(["diff", "http://127.0.0.1:9/", "el9", "--no-changelogs"]).expect(3);
    let damaged = home.root().join("damaged");
    copy(&a.join("baseos"), &damaged);
    std::fs::write(primary_file(&damaged), b"<metadata></metadata>").unwrap();
    let out = home.qd(["diff", &words(&damaged), "el9"]).expect(1);
    assert!(out.stderr.contains("checksum") || out.stderr.contains("larger") || out.stderr.contains("match"), "{out:?}");
    // The engine answers the same, and reads no path for a client.
    home.qd(["engine", "start"]).expect(0);
    let (status, doc) = raw(&home.socket(), "GET", "/v1/diff?a=el9%40stable&b=el9", "");
    assert_eq!((status, &doc["packages"], &doc["rows"]), (200, &want["packages"], &want["rows"]));
    let path = a.display().to_string().replace('/', "%2F");
    for query in [format!("a={path}&b=el9"), "a=http%3A%2F%2Fh%2F&b=el9".to_owned(), "a=el9".to_owned(), "a=nothing&b=el9".to_owned()] {
        let (status, said) = raw(&home.socket(), "GET", &format!("/v1/diff?{query}"), "");
        assert_eq!(status, 400, "{query}: {said}");
        assert!(!said["error"]["help"].as_str().unwrap().is_empty(), "{said}");
    }
}

pub fn ids(root: &Path) -> BTreeSet<String> {
    std::fs::read_dir(root.join("snapshots")).into_iter().flatten().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// A repository of one package, written by hand.
fn tiny(dir: &Path, version: &str, changelog: &str) {
    use crate::mirror::sha256;
    let id = sha256(version.as_bytes());
    let head = format!("<package type=\"rpm\"><name>evil</name><arch>noarch</arch><version epoch=\"0\" ver=\"{version}\" rel=\"1\"/>");
    let primary = format!(
        "<metadata packages=\"1\">{head}<checksum type=\"sha256\" pkgid=\"YES\">{id}</checksum><size package=\"5\"/><location href=\"e.rpm\"/>\
         <format><sourcerpm>evil-{version}-1.src.rpm</sourcerpm></format></package></metadata>"
    );
    let other = format!("<otherdata><package pkgid=\"{id}\" name=\"evil\" arch=\"noarch\">{changelog}</package></otherdata>");
    std::fs::create_dir_all(dir.join("repodata")).unwrap();
    let mut repomd = String::from("<repomd>");
    for (ty, text) in [("primary", &primary), ("other", &other)] {
        std::fs::write(dir.join(format!("repodata/{ty}.xml")), text).unwrap();
        let sum = sha256(text.as_bytes());
        repomd.push_str(&format!(
            "<data type=\"{ty}\"><checksum type=\"sha256\">{sum}</checksum><location href=\"repodata/{ty}.xml\"/></data>"
        ));
    }
    std::fs::write(dir.join("repodata/repomd.xml"), repomd + "</repomd>").unwrap();
}

#[test]
fn hostile_text_is_shown_harmless_and_a_changelog_tells_what_it_knows() {
    let home = Home::new();
    let (a, b) = (home.root().join("a"), home.root().join("b"));
    let old = "<changelog author=\"A - 1-1\" date=\"1600000000\">first</changelog>";
    tiny(&a, "1", old);
    let evil = "<changelog author=\"M&#27;[2J &#8238;x - 2-1\" date=\"1700000000\">Fix CVE-2024-1234&#27;]0;owned&#7;\nand cve-2024-99999</changelog>";
    tiny(&b, "2", &format!("{old}{evil}"));
    let doc = home.json(&["diff", &words(&a), &words(&b)]);
    let s = &doc["sources"][0];
    assert_eq!((&s["changelog"], &s["cves"]), (&json!("complete"), &json!(["CVE-2024-1234", "CVE-2024-99999"])));
    assert_eq!((&doc["cves"], &s["entries"][0]["date"]), (&s["cves"], &json!("2023-11-14T22:13:20.000Z")));
    for flags in [&["--changelogs"][..], &[], &["--packages"]] {
        let (x, y) = (words(&a), words(&b));
        let args: Vec<&str> = ["diff", &x, &y].into_iter().chain(flags.iter().copied()).collect();
        let shown = home.qd(args).expect(0).stdout;
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n') && !shown.contains('\u{202e}'), "{shown:?}");
    }
    // Going back loses them; a changelog that was cut says at least, and none at all is unknown.
    assert_eq!(home.json(&["diff", &words(&b), &words(&a)])["sources"][0]["cves"], s["cves"]);
    tiny(&b, "2", evil);
    tiny(&a, "1", "");
    assert_eq!(home.json(&["diff", &words(&a), &words(&b)])["sources"][0]["changelog"], "partial");
    tiny(&b, "2", "");
    let none: Value = home.json(&["diff", &words(&a), &words(&b)]);
    assert_eq!((&none["sources"][0]["changelog"], &none["changelogs"]["unknown"]), (&json!("unknown"), &json!(1)));
    assert!(home.qd(["diff", &words(&a), &words(&b)]).expect(0).stdout.contains("unknown"));
}
