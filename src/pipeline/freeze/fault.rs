//! Why a file cannot be frozen, and the place in the file that says so.

use crate::pipeline::diagnostic::{Diagnostic, Loc, Severity, printable};
use crate::pipeline::expr::EvalError;
use crate::pipeline::model::File;
use crate::pipeline::params::ParamError;

/// With these values, that is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{0}")]
    Param(#[from] ParamError),
    #[error("{place}: {error}")]
    Value { place: String, error: EvalError },
    #[error("{place}: {why}")]
    Matrix { place: String, why: String },
    #[error("input `{pattern}` from `{from}`: {why}")]
    Input { at: Loc, from: String, pattern: String, why: String },
}

impl Fault {
    /// Those of parameters point at their declaration.
    pub fn at(self, file: &File) -> Diagnostic {
        let (at, code, help) = match &self {
            Self::Param(e) => {
                let declared = file.parameter(e.name()).map(|p| p.name.at).unwrap_or_default();
                (declared, e.code(), e.help())
            }
            Self::Value { .. } => (file.name.at, "freeze.value", "look at the name in the file, and at the site file".to_owned()),
            Self::Matrix { .. } => (file.name.at, "matrix.size", "change the matrix".to_owned()),
            Self::Input { at, .. } => (
                *at,
                "freeze.input",
                "quarterdeck get artifacts lists what runs have kept; name another run, or another pattern".to_owned(),
            ),
        };
        Diagnostic {
            file: file.path.clone(),
            line: at.line,
            column: at.column,
            severity: Severity::Error,
            code: code.to_owned(),
            message: printable(&self.to_string()),
            help: printable(&help),
            span: at.start..at.end,
            also: None,
        }
    }
}
