//! What steps get for a while: variables by `withEnv`, secrets by `withCredentials`.

use super::convert::{Bind, BindKind, Converter, Ctx};
use super::lexer::Piece;
use super::out::Secret;
use super::parse::{Call, Value, ValueKind};
use super::shell::{self, Var};
use super::source::Span;
use super::steps::{Attrs, Segment};
use crate::pipeline::diagnostic::show;
use crate::pipeline::schema::{Ty, scalar};

impl Converter<'_> {
    pub fn with_env(&self, c: &Call, ctx: &Ctx) -> Option<Ctx> {
        let mut out = ctx.clone();
        for item in c.arg("overrides")?.items() {
            let mut pieces = item.pieces()?.to_vec();
            let Some(Piece::Text(first)) = pieces.first_mut() else { return None };
            let (name, rest) = first.split_once('=').map(|(n, r)| (n.to_owned(), r.to_owned()))?;
            *first = rest;
            // `PATH+NAME=dir` puts a directory in front.
            if let Some((name, _)) = name.split_once('+') {
                let word = shell::word(&pieces, &out.scope).ok()?;
                out.exports.push((name.to_owned(), format!("{word}:\"${name}\"")));
                continue;
            }
            if scalar(&Ty::EnvName, &name).is_err() {
                return None;
            }
            match shell::template(&pieces, &out.scope).filter(|t| !t.contains('\0')) {
                Some(t) => {
                    out.env.retain(|(n, _)| *n != name);
                    out.env.push((name.clone(), t.clone()));
                    out.scope.insert(name, Var::Template(t));
                }
                None => {
                    let word = shell::word(&pieces, &out.scope).ok()?;
                    out.exports.push((name.clone(), word));
                    out.scope.insert(name, Var::Shell);
                }
            }
        }
        Some(out)
    }

    pub fn with_credentials(&mut self, c: &Call, span: &Span, ctx: &Ctx, attrs: &Attrs, segments: &mut Vec<Segment>) {
        if c.name == "sshagent" {
            return self.hand(
                span,
                &c.name,
                "no agent is started for keys",
                "`ssh -i \"$QD_SECRETS_DIR/NAME\"` with a secret that holds the key",
                attrs,
                segments,
            );
        }
        let mut out = ctx.clone();
        let mut missing = Vec::new();
        for v in c.arg("bindings").map(Value::items).unwrap_or_default() {
            let ValueKind::Call(b) = &v.kind else {
                return self.hand(span, &c.name, "a binding is computed", "declare `secrets:` in the steps", attrs, segments);
            };
            let of = |n: &str| b.named(n).and_then(Value::literal);
            let id = of("credentialsId");
            let binds: Option<Vec<(String, BindKind)>> = match (b.name.as_str(), id) {
                ("string" | "text", Some(id)) => of("variable").map(|v| vec![(id.to_owned(), BindKind::Text(v.to_owned()))]),
                ("file", Some(id)) => of("variable").map(|v| vec![(id.to_owned(), BindKind::File(v.to_owned()))]),
                ("usernamePassword", Some(id)) => of("usernameVariable").zip(of("passwordVariable")).map(|(u, p)| {
                    vec![(format!("{id}-username"), BindKind::Text(u.to_owned())), (format!("{id}-password"), BindKind::Text(p.to_owned()))]
                }),
                ("sshUserPrivateKey", Some(id)) => of("keyFileVariable").map(|k| {
                    let mut all = vec![(id.to_owned(), BindKind::File(k.to_owned()))];
                    all.extend(of("usernameVariable").map(|u| (format!("{id}-username"), BindKind::Text(u.to_owned()))));
                    all
                }),
                _ => None,
            };
            let valid = |k: &BindKind| match k {
                BindKind::Text(v) | BindKind::File(v) => shell::is_variable(v),
            };
            let Some(binds) = binds.filter(|all| all.iter().all(|(_, k)| valid(k))) else {
                let why = format!("the binding `{}` has no counterpart", show(&b.name));
                return self.hand(span, &c.name, &why, "declare `secrets:`, and read the file in $QD_SECRETS_DIR", attrs, segments);
            };
            for (id, kind) in binds {
                let Secret { name, known } = self.secret(&id);
                let (BindKind::Text(var) | BindKind::File(var)) = &kind;
                out.scope.insert(var.clone(), Var::Shell);
                if !known {
                    missing.push(name.clone());
                }
                out.binds.push(Bind { secret: name, known, kind });
            }
        }
        if missing.is_empty() {
            self.report.converted(&c.head, "withCredentials", "secrets of the steps");
        } else {
            let why = format!("the site lacks {}: the steps stop until it has them", missing.join(", "));
            self.report.approximated(
                &c.head,
                "withCredentials",
                why,
                "add them to [secrets] of the site file, then take the comment marks of `secrets:` away",
            );
        }
        self.steps(c.body(), &out, attrs, segments);
    }
}
