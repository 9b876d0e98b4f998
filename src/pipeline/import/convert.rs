//! A declarative pipeline to a pipeline file: what the parts share, and the order in which they are read.

use super::lexer::Comment;
use super::out::{Action, Artifact, File, Parameter, Secret, Stage, Step};
use super::parse::{Call, Stmt, StmtKind, Value};
use super::report::Report;
use super::shell::{self, Given, Scope, Var};
use super::source::{Bad, Source, Span};
use crate::domain::run::valid_name;
use crate::pipeline::Catalog;
use crate::pipeline::diagnostic::{show, show_to};

/// Lines of the original that one failing step quotes; a longer one is found in the original.
const MAX_QUOTE: usize = 200;
/// Characters of one quoted line.
const MAX_LINE: usize = 400;
/// Bytes of all scripts: far more than the reader of pipelines takes.
const MAX_SCRIPTS: usize = 4 << 20;
/// Parameters, variables, triggers, files of one list.
pub const MAX_ITEMS: usize = 500;
/// Stages that lint takes.
pub const MAX_STAGES: usize = 500;

/// A credential of Jenkins and the variable that a script gets it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    pub secret: String,
    pub known: bool,
    pub kind: BindKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindKind {
    /// Its value.
    Text(String),
    /// The path of a file with it.
    File(String),
}

/// Steps run in this container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Container {
    /// A word of the shell.
    pub image: String,
    pub args: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    #[default]
    Stage,
    Matrix,
    Post,
}

/// What surrounds a step.
#[derive(Debug, Clone, Default)]
pub struct Ctx {
    pub scope: Scope,
    /// Name and shell word, exported before each script.
    pub exports: Vec<(String, String)>,
    pub binds: Vec<Bind>,
    /// Variables that a person must set.
    pub open: Vec<String>,
    /// Shell words of `dir`.
    pub dirs: Vec<String>,
    pub env: Vec<(String, String)>,
    /// Seconds.
    pub timeout: Option<u64>,
    pub container: Option<Container>,
    pub place: Place,
}

pub struct Converter<'a> {
    pub src: &'a Source,
    /// Name of the original, for quotes.
    pub origin: &'a str,
    pub catalog: &'a Catalog,
    pub comments: &'a [Comment],
    pub report: Report,
    pub file: File,
    /// Places of the originals of `file.stages`.
    pub spans: Vec<Span>,
    pub top: Ctx,
    /// Where implicit and explicit checkouts go.
    pub checkout: Checkout,
    /// Conditions ask for the branch; the first one that was named.
    pub branch: Option<String>,
    /// Times that every stage is tried.
    pub retry_all: Option<u64>,
    /// Parameters that the job itself said, before its script.
    pub inherited: usize,
    /// Variables of the original that are the two halves of a credential.
    pub halves: std::collections::BTreeSet<String>,
    /// Where statements of the post section begin that became stages.
    pub afterwards: std::collections::BTreeSet<usize>,
    /// Bytes of scripts so far.
    scripts: usize,
    /// A limit that was passed: nothing more is converted.
    pub over: Option<Bad>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkout {
    /// `skipDefaultCheckout`, or nothing to check out.
    pub off: bool,
    pub dest: Option<String>,
    /// Address, reference and secret, where the original says them.
    pub url: Option<String>,
    pub reference: Option<String>,
    pub secret: Option<Secret>,
    /// The stage exists, or a step did it.
    pub done: bool,
}

/// A name of ours made of any text.
pub fn name_of(text: &str) -> String {
    let mut out = String::new();
    for c in text.trim().to_lowercase().chars() {
        let c = if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
        if !(c == '-' && out.ends_with('-')) {
            out.push(c);
        }
    }
    let out: String = out.trim_matches(['-', '.', '_']).chars().take(64).collect();
    let out = out.trim_end_matches(['-', '.', '_']).to_owned();
    if valid_name(&out) { out } else { "imported".to_owned() }
}

