//! The pipeline file as the converter builds it, and its text: YAML that our own reader takes back as it was meant.

use std::fmt::Write as _;

/// Name and template or value.
pub type Pairs = Vec<(String, String)>;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    pub name: String,
    pub comments: Vec<String>,
    pub action: Action,
    pub env: Pairs,
    pub secrets: Vec<Secret>,
    pub artifacts: Vec<Artifact>,
    /// Seconds.
    pub timeout: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    Run { script: String, interpreter: Option<String> },
    Uses { kind: &'static str, with: Pairs },
}

impl Default for Action {
    fn default() -> Self {
        Self::Run { script: String::new(), interpreter: None }
    }
}

/// A secret that a step asks for. One that the site lacks stands in the file as a comment, or lint would refuse the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    pub name: String,
    pub known: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    pub path: String,
    pub junit: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stage {
    pub name: String,
    pub comments: Vec<String>,
    /// `None`: the stage above.
    pub needs: Option<Vec<String>>,
    pub when: Option<String>,
    pub matrix: Option<Matrix>,
    pub retry: Option<u64>,
    /// Seconds.
    pub timeout: Option<u64>,
    pub locks: Vec<String>,
    pub allow_failure: bool,
    pub env: Pairs,
    pub approve: Option<Pairs>,
    /// Instead of steps.
    pub build: Option<Build>,
    pub steps: Vec<Step>,
    pub post: Vec<(&'static str, Vec<Step>)>,
}

/// A run of another pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Build {
    pub pipeline: String,
    /// Values are templates.
    pub parameters: Pairs,
    pub wait: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matrix {
    pub axes: Vec<(String, Vec<String>)>,
    pub excludes: Vec<Pairs>,
}

/// A trigger's keys, and why it is only a comment, where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    pub keys: Pairs,
    pub off: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    pub name: String,
    pub keys: Pairs,
    pub choices: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct File {
    pub name: String,
    pub description: String,
    pub comments: Vec<String>,
    pub triggers: Vec<Trigger>,
    pub parameters: Vec<Parameter>,
    /// `concurrency: cancel-older` or `queue`.
    pub on_conflict: Option<&'static str>,
    pub timeout: Option<u64>,
    pub keep: Pairs,
    pub env: Pairs,
    pub stages: Vec<Stage>,
    pub post: Vec<(&'static str, Vec<Step>)>,
    /// What stands behind the stages as a comment.
    pub notes: Vec<String>,
}

/// The text, and the first line (from 1) of each stage.
pub fn text(file: &File) -> (String, Vec<usize>) {
    let mut w = Writer::default();
    w.comments(0, &file.comments);
    w.line(0, "format: 1");
    w.pair(0, "name", &file.name);
    if !file.description.trim().is_empty() {
        w.pair(0, "description", file.description.trim());
    }
    triggers(&mut w, &file.triggers);
    if !file.parameters.is_empty() {
        w.line(0, "parameters:");
        for p in &file.parameters {
            w.line(1, &format!("{}:", scalar(&p.name)));
            for (k, v) in &p.keys {
                w.pair(2, k, v);
            }
            if !p.choices.is_empty() {
                w.line(2, &format!("choices: {}", flow(&p.choices)));
            }
        }
    }
    w.line(0, "options:");
    w.line(1, "# As Jenkins runs `sh`: the first command that fails ends the step, a variable without a value does not.");
    w.line(1, "interpreter: /bin/sh -e");
    if let Some(how) = file.on_conflict {
        w.line(1, &format!("concurrency: {{group: {}, limit: 1, on_conflict: {how}}}", scalar(&file.name)));
    }
    if let Some(t) = file.timeout {
        w.pair(1, "timeout", &duration(t));
    }
    if !file.keep.is_empty() {
        w.line(1, &format!("keep: {{{}}}", file.keep.iter().map(|(k, v)| format!("{k}: {v}")).collect::<Vec<_>>().join(", ")));
    }
    w.pairs(0, "env", &file.env);
    w.line(0, "stages:");
    let mut starts = Vec::new();
    for s in &file.stages {
        starts.push(w.lines + 1);
        stage(&mut w, s);
    }
    starts.push(w.lines + 1);
    post(&mut w, 0, &file.post);
    w.comments(0, &file.notes);
    (w.out, starts)
}

fn triggers(w: &mut Writer, all: &[Trigger]) {
    if all.is_empty() {
        return;
    }
    let live = all.iter().any(|t| t.off.is_none());
    w.line(0, if live { "triggers:" } else { "# triggers:" });
    for t in all {
        let (mark, indent) = if t.off.is_some() { ("# ", if live { 1 } else { 0 }) } else { ("", 1) };
        if let Some(why) = &t.off {
            w.comments(indent, std::slice::from_ref(why));
        }
        for (i, (k, v)) in t.keys.iter().enumerate() {
            let lead = if i == 0 { "- " } else { "  " };
            w.line(indent, &format!("{mark}{lead}{k}: {}", scalar(v)));
        }
    }
}

fn stage(w: &mut Writer, s: &Stage) {
    w.comments(1, &s.comments);
    w.line(1, &format!("- name: {}", scalar(&s.name)));
    if let Some(needs) = &s.needs {
        w.line(2, &format!("needs: {}", flow(needs)));
    }
    if let Some(when) = &s.when {
        w.pair(2, "when", when);
    }
    if let Some(a) = &s.approve {
        w.line(2, "approve:");
        for (k, v) in a {
            w.line(3, &format!("{k}: {v}"));
        }
        return;
    }
    if let Some(m) = &s.matrix {
        w.line(2, "matrix:");
        for (k, values) in &m.axes {
            w.line(3, &format!("{}: {}", scalar(k), flow(values)));
        }
        if !m.excludes.is_empty() {
            w.line(3, "exclude:");
            for cell in &m.excludes {
                let cell: Vec<String> = cell.iter().map(|(k, v)| format!("{}: {}", scalar(k), flow_scalar(v))).collect();
                w.line(4, &format!("- {{{}}}", cell.join(", ")));
            }
        }
    }
    if !s.locks.is_empty() {
        w.line(2, &format!("locks: {}", flow(&s.locks)));
    }
    if s.allow_failure {
        w.line(2, "allow_failure: true");
    }
    if let Some(n) = s.retry {
        w.line(2, &format!("retry: {{attempts: {n}}}"));
    }
    if let Some(t) = s.timeout {
        w.pair(2, "timeout", &duration(t));
    }
    match &s.build {
        Some(b) => build(w, 2, b),
        None => {
            w.pairs(2, "env", &s.env);
            w.line(2, "steps:");
            for st in &s.steps {
                step(w, 3, st);
            }
        }
    }
    post(w, 2, &s.post);
}

fn build(w: &mut Writer, depth: usize, b: &Build) {
    if b.parameters.is_empty() && b.wait {
        return w.pair(depth, "build", &b.pipeline);
    }
    w.line(depth, "build:");
    w.pair(depth + 1, "pipeline", &b.pipeline);
    w.pairs(depth + 1, "parameters", &b.parameters);
    if !b.wait {
        w.line(depth + 1, "wait: false");
    }
}

/// Such a stage's key as it would stand in the file, for a comment.
pub fn build_text(b: &Build) -> String {
    let mut w = Writer::default();
    build(&mut w, 0, b);
    w.out
}

fn step(w: &mut Writer, depth: usize, s: &Step) {
    w.comments(depth, &s.comments);
    w.line(depth, &format!("- name: {}", scalar(&s.name)));
    let inside = depth + 1;
    match &s.action {
        Action::Run { script, interpreter } => {
            if let Some(i) = interpreter {
                w.pair(inside, "interpreter", i);
            }
            w.script(inside, script);
        }
        Action::Uses { kind, with } => {
            w.pair(inside, "uses", kind);
            w.pairs(inside, "with", with);
        }
    }
    w.pairs(inside, "env", &s.env);
    let known: Vec<String> = s.secrets.iter().filter(|s| s.known).map(|s| s.name.clone()).collect();
    let missing: Vec<String> = s.secrets.iter().filter(|s| !s.known).map(|s| s.name.clone()).collect();
    if !known.is_empty() {
        w.line(inside, &format!("secrets: {}", flow(&known)));
    }
    if !missing.is_empty() {
        let all: Vec<String> = known.into_iter().chain(missing).collect();
        w.line(inside, "# The site lacks a secret of these. Add it to [secrets] of the site file, then write:");
        w.line(inside, &format!("# secrets: {}", flow(&all)));
    }
    if let Some(t) = s.timeout {
        w.pair(inside, "timeout", &duration(t));
    }
    if !s.artifacts.is_empty() {
        let items: Vec<String> = s
            .artifacts
            .iter()
            .map(|a| if a.junit { format!("{{path: {}, type: junit}}", flow_scalar(&a.path)) } else { flow_scalar(&a.path) })
            .collect();
        w.line(inside, &format!("artifacts: [{}]", items.join(", ")));
    }
}

fn post(w: &mut Writer, depth: usize, parts: &[(&'static str, Vec<Step>)]) {
    if parts.iter().all(|(_, steps)| steps.is_empty()) {
        return;
    }
    w.line(depth, "post:");
    for (when, steps) in parts.iter().filter(|(_, steps)| !steps.is_empty()) {
        w.line(depth + 1, &format!("{when}:"));
        for s in steps {
            step(w, depth + 2, s);
        }
    }
}

#[derive(Default)]
struct Writer {
    out: String,
    lines: usize,
}

impl Writer {
    fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(self.out, "{:width$}{text}", "", width = depth * 2);
        self.lines += 1;
    }

    fn pair(&mut self, depth: usize, key: &str, value: &str) {
        self.line(depth, &format!("{key}: {}", scalar(value)));
    }

    fn pairs(&mut self, depth: usize, key: &str, pairs: &[(String, String)]) {
        if pairs.is_empty() {
            return;
        }
        self.line(depth, &format!("{key}:"));
        for (k, v) in pairs {
            self.line(depth + 1, &format!("{}: {}", scalar(k), scalar(v)));
        }
    }

    fn comments(&mut self, depth: usize, comments: &[String]) {
        for line in comments.iter().flat_map(|c| c.lines()) {
            let text: String = line.trim_end().chars().map(|c| if plain_char(c) { c } else { ' ' }).collect();
            self.line(depth, &if text.is_empty() { "#".to_owned() } else { format!("# {text}") });
        }
    }

    /// A script as a literal block; as a quoted text where YAML has no other way to say it.
    fn script(&mut self, depth: usize, script: &str) {
        let script = dedent(script);
        let literal =
            !script.is_empty() && script.chars().all(|c| c == '\n' || c == '\t' || plain_char(c)) && !script.starts_with([' ', '\t']);
        if !literal {
            let text = if script.is_empty() { ":" } else { script.as_str() };
            return self.line(depth, &format!("run: {}", quoted(text)));
        }
        if !script.trim_end().contains('\n') && plain(script.trim_end()) {
            return self.line(depth, &format!("run: {}", script.trim_end()));
        }
        self.line(depth, "run: |");
        for line in script.trim_end().split('\n') {
            self.line(if line.is_empty() { 0 } else { depth + 1 }, line);
        }
    }
}

/// Common indent and empty lines around are taken away: Groovy's blocks are indented, the shell does not care.
fn dedent(script: &str) -> String {
    let lines: Vec<&str> = script.split('\n').map(str::trim_end).collect();
    let first = lines.iter().position(|l| !l.is_empty()).unwrap_or(lines.len());
    let body = &lines[first..];
    let margin = |l: &&str| l.len() - l.trim_start_matches(' ').len();
    // Text that begins behind the quotes has no indent of its own.
    let common = body.iter().skip(usize::from(first == 0)).filter(|l| !l.is_empty()).map(margin).min().unwrap_or(0);
    let mut out: Vec<&str> =
        body.iter().enumerate().map(|(i, l)| if i == 0 { l.trim_start() } else { &l[common.min(margin(l))..] }).collect();
    while out.last().is_some_and(|l| l.is_empty()) {
        out.pop();
    }
    out.join("\n")
}

/// Characters that YAML takes as they are, and that do not move the cursor of who reads the file.
fn plain_char(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

fn plain(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '$');
    let rest = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, ' ' | '/' | '.' | '_' | '-' | '+' | '@' | '=' | '$' | '(' | ')' | '<' | '>' | ';' | '~' | '^' | ':')
    };
    text.starts_with(first)
        && text.chars().all(rest)
        && !text.contains(": ")
        && !text.ends_with([' ', ':'])
        && !matches!(text, "null" | "~")
        && text.len() < 110
}

/// A value behind `key: `.
pub fn scalar(text: &str) -> String {
    if plain(text) {
        text.to_owned()
    } else if text.contains(['"', '\\']) && !text.contains('\'') && text.chars().all(plain_char) {
        format!("'{text}'")
    } else {
        quoted(text)
    }
}

/// A value inside `[…]` or `{…}`.
fn flow_scalar(text: &str) -> String {
    scalar(text)
}

pub fn flow(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|i| flow_scalar(i)).collect::<Vec<_>>().join(", "))
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if plain_char(c) => out.push(c),
            c if u32::from(c) <= 0xff => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if u32::from(c) <= 0xffff => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

