//! Post sections: occasions of Jenkins to those that are here.

use super::convert::{Converter, Ctx, Place, as_call};
use super::out::{Action, Step};
use super::parse::{Call, Stmt};
use super::steps::{Attrs, Segment};
use crate::pipeline::diagnostic::show;

impl Converter<'_> {
    /// One section of steps after the others, by what is here.
    pub fn post(&mut self, call: &Call, ctx: &Ctx, whole: bool) -> Vec<(&'static str, Vec<Step>)> {
        self.report.converted(&call.head, "post", "post");
        let mut ctx = ctx.clone();
        ctx.place = Place::Post;
        let mut out: Vec<(&'static str, Vec<Step>)> = Vec::new();
        for s in call.body() {
            let Some(c) = as_call(s) else {
                self.report.manual(&s.span, "post", "this is no condition of a post section", "write it by hand");
                continue;
            };
            let what = format!("post {}", show(&c.name));
            let only = |verdict: &str| format!("[ \"${{QD_VERDICT:-}}\" {verdict} ] || exit 0\n");
            let (when, guard): (&'static str, String) = match c.name.as_str() {
                "always" => ("always", String::new()),
                "success" => ("success", String::new()),
                "failure" => ("failure", String::new()),
                "fixed" => ("fixed", String::new()),
                "cleanup" => ("always", String::new()),
                "regression" => ("failure", String::new()),
                "aborted" if whole => ("always", only("= cancelled")),
                "unsuccessful" if whole => ("always", only("!= success")),
                "unsuccessful" => ("failure", String::new()),
                "unstable" => {
                    self.report.approximated(&c.span, what, "no run is unstable here: left out", "put what matters into `failure:`");
                    continue;
                }
                _ => {
                    self.report.manual(
                        &c.span,
                        what,
                        "there is no such occasion here",
                        "use always, success, failure or fixed, and `$QD_VERDICT`",
                    );
                    continue;
                }
            };
            match c.name.as_str() {
                "cleanup" => self.report.approximated(&c.head, what, "always, behind the others", ""),
                "regression" => self.report.approximated(&c.head, what, "after every failure, not only the first", ""),
                "unsuccessful" if !whole => {
                    self.report.approximated(&c.head, what, "after a failure; a cancelled stage has no post section", "")
                }
                "aborted" | "unsuccessful" => self.report.approximated(&c.head, what, "always; the script looks at the verdict", ""),
                _ => self.report.converted(&c.head, what, "post"),
            }
            let mut segments = vec![Segment::default()];
            let body: Vec<Stmt> = c.body().iter().filter(|s| !self.afterwards.contains(&s.span.start)).cloned().collect();
            self.steps(&body, &ctx, &Attrs::default(), &mut segments);
            let mut steps: Vec<Step> = segments.into_iter().flat_map(|s| s.steps).collect();
            for st in &mut steps {
                if let Action::Run { script, .. } = &mut st.action
                    && !guard.is_empty()
                {
                    *script = format!("{guard}{script}");
                }
            }
            out.push((when, steps));
        }
        merged(out)
    }
}

/// One list for each occasion, in the order of the format.
pub fn merged(parts: Vec<(&'static str, Vec<Step>)>) -> Vec<(&'static str, Vec<Step>)> {
    let mut out: Vec<(&'static str, Vec<Step>)> = ["success", "failure", "fixed", "always"].map(|w| (w, Vec::new())).into();
    for (when, steps) in parts {
        if let Some((_, all)) = out.iter_mut().find(|(w, _)| *w == when) {
            all.extend(steps);
        }
    }
    out.retain(|(_, s)| !s.is_empty());
    out
}
