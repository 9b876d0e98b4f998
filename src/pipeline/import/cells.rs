//! Matrices: their axes, and what each cell does. The stages of a cell become steps of one stage.

use super::axes::{MAX_EXCLUDES, axis, exclude};
use super::convert::{Converter, Ctx, Place, as_call};
use super::out::{Action, Build, Matrix, Stage, Step};
use super::parse::Call;
use super::post::merged;
use super::shell::Var;
use super::source::Bad;
use super::stages::{Head, nothing, stage_name, when_of};
use super::steps::{Attrs, Segment};
use crate::pipeline::diagnostic::show;
use crate::pipeline::schema::{Ty, scalar};

/// What is gathered of a cell.
struct Cell {
    steps: Vec<Step>,
    attrs: Attrs,
    build: Option<Build>,
}

impl Converter<'_> {
    /// A stage with a matrix: one stage of ours, whose steps are all that its stages did.
    pub(super) fn matrix(&mut self, call: &Call, c: &Call, name: &str, mut head: Head, needs: &[String]) -> Result<Vec<String>, Bad> {
        self.report.converted(&c.head, "matrix", "matrix");
        let mut matrix = Matrix::default();
        head.ctx.place = Place::Matrix;
        head.ctx.env.clear();
        let mut cell = Cell { steps: std::mem::take(&mut head.first), attrs: head.attrs.clone(), build: None };
        let parts: Vec<&Call> = c.body().iter().filter_map(as_call).collect();
        for s in c.body().iter().filter(|s| as_call(s).is_none()) {
            self.report.manual(&s.span, "matrix", "this is no part of a matrix", "write it by hand");
        }
        for part in parts.iter().filter(|p| p.name == "axes") {
            self.axes(part, &mut matrix, &mut head);
        }
        for part in parts.iter().filter(|p| p.name == "excludes") {
            self.excludes(part, &mut matrix, &mut cell.steps);
        }
        let own = self.head(&without_cells(c), &head.ctx, &head.when);
        head.env.extend(own.env);
        head.ctx = own.ctx;
        cell.steps.extend(own.first);
        if own.never {
            return Ok(needs.to_vec());
        }
        self.cell(c, &parts, &head.ctx, &mut cell);
        let post = self.matrix_post(call, c, &parts, &head.ctx);
        if cell.steps.is_empty() && cell.build.is_none() {
            cell.steps.push(nothing());
        }
        if matrix.axes.is_empty() {
            cell.build = None;
            cell.steps = vec![self.by_hand(&c.span, "matrix", "its axes are computed", "write `matrix:` with its values")];
            matrix = Matrix::default();
        }
        let Cell { steps, attrs, build } = cell;
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

    /// What each cell does: a run of another pipeline where its only stage is one, else the steps of its stages.
    fn cell(&mut self, c: &Call, parts: &[&Call], ctx: &Ctx, cell: &mut Cell) {
        let stages = parts.iter().filter(|p| p.name == "stages");
        let lone = stages.clone().next().and_then(|p| lone_build(p)).filter(|_| cell.steps.is_empty());
        if let Some((stage, inner)) = lone {
            self.report.converted(&stage.head, format!("stage `{}`", show(&stage_name(stage))), "the stage itself, once for each cell");
            let ctx = Ctx { place: Place::Stage, ..ctx.clone() };
            let mut segments = Vec::new();
            self.build(inner, &inner.span, &ctx, &cell.attrs, &mut segments);
            for seg in segments.into_iter().filter(Segment::is_something) {
                cell.attrs = seg.attrs;
                cell.build = seg.build;
                cell.steps.extend(seg.steps);
            }
            return stages.for_each(|part| self.lone_stages(part));
        }
        if self.checkout.done {
            cell.steps.push(self.cell_checkout(c));
        }
        for part in stages {
            self.cell_stages(part, ctx, &mut cell.steps, &mut cell.attrs);
        }
    }

    /// The post sections of the matrix and of its stage.
    fn matrix_post(&mut self, call: &Call, c: &Call, parts: &[&Call], ctx: &Ctx) -> Vec<(&'static str, Vec<Step>)> {
        let mut post = Vec::new();
        if let Some(part) = parts.iter().rfind(|p| p.name == "post") {
            post = self.post(part, ctx, false);
        }
        if let Some(p) = call.body().iter().filter_map(as_call).find(|p| p.name == "post") {
            post.extend(self.post(p, ctx, false));
        }
        if post.iter().any(|(_, s)| !s.is_empty()) {
            self.report.approximated(&c.head, "matrix", "its post section runs once, behind all cells", "");
        }
        post
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
            steps.push(self.by_hand(&call.span, "stage in a matrix", "it has stages inside, or no steps", "write what they do as steps"));
            return;
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

/// The matrix without what makes its cells: what is left is written like the head of a stage.
fn without_cells(c: &Call) -> Call {
    let cells = |name: &str| matches!(name, "axes" | "excludes" | "stages");
    let body = c.body().iter().filter(|s| as_call(s).is_some_and(|c| !cells(&c.name))).cloned();
    Call { body: Some(body.collect()), ..c.clone() }
}

/// The stages of a matrix, where they are one that only starts another job: its name and the call.
fn lone_build(stages: &Call) -> Option<(&Call, &Call)> {
    let [stage] = stages.body() else { return None };
    let stage = as_call(stage).filter(|s| s.name == "stage")?;
    let [steps] = stage.body() else { return None };
    let [step] = as_call(steps).filter(|s| s.name == "steps")?.body() else { return None };
    Some((stage, as_call(step).filter(|s| s.name == "build")?))
}
