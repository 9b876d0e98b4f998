//! Secrets from a command (`pass`, `op`, `vault`): argv without a shell, ten seconds, the first line of its output.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::{Kind, MAX_BYTES, SecretError, fit};

/// After this the command and its group are killed.
pub const LIMIT: Duration = Duration::from_secs(10);

/// What a program answered. No code = a signal ended it.
pub struct Answer {
    pub code: Option<i32>,
    pub signal: i32,
    /// Its standard output, a little more than a value may have at most.
    pub value: Zeroizing<Vec<u8>>,
}

/// Why a program gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    Missing,
    TimedOut,
    Other(String),
}

/// Runs a program in a group of its own, writes `input` to it where there is any, and takes its output. What it says on standard error
/// is for its own log, not for ours: such programs print tokens there.
pub fn converse(mut command: Command, input: Option<&[u8]>, limit: Duration) -> Result<Answer, Trouble> {
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Trouble::Missing,
        _ => Trouble::Other(format!("cannot be started: {e}")),
    })?;
    let Some(stdout) = child.stdout.take() else { return Err(Trouble::Other("has no output".into())) };
    // Both ends go with the pipes; after a timeout the whole group is gone, and the pipes with it.
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        let input = Zeroizing::new(input.to_vec());
        std::thread::spawn(move || drop(pipe.write_all(&input)));
    }
    let (send, chunks) = mpsc::sync_channel(4);
    std::thread::spawn(move || pump(stdout, &send));
    // Of its full size from the start: no copy of a secret is left behind where it grew.
    let mut value = Zeroizing::new(Vec::with_capacity(MOST));
    let (started, mut exited) = (Instant::now(), None);
    let status = loop {
        let trouble = match chunks.recv_timeout(LOOK) {
            Ok(Ok(chunk)) => {
                value.extend_from_slice(&chunk);
                continue;
            }
            Ok(Err(e)) => Some(Trouble::Other(format!("cannot be read: {e}"))),
            Err(mpsc::RecvTimeoutError::Disconnected) => break wait(&mut child, started, limit).ok_or(Trouble::TimedOut)?,
            Err(mpsc::RecvTimeoutError::Timeout) => (started.elapsed() >= limit).then_some(Trouble::TimedOut),
        };
        if let Some(trouble) = trouble {
            end(&mut child);
            return Err(trouble);
        }
        exited = exited.or_else(|| has_ended(&child).then(Instant::now));
        if exited.is_some_and(|at| at.elapsed() >= DRAIN) {
            end(&mut child);
            break child.wait().map_err(|e| Trouble::Other(format!("cannot be waited for: {e}")))?;
        }
    };
    Ok(Answer { code: status.code(), signal: status.signal().unwrap_or(0), value })
}

/// What is read of a program at most: more than a value may have, so that this shows.
const MOST: usize = MAX_BYTES + 2;
/// Between two looks whether a silent program has ended.
const LOOK: Duration = Duration::from_millis(50);
/// An agent that the program started may keep the output open for ever: what came so long after the program's own end is all.
const DRAIN: Duration = Duration::from_secs(1);

fn pump(mut from: impl Read, to: &mpsc::SyncSender<std::io::Result<Zeroizing<Vec<u8>>>>) {
    let mut left = MOST;
    while left > 0 {
        let mut chunk = Zeroizing::new(vec![0; left.min(4096)]);
        match from.read(&mut chunk) {
            Ok(0) => return,
            Ok(n) => {
                left -= n;
                chunk.truncate(n);
                if to.send(Ok(chunk)).is_err() {
                    return;
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return drop(to.send(Err(e))),
        }
    }
}

/// Looks without reaping: until that its number is its own, and so is its group's.
fn has_ended(child: &Child) -> bool {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return false };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::Pid(pid), options), Ok(Some(_)))
}

