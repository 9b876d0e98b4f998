//! Freshness of replicas, with real servers and a real engine: in sync, behind by composes, torn, mid-push, lying, silent, at end of life.

use std::path::{Path, PathBuf};

use quarterdeck::demo::catalogue::{Repo, compose};
use quarterdeck::demo::faults::{Fault, Match};
use quarterdeck::demo::openpgp::{self, Key, Signer};
use quarterdeck::demo::publish::{self, Index, repo_dir, repo_path};
use quarterdeck::demo::upstream::{Options, Upstream};
use serde_json::Value;

use crate::support::home::Home;
use crate::support::{Fuse, have_program, processes_with, skip, until, until_some};

/// One upstream and three datacentres, each a server of its own.
struct Estate {
    dir: tempfile::TempDir,
    index: Index,
    upstream: Upstream,
    replicas: Vec<(&'static str, Upstream)>,
}

const DCS: [&str; 3] = ["alder", "birch", "cedar"];

impl Estate {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("qd-fresh-").tempdir().unwrap();
        for root in ["upstream"].iter().chain(&DCS) {
            std::fs::create_dir(dir.path().join(root)).unwrap();
        }
        let serve = |root: &str| Upstream::start(&dir.path().join(root), Options::default()).unwrap();
        let (upstream, replicas) = (serve("upstream"), DCS.map(|dc| (dc, serve(dc))).into());
        let mut estate = Self { dir, index: Index::new(1), upstream, replicas };
        estate.advance(1);
        DCS.iter().for_each(|dc| estate.sync(dc));
        estate
    }

    fn root(&self, of: &str) -> PathBuf {
        self.dir.path().join(of)
    }

    fn repo(&self, of: &str) -> PathBuf {
        repo_dir(&self.root(of), Repo::BaseOS)
    }

    fn advance(&mut self, number: u32) {
        publish::publish(&self.dir.path().join("upstream"), &compose(1, number), &mut self.index, &mut |_| Ok(())).unwrap();
    }

    /// As a mirror does it: packages first, repomd.xml last.
    fn sync(&self, dc: &str) {
        copy(&self.repo("upstream"), &self.repo(dc));
    }

    fn packages(&self, of: &str) -> Vec<PathBuf> {
        let mut all: Vec<_> = std::fs::read_dir(self.repo(of).join("Packages")).unwrap().map(|e| e.unwrap().path()).collect();
        all.sort();
        all
    }

    fn site(&self, more: &str) -> String {
        let url = |u: &Upstream| format!("{}/{}/", u.url(), repo_path(Repo::BaseOS));
        let list: Vec<String> = self.replicas.iter().map(|(dc, u)| format!("\"{dc}={}\"", url(u))).collect();
        format!(
            "[repos.base9]\nupstream = [\"{}\"]\nwriter = \"external\"\nos = \"el9\"\nreplicas = [{}]\n{more}",
            url(&self.upstream),
            list.join(", ")
        )
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let mut entries: Vec<_> = std::fs::read_dir(from).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort_by_key(|p| p.ends_with("repomd.xml"));
    for path in entries {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            let tmp = target.with_extension("tmp");
            std::fs::copy(&path, &tmp).unwrap();
            std::fs::rename(&tmp, &target).unwrap();
        }
    }
}

/// As if every file were so large once it is open: what it really has is a bomb then.
fn sized(repomd: &str, size: &str) -> String {
    let mut parts = repomd.split("<open-size>");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(&format!("<open-size>{size}{}", part.trim_start_matches(|c: char| c.is_ascii_digit())));
    }
    out
}

fn rows(home: &Home, what: &str) -> Vec<Value> {
    home.qd(["--json", "get", what]).expect(0).json()["rows"].as_array().unwrap().clone()
}

fn place(home: &Home, place: &str) -> Value {
    rows(home, "mirrors").into_iter().find(|r| r["dc"] == place || (r["dc"].is_null() && r["role"] == place)).unwrap_or_default()
}

fn wait(home: &Home, dc: &str, want: &str) -> Value {
    until_some(&format!("{dc} to be {want}"), || {
        let row = place(home, dc);
        let asked = row["checked"].is_string() || want == "unreachable";
        (asked && row["freshness"] == want).then_some(row)
    })
}

