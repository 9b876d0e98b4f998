//! Hostile children: none survives its verdict, none keeps the shim from giving one.

use quarterdeck::domain::attempt::{CancelIntent, Containment, EndedBy};
use quarterdeck::runner::attempt::{self, survivors};

use super::{Attempt, finish};
use crate::support;
use crate::support::wait::until;

fn cancel(a: &Attempt, force: bool) {
    attempt::cancel(a.dir(), &CancelIntent { format: 1, who: "anna".into(), why: "too slow".into(), force }).unwrap();
}

#[test]
fn an_exit_code_is_reported_with_what_was_used() {
    let s = Attempt::shell("echo hello; exit 7").run();
    assert_eq!((s.code, s.signal, s.ended_by, s.detail.as_str()), (Some(7), None, EndedBy::Itself, "exit code 7"));
    assert!(s.boot_us_ended >= s.boot_us_started && s.max_rss_kib > 0 && s.left_running.is_empty());
    assert_eq!((s.fence, s.log_bytes, s.log_dropped_bytes), (7, 6, 0));
}

#[test]
fn only_exit_0_is_exit_0_i13() {
    for (script, code, signal) in
        [("exit 0", Some(0), None), ("kill -SEGV $$", None, Some(11)), ("kill -KILL $$", None, Some(9)), ("false", Some(1), None)]
    {
        let s = Attempt::shell(script).run();
        assert_eq!((s.code, s.signal), (code, signal), "{script}");
        assert_eq!(s.detail.is_empty(), script == "exit 0", "{script}: {}", s.detail);
        assert!(!s.core, "{script}");
    }
}

#[test]
fn a_daemon_with_its_own_session_dies_with_its_step_i6() {
    for script in [
        "(setsid sh -c 'trap \"\" TERM HUP; touch up; sleep 1000' </dev/null >/dev/null 2>&1 &)\nwhile [ ! -e up ]; do :; done",
        // Its environment is empty: the token cannot find it, the subreaper does.
        "(env -i setsid /bin/sh -c 'touch up; sleep 1000' </dev/null >/dev/null 2>&1 &)\nwhile [ ! -e up ]; do :; done",
    ] {
        let a = Attempt::shell(script);
        let s = a.run();
        assert_eq!(s.code, Some(0));
        assert!(s.left_running.is_empty());
        a.assert_nobody_left();
        let work = a.work("up").parent().unwrap().display().to_string();
        let in_workspace = quarterdeck::base::proc::all()
            .into_iter()
            .any(|p| std::fs::read_link(format!("/proc/{p}/cwd")).is_ok_and(|c| c.display().to_string() == work));
        assert!(!in_workspace, "{script}");
    }
}

#[test]
fn allowed_daemons_stay_and_are_named() {
    let mut a = Attempt::shell("(setsid sleep 1234 </dev/null >/dev/null 2>&1 &)\nexit 0");
    a.spec.daemon_allowed = true;
    let s = a.run();
    assert_eq!(s.code, Some(0));
    until("the daemon to be the only one left", || a.carriers().len() == 1);
    assert_eq!(s.left_running.len(), 1, "{s:?}");
    assert_eq!(s.left_running[0].process.pid, a.carriers()[0]);
    assert!(survivors::stop_survivors(a.dir()).unwrap().left.is_empty());
    a.assert_nobody_left();
}

#[test]
fn a_daemon_that_keeps_the_output_open_holds_nobody_up() {
    let a = Attempt::shell("echo before\n(setsid sleep 1000 &)\nexit 3");
    let s = a.run();
    assert_eq!((s.code, a.text().as_str()), (Some(3), "before\n"));
    a.assert_nobody_left();
}

#[test]
fn closing_the_output_early_ends_nothing() {
    let a = Attempt::shell("echo before; exec >/dev/null 2>&1; sleep 0.3; exit 4");
    assert_eq!((a.run().code, a.text().as_str()), (Some(4), "before\n"));
}

