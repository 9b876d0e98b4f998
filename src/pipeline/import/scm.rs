//! Checkouts: the one that Jenkins does by itself, `checkout scm`, `git`, and `checkout` with a source of its own.

use super::convert::{Converter, Ctx, Place, as_call};
use super::out::{Action, Parameter, Secret, Stage, Step};
use super::parse::{Call, Stmt, Value, ValueKind};
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
            let step = self.own_scm(span, &dest);
            return add(segments, attrs, step);
        }
        let from = Remote::of(c);
        let dest = match from.directory() {
            None => dest,
            Some(dir) => match dir.literal().and_then(|d| self.below(ctx, d)) {
                Some(below) => below,
                None => return self.hand(span, &c.name, "its directory is computed", "write `git/checkout` with `dest:`", attrs, segments),
            },
        };
        let lost = from.lost();
        if !lost.is_empty() {
            let why = format!("git/checkout, without {}", lost.join(", "));
            self.report.approximated(span, show(&c.name), why, "look whether a step needs it, and let its script call git");
        }
        let template = |v: &Value| v.pieces().and_then(|p| shell::template(p, &ctx.scope));
        let Some(url) = from.url.and_then(template) else {
            let why = "its address is computed, or it is no git";
            return self.hand(span, &c.name, why, "write `git/checkout` with `url:`", attrs, segments);
        };
        let mut with = vec![("url".to_owned(), url), ("dest".to_owned(), dest)];
        let mut master = false;
        match from.reference.map(template) {
            None if c.name == "git" => {
                with.push(("ref".into(), "master".into()));
                master = true;
            }
            None => {}
            Some(Some(r)) => with.push(("ref".into(), r.trim_start_matches("*/").trim_start_matches("refs/heads/").to_owned())),
            Some(None) => return self.hand(span, &c.name, "its branch is computed", "write `git/checkout` with `ref:`", attrs, segments),
        }
        let mut step = Step { name: "checkout".into(), timeout: ctx.timeout, ..Step::default() };
        match from.credentials.and_then(Value::literal) {
            Some(id) => {
                let secret = self.secret(id);
                give(&secret, &mut step, &mut with);
                if secret.known {
                    self.report.converted(span, show(&c.name), "git/checkout");
                } else {
                    let what = format!("git/checkout, without the secret {}: the site lacks it", secret.name);
                    let help = "add it to [secrets] of the site file (user:password), and name it in the step";
                    self.report.approximated(span, show(&c.name), what, help);
                }
            }
            None if master => {
                let what = "git/checkout of `master`, as the git step of Jenkins takes it";
                self.report.approximated(span, show(&c.name), what, "say the branch in `ref:`");
            }
            None => self.report.converted(span, show(&c.name), "git/checkout"),
        }
        step.action = Action::Uses { kind: "git/checkout", with };
        add(segments, attrs, step);
    }

    /// `checkout scm`: the job's own repository.
    fn own_scm(&mut self, span: &Span, dest: &str) -> Step {
        let mut step = self.checkout_step(dest);
        step.name = "checkout".into();
        if dest == "." {
            self.checkout.done = true;
        }
        if self.checkout.url.is_none() {
            let what = "git/checkout; the original does not say which repository";
            self.report.approximated(span, "checkout scm", what, "give `scm_url` a default");
        } else {
            self.report.converted(span, "checkout scm", "git/checkout");
        }
        step
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
                    give(s, &mut step, &mut with);
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

/// Credentials that the site has go into the step; of others a comment says what is missing.
fn give(secret: &Secret, step: &mut Step, with: &mut Vec<(String, String)>) {
    let name = &secret.name;
    if secret.known {
        with.push(("credentials".into(), name.clone()));
        step.secrets.push(secret.clone());
    } else {
        step.comments.push(format!("It needs the secret {name}: add `secrets: [{name}]`, and `credentials: {name}` below `with:`."));
    }
}

/// Where a checkout with a source of its own gets it: `git url: …`, `checkout scmGit(…)`, `checkout([$class: 'GitSCM', …])`.
struct Remote<'c> {
    url: Option<&'c Value>,
    reference: Option<&'c Value>,
    credentials: Option<&'c Value>,
    extensions: &'c [Value],
    /// Further branches or remotes.
    more: bool,
}

/// Extensions that change nothing in a workspace that is new for each run.
const PLAIN: [&str; 12] = [
    "cleanbeforecheckout",
    "cleancheckout",
    "cleanaftercheckout",
    "wipeworkspace",
    "prunestalebranch",
    "prunestaletag",
    "cloneoption",
    "checkoutoption",
    "localbranch",
    "relativetargetdirectory",
    "ignorenotifycommit",
    "disableremotepoll",
];

impl<'c> Remote<'c> {
    fn of(c: &'c Call) -> Self {
        if c.name == "git" {
            return Self {
                url: c.arg("url"),
                reference: c.named("branch").or_else(|| c.positional(1)),
                credentials: c.named("credentialsId"),
                extensions: &[],
                more: false,
            };
        }
        let source = c.args.first().map(|a| &a.value);
        let entry = |key: &str| source.and_then(|v| v.entry(key));
        let remote = entry("userRemoteConfigs").and_then(|v| v.items().first());
        let branch = entry("branches").and_then(|v| v.items().first());
        Self {
            url: remote.and_then(|r| r.entry("url")),
            reference: branch.and_then(|b| b.entry("name")),
            credentials: remote.and_then(|r| r.entry("credentialsId")),
            extensions: entry("extensions").map_or(&[], Value::items),
            more: ["userRemoteConfigs", "branches"].iter().any(|k| entry(k).is_some_and(|v| v.items().len() > 1)),
        }
    }

    /// Where it is checked out to, below the directory around it.
    fn directory(&self) -> Option<&'c Value> {
        let of =
            |v: &'c Value| v.entry("relativeTargetDir").or_else(|| if let ValueKind::Call(c) = &v.kind { c.positional(0) } else { None });
        self.extensions.iter().find(|v| kind(v) == "relativetargetdirectory").and_then(of)
    }

    /// What a checkout here does not do.
    fn lost(&self) -> Vec<String> {
        let plain = |v: &&Value| !PLAIN.contains(&kind(v).as_str());
        let mut out: Vec<String> = self.extensions.iter().filter(plain).map(|v| format!("its extension {}", show(&name(v)))).collect();
        if self.more {
            out.push("further branches or remotes".to_owned());
        }
        out
    }
}

/// `[$class: 'CloneOption', …]`, or `cloneOption(…)`.
fn name(v: &Value) -> String {
    match &v.kind {
        ValueKind::Call(c) => c.name.clone(),
        _ => v.entry("$class").and_then(Value::literal).or_else(|| v.literal()).unwrap_or("that is computed").to_owned(),
    }
}

fn kind(v: &Value) -> String {
    name(v).rsplit('.').next().unwrap_or_default().to_ascii_lowercase()
}
