//! Secrets against real keepers: a session bus with GNOME Keyring, systemd's credentials directory, the kernel's keyring. I8 beside it.

mod i8;
mod service;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use quarterdeck::secret::{Cache, KernelCache};
use serde_json::json;

use crate::support::home::run;
use crate::support::{Home, skip, until, until_some};

/// A pipeline that keeps what it was given where the test can read it, and prints nothing of it.
const KEEP: &str = "format: 1\nname: keep\nsecrets: [token]\nstages:\n  - name: a\n    secrets: [token]\n    run: cp \"$QD_SECRETS_DIR/token\" \"$QD_WORKSPACE/../seen.$QD_RUN_NUMBER\"\n";

fn seen(home: &Home, number: u32) -> Option<String> {
    let mut dirs = vec![home.state()];
    while let Some(dir) = dirs.pop() {
        for e in std::fs::read_dir(dir).ok()?.flatten() {
            if e.file_name().to_str() == Some(&format!("seen.{number}")) {
                return std::fs::read_to_string(e.path()).ok();
            }
            if e.file_type().is_ok_and(|t| t.is_dir()) {
                dirs.push(e.path());
            }
        }
    }
    None
}

/// What `why` says once the run waits for its secret.
fn blocked(home: &Home, run: &str) -> String {
    until_some("the run to wait for its secret", || {
        let why = home.qd(["why", run]).stdout;
        why.contains("secret `token`").then_some(why)
    })
}

/// Runs the command with this on its standard input.
fn with_input(mut command: Command, input: &str) -> crate::support::Out {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input");
    std::fs::write(&path, input).unwrap();
    let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("input=$1; shift; exec \"$@\" <\"$input\"").arg("sh").arg(&path).arg(command.get_program()).args(words);
    shell.env_clear();
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(key, value);
        }
    }
    command.env_clear();
    run(shell)
}

#[test]
fn where_there_is_no_secret_service_set_says_what_to_do_and_a_run_waits() {
    let home = Home::new();
    home.site("[secrets]\ntoken = \"keyring:token\"\nother = \"file:/nonexistent/other\"\n").pipeline("keep", KEEP);
    let out = with_input(home.command(["secret", "set", "token"]), "a-brand-new-value\n").expect(3);
    assert!(out.stderr.contains("no Secret Service") && out.stderr.contains("credential:") && !out.stderr.contains("brand-new"), "{out:?}");
    let out = with_input(home.command(["secret", "set", "other"]), "a-brand-new-value\n").expect(4);
    assert!(out.stderr.contains("cat >/nonexistent/other"), "{out:?}");
    for (value, words) in [("short", "fewer than 6"), ("", "empty"), ("nul\0in-the-middle", "NUL")] {
        let out = with_input(home.command(["secret", "set", "token"]), value).expect(2);
        assert!(out.stderr.contains(words), "{out:?}");
    }
    let out = with_input(home.command(["secret", "set", "tokne"]), "a-brand-new-value").expect(2);
    assert!(out.stderr.contains("did you mean `token`?"), "{out:?}");
    home.qd(["secret", "set", "token", "a-brand-new-value"]).expect(2);
    home.qd(["run", "keep"]).expect(0);
    assert!(blocked(&home, "keep#1").contains("no Secret Service"));
    let audit = home.json(&["get", "audit", "--filter", "action=secret-set"])["rows"].to_string();
    assert!(audit.contains("begun") && audit.contains("failed") && !audit.contains("brand-new"), "{audit}");
    home.qd(["cancel", "keep#1"]).expect(0);
}

#[test]
fn what_systemd_loads_for_the_engine_is_used_by_its_steps_and_seen_when_it_changes() {
    let home = Home::new();
    home.site("[secrets]\ntoken = \"auto\"\n").pipeline("keep", KEEP);
    let dir = home.root().join("credentials");
    std::fs::create_dir(&dir).unwrap();
    let put = |value: &str| {
        let path = dir.join("token");
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, value).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    };
    put("loaded-by-systemd\n");
    let mut command = home.command(["engine", "start"]);
    command.env("CREDENTIALS_DIRECTORY", &dir);
    run(command).expect(0);
    home.qd(["run", "keep", "--wait"]).expect(0);
    assert_eq!(seen(&home, 1).as_deref(), Some("loaded-by-systemd"));
    put("rotated-by-systemd\n");
    home.qd(["run", "keep", "--wait"]).expect(0);
    assert_eq!(seen(&home, 2).as_deref(), Some("rotated-by-systemd"));
    // The command itself has no such directory: the engine's word counts.
    let rows = home.json(&["secret", "test"])["rows"].clone();
    assert_eq!(rows, json!([{"secret": "token", "ok": true, "error": null, "asked": "engine"}]));
    let text = home.qd(["secret", "get", "token"]).expect(0).stdout;
    assert!(text.contains("env:QD_SECRET_TOKEN, then credential:token, then keyring:token"), "{text}");
    // A variable of an older attempt is no value of ours: the engine was started without it.
    home.qd(["engine", "stop"]).expect(0);
    let out = home.qd(["--json", "secret", "test"]).expect(1).json();
    assert_eq!(out["rows"][0]["asked"], "command");
    assert!(out["rows"][0]["error"].as_str().unwrap().contains("$CREDENTIALS_DIRECTORY"), "{out}");
}

