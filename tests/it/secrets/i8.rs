//! I8: a declared secret is planted in every channel that a step has, and is afterwards in no file, row, argument, environment or answer.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{Home, until, until_some};

const VALUE: &str = "pl4nted-Hunter2/value+x";
/// The same in base64, whole and behind one and two other bytes, without the ends that depend on what stands beside it.
const BASE64: [&str; 3] = ["cGw0bnRlZC1IdW50ZXIyL3ZhbHVlK", "bDRudGVkLUh1bnRlcjIvdmFsdWUr", "w0bnRlZC1IdW50ZXIyL3ZhbHVl"];

/// No file below the state directory holds it, but those with these names.
#[track_caller]
pub fn assert_nowhere(home: &Home, needle: &str, but: &[&str]) {
    let mut looked = 0;
    let mut todo = vec![home.state()];
    while let Some(path) = todo.pop() {
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if meta.is_file() && !but.iter().any(|b| path.ends_with(b)) {
            looked += 1;
            let bytes = std::fs::read(&path).unwrap();
            assert!(memchr::memmem::find(&bytes, needle.as_bytes()).is_none(), "{needle} in {}", path.display());
        }
    }
    assert!(looked > 5, "{looked} files");
}

/// argv and environment of everything that this home runs, but for the step itself, which must have it.
fn processes_hold(home: &Home, needle: &str) -> Vec<String> {
    crate::support::processes_with(&home.root().to_string_lossy())
        .into_iter()
        .flat_map(|pid| ["cmdline", "environ"].map(|f| (pid, f)))
        .filter(|(pid, f)| {
            let holds = |f: &str, what: &str| {
                memchr::memmem::find(&std::fs::read(format!("/proc/{pid}/{f}")).unwrap_or_default(), what.as_bytes()).is_some()
            };
            // What the step starts has its environment, which the pipeline asked for; its arguments are judged like any other's.
            holds(f, needle) && !(*f == "environ" && holds(f, "QD_ATTEMPT_ID="))
        })
        .map(|(pid, f)| format!("{pid} {f}: {}", crate::support::process::command_line(pid)))
        .collect()
}

/// Everything that a step can write to, with the secret in it.
const PLANT: &str = r#"format: 1
name: plant
description: every channel
secrets: [{name: token, env: true}, shadow]
stages:
  - name: plant
    secrets: [{name: token, env: true}, shadow]
    run: |
      v=$(cat "$QD_SECRETS_DIR/token")
      echo "out $v"; echo "err $v" >&2
      printf '%s' "$v" | base64 -w0; echo
      printf 'x%s' "$v" | base64 -w0; echo
      printf 'xy%s' "$v" | base64 -w0; echo
      printf '%s' "$v" | od -An -tx1 -v | tr -d ' \n'; echo
      for line in '{"type":"detail","text":"V"}' '{"type":"progress","done":1,"total":2,"unit":"V","text":"V"}' \
        '{"type":"output","name":"leak","value":"V"}' '{"type":"fact","kind":"V","value":"V"}' \
        '{"type":"artifact","path":"V","sha256":"V"}' '{"type":"intent","key":"V"}' '{"type":"remote","system":"V","kind":"V","id":"V"}' \
        '{"type":"refresh","source":"V","scope":"V"}' 'no json V'; do
        printf '%s\n' "$line" | sed "s|V|$v|g" >> "$QD_REPORT"
      done
      echo "$v" >> "$QD_JOURNAL"
      touch "$QD_WORKSPACE/up"; while [ ! -e "$QD_WORKSPACE/go" ]; do sleep 0.05; done
      echo "out again $v"
      exit 3
"#;

fn workspace(home: &Home) -> Option<std::path::PathBuf> {
    let mut todo = vec![home.state()];
    while let Some(dir) = todo.pop() {
        for e in std::fs::read_dir(dir).ok()?.flatten() {
            if e.file_name() == "up" {
                return Some(e.path().parent()?.to_owned());
            }
            if e.file_type().is_ok_and(|t| t.is_dir()) {
                todo.push(e.path());
            }
        }
    }
    None
}

fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn i8_a_declared_secret_planted_in_every_channel_is_found_in_none() {
    let home = Home::new();
    let (source, shadow, told) = (home.root().join("token"), home.root().join("shadow"), home.root().join("told"));
    private(&source, VALUE);
    private(&shadow, "another-0ne\n");
    let script = home.root().join("tell.sh");
    private(&script, &format!("env > {0}.new; echo \"$@\" >> {0}.new; cat /proc/$$/cmdline >> {0}.new; mv {0}.new {0}\n", told.display()));
    home.site(&format!(
        "[secrets]\ntoken = \"file:{}\"\nshadow = \"file:{}\"\n[on_failure]\ncommand = \"sh {}\"\n",
        source.display(),
        shadow.display(),
        script.display()
    ));
    home.pipeline("plant", PLANT);
    home.qd(["--log-level", "trace", "engine", "start"]).expect(0);
    home.qd(["run", "plant"]).expect(0);
    let ws = until_some("the step", || workspace(&home));
    let spec = std::fs::read(home.state().join("runs/plant/1/attempts/0.0.0-1/spec.json")).unwrap();
    let spec: serde_json::Value = serde_json::from_slice(&spec).unwrap();
    let token = spec["token"].as_str().unwrap().to_owned();
    // Neither the engine nor the supervisor writes its memory to a core file.
    let engine = home.json(&["engine", "status"])["pid"].as_i64().unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{engine}/limits")).unwrap();
    let core = limits.lines().find(|l| l.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["1", "1"], "{core}");
    // While it runs: processes, and what is on the disk already (also in the write-ahead log).
    assert_eq!(processes_hold(&home, VALUE), Vec::<String>::new());
    assert_nowhere(&home, "another-0ne", &[]);
    let wal = std::fs::read_dir(home.state()).unwrap().flatten().any(|e| e.file_name().to_string_lossy().ends_with("-wal"));
    assert!(wal, "the write-ahead log is there to be looked at");
    for e in std::fs::read_dir(home.state()).unwrap().flatten().filter(|e| e.path().is_file()) {
        let bytes = std::fs::read(e.path()).unwrap();
        assert!(memchr::memmem::find(&bytes, VALUE.as_bytes()).is_none(), "{}", e.path().display());
    }
    let why = home.qd(["--json", "why", "plant#1"]).stdout;
    let log = home.qd(["log", "plant#1"]).expect(0).stdout;
    std::fs::write(ws.join("go"), "").unwrap();
    until("its end", || home.json(&["get", "runs"])["rows"][0]["state"] == "done");
    until("the site's command", || told.exists());
    // Answers of every kind.
    let mut said = why + &log + &std::fs::read_to_string(&told).unwrap();
    for args in [
        &["get", "runs"][..],
        &["get", "audit"],
        &["get", "queue"],
        &["get", "decisions"],
        &["why", "plant#1"],
        &["log", "plant#1", "--timestamps"],
        &["secret", "list"],
        &["secret", "get", "token"],
        &["secret", "test"],
    ] {
        said += &home.qd(args).stdout;
        said += &home.qd(std::iter::once(&"--json").chain(args)).stdout;
    }
    // The engine dies with everything in its memory; the next one takes the leavings up.
    let pid = home.json(&["engine", "status"])["pid"].as_i64().unwrap() as i32;
    crate::support::kill(pid);
    until("the engine to be gone", || !crate::support::alive(pid));
    home.qd(["get", "runs"]).expect(0);
    for needle in [VALUE, "Hunter2", BASE64[0], BASE64[1], BASE64[2], "706c346e7465642d48756e74657232"] {
        assert!(!said.contains(needle), "{needle}: {said}");
        assert_nowhere(&home, needle, &[]);
    }
    assert!(log.contains("out ***") && log.contains("err ***"), "{log}");
    home.qd(["engine", "stop"]).expect(0);
    assert_nowhere(&home, VALUE, &[]);
    // Nothing is left where secrets were laid out for the step.
    for place in [PathBuf::from("/dev/shm"), PathBuf::from(format!("/run/user/{}", rustix::process::getuid().as_raw()))] {
        assert!(!place.join(format!("quarterdeck-{token}")).exists(), "{}", place.display());
    }
}
