//! The config.xml of a job: freestyle projects, and pipelines whose script stands inside. Both become what a Jenkinsfile would say.

use super::convert::{Converter, name_of};
use super::lexer::Piece;
use super::parse::{Arg, Call, Stmt, StmtKind, Value, ValueKind, parse};
use super::repair::{Imported, Request, finish};
use super::report::Line;
use super::source::{Bad, Source, Span};
use super::xml::{Element, read};
use crate::pipeline::diagnostic::show;
use crate::pipeline::expr::template::escape;

/// Elements that mean nothing to a pipeline, or nothing beside their neighbours.
const PLAIN: [&str; 12] = [
    "actions",
    "keepDependencies",
    "canRoam",
    "disabled",
    "blockBuildWhenDownstreamBuilding",
    "blockBuildWhenUpstreamBuilding",
    "description",
    "displayName",
    "sandbox",
    "jdk",
    "concurrentBuild",
    "customWorkspace",
];

pub fn import(request: &Request<'_>, source: &Source) -> Result<Imported, Bad> {
    let root = read(source)?;
    let tag = root.span.start..root.inside;
    match root.name.as_str() {
        "project" => freestyle(request, source, &root),
        "flow-definition" => flow(request, source, &root),
        "maven2-moduleset" | "matrix-project" => Err(Bad::refused(
            tag,
            format!("a `{}` job cannot be converted", show(&root.name)),
            "make it a freestyle job or a declarative pipeline first, or write the stages by hand",
        )),
        other if other.contains("MultiBranch") || other.contains("older") || other.contains("rganization") => Err(Bad::refused(
            tag,
            format!("`{}` holds jobs and is none itself", show(other)),
            "import the Jenkinsfile of the repository, or the config.xml of a job inside",
        )),
        other => Err(Bad::refused(
            tag,
            format!("`{}` is no job that the importer knows", show(other)),
            "name a Jenkinsfile, or the config.xml of a job",
        )),
    }
}

/// Opening tags and elements without children: all that a document says.
fn content(e: &Element, out: &mut Vec<Span>) {
    if e.children.is_empty() {
        out.push(e.span.clone());
        return;
    }
    out.push(e.span.start..e.inside);
    for c in &e.children {
        content(c, out);
    }
}

fn flow(request: &Request<'_>, source: &Source, root: &Element) -> Result<Imported, Bad> {
    let Some(definition) = root.child("definition") else {
        return Err(Bad::refused(root.span.start..root.inside, "the job has no definition", "is the file cut off?"));
    };
    let Some(script) = definition.child("script") else {
        let path = definition.find("scriptPath").map_or("Jenkinsfile", |e| e.text.trim());
        let url = definition.find("url").map_or("its repository", |e| e.text.trim());
        let message = format!("the pipeline itself is not in this file: it is `{}` of {}", show(path), show(url));
        return Err(Bad::refused(definition.span.clone(), message, "check that out, and import the Jenkinsfile"));
    };
    let mut outer = Converter::new(source, request.origin, request.name, request.catalog, &[]);
    outer.report.converted(&(root.span.start..root.inside), "job", "the file");
    outer.report.converted(&definition.span, "definition", "the pipeline inside");
    common(&mut outer, root);
    let parts = Parts::of(&mut outer, root);
    parts.properties(&mut outer, root);
    let known = ["definition", "properties", "triggers"];
    unknown(&mut outer, root, &known);
    // Lines keep their numbers: the script stands where it stood.
    let first = source.line(script.inside);
    let inner = Source::new(format!("{}{}", "\n".repeat(first - 1), script.text));
    let parsed = parse(&inner)?;
    let mut c = Converter::new(&inner, request.origin, request.name, request.catalog, &parsed.comments);
    (c.file, c.top) = (outer.file.clone(), outer.top.clone());
    c.inherited = c.file.parameters.len();
    // A job with a script inside checks nothing out by itself.
    c.checkout.off = true;
    c.jenkinsfile(&parsed.stmts)?;
    let mut made = finish(c, request, &parsed.content)?;
    let mut all = Vec::new();
    content(root, &mut all);
    let last = source.last_line(&script.span);
    outer.report.converted(&script.span, "script", "the pipeline inside");
    let outside = outer.report.lines(source, &all).into_iter().filter(|l| l.line < first || l.line > last);
    let mut lines: Vec<Line> = outside.chain(made.report).collect();
    lines.sort_by_key(|l| l.line);
    made.report = lines;
    Ok(made)
}

