//! `when` and Groovy conditions to the closed expression language of `when:`. What does not fit is said, never guessed.

use super::lexer::{Piece, Tok, Token, lex_text};
use super::parse::{Call, Stmt, StmtKind, Value, ValueKind};
use super::shell::{Scope, Var, is_variable};
use super::source::Source;

/// A condition, as far as it is known now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cond {
    Const(bool),
    /// In our language; `tight` needs no parentheses around it.
    Expr {
        text: String,
        tight: bool,
    },
}

/// What a condition may refer to, and what it needs beside it.
pub struct Conditions<'a> {
    pub src: &'a Source,
    pub scope: &'a Scope,
    /// Set where the branch is asked for: it becomes a parameter.
    pub branch: bool,
    /// A first branch that was named.
    pub branches: Vec<String>,
}

const MAX_DEPTH: usize = 32;
/// Bytes of a condition: it stands in every stage inside.
const MAX_TEXT: usize = 2_000;

fn expr(text: String) -> Cond {
    Cond::Expr { text, tight: true }
}

pub fn not(c: Cond) -> Cond {
    match c {
        Cond::Const(b) => Cond::Const(!b),
        Cond::Expr { text, tight } => expr(if tight { format!("not {text}") } else { format!("not ({text})") }),
    }
}

pub fn join(all: Vec<Cond>, and: bool) -> Cond {
    if all.contains(&Cond::Const(!and)) {
        return Cond::Const(!and);
    }
    let mut parts: Vec<(String, bool)> =
        all.into_iter().filter_map(|c| if let Cond::Expr { text, tight } = c { Some((text, tight)) } else { None }).collect();
    match parts.len() {
        0 => Cond::Const(and),
        1 => {
            let (text, tight) = parts.remove(0);
            Cond::Expr { text, tight }
        }
        _ => {
            let parts: Vec<String> = parts.into_iter().map(|(text, tight)| if tight { text } else { format!("({text})") }).collect();
            Cond::Expr { text: parts.join(if and { " and " } else { " or " }), tight: false }
        }
    }
}

