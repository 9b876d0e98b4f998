//! Variables with two sources, of which a script sees one: a parameter comes before `env:` of the file, and `env:` of a stage or a step before
//! the parameter.

use crate::pipeline::diagnostic::{Sink, show};
use crate::pipeline::model::File;
use crate::pipeline::reader::{Node, Word};

pub(super) fn lint(file: &File, sink: &mut Sink<'_>) {
    for (word, _) in file.env.iter().filter(|(w, _)| file.parameter(&w.text).is_some()) {
        let message = format!("scripts never see this `{}`: they see the parameter of that name", show(&word.text));
        sink.warning(word.at, "env.shadow", message, "give it another name, or take it out");
    }
    for stage in &file.stages {
        hides(&stage.env, file, sink);
    }
    for (_, step) in file.all_steps() {
        hides(&step.env, file, sink);
    }
}

/// One that is made of the parameter is meant so.
fn hides(env: &[(Word, Node)], file: &File, sink: &mut Sink<'_>) {
    for (word, node) in env.iter().filter(|(w, _)| file.parameter(&w.text).is_some()) {
        let own = node.text().is_some_and(|t| t.contains(&format!("params.{}", word.text)));
        if !own {
            let message =
                format!("this hides parameter `{0}`: whatever is given with -p {0}=…, scripts here see something else", show(&word.text));
            sink.warning(word.at, "env.shadow", message, "give it another name, or take it out");
        }
    }
}
