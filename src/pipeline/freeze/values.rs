//! What is known when a run is frozen, as values of paths.

use indexmap::IndexMap;

use crate::pipeline::catalog::Catalog;
use crate::pipeline::expr::{EvalError, Lookup, Path, Template, Value, Values, template::Reduced};
use crate::pipeline::matrix;
use crate::pipeline::model::{File, ParamType};

/// The names that have a value while a file is frozen: parameters as they were given, a cell's keys, programs of this machine, and what the site
/// says. All else is answered later (`Lookup::Later`), when the stage's turn comes.
pub struct Frozen<'a> {
    pub file: &'a File,
    pub catalog: &'a Catalog,
    pub parameters: &'a IndexMap<String, String>,
    pub matrix: Option<&'a matrix::Values>,
    pub have: &'a dyn Fn(&str) -> bool,
}

impl<'a> Frozen<'a> {
    /// The same in one cell of a matrix.
    pub fn in_cell(&self, cell: &'a matrix::Values) -> Self {
        Frozen { matrix: Some(cell), ..*self }
    }
}

impl Values for Frozen<'_> {
    fn value(&self, path: &Path) -> Lookup {
        let Some(names) = path.names() else { return Lookup::Later };
        match (path.root.as_str(), names.as_slice()) {
            ("params", [name]) => match (self.parameters.get(*name), self.file.parameter(name)) {
                (Some(v), Some(p)) => Lookup::Known(match p.ty {
                    ParamType::Bool => Value::Bool(v == "true"),
                    ParamType::Int { .. } => v.parse().map_or_else(|_| Value::Text(v.clone()), Value::Int),
                    _ => Value::Text(v.clone()),
                }),
                _ => Lookup::Never("there is no such parameter".into()),
            },
            ("matrix", [key]) => match self.matrix.and_then(|m| m.get(*key)) {
                Some(v) => Lookup::Known(Value::Text(v.clone())),
                None => Lookup::Never("there is no matrix here".into()),
            },
            ("have", [program]) => Lookup::Known(Value::Bool((self.have)(program))),
            ("run", ["pipeline"]) => Lookup::Known(Value::Text(self.file.name.value.clone())),
            ("repos", [name, field]) => {
                let Some(repo) = self.catalog.repos.get(*name) else {
                    return Lookup::Never(format!("the site has no repository `{name}`"));
                };
                let (text, list) = match *field {
                    "upstream" => (None, Some(&repo.upstream)),
                    "replicas" => (None, Some(&repo.replicas)),
                    "tree" => (Some(&repo.tree), None),
                    "writer" => (Some(&repo.writer), None),
                    _ => return Lookup::Never(format!("a repository has no field `{field}`")),
                };
                match (text, list) {
                    (Some(t), _) if t.is_empty() => Lookup::Never(format!("repository `{name}` has no {field}")),
                    (_, Some(l)) if l.is_empty() => Lookup::Never(format!("repository `{name}` has no {field}")),
                    (Some(t), _) => Lookup::Known(Value::Text(t.clone())),
                    (_, Some(l)) => Lookup::Known(Value::List(l.clone())),
                    _ => Lookup::Never("nothing".into()),
                }
            }
            ("run" | "stages" | "approve", _) => Lookup::Later,
            _ => Lookup::Never("there is no such name".into()),
        }
    }
}

/// A single text with what is known put in; a template still.
pub(super) fn text(source: &str, values: &dyn Values) -> Result<String, EvalError> {
    match template(source)?.reduce(values)? {
        Reduced::Text(t) => Ok(t),
        Reduced::List(_) => Err(EvalError::Malformed { text: source.to_owned(), why: "it is a list, and one text is wanted".into() }),
    }
}

/// A field of `with:` as a list of templates.
pub(super) fn list(source: &str, values: &dyn Values) -> Result<Vec<String>, EvalError> {
    Ok(match template(source)?.reduce(values)? {
        Reduced::Text(t) => vec![t],
        Reduced::List(l) => l,
    })
}

pub(super) fn template(text: &str) -> Result<Template, EvalError> {
    Template::parse(text).map_err(|b| EvalError::Malformed { text: text.to_owned(), why: b.message })
}
