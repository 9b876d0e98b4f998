//! The engine's side: starting, waiting, watching adopted supervisors, cancelling, and leaving no zombies. Also as an ordinary user.

use std::path::Path;
use std::process::{Command, Stdio};

use quarterdeck::base::proc;
use quarterdeck::domain::attempt::{CancelIntent, Containment, EndedBy, SecretUse, Started, file};
use quarterdeck::runner::attempt::recovery::Decision;
use quarterdeck::runner::attempt::{self, launch, survivors};
use zeroize::Zeroizing;

use super::{Attempt, finish};
use crate::support;
use crate::support::home::EXE;
use crate::support::wait::{LIMIT, until};

async fn bounded<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, what).await.expect("in time")
}

fn force(a: &Attempt) {
    attempt::cancel(a.dir(), &CancelIntent { format: 1, who: "anna".into(), why: String::new(), force: true }).unwrap();
}

#[tokio::test]
async fn a_spawned_shim_is_waited_for_and_leaves_no_zombie() {
    let mut a = Attempt::shell("cat \"$QD_SECRETS_DIR/key\" | wc -c; exit 3");
    a.spec.secrets = vec![SecretUse { name: "key".into(), env: false }];
    a.create();
    // Larger than a pipe: the engine must not block on a shim that has not come to reading yet.
    let value = Zeroizing::new(vec![b'k'; 300_000]);
    let mut spawned = bounded(launch::spawn(Path::new(EXE), a.dir(), vec![("key".into(), value)])).await.unwrap();
    assert_eq!(bounded(spawned.wait()).await.unwrap(), Some(0));
    assert_eq!((a.status().code, a.text().trim()), (Some(3), "300000"));
    assert!(proc::stat(spawned.pid).is_none(), "reaped");

    let b = Attempt::shell("touch up; sleep 1000");
    b.create();
    let pid = launch::spawn(Path::new(EXE), b.dir(), Vec::new()).await.unwrap().pid;
    b.until_work("up");
    // The handle is gone, as after an engine that forgot it; the shim is not, and is still reaped.
    assert_eq!(b.decide(), Decision::Adopt);
    force(&b);
    bounded(attempt::watch(b.dir())).await.unwrap();
    assert_eq!(b.status().ended_by, EndedBy::Cancel);
    for _ in 0..2_000 {
        if proc::stat(pid).is_none() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{pid} is still a zombie");
}

#[tokio::test]
async fn an_adopted_shim_is_watched_to_its_end() {
    let a = Attempt::shell("touch up; while [ ! -e go ]; do sleep 0.02; done; exit 5");
    a.create();
    bounded(attempt::watch(a.dir())).await.unwrap();
    let shim = a.start();
    a.until_work("up");
    let mut watching = Box::pin(attempt::watch(a.dir()));
    assert!(tokio::time::timeout(std::time::Duration::from_millis(100), &mut watching).await.is_err(), "it lives");
    std::fs::write(a.work("go"), "").unwrap();
    bounded(watching).await.unwrap();
    assert_eq!(a.status().code, Some(5));
    assert!(finish(shim).success());
}

#[tokio::test]
async fn a_shim_without_evidence_is_watched_by_its_lock() {
    // Another holder of the lock, and no started.json: only the lock can tell.
    let a = Attempt::shell("exit 0");
    a.create();
    let shim_lock = std::fs::File::create(a.dir().join(file::LOCK)).unwrap();
    assert!(quarterdeck::base::sys::try_lock_exclusive(std::os::fd::AsFd::as_fd(&shim_lock)).unwrap());
    assert_eq!(a.decide(), Decision::Adopt);
    let mut watching = Box::pin(attempt::watch(a.dir()));
    assert!(tokio::time::timeout(std::time::Duration::from_millis(100), &mut watching).await.is_err());
    drop(shim_lock);
    bounded(watching).await.unwrap();
    // A process that another test forks just now may hold a copy of the watcher's descriptor until its exec.
    until("the lock to be free", || a.decide() == Decision::NeverStarted);
}

#[tokio::test]
async fn a_shim_killed_while_running_is_lost_and_its_children_are_stopped_i6() {
    let a = Attempt::shell("(setsid sleep 1000 &) >/dev/null 2>&1; touch up; sleep 1000");
    a.create();
    let mut spawned = launch::spawn(Path::new(EXE), a.dir(), Vec::new()).await.unwrap();
    a.until_work("up");
    let secrets = std::fs::read_dir("/dev/shm").unwrap().flatten().find(|e| e.file_name().to_string_lossy().contains(&a.spec.token));
    support::kill(spawned.pid);
    assert_ne!(bounded(spawned.wait()).await.unwrap(), Some(0));
    assert!(matches!(a.decide(), Decision::Lost { why, survivors_possible: true } if why == "supervisor killed"));
    until("the survivors to be visible", || a.carriers().len() >= 2);
    let stopped = survivors::stop_survivors(a.dir()).unwrap();
    assert!(stopped.left.is_empty());
    a.assert_nobody_left();
    assert!(!secrets.expect("the step had a directory for secrets").path().exists());
    assert_eq!(survivors::stop_survivors(a.dir()).unwrap().killed, 0, "idempotent");
}

/// Survivors are only signalled on proof: here the evidence names a stranger, as after the number was used again.
#[test]
fn a_stranger_with_the_same_number_is_left_alone() {
    let a = Attempt::shell("exit 0");
    a.create();
    let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
    let real = proc::stat(stranger.id() as i32).unwrap();
    let evidence = |start_time: u64| {
        let id = serde_json::json!({"pid": real.pid, "start_time": start_time});
        let text = serde_json::json!({"format": 1, "fence": 7, "boot_id": "b", "shim": id, "child": id, "pgid": real.pid, "cgroup": "/",
            "containment": "subreaper", "shim_version": "0", "boot_us": 1, "wall_us": 1});
        let _: Started = serde_json::from_value(text.clone()).unwrap();
        std::fs::write(a.dir().join(file::STARTED), text.to_string()).unwrap();
    };
    evidence(real.start_time + 1);
    assert_eq!(survivors::stop_survivors(a.dir()).unwrap(), survivors::Stopped::default());
    assert!(stranger.try_wait().unwrap().is_none(), "alive");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// The third rung, really: an ordinary user without a cgroup of his own, under a shim that is not dumpable.
#[test]
fn an_ordinary_user_is_supervised_as_well_i6_i8() {
    if !support::have_program("setpriv") || !rustix::process::getuid().is_root() {
        return support::skip("shim.ordinary_user", "needs root and setpriv to become another user");
    }
    let mut a = Attempt::shell(
        "cat \"$QD_SECRETS_DIR/key\"; (setsid sleep 1000 </dev/null >/dev/null 2>&1 &)\n(env -i /usr/bin/setsid /bin/sleep 1000 </dev/null >/dev/null 2>&1 &)\nexit 6",
    );
    a.spec.secrets = vec![SecretUse { name: "key".into(), env: false }];
    a.create();
    let own = Command::new("chown").arg("-R").arg("60124:60124").arg(a.root()).status().unwrap();
    assert!(own.success());
    // The binary may lie where this user cannot go.
    let exe = a.root().join("quarterdeck");
    std::fs::copy(EXE, &exe).unwrap();
    let mut c = Command::new("setpriv");
    c.args(["--reuid", "60124", "--regid", "60124", "--clear-groups"])
        .arg(&exe)
        .arg("shim")
        .arg(a.dir())
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    let mut shim = c.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let secret = b"open sesame";
    let mut bytes = 3u32.to_le_bytes().to_vec();
    bytes.extend((secret.len() as u32).to_le_bytes());
    bytes.extend(b"key");
    bytes.extend(secret);
    std::io::Write::write_all(&mut shim.stdin.take().unwrap(), &bytes).unwrap();
    assert!(finish(shim).success(), "{:?}", attempt::read_refusal(a.dir()));
    let s = a.status();
    assert_eq!((s.code, a.text().as_str()), (Some(6), "***"));
    assert_eq!(a.started().unwrap().containment, Containment::Subreaper);
    assert!(s.left_running.is_empty());
    a.assert_nobody_left();
    let theirs = proc::all().into_iter().filter(|p| {
        use std::os::linux::fs::MetadataExt;
        std::fs::metadata(format!("/proc/{p}")).is_ok_and(|m| m.st_uid() == 60_124) && proc::stat(*p).is_some_and(|s| s.state != 'Z')
    });
    assert_eq!(theirs.count(), 0);
}
