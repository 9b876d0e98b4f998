//! Orders carried out on real files.

use std::os::unix::fs::symlink;

use super::*;
use crate::pipeline::Catalog;

const GOOD: &str = "format: 1\nname: one\nstages:\n  - name: only\n    run: 'true'\n";

struct Home {
    dir: tempfile::TempDir,
    desk: Desk,
}

impl Home {
    fn new(text: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pipelines = dir.path().join("pipelines");
        fs::create_dir(&pipelines).unwrap();
        fs::write(pipelines.join("one.yml"), text).unwrap();
        let desk = Desk {
            pipelines,
            drafts: dir.path().join("drafts"),
            catalog: Box::new(|| Ok(Catalog::default())),
            have: |_| false,
            check: |_| Vec::new(),
            now: || jiff::Timestamp::UNIX_EPOCH,
            // No process has this number.
            pid: u32::MAX,
        };
        Self { dir, desk }
    }

    fn file(&self) -> PathBuf {
        self.desk.pipelines.join("one.yml")
    }

    fn ask(&self, ask: Ask) -> Vec<Got> {
        carry_out(&self.desk, &Order { name: "one".into(), ask })
    }

    fn opened(&self) -> Found {
        match self.ask(Ask::Open { path: None }).pop() {
            Some(Got::Opened { found, .. }) => *found,
            other => panic!("{other:?}"),
        }
    }

    fn save(&self, found: &Found, text: &str) -> Got {
        let ask = Ask::Save { path: found.path.clone(), text: text.into(), over: found.stamp.clone(), shape: found.shape };
        self.ask(ask).pop().unwrap()
    }

    fn drafts(&self) -> usize {
        fs::read_dir(&self.desk.drafts).map_or(0, Iterator::count)
    }
}

