//! What a shell itself says of a script: `-n` reads and runs nothing. Machines without the shell lint without it.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::pipeline::lint::shell::{Fault, Script};

/// A shell that takes longer says nothing.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of complaints that are read; the first line is enough.
const MOST: u64 = 16 << 10;

/// The shells that are asked, by these names on the PATH: a file says which language its script is in, never which program lint starts.
const SHELLS: [&str; 4] = ["sh", "bash", "dash", "ksh"];

/// What is wrong with the script, at most one thing.
pub fn shell_check(script: &Script) -> Vec<Fault> {
    let named = script.interpreter.first().map_or("sh", String::as_str);
    let base = named.rsplit('/').next().unwrap_or(named);
    let Some(shell) = SHELLS.iter().find(|s| **s == base) else { return Vec::new() };
    let mut command = Command::new(shell);
    command.arg("-n").env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let Ok(child) = command.spawn() else { return Vec::new() };
    match answer(child, script.text.clone(), PATIENCE) {
        Some((status, said)) if !status.success() => said.lines().filter_map(complaint).take(1).collect(),
        _ => Vec::new(),
    }
}

/// How the shell ended on this text, and what it wrote; none where it did not end in time.
fn answer(mut child: Child, text: String, patience: Duration) -> Option<(ExitStatus, String)> {
    let until = Instant::now() + patience;
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    // Fed beside the reading: a shell that complains early must not block us.
    thread::spawn(move || {
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(text.as_bytes());
        }
    });
    let (tell, said) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stderr) = stderr {
            let _ = stderr.take(MOST).read_to_end(&mut bytes);
        }
        let _ = tell.send(bytes);
    });
    let bytes = said.recv_timeout(patience).ok();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(2)),
            _ => break None,
        }
    };
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    Some((status?, String::from_utf8_lossy(&bytes?).into_owned()))
}

/// `bash: line 3: syntax error …`, `sh: 3: Syntax error: …`.
fn complaint(line: &str) -> Option<Fault> {
    let mut rest = line.split_once(": ")?.1;
    rest = rest.strip_prefix("line ").unwrap_or(rest);
    let (number, message) = rest.split_once(": ")?;
    Some(Fault { line: number.trim().parse().ok()?, message: message.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(interpreter: &str, text: &str) -> Script {
        Script { interpreter: vec![interpreter.into()], text: text.into() }
    }

    #[test]
    fn a_shell_s_complaint_has_its_line() {
        assert_eq!(complaint("bash: line 3: syntax error near unexpected token `done'").map(|f| f.line), Some(3));
        assert_eq!(
            complaint("sh: 2: Syntax error: end of file unexpected").map(|f| f.message),
            Some("Syntax error: end of file unexpected".into())
        );
        assert_eq!(complaint("noise"), None);
        assert!(!shell_check(&script("sh", "echo a\nif true; then\n")).is_empty());
        assert!(shell_check(&script("sh", "echo a\n")).is_empty());
    }

    #[test]
    fn a_file_never_chooses_the_program_that_lint_starts() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (trap, mark) = (dir.path().join("sh"), dir.path().join("ran"));
        std::fs::write(&trap, format!("#!/bin/sh\n: > {}\nexit 2\n", mark.display())).unwrap();
        std::fs::set_permissions(&trap, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(!shell_check(&script(&trap.to_string_lossy(), "if true; then\n")).is_empty(), "the language is known by the name");
        assert!(!mark.exists());
        assert!(shell_check(&script("/usr/bin/python3", "def f(:\n")).is_empty());
    }

    #[test]
    fn a_shell_that_does_not_end_is_not_waited_for() {
        let child = |text: &str| {
            Command::new("sh").args(["-c", text]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let brief = Duration::from_millis(100);
        assert!(answer(child("exec sleep 600"), String::new(), brief).is_none());
        assert!(answer(child("exec sleep 600 2>&-"), "x".repeat(1 << 20), brief).is_none(), "nor one that reads nothing and says nothing");
        let (status, said) = answer(child("cat; echo x >&2; exit 3"), "y".repeat(1 << 20), Duration::from_secs(60)).unwrap();
        assert_eq!((status.code(), said.as_str()), (Some(3), "x\n"));
    }
}