fn freestyle(request: &Request<'_>, source: &Source, root: &Element) -> Result<Imported, Bad> {
    let mut c = Converter::new(source, request.origin, request.name, request.catalog, &[]);
    let tag = root.span.start..root.inside;
    c.report.converted(&tag, "job", "the file");
    common(&mut c, root);
    let scm = root.child("scm");
    match scm.filter(|s| s.class.ends_with("GitSCM")) {
        Some(s) => {
            c.checkout.url = s.find("url").map(|u| escape(u.text.trim()).into_owned()).filter(|u| !u.is_empty());
            c.checkout.reference = s
                .find("hudson.plugins.git.BranchSpec")
                .map(|b| escape(b.of("name").trim_start_matches("*/").trim_start_matches("refs/heads/")).into_owned())
                .filter(|r| !r.is_empty() && !r.contains('*'));
            let id = s.find("credentialsId").map(|e| e.text.trim().to_owned()).filter(|i| !i.is_empty());
            c.checkout.secret = id.map(|i| c.secret(&i));
            c.report.approximated(
                &s.span,
                "scm git",
                "a stage with git/checkout; extensions of the git plugin are left out",
                "look at its branch, depth and submodules",
            );
        }
        None => {
            c.checkout.off = true;
            match scm {
                Some(s) if !s.class.ends_with("NullSCM") => {
                    c.report.manual(&s.span, "scm", format!("`{}` has no counterpart", show(&s.class)), "check out in a script");
                }
                Some(s) => c.report.converted(&s.span, "scm", "none"),
                None => {}
            }
        }
    }
    let mut parts = Parts::of(&mut c, root);
    let steps = parts.builders(&mut c, root);
    let steps = parts.wrapped(&mut c, root, steps);
    let post = publishers(&mut c, root);
    unknown(
        &mut c,
        root,
        &["properties", "triggers", "builders", "publishers", "buildWrappers", "scm", "logRotator", "assignedNode", "quietPeriod"],
    );
    let stage = block("stage", vec![(None, text("Build", &tag))], vec![stmt(block("steps", Vec::new(), steps, &tag))], &tag);
    let mut body = vec![
        stmt(block("options", Vec::new(), parts.options, &tag)),
        stmt(block("parameters", Vec::new(), parts.parameters, &tag)),
        stmt(block("triggers", Vec::new(), parts.triggers, &tag)),
        stmt(block("stages", Vec::new(), vec![stmt(stage)], &tag)),
    ];
    if !post.is_empty() {
        body.push(stmt(block("post", Vec::new(), vec![stmt(block("always", Vec::new(), post, &tag))], &tag)));
    }
    c.pipeline(&block("pipeline", Vec::new(), body, &tag))?;
    let mut all = Vec::new();
    content(root, &mut all);
    finish(c, request, &all)
}

/// Description and the small switches.
fn common(c: &mut Converter<'_>, root: &Element) {
    c.file.description = root.of("description").split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect();
    for e in root.children.iter().filter(|e| PLAIN.contains(&e.name.as_str())) {
        match e.name.as_str() {
            "disabled" if e.text.trim() == "true" => {
                c.report.manual(
                    &e.span,
                    "disabled",
                    "a file in the pipelines directory can always be started",
                    "keep the file out of that directory until it is wanted",
                );
            }
            "customWorkspace" => c.report.manual(&e.span, "customWorkspace", "each run has a workspace of its own", "`cd` in the scripts"),
            "jdk" if !matches!(e.text.trim(), "" | "(Default)" | "(System)") => {
                c.report.manual(&e.span, "jdk", "programs are found on PATH", "set JAVA_HOME and PATH in `env:`");
            }
            _ => c.report.converted(&e.span, &e.name, "as it is here anyway"),
        }
    }
}

