//! `actions`: the registry as a table.

use serde_json::json;

use super::failure::Outcome;
use super::out::{Out, Tone};
use super::table::{self, left};
use crate::action::{ALL, Target};

pub fn run(out: &Out) -> Outcome {
    if out.json {
        let rows: Vec<_> = ALL
            .iter()
            .map(|a| {
                json!({"action": a.id, "title": a.title, "doc": a.doc, "level": a.level.to_string(), "roles": a.roles.join(" "),
                    "target": word(a.target), "usage": a.usage})
            })
            .collect();
        out.value(&json!({"what": "actions", "rows": rows}));
        return Ok(());
    }
    let rows: Vec<Vec<String>> =
        ALL.iter().map(|a| vec![a.id.into(), a.level.to_string(), word(a.target).into(), a.roles.join(","), a.title.into()]).collect();
    table::print(out, &[left("ACTION"), left("LEVEL"), left("TARGET"), left("ROLES"), left("WHAT IT DOES")], &rows);
    out.line(out.paint(
        Tone::Dim,
        "\nL0 records who looks after what; L1 as asked; L2 with --reason and --confirm NAME; L3 with a second person. A pipeline's danger raises its runs.",
    ));
    Ok(())
}

fn word(target: Target) -> &'static str {
    match target {
        Target::Pipeline => "pipeline",
        Target::Run => "run",
        Target::Engine => "engine",
        Target::Secret => "secret",
        Target::Promotion => "promotion",
        Target::Os => "OS major",
        Target::Hold => "hold",
        Target::Repo => "repository",
        Target::Problem => "problem",
    }
}
