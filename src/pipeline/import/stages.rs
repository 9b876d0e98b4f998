//! Stages, one after the other, beside each other, inside each other and in matrices; their agents, conditions and post sections.

use super::axes::{MAX_EXCLUDES, axes, axis, exclude};
use super::cond::{Cond, Conditions, flag, join};
use super::convert::{Converter, Ctx, Place, as_call, name_of, seconds};
use super::out::{Action, Matrix, Stage, Step};
use super::parse::{Call, Value};
use super::post::merged;
use super::shell::Var;
use super::source::Bad;
use super::steps::{Approval, Attrs, Segment};
use crate::pipeline::diagnostic::show;
use crate::pipeline::schema::{Ty, scalar};

/// A stage as it is read, before its steps are.
#[derive(Default)]
struct Head {
    ctx: Ctx,
    env: Vec<(String, String)>,
    attrs: Attrs,
    when: Vec<Cond>,
    /// Failing steps for what could not be converted, before all others.
    first: Vec<Step>,
    approve: Option<Approval>,
    never: bool,
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
            self.report.manual(&call.head, what, "the stage has no steps", "add some, or remove it");
            return Ok(needs);
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
    fn head(&mut self, call: &Call, ctx: &Ctx, outer: &[Cond]) -> Head {
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
                        self.locks_told(&s.span, what, "a key of the stage", &attrs.locks);
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

    /// A site that lists its locks has to list these too.
    pub(super) fn locks_told(&mut self, span: &super::source::Span, what: String, why: &str, locks: &[String]) {
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
            ends = self.group_post(call, p, &ctx, names, ends)?;
        }
        if self.file.stages.len() == begin_file {
            return Ok(begin);
        }
        Ok(ends)
    }

    /// The post section of a stage that has stages: stages of their own behind them.
    fn group_post(&mut self, call: &Call, p: &Call, ctx: &Ctx, names: Vec<String>, mut ends: Vec<String>) -> Result<Vec<String>, Bad> {
        for (when, steps) in self.post(p, ctx, false) {
            if steps.is_empty() || names.is_empty() {
                continue;
            }
            self.report.approximated(&p.head, "post", "stages of their own, which wait for all stages inside", "");
            let stage = Stage { name: format!("{} {when}", stage_name(call)), when: Some(when.to_owned()), steps, ..Stage::default() };
            ends.push(self.push(stage, &p.span, &names)?);
        }
        Ok(ends)
    }

    fn matrix(&mut self, call: &Call, c: &Call, name: &str, mut head: Head, needs: &[String]) -> Result<Vec<String>, Bad> {
        self.report.converted(&c.head, "matrix", "matrix");
        let mut matrix = Matrix::default();
        head.ctx.place = Place::Matrix;
        head.ctx.env.clear();
        let mut steps = std::mem::take(&mut head.first);
        let mut attrs = head.attrs.clone();
        let parts: Vec<&Call> = c.body().iter().filter_map(as_call).collect();
        for s in c.body().iter().filter(|s| as_call(s).is_none()) {
            self.report.manual(&s.span, "matrix", "this is no part of a matrix", "write it by hand");
        }
        for part in parts.iter().filter(|p| p.name == "axes") {
            self.axes(part, &mut matrix, &mut head);
        }
        for part in parts.iter().filter(|p| p.name == "excludes") {
            self.excludes(part, &mut matrix, &mut steps);
        }
        let inner = Call {
            body: Some(
                c.body()
                    .iter()
                    .filter(|s| as_call(s).is_some_and(|c| !matches!(c.name.as_str(), "axes" | "excludes" | "stages")))
                    .cloned()
                    .collect(),
            ),
            ..c.clone()
        };
        let own = self.head(&inner, &head.ctx, &head.when);
        head.env.extend(own.env);
        head.ctx = own.ctx;
        steps.extend(own.first);
        if own.never {
            return Ok(needs.to_vec());
        }
        let lone = parts.iter().find(|p| p.name == "stages").and_then(|p| lone_build(p)).filter(|_| steps.is_empty());
        let mut build = None;
        if let Some((stage, inner)) = lone {
            self.report.converted(&stage.head, format!("stage `{}`", show(&stage_name(stage))), "the stage itself, once for each cell");
            let mut ctx = head.ctx.clone();
            ctx.place = Place::Stage;
            let mut segments = Vec::new();
            self.build(inner, &inner.span, &ctx, &attrs, &mut segments);
            for seg in segments.into_iter().filter(Segment::is_something) {
                attrs = seg.attrs;
                build = seg.build;
                steps.extend(seg.steps);
            }
        } else if self.checkout.done {
            steps.push(self.cell_checkout(c));
        }
        for part in parts.iter().filter(|p| p.name == "stages") {
            match lone {
                Some(_) => self.lone_stages(part),
                None => self.cell_stages(part, &head.ctx, &mut steps, &mut attrs),
            }
        }
        let mut post = Vec::new();
        if let Some(part) = parts.iter().rfind(|p| p.name == "post") {
            post = self.post(part, &head.ctx, false);
        }
        if let Some(p) = call.body().iter().filter_map(as_call).find(|p| p.name == "post") {
            post.extend(self.post(p, &head.ctx, false));
        }
        if post.iter().any(|(_, s)| !s.is_empty()) {
            self.report.approximated(&c.head, "matrix", "its post section runs once, behind all cells", "");
        }
        if steps.is_empty() && build.is_none() {
            steps.push(nothing());
        }
        if matrix.axes.is_empty() {
            build = None;
            steps = vec![self.by_hand(&c.span, "matrix", "its axes are computed", "write `matrix:` with its values")];
            matrix = Matrix::default();
        }
        let stage = Stage {
            name: name.to_owned(),
            comments: self.comments_above(call.span.start),
            when: when_of(&own.when),
            matrix: (!matrix.axes.is_empty()).then_some(matrix),
            retry: attrs.retry.filter(|_| build.is_none()),
            timeout: attrs.timeout,
            locks: attrs.locks,
            allow_failure: attrs.allow_failure,
            env: head.env,
            build,
            steps,
            post: merged(post),
            ..Stage::default()
        };
        Ok(vec![self.push(stage, &call.span, needs)?])
    }