/// A text of our language.
fn quoted(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("a text with control characters cannot stand in a condition".into());
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

impl Conditions<'_> {
    /// The statements of a `when` block: all must hold.
    pub fn all(&mut self, stmts: &[Stmt]) -> Result<Cond, String> {
        self.group(stmts, true)
    }

    fn group(&mut self, stmts: &[Stmt], and: bool) -> Result<Cond, String> {
        let mut found = Vec::new();
        for s in stmts {
            let StmtKind::Call(call) = &s.kind else { return Err(format!("`{}` is no condition", self.src.slice(&s.span).trim())) };
            if matches!(call.name.as_str(), "beforeAgent" | "beforeInput" | "beforeOptions") {
                continue;
            }
            found.push(self.one(call)?);
        }
        match join(found, and) {
            Cond::Expr { text, .. } if text.len() > MAX_TEXT => Err("it is too long".into()),
            cond => Ok(cond),
        }
    }

    fn one(&mut self, call: &Call) -> Result<Cond, String> {
        match call.name.as_str() {
            "allOf" => self.group(call.body(), true),
            "anyOf" => self.group(call.body(), false),
            "not" => Ok(not(self.group(call.body(), true)?)),
            "expression" => {
                let [stmt] = call.body() else { return Err("an expression of several statements is a program".into()) };
                self.groovy(self.src.slice(&stmt.span))
            }
            "branch" => {
                let pattern = call.arg("pattern").and_then(Value::literal).ok_or("its branch is computed")?;
                if pattern.contains(['*', '?', '[']) || call.named("comparator").is_some_and(|c| c.literal() != Some("EQUALS")) {
                    return Err(format!("`{pattern}` is a pattern, and conditions compare whole texts"));
                }
                self.branch = true;
                self.branches.push(pattern.to_owned());
                Ok(expr(format!("params.BRANCH_NAME == {}", quoted(pattern)?)))
            }
            "environment" => {
                let (name, value) = (call.named("name").and_then(Value::literal), call.named("value").and_then(Value::literal));
                let (Some(name), Some(value)) = (name, value) else { return Err("its name or value is computed".into()) };
                let left = self.name(name)?;
                compare(left, Side::Text(value.to_owned()), false)
            }
            "equals" => {
                let side = |v: Option<&Value>| v.map(|v| self.src.slice(&v.span).to_owned()).ok_or("`equals` lacks a side");
                let text = format!("{} == {}", side(call.named("actual"))?, side(call.named("expected"))?);
                self.groovy(&text)
            }
            "changeset" | "changelog" | "changeRequest" => Err("a run here knows no list of changes".into()),
            "buildingTag" | "tag" => Err("a run here has no tag".into()),
            "triggeredBy" => Err("a condition cannot ask what started the run".into()),
            other => Err(format!("the condition `{other}` is unknown")),
        }
    }

    /// A Groovy expression of comparisons, `&&`, `||` and `!`.
    pub fn groovy(&mut self, text: &str) -> Result<Cond, String> {
        let text = text.trim().trim_end_matches(';').trim();
        let text = text.strip_prefix("return").filter(|r| r.starts_with([' ', '(', '\t'])).unwrap_or(text).trim();
        let tokens = lex_text(text).map_err(|b| b.message)?.tokens;
        let tokens: Vec<Token> = tokens.into_iter().filter(|t| t.tok != Tok::Newline).collect();
        let mut p = Groovy { tokens: &tokens, at: 0, depth: 0, conditions: self };
        let found = p.or()?;
        if *p.tok() != Tok::End {
            return Err("it is more than comparisons, `&&`, `||` and `!`".into());
        }
        found.truth()
    }

    /// What a name of the environment is in a comparison.
    fn name(&mut self, name: &str) -> Result<Side, String> {
        if name == "BRANCH_NAME" && !self.scope.contains_key(name) {
            self.branch = true;
            return Ok(Side::TextPath("params.BRANCH_NAME".into()));
        }
        match self.scope.get(name) {
            Some(Var::Param { bool: true }) => Ok(Side::Bool(expr(format!("params.{name}")))),
            Some(Var::Param { bool: false }) => Ok(Side::TextPath(format!("params.{name}"))),
            Some(Var::Axis) => Ok(Side::TextPath(format!("matrix.{name}"))),
            Some(Var::Template(t)) if !t.contains("${") => Ok(Side::Text(t.clone())),
            Some(Var::Template(t)) => match t.strip_prefix("${params.").and_then(|r| r.strip_suffix('}')) {
                Some(p) if is_variable(p) => self.name(p),
                _ => Err(format!("`{name}` is put together, and conditions compare single values")),
            },
            Some(Var::Shell | Var::Open) => Err(format!("`{name}` is known only to the steps")),
            None => Err(format!("`{name}` is no parameter and not in `environment`")),
        }
    }
}

enum Side {
    Bool(Cond),
    TextPath(String),
    Text(String),
    /// `null`, which equals nothing that is known.
    Null,
}

impl Side {
    /// What Groovy takes it for in a condition.
    fn truth(self) -> Result<Cond, String> {
        Ok(match self {
            Self::Bool(c) => c,
            Self::TextPath(p) => Cond::Expr { text: format!("{p} != \"\""), tight: false },
            Self::Text(t) => Cond::Const(!t.is_empty()),
            Self::Null => Cond::Const(false),
        })
    }
}

