//! Steps of Jenkins to scripts and step kinds of ours.

use super::convert::{BindKind, Container, Converter, Ctx, Place, label, seconds};
use super::lexer::Piece;
use super::out::{Build, Step};
use super::parse::{Call, Stmt, StmtKind, Value};
use super::shell::{self, Given};
use super::source::Span;
use crate::pipeline::diagnostic::show;

/// What surrounds some steps, and is a key of a stage here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attrs {
    pub retry: Option<u64>,
    /// Seconds.
    pub timeout: Option<u64>,
    pub locks: Vec<String>,
    pub allow_failure: bool,
}

/// Steps that can share a stage.
#[derive(Debug, Clone, Default)]
pub struct Segment {
    pub attrs: Attrs,
    pub steps: Vec<Step>,
    /// An approval: a stage without steps.
    pub approve: Option<Approval>,
    /// A run of another pipeline: a stage without steps.
    pub build: Option<Build>,
    /// Its own place, where it has one that is smaller than the stage's.
    pub span: Option<Span>,
}

impl Segment {
    /// Whether it becomes a stage.
    pub fn is_something(&self) -> bool {
        !self.steps.is_empty() || self.approve.is_some() || self.build.is_some()
    }
}

/// A stage that waits for people.
#[derive(Debug, Clone, Default)]
pub struct Approval {
    /// Keys of `approve:`, values as YAML.
    pub keys: Vec<(String, String)>,
    pub comments: Vec<String>,
    pub span: Span,
    /// Questions: later steps know them as variables.
    pub answers: Vec<String>,
}

/// Steps that tell people something; notifications are the site's here.
const NOTICES: [&str; 12] = [
    "mail",
    "emailext",
    "slackSend",
    "office365ConnectorSend",
    "rocketSend",
    "mattermostSend",
    "hipchatSend",
    "telegramSend",
    "googlechatnotification",
    "discordSend",
    "step",
    "publishHTML",
];

/// What becomes of nothing here: the steps, why, and what to do.
const BY_HAND: [(&[&str], &str, &str); 5] = [
    (&["script"], "`script` is a program in Groovy", "write it as a script of the shell, or of the repository"),
    (&["bat", "powershell", "pwsh"], "this machine has no Windows shell", "write it for `sh`"),
    (&["waitUntil"], "it repeats a program in Groovy", "write `until …; do sleep 5; done`"),
    (&["parallel"], "branches made by a step are a program", "write them as stages with the same `needs:`"),
    (&["stash", "unstash"], "each cell has a workspace of its own", "copy what it needs from or to $QD_RUN_WORKSPACE"),
];

const UNKNOWN_HELP: &str = "give them in `env:` where they matter";

/// Variables of Jenkins in a text, which have no value here.
fn absent(body: &str) -> Vec<&'static str> {
    shell::GIVEN.iter().filter(|(n, g)| *g == Given::Absent && shell::mentions(body, n)).map(|(n, _)| *n).collect()
}

fn unknown(given: &[&str]) -> String {
    format!("nothing here knows {}: empty", given.join(", "))
}

