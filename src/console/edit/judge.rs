//! What a text is as a pipeline: findings, plan and picture. The library's own lint and plan, of a text that need not be saved.

use indexmap::IndexMap;
use jiff::Timestamp;

use crate::pipeline::diagnostic::render;
use crate::pipeline::{Catalog, Checker, Diagnostic, FreezeCtx, describe, freeze, graph, load_with, misnamed};

/// What the site knows, as far as a judgement asks for it.
pub struct Around<'a> {
    pub catalog: &'a Catalog,
    /// Whether a program can be found: `have.NAME`.
    pub have: &'a dyn Fn(&str) -> bool,
    /// A real shell that reads scripts, where there is one.
    pub check: Option<Checker<'a>>,
    pub now: Timestamp,
}

/// A text as it was judged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judged {
    /// Of the text.
    pub revision: u64,
    pub found: Vec<Diagnostic>,
    /// As `pipeline plan` says it; where there is none, why.
    pub plan: String,
    /// As `pipeline graph` draws it.
    pub graph: String,
    /// Why the site could not be asked what a file may name.
    pub doubt: Option<String>,
}

impl Judged {
    pub fn errors(&self) -> usize {
        self.found.iter().filter(|d| d.is_error()).count()
    }

    pub fn warnings(&self) -> usize {
        self.found.len() - self.errors()
    }
}

/// Judges `text` as the file of pipeline `name`.
pub fn judge(name: &str, text: &str, around: &Around<'_>) -> Judged {
    let file_name = format!("{name}.yml");
    let (file, mut found) = load_with(text, &file_name, around.catalog, around.check);
    if let Some(slip) = file.as_ref().and_then(|f| misnamed(f, name, &file_name)) {
        found.push(slip);
        found.sort_by_key(|d| (d.line, d.column));
    }
    let Some(file) = file else {
        let none = "There is no plan while the file has errors: n goes to the first of them.\n".to_owned();
        return Judged { found, plan: none.clone(), graph: none, ..Judged::default() };
    };
    let ctx = FreezeCtx { have: around.have, ..FreezeCtx::NOTHING };
    let plan = match freeze(&file, around.catalog, &IndexMap::new(), &ctx) {
        Ok(plan) => describe::text(&plan, &file, around.catalog, around.now),
        Err(faults) => {
            let all: String = faults.iter().map(|d| render(d, text)).collect();
            format!("There is no plan without values for its parameters: B asks for them.\n\n{all}")
        }
    };
    Judged { found, plan, graph: graph::ascii(&graph::of_file(&file)), ..Judged::default() }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub const GOOD: &str = "format: 1\nname: one\nstages:\n  - name: only\n    run: 'true'\n";

    pub fn judged(text: &str) -> Judged {
        let around = Around { catalog: &Catalog::default(), have: &|_| false, check: None, now: Timestamp::UNIX_EPOCH };
        judge("one", text, &around)
    }

    #[test]
    fn a_clean_text_has_plan_and_picture_and_a_broken_one_its_place() {
        let good = judged(GOOD);
        assert_eq!((good.errors(), good.graph.as_str()), (0, "only\n"), "{:?}", good.found);
        assert!(good.plan.starts_with("one\n") && good.plan.contains("1. only"), "{}", good.plan);
        let bad = judged(&GOOD.replace("stages", "stagse"));
        assert!(bad.errors() > 0 && bad.plan.contains("while the file has errors"), "{bad:?}");
        let other = judged(&GOOD.replace("name: one", "name: two"));
        assert!(other.found.iter().any(|d| d.code == "file.name" && (d.line, d.column) == (2, 7)), "{other:?}");
        let needs = judged(&GOOD.replace("stages:", "parameters:\n  host: {type: string}\nstages:"));
        assert!(needs.errors() == 0 && needs.plan.contains("`host`"), "{needs:?}");
    }
}
