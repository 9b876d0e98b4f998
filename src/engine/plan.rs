//! From a pipeline's name to a frozen plan: read anew, judged, its parameters resolved against this site and its runs.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::state::Engine;
use crate::api::ApiError;
use crate::config::Site;
use crate::domain::promotion::owns;
use crate::domain::rows::ArtifactRow;
use crate::domain::run::{RunRef, RunState, Verdict};
use crate::pipeline::freeze::Runs;
use crate::pipeline::model::{File, RunResult, TriggerKind, UpstreamOn};
use crate::pipeline::params::RunQuery;
use crate::pipeline::plan::{Action, Plan};
use crate::pipeline::{Diagnostic, FreezeCtx, freeze};
use crate::store::{RunsQuery, Store};

/// The plan of a pipeline of the site, with these parameters.
pub fn of_pipeline(engine: &Engine, site: &Arc<Site>, name: &str, given: &IndexMap<String, String>) -> Result<Plan, ApiError> {
    of_trigger(engine, site, name, given, None)
}

/// As [`of_pipeline`], set off by the end of a run.
pub fn of_trigger(
    engine: &Engine,
    site: &Arc<Site>,
    name: &str,
    given: &IndexMap<String, String>,
    trigger: Option<&RunRef>,
) -> Result<Plan, ApiError> {
    if owns(name) {
        return Err(ApiError::refused(
            format!("`{name}` is the name of runs that the engine writes for promotions: a file cannot be run by it"),
            "rename the file; what a promotion does begins with quarterdeck do promote OS",
        ));
    }
    let (dirs, uid) = (engine.watch.dirs(), engine.watch.uid());
    let catalog = engine.memo.catalog(dirs, site, uid)?;
    let judged = engine.memo.judge(dirs, name, uid, &catalog)?;
    let Some(file) = &judged.file else {
        let first = judged.first_error().unwrap_or_else(|| format!("{} cannot be used", judged.source.path.display()));
        return Err(ApiError::bad(format!("pipeline `{name}` has errors: {first}"), format!("quarterdeck pipeline lint {name}")));
    };
    let find_run = |q: &RunQuery| find_run(&engine.store, q);
    let others = Others { engine, file, trigger };
    let ctx = FreezeCtx { have: &have, find_run: &find_run, runs: Some(&others) };
    let plan = freeze(file, &catalog, given, &ctx).map_err(|d| refused(name, &d))?;
    confined(&plan, site)?;
    Ok(plan)
}

/// `mirror/*` writes below the site's roots only, where it names some, and never a tree that has another writer. A relative path is in the
/// run's own workspace.
pub fn confined(plan: &Plan, site: &Site) -> Result<(), ApiError> {
    for (stage, _, _, step) in plan.steps() {
        let Action::Native { kind, with } = &step.action else { continue };
        for dest in WRITTEN.iter().filter(|_| kind.starts_with("mirror/")).filter_map(|key| with.get(*key)?.as_str()) {
            let stage = || plan.stages.get(stage as usize).map_or("", |s| s.name.as_str());
            if let Some((name, repo)) = site.repos.iter().find(|(_, r)| r.writer != "quarterdeck" && same(&r.tree, dest)) {
                return Err(ApiError::refused(
                    format!(
                        "stage `{}` of `{}` would write to {dest}, and [repos.{name}] says that {} writes it",
                        stage(),
                        plan.pipeline,
                        repo.writer
                    ),
                    "every tree has one writer: choose another directory, or change `writer` in site.toml",
                ));
            }
            if !site.mirror_roots.is_empty() && !below(Path::new(dest), &site.mirror_roots) {
                let roots: Vec<String> = site.mirror_roots.iter().map(|r| r.display().to_string()).collect();
                return Err(ApiError::refused(
                    format!(
                        "stage `{}` of `{}` would write to {dest}, which is not known to be below [mirror] roots",
                        stage(),
                        plan.pipeline
                    ),
                    format!("the site lets {kind} write below {}; the tree of a repository is in site.toml", roots.join(", ")),
                ));
            }
        }
    }
    Ok(())
}

/// The fields of `mirror/*` that name what is written.
const WRITTEN: [&str; 2] = ["dest", "root"];

fn same(tree: &str, dest: &str) -> bool {
    let real = |p: &str| std::fs::canonicalize(p).unwrap_or_else(|_| PathBuf::from(p));
    !tree.is_empty() && (Path::new(tree) == Path::new(dest) || real(tree) == real(dest))
}

/// Whether a path is below one of the roots: as it is written, and as the links on its way lead today.
fn below(path: &Path, roots: &[PathBuf]) -> bool {
    if path.components().any(|c| matches!(c, Component::ParentDir)) {
        return false;
    }
    // What only a later stage knows cannot be judged now.
    if path.to_string_lossy().contains("${stages.") {
        return false;
    }
    if !path.is_absolute() {
        return true;
    }
    if !roots.iter().any(|r| path.starts_with(r)) {
        return false;
    }
    // The part that is there; what is not there yet is made by the step, as a directory.
    let mut there = path.ancestors();
    let Some((head, real)) = there.find_map(|p| Some((p, std::fs::canonicalize(p).ok()?))) else { return false };
    // A link that leads nowhere today may lead anywhere tomorrow.
    let next = path.strip_prefix(head).ok().and_then(|rest| rest.components().next());
    if next.is_some_and(|c| std::fs::symlink_metadata(head.join(c)).is_ok()) {
        return false;
    }
    let real = path.strip_prefix(head).map_or_else(|_| real.clone(), |rest| real.join(rest));
    roots.iter().any(|r| real.starts_with(std::fs::canonicalize(r).unwrap_or_else(|_| r.clone())))
}