    /// Each cell has a workspace of its own, as each had an agent of its own.
    fn cell_checkout(&mut self, c: &Call) -> Step {
        self.report.approximated(
            &c.head,
            "matrix",
            "each cell has a workspace of its own, a clone of the checkout; files of other stages are in $QD_RUN_WORKSPACE",
            "",
        );
        let script = "if [ -d \"$QD_RUN_WORKSPACE/.git\" ]; then git clone -q \"$QD_RUN_WORKSPACE\" .; fi";
        Step { name: "checkout".into(), action: Action::Run { script: script.into(), interpreter: None }, ..Step::default() }
    }

    /// The only stage of a matrix is the matrix' own.
    fn lone_stages(&mut self, part: &Call) {
        self.report.converted(&part.head, "stages", "the matrix' stage");
        for c in part.body().iter().filter_map(as_call).flat_map(|s| s.body()).filter_map(as_call) {
            self.report.converted(&c.head, &c.name, "the matrix' stage");
        }
    }

    fn cell_stages(&mut self, part: &Call, ctx: &Ctx, steps: &mut Vec<Step>, attrs: &mut Attrs) {
        self.report.converted(&part.head, "stages", "steps of the matrix' stage");
        for s in part.body() {
            match as_call(s) {
                Some(stage) if stage.name == "stage" => self.cell_stage(stage, ctx, steps, attrs),
                _ => self.report.manual(&s.span, "stages", "only stages can stand here", "write it by hand"),
            }
        }
    }

