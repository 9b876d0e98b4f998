//! Replicas that are looked at while somebody pushes to them: no state in between is told as fresh or verified, and the words say what it is.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use quarterdeck::demo::catalogue::{Repo, compose};
use quarterdeck::demo::publish::{self, Index, repo_dir, repo_path};
use quarterdeck::demo::upstream::{Options, Upstream};
use serde_json::Value;

use crate::support::home::Home;
use crate::support::{until, until_some};

/// What happens before the answer to a request for a path.
type Hook = Box<dyn FnMut(&str) + Send>;

/// A server of files, whose tree may change between two requests.
struct Replica {
    url: String,
    root: PathBuf,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl Replica {
    fn start(root: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (hook, at) = (Arc::new(Mutex::new(None::<Hook>)), root.to_owned());
        let before = hook.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (before, at) = (before.clone(), at.clone());
                std::thread::spawn(move || serve(stream, &at, &before));
            }
        });
        Self { url, root: root.to_owned(), hook }
    }

    /// Does this once, before the first request for a path that has `part` in it is answered.
    fn once(&self, part: &'static str, mut act: impl FnMut() + Send + 'static) -> Arc<Mutex<bool>> {
        let done = Arc::new(Mutex::new(false));
        let told = done.clone();
        *self.hook.lock().unwrap() = Some(Box::new(move |path| {
            let mut told = told.lock().unwrap();
            if path.contains(part) && !*told {
                act();
                *told = true;
            }
        }));
        done
    }
}

fn serve(stream: TcpStream, root: &Path, hook: &Mutex<Option<Hook>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
        loop {
            let mut head = String::new();
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
            if head.trim().is_empty() {
                break;
            }
        }
        if let Some(act) = hook.lock().unwrap().as_mut() {
            act(&path);
        }
        let answer = match std::fs::read(root.join(path.trim_start_matches('/'))) {
            Ok(body) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
                if method == "HEAD" { head } else { [head, body].concat() }
            }
            Err(_) => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        };
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// Every file below, in the order of names.
fn files(at: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(at).into_iter().flatten().flatten().map(|e| e.path()) {
        if entry.is_dir() { out.extend(files(&entry)) } else { out.push(entry) }
    }
    out.sort();
    out
}

/// Brings what `wanted` says of a tree, and removes what it does not have.
fn push(from: &Path, to: &Path, delete: bool, wanted: impl Fn(&Path) -> bool) {
    for file in files(from) {
        let rel = file.strip_prefix(from).unwrap();
        if wanted(rel) {
            std::fs::create_dir_all(to.join(rel).parent().unwrap()).unwrap();
            std::fs::copy(&file, to.join(rel)).unwrap();
        }
    }
    for file in files(to) {
        let rel = file.strip_prefix(to).unwrap();
        if delete && wanted(rel) && !from.join(rel).exists() {
            std::fs::remove_file(&file).unwrap();
        }
    }
}

fn metadata(rel: &Path) -> bool {
    rel.starts_with("repodata")
}

struct Lab {
    dir: tempfile::TempDir,
    index: Index,
    upstream: Upstream,
    alder: Replica,
    home: Home,
    number: u32,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("qd-push-").tempdir().unwrap();
        let (root, replica) = (dir.path().join("upstream"), dir.path().join("alder"));
        std::fs::create_dir(&root).unwrap();
        std::fs::create_dir(&replica).unwrap();
        let upstream = Upstream::start(&root, Options::default()).unwrap();
        let mut lab = Self { dir, index: Index::new(1), upstream, alder: Replica::start(&replica), home: Home::new(), number: 0 };
        lab.publish();
        push(&lab.source(), &lab.alder.root, true, |_| true);
        let up = format!("{}/{}/", lab.upstream.url(), repo_path(Repo::BaseOS));
        lab.home.site(&format!(
            "[repos.base9]\nupstream = [\"{up}\"]\nwriter = \"external\"\nos = \"el9\"\nreplicas = [\"alder={}\"]\n",
            lab.alder.url
        ));
        lab.wait("fresh");
        lab
    }

    fn source(&self) -> PathBuf {
        repo_dir(&self.dir.path().join("upstream"), Repo::BaseOS)
    }

    /// The next compose at upstream.
    fn publish(&mut self) {
        self.number += 1;
        publish::publish(&self.dir.path().join("upstream"), &compose(1, self.number), &mut self.index, &mut |_| Ok(())).unwrap();
    }

    /// The same, and seen by the engine.
    fn advance(&mut self) {
        self.publish();
        let id = compose(1, self.number).id;
        until("upstream's compose to be seen", || {
            self.look();
            self.place("upstream")["compose"] == id
        });
    }

    fn look(&self) {
        self.home.qd(["why", "base9"]).expect(0);
    }

    fn place(&self, place: &str) -> Value {
        let rows = self.home.json(&["get", "mirrors"])["rows"].as_array().unwrap().clone();
        rows.into_iter().find(|r| r["dc"] == place || (r["dc"].is_null() && r["role"] == place)).unwrap_or_default()
    }

    /// Looks until the replica is in this state.
    fn wait(&self, want: &str) -> Value {
        until_some(&format!("alder to be {want}"), || {
            self.look();
            let row = self.place("alder");
            (row["checked"].is_string() && row["freshness"] == want).then_some(row)
        })
    }

    fn verify(&self) -> crate::support::Out {
        let (at, up) = (format!("tree=base9={}", self.alder.url), format!("{}/{}/", self.upstream.url(), repo_path(Repo::BaseOS)));
        let up = format!("upstream=base9={up}");
        self.home.qd(["step", "mirror/verify", "--with", &at, "--with", &up, "--with", "level=presence"])
    }
}