fn compare(left: Side, right: Side, negated: bool) -> Result<Cond, String> {
    let op = if negated { "!=" } else { "==" };
    let apply = |c: Cond| if negated { not(c) } else { c };
    Ok(match (left, right) {
        (Side::Bool(c), Side::Text(t)) | (Side::Text(t), Side::Bool(c)) => match t.as_str() {
            "true" => apply(c),
            "false" => apply(not(c)),
            _ => Cond::Const(negated),
        },
        (Side::Bool(Cond::Const(a)), Side::Bool(c)) | (Side::Bool(c), Side::Bool(Cond::Const(a))) => apply(if a { c } else { not(c) }),
        (Side::Bool(_), Side::Bool(_)) => return Err("two conditions are compared".into()),
        (Side::Text(a), Side::Text(b)) => Cond::Const((a == b) != negated),
        (Side::TextPath(p), Side::Text(t)) | (Side::Text(t), Side::TextPath(p)) => {
            Cond::Expr { text: format!("{p} {op} {}", quoted(&t)?), tight: false }
        }
        (Side::TextPath(a), Side::TextPath(b)) => Cond::Expr { text: format!("{a} {op} {b}"), tight: false },
        (Side::TextPath(p), Side::Null) | (Side::Null, Side::TextPath(p)) => {
            apply(Cond::Expr { text: format!("{p} == \"\""), tight: false })
        }
        (Side::Null, Side::Null) => Cond::Const(!negated),
        (Side::Null, _) | (_, Side::Null) => Cond::Const(negated),
        (Side::Bool(_), Side::TextPath(_)) | (Side::TextPath(_), Side::Bool(_)) => {
            return Err("a text is compared with true or false".into());
        }
    })
}

struct Groovy<'t, 'c, 's> {
    tokens: &'t [Token],
    at: usize,
    depth: usize,
    conditions: &'c mut Conditions<'s>,
}

impl Groovy<'_, '_, '_> {
    fn tok(&self) -> &Tok {
        self.tokens.get(self.at).map_or(&Tok::End, |t| &t.tok)
    }

    fn take(&mut self, op: &str) -> bool {
        let hit = matches!(self.tok(), Tok::Op(o) if *o == op);
        self.at += usize::from(hit);
        hit
    }

    fn or(&mut self) -> Result<Side, String> {
        self.chain("||", false)
    }

    fn chain(&mut self, op: &str, and: bool) -> Result<Side, String> {
        let first = if and { self.comparison()? } else { self.chain("&&", true)? };
        if !matches!(self.tok(), Tok::Op(o) if *o == op) {
            return Ok(first);
        }
        let mut all = vec![first.truth()?];
        while self.take(op) {
            let next = if and { self.comparison()? } else { self.chain("&&", true)? };
            all.push(next.truth()?);
        }
        Ok(Side::Bool(join(all, and)))
    }

    fn comparison(&mut self) -> Result<Side, String> {
        let left = self.unary()?;
        let negated = match self.tok() {
            Tok::Op("==") => false,
            Tok::Op("!=") => true,
            _ => return Ok(left),
        };
        self.at += 1;
        let right = self.unary()?;
        Ok(Side::Bool(compare(left, right, negated)?))
    }

    fn unary(&mut self) -> Result<Side, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("it is nested too deep".into());
        }
        let found = if self.take("!") { Side::Bool(not(self.unary()?.truth()?)) } else { self.primary()? };
        self.depth -= 1;
        Ok(found)
    }

    fn primary(&mut self) -> Result<Side, String> {
        if self.take("(") {
            let inner = self.or()?;
            return if self.take(")") { Ok(inner) } else { Err("it is more than comparisons, `&&`, `||` and `!`".into()) };
        }
        let tok = self.tok().clone();
        self.at += 1;
        match tok {
            Tok::Number(n) => Ok(Side::Text(n)),
            Tok::Str(p) => match p.as_slice() {
                [Piece::Text(t)] => Ok(Side::Text(t.clone())),
                [Piece::Expr(e)] => self.dotted(&e.clone()),
                _ => Err("a text is put together in it".into()),
            },
            Tok::Word(w) => {
                let mut path = w;
                while matches!(self.tok(), Tok::Op("." | "?."))
                    && let Some(Tok::Word(next)) = self.tokens.get(self.at + 1).map(|t| &t.tok)
                {
                    path = format!("{path}.{next}");
                    self.at += 2;
                }
                if path.ends_with(".toBoolean") && self.take("(") && self.take(")") {
                    path.truncate(path.len() - ".toBoolean".len());
                    return Ok(match self.dotted(&path)? {
                        Side::TextPath(p) => Side::Bool(Cond::Expr { text: format!("{p} == \"true\""), tight: false }),
                        other => other,
                    });
                }
                if matches!(self.tok(), Tok::Op("(" | "[")) {
                    return Err(format!("it calls `{path}`, and conditions call nothing"));
                }
                self.dotted(&path)
            }
            _ => Err("it is more than comparisons, `&&`, `||` and `!`".into()),
        }
    }

    fn dotted(&mut self, path: &str) -> Result<Side, String> {
        match path {
            "true" => return Ok(Side::Bool(Cond::Const(true))),
            "false" => return Ok(Side::Bool(Cond::Const(false))),
            "null" => return Ok(Side::Null),
            _ => {}
        }
        match path.split_once('.') {
            None => self.conditions.name(path),
            Some(("env", name)) => self.conditions.name(name),
            Some(("params", name)) => match self.conditions.scope.get(name) {
                Some(Var::Param { .. }) => self.conditions.name(name),
                _ => Err(format!("there is no parameter `{name}`")),
            },
            Some(("matrix", name)) => match self.conditions.scope.get(name) {
                Some(Var::Axis) => self.conditions.name(name),
                _ => Err(format!("there is no axis `{name}`")),
            },
            Some(_) => Err(format!("`{path}` has no counterpart")),
        }
    }
}