/// `1h30m` for seconds.
pub fn duration(seconds: u64) -> String {
    let (d, h, m, s) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let part = |n: u64, unit: &str| if n > 0 { format!("{n}{unit}") } else { String::new() };
    let text = [part(d, "d"), part(h, "h"), part(m, "m"), part(s, "s")].concat();
    if text.is_empty() { "1s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::diagnostic::Sink;
    use crate::pipeline::reader;
    use proptest::prelude::*;

    fn back(yaml: &str) -> Option<String> {
        let mut sink = Sink::new("x", yaml);
        let root = reader::read(&mut sink)?;
        assert_eq!(sink.errors(), 0, "{yaml}: {:?}", sink.finish());
        let reader::Kind::Map(entries) = &root.kind else { return None };
        entries[0].1.text().map(str::to_owned)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(text in "(\\PC|[ :#\\-\\[\\]{}'\"\\\\\n\t\r\u{1}\u{7f}\u{85}\u{2028}\u{feff}]){0,40}") {
            prop_assert_eq!(back(&format!("k: {}\n", scalar(&text))), Some(text.clone()));
            prop_assert_eq!(back(&format!("k: {}\n", quoted(&text))), Some(text));
        }

        #[test]
        fn a_script_keeps_its_lines(text in "([a-z$\" '#:{}|>\t-]|\n){0,60}") {
            let mut w = Writer::default();
            w.script(1, &text);
            let want = dedent(&text);
            let want = if want.is_empty() { ":".to_owned() } else { want };
            prop_assert_eq!(back(&w.out).map(|t| t.trim_end().to_owned()), Some(want.trim_end().to_owned()));
        }
    }

    #[test]
    fn durations_and_indents() {
        assert_eq!(duration(5_430), "1h30m30s");
        assert_eq!(dedent("\n    a\n      b\n\n    c\n  "), "a\n  b\n\nc");
        assert_eq!(dedent("a\n    b\n    c"), "a\nb\nc");
    }
}
