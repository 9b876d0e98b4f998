//! Shims from the forkserver: as those from an exec in everything that anybody can see, and untouched by the forkserver's own end.

use std::path::PathBuf;

use quarterdeck::base::proc;
use quarterdeck::domain::attempt::SecretUse;
use quarterdeck::runner::attempt::forkserver::Forkserver;
use quarterdeck::runner::attempt::launch::{Launcher, Spawned};
use quarterdeck::runner::attempt::recovery::Decision;
use quarterdeck::runner::attempt::{self, survivors};
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

/// As `until`, where tasks of this thread have to go on meanwhile.
async fn gone(pid: i32) {
    let ended = async {
        while alive(pid) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    bounded(ended).await;
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

    // As that of an exec, its exit code arrives: here nobody made the directory.
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
    // Its own line to the engine, and no end of the forkserver's.
    assert_eq!((sockets(spawned.pid), sockets(forkserver)), (1, 1));
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
    assert_eq!(a.decide(), Decision::Adopt);
    // Killed a moment ago, it may take one more order with it into the grave: then nothing ran, and the next try is served.
    let mut second = loop {
        match bounded(launcher.spawn(b.dir(), Vec::new())).await {
            Ok(spawned) => break spawned,
            Err(e) => assert!(matches!(e, attempt::AttemptError::Unclear { .. }) && b.decide() == Decision::NeverStarted, "{e}"),
        }
    };
    b.until_work("up");
    // An order that the dead one could not be given is served by an exec, and those behind it by the next forkserver.
    let mut third = None;
    for _ in 0..20 {
        let c = Attempt::shell("touch up; while [ ! -e go ]; do sleep 0.02; done");
        c.create();
        let Ok(mut spawned) = bounded(launcher.spawn(c.dir(), Vec::new())).await else { continue };
        c.until_work("up");
        let by = proc::stat(spawned.pid).expect("the shim lives").parent;
        std::fs::write(c.work("go"), "").unwrap();
        assert_eq!(bounded(spawned.wait()).await.unwrap(), Some(0));
        if by != std::process::id() as i32 {
            third = Some(by);
            break;
        }
    }
    assert!(third.is_some_and(|third| third != old), "{third:?}");
    for one in [&a, &b] {
        std::fs::write(one.work("go"), "").unwrap();
    }
    assert_eq!((bounded(first.wait()).await.unwrap(), bounded(second.wait()).await.unwrap()), (Some(0), Some(0)), "each tells its own end");
    assert_eq!((a.status().code, b.status().code), (Some(5), Some(5)));
}

#[tokio::test]
async fn the_forkserver_ends_with_its_engine_and_the_shims_stay() {
    let launcher = launcher();
    let a = Attempt::shell("touch up; while [ ! -e go ]; do sleep 0.02; done; exit 5");
    a.create();
    let spawned = start(&launcher, &a).await;
    let forkserver = parent(&spawned);
    // As the end of an engine does: its line to the shim closes too.
    drop((launcher, spawned));
    gone(forkserver).await;
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

/// One more attempt of `launcher`, to its end; the pid of its shim.
async fn once(launcher: &Launcher, a: &Attempt) -> i32 {
    a.create();
    let mut spawned = bounded(launcher.spawn(a.dir(), Vec::new())).await.unwrap();
    assert_eq!(bounded(spawned.wait()).await.unwrap(), Some(0));
    spawned.pid
}

#[tokio::test]
async fn a_shim_that_has_ended_an_attempt_takes_the_next_and_nothing_of_the_last_one_is_in_it() {
    let launcher = launcher();
    let first = Attempt::shell("export LEFT=behind; umask 0; cd /; ulimit -n 50; trap '' TERM; echo one");
    let pid = once(&launcher, &first).await;
    // It tells its end first, and takes the attempt's name off after that.
    until("its name to say that it waits", || command_line(pid) == "quarterdeck shim --idle");
    let told = "env | grep -c LEFT || true; umask; pwd; ulimit -n; ls /proc/self/fd | wc -l; ps -o ignored= $$ | tr -d ' 0'";
    let (second, fresh) = (Attempt::shell(told), Attempt::shell(told));
    assert_eq!(once(&launcher, &second).await, pid, "the same process");
    let other = self::launcher();
    assert_ne!(once(&other, &fresh).await, pid);
    let told = |a: &Attempt| a.text().replace(&*a.root().to_string_lossy(), "");
    assert_eq!(told(&second), told(&fresh), "as in a new one");
    let (s, f) = (second.started().unwrap(), first.started().unwrap());
    assert!(s.child != f.child && s.shim == f.shim);
    assert!(s.cgroup.is_none() || s.cgroup != f.cgroup);
    assert_eq!((first.status().code, first.text().as_str()), (Some(0), "one\n"), "the last one's files are as they were");
    assert!(!attempt::is_alive(first.dir()).unwrap() && !attempt::is_alive(second.dir()).unwrap());
    // It says so in either: no verdict comes from a shim that serves another attempt.
    assert!(matches!(first.decide(), Decision::Ingest(_)));
}

#[tokio::test]
async fn it_takes_no_other_where_anything_could_be_left() {
    let launcher = launcher();
    let mut daemon = Attempt::shell("true");
    daemon.spec.daemon_allowed = true;
    let mut secret = Attempt::shell("true");
    secret.spec.secrets = vec![SecretUse { name: "key".into(), env: false }];
    secret.create();
    let mut spawned = bounded(launcher.spawn(secret.dir(), vec![("key".into(), Zeroizing::new(b"a-long-value".to_vec()))])).await.unwrap();
    assert_eq!(bounded(spawned.wait()).await.unwrap(), Some(0));
    let mut late = Attempt::shell("sleep 600");
    late.spec.timeout_ms = Some(50);
    let loud = Attempt::shell("head -c 3000000 /dev/zero");
    let mut seen = vec![spawned.pid];
    for a in [&daemon, &late, &loud, &Attempt::shell("exit 3")] {
        let pid = once(&launcher, a).await;
        assert!(!seen.contains(&pid), "{seen:?}");
        seen.push(pid);
    }
    until("those to be gone", || seen[..4].iter().all(|p| !alive(*p)));
    assert_eq!(once(&launcher, &Attempt::shell("true")).await, seen[4], "a step may fail as it likes");
}

#[tokio::test]
async fn one_that_waits_ends_with_its_engine_and_when_it_is_told_to() {
    let one = launcher();
    let pid = once(&one, &Attempt::shell("true")).await;
    assert!(alive(pid));
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::TERM).unwrap();
    until("it to end", || !alive(pid));
    // Its line is of no use any more: the next attempt gets a shim, at once or at the second try.
    let next = Attempt::shell("true");
    next.create();
    let mut spawned = bounded(one.spawn(next.dir(), Vec::new())).await.unwrap();
    let code = bounded(spawned.wait()).await.unwrap();
    assert!(code == Some(0) && next.status().code == Some(0) || code.is_none() && next.decide() == Decision::NeverStarted);
    let pid = once(&one, &Attempt::shell("true")).await;
    assert!(alive(pid));
    drop((one, spawned));
    gone(pid).await;
}

#[tokio::test]
async fn one_that_is_killed_in_its_second_attempt_takes_only_that_along() {
    let launcher = launcher();
    let (first, second) = (Attempt::shell("true"), Attempt::shell("touch up; sleep 600"));
    let pid = once(&launcher, &first).await;
    second.create();
    let mut spawned = start(&launcher, &second).await;
    assert_eq!((spawned.pid, command_line(pid)), (pid, format!("quarterdeck shim {}", second.dir().display())));
    crate::support::kill(pid);
    assert_eq!(bounded(spawned.wait()).await.unwrap(), None);
    assert!(matches!(first.decide(), Decision::Ingest(_)));
    // The kernel closes its line and its lock one after the other.
    until("its lock to be free", || matches!(second.decide(), Decision::Lost { .. }));
    survivors::stop_survivors(second.dir()).unwrap();
}
