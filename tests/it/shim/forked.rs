//! Shims from the forkserver: as those from an exec in everything that anybody can see, and untouched by the forkserver's own end.

use std::path::PathBuf;

use quarterdeck::base::proc;
use quarterdeck::domain::attempt::SecretUse;
use quarterdeck::runner::attempt::{self, Launcher, Spawned};
use quarterdeck::runner::forkserver::Forkserver;
use quarterdeck::runner::recovery::Decision;
use zeroize::Zeroizing;

use super::Attempt;
use crate::support::home::EXE;
use crate::support::process::{alive, command_line};
use crate::support::wait::{LIMIT, until};

async fn bounded<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, what).await.expect("in time")
}

fn launcher() -> Launcher {
    Launcher { exe: EXE.into(), prefix: Vec::new(), forkserver: Some(Forkserver::start(EXE.into())) }
}

/// The forkserver behind a shim that lives.
fn parent(spawned: &Spawned) -> i32 {
    let parent = proc::stat(spawned.pid).expect("the shim lives").parent;
    assert_ne!(parent, std::process::id() as i32, "it was forked and not executed");
    parent
}

async fn start(launcher: &Launcher, a: &Attempt) -> Spawned {
    let spawned = bounded(launcher.spawn(a.dir(), Vec::new())).await.unwrap();
    a.until_work("up");
    spawned
}

#[tokio::test]
async fn a_forked_shim_runs_its_step_and_takes_its_secrets() {
    let launcher = launcher();
    let mut a = Attempt::shell("cat \"$QD_SECRETS_DIR/key\" | wc -c; exit 3");
    a.spec.secrets = vec![SecretUse { name: "key".into(), env: false }];
    a.create();
    // Larger than a pipe: the engine must not block on a shim that has not come to reading yet.
    let value = Zeroizing::new(vec![b'k'; 300_000]);
    let mut spawned = bounded(launcher.spawn(a.dir(), vec![("key".into(), value)])).await.unwrap();
    assert_eq!(bounded(spawned.wait()).await.unwrap(), Some(0));
    assert_eq!((a.status().code, a.text().trim()), (Some(3), "300000"));
    until("it to be reaped", || proc::stat(spawned.pid).is_none());

    // Its exit code arrives as that of any other: here nobody made the directory.
    let b = Attempt::shell("true");
    let mut spawned = bounded(launcher.spawn(b.dir(), Vec::new())).await.unwrap();
    assert_eq!(bounded(spawned.wait()).await.unwrap(), Some(i32::from(quarterdeck::runner::shim::NOT_STARTED)));
}

#[tokio::test]
async fn it_shows_its_attempt_leads_a_session_and_keeps_nothing_of_the_forkserver() {
    let launcher = launcher();
    let a = Attempt::shell("touch up; while [ ! -e go ]; do sleep 0.02; done");
    a.create();
    let mut spawned = start(&launcher, &a).await;
    let forkserver = parent(&spawned);
    assert_eq!(command_line(spawned.pid), format!("quarterdeck shim {}", a.dir().display()));
    assert_eq!(command_line(forkserver), "quarterdeck shim --forkserver");
    let stat = proc::stat(spawned.pid).unwrap();
    assert_eq!((stat.session, stat.group), (spawned.pid, spawned.pid));
    let open = |pid: i32| -> Vec<PathBuf> {
        std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten().filter_map(|e| std::fs::read_link(e.path()).ok()).collect()
    };
    let sockets = |pid| open(pid).iter().filter(|p| p.to_string_lossy().starts_with("socket:")).count();
    assert_eq!((sockets(spawned.pid), sockets(forkserver)), (0, 1));
    std::fs::write(a.work("go"), "").unwrap();
    assert_eq!(bounded(spawned.wait()).await.unwrap(), Some(0));
}

#[tokio::test]
async fn a_killed_forkserver_takes_no_shim_with_it_and_another_takes_its_place() {
    let launcher = launcher();
    let script = "touch up; while [ ! -e go ]; do sleep 0.02; done; exit 5";
    let (a, b) = (Attempt::shell(script), Attempt::shell(script));
    a.create();
    b.create();
    let mut first = start(&launcher, &a).await;
    let old = parent(&first);
    crate::support::kill(old);
    assert_eq!(bounded(first.wait()).await.unwrap(), None, "its end is not known from here any more");
    assert_eq!(a.decide(), Decision::Adopt);
    // Killed a moment ago, it may take one more order with it into the grave: then nothing ran, and the next try is served.
    let mut second = loop {
        match bounded(launcher.spawn(b.dir(), Vec::new())).await {
            Ok(spawned) => break spawned,
            Err(e) => assert!(matches!(e, attempt::AttemptError::Unclear { .. }) && b.decide() == Decision::NeverStarted, "{e}"),
        }
    };
    b.until_work("up");
    assert_ne!(parent(&second), old);
    for one in [&a, &b] {
        std::fs::write(one.work("go"), "").unwrap();
    }
    bounded(attempt::watch(a.dir())).await.unwrap();
    bounded(second.wait()).await.unwrap();
    assert_eq!((a.status().code, b.status().code), (Some(5), Some(5)));
}

#[tokio::test]
async fn the_forkserver_ends_with_its_engine_and_the_shims_stay() {
    let launcher = launcher();
    let a = Attempt::shell("touch up; while [ ! -e go ]; do sleep 0.02; done; exit 5");
    a.create();
    let spawned = start(&launcher, &a).await;
    let forkserver = parent(&spawned);
    drop(launcher);
    for _ in 0..2_000 {
        if !alive(forkserver) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(!alive(forkserver));
    assert_eq!(a.decide(), Decision::Adopt);
    std::fs::write(a.work("go"), "").unwrap();
    bounded(attempt::watch(a.dir())).await.unwrap();
    assert_eq!(a.status().code, Some(5));
}

#[tokio::test]
async fn where_none_can_be_kept_running_shims_are_executed() {
    // Ends at once, whatever it is told.
    let launcher = Launcher { forkserver: Some(Forkserver::start("/bin/true".into())), ..launcher() };
    let a = Attempt::shell("exit 4");
    a.create();
    let mut spawned = loop {
        match bounded(launcher.spawn(a.dir(), Vec::new())).await {
            Ok(spawned) => break spawned,
            Err(e) => assert!(matches!(e, attempt::AttemptError::Unclear { .. }), "{e}"),
        }
    };
    assert_eq!(bounded(spawned.wait()).await.unwrap(), Some(0));
    assert_eq!(a.status().code, Some(4));
    let none = Launcher { forkserver: Some(Forkserver::start("/nonexistent/quarterdeck".into())), ..launcher };
    let b = Attempt::shell("exit 4");
    b.create();
    assert_eq!(bounded(bounded(none.spawn(b.dir(), Vec::new())).await.unwrap().wait()).await.unwrap(), Some(0));
}
