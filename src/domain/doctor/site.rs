//! Checks of the site: its files, its engine, its secrets, its far ends.

use super::{Row, State};
use crate::domain::freshness::Light;

/// Configuration: what is wrong with the site file, or none. `help` is that error's own.
pub fn configuration(place: &str, exists: bool, error: Option<(&str, &str)>) -> Row {
    match error {
        Some((why, help)) => Row::new("configuration", State::Fail, why, help),
        None if !exists => Row::new(
            "configuration",
            State::Warn,
            format!("no site file at {place}: every default holds"),
            "quarterdeck site init writes one",
        ),
        None => Row::ok("configuration", format!("{place}: sound, and nobody else can change it")),
    }
}

/// A command of the site file by which people are told.
pub fn command(name: &str, program: &str, there: bool) -> Row {
    if there {
        return Row::ok(name, format!("{program} is there"));
    }
    Row::new(
        name,
        State::Fail,
        format!("{program} is no program that can be run: nobody would be told"),
        format!("install it or make it executable, or correct [{}] command in site.toml", name.replace(' ', ".")),
    )
}

/// A pipeline with errors or warnings; the first one is shown.
pub fn pipeline(name: &str, errors: usize, warnings: usize, first: &str) -> Row {
    let (state, n, what) = if errors > 0 { (State::Fail, errors, "error") } else { (State::Warn, warnings, "warning") };
    let s = if n == 1 { "" } else { "s" };
    Row::new(format!("pipeline {name}"), state, format!("{n} {what}{s}: {first}"), format!("quarterdeck pipeline lint {name}"))
}

/// The rest of them.
pub fn pipelines_fine(n: usize, total: usize) -> Row {
    match total {
        0 => Row::new(
            "pipelines",
            State::Warn,
            "the site has none: nothing can run",
            "quarterdeck site init copies those that come with this version",
        ),
        _ => Row::ok("pipelines", format!("{n} of {total} without errors and warnings")),
    }
}

/// The repositories that are looked at: name, light and words of each.
pub fn mirrors(all: &[(String, Light, String)]) -> Vec<Row> {
    let mut out: Vec<Row> = Vec::new();
    for (name, light, words) in all.iter().filter(|(_, l, _)| *l != Light::Good) {
        let state = if *light == Light::Unknown { State::Unknown } else { State::Warn };
        out.push(Row::new(format!("mirror {name}"), state, words.clone(), format!("quarterdeck why {name}")));
    }
    let good = all.len() - out.len();
    if good > 0 {
        out.insert(0, Row::ok("mirrors", format!("{good} of {} repositories are as they should be", all.len())));
    }
    out
}

/// What lies at the socket's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketState {
    Absent,
    /// A file that is no socket, or somebody else's socket: nothing was sent.
    Refused(String),
    /// Its mode keeps us out; `help` says who would let us in.
    Closed {
        why: String,
        help: String,
    },
    /// It is there, and nobody answers as an engine should.
    Silent(String),
    /// An engine was there, and would not talk to us.
    Denied(String),
    Answers,
}

#[derive(Debug, Clone)]
pub struct SocketFacts {
    pub path: String,
    pub shared: bool,
    pub state: SocketState,
}

pub fn socket(f: &SocketFacts) -> Row {
    let path = &f.path;
    let fail = |found: String, help: &str| Row::new("socket", State::Fail, found, help);
    match &f.state {
        SocketState::Answers => Row::ok("socket", format!("{path} answers")),
        SocketState::Absent if f.shared => {
            fail(format!("no engine listens at {path}"), "the site file names it, so none is started here: systemctl status quarterdeck")
        }
        SocketState::Absent => Row::ok("socket", "no engine runs; the next command that needs one starts it"),
        SocketState::Closed { why, help } => fail(why.clone(), help),
        SocketState::Refused(why) => fail(why.clone(), "check --state-dir, or [engine] socket in site.toml"),
        SocketState::Silent(why) => fail(why.clone(), "look at STATE/logs; `quarterdeck engine stop`, or end its pid: its steps go on"),
        SocketState::Denied(why) => fail(why.clone(), "ask an admin of the site to add you under [roles] in site.toml"),
    }
}