/// One line for a name of a stage or step: no slash, nothing that draws.
pub fn label(text: &str, most: usize) -> String {
    let clean: String = text
        .chars()
        .map(|c| {
            if c == '/' {
                '-'
            } else if c.is_control() || crate::pipeline::diagnostic::printable(&c.to_string()) != c.to_string() {
                ' '
            } else {
                c
            }
        })
        .collect();
    let words = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = words.chars().take(most).collect();
    short.trim().to_owned()
}

impl<'a> Converter<'a> {
    pub fn new(src: &'a Source, origin: &'a str, name: &str, catalog: &'a Catalog, comments: &'a [Comment]) -> Self {
        Self {
            src,
            origin,
            catalog,
            comments,
            report: Report::default(),
            file: File { name: name.to_owned(), ..File::default() },
            spans: Vec::new(),
            top: Ctx::default(),
            checkout: Checkout::default(),
            branch: None,
            retry_all: None,
            inherited: 0,
            halves: halves(&src.text),
            afterwards: Default::default(),
            scripts: 0,
            over: None,
        }
    }

    /// The whole of a Jenkinsfile.
    pub fn jenkinsfile(&mut self, stmts: &[Stmt]) -> Result<(), Bad> {
        let pipeline = stmts.iter().find_map(|s| match &s.kind {
            StmtKind::Call(c) if c.name == "pipeline" && c.body.is_some() => Some(c),
            _ => None,
        });
        let Some(pipeline) = pipeline else { return Err(self.not_declarative(stmts)) };
        for s in stmts {
            match &s.kind {
                StmtKind::Call(c) if c.span == pipeline.span => {}
                StmtKind::Call(c) if c.name == "pipeline" => {
                    return Err(Bad::refused(c.head.clone(), "a second `pipeline` block", "a file holds one; split it"));
                }
                _ => self.report.manual(
                    &s.span,
                    "Groovy beside the pipeline",
                    "libraries, functions and variables are a program; nothing here runs it",
                    "write what the steps need from it as a script of the repository",
                ),
            }
        }
        self.file.comments.extend(self.comments_above(pipeline.span.start));
        self.pipeline(pipeline)
    }

    fn not_declarative(&self, stmts: &[Stmt]) -> Bad {
        let Some(first) = stmts.first() else {
            return Bad::refused(0..0, "there is nothing in this file", "name a Jenkinsfile or the config.xml of a job");
        };
        match scripted(stmts) {
            Some(call) => Bad::refused(
                call.span.start..call.span.start + call.name.len(),
                "this is a scripted pipeline: a program, which cannot be converted line by line",
                "write it as a declarative one (`pipeline { … }`), or write the stages by hand: `quarterdeck pipeline explain stage`",
            ),
            None => Bad::refused(
                first.span.start..first.span.start + 1,
                "there is no `pipeline { … }` block in this file",
                "name a declarative Jenkinsfile, or the config.xml of a job",
            ),
        }
    }