/// As `wait`. A look asks for a part of the packages only: it is repeated until it meets one that is not as it should be.
fn wait_for_partial(home: &Home, dc: &str) -> Value {
    until_some(&format!("{dc} to be partial"), || {
        home.qd(["why", "base9"]).expect(0);
        let row = place(home, dc);
        (row["freshness"] == "partial").then_some(row)
    })
}

#[test]
fn replicas_are_fresh_or_behind_by_composes_and_why_says_so() {
    let mut estate = Estate::new();
    let home = Home::new();
    home.site(&estate.site(""));
    for dc in DCS {
        let row = wait(&home, dc, "fresh");
        assert_eq!(
            (row["state"].as_str(), row["composes_behind"].as_u64(), row["light"].as_str()),
            (Some("in-sync"), Some(0), Some("good")),
            "{row}"
        );
    }
    let repo = &rows(&home, "repos")[0];
    assert_eq!((repo["dcs"].as_str(), repo["relation"].as_str(), repo["os"].as_str()), (Some("3/3"), Some("="), Some("el9")), "{repo}");
    assert_eq!(repo["compose"], compose(1, 1).id, "{repo}");
    assert!(place(&home, "upstream")["fp"].as_str().is_some_and(|fp| fp == place(&home, "cedar")["fp"]));
    // Upstream moves twice; two datacentres follow it.
    for n in [2, 3] {
        estate.advance(n);
        home.qd(["why", "base9"]).expect(0);
        until("upstream's compose to be seen", || place(&home, "upstream")["compose"] == compose(1, n).id);
    }
    estate.sync("alder");
    estate.sync("birch");
    home.qd(["why", "base9"]).expect(0);
    wait(&home, "alder", "fresh");
    let cedar = wait(&home, "cedar", "behind-2");
    assert_eq!((cedar["composes_behind"].as_u64(), cedar["compose"].as_str()), (Some(2), Some(compose(1, 1).id.as_str())), "{cedar}");
    assert!(cedar["behind"].as_u64() > Some(0) && cedar["fp"] != place(&home, "alder")["fp"]);
    let repo = &rows(&home, "repos")[0];
    assert_eq!(
        (repo["dcs"].as_str(), repo["relation"].as_str(), repo["freshness"].as_str()),
        (Some("2/3"), Some("-2"), Some("behind-2")),
        "{repo}"
    );
    let why = home.qd(["--json", "why", "base9"]).expect(0).json();
    let said = why["reasons"].to_string();
    assert!(said.contains("cedar is behind-2") && said.contains("2 composes ahead") && said.contains("next: "), "{why}");
    home.qd(["why", "base10"]).expect(2);
    home.qd(["why", "../x"]).expect(2);
    assert_eq!(
        home.qd(["--json", "get", "mirrors", "--filter", "freshness~^behind composes_behind>1"]).expect(0).json()["rows"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert!(home.qd(["get", "mirrors"]).expect(0).stdout.contains("behind-2"));
    // A restarted engine still knows the composes.
    home.qd(["engine", "stop"]).expect(0);
    wait(&home, "cedar", "behind-2");
    let frame = home.qd(["screen", "mirrors", "--size", "140x40"]).expect(0).stdout;
    assert!(frame.contains("[3]MIRRORS") && frame.contains("base9") && frame.contains("2/3"), "{frame}");
    // What somebody freezes is not late.
    home.site(&estate.site("frozen = \"kept for the audit\"\n"));
    let row = wait(&home, "cedar", "frozen");
    assert!(row["why"].as_str().unwrap().contains("kept for the audit"), "{row}");
}

#[test]
fn what_is_torn_lying_silent_or_gone_says_which_and_harms_nobody() {
    let mut estate = Estate::new();
    let home = Home::new();
    // Half-synced: the same metadata, and packages that are not there or cut off.
    let packages = estate.packages("birch");
    std::fs::remove_file(&packages[0]).unwrap();
    for cut in &packages[1..3] {
        std::fs::write(cut, "short").unwrap();
    }
    // Torn: repomd.xml names a file that is not there.
    let named = std::fs::read_dir(estate.repo("cedar").join("repodata")).unwrap().map(|e| e.unwrap().path());
    let primary = named.into_iter().find(|p| p.to_string_lossy().contains("-primary")).unwrap();
    std::fs::remove_file(primary).unwrap();
    home.site(&estate.site(""));
    let birch = wait_for_partial(&home, "birch");
    assert_eq!((birch["light"].as_str(), birch["md"].as_str()), (Some("amber"), place(&home, "upstream")["md"].as_str()), "{birch}");
    assert!(birch["missing"].as_u64().unwrap() + birch["short"].as_u64().unwrap() > 0);
    assert!(birch["why"].as_str().unwrap().contains("though its metadata is upstream's"), "{birch}");
    let cedar = wait(&home, "cedar", "incoherent");
    assert_eq!(cedar["light"], "amber", "{cedar}");
    wait(&home, "alder", "fresh");
    let shown = home.qd(["--json", "doctor"]).stdout;
    assert!(shown.contains("mirror base9"), "{shown}");
    // Repaired, all is well; then upstream lies in every way.
    estate.sync("birch");
    estate.sync("cedar");
    home.qd(["why", "base9"]).expect(0);
    wait(&home, "birch", "fresh");
    wait(&home, "cedar", "fresh");
    let honest = std::fs::read_to_string(estate.repo("upstream").join("repodata/repomd.xml")).unwrap();
    let lies = [
        ("a bomb", sized(&honest, "10")),
        ("a checksum", honest.replacen("<checksum type=\"sha256\">", "<checksum type=\"sha256\">f", 1)),
        ("a path", honest.replacen("href=\"repodata/", "href=\"../../repodata/", 1)),
        ("an entity", honest.replacen("<repomd", "<!DOCTYPE r [<!ENTITY a \"&a;&a;\">]><repomd", 1)),
        ("a page", "<!DOCTYPE html><html>sign in</html>".to_owned()),
    ];
    for (what, lie) in lies {
        let body = std::sync::Arc::new(lie.into_bytes());
        estate.upstream.faults().always(Match::EndsWith("repomd.xml".into()), Fault::Replace { body });
        home.qd(["why", "base9"]).expect(0);
        let up = until_some(&format!("upstream with {what} to be seen"), || {
            let row = place(&home, "upstream");
            (row["state"] == "incoherent").then_some(row)
        });
        assert_eq!(up["light"], "amber", "{what}: {up}");
        assert_eq!(place(&home, "alder")["freshness"], "fresh", "{what}: nobody is behind a lie");
        estate.upstream.faults().clear();
        home.qd(["why", "base9"]).expect(0);
        wait(&home, "upstream", "fresh");
    }
    // A replica that does not answer.
    estate.replicas.retain(|(dc, _)| *dc != "birch");
    home.qd(["why", "base9"]).expect(0);
    let birch = wait(&home, "birch", "unreachable");
    assert_eq!(birch["light"], "red", "{birch}");
    // An end of life that deletes everything.
    std::fs::remove_dir_all(estate.root("upstream")).unwrap();
    std::fs::create_dir(estate.root("upstream")).unwrap();
    home.qd(["why", "base9"]).expect(0);
    let up = until_some("the end to be seen", || {
        let row = place(&home, "upstream");
        (row["state"] == "shrunk").then_some(row)
    });
    assert!(up["light"] == "red" && up["next"].as_str().unwrap().contains("frozen ="), "{up}");
    assert_eq!(place(&home, "alder")["state"], "in-sync", "what was mirrored is still what upstream had");
    let why = home.qd(["why", "base9"]).expect(0).stdout;
    assert!(why.contains("upstream is shrunk") && why.contains("birch is unreachable"), "{why}");
}

#[test]
fn a_site_without_replicas_asks_nobody() {
    let estate = Estate::new();
    let home = Home::new();
    let site = estate.site("").lines().filter(|l| !l.starts_with("replicas")).collect::<Vec<_>>().join("\n");
    home.site(&site);
    assert_eq!(rows(&home, "repos")[0]["state"], "unknown");
    assert!(home.qd(["why", "base9"]).expect(0).stdout.contains("base9 is unknown"));
    assert_eq!(estate.upstream.counters().requests(), 0);
}

#[test]
fn an_upstream_may_be_a_metalink_or_a_mirror_list() {
    let mut estate = Estate::new();
    let base = format!("{}/{}/", estate.upstream.url(), repo_path(Repo::BaseOS));
    let metalink = |estate: &Estate| {
        let raw = std::fs::read(estate.repo("upstream").join("repodata/repomd.xml")).unwrap();
        let hash = quarterdeck::domain::content::Fingerprint::of(&raw);
        let text = format!(
            "<metalink><files><file name=\"repomd.xml\"><verification><hash type=\"sha256\">{}</hash></verification><resources>\
             <url preference=\"90\">http://127.0.0.1:1/gone/repodata/repomd.xml</url><url preference=\"80\">{base}repodata/repomd.xml</url>\
             </resources></file></files></metalink>",
            hash.known().unwrap()
        );
        std::fs::write(estate.root("upstream").join("metalink"), text).unwrap();
    };
    metalink(&estate);
    std::fs::write(estate.root("upstream").join("list"), format!("# mirrors\n{base}\n")).unwrap();
    let home = Home::new();
    let site = estate.site("");
    let with = |key: &str| {
        let own = format!("{key} = \"{}/{key}\"", estate.upstream.url()).replace("/mirrorlist\"", "/list\"");
        site.lines().map(|l| if l.starts_with("upstream") { own.as_str() } else { l }).collect::<Vec<_>>().join("\n")
    };
    home.site(&with("metalink"));
    wait(&home, "alder", "fresh");
    let up = place(&home, "upstream");
    assert!(up["tree"].as_str().unwrap().ends_with("/metalink") && up["state"] == "in-sync", "the first address did not answer: {up}");
    home.site(&with("mirrorlist"));
    estate.advance(2);
    home.qd(["why", "base9"]).expect(0);
    wait(&home, "cedar", "behind-1");
    // A mirror manager that cannot be read is silent, and no torn repository.
    std::fs::write(estate.root("upstream").join("list"), "<html>sign in</html>").unwrap();
    home.qd(["why", "base9"]).expect(0);
    wait(&home, "upstream", "unreachable");
}

#[test]
fn a_place_whose_server_is_silent_is_told_by_its_own_address() {
    let home = Home::new();
    let dead = format!("http://127.0.0.1:{}", crate::support::free_port());
    home.site(&format!(
        "[repos.base9]\nupstream = [\"{dead}/up/\"]\nwriter = \"external\"\nos = \"el9\"\nreplicas = [\"alder={dead}/al/\"]\n"
    ));
    wait(&home, "alder", "unreachable");
    let why = home.qd(["why", "base9"]).expect(0).stdout;
    let alder = why.lines().find(|l| l.contains("alder is unreachable")).unwrap_or_else(|| panic!("{why}"));
    assert!(alder.contains(&format!("{dead}/al/")), "{why}");
}

#[test]
fn who_signed_upstream_is_shown_and_another_key_is_seen_and_only_keys_of_the_site_are_believed() {
    let test = "who_signed_upstream_is_shown_and_another_key_is_seen_and_only_keys_of_the_site_are_believed";
    let mut estate = Estate::new();
    let home = Home::new();
    home.site(&estate.site(""));
    let asc = estate.repo("upstream").join("repodata/repomd.xml.asc");
    let sign = |by: Signer, what: &[u8]| std::fs::write(&asc, Key::of(1, by).unwrap().sign(what, 1_700_000_000)).unwrap();
    let repomd = || std::fs::read(asc.with_extension("")).unwrap();
    let seen = |freshness: &str, signed: &str| {
        until_some(&format!("{freshness}, {signed}"), || {
            home.qd(["why", "base9"]).expect(0);
            let row = place(&home, "upstream");
            (row["freshness"] == freshness && row["signed"] == signed).then_some(row)
        })
    };
    // Without keys of the site the signature is read, and not believed.
    let first = seen("fresh", "stated")["key"].as_str().unwrap().to_owned();
    assert_eq!(first.len(), 16, "{first}");
    estate.advance(2);
    sign(Signer::Other, &repomd());
    DCS.iter().for_each(|dc| estate.sync(dc));
    let row = seen("new-key", "stated");
    assert!(row["light"] == "amber" && row["state"] == "in-sync" && row["why"].as_str().unwrap().contains(&first), "{row}");
    let why = home.qd(["why", "base9"]).expect(0).stdout;
    assert!(why.contains(&format!("was by {first} before")) && why.contains("[repos.base9] keys"), "{why}");
    let drawn = home.qd(["screen", "mirrors", "--size", "140x40"]).expect(0).stdout;
    assert!(drawn.contains("NEW-KEY") && drawn.contains("not verified"), "{drawn}");
    // With keys it is verified, or it is not good.
    openpgp::write_keys(estate.dir.path(), 1).unwrap();
    let key = openpgp::public_key(estate.dir.path(), Signer::Stream);
    home.site(&estate.site(&format!("keys = [\"{}\"]\n", key.display())));
    if !have_program("gpgv") {
        let row = seen("new-key", "unverified");
        assert_ne!(row["light"], "good", "{row}");
        return skip(test, "no gpgv: nothing verifies a signature");
    }
    let row = seen("other-key", "other-key");
    assert!(row["light"] == "red" && row["why"].as_str().unwrap().contains("no key of the site"), "{row}");
    sign(Signer::Stream, b"something else");
    let row = seen("incoherent", "bad");
    assert_eq!(row["light"], "amber", "it may be a push: {row}");
    std::fs::write(&asc, "<html>proxy</html>").unwrap();
    seen("unsigned", "unreadable");
    std::fs::remove_file(&asc).unwrap();
    seen("unsigned", "unsigned");
    sign(Signer::Stream, &repomd());
    let row = seen("fresh", "ok");
    assert!(row["key"].as_str().unwrap().ends_with(&first) && row["light"] == "good", "{row}");
    let drawn = home.qd(["screen", "mirrors", "--size", "140x40"]).expect(0).stdout;
    assert!(drawn.replace(['\n', ' '], "").contains(&format!("{first}ok")) || drawn.contains(&format!("by {first} ok")), "{drawn}");
    assert!(!home.state().join("signed/base9").exists(), "what a look needed is gone");
}

/// The process behind a mount, stopped: whoever asks the mount hangs, as where a server of NFS is gone.
struct Dead(Vec<rustix::process::Pid>);

impl Dead {
    fn of(mount: &Path) -> Self {
        let pids = processes_with(mount.to_str().unwrap()).into_iter().filter_map(rustix::process::Pid::from_raw);
        let dead = Self(pids.collect());
        assert!(!dead.0.is_empty());
        dead.all(rustix::process::Signal::STOP);
        dead
    }

    fn all(&self, signal: rustix::process::Signal) {
        for pid in &self.0 {
            let _ = rustix::process::kill_process(*pid, signal);
        }
    }
}

impl Drop for Dead {
    fn drop(&mut self) {
        self.all(rustix::process::Signal::CONT);
    }
}

#[test]
fn a_mount_that_hangs_is_named_and_stops_no_other_place() {
    let estate = Estate::new();
    let home = Home::new();
    let mount = home.root().join("nfs");
    std::fs::create_dir(&mount).unwrap();
    let Some(_fuse) = Fuse::over("freshness.hangs", &estate.root("cedar"), &mount) else { return };
    let (cedar, birch) = (repo_dir(&mount, Repo::BaseOS), estate.repo("birch"));
    let up = |u: &Upstream| format!("{}/{}/", u.url(), repo_path(Repo::BaseOS));
    let repo = |name: &str, replicas: &[(&str, String)]| {
        let list: Vec<String> = replicas.iter().map(|(dc, at)| format!("\"{dc}={at}\"")).collect();
        format!("[repos.{name}]\nupstream = [\"{}\"]\nwriter = \"external\"\nreplicas = [{}]\n", up(&estate.upstream), list.join(", "))
    };
    let file = |at: &Path| format!("file://{}", at.display());
    home.site(&repo("base9", &[("alder", up(&estate.replicas[0].1)), ("birch", file(&birch)), ("cedar", file(&cedar))]));
    wait(&home, "cedar", "fresh");
    let dead = Dead::of(&mount);
    home.qd(["why", "base9"]).expect(0);
    let row = wait(&home, "cedar", "unreachable");
    let has = |row: &Value, key: &str, words: &str| row[key].as_str().unwrap().contains(words);
    assert!(has(&row, "why", "its file system hangs") && has(&row, "why", cedar.to_str().unwrap()) && has(&row, "next", "mount"), "{row}");
    // The others go on: what they lose is seen while it hangs, and nobody asks it anew.
    std::fs::remove_file(&estate.packages("birch")[0]).unwrap();
    wait_for_partial(&home, "birch");
    let row = wait(&home, "cedar", "unreachable");
    assert!(has(&row, "why", "its file system hangs since"), "{row}");
    wait(&home, "alder", "fresh");
    assert!(home.qd(["get", "mirrors", "base9"]).expect(0).stdout.contains("hangs since"));
    // Back again, it is fresh without anybody's help.
    drop(dead);
    until("it to be fresh", || {
        home.qd(["why", "base9"]).expect(0);
        place(&home, "cedar")["freshness"] == "fresh"
    });
}