/// What a running engine said.
#[derive(Debug, Clone, Default)]
pub struct EngineFacts {
    pub version: String,
    pub pid: u32,
    pub site_error: String,
    pub draining: bool,
}

/// The engine beside this program; none = none runs.
pub fn engine(f: Option<&EngineFacts>, own: &str) -> Row {
    let Some(f) = f else { return Row::ok("engine", format!("none runs; this program is {own}")) };
    let at = format!("{} runs, pid {}", f.version, f.pid);
    if !f.site_error.is_empty() {
        let first = f.site_error.lines().next().unwrap_or_default();
        return Row::new("engine", State::Fail, format!("{at}, and can change nothing: {first}"), "see configuration");
    }
    if f.version != own {
        let help = "quarterdeck engine stop, then any command: steps that run go on, and the new engine takes them over";
        return Row::new("engine", State::Warn, format!("{at}; this program is {own}"), help);
    }
    if f.draining {
        return Row::new("engine", State::Warn, format!("{at}, drained: nothing new starts"), "quarterdeck engine drain --off");
    }
    Row::ok("engine", at)
}

/// A secret: whether it can be had, never what it is.
pub fn secret(name: &str, by_engine: bool, error: Option<&str>) -> Row {
    let who = if by_engine { "the engine" } else { "this command (no engine runs)" };
    match error {
        None => Row::ok(format!("secret {name}"), format!("{who} can have it")),
        Some(why) => Row::new(
            format!("secret {name}"),
            State::Fail,
            why,
            format!("quarterdeck secret get {name} shows where it comes from; steps that need it wait"),
        ),
    }
}

/// Whether the kernel keeps values for a process; asked where a secret wants it.
pub fn secret_cache(works: bool) -> Row {
    match works {
        true => Row::ok("secret-cache", "the kernel keeps keys for a process"),
        false => Row::new(
            "secret-cache",
            State::Warn,
            "the kernel keeps no keys for this process, so `cache` of secrets has no effect",
            "allow add_key and keyctl where a container's seccomp profile forbids them, or leave `cache` out",
        ),
    }
}

/// How an upstream or replica answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FarFacts {
    /// Without passwords.
    pub url: String,
    /// Who names it, such as `repository base`.
    pub named_by: String,
    pub tls: bool,
    pub answer: Far,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Far {
    Fine,
    /// HTTP said this.
    Status(u16),
    Unreachable(String),
    /// Why, and what to do: whoever speaks TLS knows both.
    Certificate {
        why: String,
        next: String,
    },
}

pub fn far_end(f: &FarFacts) -> Row {
    let check = format!("far-end {}", f.url);
    let fail = |found: String, help: String| Row::new(check.clone(), State::Fail, found, help);
    let by = &f.named_by;
    match &f.answer {
        Far::Fine if f.tls => Row::ok(check, "answers, and its certificate is good"),
        Far::Fine => Row::ok(check, "answers"),
        Far::Status(404) => {
            fail(format!("answers, but has no repodata/repomd.xml there ({by})"), format!("correct the address of {by} in site.toml"))
        }
        Far::Status(s @ (401 | 403)) => {
            fail(format!("HTTP {s}: this host or its credentials may not read it ({by})"), "ask its operator".into())
        }
        Far::Status(s) => fail(format!("HTTP {s} ({by})"), "its server is in trouble, or a proxy stands between: try it with curl".into()),
        Far::Unreachable(why) => fail(format!("{why} ({by})"), "check name, network and proxy of this host: curl -v the address".into()),
        Far::Certificate { why, next } => fail(format!("{why} ({by})"), next.clone()),
    }
}