fn refusal(got: &Got) -> &str {
    match got {
        Got::Failed { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_save_replaces_the_file_with_its_mode_and_leaves_nothing_beside_it() {
    let home = Home::new(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n");
    fs::set_permissions(home.file(), fs::Permissions::from_mode(0o640)).unwrap();
    let found = home.opened();
    assert_eq!((found.text.as_str(), &found.locked), ("a: 1\nb: 2\n", &None));
    home.ask(Ask::Judge { text: "a: 3\n".into(), revision: 4, keep: true });
    assert_eq!(home.drafts(), 1);
    assert!(matches!(home.save(&found, "a: 3\n"), Got::Saved { .. }));
    assert_eq!(fs::read(home.file()).unwrap(), b"\xef\xbb\xbfa: 3\r\n");
    assert_eq!(fs::metadata(home.file()).unwrap().mode() & 0o777, 0o640);
    assert_eq!((fs::read_dir(&home.desk.pipelines).unwrap().count(), home.drafts()), (1, 0), "no draft, no new file");
    assert!(matches!(home.save(&home.opened(), "a: 4\n"), Got::Saved { .. }), "what is there now can be replaced again");
}

#[test]
fn a_file_that_was_changed_meanwhile_is_not_written_over() {
    let home = Home::new(GOOD.as_bytes());
    let found = home.opened();
    fs::write(home.file(), "theirs: 1\n").unwrap();
    match home.save(&found, "mine: 1\n") {
        Got::Moved(now) => assert_eq!(now.text, "theirs: 1\n"),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read_to_string(home.file()).unwrap(), "theirs: 1\n");
    fs::remove_file(home.file()).unwrap();
    assert!(refusal(&home.save(&found, "mine: 1\n")).contains("is not there"));
}

#[test]
fn links_second_names_and_files_of_others_are_refused_with_the_reason() {
    let home = Home::new(GOOD.as_bytes());
    fs::rename(home.file(), home.dir.path().join("real.yml")).unwrap();
    symlink(home.dir.path().join("real.yml"), home.file()).unwrap();
    let found = home.opened();
    assert_eq!(found.text, GOOD);
    assert!(found.locked.as_deref().is_some_and(|w| w.contains("is a link")), "{found:?}");
    assert!(refusal(&home.save(&found, "x: 1\n")).contains("nothing was written"));
    fs::remove_file(home.file()).unwrap();
    fs::hard_link(home.dir.path().join("real.yml"), home.file()).unwrap();
    assert!(home.opened().locked.is_some_and(|w| w.contains("2 names")));
    fs::remove_file(home.dir.path().join("real.yml")).unwrap();
    if rustix::process::geteuid().is_root() {
        // Root may write everywhere; that a plain user may not is what `access` says, asked here of a file of root's.
        return;
    }
    fs::set_permissions(home.file(), fs::Permissions::from_mode(0o444)).unwrap();
    assert!(home.opened().locked.is_some_and(|w| w.contains("may not be written")));
}

#[test]
fn what_is_no_pipeline_is_not_opened() {
    let home = Home::new(b"a: 1\nb: \xff\n");
    let why = |ask| refusal(&home.ask(ask)[0]).to_owned();
    assert!(why(Ask::Open { path: None }).contains("line 2 is not UTF-8"));
    assert!(why(Ask::Open { path: Some("/etc/passwd".into()) }).contains("no file of it"));
    assert!(why(Ask::Open { path: Some("one.yml".into()) }).contains("no file of it"));
    fs::write(home.file(), vec![b' '; MOST + 1]).unwrap();
    assert!(why(Ask::Open { path: None }).contains("1 MiB"));
    fs::remove_file(home.file()).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, home.file(), rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0).unwrap();
    assert!(why(Ask::Open { path: None }).contains("no regular file"));
    let odd = carry_out(&home.desk, &Order { name: "../one".into(), ask: Ask::Open { path: None } });
    assert!(refusal(&odd[0]).contains("no name of a pipeline"));
}

#[test]
fn what_a_console_left_is_offered_taken_over_and_dropped() {
    let home = Home::new(GOOD.as_bytes());
    let old = drafts::keep(&home.desk.drafts, "one", u32::MAX - 1, "left: 1\n").unwrap();
    let offered = || match home.ask(Ask::Open { path: None }).pop() {
        Some(Got::Opened { draft, .. }) => draft.map(|d| d.text),
        other => panic!("{other:?}"),
    };
    assert_eq!(offered().as_deref(), Some("left: 1\n"));
    assert!(home.ask(Ask::Adopt { text: "left: 1\n".into(), from: old.clone() }).is_empty());
    assert!(!old.exists() && home.drafts() == 1, "it is this console's now");
    assert_eq!(offered(), None);
    home.ask(Ask::Clean);
    assert_eq!(home.drafts(), 0);
    let same = drafts::keep(&home.desk.drafts, "one", u32::MAX - 1, GOOD).unwrap();
    assert_eq!(offered(), None, "what the file says already is no news");
    assert!(home.ask(Ask::Drop { path: same }).is_empty());
    assert_eq!(home.drafts(), 0);
}

#[tokio::test]
async fn of_a_burst_of_texts_the_last_is_judged() {
    let home = Home::new(GOOD.as_bytes());
    let (orders, inbox) = mpsc::channel(16);
    let (tell, mut told) = mpsc::channel(16);
    let served = tokio::spawn(serve(Arc::new(home.desk), inbox, tell));
    for revision in 1..=5 {
        let ask = Ask::Judge { text: GOOD.into(), revision, keep: false };
        orders.send(Order { name: "one".into(), ask }).await.unwrap();
    }
    match told.recv().await {
        Some(Msg::Page(t)) => assert!(matches!(t.got, Got::Judged(j) if j.revision == 5 && j.found.is_empty())),
        other => panic!("{other:?}"),
    }
    drop(orders);
    served.await.unwrap();
    assert!(told.recv().await.is_none(), "nothing else was judged");
}