#[test]
fn term_is_enough_for_the_polite_and_kill_for_the_others_i10() {
    for (script, grace_ms, signal) in [
        ("touch up; exec sleep 1000", 60_000, 15),
        ("trap '' TERM; touch up; while :; do sleep 1; done", 100, 9),
        // A stopped process would never see TERM.
        ("touch up; kill -STOP $$; exit 0", 60_000, 15),
    ] {
        let mut a = Attempt::shell(script);
        a.spec.grace_ms = grace_ms;
        a.create();
        let shim = a.start();
        a.until_work("up");
        cancel(&a, false);
        assert!(finish(shim).success());
        let s = a.status();
        assert_eq!((s.ended_by, s.code, s.signal), (EndedBy::Cancel, None, Some(signal)), "{script}");
        assert_eq!(s.detail, "cancelled by anna: too slow");
        a.assert_nobody_left();
    }
}

#[test]
fn a_second_cancel_skips_the_grace() {
    let mut a = Attempt::shell("trap 'touch termed' TERM; touch up; while :; do sleep 0.1 || :; done");
    a.spec.grace_ms = 3_600_000;
    a.create();
    let shim = a.start();
    a.until_work("up");
    cancel(&a, false);
    a.until_work("termed");
    cancel(&a, true);
    assert!(finish(shim).success());
    assert_eq!((a.status().ended_by, a.status().signal), (EndedBy::Cancel, Some(9)));
    // A later wish without force does not take it back.
    cancel(&a, false);
    assert!(std::fs::read_to_string(a.dir().join("cancel")).unwrap().contains("\"force\":true"));
}

#[test]
fn a_cancel_before_the_start_prevents_it() {
    let a = Attempt::shell("touch ran");
    a.create();
    cancel(&a, false);
    assert!(finish(a.start()).success());
    assert_eq!((a.status().ended_by, a.status().code), (EndedBy::Cancel, None));
    assert!(!a.work("ran").exists() && a.started().is_none());
}

#[test]
fn a_garbled_wish_to_cancel_is_a_wish() {
    let a = Attempt::shell("touch up; exec sleep 1000");
    a.create();
    let shim = a.start();
    a.until_work("up");
    std::fs::write(a.dir().join("cancel"), "{").unwrap();
    assert!(finish(shim).success());
    assert_eq!(a.status().ended_by, EndedBy::Cancel);
}

#[test]
fn sigterm_to_the_shim_ends_the_step_in_order() {
    let a = Attempt::shell("touch up; exec sleep 1000");
    a.create();
    let shim = a.start();
    a.until_work("up");
    let pid = rustix::process::Pid::from_raw(shim.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(finish(shim).success());
    assert_eq!((a.status().ended_by, a.status().signal), (EndedBy::Cancel, Some(15)));
}

#[test]
fn what_cannot_be_started_says_why() {
    let mut a = Attempt::shell("exit 0");
    a.spec.command = quarterdeck::domain::attempt::Command::Shell { script: String::new(), interpreter: vec!["/nonexistent/tool".into()] };
    let s = a.run();
    assert_eq!((s.ended_by, s.code), (EndedBy::Setup, None));
    assert!(s.detail.contains("/nonexistent/tool") && s.detail.contains("No such file"), "{}", s.detail);

    let mut a = Attempt::shell("exit 0");
    a.spec.workspace = a.root().join("gone").display().to_string();
    let s = a.run();
    assert_eq!(s.ended_by, EndedBy::Setup);
    assert!(s.detail.contains("workspace") && s.detail.contains("gone"), "{}", s.detail);
}

#[test]
fn the_step_gets_a_clean_process() {
    let a = Attempt::shell(
        "umask; ulimit -c; echo $PPID; ls -l /proc/self/fd | sed -n 's/.* \\([0-9]*\\) -> /\\1 /p' | grep -v /proc; \
         grep -E '^Sig(Blk|Ign)' /proc/self/status; env | sort; ps -o sid= -p $$ || true",
    );
    assert_eq!(a.run().code, Some(0));
    let text = a.text();
    assert!(text.starts_with("0022\n0\n"), "{text}");
    for part in [
        "SigBlk:\t0000000000000000",
        "SigIgn:\t0000000000000000",
        "0 /dev/null",
        "QD_ATTEMPT_ID=",
        "QD_TOKEN=",
        "QD_SECRETS_DIR=/",
        "QD_WORKSPACE=",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("QD_CRASH_AT"), "{text}");
    // Only 0, 1 and 2; `ls` and the shell's own script file aside.
    let open: Vec<_> =
        text.lines().filter(|l| l.contains(" /") && l.split(' ').next().is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n > 2))).collect();
    assert!(open.iter().all(|l| l.contains("/script")), "{open:?}");
}