/// The plan of a run that is made again: the same parameters, edited, and the file as it is now.
pub fn of_replay(engine: &Engine, site: &Arc<Site>, run: &RunRef, edits: &IndexMap<String, String>) -> Result<Plan, ApiError> {
    let before = frozen(engine, run)?;
    let mut given = before.parameters;
    given.extend(edits.iter().map(|(k, v)| (k.clone(), v.clone())));
    of_trigger(engine, site, &run.pipeline, &given, before.trigger.as_ref())
}

/// Other runs, for the inputs of one.
struct Others<'a> {
    engine: &'a Engine,
    file: &'a File,
    /// The run that sets this one off; none = people or a clock do.
    trigger: Option<&'a RunRef>,
}

impl Runs for Others<'_> {
    /// Without a trigger: the newest run that would have been one.
    fn trigger(&self) -> Result<RunRef, String> {
        if let Some(run) = self.trigger {
            return Ok(run.clone());
        }
        let mut why = "no trigger of the pipeline is `upstream:`".to_owned();
        for t in &self.file.triggers {
            let TriggerKind::Upstream { pipeline, on, .. } = &t.kind else { continue };
            let result = match on {
                UpstreamOn::Success => RunResult::Success,
                UpstreamOn::Failure => RunResult::Failure,
                UpstreamOn::Any => RunResult::Any,
            };
            match find_run(&self.engine.store, &RunQuery { pipeline: pipeline.value.clone(), number: None, result }) {
                Ok(run) => return Ok(run),
                Err(e) => why = e,
            }
        }
        Err(why)
    }

    fn kept(&self, run: &RunRef) -> Result<Vec<ArtifactRow>, String> {
        self.engine.store.artifacts(run).map_err(|e| e.to_string())
    }
}

/// The plan that a run was frozen with.
pub fn frozen(engine: &Engine, run: &RunRef) -> Result<Plan, ApiError> {
    let json = engine.store.plan_json(run)?;
    serde_json::from_str(&json)
        .map_err(|e| ApiError::failed(format!("the plan of {run} cannot be read: {e}"), "was it made by a newer version?"))
}

fn refused(name: &str, diagnostics: &[Diagnostic]) -> ApiError {
    let texts: Vec<&str> = diagnostics.iter().map(|d| d.message.as_str()).collect();
    let helps: Vec<&str> = diagnostics.iter().map(|d| d.help.as_str()).filter(|h| !h.is_empty()).collect();
    ApiError::bad(format!("`{name}` cannot run so: {}", texts.join("; ")), helps.join("\n"))
}

/// Whether the engine's PATH has a program.
pub fn have(program: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::var_os("PATH").unwrap_or_default();
    !program.is_empty()
        && !program.contains('/')
        && std::env::split_paths(&path)
            .any(|dir| std::fs::metadata(dir.join(program)).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0))
}

/// A run that a parameter names: `latest`, or `PIPELINE#N`, with the verdict that is asked for.
fn find_run(store: &Store, q: &RunQuery) -> Result<RunRef, String> {
    let fits = |v: Option<Verdict>| match q.result {
        RunResult::Any => v.is_some(),
        RunResult::Success => v == Some(Verdict::Success),
        RunResult::Failure => v.is_some_and(|v| v != Verdict::Success),
    };
    if let Some(number) = q.number {
        let row = store.run(&RunRef::new(&q.pipeline, number)).map_err(|e| e.to_string())?;
        return if fits(row.verdict) {
            Ok(row.run)
        } else {
            Err(format!("{} has another verdict: {}", row.run, row.verdict.map_or("none yet", Verdict::as_str)))
        };
    }
    let query = RunsQuery { pipeline: Some(q.pipeline.clone()), states: vec![RunState::Done], limit: 1_000, ..RunsQuery::default() };
    let rows = store.runs(&query).map_err(|e| e.to_string())?;
    let wanted = match q.result {
        RunResult::Any => "that has ended",
        RunResult::Success => "that succeeded",
        RunResult::Failure => "that failed",
    };
    rows.into_iter().find(|r| fits(r.verdict)).map(|r| r.run).ok_or_else(|| format!("`{}` has no run {wanted}", q.pipeline))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_before_a_path_is_called_below_a_root() {
        let dir = tempfile::tempdir().unwrap();
        let (data, outside) = (dir.path().join("data"), dir.path().join("outside"));
        std::fs::create_dir_all(data.join("el9")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        symlink(&data, dir.path().join("mirror")).unwrap();
        symlink(&outside, data.join("leak")).unwrap();
        symlink("el9", data.join("same")).unwrap();
        symlink("nowhere", data.join("dangling")).unwrap();
        let root = dir.path().join("mirror");
        let judge = |p: &str| below(&root.join(p), std::slice::from_ref(&root));
        for good in ["el9", "el9/baseos", "new/deep/tree", "same/x", ""] {
            assert!(judge(good), "{good}");
        }
        for bad in ["leak", "leak/x", "dangling", "dangling/x", "../outside", "el9/../../outside"] {
            assert!(!judge(bad), "{bad}");
        }
        assert!(!below(Path::new("/etc"), std::slice::from_ref(&root)));
        assert!(below(Path::new("in/the/workspace"), std::slice::from_ref(&root)));
        assert!(!below(Path::new("${stages.a.outputs.b}"), std::slice::from_ref(&root)));
        assert!(same(&root.join("el9").to_string_lossy(), &data.join("el9").to_string_lossy()) && !same("", ""));
    }
}
