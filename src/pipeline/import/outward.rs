//! Steps that reach out of a stage: artifacts and test reports, runs of other pipelines, questions to people.

use super::convert::{Converter, Ctx, MAX_ITEMS, Place, as_call, has, name_of};
use super::lexer::Piece;
use super::out::{Action, Step};
use super::parse::{Call, Value, ValueKind};
use super::shell;
use super::source::Span;
use super::steps::{Attrs, Segment, add};
use crate::pipeline::diagnostic::show;
use crate::pipeline::schema::keys;

impl Converter<'_> {
    #[allow(clippy::too_many_arguments)]
    pub fn artifacts(&mut self, c: &Call, span: &Span, field: &str, junit: bool, ctx: &Ctx, attrs: &Attrs, segments: &mut Vec<Segment>) {
        let what = show(&c.name);
        let Some(text) = c.arg(field).and_then(Value::pieces).and_then(|p| if let [Piece::Text(t)] = p { Some(t.clone()) } else { None })
        else {
            return self.hand(span, &c.name, "its files are computed", "write `artifacts:`", attrs, segments);
        };
        let mut found = Vec::new();
        self.too_many(span, text.matches(',').count(), "files");
        for path in text.split(',').take(MAX_ITEMS).map(str::trim).filter(|p| !p.is_empty()) {
            match self.below(ctx, path).filter(|p| p.len() < 1_000 && !p.contains(|c: char| c.is_control())) {
                Some(p) => found.push(self.artifact(&p, junit)),
                None => {
                    return self.hand(
                        span,
                        &c.name,
                        "its files lie outside the workspace",
                        "copy them into the workspace",
                        attrs,
                        segments,
                    );
                }
            }
        }
        if found.is_empty() {
            return self.report.manual(span, what, "it names no files", "write `artifacts:`");
        }
        if junit && !has(&keys::ARTIFACT, "type") {
            self.report.approximated(span, what, "the reports are kept as artifacts; this version does not read them", "");
        } else if c.named("excludes").is_some() {
            self.report.approximated(
                span,
                what,
                "artifacts, without what it excludes: narrow the patterns",
                "write patterns that leave them out",
            );
        } else {
            self.report.converted(span, what, "artifacts");
        }
        // With the step that made them, or a step of its own behind a failed one.
        let last = segments.last_mut().filter(|s| s.attrs == *attrs).and_then(|s| s.steps.last_mut());
        match last.filter(|s| matches!(s.action, Action::Run { .. }) && ctx.place != Place::Post && !s.name.starts_with("by hand")) {
            Some(step) => {
                for a in found {
                    if !step.artifacts.contains(&a) {
                        step.artifacts.push(a);
                    }
                }
            }
            None => {
                let name = if junit { "test reports" } else { "artifacts" };
                add(
                    segments,
                    attrs,
                    Step {
                        name: name.into(),
                        artifacts: found,
                        action: Action::Run { script: ":".into(), interpreter: None },
                        ..Step::default()
                    },
                );
            }
        }
    }

    pub fn build(&mut self, c: &Call, span: &Span, ctx: &Ctx, attrs: &Attrs, segments: &mut Vec<Segment>) {
        let Some(job) = c.arg("job").and_then(Value::literal) else {
            return self.hand(span, &c.name, "its job is computed", "write `quarterdeck run NAME`", attrs, segments);
        };
        let name = name_of(job.rsplit('/').next().unwrap_or(job));
        let mut words = vec!["quarterdeck run".to_owned(), name.clone()];
        for p in c.named("parameters").map(Value::items).unwrap_or_default() {
            let ValueKind::Call(p) = &p.kind else {
                return self.hand(span, &c.name, "a parameter is computed", "write `quarterdeck run NAME -p k=v`", attrs, segments);
            };
            let key = p.named("name").and_then(Value::literal).filter(|k| shell::is_variable(k));
            let value = p.named("value").and_then(|v| match v.pieces() {
                Some(pieces) => shell::word(pieces, &ctx.scope).ok(),
                None => v.literal().and_then(|w| {
                    if matches!(w, "true" | "false") {
                        Some(w.to_owned())
                    } else {
                        shell::word(&[Piece::Expr(w.to_owned())], &ctx.scope).ok()
                    }
                }),
            });
            match (key, value) {
                (Some(k), Some(v)) if !v.contains('\0') => words.push(format!("-p {k}={v}")),
                _ => return self.hand(span, &c.name, "a parameter is computed", "write `quarterdeck run NAME -p k=v`", attrs, segments),
            }
        }
        if c.named("wait").and_then(Value::literal) != Some("false") {
            words.push("--wait".into());
        }
        let step = self.script(ctx, &words.join(" "), &format!("run {name}"));
        self.report.approximated(span, "build", "a run of that pipeline, started by the command line", "the step must reach the engine: set QUARTERDECK_STATE_DIR in `env:` where it is not the default; each waiting run takes an executor");
        add(segments, attrs, step);
    }

    /// An approval, where this version has them; else the failing step in its place.
    pub fn input(&mut self, c: &Call, what: &str) -> Result<Segment, Step> {
        let field = |n: &str| {
            c.named(n).or_else(|| c.body().iter().filter_map(as_call).find(|f| f.name == n).and_then(|f| f.args.first()).map(|a| &a.value))
        };
        if !has(&keys::STAGE, "approve") {
            let help = "split the pipeline here, and start the second part by hand";
            return Err(self.by_hand(&c.span, what, "this version has no approvals", help));
        }
        let Some(context) = keys::STAGE.key("approve").and_then(|k| k.ty.contexts().into_iter().next()) else {
            return Err(self.by_hand(&c.span, what, "this version has no approvals", "split the pipeline here"));
        };
        let mut out: Vec<(String, String)> = Vec::new();
        let submitters: Vec<String> =
            field("submitter").and_then(Value::literal).map(|s| s.split(',').map(name_of).collect()).unwrap_or_default();
        if has(context, "roles") {
            let roles = if submitters.is_empty() { vec!["operator".to_owned()] } else { submitters.clone() };
            out.push(("roles".into(), super::out::flow(&roles)));
        }
        if has(context, "quorum") {
            out.push(("quorum".into(), "1".into()));
        }
        let mut lost = field("parameters").is_some();
        if let Some(message) = field("message").or_else(|| c.positional(0)).and_then(Value::literal) {
            match ["message", "text", "description"].iter().find(|k| has(context, k)) {
                Some(key) => out.push(((*key).to_owned(), super::out::scalar(message.lines().next().unwrap_or("")))),
                None => lost = true,
            }
        }
        if out.is_empty() {
            return Err(self.by_hand(
                &c.span,
                what,
                "this version's approvals need more than the original says",
                "write `approve:` by hand",
            ));
        }
        lost |= field("submitterParameter").is_some();
        let why = if lost { "an approve stage; its questions are not converted" } else { "an approve stage" };
        let help = "name the roles of the site that may decide, and write questions below `ask:`";
        self.report.approximated(&c.span, what, why, help);
        Ok(Segment { approve: Some(out), ..Segment::default() })
    }
}
