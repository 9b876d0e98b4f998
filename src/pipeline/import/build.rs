//! `build job:` to a stage that is a run of another pipeline; where no stage can be, to the command line that starts one.

use super::convert::{Converter, Ctx, Place, as_call, name_of};
use super::lexer::Piece;
use super::out::{Build, Pairs, Stage, build_text};
use super::parse::{Call, Stmt, Value, ValueKind};
use super::shell;
use super::source::{Bad, Span};
use super::steps::{Attrs, Segment, add, lean};
use crate::pipeline::diagnostic::show;

/// Arguments of the step that are looked at.
const KNOWN: [&str; 6] = ["job", "parameters", "wait", "propagate", "quietPeriod", "waitForStart"];
const COMPUTED: &str = "let a step before it report an output, and write `${stages.NAME.outputs.OUTPUT}` below `build: parameters:`";

impl Converter<'_> {
    pub fn build(&mut self, c: &Call, span: &Span, ctx: &Ctx, attrs: &Attrs, segments: &mut Vec<Segment>) {
        let job = c.arg("job").filter(|v| v.pieces().is_some()).and_then(Value::literal);
        let Some(job) = job.filter(|j| !j.trim().is_empty()) else {
            return self.hand(span, "build", "its job is computed", "write a `build:` stage for each job that it may be", attrs, segments);
        };
        let pipeline = name_of(job.rsplit('/').next().unwrap_or(job));
        let Some(wait) = choice(c, "wait", true) else {
            return self.hand(span, "build", "`wait` is computed", "write a `build:` stage", attrs, segments);
        };
        let Some(propagate) = choice(c, "propagate", true) else {
            return self.hand(
                span,
                "build",
                "`propagate` is computed",
                "write a `build:` stage, with `allow_failure:` or without",
                attrs,
                segments,
            );
        };
        if let Some(strange) = c.args.iter().filter_map(|a| a.name.as_deref()).find(|n| !KNOWN.contains(n)) {
            let why = format!("`{}` has no counterpart", show(strange));
            return self.hand(span, "build", &why, "write a `build:` stage", attrs, segments);
        }
        if ctx.place != Place::Stage {
            return self.build_by_command(c, span, &pipeline, wait && propagate, ctx, attrs, segments);
        }
        let parameters = match self.build_parameters(c, ctx) {
            Ok(p) => p,
            Err((why, help)) => return self.hand(span, "build", &why, help, attrs, segments),
        };
        let build = Build { pipeline, parameters, wait };
        let name = show(&build.pipeline);
        let known = self.catalog.pipelines.contains(&build.pipeline) && build.pipeline != self.file.name;
        if !known {
            let why = if build.pipeline == self.file.name {
                "a pipeline that builds itself would never end".to_owned()
            } else {
                format!("the site has no pipeline {name}")
            };
            let help = "import that job too, then make the `build:` stage that stands there as a comment";
            let mut step = self.by_hand(span, "build", &why, help);
            step.comments.push(format!("Once there is a pipeline {name}, make this step a stage of its own, with this instead of steps:"));
            step.comments.push(build_text(&build));
            if !propagate {
                step.comments.push("allow_failure: true".into());
            }
            return add(segments, attrs, step);
        }
        let mut lost = Vec::new();
        if wait && !propagate {
            lost.push("its failure is shown at the stage, and the run goes on");
        }
        if attrs.retry.is_some() {
            lost.push("it is started once: what is tried again is said in the file of that pipeline");
        }
        if c.named("waitForStart").is_some_and(Value::is_true) {
            lost.push("it is enough that it is queued");
        }
        if c.named("quietPeriod").is_some() {
            lost.push("it begins at once");
        }
        let what = if wait { "a stage that is a run of that pipeline" } else { "a stage that is a run of that pipeline, not waited for" };
        match lost.is_empty() {
            true => self.report.converted(span, "build", what),
            false => self.report.approximated(
                span,
                "build",
                format!("{what}; {}", lost.join("; ")),
                "look at `retry:` of its file where it matters",
            ),
        }
        let attrs_of = Attrs {
            allow_failure: attrs.allow_failure || (wait && !propagate),
            timeout: ctx.timeout.or(attrs.timeout).filter(|_| wait),
            ..attrs.clone()
        };
        segments.push(Segment { attrs: attrs_of, build: Some(build), span: Some(span.clone()), ..Segment::default() });
        segments.push(Segment { attrs: attrs.clone(), ..Segment::default() });
    }

    /// Values as templates: a run is started by the engine, which knows no variable of a shell.
    fn build_parameters(&mut self, c: &Call, ctx: &Ctx) -> Result<Pairs, (String, &'static str)> {
        let mut out = Pairs::new();
        let Some(list) = c.named("parameters") else { return Ok(out) };
        if !matches!(list.kind, ValueKind::List(_)) {
            return Err(("its parameters are computed".into(), COMPUTED));
        }
        for p in list.items() {
            let kind = match &p.kind {
                ValueKind::Call(c) => c.name.clone(),
                ValueKind::Map(_) => p.entry("$class").and_then(Value::literal).unwrap_or_default().to_owned(),
                _ => return Err(("a parameter is computed".into(), COMPUTED)),
            };
            let kind = kind.rsplit('.').next().unwrap_or_default();
            match kind {
                "string" | "text" | "booleanParam" | "StringParameterValue" | "TextParameterValue" | "BooleanParameterValue" => {}
                "password" | "credentials" | "PasswordParameterValue" => {
                    return Err((
                        "a secret is no parameter here: it would stand in the run's row".into(),
                        "name the secret in the file of that pipeline",
                    ));
                }
                other => return Err((format!("a parameter of kind `{}` has no counterpart", show(other)), COMPUTED)),
            }
            let key = p.entry("name").and_then(Value::literal).filter(|k| shell::is_variable(k));
            let Some(key) = key.map(str::to_owned) else { return Err(("the name of a parameter is computed".into(), COMPUTED)) };
            let value = p.entry("value").and_then(|v| match (v.pieces(), v.literal()) {
                (Some(pieces), _) => shell::template(pieces, &ctx.scope),
                (None, Some(w)) if w.starts_with(|c: char| c.is_ascii_digit()) || matches!(w, "true" | "false") => Some(w.to_owned()),
                (None, Some(w)) => shell::template(&[Piece::Expr(w.to_owned())], &ctx.scope),
                (None, None) => None,
            });
            match value.filter(|v| !v.contains('\0')) {
                Some(v) if out.iter().all(|(k, _)| *k != key) => out.push((key, v)),
                Some(_) => return Err((format!("`{key}` stands twice"), "keep one")),
                None => return Err((format!("`{key}` is known only while steps run"), COMPUTED)),
            }
        }
        Ok(out)
    }

    /// Jobs that the pipeline starts at its end: last stages with a condition, for a post section has no `build:`.
    pub fn post_builds(&mut self, post: &Call, ctx: &Ctx) -> Result<(), Bad> {
        let needs: Vec<String> = self.file.stages.iter().map(|s| s.name.clone()).collect();
        for (when, s) in self.set_aside(post, ctx) {
            self.afterwards(&s, ctx, "Afterwards", (when, when), &needs)?;
        }
        Ok(())
    }

    /// The same for the post section of the stage `of`: stages behind it, which those that follow wait for too. Their names.
    pub fn stage_post_builds(&mut self, aside: Vec<(&'static str, Stmt)>, ctx: &Ctx, of: &str) -> Result<Vec<String>, Bad> {
        let mut out = Vec::new();
        for (when, s) in aside {
            let verdict = format!("stages.\"{of}\".verdict");
            // A stage that did not run has no post section, whatever became of those before it.
            let condition = match when {
                "always" => format!("always and {verdict} != \"skipped\""),
                "failure" => format!("always and {verdict} != \"success\" and {verdict} != \"skipped\""),
                _ => format!("{when} and {verdict} == \"success\""),
            };
            out.extend(self.afterwards(&s, ctx, &format!("{of} afterwards"), (when, &condition), &[of.to_owned()])?);
        }
        Ok(out)
    }

    /// The jobs that a post section starts and that can be stages: its steps leave them out from now on.
    pub fn set_aside(&mut self, post: &Call, ctx: &Ctx) -> Vec<(&'static str, Stmt)> {
        let mut out = Vec::new();
        for (when, part) in post.body().iter().filter_map(as_call).filter_map(|c| Some((occasion(c)?, c))) {
            for (s, c) in part.body().iter().filter_map(|s| Some((s, starts(s)?))) {
                // What only a step knows, such as how the run ended, is left to the command line.
                if self.build_parameters(c, ctx).is_ok() {
                    self.afterwards.insert(s.span.start);
                    out.push((when, s.clone()));
                }
            }
        }
        out
    }

    /// One of them as a stage; the names of what was made.
    fn afterwards(
        &mut self,
        s: &Stmt,
        ctx: &Ctx,
        name: &str,
        (when, condition): (&str, &str),
        needs: &[String],
    ) -> Result<Vec<String>, Bad> {
        let Some(c) = starts(s) else { return Ok(Vec::new()) };
        let (mut segments, mut out) = (Vec::new(), Vec::new());
        self.build(c, &s.span, ctx, &Attrs::default(), &mut segments);
        for seg in segments.into_iter().filter(Segment::is_something) {
            if seg.build.is_some() {
                self.report.approximated(
                    &s.span,
                    "build",
                    format!("a stage with `when: {condition}`, before the other steps of the post section"),
                    "its verdict counts: write `allow_failure: true` where it must not",
                );
            }
            let stage = Stage {
                name: format!("{name} {when}"),
                when: Some(condition.to_owned()),
                allow_failure: seg.attrs.allow_failure,
                build: seg.build,
                steps: seg.steps,
                ..Stage::default()
            };
            out.push(self.push(stage, &s.span, needs)?);
        }
        Ok(out)
    }

    /// In a post section, and beside other steps of a matrix' cell, a step starts the run.
    #[allow(clippy::too_many_arguments)]
    fn build_by_command(
        &mut self,
        c: &Call,
        span: &Span,
        pipeline: &str,
        wait: bool,
        ctx: &Ctx,
        attrs: &Attrs,
        segments: &mut Vec<Segment>,
    ) {
        let by_hand = "write `quarterdeck run NAME -p k=v`";
        let mut words = vec!["quarterdeck run".to_owned(), pipeline.to_owned()];
        for p in c.named("parameters").map(Value::items).unwrap_or_default() {
            let key = p.entry("name").and_then(Value::literal).filter(|k| shell::is_variable(k));
            let value = p.entry("value").and_then(|v| match (v.pieces(), v.literal()) {
                (Some(pieces), _) => shell::word(pieces, &ctx.scope).ok(),
                (None, Some(w)) if matches!(w, "true" | "false") => Some(w.to_owned()),
                (None, Some(w)) => shell::word(&[Piece::Expr(w.to_owned())], &ctx.scope).ok(),
                (None, None) => None,
            });
            match (key, value) {
                (Some(k), Some(v)) if !v.contains('\0') => words.push(format!("-p {k}={v}")),
                _ => return self.hand(span, "build", "a parameter is computed", by_hand, attrs, segments),
            }
        }
        if wait {
            words.push("--wait".into());
        }
        let place = if ctx.place == Place::Post { "a post section" } else { "a cell with other steps" };
        let known = if self.catalog.pipelines.iter().any(|p| p == pipeline) { "" } else { "; the site has no such pipeline yet" };
        let body = words.join(" ");
        let step = self.script(&lean(ctx, &body), &body, &format!("run {pipeline}"));
        self.report.approximated(
            span,
            "build",
            format!("{place} has no `build:` stage: the command line starts the run{known}"),
            "the step must reach the engine: set QUARTERDECK_STATE_DIR in `env:` where it is not the default; each waiting run takes an executor",
        );
        add(segments, attrs, step);
    }
}

/// The condition that an occasion of a post section is for a stage; none where it is no such one.
fn occasion(c: &Call) -> Option<&'static str> {
    match c.name.as_str() {
        "always" | "cleanup" => Some("always"),
        "success" => Some("success"),
        "failure" => Some("failure"),
        "fixed" => Some("fixed"),
        _ => None,
    }
}

/// The `build` that a statement is.
fn starts(s: &Stmt) -> Option<&Call> {
    as_call(s).filter(|c| c.name == "build")
}

/// `true` or `false` of a named argument; none where it is computed.
fn choice(c: &Call, name: &str, default: bool) -> Option<bool> {
    match c.named(name) {
        None => Some(default),
        Some(v) => match v.literal() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        },
    }
}
