//! Checkouts: the one that Jenkins does by itself, `checkout scm`, `git`, and `checkout` with a source of its own.

use super::convert::{Converter, Ctx, Place, as_call};
use super::out::{Action, Parameter, Stage, Step};
use super::parse::{Call, Stmt, Value};
use super::shell;
use super::source::Span;
use super::steps::{Attrs, Segment, add};
use crate::pipeline::diagnostic::show;

impl Converter<'_> {
    /// Jenkins checks out by itself; here a stage does.
    pub fn implicit_checkout(&mut self, pipeline: &Call, at: &Span) {
        let explicit = mentions_checkout(pipeline.body(), 0);
        if self.checkout.off || explicit {
            return;
        }
        let url = self.checkout.url.is_some();
        let dest = self.checkout.dest.clone().unwrap_or_else(|| ".".into());
        let step = self.checkout_step(&dest);
        let when = (!url).then(|| "have.git and params.scm_url != \"\"".to_owned());
        let stage = Stage { name: "Checkout SCM".into(), when, steps: vec![step], ..Stage::default() };
        let needs: Vec<String> = self.file.stages.last().map(|s| s.name.clone()).into_iter().collect();
        if self.push(stage, at, &needs).is_ok() {
            self.checkout.done = true;
        }
        if !url {
            self.report.approximated(
                at,
                "implicit checkout",
                "the original does not say which repository: a parameter does",
                "give `scm_url` a default; while it is empty nothing is checked out",
            );
        }
    }

    pub fn scm(&mut self, c: &Call, span: &Span, ctx: &Ctx, attrs: &Attrs, segments: &mut Vec<Segment>) {
        let own = c.positional(0).and_then(Value::literal) == Some("scm");
        if own && self.checkout.done && ctx.dirs.is_empty() && ctx.place == Place::Stage {
            return self.report.converted(span, "checkout scm", "the stage `Checkout SCM` did it already");
        }
        let dest = match self.below(ctx, ".").map(|d| d.trim_end_matches("/.").to_owned()) {
            Some(d) if ctx.dirs.len() <= 1 => d,
            _ => return self.hand(span, &c.name, "its directory is computed", "write `git/checkout` with `dest:`", attrs, segments),
        };
        if own {
            let mut step = self.checkout_step(&dest);
            step.name = "checkout".into();
            if dest == "." {
                self.checkout.done = true;
            }
            if self.checkout.url.is_none() {
                self.report.approximated(
                    span,
                    "checkout scm",
                    "git/checkout; the original does not say which repository",
                    "give `scm_url` a default",
                );
            } else {
                self.report.converted(span, "checkout scm", "git/checkout");
            }
            return add(segments, attrs, step);
        }
        // `git url: …`, `checkout scmGit(…)`, `checkout([$class: 'GitSCM', …])`.
        let source = c.args.first().map(|a| &a.value);
        let entry = |key: &str| source.and_then(|v| v.entry(key));
        let (url, reference, credentials) = if c.name == "git" {
            (c.arg("url"), c.named("branch").or_else(|| c.positional(1)), c.named("credentialsId"))
        } else {
            let remote = entry("userRemoteConfigs").and_then(|v| v.items().first());
            let branch = entry("branches").and_then(|v| v.items().first());
            (remote.and_then(|r| r.entry("url")), branch.and_then(|b| b.entry("name")), remote.and_then(|r| r.entry("credentialsId")))
        };
        let template = |v: &Value| v.pieces().and_then(|p| shell::template(p, &ctx.scope));
        let Some(url) = url.and_then(template) else {
            return self.hand(
                span,
                &c.name,
                "its address is computed, or it is no git",
                "write `git/checkout` with `url:`",
                attrs,
                segments,
            );
        };
        let mut with = vec![("url".to_owned(), url), ("dest".to_owned(), dest)];
        match reference.map(template) {
            None if c.name == "git" => with.push(("ref".into(), "master".into())),
            None => {}
            Some(Some(r)) => with.push(("ref".into(), r.trim_start_matches("*/").trim_start_matches("refs/heads/").to_owned())),
            Some(None) => return self.hand(span, &c.name, "its branch is computed", "write `git/checkout` with `ref:`", attrs, segments),
        }
        let mut step = Step { name: "checkout".into(), timeout: ctx.timeout, ..Step::default() };
        match credentials.and_then(Value::literal).map(|id| self.secret(id)) {
            Some(s) if s.known => {
                with.push(("credentials".into(), s.name.clone()));
                step.secrets.push(s);
                self.report.converted(span, show(&c.name), "git/checkout");
            }
            Some(s) => {
                step.comments.push(format!("It needs the secret {0}: add `secrets: [{0}]`, and `credentials: {0}` below `with:`.", s.name));
                self.report.approximated(
                    span,
                    show(&c.name),
                    format!("git/checkout, without the secret {}: the site lacks it", s.name),
                    "add it to [secrets] of the site file (user:password), and name it in the step",
                );
            }
            None if with.iter().any(|(k, v)| k == "ref" && v == "master" && reference.is_none()) => {
                self.report.approximated(
                    span,
                    show(&c.name),
                    "git/checkout of `master`, as the git step of Jenkins takes it",
                    "say the branch in `ref:`",
                );
            }
            None => self.report.converted(span, show(&c.name), "git/checkout"),
        }
        step.action = Action::Uses { kind: "git/checkout", with };
        add(segments, attrs, step);
    }

    /// The checkout of the job's own repository.
    pub fn checkout_step(&mut self, dest: &str) -> Step {
        let mut with = Vec::new();
        let mut step = Step { name: "checkout".into(), ..Step::default() };
        match self.checkout.url.clone() {
            Some(url) => {
                with.push(("url".to_owned(), url));
                if let Some(r) = &self.checkout.reference {
                    with.push(("ref".into(), r.clone()));
                }
                if let Some(s) = &self.checkout.secret {
                    if s.known {
                        with.push(("credentials".into(), s.name.clone()));
                        step.secrets.push(s.clone());
                    } else {
                        step.comments
                            .push(format!("It needs the secret {0}: add `secrets: [{0}]`, and `credentials: {0}` below `with:`.", s.name));
                    }
                }
            }
            None => {
                with.push(("url".to_owned(), "${params.scm_url}".to_owned()));
                if !self.file.parameters.iter().any(|p| p.name == "scm_url") {
                    self.file.parameters.push(Parameter {
                        name: "scm_url".into(),
                        keys: vec![
                            ("type".into(), "string".into()),
                            ("default".into(), String::new()),
                            ("description".into(), "git repository that Jenkins checked out; empty = none".into()),
                        ],
                        choices: Vec::new(),
                    });
                }
                if self.branch.is_some() {
                    with.push(("ref".into(), "${params.BRANCH_NAME}".into()));
                }
            }
        }
        with.push(("dest".into(), dest.to_owned()));
        step.action = Action::Uses { kind: "git/checkout", with };
        step
    }
}

/// A step that needs no `dir` and checks something out.
fn mentions_checkout(stmts: &[Stmt], depth: usize) -> bool {
    depth < 64
        && stmts.iter().filter_map(as_call).any(|c| {
            matches!(c.name.as_str(), "checkout" | "git") && !c.args.is_empty()
                || (!matches!(c.name.as_str(), "dir" | "script" | "post" | "matrix") && mentions_checkout(c.body(), depth + 1))
        })
}
