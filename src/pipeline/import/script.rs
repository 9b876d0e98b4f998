//! Scripts with what surrounds them: secrets, variables that only the shell knows, directories, containers.

use super::convert::{BindKind, Container, Converter, Ctx, label};
use super::out::{Action, Secret, Step};
use super::shell::{self, Given};

impl Converter<'_> {
    /// Lines before a script that set what `env:` cannot.
    pub fn preamble(&self, ctx: &Ctx, body: &str) -> String {
        let mut out = String::new();
        for b in &ctx.binds {
            let file = format!("\"$QD_SECRETS_DIR/{}\"", b.secret);
            match &b.kind {
                BindKind::Text(var) => out.push_str(&format!("{var}=\"$(cat {file})\"\nexport {var}\n")),
                BindKind::File(var) => out.push_str(&format!("{var}={file}\nexport {var}\n")),
            }
        }
        for (name, what) in shell::GIVEN {
            if let Given::Shell(word) = what
                && !ctx.scope.contains_key(name)
                && (shell::mentions(body, name)
                    || ctx.exports.iter().any(|(_, w)| shell::mentions(w, name))
                    || ctx.dirs.iter().any(|w| shell::mentions(w, name)))
            {
                out.push_str(&format!("{name}={word}\nexport {name}\n"));
            }
        }
        for (name, word) in &ctx.exports {
            out.push_str(&format!("{name}={word}\nexport {name}\n"));
        }
        for name in ctx.open.iter().filter(|n| shell::mentions(body, n)) {
            out.push_str(&format!(": \"${{{name}:?the import could not convert its value: set it in env}}\"\n"));
        }
        for d in &ctx.dirs {
            out.push_str(&format!("mkdir -p -- {d}\ncd -- {d}\n"));
        }
        out
    }

    /// A step that runs `body` with all that surrounds it.
    pub fn script(&mut self, ctx: &Ctx, body: &str, name: &str) -> Step {
        let preamble = self.preamble(ctx, body);
        let mut interpreter = None;
        let mut body = body.to_owned();
        if let Some(first) = body.strip_prefix("#!").and_then(|b| b.lines().next()) {
            interpreter = Some(first.trim().to_owned()).filter(|i| !i.is_empty() && shell_words::split(i).is_ok());
            let rest = body.split_once('\n').map_or("", |(_, r)| r);
            body = if rest.trim().is_empty() { ":".to_owned() } else { rest.to_owned() };
        }
        let script = match &ctx.container {
            Some(c) => self.contained(ctx, c, &preamble, &body),
            None if preamble.is_empty() => body,
            None => format!("{preamble}{}", margin(&body)),
        };
        self.wrote(script.len() + 64 * ctx.env.len() + 64);
        let mut secrets: Vec<Secret> = Vec::new();
        for b in &ctx.binds {
            let s = Secret { name: b.secret.clone(), known: b.known };
            if !secrets.contains(&s) {
                secrets.push(s);
            }
        }
        let env = ctx.env.clone();
        Step { name: label(name, 80), action: Action::Run { script, interpreter }, env, secrets, timeout: ctx.timeout, ..Step::default() }
    }

    fn contained(&self, ctx: &Ctx, c: &Container, preamble: &str, body: &str) -> String {
        let mut names: Vec<&str> = self.file.parameters.iter().map(|p| p.name.as_str()).collect();
        names.extend(ctx.scope.keys().map(String::as_str));
        // What the lines before it export reaches a container by name only.
        let exported = shell::GIVEN.iter().filter(|(n, g)| matches!(g, Given::Shell(_)) && shell::mentions(body, n)).map(|(n, _)| *n);
        names.extend(exported.chain(shell::mentions(body, "BRANCH_NAME").then_some("BRANCH_NAME")));
        names.extend(["QD_RUN", "QD_RUN_NUMBER", "QD_STAGE", "QD_WORKSPACE", "QD_VERDICT"]);
        names.sort_unstable();
        names.dedup();
        let env: Vec<String> = names.iter().map(|n| format!("-e {n}")).collect();
        let mut mark = "QD_SCRIPT".to_owned();
        while body.contains(&mark) {
            mark.push('_');
        }
        let args = if c.args.trim().is_empty() { String::new() } else { format!(" {}", c.args.trim()) };
        format!(
            "{preamble}script=\"$(cat <<'{mark}'\n{}\n{mark}\n)\"\ndocker run --rm --init -u \"$(id -u):$(id -g)\" -v \"$QD_RUN_WORKSPACE:$QD_RUN_WORKSPACE\" -w \"$PWD\" \\\n  {}{args} \\\n  {} /bin/sh -e -c \"$script\"",
            margin(body),
            env.join(" "),
            c.image
        )
    }
}

/// A body without the common indent of Groovy's blocks, so that it can stand behind lines of ours.
fn margin(body: &str) -> String {
    let lines: Vec<&str> = body.lines().map(str::trim_end).collect();
    let indent = |l: &&str| l.len() - l.trim_start_matches(' ').len();
    let first = usize::from(!body.starts_with('\n'));
    let common = lines.iter().skip(first).filter(|l| !l.is_empty()).map(indent).min().unwrap_or(0);
    let cut: Vec<&str> =
        lines.iter().enumerate().map(|(i, l)| if i < first { l.trim_start() } else { &l[common.min(indent(l))..] }).collect();
    cut.join("\n").trim_matches('\n').to_owned()
}
