//! Variables of outputs in scripts: `$QD_OUT_STAGE_NAME` of a stage that the file does not have is empty, whatever happens.

use std::collections::BTreeSet;

use super::shell::{VARIABLE, commands};
use crate::base::suggest;
use crate::pipeline::diagnostic::Sink;
use crate::pipeline::model::File;
use crate::pipeline::plan::out_variable;
use crate::pipeline::reader::Node;

/// One script. `known` has a value of its own, by the script or by `env:`.
pub(super) fn lint(node: &Node, text: &str, known: &BTreeSet<String>, file: &File, sink: &mut Sink<'_>) {
    let Some(variable) = &*VARIABLE else { return };
    if !text.contains(PREFIX) {
        return;
    }
    let stages: Vec<String> = file.stages.iter().map(|s| out_variable(&s.name.value, "")).collect();
    for (offset, command) in commands(text) {
        for c in variable.captures_iter(command) {
            let (Some(whole), Some(name)) = (c.get(0), c.get(1).or(c.get(3))) else { continue };
            let name = name.as_str();
            let guarded = c.get(2).is_some_and(|g| g.as_str().starts_with([':', '-', '=', '?', '+']));
            let of_stage = stages.iter().any(|s| name.len() > s.len() && name.starts_with(s.as_str()));
            if !name.starts_with(PREFIX) || guarded || of_stage || known.contains(name) || sink.full() {
                continue;
            }
            // An output has one word more often than not: what is before it is the stage.
            let stage = name.rsplit_once('_').map_or(name, |(stage, _)| stage);
            let near = suggest::nearest(stage, stages.iter().map(|s| s.trim_end_matches('_'))).filter(|n| *n != stage);
            let help = match near {
                Some(near) => format!("did you mean \"${near}{}\"?", &name[stage.len()..]),
                None => "outputs of stages are $QD_OUT_STAGE_NAME, both in upper case, with _ for other signs".to_owned(),
            };
            let at = node.locate(sink.text, offset + whole.start()..offset + whole.end());
            sink.error(at, "ref.output", format!("no stage of this file gives `${name}`"), help);
        }
    }
}

const PREFIX: &str = "QD_OUT_";
