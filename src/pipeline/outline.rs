//! What a pipeline that builds others must know of them: their danger, parameters, locks, and whom they build in turn.

use std::collections::BTreeSet;

use super::Catalog;
use super::model::{File, Parameter};
use super::plan::Lock;
use crate::domain::level::Level;

/// A pipeline as seen from the file that builds it. Nothing in it is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// Its own word and its stages'; what it builds in turn is not counted.
    pub level: Level,
    pub parameters: Vec<Parameter>,
    pub group: Option<String>,
    pub builds: Vec<Edge>,
    /// Stage, and the locks that it takes.
    pub locks: Vec<(String, Vec<Lock>)>,
}

/// One `build:` of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    pub pipeline: String,
    /// Its end is waited for.
    pub wait: bool,
}

/// Pipelines that a walk visits at most: more do not stand in one directory by reason.
const MOST: usize = 10_000;

impl Outline {
    pub fn of(file: &File) -> Self {
        let edge = |b: &super::model::Build| Edge { pipeline: b.pipeline.value.clone(), wait: b.wait };
        Self {
            level: file.level(),
            parameters: file.parameters.clone(),
            group: file.options.concurrency.as_ref().map(|c| c.group.clone()),
            builds: file.stages.iter().filter_map(|s| s.build()).map(edge).collect(),
            locks: file.stages.iter().map(|s| (s.name.value.clone(), super::freeze::locks(s))).filter(|(_, l)| !l.is_empty()).collect(),
        }
    }
}

impl Catalog {
    /// A pipeline and all that it builds, itself first. With `waited`, only those whose end it waits for.
    pub fn built_by<'a>(&'a self, pipeline: &'a str, waited: bool) -> Vec<(&'a str, &'a Outline)> {
        let (mut seen, mut todo, mut out) = (BTreeSet::new(), vec![pipeline], Vec::new());
        while let Some(name) = todo.pop() {
            let Some(outline) = self.outlines.get(name).filter(|_| seen.len() < MOST && seen.insert(name)) else { continue };
            todo.extend(outline.builds.iter().filter(|e| e.wait || !waited).map(|e| e.pipeline.as_str()));
            out.push((name, outline));
        }
        out
    }

    /// What a run of the pipeline may do, all that it builds counted; none where it is not known.
    pub fn level_of(&self, pipeline: &str) -> Option<Level> {
        self.outlines.get(pipeline)?;
        self.built_by(pipeline, false).iter().map(|(_, o)| o.level).max()
    }

    /// The longest row of pipelines that build each other from this one on, itself counted; `stop` bounds it, also in a circle.
    pub fn depth_of(&self, pipeline: &str, stop: usize) -> usize {
        let mut layer: BTreeSet<&str> = BTreeSet::from([pipeline]);
        for depth in 0..stop {
            let next: BTreeSet<&str> =
                layer.iter().filter_map(|p| self.outlines.get(*p)).flat_map(|o| &o.builds).map(|e| e.pipeline.as_str()).collect();
            if next.is_empty() {
                return depth + 1;
            }
            layer = next;
        }
        stop
    }
}