#[test]
fn the_cgroup_is_used_where_there_is_one_and_is_gone_afterwards() {
    let a = Attempt::shell("cat /proc/self/cgroup; exit 0");
    assert_eq!(a.run().code, Some(0));
    let started = a.started().unwrap();
    match (&started.cgroup, started.containment) {
        (None, Containment::Subreaper) => support::skip("shim.cgroup", "this user may not make a cgroup v2 directory"),
        (Some(c), Containment::Cgroup | Containment::SystemdScope) => {
            let name = std::path::Path::new(c).file_name().unwrap().to_str().unwrap();
            assert!(a.text().contains(name), "{}", a.text());
            assert!(!std::path::Path::new(c).exists());
        }
        other => panic!("{other:?}"),
    }
}

/// As an unprivileged user with a process limit: a storm that could take the machine would be a poor test.
#[test]
fn a_fork_storm_dies_whole_i6() {
    if !support::have_program("setpriv") || !rustix::process::getuid().is_root() {
        return support::skip("shim.fork_storm", "needs root and setpriv to run the storm as another user");
    }
    let a = Attempt::shell(
        "chmod 777 .\nexec setpriv --reuid 60123 --regid 60123 --clear-groups prlimit --nproc=120 sh -c \
         'storm() { while :; do (setsid sh -c \"while :; do (sleep 1000 &) ; done\" 2>/dev/null &) ; done; }; touch up; storm 2>/dev/null & exec sleep 1000'",
    );
    a.create();
    std::fs::set_permissions(a.root(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let shim = a.start();
    a.until_work("up");
    let theirs = || {
        quarterdeck::base::proc::all()
            .into_iter()
            .filter(|p| {
                std::os::linux::fs::MetadataExt::st_uid(
                    &std::fs::metadata(format!("/proc/{p}")).ok().unwrap_or_else(|| std::fs::metadata("/").unwrap()),
                ) == 60_123
            })
            .filter(|p| quarterdeck::base::proc::stat(*p).is_some_and(|s| s.state != 'Z'))
            .count()
    };
    until("the storm to rage", || theirs() > 60);
    cancel(&a, true);
    assert!(finish(shim).success());
    let s = a.status();
    assert_eq!(s.ended_by, EndedBy::Cancel);
    assert!(s.left_running.is_empty(), "{:?}", s.left_running);
    assert_eq!(theirs(), 0);
}

#[test]
fn a_step_that_removes_its_supervisors_files_still_gets_its_verdict() {
    let a = Attempt::shell("rm -f \"${QD_REPORT%/report}\"/*; echo gone; exit 9");
    assert_eq!(a.run().code, Some(9));
}

#[test]
fn a_noisy_daemon_that_may_stay_does_not_hold_the_verdict() {
    let mut a = Attempt::shell("(setsid yes &)\nexit 0");
    a.spec.daemon_allowed = true;
    a.spec.log.max_bytes = 1 << 20;
    assert_eq!(a.run().code, Some(0));
    // Its output is nobody's any more: it ends by SIGPIPE.
    until("the noise to end", || a.carriers().is_empty());
}