/// Runs `argv` and takes the first line of its standard output.
pub fn read(name: &str, argv: &[String], limit: Duration) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let program = argv.first().cloned().unwrap_or_default();
    let refuse = |kind, why: String| SecretError::new(name, kind, format!("command `{program}` {why}"));
    let mut command = Command::new(&program);
    command.args(argv.iter().skip(1));
    let answer = converse(command, None, limit).map_err(|trouble| match trouble {
        Trouble::Missing => refuse(Kind::Unfit, "was not found: write its whole path, or look at the engine's PATH".into()),
        Trouble::TimedOut => {
            let limit = limit.as_secs_f32();
            refuse(Kind::Silent, format!("gave no answer within {limit} s: is it waiting for a password or a person?"))
        }
        Trouble::Other(why) => refuse(Kind::Silent, why),
    })?;
    if answer.value.len() > MAX_BYTES {
        return Err(refuse(
            Kind::Unfit,
            format!("prints more than {} KiB: its first line is the value, and this is no credential", MAX_BYTES >> 10),
        ));
    }
    if answer.code != Some(0) {
        let how = match answer.code {
            Some(code) => format!("ended with exit code {code}"),
            None => format!("was ended by signal {}", answer.signal),
        };
        return Err(refuse(Kind::Silent, format!("{how}; run it by hand to see why: its own messages are not shown here")));
    }
    let line = answer.value.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    fit(name, Zeroizing::new(line.to_vec()))
}

/// Waits for the end; a program that closed its output and stays is killed at the limit.
fn wait(child: &mut Child, started: Instant, limit: Duration) -> Option<ExitStatus> {
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if started.elapsed() < limit => std::thread::sleep(pause),
            _ => {
                end(child);
                return None;
            }
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Kills the command's process group and reaps the leader.
fn end(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(argv: &[&str], limit: Duration) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let argv: Vec<String> = argv.iter().map(|s| (*s).to_owned()).collect();
        read("t", &argv, limit)
    }

    #[test]
    fn the_first_line_is_the_value_and_no_shell_is_involved() {
        assert_eq!(run(&["printf", "s3cret-value\r\nuser: me\n"], LIMIT).unwrap().as_slice(), b"s3cret-value");
        assert_eq!(run(&["echo", "$HOME;id"], LIMIT).unwrap().as_slice(), b"$HOME;id");
    }

    #[test]
    fn failures_say_what_happened_but_not_what_was_printed() {
        let text = run(&["sh", "-c", "echo s3cret-value; echo s3cret-error >&2; exit 3"], LIMIT).unwrap_err().to_string();
        assert!(text.contains("exit code 3") && !text.contains("s3cret"), "{text}");
        assert!(run(&["/nonexistent/pass"], LIMIT).unwrap_err().to_string().contains("was not found"));
        assert!(run(&["true"], LIMIT).unwrap_err().to_string().contains("empty"));
        assert!(run(&["sh", "-c", "kill -9 $$"], LIMIT).unwrap_err().to_string().contains("signal 9"));
        for flood in ["head -c 200000 /dev/zero | tr '\\0' x", "cat /dev/zero"] {
            assert!(run(&["sh", "-c", flood], LIMIT).unwrap_err().to_string().contains("more than 64 KiB"), "{flood}");
        }
    }

    #[test]
    fn an_agent_that_keeps_the_output_open_holds_nothing_up() {
        let value = run(&["sh", "-c", "sleep 1000 & echo s3cret-value"], Duration::from_secs(600)).unwrap();
        assert_eq!(value.as_slice(), b"s3cret-value");
    }

    #[test]
    fn a_command_that_waits_for_ever_is_ended_with_its_children() {
        let text = run(&["sh", "-c", "sleep 1000 & sleep 1000"], Duration::from_millis(200)).unwrap_err().to_string();
        assert!(text.contains("no answer within 0.2 s"), "{text}");
        let text = run(&["sh", "-c", "exec >&-; sleep 1000"], Duration::from_millis(200)).unwrap_err().to_string();
        assert!(text.contains("no answer"), "{text}");
    }
}