impl Converter<'_> {
    /// Converts a list of steps into the last of `segments`, and into new ones where a stage's key must change.
    pub fn steps(&mut self, stmts: &[Stmt], ctx: &Ctx, attrs: &Attrs, segments: &mut Vec<Segment>) {
        for s in stmts {
            if self.over.is_some() {
                return;
            }
            match &s.kind {
                StmtKind::Call(c) => self.one(c, &s.span, ctx, attrs, segments),
                StmtKind::Assign { .. } | StmtKind::Raw => {
                    let step = self.by_hand(&s.span, "Groovy", "this is Groovy, and nothing here runs it", "write it as a script");
                    add(segments, attrs, step);
                }
            }
        }
    }

    fn one(&mut self, c: &Call, span: &Span, ctx: &Ctx, attrs: &Attrs, segments: &mut Vec<Segment>) {
        let what = show(&c.name);
        if c.body.is_some() && self.around(c, span, ctx, attrs, segments) {
            return;
        }
        match c.name.as_str() {
            "sh" => self.sh(c, span, ctx, attrs, segments),
            "echo" => self.worded(c, span, ctx, attrs, segments, "message", |w| format!("printf '%s\\n' {w}"), "printf"),
            "error" => {
                self.worded(c, span, ctx, attrs, segments, "message", |w| format!("printf '%s\\n' {w} >&2\nexit 1"), "a script that fails")
            }
            "sleep" => match seconds(c) {
                Some(n) => {
                    let body = format!("sleep {n}");
                    let step = self.script(&lean(ctx, &body), &body, "sleep");
                    self.report.converted(span, what, "sleep");
                    add(segments, attrs, step);
                }
                None => self.hand(span, &c.name, "its time is computed", "write `sleep` in a script", attrs, segments),
            },
            "deleteDir" => {
                let body = "find . -mindepth 1 -delete";
                let step = self.script(&lean(ctx, body), body, "delete all");
                self.report.converted(span, what, "find -delete");
                add(segments, attrs, step);
            }
            "cleanWs" => self.report.approximated(span, what, "each run has a workspace of its own, which goes with the run", ""),
            "writeFile" => self.write_file(c, span, ctx, attrs, segments),
            "checkout" | "git" => self.scm(c, span, ctx, attrs, segments),
            "archiveArtifacts" | "archive" => self.artifacts(c, span, "artifacts", false, ctx, attrs, segments),
            "junit" | "xunit" => self.artifacts(c, span, "testResults", true, ctx, attrs, segments),
            "fingerprint" => self.report.converted(span, what, "every artifact has a fingerprint"),
            "stash" | "unstash" if ctx.place != Place::Matrix => {
                self.report.approximated(span, what, "all stages of a run share one workspace: the files are there", "")
            }
            "build" => self.build(c, span, ctx, attrs, segments),
            "input" if ctx.place == Place::Stage => {
                let approve = Some(self.input(c, ctx, "input"));
                segments.push(Segment { approve, ..Segment::default() });
                segments.push(Segment { attrs: attrs.clone(), ..Segment::default() });
            }
            "input" => self.hand(
                span,
                "input",
                "only a stage of its own waits for people",
                "put an `approve:` stage before this one",
                attrs,
                segments,
            ),
            "milestone" => self.report.approximated(
                span,
                what,
                "runs do not overtake each other in one concurrency group",
                "`options.concurrency` keeps them in order",
            ),
            n if NOTICES.contains(&n) && ctx.place == Place::Post => self.report.manual(
                span,
                what,
                "messages to people are not part of a pipeline here; nothing is sent",
                "add `[notify.NAME] command` to the site file, and `notify: NAME` here",
            ),
            other => {
                let by_hand = BY_HAND.iter().find(|(names, ..)| names.contains(&other));
                let (_, why, help) = by_hand.unwrap_or(&(&[], "the importer does not know this step", "write it as a script"));
                self.hand(span, other, why, help, attrs, segments);
            }
        }
    }

    /// Blocks around steps. False: it is none that the importer knows.
    fn around(&mut self, c: &Call, span: &Span, ctx: &Ctx, attrs: &Attrs, segments: &mut Vec<Segment>) -> bool {
        let what = show(&c.name);
        let word = |this: &Self, arg: &str| c.arg(arg).and_then(Value::pieces).and_then(|p| this.word(p, ctx).ok());
        match c.name.as_str() {
            "timestamps" | "ansiColor" | "wrap" => {
                self.report.converted(&c.head, what, "as it is here anyway");
                self.steps(c.body(), ctx, attrs, segments);
            }
            "node" | "ws" => {
                self.report.approximated(&c.head, what, "every step runs on this machine, in the workspace of the run", "");
                self.steps(c.body(), ctx, attrs, segments);
            }
            "dir" => match word(self, "path") {
                Some(word) => {
                    self.report.converted(&c.head, what, "cd");
                    let mut ctx = ctx.clone();
                    ctx.dirs.push(word);
                    self.steps(c.body(), &ctx, attrs, segments);
                }
                None => self.hand(span, &c.name, "its path is computed", "write `cd` in the scripts", attrs, segments),
            },
            "withEnv" => match self.with_env(c, ctx) {
                Some(ctx) => {
                    self.report.converted(&c.head, what, "env of the steps");
                    self.steps(c.body(), &ctx, attrs, segments);
                }
                None => self.hand(span, &c.name, "a value is computed", "write `env:` in the steps", attrs, segments),
            },
            "withCredentials" | "sshagent" => self.with_credentials(c, span, ctx, attrs, segments),
            "timeout" | "retry" | "lock" | "catchError" | "warnError" => self.block(c, span, ctx, attrs, segments),
            "withDockerContainer" => match word(self, "image") {
                Some(image) => {
                    self.report.approximated(&c.head, what, "each script runs by `docker run`", "this machine needs docker");
                    let ctx = Ctx { container: Some(Container { image, args: String::new() }), ..ctx.clone() };
                    self.steps(c.body(), &ctx, attrs, segments);
                }
                None => self.hand(span, &c.name, "its image is computed", "write `docker run`", attrs, segments),
            },
            _ => return false,
        }
        true
    }

    pub fn hand(&mut self, span: &Span, what: &str, why: &str, help: &str, attrs: &Attrs, segments: &mut Vec<Segment>) {
        let step = self.by_hand(span, what, why, help);
        add(segments, attrs, step);
    }

    pub fn word(&self, pieces: &[Piece], ctx: &Ctx) -> Result<String, String> {
        match pieces {
            [Piece::Text(t)] => Ok(shell::quote(t)),
            _ => shell::word(pieces, &ctx.scope),
        }
    }

    fn sh(&mut self, c: &Call, span: &Span, ctx: &Ctx, attrs: &Attrs, segments: &mut Vec<Segment>) {
        if c.named("returnStatus").is_some_and(Value::is_true) {
            return self.hand(
                span,
                "sh returnStatus",
                "its exit code is ignored or used by Groovy",
                "write `… || status=$?`",
                attrs,
                segments,
            );
        }
        let Some(pieces) = c.arg("script").and_then(Value::pieces) else {
            return self.hand(span, "sh", "its script is computed", "write it as a script", attrs, segments);
        };
        let body = match shell::script(pieces, &ctx.scope) {
            Ok(body) if !body.contains('\0') => body,
            Ok(_) => return self.hand(span, "sh", "it holds a NUL byte", "remove it", attrs, segments),
            Err(expr) => {
                let why = format!("`{}` is computed in Groovy", show(&expr));
                return self.hand(span, "sh", &why, "compute it in the script, or make it a parameter", attrs, segments);
            }
        };
        let name =
            c.named("label").and_then(Value::literal).map(|l| label(l, 80)).filter(|l| !l.is_empty()).unwrap_or_else(|| title(&body));
        let given = absent(&body);
        let machine: Vec<String> = pieces
            .iter()
            .filter_map(|p| if let Piece::Expr(e) = p { e.trim().strip_prefix("env.") } else { None })
            .filter(|n| !ctx.scope.contains_key(*n) && shell::given(n).is_none())
            .map(str::to_owned)
            .collect();
        let hash_bang = body.starts_with("#!");
        if hash_bang && ctx.container.is_some() {
            return self.hand(
                span,
                "sh",
                "a script with its own interpreter, in a container",
                "write `docker run` for it",
                attrs,
                segments,
            );
        }
        if hash_bang && !shell_bang(&body) && !self.preamble(ctx, &body).is_empty() {
            return self.hand(
                span,
                "sh",
                "variables are set by the shell, and this script has another interpreter",
                "set them in `env:`, or read secrets from $QD_SECRETS_DIR",
                attrs,
                segments,
            );
        }
        let step = self.script(ctx, &body, &name);
        if !given.is_empty() {
            self.report.approximated(span, "sh", unknown(&given), UNKNOWN_HELP);
        } else if !machine.is_empty() {
            self.report.approximated(
                span,
                "sh",
                format!("{} must come from the machine's environment", machine.join(", ")),
                "give it in `env:`",
            );
        } else if pieces.iter().any(|p| matches!(p, Piece::Expr(_))) {
            self.report.converted(span, "sh", "run; what Groovy put in is a variable, and is not read as shell");
        } else {
            self.report.converted(span, "sh", "run");
        }
        add(segments, attrs, step);
    }

    #[allow(clippy::too_many_arguments)]
    fn worded(
        &mut self,
        c: &Call,
        span: &Span,
        ctx: &Ctx,
        attrs: &Attrs,
        segments: &mut Vec<Segment>,
        field: &str,
        make: impl Fn(&str) -> String,
        why: &str,
    ) {
        let word = match c.arg(field).map(|v| (v.pieces(), v.literal())) {
            Some((Some(p), _)) => self.lines(p, ctx).map(|l| l.join(" ")),
            Some((None, Some(w))) => self.word(&[Piece::Expr(w.to_owned())], ctx),
            _ => Err(String::new()),
        };
        match word {
            Ok(w) if !w.contains('\0') => {
                let body = make(&w);
                let step = self.script(&lean(ctx, &body), &body, &c.name);
                match absent(&body) {
                    none if none.is_empty() => self.report.converted(span, show(&c.name), why),
                    given => self.report.approximated(span, show(&c.name), unknown(&given), UNKNOWN_HELP),
                }
                add(segments, attrs, step);
            }
            _ => self.hand(span, &c.name, "its text is computed in Groovy", "write it as a script", attrs, segments),
        }
    }

    /// One word for each line of a text.
    fn lines(&self, pieces: &[Piece], ctx: &Ctx) -> Result<Vec<String>, String> {
        let mut lines: Vec<Vec<Piece>> = vec![Vec::new()];
        for piece in pieces {
            match piece {
                Piece::Text(t) => {
                    for (i, part) in t.split('\n').enumerate() {
                        if i > 0 {
                            lines.push(Vec::new());
                        }
                        if let Some(last) = lines.last_mut().filter(|_| !part.is_empty()) {
                            last.push(Piece::Text(part.to_owned()));
                        }
                    }
                }
                Piece::Expr(_) => lines.last_mut().into_iter().for_each(|l| l.push(piece.clone())),
            }
        }
        lines.iter().map(|l| if l.is_empty() { Ok("''".to_owned()) } else { self.word(l, ctx) }).collect()
    }

    fn write_file(&mut self, c: &Call, span: &Span, ctx: &Ctx, attrs: &Attrs, segments: &mut Vec<Segment>) {
        let file = c.named("file").and_then(Value::pieces).and_then(|p| self.word(p, ctx).ok());
        let text = c.named("text").and_then(Value::pieces).and_then(|p| self.lines(p, ctx).ok());
        match (file, text) {
            (Some(file), Some(mut lines)) if !file.contains(['\0', '\n']) && !lines.iter().any(|l| l.contains('\0')) => {
                // The last line has no end, unless the text ends with one: then it is empty.
                let last = lines.pop().filter(|l| l != "''").map(|l| format!("printf '%s' {l}"));
                let all = (!lines.is_empty()).then(|| format!("printf '%s\\n' {}", lines.join(" ")));
                let body = match (all, last) {
                    (Some(a), Some(b)) => format!("{{ {a}; {b}; }} > {file}"),
                    (Some(a), None) | (None, Some(a)) => format!("{a} > {file}"),
                    (None, None) => format!(": > {file}"),
                };
                let step = self.script(&lean(ctx, &body), &body, "write file");
                self.report.converted(span, "writeFile", "printf");
                add(segments, attrs, step);
            }
            _ => self.hand(span, "writeFile", "its name or text is computed", "write it as a script", attrs, segments),
        }
    }

    fn block(&mut self, c: &Call, span: &Span, ctx: &Ctx, attrs: &Attrs, segments: &mut Vec<Segment>) {
        let what = show(&c.name);
        let mut found = match self.attrs(c, attrs) {
            Some(a) => a,
            None => return self.hand(span, &c.name, "its value is computed", "write it as a key of the stage", attrs, segments),
        };
        if c.named("activity").is_some_and(Value::is_true) {
            return self.hand(span, &c.name, "a time without output is `stall:` here", "write `stall:` in the stage", attrs, segments);
        }
        if matches!(c.name.as_str(), "catchError" | "warnError") {
            found.allow_failure = true;
        }
        if ctx.place == Place::Post {
            let ctx = Ctx { timeout: if c.name == "timeout" { found.timeout } else { ctx.timeout }, ..ctx.clone() };
            match c.name.as_str() {
                "timeout" => self.report.converted(&c.head, what, "timeout of the steps"),
                "lock" => return self.hand(span, &c.name, "a post section takes no locks", "make it a stage", attrs, segments),
                _ => self.report.approximated(&c.head, what, "a post step is tried once, and its failure is shown", ""),
            }
            return self.steps(c.body(), &ctx, attrs, segments);
        }
        match c.name.as_str() {
            // Around a single step, it is that step's own.
            "timeout" if c.body().len() == 1 && attrs.retry.is_none() => {
                self.report.converted(&c.head, what, "timeout of the step");
                let ctx = Ctx { timeout: found.timeout, ..ctx.clone() };
                return self.steps(c.body(), &ctx, attrs, segments);
            }
            "timeout" => self.report.converted(&c.head, what, "timeout of a stage"),
            "retry" => self.report.approximated(
                &c.head,
                what,
                "each step in it is tried so often, not all together",
                "say `idempotent: true` where a second start does no harm",
            ),
            "lock" => self.locks_told(c, &c.head, what, "locks of a stage", &found.locks),
            _ => self.report.approximated(&c.head, what, "allow_failure of a stage: shown, and the run goes on", ""),
        }
        segments.push(Segment { attrs: found.clone(), ..Segment::default() });
        self.steps(c.body(), ctx, &found, segments);
        segments.push(Segment { attrs: attrs.clone(), ..Segment::default() });
    }
}

