//! The command of a step made ready: script file, interpreter found, argument list, environment. Nothing is started here.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use zeroize::Zeroize;

use crate::base::crash;
use crate::domain::attempt::{Command, Spec, file};

use super::secrets::{Secret, variable_name};

/// Where programs are looked for when the step has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All that exec needs. The environment may hold secrets; it is wiped when dropped.
pub struct Ready {
    pub path: CString,
    pub argv: Vec<CString>,
    pub env: Vec<CString>,
    pub cwd: CString,
}

impl Drop for Ready {
    fn drop(&mut self) {
        std::mem::take(&mut self.env).into_iter().for_each(|v| v.into_bytes().zeroize());
    }
}

/// Prepares the command of `spec`. `InvalidInput` is the step's own fault; any other error is the machine's (a full disk).
pub fn prepare(dir: &Path, spec: &Spec, secrets_dir: &Path, secrets: &[Secret]) -> io::Result<Ready> {
    let (program, argv) = match &spec.command {
        Command::Shell { script, interpreter } => {
            let path = write_script(dir, script)?;
            let default = ["/bin/sh".to_owned(), "-eu".to_owned()];
            let words = if interpreter.is_empty() { &default[..] } else { interpreter };
            let mut argv = words.iter().map(|w| text(w, "the interpreter")).collect::<io::Result<Vec<_>>>()?;
            argv.push(text(path.as_os_str(), "the script's path")?);
            (find(&words[0], spec.env.get("PATH").map_or(DEFAULT_PATH, String::as_str)), argv)
        }
        Command::Native { kind, with } => {
            let mut argv = vec!["quarterdeck".to_owned(), "step".to_owned(), kind.clone()];
            for (key, value) in with {
                // As `steps::With` reads it: a list repeats its key, null is absent.
                let values = match value {
                    Value::Array(items) => items.as_slice(),
                    Value::Null => &[],
                    other => std::slice::from_ref(other),
                };
                for value in values {
                    argv.push("--with".to_owned());
                    argv.push(match value {
                        Value::String(s) => format!("{key}={s}"),
                        other => format!("{key}={other}"),
                    });
                }
            }
            (own_binary(), argv.iter().map(|w| text(w, "a `with` value")).collect::<io::Result<Vec<_>>>()?)
        }
    };
    let mut env: BTreeMap<&str, &[u8]> = spec.env.iter().map(|(k, v)| (k.as_str(), v.as_bytes())).collect();
    let secrets_dir = secrets_dir.as_os_str().as_bytes();
    for (name, value) in [("QD_WORKSPACE", &spec.workspace), ("QD_REPORT", &spec.report), ("QD_JOURNAL", &spec.journal)] {
        if !value.is_empty() {
            env.entry(name).or_insert(value.as_bytes());
        }
    }
    let faults: Vec<(&str, std::ffi::OsString)> = match &spec.command {
        Command::Native { .. } => crash::OF_STEPS.iter().filter_map(|n| Some((*n, std::env::var_os(n)?))).collect(),
        _ => Vec::new(),
    };
    env.extend(faults.iter().map(|(name, value)| (*name, value.as_bytes())));
    env.entry("QD_ATTEMPT_ID").or_insert(spec.attempt.as_bytes());
    env.insert("QD_SECRETS_DIR", secrets_dir);
    // Survivors are found by it: not the pipeline's to choose.
    env.insert("QD_TOKEN", spec.token.as_bytes());
    let names: Vec<(String, &[u8])> = secrets.iter().filter(|s| s.env).map(|s| (variable_name(&s.name), trim_newline(&s.value))).collect();
    env.extend(names.iter().map(|(n, v)| (n.as_str(), *v)));
    let mut list = Vec::with_capacity(env.len());
    for (name, value) in env {
        if name.is_empty() || name.contains('=') {
            return Err(bad(format!("`{name}` is no name of an environment variable")));
        }
        let mut pair = Vec::with_capacity(name.len() + value.len() + 2);
        pair.extend(name.as_bytes());
        pair.push(b'=');
        pair.extend(value);
        // The error of `CString` holds the value, which may be a secret: only the name is told.
        list.push(CString::new(pair).map_err(|e| {
            e.into_vec().zeroize();
            bad(format!("the value of the environment variable `{name}` holds a NUL byte"))
        })?);
    }
    let cwd = text(&spec.workspace, "the workspace's path")?;
    Ok(Ready { path: text(program.as_os_str(), "the program's path")?, argv, env: list, cwd })
}

/// One newline at the end, as editors leave it in files, is no part of a variable: `$(cat FILE)` drops it too.
fn trim_newline(value: &[u8]) -> &[u8] {
    value.strip_suffix(b"\n").unwrap_or(value)
}