/// The value of a keyword such as `failFast true`.
pub fn flag(call: &Call) -> bool {
    matches!(call.args.first().map(|a| &a.value.kind), Some(ValueKind::Word(w)) if w == "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope::from([
            ("DEPLOY".into(), Var::Param { bool: true }),
            ("ENV".into(), Var::Param { bool: false }),
            ("OS".into(), Var::Axis),
            ("MODE".into(), Var::Template("fast".into())),
        ])
    }

    fn groovy(text: &str) -> Result<String, String> {
        let src = Source::new(String::new());
        let scope = scope();
        let mut c = Conditions { src: &src, scope: &scope, branch: false, branches: Vec::new() };
        c.groovy(text).map(|c| match c {
            Cond::Const(b) => b.to_string(),
            Cond::Expr { text, .. } => text,
        })
    }

    #[test]
    fn comparisons_are_kept_and_programs_are_not() {
        for (text, want) in [
            ("params.DEPLOY", "params.DEPLOY"),
            ("return !params.DEPLOY", "not params.DEPLOY"),
            ("params.DEPLOY == true && params.ENV == 'prod'", "params.DEPLOY and (params.ENV == \"prod\")"),
            ("env.DEPLOY == 'false' || OS != \"el9\"", "not params.DEPLOY or (matrix.OS != \"el9\")"),
            ("(ENV == 'a' || ENV == 'b') && MODE == 'fast'", "(params.ENV == \"a\") or (params.ENV == \"b\")"),
            ("MODE == 'slow'", "false"),
            ("env.BRANCH_NAME == 'main'", "params.BRANCH_NAME == \"main\""),
            ("params.ENV != null", "not (params.ENV == \"\")"),
            ("params.ENV", "params.ENV != \"\""),
            ("env.DEPLOY.toBoolean()", "params.DEPLOY"),
        ] {
            assert_eq!(groovy(text).unwrap(), want, "{text}");
        }
        for bad in
            ["readFile('x') == 'y'", "params.ENV =~ /x/", "params.NOPE", "ENV == 'a' ? true : false", "currentBuild.result == 'SUCCESS'"]
        {
            assert!(groovy(bad).is_err(), "{bad}");
        }
        assert!(groovy(&"(".repeat(10_000)).is_err());
        assert!(groovy(&"!".repeat(10_000)).is_err());
    }
}