    pub fn pipeline(&mut self, call: &Call) -> Result<(), Bad> {
        self.report.converted(&call.head, "pipeline", "the file");
        let part = |name: &str| call.body().iter().filter_map(as_call).find(|c| c.name == name);
        self.whole_file_names(call);
        // Names first: what comes later refers to them, wherever it stands.
        if let Some(c) = part("parameters") {
            self.parameters(c);
        }
        if let Some(c) = part("options") {
            self.options(c);
        }
        let agent = part("agent");
        if let Some(c) = agent {
            let mut ctx = std::mem::take(&mut self.top);
            self.agent(c, &mut ctx, None);
            self.top = ctx;
        }
        if let Some(c) = part("environment") {
            let mut ctx = std::mem::take(&mut self.top);
            let templates = self.environment(c, &mut ctx);
            self.file.env.extend(templates);
            self.top = ctx;
        }
        if let Some(c) = part("triggers") {
            self.triggers(c);
        }
        for s in call.body() {
            let Some(c) = as_call(s) else {
                self.report.manual(&s.span, "pipeline", "this is no part of a declarative pipeline", "write it by hand if it matters");
                continue;
            };
            match c.name.as_str() {
                "parameters" | "options" | "environment" | "triggers" | "agent" | "stages" | "post" => {}
                "tools" => self.tools(c),
                "libraries" => {
                    self.report.manual(
                        &c.span,
                        "libraries",
                        "shared libraries are Groovy; nothing here runs it",
                        "write their steps as scripts of the repository",
                    );
                }
                other => self.report.manual(&c.span, show(other), "the importer does not know this part", "write it by hand if it matters"),
            }
        }
        let Some(stages) = part("stages") else {
            return Err(Bad::refused(call.head.clone(), "the pipeline has no `stages`", "add `stages { stage('…') { steps { … } } }`"));
        };
        self.implicit_checkout(call, agent.map_or(&call.head, |a| &a.head));
        self.report.converted(&stages.head, "stages", "the stages, in order");
        let ctx = self.top.clone();
        let mut ends: Vec<String> = self.file.stages.last().map(|s| s.name.clone()).into_iter().collect();
        self.passed()?;
        for s in stages.body() {
            match as_call(s) {
                Some(c) if c.name == "stage" => ends = self.stage(c, &ctx, &[], &ends)?,
                _ => self.report.manual(&s.span, "stages", "only stages can stand here", "write it by hand if it matters"),
            }
        }
        if let Some(c) = part("post") {
            self.post_builds(c, &ctx)?;
            self.file.post = self.post(c, &ctx, true);
        }
        self.passed()?;
        if self.file.stages.is_empty() {
            return Err(Bad::refused(stages.head.clone(), "no stage is left that could run", "look at the conditions of the stages"));
        }
        self.finish();
        Ok(())
    }

    /// Variables of Jenkins that are named anywhere get their values in `env:`.
    pub fn whole_file_names(&mut self, call: &Call) {
        let text = self.src.slice(&call.span);
        for (name, what) in shell::GIVEN {
            if let Given::Template(t) = what
                && shell::mentions(text, name)
            {
                self.file.env.push((name.to_owned(), t.to_owned()));
                self.top.scope.insert(name.to_owned(), Var::Template(t.to_owned()));
            }
        }
        if shell::mentions(text, "BRANCH_NAME") {
            self.need_branch(None);
        }
    }

    /// A run here has no branch of its own: it becomes a parameter.
    pub fn need_branch(&mut self, first: Option<String>) {
        if let Some(b) = first
            && self.branch.as_deref().is_none_or(str::is_empty)
        {
            self.branch = Some(b);
        }
        self.branch.get_or_insert_default();
        self.top.scope.insert("BRANCH_NAME".into(), Var::Param { bool: false });
    }

    /// What is known only at the end.
    fn finish(&mut self) {
        if let Some(branch) = self.branch.take()
            && !self.file.parameters.iter().any(|p| p.name == "BRANCH_NAME")
        {
            let branch = if branch.is_empty() { "main".to_owned() } else { branch };
            self.file.parameters.push(Parameter {
                name: "BRANCH_NAME".into(),
                keys: vec![
                    ("type".into(), "string".into()),
                    ("default".into(), branch),
                    ("description".into(), "branch that this run is about; Jenkins had a job for each".into()),
                ],
                choices: Vec::new(),
            });
        }
        if let Some(n) = self.retry_all {
            for s in self.file.stages.iter_mut().filter(|s| s.build.is_none()) {
                s.retry.get_or_insert(n);
            }
        }
        self.file.comments.push(format!("Imported from {}. Read the report of the import before it runs.", label(self.origin, 80)));
    }