fn unknown(c: &mut Converter<'_>, root: &Element, known: &[&str]) {
    for e in &root.children {
        if known.contains(&e.name.as_str()) {
            c.report.converted(&(e.span.start..e.inside), &e.name, "see its parts");
        } else if !PLAIN.contains(&e.name.as_str()) {
            c.report.manual(&e.span, show(&e.name), "the importer does not know this", "write it by hand if it matters");
        }
    }
}

fn text(value: &str, span: &Span) -> Value {
    Value { kind: ValueKind::Str(vec![Piece::Text(value.to_owned())]), span: span.clone() }
}

fn word(value: &str, span: &Span) -> Value {
    Value { kind: ValueKind::Word(value.to_owned()), span: span.clone() }
}

fn call(name: &str, args: Vec<(Option<&str>, Value)>, span: &Span) -> Call {
    let args = args.into_iter().map(|(n, value)| Arg { name: n.map(str::to_owned), value }).collect();
    Call { name: name.to_owned(), args, body: None, span: span.clone(), head: span.clone() }
}

fn block(name: &str, args: Vec<(Option<&str>, Value)>, body: Vec<Stmt>, span: &Span) -> Call {
    Call { body: Some(body), ..call(name, args, span) }
}

fn stmt(c: Call) -> Stmt {
    Stmt { span: c.span.clone(), kind: StmtKind::Call(c) }
}

/// The parts of a job as a Jenkinsfile would write them.
#[derive(Default)]
struct Parts {
    options: Vec<Stmt>,
    parameters: Vec<Stmt>,
    triggers: Vec<Stmt>,
}

impl Parts {
    fn of(c: &mut Converter<'_>, root: &Element) -> Self {
        let mut p = Self::default();
        for e in root.child("properties").map(|e| e.children.as_slice()).unwrap_or_default() {
            match e.short() {
                "ParametersDefinitionProperty" => {
                    c.report.converted(&(e.span.start..e.inside), "parameters", "parameters");
                    for list in &e.children {
                        c.report.converted(&(list.span.start..list.inside), "parameters", "parameters");
                        p.parameters.extend(list.children.iter().map(parameter));
                    }
                }
                "PipelineTriggersJobProperty" => {
                    c.report.converted(&(e.span.start..e.inside), "triggers", "triggers");
                    for list in &e.children {
                        c.report.converted(&(list.span.start..list.inside), "triggers", "triggers");
                        p.triggers.extend(list.children.iter().map(trigger));
                    }
                }
                "BuildDiscarderProperty" => p.options.push(discarder(e)),
                "DisableConcurrentBuildsJobProperty" => {
                    let abort = if e.is("abortPrevious") { "true" } else { "false" };
                    p.options.push(stmt(call("disableConcurrentBuilds", vec![(Some("abortPrevious"), word(abort, &e.span))], &e.span)));
                }
                "GithubProjectProperty" | "DisableResumeJobProperty" | "GitLabConnectionProperty" => {
                    c.report.approximated(&e.span, show(e.short()), "a link for people, or as it is here anyway", "");
                }
                other => p.options.push(stmt(call(other, Vec::new(), &e.span))),
            }
        }
        p.triggers.extend(root.child("triggers").map(|t| t.children.iter().map(trigger).collect::<Vec<_>>()).unwrap_or_default());
        if let Some(e) = root.child("logRotator") {
            p.options.push(discarder(e));
        }
        if root.name == "project" {
            if let Some(e) = root.child("concurrentBuild").filter(|e| e.text.trim() != "true") {
                p.options.push(stmt(call("disableConcurrentBuilds", Vec::new(), &e.span)));
            }
            if let Some(e) = root.child("assignedNode") {
                c.report.approximated(
                    &e.span,
                    "assignedNode",
                    "every step runs on this machine",
                    "call ssh in the scripts where another machine is needed",
                );
            }
            if let Some(e) = root.child("quietPeriod") {
                p.options.push(stmt(call("quietPeriod", Vec::new(), &e.span)));
            }
        }
        p
    }