fn text(s: impl AsRef<OsStr>, what: &str) -> io::Result<CString> {
    CString::new(s.as_ref().as_bytes()).map_err(|_| bad(format!("{what} holds a NUL byte")))
}

fn bad(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Written and closed before anything is forked: a script that is still open for writing cannot be run.
fn write_script(dir: &Path, script: &str) -> io::Result<PathBuf> {
    let path = dir.join(file::SCRIPT);
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o700).open(&path)?.write_all(script.as_bytes())?;
    Ok(path)
}

/// As `execvp`, but once and before the fork. A name that is found nowhere stays as it is, and exec says so.
fn find(name: &str, path: &str) -> PathBuf {
    if name.contains('/') {
        return PathBuf::from(name);
    }
    let runs = |p: &PathBuf| p.is_file() && rustix::fs::access(p, rustix::fs::Access::EXEC_OK).is_ok();
    path.split(':').filter(|d| d.starts_with('/')).map(|d| Path::new(d).join(name)).find(runs).unwrap_or_else(|| PathBuf::from(name))
}

/// The binary that this process runs, also after an upgrade has replaced the file.
fn own_binary() -> PathBuf {
    match std::env::current_exe() {
        Ok(p) if p.exists() => p,
        _ => PathBuf::from("/proc/self/exe"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn spec(command: serde_json::Value) -> Spec {
        serde_json::from_value(serde_json::json!({
            "format": 1, "attempt": "a1", "token": "t", "fence": 1, "epoch": 1, "run": "p#1", "stage": "s", "step": "x", "attempt_number": 1,
            "command": command, "workspace": "/", "env": {"PATH": "/bin", "QD_TOKEN": "forged", "A": "1"}, "report": "/r", "journal": "",
            "boot_id": "b", "grace_ms": 1, "log": {"max_bytes": 1}
        }))
        .unwrap()
    }

    fn words(list: &[CString]) -> Vec<&str> {
        list.iter().map(|c| c.to_str().unwrap()).collect()
    }

    #[test]
    fn a_script_becomes_a_file_and_the_environment_is_exactly_what_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let s = spec(serde_json::json!({"type": "shell", "script": "echo", "interpreter": ["sh", "-eu"]}));
        let secret = |env| Secret { name: "a-key".into(), env, value: Zeroizing::new(b"value\n".to_vec()) };
        let r = prepare(dir.path(), &s, Path::new("/dev/shm/x"), &[secret(true)]).unwrap();
        assert_eq!(r.path.to_str().unwrap(), "/bin/sh");
        assert_eq!(words(&r.argv), ["sh", "-eu", dir.path().join("script").to_str().unwrap()]);
        assert_eq!(
            words(&r.env),
            [
                "A=1",
                "A_KEY=value",
                "PATH=/bin",
                "QD_ATTEMPT_ID=a1",
                "QD_REPORT=/r",
                "QD_SECRETS_DIR=/dev/shm/x",
                "QD_TOKEN=t",
                "QD_WORKSPACE=/"
            ]
        );
        let r = prepare(dir.path(), &s, Path::new("/dev/shm/x"), &[secret(false)]).unwrap();
        assert!(!words(&r.env).iter().any(|v| v.contains("value")));
    }

    #[test]
    fn native_steps_get_their_values_as_arguments() {
        let s = spec(
            serde_json::json!({"type": "native", "kind": "mirror/sync", "with": {"url": "http://x/a=b", "n": 3, "l": ["a", "b"], "absent": null}}),
        );
        let r = prepare(Path::new("/nonexistent"), &s, Path::new("/s"), &[]).unwrap();
        assert_eq!(
            words(&r.argv),
            ["quarterdeck", "step", "mirror/sync", "--with", "url=http://x/a=b", "--with", "n=3", "--with", "l=a", "--with", "l=b"]
        );
    }

    #[test]
    fn nul_bytes_and_bad_names_are_refused_without_telling_values() {
        let dir = tempfile::tempdir().unwrap();
        let mut s = spec(serde_json::json!({"type": "shell", "script": "", "interpreter": []}));
        s.env.insert("B".into(), "hush\0hush".into());
        let e = prepare(dir.path(), &s, Path::new("/s"), &[]).err().unwrap();
        assert!(e.kind() == io::ErrorKind::InvalidInput && e.to_string().contains("`B`") && !e.to_string().contains("hush"), "{e}");
        s.env.remove("B");
        s.env.insert("B=".into(), String::new());
        assert!(prepare(dir.path(), &s, Path::new("/s"), &[]).is_err());
    }
}