#[test]
fn a_push_is_told_as_what_it_is_at_each_point_of_it() {
    let mut lab = Lab::new();
    // Metadata first, as a push without care brings it: a few packages of many are not there yet.
    lab.advance();
    push(&lab.source(), &lab.alder.root, false, metadata);
    let row = lab.wait("partial");
    let missing = files(&lab.source()).iter().filter(|f| !lab.alder.root.join(f.strip_prefix(lab.source()).unwrap()).exists()).count();
    assert!(missing > 0 && row["light"] == "amber" && row["why"].as_str().unwrap().contains("though its metadata is upstream's"), "{row}");
    let out = lab.verify().expect(1);
    assert!(format!("{out:?}").contains("partial"), "{out:?}");
    push(&lab.source(), &lab.alder.root, true, |_| true);
    lab.wait("fresh");
    lab.verify().expect(0);

    // Packages first, under the names of rsync: what is served is the old set, and whole.
    lab.advance();
    for file in files(&lab.source()).iter().filter(|f| f.extension().is_some_and(|e| e == "rpm")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        std::fs::create_dir_all(lab.alder.root.join("Packages/.~tmp~")).unwrap();
        std::fs::copy(file, lab.alder.root.join("Packages/.~tmp~").join(name)).unwrap();
        std::fs::write(lab.alder.root.join(format!("Packages/.{name}.Xa81Qd")), "half").unwrap();
    }
    lab.wait("behind-1");

    // repomd.xml of the old set, and the files that it names are gone for the new ones.
    let old = std::fs::read(lab.alder.root.join("repodata/repomd.xml")).unwrap();
    push(&lab.source(), &lab.alder.root, false, |rel| metadata(rel) && !rel.ends_with("repomd.xml"));
    let named = String::from_utf8(old.clone()).unwrap();
    for file in files(&lab.alder.root.join("repodata")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if named.contains(name) {
            std::fs::remove_file(&file).unwrap();
        }
    }
    // It has upstream's files, and says that it is the old set: the look that finds it out must read past what it knew.
    std::fs::write(lab.alder.root.join("repodata/repomd.xml"), [old.as_slice(), b"\n"].concat()).unwrap();
    let row = lab.wait("incoherent");
    let why = row["why"].as_str().unwrap();
    assert!(row["light"] == "amber" && (why.contains("missing") || why.contains("404")), "{row}");
    assert!(row["next"].as_str().unwrap().contains("a push may be on its way"), "{row}");
    lab.verify().expect(1);
    push(&lab.source(), &lab.alder.root, true, |_| true);
    lab.wait("fresh");
}

#[test]
fn what_changes_between_two_questions_of_one_look_is_called_moving_and_not_damaged() {
    let mut lab = Lab::new();
    lab.advance();
    push(&lab.source(), &lab.alder.root, true, |_| true);
    lab.wait("fresh");
    // The metadata of one set is read; before the first package is asked for, the next set stands in its place, and old packages are gone.
    lab.publish();
    let (from, to) = (lab.source(), lab.alder.root.clone());
    let before = lab.dir.path().join("before");
    push(&to, &before, true, |_| true);
    let swap = move || {
        push(&from, &to, false, |_| true);
        for file in files(&to.join("Packages")) {
            if !from.join("Packages").join(file.file_name().unwrap()).exists() {
                std::fs::remove_file(&file).unwrap();
            }
        }
    };
    // The engine sees a repomd.xml that it does not know, so it asks for everything.
    let repomd = lab.alder.root.join("repodata/repomd.xml");
    let text = [std::fs::read(&repomd).unwrap().as_slice(), b"\n"].concat();
    std::fs::write(&repomd, text).unwrap();
    let done = lab.alder.once("/Packages/", swap);
    let mut seen = Vec::new();
    until("the set to be swapped in the middle of a look, and seen whole after it", || {
        lab.look();
        let row = lab.place("alder");
        let state = row["freshness"].as_str().unwrap_or_default().to_owned();
        if seen.last() != Some(&state) {
            seen.push(state.clone());
        }
        let done = *done.lock().unwrap();
        assert!(!["partial", "damaged", "incoherent"].contains(&state.as_str()), "{seen:?}: {row}");
        done && state == "fresh" && row["fp"] == lab.place("upstream")["fp"]
    });
    // The same under a verification: it says that it moves, and does not call it verified or damaged.
    push(&before, &lab.alder.root, true, |_| true);
    let (from, to) = (lab.source(), lab.alder.root.clone());
    let done = lab.alder.once("/Packages/", move || push(&from, &to, true, |_| true));
    let out = lab.verify();
    assert!(*done.lock().unwrap() && format!("{out:?}").contains("syncing") && !format!("{out:?}").contains("damaged"), "{out:?}");
}