    /// For a job whose pipeline says its own: what the job says beside it.
    fn properties(self, c: &mut Converter<'_>, root: &Element) {
        let tag = root.child("properties").map_or(root.span.start..root.inside, |e| e.span.start..e.inside);
        c.parameters(&block("parameters", Vec::new(), self.parameters, &tag));
        c.options(&block("options", Vec::new(), self.options, &tag));
        c.triggers(&block("triggers", Vec::new(), self.triggers, &tag));
    }

    fn builders(&mut self, c: &mut Converter<'_>, root: &Element) -> Vec<Stmt> {
        let mut steps = Vec::new();
        for e in root.child("builders").map(|e| e.children.as_slice()).unwrap_or_default() {
            match e.short() {
                "Shell" => {
                    if e.of("unstableReturn").parse::<u8>().is_ok_and(|n| n > 0) {
                        c.report.manual(
                            &e.span,
                            "shell",
                            "an exit code that makes a build unstable fails it here",
                            "look at its exit codes in the script",
                        );
                    }
                    let script = e.child("command").map_or("", |c| c.text.as_str());
                    steps.push(stmt(call("sh", vec![(None, text(script, &e.span))], &e.span)));
                }
                "TriggerBuilder" => steps.extend(triggered(c, e)),
                "BatchFile" => steps.push(stmt(call("bat", vec![(None, text(e.of("command"), &e.span))], &e.span))),
                other => steps.push(stmt(call(other, Vec::new(), &e.span))),
            }
        }
        if steps.is_empty() {
            let span = root.span.start..root.inside;
            c.report.manual(&span, "builders", "the job has no build steps", "write them");
        }
        steps
    }

    /// Build wrappers around the steps: timeouts and credentials; the rest as options.
    fn wrapped(&mut self, c: &mut Converter<'_>, root: &Element, mut steps: Vec<Stmt>) -> Vec<Stmt> {
        for e in root.child("buildWrappers").map(|e| e.children.as_slice()).unwrap_or_default() {
            match e.short() {
                "BuildTimeoutWrapper" => {
                    let minutes = e.find("timeoutMinutes").map_or("", |m| m.text.trim());
                    self.options.push(stmt(call("timeout", vec![(Some("time"), word(minutes, &e.span))], &e.span)));
                }
                "SecretBuildWrapper" => {
                    let bindings: Vec<Value> = e.child("bindings").map(|b| b.children.iter().map(binding).collect()).unwrap_or_default();
                    let list = Value { kind: ValueKind::List(bindings), span: e.span.clone() };
                    steps = vec![stmt(Call { span: e.span.clone(), ..block("withCredentials", vec![(None, list)], steps, &e.span) })];
                }
                "TimestamperBuildWrapper" => self.options.push(stmt(call("timestamps", Vec::new(), &e.span))),
                "AnsiColorBuildWrapper" => self.options.push(stmt(call("ansiColor", Vec::new(), &e.span))),
                "PreBuildCleanup" => {
                    c.report.approximated(&e.span, "clean workspace", "each run has a workspace of its own, empty at its start", "");
                }
                other => c.report.manual(&e.span, show(other), "the importer does not know this wrapper", "write what it does as a script"),
            }
        }
        steps
    }
}

