//! Stages, one after the other, beside each other and inside each other; their agents, conditions and post sections.

use super::axes::axes;
use super::cond::{Cond, Conditions, flag, join};
use super::convert::{Converter, Ctx, as_call, name_of, seconds};
use super::out::{Action, Stage, Step};
use super::parse::{Call, Value};
use super::shell::Var;
use super::source::Bad;
use super::steps::{Approval, Attrs, Segment};
use crate::pipeline::diagnostic::show;

/// Stages that a condition names one by one.
const MOST_NAMED: usize = 20;

/// A stage as it is read, before its steps are.
#[derive(Default)]
pub(super) struct Head {
    pub(super) ctx: Ctx,
    pub(super) env: Vec<(String, String)>,
    pub(super) attrs: Attrs,
    pub(super) when: Vec<Cond>,
    /// Failing steps for what could not be converted, before all others.
    pub(super) first: Vec<Step>,
    pub(super) approve: Option<Approval>,
    pub(super) never: bool,
}

impl Converter<'_> {
    /// Adds a stage with all that is inside it. Gives the names that must have ended before what follows.
    pub fn stage(&mut self, call: &Call, ctx: &Ctx, outer: &[Cond], needs: &[String]) -> Result<Vec<String>, Bad> {
        let name = call.positional(0).and_then(Value::literal).map_or_else(|| "stage".to_owned(), str::to_owned);
        let what = format!("stage `{}`", show(&name));
        self.report.converted(&call.head, what.clone(), "a stage");
        let mut head = self.head(call, ctx, outer);
        if head.never {
            self.report.converted(&call.span, what, "its condition is never true: left out");
            return Ok(needs.to_vec());
        }
        let part = |n: &str| call.body().iter().filter_map(as_call).find(|c| c.name == n);
        if let Some(c) = part("matrix") {
            return self.matrix(call, c, &name, head, needs);
        }
        let mut needs = needs.to_vec();
        if let Some(approval) = head.approve.take() {
            needs = vec![self.push_approval(approval, &name, when_of(&head.when), &needs)?];
        }
        if let Some(c) = part("parallel").or_else(|| part("stages")) {
            return self.group(call, c, head, needs);
        }
        let Some(steps) = part("steps") else {
            if call.body().is_empty() {
                self.report.manual(&call.head, what, "the stage has no steps", "add some, or remove it");
                return Ok(needs);
            }
            let mut steps = head.first;
            steps.push(self.by_hand(&call.span, "stage", "no steps were found in it", "write them, or remove the stage"));
            let stage = Stage { name, when: when_of(&head.when), steps, ..Stage::default() };
            return Ok(vec![self.push(stage, &call.span, &needs)?]);
        };
        self.report.converted(&steps.head, "steps", "the steps of the stage");
        let mut segments = vec![Segment { attrs: head.attrs.clone(), steps: head.first, ..Segment::default() }];
        self.steps(steps.body(), &head.ctx, &head.attrs, &mut segments);
        // A name with a quote in it cannot stand in a condition.
        let aside = part("post").filter(|_| !name.contains('"')).map(|p| self.set_aside(p, &head.ctx)).unwrap_or_default();
        let post = part("post").map(|p| self.post(p, &head.ctx, false)).unwrap_or_default();
        segments.retain(Segment::is_something);
        // The post section needs a stage to follow.
        if segments.last().is_none_or(|s| s.approve.is_some()) {
            segments.push(Segment { attrs: head.attrs, steps: vec![nothing()], ..Segment::default() });
        }
        let when = when_of(&head.when);
        let comments = self.comments_above(call.span.start);
        let last = segments.len() - 1;
        for (i, seg) in segments.into_iter().enumerate() {
            if let Some(approval) = seg.approve {
                needs = vec![self.push_approval(approval, &name, when.clone(), &needs)?];
                continue;
            }
            let stage = Stage {
                name: name.clone(),
                comments: if i == 0 { comments.clone() } else { Vec::new() },
                when: when.clone(),
                // What is tried again is said in the file of the other pipeline.
                retry: seg.attrs.retry.filter(|_| seg.build.is_none()),
                timeout: seg.attrs.timeout,
                locks: seg.attrs.locks,
                allow_failure: seg.attrs.allow_failure,
                env: head.env.clone(),
                build: seg.build,
                steps: seg.steps,
                post: if i == last { post.clone() } else { Vec::new() },
                ..Stage::default()
            };
            needs = vec![self.push(stage, seg.span.as_ref().unwrap_or(&call.span), &needs)?];
        }
        if last > 0 && post.iter().any(|(_, s)| !s.is_empty()) {
            self.report.approximated(
                &call.head,
                format!("stage `{}`", show(&name)),
                "it became several stages; its post section belongs to the last one",
                "look whether it must also follow the earlier ones",
            );
        }
        if let [of] = needs.as_slice() {
            let of = of.clone();
            needs.extend(self.stage_post_builds(aside, &head.ctx, &of)?);
        }
        Ok(needs)
    }

    fn push_approval(&mut self, a: Approval, of: &str, when: Option<String>, needs: &[String]) -> Result<String, Bad> {
        let name = if of.to_lowercase().contains("approv") { of.to_owned() } else { format!("Approve {of}") };
        let stage = Stage { name, when, comments: a.comments, approve: Some(a.keys), ..Stage::default() };
        self.push(stage, &a.span, needs)
    }

    /// Agent, environment, options, condition and input of a stage.
    pub(super) fn head(&mut self, call: &Call, ctx: &Ctx, outer: &[Cond]) -> Head {
        let mut head = Head { ctx: ctx.clone(), when: outer.to_vec(), ..Head::default() };
        let parts: Vec<&Call> = call.body().iter().filter_map(as_call).collect();
        for s in call.body().iter().filter(|s| as_call(s).is_none()) {
            self.report.manual(&s.span, "stage", "this is no part of a stage", "write it by hand if it matters");
        }
        // Axes are names that everything else may use.
        if let Some(m) = parts.iter().find(|c| c.name == "matrix") {
            for axis in axes(m) {
                head.ctx.scope.insert(axis, Var::Axis);
            }
        }
        let of = |n: &'static str| parts.iter().filter(move |c| c.name == n);
        for c in of("agent") {
            let mut ctx = std::mem::take(&mut head.ctx);
            head.first.extend(self.agent(c, &mut ctx, Some(())));
            head.ctx = ctx;
        }
        for c in of("environment") {
            let mut ctx = std::mem::take(&mut head.ctx);
            head.env.extend(self.environment(c, &mut ctx));
            head.ctx = ctx;
        }
        // Steps have what is around the stage, and would have it before what the stage itself says.
        let own: Vec<&String> = head.env.iter().map(|(n, _)| n).collect();
        head.ctx.env.retain(|(n, _)| !own.contains(&n));
        for c in of("options") {
            self.stage_options(c, &mut head.attrs);
        }
        for c in of("when") {
            self.when(c, &mut head);
        }
        for c in of("input") {
            let approval = self.input(c, &head.ctx, "stage input");
            for n in &approval.answers {
                let answer = format!("${{approve.{n}}}");
                head.env.push((n.clone(), answer.clone()));
                head.ctx.scope.insert(n.clone(), Var::Template(answer));
            }
            head.approve = Some(approval);
        }
        for c in &parts {
            match c.name.as_str() {
                "agent" | "environment" | "options" | "when" | "input" | "steps" | "stages" | "parallel" | "matrix" | "post" => {}
                "tools" => self.tools(c),
                "failFast" if !flag(c) => self.report.converted(&c.span, "failFast", "parallel stages do not end each other"),
                "failFast" => self.report.approximated(
                    &c.span,
                    "failFast",
                    "parallel stages do not end each other; the run fails when all have ended",
                    "cancel the run by hand",
                ),
                other => self.report.manual(
                    &c.span,
                    show(other),
                    "the importer does not know this part of a stage",
                    "write it by hand if it matters",
                ),
            }
        }
        head
    }

    fn when(&mut self, c: &Call, head: &mut Head) {
        let mut conditions = Conditions { src: self.src, scope: &head.ctx.scope, branch: false, branches: Vec::new() };
        let found = conditions.all(c.body());
        let (branch, first) = (conditions.branch, conditions.branches.into_iter().next());
        if branch {
            self.need_branch(first);
            head.ctx.scope.insert("BRANCH_NAME".into(), Var::Param { bool: false });
        }
        match found {
            Ok(Cond::Const(false)) => head.never = true,
            Ok(cond) => {
                head.when.push(cond);
                if branch {
                    self.report.approximated(
                        &c.span,
                        "when",
                        "a run has no branch of its own: it is the parameter BRANCH_NAME",
                        "start the pipeline with it, or give its default",
                    );
                } else {
                    self.report.converted(&c.span, "when", "when");
                }
            }
            Err(why) => {
                let step = self.by_hand(&c.span, "when", &why, "write the condition into `when:`, or let the stage's own script decide");
                head.first.push(step);
            }
        }
    }

    fn stage_options(&mut self, c: &Call, attrs: &mut Attrs) {
        self.report.converted(&c.head, "options", "keys of the stage");
        for s in c.body() {
            let Some(o) = as_call(s) else {
                self.report.manual(&s.span, "options", "this is no option", "write it by hand");
                continue;
            };
            let what = format!("option {}", show(&o.name));
            match o.name.as_str() {
                "timeout" | "retry" | "lock" => match self.attrs(o, attrs) {
                    Some(found) => {
                        *attrs = found;
                        self.locks_told(o, &s.span, what, "a key of the stage", &attrs.locks);
                    }
                    None => self.report.manual(&s.span, what, "its value is computed", "write it by hand"),
                },
                "timestamps" | "ansiColor" | "skipDefaultCheckout" => self.report.converted(&s.span, what, "as it is here anyway"),
                _ => {
                    self.report.manual(&s.span, what, "the importer does not know this option", "see `quarterdeck pipeline explain stage`")
                }
            }
        }
    }

    /// A site that lists its locks has to list these too; and one slot of them is taken.
    pub(super) fn locks_told(&mut self, c: &Call, span: &super::source::Span, what: String, why: &str, locks: &[String]) {
        if c.name == "lock" && c.named("quantity").is_some_and(|q| q.literal() != Some("1")) {
            let help = "write `locks: [{name: NAME, slots: N}]`, and `slots` of [locks.NAME] in the site file";
            return self.report.approximated(span, what, format!("{why}: one slot, whatever its `quantity` says"), help);
        }
        let known = &self.catalog.locks;
        match locks.iter().find(|l| !known.is_empty() && !known.contains_key(*l)) {
            None => self.report.converted(span, what, why),
            Some(new) => {
                let why = format!("{why}; the site has no lock `{new}`");
                self.report.approximated(span, what, why, format!("add [locks.{new}] to the site file"));
            }
        }
    }

    /// `retry`, `timeout`, `lock` on top of what is around; `None` where a value is computed.
    pub fn attrs(&mut self, c: &Call, around: &Attrs) -> Option<Attrs> {
        let mut out = around.clone();
        match c.name.as_str() {
            "timeout" => out.timeout = Some(seconds(c)?.min(around.timeout.unwrap_or(u64::MAX))),
            "retry" => {
                let n: u64 = c.arg("count").and_then(Value::literal)?.parse().ok()?;
                if n > 1 {
                    out.retry = Some(n.min(100));
                }
            }
            "lock" => {
                let resource = c.named("resource").or_else(|| c.named("label")).or_else(|| c.positional(0))?;
                let name = name_of(resource.literal()?);
                if !out.locks.contains(&name) {
                    out.locks.push(name);
                }
            }
            _ => {}
        }
        Some(out)
    }

    /// Stages inside a stage, in order or beside each other.
    fn group(&mut self, call: &Call, inner: &Call, head: Head, needs: Vec<String>) -> Result<Vec<String>, Bad> {
        let beside = inner.name == "parallel";
        self.report.converted(&inner.head, &inner.name, if beside { "stages that need the same one" } else { "stages in order" });
        let mut ctx = head.ctx;
        ctx.env.extend(head.env);
        let mut needs = needs;
        let (begin, begin_file) = (needs.clone(), self.file.stages.len());
        if !head.first.is_empty() {
            let stage =
                Stage { name: format!("{} by hand", stage_name(call)), steps: head.first, when: when_of(&head.when), ..Stage::default() };
            needs = vec![self.push(stage, &call.head, &needs)?];
        }
        if head.attrs != Attrs::default() {
            self.report.approximated(
                &call.head,
                format!("stage `{}`", show(&stage_name(call))),
                "its options hold for each stage inside, not for all together",
                "",
            );
        }
        let mut ends = Vec::new();
        let mut names = Vec::new();
        let first = self.file.stages.len();
        for s in inner.body() {
            match as_call(s) {
                Some(c) if c.name == "stage" => {
                    let after = self.stage(c, &ctx, &head.when, &needs)?;
                    if beside {
                        ends.extend(after.into_iter().filter(|n| !begin.contains(n) || needs.contains(n)));
                    } else {
                        needs = after;
                    }
                }
                _ => self.report.manual(&s.span, &inner.name, "only stages can stand here", "write it by hand"),
            }
        }
        for s in &mut self.file.stages[first..] {
            names.push(s.name.clone());
            s.retry = s.retry.or(head.attrs.retry.filter(|_| s.build.is_none()));
            s.timeout = s.timeout.or(head.attrs.timeout);
            for l in &head.attrs.locks {
                if !s.locks.contains(l) {
                    s.locks.push(l.clone());
                }
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        ends.retain(|e| seen.insert(e.clone()));
        let mut ends = if beside && !ends.is_empty() { ends } else { needs };
        if let Some(p) = call.body().iter().filter_map(as_call).find(|c| c.name == "post") {
            ends = self.group_post(call, p, &ctx, (names, when_of(&head.when)), ends)?;
        }
        if self.file.stages.len() == begin_file {
            return Ok(begin);
        }
        Ok(ends)
    }

    /// The post section of a stage that has stages: stages of their own behind them.
    fn group_post(
        &mut self,
        call: &Call,
        p: &Call,
        ctx: &Ctx,
        (names, condition): (Vec<String>, Option<String>),
        mut ends: Vec<String>,
    ) -> Result<Vec<String>, Bad> {
        // What did not run has no post section, whatever became of what is before it.
        let ran: Vec<String> = names.iter().map(|n| format!("stages.\"{n}\".verdict != \"skipped\"")).collect();
        let condition = match ran.len() {
            1..=MOST_NAMED if !names.iter().any(|n| n.contains('"')) => Some(ran.join(" or ")),
            _ => condition,
        };
        for (when, steps) in self.post(p, ctx, false) {
            if steps.is_empty() || names.is_empty() {
                continue;
            }
            self.report.approximated(&p.head, "post", "stages of their own, which wait for all stages inside", "");
            let when_it_ran = condition.as_ref().map_or_else(|| when.to_owned(), |c| format!("{when} and ({c})"));
            let stage = Stage { name: format!("{} {when}", stage_name(call)), when: Some(when_it_ran), steps, ..Stage::default() };
            ends.push(self.push(stage, &p.span, &names)?);
        }
        Ok(ends)
    }
}

pub(super) fn when_of(all: &[Cond]) -> Option<String> {
    match join(all.to_vec(), true) {
        Cond::Expr { text, .. } => Some(text),
        Cond::Const(_) => None,
    }
}

pub(super) fn stage_name(call: &Call) -> String {
    call.positional(0).and_then(Value::literal).map_or_else(|| "stage".to_owned(), str::to_owned)
}

pub(super) fn nothing() -> Step {
    Step { name: "nothing".into(), action: Action::Run { script: ":".into(), interpreter: None }, ..Step::default() }
}
