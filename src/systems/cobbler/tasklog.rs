//! A task's log, cut to the lines of its own thread: the server mixes in what every other request does meanwhile.
//!
//! Lines are `[thread] time - LEVEL | text`, and a task's thread bears the task's id. What a child process wrote follows without a prefix,
//! at once when the child ends.

use crate::base::{redact, sanitise};

/// One line is shown no longer than this.
const LONGEST: usize = 2_000;

/// How a task says that it ended. Success means no more than that nothing was raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Complete,
    Failed,
}

/// What a log of a reposync says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskLog {
    /// Its own lines, without the prefix, safe to show.
    pub lines: Vec<String>,
    /// Repositories whose sync began, in order; the ones still to come are not told.
    pub repos: Vec<String>,
    /// It works on every repository that is kept updated.
    pub all: bool,
    pub ended: Option<Ended>,
    /// The last words that something was wrong.
    pub trouble: Option<String>,
    /// Repositories that were begun and at which nothing was done: Cobbler knows no such repository, or does not mirror it.
    pub untouched: Vec<String>,
}

/// The lines of the task `id`, with their continuation lines; each is the text behind the prefix, and whether it began with one.
pub fn own_lines<'t>(id: &str, log: &'t str) -> Vec<(bool, &'t str)> {
    let prefix = format!("[{id}] ");
    let mut own = false;
    let mut out = Vec::new();
    for line in log.lines() {
        if let Some(rest) = line.strip_prefix(&prefix) {
            own = true;
            out.push((true, rest.split_once(" | ").map_or(rest, |(_, text)| text)));
        } else if is_prefixed(line) {
            own = false;
        } else if own {
            out.push((false, line));
        }
    }
    out
}

/// `[thread] 2026-11-22 03:47:23,630 - LEVEL | …`, of whatever thread. What `dnf` prints may begin with a bracket as well.
fn is_prefixed(line: &str) -> bool {
    let Some((_, rest)) = line.strip_prefix('[').and_then(|l| l.split_once("] ")) else { return false };
    let Some((stamp, tail)) = rest.split_at_checked(23) else { return false };
    let shape = "dddd-dd-dd dd:dd:dd,ddd";
    stamp.chars().zip(shape.chars()).all(|(c, s)| if s == 'd' { c.is_ascii_digit() } else { c == s }) && tail.starts_with(" - ")
}

/// Reads the log of a reposync.
pub fn read_log(id: &str, log: &str) -> TaskLog {
    let mut out = TaskLog::default();
    let mut worked = true;
    for (began, text) in own_lines(id, log) {
        if began {
            if let Some(args) = text.strip_prefix("reposync; ") {
                untouched(&mut out, worked);
                worked = false;
                match args.strip_prefix("['").and_then(|a| a.strip_suffix("']")) {
                    Some(name) => out.repos.push(sanitise::cell(name)),
                    None => out.all = true,
                }
            } else if text.starts_with("running: ") || text.contains(" is set to not be updated") {
                worked = true;
            }
            match text {
                "### TASK COMPLETE ###" => out.ended = Some(Ended::Complete),
                "### TASK FAILED ###" => out.ended = Some(Ended::Failed),
                _ => {}
            }
            // The outer exception only says that there was an inner one.
            if let Some(value) = text.strip_prefix("Exception value: ")
                && !(out.trouble.is_some() && value.contains("at least one repo failed"))
            {
                out.trouble = Some(clean(value.trim_matches(['\'', '"'])));
            }
        }
        if !text.trim().is_empty() {
            out.lines.push(clean(text.strip_prefix("received on stdout: ").unwrap_or(text)));
        }
    }
    if out.ended.is_some() {
        untouched(&mut out, worked);
    }
    out
}

fn untouched(out: &mut TaskLog, worked: bool) {
    if !worked && let Some(last) = out.repos.last() {
        out.untouched.push(last.clone());
    }
}

fn clean(text: &str) -> String {
    let cut: String = text.trim_end().chars().take(LONGEST).collect();
    sanitise::cell(&redact::text(&cut))
}