/// "Trigger/call builds on other projects": a call of `build` for each of them.
fn triggered(c: &mut Converter<'_>, e: &Element) -> Vec<Stmt> {
    let mut out = Vec::new();
    for config in e.child("configs").map(|c| c.children.as_slice()).unwrap_or_default() {
        let mut parameters = Vec::new();
        for p in config.child("configs").map(|c| c.children.as_slice()).unwrap_or_default() {
            match p.short() {
                "PredefinedBuildParameters" => parameters.extend(predefined(p.of("properties"), &p.span)),
                "BooleanParameters" => {
                    for b in p.child("configs").map(|c| c.children.as_slice()).unwrap_or_default() {
                        let args = vec![(Some("name"), text(b.of("name"), &b.span)), (Some("value"), word(b.of("value").trim(), &b.span))];
                        parameters
                            .push(Value { kind: ValueKind::Call(Box::new(call("booleanParam", args, &b.span))), span: b.span.clone() });
                    }
                }
                other => c.report.manual(
                    &p.span,
                    show(other),
                    "the importer does not know these parameters of another job",
                    "write them below `build: parameters:`",
                ),
            }
        }
        let wait = if config.child("block").is_some() { "true" } else { "false" };
        for job in config.of("projects").split(',').map(str::trim).filter(|j| !j.is_empty()) {
            let list = Value { kind: ValueKind::List(parameters.clone()), span: config.span.clone() };
            let args = vec![(Some("job"), text(job, &config.span)), (Some("parameters"), list), (Some("wait"), word(wait, &config.span))];
            out.push(stmt(call("build", args, &config.span)));
        }
    }
    c.report.converted(&(e.span.start..e.inside), "build step", "see its parts");
    if out.is_empty() {
        out.push(stmt(call("TriggerBuilder", Vec::new(), &e.span)));
    }
    out
}

/// `NAME=value` a line; `$OTHER` and `${OTHER}` in a value are variables of the build.
fn predefined(properties: &str, span: &Span) -> Vec<Value> {
    let one = |line: &str| {
        let (name, mut rest) = line.split_once('=').map(|(n, v)| (n.trim(), v.trim()))?;
        let mut pieces = Vec::new();
        while let Some(at) = rest.find('$') {
            let (before, behind) = (rest.get(..at)?, rest.get(at + 1..)?);
            let inner = behind.strip_prefix('{').and_then(|b| b.split_once('}'));
            let (variable, after) = inner.unwrap_or_else(|| {
                let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(behind.len());
                behind.split_at(end)
            });
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(if variable.is_empty() { Piece::Text("$".into()) } else { Piece::Expr(variable.to_owned()) });
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        pieces.retain(|p| *p != Piece::Text(String::new()));
        let value = Value { kind: ValueKind::Str(pieces), span: span.clone() };
        let call = call("string", vec![(Some("name"), text(name, span)), (Some("value"), value)], span);
        Some(Value { kind: ValueKind::Call(Box::new(call)), span: span.clone() })
    };
    properties.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).filter_map(one).collect()
}

fn discarder(e: &Element) -> Stmt {
    let number = |n: &str| e.find(n).map(|v| text(v.text.trim(), &e.span));
    let args = [("numToKeepStr", number("numToKeep")), ("daysToKeepStr", number("daysToKeep"))];
    let args = args.into_iter().filter_map(|(k, v)| Some((Some(k), v?))).collect();
    let inner = call("logRotator", args, &e.span);
    stmt(call("buildDiscarder", vec![(None, Value { kind: ValueKind::Call(Box::new(inner)), span: e.span.clone() })], &e.span))
}

fn parameter(e: &Element) -> Stmt {
    let kind = match e.short() {
        "StringParameterDefinition" => "string",
        "TextParameterDefinition" => "text",
        "BooleanParameterDefinition" => "booleanParam",
        "ChoiceParameterDefinition" => "choice",
        "PasswordParameterDefinition" => "password",
        other => other,
    };
    let mut args = vec![(Some("name"), text(e.of("name"), &e.span)), (Some("description"), text(e.of("description"), &e.span))];
    if kind == "choice" {
        let mut values = Vec::new();
        strings(e.child("choices"), &mut values);
        let items = values.iter().map(|v| text(v, &e.span)).collect();
        args.push((Some("choices"), Value { kind: ValueKind::List(items), span: e.span.clone() }));
    } else if kind == "booleanParam" {
        args.push((Some("defaultValue"), word(e.of("defaultValue"), &e.span)));
    } else if kind != "password" {
        args.push((Some("defaultValue"), text(e.of("defaultValue"), &e.span)));
    }
    stmt(call(kind, args, &e.span))
}

