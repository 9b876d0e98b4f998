//! Groovy strings as shell text: what was interpolated becomes a variable, so that no value is ever read as a command.

use std::collections::BTreeMap;

use super::lexer::Piece;
use crate::pipeline::expr::template;

/// Bytes of a value that other values may take in.
const MAX_TEMPLATE: usize = 4_000;

/// What a name means at a place of the original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Var {
    /// A parameter; whether it is true or false.
    Param { bool: bool },
    /// A key of the matrix around.
    Axis,
    /// In `env:`, as this template.
    Template(String),
    /// Exported by the script itself, or bound to a secret.
    Shell,
    /// Its value could not be converted: steps stop until a person sets it.
    Open,
}

/// Names that are known at a place.
pub type Scope = BTreeMap<String, Var>;

/// What Jenkins gives to every step, and what it is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// A template for `env:`.
    Template(&'static str),
    /// A word of the shell.
    Shell(&'static str),
    /// Nothing here knows it.
    Absent,
}

/// Variables of Jenkins and of its git and branch plugins. `BRANCH_NAME` becomes a parameter instead.
pub const GIVEN: [(&str, Given); 24] = [
    ("BUILD_NUMBER", Given::Template("${run.number}")),
    ("BUILD_ID", Given::Template("${run.number}")),
    ("JOB_NAME", Given::Template("${run.pipeline}")),
    ("JOB_BASE_NAME", Given::Template("${run.pipeline}")),
    ("BUILD_TAG", Given::Template("${run.pipeline}-${run.number}")),
    ("BUILD_DISPLAY_NAME", Given::Template("${run.pipeline}-${run.number}")),
    ("WORKSPACE", Given::Shell("\"$QD_WORKSPACE\"")),
    ("STAGE_NAME", Given::Shell("\"$QD_STAGE\"")),
    ("NODE_NAME", Given::Shell("\"$(uname -n)\"")),
    ("GIT_COMMIT", Given::Shell("\"$(git rev-parse HEAD)\"")),
    ("BUILD_URL", Given::Absent),
    ("JOB_URL", Given::Absent),
    ("JENKINS_URL", Given::Absent),
    ("JENKINS_HOME", Given::Absent),
    ("RUN_DISPLAY_URL", Given::Absent),
    ("EXECUTOR_NUMBER", Given::Absent),
    ("NODE_LABELS", Given::Absent),
    ("GIT_BRANCH", Given::Absent),
    ("GIT_URL", Given::Absent),
    ("GIT_PREVIOUS_COMMIT", Given::Absent),
    ("GIT_PREVIOUS_SUCCESSFUL_COMMIT", Given::Absent),
    ("CHANGE_ID", Given::Absent),
    ("CHANGE_TARGET", Given::Absent),
    ("TAG_NAME", Given::Absent),
];

pub fn given(name: &str) -> Option<Given> {
    GIVEN.iter().find(|(n, _)| *n == name).map(|(_, g)| *g)
}

pub fn is_variable(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether `text` says `name` as a word of its own.
pub fn mentions(text: &str, name: &str) -> bool {
    let word = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let bytes = text.as_bytes();
    memchr::memmem::find_iter(bytes, name.as_bytes())
        .any(|i| !word(i.checked_sub(1).and_then(|j| bytes.get(j))) && !word(bytes.get(i + name.len())))
}

/// The variable that `params.X`, `env.X`, `matrix.X` or `X` is, if it is one. `env.X` may be the machine's own.
pub fn variable<'e>(expr: &'e str, scope: &Scope) -> Option<&'e str> {
    let (root, name) = expr.split_once('.').map_or(("", expr), |(r, n)| (r, n));
    let name = name.trim();
    if !is_variable(name) {
        return None;
    }
    let known = scope.get(name);
    match root.trim() {
        "params" => known.filter(|v| matches!(v, Var::Param { .. })).map(|_| name),
        "matrix" => known.filter(|v| matches!(v, Var::Axis)).map(|_| name),
        "env" => Some(name),
        "" => known.map(|_| name).or_else(|| given(name).map(|_| name)),
        _ => None,
    }
}