    /// A stage inside a matrix: its steps follow those of the stage before it.
    fn cell_stage(&mut self, call: &Call, ctx: &Ctx, steps: &mut Vec<Step>, attrs: &mut Attrs) {
        let name = stage_name(call);
        self.report.converted(&call.head, format!("stage `{}`", show(&name)), "steps of the matrix' stage");
        let head = self.head(call, ctx, &[]);
        if head.never {
            return self.report.converted(&call.span, format!("stage `{}`", show(&name)), "its condition is never true: left out");
        }
        steps.extend(head.first);
        if let Some(w) = call.body().iter().filter_map(as_call).find(|c| c.name == "when" && !head.when.is_empty()) {
            steps.push(self.by_hand(
                &w.span,
                "when in a matrix",
                "a condition holds for a whole stage, not for some of its steps",
                "exclude the cells, or let the script look at `$matrix_…`",
            ));
        }
        if head.approve.is_some() {
            let span = call.head.clone();
            steps.push(self.by_hand(&span, "input in a matrix", "a cell cannot wait for people", "put the approval before the matrix"));
        }
        let Some(body) = call.body().iter().filter_map(as_call).find(|c| c.name == "steps") else {
            return self.report.manual(&call.head, "stage", "stages inside the stages of a matrix", "write them as steps");
        };
        self.report.converted(&body.head, "steps", "steps of the matrix' stage");
        let mut ctx = head.ctx;
        ctx.env.extend(head.env);
        let mut segments = vec![Segment::default()];
        self.steps(body.body(), &ctx, &head.attrs, &mut segments);
        for mut seg in segments {
            for l in seg.attrs.locks.drain(..) {
                if !attrs.locks.contains(&l) {
                    attrs.locks.push(l);
                }
            }
            if seg.attrs != Attrs::default() && !seg.steps.is_empty() {
                for s in &mut seg.steps {
                    s.timeout = s.timeout.or(seg.attrs.timeout);
                }
                if seg.attrs.retry.is_some() || seg.attrs.allow_failure {
                    self.report.approximated(
                        &call.head,
                        format!("stage `{}`", show(&name)),
                        "steps of a cell are tried once, and a failure counts",
                        "`retry:` and `allow_failure:` of the stage hold for all its steps",
                    );
                }
            }
            for mut s in seg.steps {
                s.name = super::convert::label(&format!("{name}: {}", s.name), 120);
                steps.push(s);
            }
        }
        if let Some(p) = call.body().iter().filter_map(as_call).find(|c| c.name == "post") {
            let made: Vec<Step> = self.post(p, &ctx, false).into_iter().flat_map(|(_, s)| s).collect();
            if !made.is_empty() {
                self.report.manual(
                    &p.span,
                    "post in a matrix",
                    "a step of a cell has no post section",
                    "write it into the script with `trap`, or into the post section of the stage",
                );
            }
        }
    }

    fn axes(&mut self, c: &Call, matrix: &mut Matrix, head: &mut Head) {
        self.report.converted(&c.head, "axes", "matrix");
        for s in c.body() {
            let found = as_call(s).filter(|a| a.name == "axis").and_then(axis);
            match found {
                Some((name, values)) if scalar(&Ty::MatrixKey, &name).is_ok() && !values.is_empty() => {
                    head.env.push((name.clone(), format!("${{matrix.{name}}}")));
                    head.ctx.scope.insert(name.clone(), Var::Axis);
                    matrix.axes.push((name, values));
                    self.report.converted(&s.span, "axis", "a key of the matrix");
                }
                _ => self.report.manual(&s.span, "axis", "its name or values are computed", "write them below `matrix:`"),
            }
        }
    }

    fn excludes(&mut self, c: &Call, matrix: &mut Matrix, steps: &mut Vec<Step>) {
        self.report.converted(&c.head, "excludes", "matrix.exclude");
        for s in c.body() {
            let cells = as_call(s).filter(|e| e.name == "exclude").and_then(|e| exclude(e, matrix));
            match cells {
                Some(cells) if matrix.excludes.len() + cells.len() <= MAX_EXCLUDES => {
                    matrix.excludes.extend(cells);
                    self.report.converted(&s.span, "exclude", "matrix.exclude");
                }
                _ => steps.push(self.by_hand(&s.span, "exclude", "its values are computed or too many", "write it below `matrix.exclude`")),
            }
        }
    }
}

/// The stages of a matrix, where they are one that only starts another job: its name and the call.
fn lone_build(stages: &Call) -> Option<(&Call, &Call)> {
    let [stage] = stages.body() else { return None };
    let stage = as_call(stage).filter(|s| s.name == "stage")?;
    let [steps] = stage.body() else { return None };
    let [step] = as_call(steps).filter(|s| s.name == "steps")?.body() else { return None };
    Some((stage, as_call(step).filter(|s| s.name == "build")?))
}

fn when_of(all: &[Cond]) -> Option<String> {
    match join(all.to_vec(), true) {
        Cond::Expr { text, .. } => Some(text),
        Cond::Const(_) => None,
    }
}

fn stage_name(call: &Call) -> String {
    call.positional(0).and_then(Value::literal).map_or_else(|| "stage".to_owned(), str::to_owned)
}

pub fn nothing() -> Step {
    Step { name: "nothing".into(), action: Action::Run { script: ":".into(), interpreter: None }, ..Step::default() }
}