fn strings(e: Option<&Element>, out: &mut Vec<String>) {
    for c in e.map(|e| e.children.as_slice()).unwrap_or_default() {
        if c.name == "string" {
            out.push(c.text.clone());
        }
        strings(Some(c), out);
    }
}

fn trigger(e: &Element) -> Stmt {
    let spec = || vec![(None, text(e.of("spec"), &e.span))];
    stmt(match e.short() {
        "TimerTrigger" => call("cron", spec(), &e.span),
        "SCMTrigger" => call("pollSCM", spec(), &e.span),
        "ReverseBuildTrigger" => {
            let threshold = e.find("threshold").map_or("SUCCESS", |t| t.of("name"));
            let args = vec![
                (Some("upstreamProjects"), text(e.of("upstreamProjects"), &e.span)),
                (Some("threshold"), word(if threshold.is_empty() { "SUCCESS" } else { threshold }, &e.span)),
            ];
            call("upstream", args, &e.span)
        }
        other => call(other, Vec::new(), &e.span),
    })
}

fn binding(e: &Element) -> Value {
    let kind = match e.short() {
        "StringBinding" => "string",
        "FileBinding" => "file",
        "UsernamePasswordMultiBinding" => "usernamePassword",
        "SSHUserPrivateKeyBinding" => "sshUserPrivateKey",
        other => other,
    };
    let fields = ["credentialsId", "variable", "usernameVariable", "passwordVariable", "keyFileVariable"];
    let args = fields.into_iter().filter_map(|f| e.child(f).map(|c| (Some(f), text(c.text.trim(), &e.span)))).collect();
    Value { kind: ValueKind::Call(Box::new(call(kind, args, &e.span))), span: e.span.clone() }
}

fn publishers(c: &mut Converter<'_>, root: &Element) -> Vec<Stmt> {
    let mut steps = Vec::new();
    for e in root.child("publishers").map(|e| e.children.as_slice()).unwrap_or_default() {
        match e.short() {
            "ArtifactArchiver" => {
                let mut args = vec![(Some("artifacts"), text(e.of("artifacts"), &e.span))];
                if !e.of("excludes").is_empty() {
                    args.push((Some("excludes"), text(e.of("excludes"), &e.span)));
                }
                steps.push(stmt(call("archiveArtifacts", args, &e.span)));
            }
            "JUnitResultArchiver" => {
                steps.push(stmt(call("junit", vec![(Some("testResults"), text(e.of("testResults"), &e.span))], &e.span)))
            }
            "WsCleanup" => steps.push(stmt(call("cleanWs", Vec::new(), &e.span))),
            "Fingerprinter" => steps.push(stmt(call("fingerprint", Vec::new(), &e.span))),
            "BuildTrigger" => {
                let listed = [e.child("childProjects"), e.find("projects")].into_iter().flatten().map(|p| p.text.as_str());
                let names: Vec<String> = listed.flat_map(|p| p.split(',')).map(str::trim).filter(|p| !p.is_empty()).map(name_of).collect();
                c.report.manual(
                    &e.span,
                    "downstream jobs",
                    "here the later pipeline names the earlier one",
                    format!("add `triggers: [{{upstream: {}}}]` to {}", c.file.name, names.join(", ")),
                );
            }
            "Mailer" | "ExtendedEmailPublisher" => steps.push(stmt(call("mail", Vec::new(), &e.span))),
            other => c.report.manual(
                &e.span,
                show(other),
                "the importer does not know this publisher",
                "write what it does as a step of `post:`",
            ),
        }
    }
    steps
}