/// What an interpolated expression is in the shell, without quotes around it.
pub fn expansion(expr: &str, scope: &Scope) -> Option<String> {
    let expr = expr.trim();
    match expr {
        "pwd()" => return Some("${PWD}".into()),
        "currentBuild.number" | "currentBuild.id" => return Some("${QD_RUN_NUMBER}".into()),
        "currentBuild.currentResult" | "currentBuild.result" => return Some("${QD_VERDICT:-success}".into()),
        "currentBuild.fullDisplayName" | "currentBuild.displayName" => return Some("${QD_RUN}".into()),
        _ => {}
    }
    if let Some((left, right)) = expr.split_once("?:") {
        let default = right.trim().strip_prefix(['\'', '"']).and_then(|r| r.strip_suffix(['\'', '"']))?;
        let safe = default.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | ' '));
        return safe.then(|| variable(left.trim(), scope)).flatten().map(|name| format!("${{{name}:-{default}}}"));
    }
    variable(expr, scope).map(|name| format!("${{{name}}}"))
}

/// An expression that has no counterpart.
pub type Stranger = String;

/// A script. Where Groovy interpolated inside single quotes of the shell, the quotes are opened for the variable.
pub fn script(pieces: &[Piece], scope: &Scope) -> Result<String, Stranger> {
    let mut out = String::new();
    let mut quotes = Quotes::default();
    for piece in pieces {
        match piece {
            Piece::Text(t) => {
                t.chars().for_each(|c| quotes.see(c));
                out.push_str(t);
            }
            Piece::Expr(e) => {
                let text = expansion(e, scope).ok_or_else(|| e.clone())?;
                match quotes.mode {
                    Mode::Single => out.push_str(&format!("'\"{text}\"'")),
                    Mode::Here { literal: true } => return Err(format!("{e}, in a here-document that expands nothing")),
                    _ => out.push_str(&text),
                }
            }
        }
    }
    Ok(out)
}

/// One word of the shell, quoted.
pub fn word(pieces: &[Piece], scope: &Scope) -> Result<String, Stranger> {
    let mut out = String::from("\"");
    for piece in pieces {
        match piece {
            Piece::Text(t) => out.push_str(&double(t)),
            Piece::Expr(e) => out.push_str(&expansion(e, scope).ok_or_else(|| e.clone())?),
        }
    }
    out.push('"');
    Ok(out)
}

