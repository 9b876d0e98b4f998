//! `inputs:` at the moment of freezing: which run each comes from, and which of its files, by digest. Nothing is chosen later.

use std::collections::BTreeSet;

use glob::Pattern;
use indexmap::IndexMap;

use super::fault::Fault;
use crate::domain::artifact::MATCH;
use crate::domain::rows::ArtifactRow;
use crate::domain::run::RunRef;
use crate::pipeline::model::{File, InputUse, ParamType, TRIGGER};
use crate::pipeline::plan::{Input, InputFile, Stage, StageKind};

/// Other runs, as inputs need them. Errors are sentences.
pub trait Runs {
    /// The run that sets this one off.
    fn trigger(&self) -> Result<RunRef, String>;
    /// What a run has kept.
    fn kept(&self, run: &RunRef) -> Result<Vec<ArtifactRow>, String>;
}

/// Files of all inputs of a stage.
const MOST: usize = 10_000;

/// Fills in the inputs of `stages`. The answer: every run that the run will depend on, and the one behind `from: trigger`.
pub(super) fn resolve(
    file: &File,
    parameters: &IndexMap<String, String>,
    runs: Option<&dyn Runs>,
    stages: &mut [Stage],
) -> Result<(Vec<RunRef>, Option<RunRef>), Fault> {
    let named = |p: &&crate::pipeline::model::Parameter| matches!(p.ty, ParamType::Run { .. });
    let of_parameters = file.parameters.iter().filter(named).filter_map(|p| parameters.get(&p.name.text)?.parse().ok());
    let mut uses: BTreeSet<RunRef> = of_parameters.collect();
    let mut trigger = None;
    let Some(runs) = runs else { return Ok((uses.into_iter().collect(), None)) };
    // Work stages come first, in file order.
    let work = stages.iter_mut().filter(|s| matches!(s.kind, StageKind::Work));
    for (stage, from) in work.zip(&file.stages) {
        let mut places = BTreeSet::new();
        for used in file.inputs.iter().chain(&from.inputs) {
            let fault =
                |why: String| Fault::Input { at: used.path.at, from: used.from.value.clone(), pattern: used.path.value.clone(), why };
            let run: RunRef = match used.from.value.as_str() {
                TRIGGER => {
                    if trigger.is_none() {
                        trigger = Some(runs.trigger().map_err(fault)?);
                    }
                    trigger.clone().ok_or_else(|| fault("no run sets this one off".to_owned()))?
                }
                name => parameters
                    .get(name)
                    .and_then(|v| v.parse().ok())
                    .ok_or_else(|| fault("it names no parameter of type `run`".to_owned()))?,
            };
            let files = files(used, &run, runs).map_err(fault)?;
            for f in &files {
                if !places.insert(f.place.clone()) {
                    return Err(fault(format!(
                        "two files would come to `{}`: give one of the inputs a directory of its own (to:)",
                        f.place
                    )));
                }
            }
            if places.len() > MOST {
                return Err(fault(format!("the stage would get more than {MOST} files")));
            }
            uses.insert(run.clone());
            stage.inputs.push(Input { from: run, pattern: used.path.value.clone(), files });
        }
    }
    Ok((uses.into_iter().collect(), trigger))
}

fn files(used: &InputUse, run: &RunRef, runs: &dyn Runs) -> Result<Vec<InputFile>, String> {
    let pattern = used.path.value.trim_start_matches("./");
    let pattern = Pattern::new(pattern).map_err(|e| format!("it is no pattern: {e}"))?;
    let to = used.to.as_ref().map_or("", |t| t.value.trim_start_matches("./").trim_end_matches('/'));
    let files: Vec<InputFile> = runs
        .kept(run)?
        .into_iter()
        .filter(|a| pattern.matches_with(&a.path, MATCH))
        .map(|a| InputFile {
            place: if to.is_empty() { a.path.clone() } else { format!("{to}/{}", a.path) },
            path: a.path,
            sha256: a.sha256,
            size_bytes: a.size_bytes,
        })
        .collect();
    if files.is_empty() { Err(format!("{run} has kept no such file")) } else { Ok(files) }
}