    /// Comments that stand right above a place, as they are.
    pub fn comments_above(&self, at: usize) -> Vec<String> {
        let mut next = self.src.line(at);
        let mut out = Vec::new();
        let before = self.comments.partition_point(|c| c.span.end <= at);
        for c in self.comments[..before].iter().rev() {
            let (first, last) = (self.src.line(c.span.start), self.src.last_line(&c.span));
            let alone = self.src.line_text(first).trim_start().starts_with(['/', '*', '#']);
            if last + 1 != next || !alone || out.len() >= 20 {
                break;
            }
            let lines: Vec<&str> = c.text.lines().map(|l| l.trim().trim_start_matches('*').trim()).collect();
            out.push(lines.join("\n"));
            next = first;
        }
        out.reverse();
        out.retain(|c| !c.trim().is_empty());
        out
    }

    /// A step that fails and quotes the original, for what a person must write.
    pub fn by_hand(&mut self, span: &Span, what: &str, why: &str, help: &str) -> Step {
        self.report.manual(span, what, format!("{why}; a failing step quotes it"), help);
        self.quote(span, what, why)
    }

    pub fn quote(&self, span: &Span, what: &str, why: &str) -> Step {
        let line = self.src.line(span.start);
        let what = label(what, 60);
        let original = self.src.slice(span);
        // The first line begins behind its indent; the others lose as much of theirs as they share.
        let margin = |l: &str| l.len() - l.trim_start().len();
        let common = original.lines().skip(1).take(MAX_QUOTE).filter(|l| !l.trim().is_empty()).map(margin).min().unwrap_or(0);
        let mut quoted: Vec<String> = original
            .lines()
            .take(MAX_QUOTE)
            .enumerate()
            .map(|(i, l)| if i == 0 { l } else { l.get(common.min(margin(l))..).unwrap_or(l) })
            .map(|l| format!("#   {}", show_to(l.trim_end(), MAX_LINE)))
            .collect();
        if original.lines().nth(MAX_QUOTE).is_some() {
            quoted.push(format!("#   … the rest stands in the original, up to line {}", self.src.last_line(span)));
        }
        let origin = label(self.origin, 80);
        let script = format!(
            "# Line {line} of {origin} was not converted: {}.\n# Write it here as commands, and remove the last two lines.\n{}\necho {} >&2\nexit 1",
            show_to(why, 200),
            quoted.join("\n"),
            shell::quote(&format!("line {line} of {origin} is not converted: {what}")),
        );
        Step { name: format!("by hand: {what}"), action: Action::Run { script, interpreter: None }, ..Step::default() }
    }

    /// An error where a limit was passed.
    pub fn passed(&self) -> Result<(), Bad> {
        self.over.clone().map_or(Ok(()), Err)
    }

    /// Notes that a list is longer than any that people write.
    pub fn too_many(&mut self, span: &Span, n: usize, what: &str) {
        if n > MAX_ITEMS {
            self.over.get_or_insert_with(|| Bad::limit(span.clone(), format!("more than {MAX_ITEMS} {what}")));
        }
    }

    /// Counts a script.
    pub fn wrote(&mut self, bytes: usize) {
        self.scripts += bytes;
        if self.scripts > MAX_SCRIPTS {
            self.over.get_or_insert_with(|| {
                Bad::limit(0..0, format!("the scripts of the pipeline have more than {MAX_SCRIPTS} bytes together"))
            });
        }
    }

    /// Adds a stage behind others. `None` in `needs` is written where it is the stage above anyway.
    pub fn push(&mut self, mut stage: Stage, span: &Span, needs: &[String]) -> Result<String, Bad> {
        if self.file.stages.len() >= MAX_STAGES {
            return Err(Bad::limit(span.clone(), format!("the pipeline has more than {MAX_STAGES} stages")));
        }
        stage.name = self.free_name(&stage.name);
        let above = self.file.stages.last().map(|s| s.name.as_str());
        stage.needs = match (needs, above) {
            ([], None) => None,
            ([one], Some(above)) if one == above => None,
            _ => Some(needs.to_vec()),
        };
        unique(&mut stage.steps);
        for (_, steps) in &mut stage.post {
            unique(steps);
        }
        self.passed()?;
        let name = stage.name.clone();
        self.file.stages.push(stage);
        self.spans.push(span.clone());
        Ok(name)
    }

