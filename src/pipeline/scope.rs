//! Which names an expression or template may use at a place of the file, and of which type they are.

use std::collections::BTreeSet;

use super::catalog::{Catalog, Repo};
use super::expr::{Bad, Names, Path, Segment, Type};
use super::model::{File, ParamType};
use crate::base::suggest;
use crate::domain::run::Verdict;

/// The kind of text that a name stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    When,
    /// `with:` or the `env:` of a stage or step.
    Step,
    /// The file's own `env:`, which knows no stage.
    FileEnv,
    RunName,
}

pub struct Scope<'a> {
    pub file: &'a File,
    pub catalog: &'a Catalog,
    /// Index of the stage; none = the run's own post steps, or no stage at all.
    pub stage: Option<usize>,
    /// Stages that have surely ended at this place; none = all.
    pub ended: Option<&'a BTreeSet<usize>>,
    pub place: Place,
}

const REPO_FIELDS: [&str; 4] = ["upstream", "tree", "writer", "replicas"];

/// The verdict words as a type.
fn verdict() -> Type {
    Type::Text { values: Some(Verdict::WORDS.iter().map(|(word, _)| (*word).to_owned()).collect()) }
}

fn bad(message: impl Into<String>, help: impl Into<String>) -> Bad {
    Bad::new(0..0, message, help)
}

fn near(word: &str, known: &[&str], none: &str) -> String {
    match suggest::nearest(word, known.iter().copied()) {
        Some(n) => format!("did you mean `{n}`?"),
        None if known.is_empty() => none.to_owned(),
        None => format!("known here: {}", known.iter().take(12).copied().collect::<Vec<_>>().join(", ")),
    }
}

impl Names for Scope<'_> {
    fn type_of(&self, path: &Path) -> Result<Type, Bad> {
        for s in &path.rest {
            if let Segment::Index(inner) = s
                && !matches!(self.type_of(inner)?, Type::Text { .. })
            {
                return Err(bad(format!("`{inner}` gives no text to look up"), "put a text into `[…]`, such as matrix.repo"));
            }
        }
        match path.root.as_str() {
            "params" => self.param(path),
            "matrix" => self.matrix(path),
            "stages" => self.stage(path),
            "repos" => self.repo(path),
            "run" => self.run(path),
            "approve" => self.answer(path),
            "have" => match path.names().as_deref() {
                Some([_]) if self.place == Place::When => Ok(Type::Bool),
                Some([_]) => Err(bad("`have.…` is true or false, and stands only in `when:`", "let a step look for the program")),
                _ => Err(bad("`have` takes the name of a program", "write `have.git`")),
            },
            root => {
                let mut roots = vec!["params", "matrix", "stages", "approve", "repos", "run"];
                if self.place == Place::When {
                    roots.push("have");
                }
                let help = if let Some(p) = self.file.parameter(root).filter(|_| path.rest.is_empty()) {
                    format!("did you mean `params.{}`?", p.name.text)
                } else if root == "env" || root == "secrets" {
                    format!("`{root}` cannot be read here; known here: {}", roots.join(", "))
                } else if path.rest.is_empty() && self.place == Place::When {
                    format!("a text needs quotes: \"{root}\"; names begin with {}", roots.join(", "))
                } else {
                    near(root, &roots, "")
                };
                Err(bad(format!("unknown name `{path}`"), help))
            }
        }
    }
}

