//! Steps that reach out of a stage: artifacts and test reports, questions to people.

use super::convert::{Converter, Ctx, MAX_ITEMS, Place, as_call, name_of};
use super::lexer::Piece;
use super::out::{Action, Parameter, Step, flow, scalar};
use super::parse::{Call, Stmt, StmtKind, Value, ValueKind};
use super::source::Span;
use super::steps::{Approval, Attrs, Segment, add};
use crate::pipeline::diagnostic::{show, show_to};

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
        if c.named("excludes").is_some() {
            self.report.approximated(
                span,
                what,
                "artifacts, without what it excludes: narrow the patterns",
                "write patterns that leave them out",
            );
        } else if junit {
            let empty = c.named("allowEmptyResults").is_some_and(|v| v.literal() != Some("false"));
            let more = if empty { ", and so does a report that is not there" } else { "" };
            self.report.approximated(
                span,
                what,
                format!("test reports; a failed test fails the step, where Jenkins calls the run unstable{more}"),
                "`failures: note` beside `type: junit` records failed tests only",
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

    /// A question to people: a stage that waits for them.
    pub fn input(&mut self, c: &Call, ctx: &Ctx, what: &str) -> Approval {
        let part = |n: &str| c.body().iter().filter_map(as_call).find(|f| f.name == n);
        let field = |n: &str| c.named(n).or_else(|| part(n).and_then(|f| f.args.first()).map(|a| &a.value));
        let mut out = Approval { span: c.span.clone(), ..Approval::default() };
        let asked: Vec<String> =
            field("submitter").and_then(Value::literal).map(|s| s.split(',').map(name_of).collect()).unwrap_or_default();
        let (known, strangers): (Vec<String>, Vec<String>) = asked.into_iter().partition(|r| self.catalog.roles.contains(r));
        let roles = match (known.is_empty(), strangers.is_empty()) {
            (false, _) => known,
            (true, true) => vec!["operator".to_owned()],
            (true, false) => vec!["admin".to_owned()],
        };
        out.keys.push(("roles".into(), flow(&roles)));
        if let Some(message) = field("message").or_else(|| c.positional(0)) {
            let text = message.literal().unwrap_or_else(|| self.src.slice(&message.span));
            out.comments.push(format!("Jenkins asked: {}", label_line(text)));
        }
        // Questions are typed as parameters are.
        let stmts: Vec<Stmt> = match (part("parameters"), field("parameters").map(Value::items)) {
            (Some(block), _) => block.body().to_vec(),
            (None, Some(items)) => items.iter().filter_map(as_stmt).collect(),
            (None, None) => Vec::new(),
        };
        let kept = (std::mem::take(&mut self.file.parameters), self.top.scope.clone(), std::mem::take(&mut self.inherited));
        for c in stmts.iter().take(MAX_ITEMS).filter_map(as_call) {
            self.parameter(c);
        }
        let asks = std::mem::replace(&mut self.file.parameters, kept.0);
        (self.top.scope, self.inherited) = (kept.1, kept.2);
        if !asks.is_empty() {
            let all: Vec<String> = asks.iter().map(question).collect();
            out.keys.push(("ask".into(), format!("{{{}}}", all.join(", "))));
            out.answers = asks.into_iter().map(|p| p.name).filter(|n| !ctx.scope.contains_key(n)).collect();
        }
        let mut why = "an approve stage; it ends unanswered after 24h, Jenkins' waits as long as the run".to_owned();
        if !strangers.is_empty() {
            why.push_str(&format!("; the site has no role {}: {} decides", strangers.join(", "), roles.join(", ")));
        }
        if field("submitterParameter").is_some() {
            why.push_str("; who agreed is no variable here: `quarterdeck get decisions`");
        }
        self.report.approximated(&c.span, what, why, "name the roles of the site that may decide; `expires:` says how long it waits");
        out
    }
}

/// A call in a list as the statement that it would be in a block.
fn as_stmt(v: &Value) -> Option<Stmt> {
    match &v.kind {
        ValueKind::Call(c) => Some(Stmt { span: v.span.clone(), kind: StmtKind::Call((**c).clone()) }),
        _ => None,
    }
}

fn question(p: &Parameter) -> String {
    let mut keys: Vec<String> = p.keys.iter().map(|(k, v)| format!("{k}: {}", scalar(v))).collect();
    if !p.choices.is_empty() {
        keys.push(format!("choices: {}", flow(&p.choices)));
    }
    format!("{}: {{{}}}", scalar(&p.name), keys.join(", "))
}

fn label_line(text: &str) -> String {
    show_to(text.trim().trim_matches(['"', '\'']), 200)
}