/// The inside of double quotes.
fn double(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A literal text as one word.
pub fn quote(text: &str) -> String {
    shell_words::quote(text).into_owned()
}

/// A template of `env:`, where nothing in it is known only to the shell.
pub fn template(pieces: &[Piece], scope: &Scope) -> Option<String> {
    let mut out = String::new();
    for piece in pieces {
        // Variables of variables could double for ever.
        if out.len() > MAX_TEMPLATE {
            return None;
        }
        match piece {
            Piece::Text(t) => out.push_str(&template::escape(t)),
            Piece::Expr(e) => {
                if out.ends_with('$') {
                    return None;
                }
                let e = e.trim();
                if matches!(e, "currentBuild.number" | "currentBuild.id") {
                    out.push_str("${run.number}");
                    continue;
                }
                let name = variable(e, scope)?;
                match (scope.get(name), given(name)) {
                    (Some(Var::Param { .. }), _) => out.push_str(&format!("${{params.{name}}}")),
                    (Some(Var::Axis), _) => out.push_str(&format!("${{matrix.{name}}}")),
                    (Some(Var::Template(t)), _) => out.push_str(t),
                    (None, Some(Given::Template(t))) => out.push_str(t),
                    _ => return None,
                }
            }
        }
    }
    Some(out)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    #[default]
    Bare,
    Single,
    Double,
    Comment,
    Here {
        literal: bool,
    },
}

/// Where in the shell's quoting a text stands: enough for scripts as people write them.
#[derive(Debug, Default)]
struct Quotes {
    mode: Mode,
    escaped: bool,
    last: char,
    /// Characters of a here-document's delimiter while it is read, and whether it is quoted.
    opening: Option<(String, bool)>,
    pending: Option<(String, bool)>,
    delimiter: String,
    line: String,
}

impl Quotes {
    fn see(&mut self, c: char) {
        let last = std::mem::replace(&mut self.last, c);
        if self.escaped {
            self.escaped = false;
            return;
        }
        if let Mode::Here { .. } = self.mode {
            if c == '\n' {
                let line = std::mem::take(&mut self.line);
                if line.trim_start_matches('\t') == self.delimiter {
                    self.mode = Mode::Bare;
                }
            } else if self.line.len() <= self.delimiter.len() + 64 {
                self.line.push(c);
            }
            return;
        }
        if let Some((delimiter, literal)) = &mut self.opening {
            match c {
                '-' if delimiter.is_empty() => return,
                ' ' | '\t' if delimiter.is_empty() => return,
                '\'' | '"' | '\\' => {
                    *literal = true;
                    return;
                }
                c if c.is_ascii_alphanumeric() || c == '_' => {
                    delimiter.push(c);
                    return;
                }
                _ => self.pending = self.opening.take().filter(|(d, _)| !d.is_empty()),
            }
        }
        match (self.mode, c) {
            (Mode::Bare | Mode::Double, '\\') => self.escaped = true,
            (Mode::Bare, '\'') => self.mode = Mode::Single,
            (Mode::Single, '\'') | (Mode::Double, '"') => self.mode = Mode::Bare,
            (Mode::Bare, '"') => self.mode = Mode::Double,
            (Mode::Bare, '#') if last == '\0' || last.is_whitespace() || last == ';' => self.mode = Mode::Comment,
            (Mode::Bare, '<') if last == '<' => self.opening = Some((String::new(), false)),
            (Mode::Bare | Mode::Comment, '\n') => {
                self.mode = Mode::Bare;
                if let Some((delimiter, literal)) = self.pending.take() {
                    self.delimiter = delimiter;
                    self.mode = Mode::Here { literal };
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::import::lexer::{Tok, lex_text};

    fn pieces(groovy: &str) -> Vec<Piece> {
        match lex_text(groovy).unwrap().tokens.remove(0).tok {
            Tok::Str(p) => p,
            other => panic!("{other:?}"),
        }
    }

    fn scope() -> Scope {
        Scope::from([
            ("TAG".into(), Var::Param { bool: false }),
            ("OS".into(), Var::Axis),
            ("IMAGE".into(), Var::Template("reg/${params.TAG}".into())),
        ])
    }

    #[test]
    fn what_was_interpolated_becomes_a_variable() {
        for (groovy, want) in [
            (r#""a ${params.TAG} b""#, "a ${TAG} b"),
            (r#""echo '${params.TAG}' \$HOME""#, "echo ''\"${TAG}\"'' $HOME"),
            (r#""echo \"${env.TAG}\"""#, "echo \"${TAG}\""),
            (r#""x ${OS} $IMAGE ${BUILD_NUMBER} ${env.FOO}""#, "x ${OS} ${IMAGE} ${BUILD_NUMBER} ${FOO}"),
            (r##""# don't ${params.TAG}\necho '${OS}'""##, "# don't ${TAG}\necho ''\"${OS}\"''"),
            (r#""cat <<EOF\n'${OS}'\nEOF\necho '${OS}'""#, "cat <<EOF\n'${OS}'\nEOF\necho ''\"${OS}\"''"),
            (r#""${params.TAG ?: 'none'}""#, "${TAG:-none}"),
        ] {
            assert_eq!(script(&pieces(groovy), &scope()).unwrap(), want, "{groovy}");
        }
        for (groovy, stranger) in [
            (r#""${readFile('x')}""#, "readFile('x')"),
            (r#""${params.NOPE}""#, "params.NOPE"),
            (r#""${unknown}""#, "unknown"),
            (r#""cat <<'EOF'\n${OS}\nEOF""#, "OS, in a here-document that expands nothing"),
        ] {
            assert_eq!(script(&pieces(groovy), &scope()).unwrap_err(), stranger, "{groovy}");
        }
    }

    #[test]
    fn words_and_templates() {
        assert_eq!(word(&pieces(r#""a \"b\" ${OS} `x`""#), &scope()).unwrap(), "\"a \\\"b\\\" ${OS} \\`x\\`\"");
        assert_eq!(template(&pieces(r#""${IMAGE}-${env.BUILD_NUMBER}""#), &scope()).as_deref(), Some("reg/${params.TAG}-${run.number}"));
        assert_eq!(template(&pieces("'${HOME}'"), &scope()).as_deref(), Some("$${HOME}"));
        assert_eq!(template(&pieces(r#""${WORKSPACE}/x""#), &scope()), None);
        assert!(mentions("echo $TAG_X ${TAG}", "TAG") && !mentions("echo $TAG_X", "TAG"));
    }
}