/// What a script of ours needs: nothing is set that it does not name.
pub fn lean(ctx: &Ctx, body: &str) -> Ctx {
    let mut out = ctx.clone();
    let dirs = ctx.dirs.join(" ");
    let mut text = format!("{body} {dirs}");
    out.exports = Vec::new();
    for (name, word) in ctx.exports.iter().rev().filter(|(n, _)| *n != "PATH") {
        if shell::mentions(&text, name) {
            text.push_str(&format!(" {word}"));
            out.exports.insert(0, (name.clone(), word.clone()));
        }
    }
    out.binds.retain(|b| {
        let (BindKind::Text(name) | BindKind::File(name)) = &b.kind;
        shell::mentions(&text, name)
    });
    out.container = None;
    out
}

fn shell_bang(body: &str) -> bool {
    let first = body.lines().next().unwrap_or("");
    first.split([' ', '/']).any(|w| matches!(w, "sh" | "bash" | "dash" | "ksh" | "zsh"))
}

/// Adds a step to the last segment where it fits, else to a new one.
pub fn add(segments: &mut Vec<Segment>, attrs: &Attrs, step: Step) {
    match segments.last_mut().filter(|s| s.attrs == *attrs && s.approve.is_none() && s.build.is_none()) {
        Some(s) => s.steps.push(step),
        None => segments.push(Segment { attrs: attrs.clone(), steps: vec![step], ..Segment::default() }),
    }
}

/// A name made of the first command of a script.
fn title(body: &str) -> String {
    let line = body.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#') && !l.starts_with("set ")).unwrap_or("sh");
    let mut out = String::new();
    for word in line.split_whitespace() {
        let word = word.rsplit('/').find(|p| !p.is_empty()).unwrap_or("");
        let word: String = word.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '=' | '+')).collect();
        if word.is_empty() {
            continue;
        }
        if out.len() + word.len() > 32 {
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&word);
    }
    if out.is_empty() { "sh".to_owned() } else { out }
}