    fn free_name(&self, wanted: &str) -> String {
        let mut base = label(wanted, 100);
        if base.is_empty() {
            base = "stage".to_owned();
        }
        if base.starts_with("Post Actions") {
            base = format!("Stage {base}");
        }
        let taken = |n: &str| self.file.stages.iter().any(|s| s.name == n);
        if !taken(&base) {
            return base;
        }
        (2..).map(|i| format!("{base} {i}")).find(|n| !taken(n)).unwrap_or(base)
    }

    /// The secret of ours for a credential of Jenkins.
    pub fn secret(&self, id: &str) -> Secret {
        let name = name_of(id);
        Secret { known: self.catalog.secrets.contains(&name), name }
    }

    /// A path in `dir`s, for keys that take paths below the workspace.
    pub fn below(&self, ctx: &Ctx, path: &str) -> Option<String> {
        let mut out = String::new();
        for d in &ctx.dirs {
            let plain = d.trim_matches(['"', '\'']);
            if plain.contains(['$', '`', '\\']) {
                return None;
            }
            out.push_str(plain.trim_end_matches('/'));
            out.push('/');
        }
        out.push_str(path.trim_start_matches("./"));
        (!out.starts_with('/') && !out.split('/').any(|p| p == "..")).then_some(out)
    }

    pub fn artifact(&self, path: &str, junit: bool) -> Artifact {
        Artifact { path: path.to_owned(), junit }
    }
}

/// Words that end as the variables of a user and a password do.
fn halves(text: &str) -> std::collections::BTreeSet<String> {
    let mut out = std::collections::BTreeSet::new();
    for end in ["_USR", "_PSW"] {
        for (at, _) in text.match_indices(end) {
            let start = text[..at].bytes().rev().take(64).take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
            out.insert(text[at - start..at].to_owned());
        }
    }
    out
}

/// Steps of one list have names of their own.
pub fn unique(steps: &mut [Step]) {
    let mut seen = std::collections::HashMap::<String, usize>::new();
    for s in steps {
        let base = if s.name.is_empty() { "step".to_owned() } else { s.name.clone() };
        let mut name = base.clone();
        loop {
            let n = seen.entry(base.clone()).or_insert(0);
            *n += 1;
            if *n > 1 {
                name = format!("{base} {n}");
            }
            if name == base || seen.insert(name.clone(), 1).is_none() {
                break;
            }
        }
        s.name = name;
    }
}

pub fn as_call(s: &Stmt) -> Option<&Call> {
    match &s.kind {
        StmtKind::Call(c) => Some(c),
        _ => None,
    }
}

/// `timeout(time: 5, unit: 'HOURS')` and `timeout(5)`, in seconds.
pub fn seconds(call: &Call) -> Option<u64> {
    let n: u64 = call.arg("time").and_then(Value::literal)?.parse().ok()?;
    let unit = call.named("unit").and_then(Value::literal).unwrap_or(if call.name == "sleep" { "SECONDS" } else { "MINUTES" });
    let factor = match unit.to_uppercase().as_str() {
        "NANOSECONDS" | "MICROSECONDS" | "MILLISECONDS" => return Some(1),
        "SECONDS" => 1,
        "MINUTES" => 60,
        "HOURS" => 3_600,
        "DAYS" => 86_400,
        _ => return None,
    };
    n.checked_mul(factor).filter(|s| (1..=3_650 * 86_400).contains(s))
}

/// What shows that a file is a scripted pipeline: a node or a stage outside of `pipeline { … }`, whatever is around it.
fn scripted(stmts: &[Stmt]) -> Option<&Call> {
    stmts.iter().filter_map(as_call).find_map(|c| match c.name.as_str() {
        "node" | "podTemplate" | "stage" => Some(c),
        _ => scripted(c.body()),
    })
}