impl Scope<'_> {
    fn param(&self, path: &Path) -> Result<Type, Bad> {
        let Some([name]) = path.names().as_deref().map(<[&str]>::to_vec).and_then(|n| <[&str; 1]>::try_from(n).ok()) else {
            return Err(bad(format!("`{path}` is no parameter"), "write `params.NAME`"));
        };
        let Some(p) = self.file.parameter(name) else {
            let known: Vec<&str> = self.file.parameters.iter().map(|p| p.name.text.as_str()).collect();
            return Err(bad(format!("there is no parameter `{name}`"), near(name, &known, "declare it below `parameters:`")));
        };
        Ok(match &p.ty {
            ParamType::Bool => Type::Bool,
            ParamType::Int { .. } => Type::Int,
            ParamType::Choice(c) => Type::Text { values: Some(c.clone()) },
            ParamType::Text { .. } | ParamType::Run { .. } => Type::TEXT,
        })
    }

    fn matrix(&self, path: &Path) -> Result<Type, Bad> {
        let matrix = self.stage.and_then(|s| self.file.stages.get(s)).and_then(|s| s.matrix.as_ref());
        let Some(matrix) = matrix.filter(|_| matches!(self.place, Place::When | Place::Step)) else {
            return Err(bad(format!("`{path}` stands where there is no matrix"), "give the stage a `matrix:`, or leave it out"));
        };
        let names = path.names().unwrap_or_default();
        let [name] = names.as_slice() else {
            return Err(bad(format!("`{path}` is no matrix key"), "write `matrix.KEY`"));
        };
        let values = super::matrix::values(matrix, name);
        if values.is_empty() {
            let known = super::matrix::key_names(matrix);
            return Err(bad(format!("the matrix has no key `{name}`"), near(name, &known, "add it to `matrix:`")));
        }
        Ok(Type::Text { values: Some(values) })
    }

    fn stage(&self, path: &Path) -> Result<Type, Bad> {
        let names = path.names().unwrap_or_default();
        let form =
            "write `stages.NAME.verdict` or `stages.NAME.outputs.OUTPUT`; a name with blanks needs quotes: stages.\"HW Info\".verdict";
        let (Some(name), what) = (names.first(), names.get(1..).unwrap_or_default()) else {
            return Err(bad(format!("`{path}` names no stage"), form));
        };
        if matches!(self.place, Place::FileEnv | Place::RunName) {
            return Err(bad(format!("`{path}` is not known when the run begins"), "use it in `when:`, `with:` or the `env:` of a stage"));
        }
        let Some((index, _)) = self.file.stage(name) else {
            let known: Vec<&str> = self.file.stages.iter().map(|s| s.name.value.as_str()).collect();
            return Err(bad(format!("there is no stage `{name}`"), near(name, &known, "")));
        };
        if self.ended.is_some_and(|e| !e.contains(&index)) {
            let own = self.stage == Some(index);
            let message = if own {
                "a stage cannot ask for its own verdict or outputs".to_owned()
            } else {
                format!("stage `{name}` has not surely ended when this one starts")
            };
            return Err(bad(message, if own { "ask for a stage above" } else { "add it to `needs:`" }));
        }
        match what {
            ["verdict"] => Ok(verdict()),
            ["outputs", _] => Ok(Type::TEXT),
            _ => Err(bad(format!("`{path}` is nothing that a stage has"), form)),
        }
    }

    /// An answer of an approver: the stage that asks must surely have ended.
    fn answer(&self, path: &Path) -> Result<Type, Bad> {
        let names = path.names().unwrap_or_default();
        let [name] = names.as_slice() else { return Err(bad(format!("`{path}` is no answer"), "write `approve.QUESTION`")) };
        let asks = |i: usize| self.file.stages[i].approve.iter().flat_map(|a| &a.ask).find(|q| q.name.text == *name);
        let Some((index, question)) = (0..self.file.stages.len()).find_map(|i| Some((i, asks(i)?))) else {
            let known: Vec<&str> =
                self.file.stages.iter().flat_map(|s| &s.approve).flat_map(|a| &a.ask).map(|q| q.name.text.as_str()).collect();
            return Err(bad(format!("no approval asks `{name}`"), near(name, &known, "add it below `ask:` of an approve stage")));
        };
        if matches!(self.place, Place::FileEnv | Place::RunName) {
            return Err(bad(format!("`{path}` is not known when the run begins"), "use it in `when:`, `with:` or the `env:` of a stage"));
        }
        if self.ended.is_some_and(|e| !e.contains(&index)) {
            let stage = &self.file.stages[index].name.value;
            return Err(bad(format!("stage `{stage}` has not surely asked when this one starts"), "add it to `needs:`"));
        }
        Ok(match &question.ty {
            ParamType::Bool => Type::Bool,
            ParamType::Int { .. } => Type::Int,
            ParamType::Choice(c) => Type::Text { values: Some(c.clone()) },
            ParamType::Text { .. } | ParamType::Run { .. } => Type::TEXT,
        })
    }

    fn repo(&self, path: &Path) -> Result<Type, Bad> {
        let form = "write `repos.NAME.FIELD`; fields: upstream, tree, writer, replicas";
        let [which, Segment::Name(field)] = path.rest.as_slice() else {
            return Err(bad(format!("`{path}` names no field of a repository"), form));
        };
        if !REPO_FIELDS.contains(&field.as_str()) {
            return Err(bad(format!("a repository has no field `{field}`"), near(field, &REPO_FIELDS, "")));
        }
        let names = match which {
            Segment::Name(n) => vec![n.clone()],
            Segment::Index(p) => match self.type_of(p)? {
                Type::Text { values: Some(v) } => v,
                _ => Vec::new(),
            },
        };
        for name in names {
            let Some(repo) = self.catalog.repos.get(&name) else {
                let known: Vec<&str> = self.catalog.repos.keys().map(String::as_str).collect();
                return Err(bad(
                    format!("the site has no repository `{name}`"),
                    near(&name, &known, &format!("add [repos.{name}] to the site file")),
                ));
            };
            if empty(repo, field) {
                return Err(bad(
                    format!("repository `{name}` has no {field}"),
                    format!("add `{field}` to [repos.{name}] of the site file"),
                ));
            }
        }
        Ok(if matches!(field.as_str(), "upstream" | "replicas") { Type::List } else { Type::TEXT })
    }

    /// A step of the run's own post section.
    fn is_end(&self) -> bool {
        self.place == Place::Step && self.stage.is_none() && self.ended.is_none()
    }

    fn run(&self, path: &Path) -> Result<Type, Bad> {
        match path.names().as_deref() {
            Some(["pipeline"]) => Ok(Type::Text { values: Some(vec![self.file.name.value.clone()]) }),
            Some(["number" | "id"]) => Ok(Type::TEXT),
            // Everywhere else the run has no end yet: a step, a condition or a stage's own post section that asks would always fail.
            Some(["verdict"]) if self.is_end() => Ok(verdict()),
            Some(["failed_stage"]) if self.is_end() => Ok(Type::TEXT),
            Some(["verdict" | "failed_stage"]) => Err(bad(
                format!("`{path}` is known only when the run ends"),
                "use it in a step of the file's own `post:`; in `when:` write `failure`, or `stages.NAME.verdict` of a stage above",
            )),
            Some(["url"]) => Err(bad(
                format!("`{path}` is nothing that a run has: it lives in a terminal, and has no address"),
                "write ${run.id}: it is what `quarterdeck log`, `why` and the console's `:run` take",
            )),
            _ => Err(bad(
                format!("`{path}` is nothing that a run has"),
                "known: run.number, run.id, run.pipeline, run.verdict, run.failed_stage",
            )),
        }
    }
}

fn empty(repo: &Repo, field: &str) -> bool {
    match field {
        "upstream" => repo.upstream.is_empty(),
        "tree" => repo.tree.is_empty(),
        "writer" => repo.writer.is_empty(),
        _ => repo.replicas.is_empty(),
    }
}
