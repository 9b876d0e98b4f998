//! Where steps run: this machine, a container, or nothing that can be had here.

use super::convert::{Container, Converter, Ctx, as_call};
use super::out::{Stage, Step};
use super::parse::{Call, Value};
use super::shell;
use crate::pipeline::diagnostic::show;

impl Converter<'_> {
    /// Where steps run. Gives the failing step that stands for what cannot be had.
    pub fn agent(&mut self, c: &Call, ctx: &mut Ctx, stage: Option<()>) -> Option<Step> {
        match c.args.first().and_then(|a| a.value.literal()) {
            Some("any") if c.body.is_none() => {
                ctx.container = None;
                self.report.converted(&c.span, "agent", "steps run on this machine");
                return None;
            }
            Some("none") if c.body.is_none() => {
                self.report.converted(&c.span, "agent", "no machine is held between stages here");
                return None;
            }
            _ => {}
        }
        let inner = c.body().iter().filter_map(as_call).next();
        let what = inner.map_or_else(|| "agent".to_owned(), |i| format!("agent {}", show(&i.name)));
        match inner.map(|i| (i, i.name.as_str())) {
            Some((_, "label" | "node")) => {
                ctx.container = None;
                self.report.approximated(
                    &c.span,
                    what,
                    "every step runs on this machine",
                    "call ssh in the scripts where another machine is needed",
                );
                None
            }
            Some((i, "docker")) => {
                let field =
                    |n: &str| i.body().iter().filter_map(as_call).find(|f| f.name == n).and_then(|f| f.args.first()).map(|a| &a.value);
                let image = field("image").or_else(|| i.arg("image")).and_then(Value::pieces).and_then(|p| shell::word(p, &ctx.scope).ok());
                let args = field("args").or_else(|| i.named("args")).map(|v| v.pieces().and_then(|p| shell::script(p, &ctx.scope).ok()));
                match (image, args) {
                    (Some(image), None | Some(Some(_))) => {
                        let args = args_text(field("args").or_else(|| i.named("args")), &ctx.scope);
                        ctx.container = Some(Container { image, args });
                        let said = i
                            .body()
                            .iter()
                            .filter_map(as_call)
                            .map(|f| f.name.as_str())
                            .chain(i.args.iter().filter_map(|a| a.name.as_deref()));
                        let lost: Vec<&str> =
                            said.filter(|n| !matches!(*n, "image" | "args" | "label" | "reuseNode" | "customWorkspace")).collect();
                        let mut why = "each script runs by `docker run` with the workspace".to_owned();
                        if !lost.is_empty() {
                            why.push_str(&format!("; without {}", lost.join(", ")));
                        }
                        self.report.approximated(
                            &c.span,
                            what,
                            why,
                            "this machine needs docker, and the user of the engine the right to use it",
                        );
                        None
                    }
                    _ => self.no_agent(c, &what, "its image is computed", stage),
                }
            }
            Some((_, "dockerfile")) => self.no_agent(c, &what, "no image is built before a run", stage),
            Some((_, "kubernetes")) => self.no_agent(c, &what, "steps run on this machine, not in pods", stage),
            _ => self.no_agent(c, &what, "the importer does not know this agent", stage),
        }
    }

    fn no_agent(&mut self, c: &Call, what: &str, why: &str, stage: Option<()>) -> Option<Step> {
        let help = "write `docker run` or ssh into the scripts";
        let step = self.by_hand(&c.span, what, why, help);
        if stage.is_some() {
            return Some(step);
        }
        // For all stages: one before them fails.
        self.file.stages.insert(0, Stage { name: "Agent by hand".into(), steps: vec![step], ..Stage::default() });
        self.spans.insert(0, c.span.clone());
        None
    }
}

fn args_text(value: Option<&Value>, scope: &shell::Scope) -> String {
    value.and_then(Value::pieces).and_then(|p| shell::script(p, scope).ok()).map(|a| a.replace('\n', " ")).unwrap_or_default()
}
