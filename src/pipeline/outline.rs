//! What a pipeline that builds others must know of them: their danger, parameters, locks, and whom they build in turn.

use super::locks;
use super::model::{Build, File, Parameter};
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

impl Outline {
    pub fn of(file: &File) -> Self {
        let edge = |b: &Build| Edge { pipeline: b.pipeline.value.clone(), wait: b.wait };
        Self {
            level: file.level(),
            parameters: file.parameters.clone(),
            group: file.options.concurrency.as_ref().map(|c| c.group.clone()),
            builds: file.stages.iter().filter_map(|s| s.build()).map(edge).collect(),
            locks: file.stages.iter().map(|s| (s.name.value.clone(), locks::of(s))).filter(|(_, l)| !l.is_empty()).collect(),
        }
    }
}