#[test]
fn the_kernel_keeps_a_value_for_its_time_and_for_this_process_only() {
    let Some(cache) = KernelCache::start() else {
        return skip("secrets.kernel_keyring", "add_key is not allowed here");
    };
    let name = format!("test-{}", std::process::id());
    assert!(cache.get(&name).is_none());
    assert!(cache.keep(&name, b"first", std::time::Duration::from_secs(600)));
    assert!(cache.keep(&name, &[7u8; 20_000], std::time::Duration::from_secs(600)));
    assert_eq!(cache.get(&name).unwrap().as_slice(), &[7u8; 20_000]);
    // A child has no such keyring.
    let out = Command::new("grep").args(["-c", &format!("quarterdeck:{name}"), "/proc/keys"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "0", "the key is in no keyring of a child");
    cache.forget(&name);
    assert!(cache.get(&name).is_none());
    assert!(cache.keep(&name, b"soon over", std::time::Duration::from_secs(1)));
    until_some("the kernel to forget it", || cache.get(&name).is_none().then_some(()));
}

#[test]
fn a_source_that_is_silent_is_bridged_by_the_kernel_and_one_that_answers_never_is() {
    if KernelCache::start().is_none() {
        return skip("secrets.kernel_keyring", "add_key is not allowed here");
    }
    let home = Home::new();
    let (value, script) = (home.root().join("value"), home.root().join("ask.sh"));
    std::fs::write(&script, format!("test -e {v} || exit 7\ncat {v}\n", v = value.display())).unwrap();
    let site = |cache: &str| format!("[secrets]\ntoken = {{ from = \"cmd:sh {}\"{cache} }}\n", script.display());
    home.site(&site(", cache = \"10m\"")).pipeline("keep", KEEP);
    std::fs::write(&value, "the-first-value\n").unwrap();
    home.qd(["run", "keep", "--wait"]).expect(0);
    std::fs::remove_file(&value).unwrap();
    home.qd(["run", "keep", "--wait"]).expect(0);
    std::fs::write(&value, "the-second-value\n").unwrap();
    home.qd(["run", "keep", "--wait"]).expect(0);
    let all: Vec<_> = (1..=3).map(|n| seen(&home, n).unwrap()).collect();
    assert_eq!(all, ["the-first-value", "the-first-value", "the-second-value"]);
    // Without `cache` the same silence blocks, and so does the next engine's: the memory was the process's own.
    std::fs::remove_file(&value).unwrap();
    home.qd(["engine", "stop"]).expect(0);
    home.qd(["run", "keep"]).expect(0);
    let why = blocked(&home, "keep#4");
    assert!(why.contains("exit code 7") && why.contains("; asked again at "), "{why}");
    // What `why` says to do is done.
    assert!(why.contains(&home.named("secret test token")), "{why}");
    home.qd(["secret", "test", "token"]).expect(1);
    std::fs::write(&value, "the-third-value\n").unwrap();
    home.qd(["secret", "test", "token"]).expect(0);
    until("the run to go on", || seen(&home, 4).as_deref() == Some("the-third-value"));
    let all = home.qd(["--json", "doctor"]).json()["rows"].to_string();
    assert!(all.contains("secret-cache"), "{all}");
    home.site(&site(""));
    assert!(!home.qd(["--json", "doctor"]).json()["rows"].to_string().contains("secret-cache"));
}

#[test]
fn a_secret_that_appears_across_two_writes_is_hidden() {
    let home = Home::new();
    let file = home.root().join("token");
    std::fs::write(&file, "split-in-the-middle\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    home.site(&format!("[secrets]\ntoken = \"file:{}\"\n", file.display()));
    home.pipeline(
        "split",
        "format: 1\nname: split\nsecrets: [token]\nstages:\n  - name: a\n    secrets: [token]\n    run: |\n      t=$(cat \"$QD_SECRETS_DIR/token\")\n      printf 'one %s' \"${t%-middle}\"; sleep 0.3; printf -- '-middle two\\n'\n      printf 'split-in-'; printf 'the-mid' >&2; sleep 0.3; echo 'dle three'\n",
    );
    home.qd(["run", "split", "--wait"]).expect(0);
    let log = home.qd(["log", "split#1"]).expect(0).stdout;
    assert!(log.contains("one *** two") && log.contains("*** three") && !log.contains("split-in"), "{log}");
}
