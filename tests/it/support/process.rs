//! Processes of one test: started, read line by line, found by a path that only this test knows, and killed by pid.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Instant;

use super::wait::LIMIT;

/// SIGKILL to one pid; a process that is gone already is fine.
pub fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// True while any thread of `pid` lives. A leader that is a zombie proves nothing: its other threads may still hold locks and files.
pub fn alive(pid: i32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let leader_is_dead = stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']));
    !leader_is_dead || std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|tasks| tasks.count() > 1)
}

/// Command line of `pid`, arguments separated by one space; empty for a zombie or a stranger.
pub fn command_line(pid: i32) -> String {
    let raw = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw).replace('\0', " ").trim_end().to_owned()
}

/// Living processes, this one excepted, whose command line or environment holds `mark`. A mark must be unique to the
/// caller, such as the path of its temporary directory.
pub fn processes_with(mark: &str) -> Vec<i32> {
    assert!(mark.len() >= 8, "a mark of `{mark}` could match a stranger");
    let own = std::process::id() as i32;
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|e| e.file_name().to_str().and_then(|n| n.parse::<i32>().ok()))
        .filter(|pid| *pid != own && alive(*pid))
        .filter(|pid| ["cmdline", "environ"].iter().any(|f| holds(&std::fs::read(format!("/proc/{pid}/{f}")).unwrap_or_default(), mark)))
        .collect()
}

fn holds(bytes: &[u8], mark: &str) -> bool {
    memchr::memmem::find(bytes, mark.as_bytes()).is_some()
}

/// Kills every process that carries `mark`, again until none is left.
pub fn kill_all_with(mark: &str) {
    let start = Instant::now();
    loop {
        let pids = processes_with(mark);
        if pids.is_empty() || start.elapsed() > LIMIT {
            return;
        }
        pids.into_iter().for_each(kill);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// A program in the foreground whose standard output is read as lines. Killed when dropped.
#[derive(Debug)]
pub struct Foreground {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Foreground {
    /// Starts `command`; standard error goes where the test's goes.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let out = child.stdout.take().expect("stdout is piped");
        let (tx, lines) = sync_channel(10_000);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if tx.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// The next line that `wanted` accepts; panics when the program ends before, or says nothing fitting within the limit.
    pub fn line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            match self.lines.recv_timeout(LIMIT.saturating_sub(start.elapsed())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if wanted(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => panic!("the program ended first; it printed:\n{}", self.seen.join("\n")),
                Err(RecvTimeoutError::Timeout) => panic!("no such line; it printed:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// Waits for its own end; panics after the limit.
    pub fn wait(&mut self) -> ExitStatus {
        super::wait::until_some("the program to end", || self.child.try_wait().expect("it is our child"))
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
