//! The parts of a pipeline beside its stages: options, parameters, environment, triggers, tools.

use super::convert::{Bind, BindKind, Converter, Ctx, MAX_ITEMS, as_call, name_of, seconds};
use super::cron;
use super::lexer::Piece;
use super::out::{Parameter, Trigger};
use super::parse::{Call, StmtKind, Value, ValueKind};
use super::report::Fate;
use super::shell::{self, Var};
use crate::pipeline::diagnostic::show;
use crate::pipeline::schema::{Ty, scalar};

/// Options that need nothing here, or cannot be had: name, fate, why, what to do.
const OPTIONS: [(&str, Fate, &str, &str); 15] = [
    ("timestamps", Fate::Converted, "every line has its time: `quarterdeck log --timestamps`", ""),
    ("ansiColor", Fate::Converted, "colours are kept in the log and shown safely", ""),
    ("skipDefaultCheckout", Fate::Converted, "no checkout is added", ""),
    ("skipStagesAfterUnstable", Fate::Approximated, "no run is unstable here: a stage succeeds or fails", ""),
    ("durabilityHint", Fate::Converted, "every run survives a restart of the engine", ""),
    ("disableResume", Fate::Approximated, "runs go on after a restart of the engine", "cancel the run where that is not wanted"),
    ("preserveStashes", Fate::Approximated, "workspaces are kept with the run", "`options.keep` says for how long"),
    ("parallelsAlwaysFailFast", Fate::Approximated, "parallel stages do not end each other", "cancel the run by hand"),
    ("quietPeriod", Fate::Approximated, "a run begins when it is asked for", "`options.concurrency` keeps runs apart"),
    ("rateLimitBuilds", Fate::Manual, "starts have no rate", "`options.concurrency` limits runs at a time"),
    (
        "throttleJobProperty",
        Fate::Manual,
        "throttle categories are concurrency groups here",
        "write `options.concurrency` with the same group in each pipeline",
    ),
    ("disableRestartFromStage", Fate::Approximated, "`resume` goes on from the stage that did not succeed", ""),
    ("newContainerPerStage", Fate::Converted, "each step has a container of its own", ""),
    ("overrideIndexTriggers", Fate::Approximated, "branches are not indexed here", ""),
    ("copyArtifactPermission", Fate::Approximated, "who may read a run is said by the roles of the site", ""),
];

impl Converter<'_> {
    pub fn options(&mut self, call: &Call) {
        self.report.converted(&call.head, "options", "options");
        for s in call.body() {
            let Some(c) = as_call(s) else {
                self.report.manual(
                    &s.span,
                    "options",
                    "this is no option that the importer knows",
                    "see `quarterdeck pipeline explain options`",
                );
                continue;
            };
            let what = format!("option {}", show(&c.name));
            match c.name.as_str() {
                "timeout" => match seconds(c) {
                    Some(_) if c.named("activity").is_some_and(Value::is_true) => {
                        self.report.manual(
                            &s.span,
                            what,
                            "a time without output is `stall:` of a stage here",
                            "add `stall:` to the stages",
                        );
                    }
                    Some(n) => {
                        self.file.timeout = Some(n);
                        self.report.converted(&s.span, what, "options.timeout");
                    }
                    None => self.report.manual(&s.span, what, "its time is computed", "write `options.timeout`"),
                },
                "retry" => match c.arg("count").and_then(Value::literal).and_then(|n| n.parse().ok()).filter(|n| (2..=100).contains(n)) {
                    Some(n) => {
                        self.retry_all = Some(n);
                        self.report.approximated(
                            &s.span,
                            what,
                            "each stage is tried so often, not the whole run",
                            "say `idempotent: true` where a second start does no harm",
                        );
                    }
                    None => self.report.manual(&s.span, what, "its number is computed or needs no retry", "write `retry:` in the stages"),
                },
                "disableConcurrentBuilds" => {
                    let newest = c.named("abortPrevious").is_some_and(Value::is_true);
                    self.file.on_conflict = Some(if newest { "cancel-older" } else { "queue" });
                    self.report.converted(&s.span, what, "options.concurrency");
                }
                "buildDiscarder" => self.keep(c, &what),
                "checkoutToSubdirectory" => {
                    self.checkout.dest = c.positional(0).and_then(Value::literal).map(str::to_owned);
                    self.report.converted(&s.span, what, "the directory of the checkout");
                }
                "lock" => {
                    let resource = c.arg("resource").and_then(Value::literal).map(name_of);
                    match resource {
                        Some(_) => self.report.manual(
                            &s.span,
                            what,
                            "locks belong to stages here, not to a run",
                            "add `locks:` to the stages that need it, or use `options.concurrency`",
                        ),
                        None => self.report.manual(&s.span, what, "its name is computed", "add `locks:` to the stages"),
                    }
                }
                name => {
                    if name == "skipDefaultCheckout" {
                        self.checkout.off = c.positional(0).is_none_or(|v| v.literal() != Some("false"));
                    }
                    match OPTIONS.iter().find(|(n, ..)| *n == name) {
                        Some((_, fate, why, help)) => self.report.mark(&s.span, *fate, what, *why, *help),
                        None => self.report.manual(
                            &s.span,
                            what,
                            "the importer does not know this option",
                            "see `quarterdeck pipeline explain options`",
                        ),
                    }
                }
            }
        }
    }

    fn keep(&mut self, call: &Call, what: &str) {
        let inner = call.args.first().map(|a| &a.value);
        let rotator = match inner.map(|v| &v.kind) {
            Some(ValueKind::Call(c)) => Some(c.as_ref()),
            _ => None,
        };
        let Some(rotator) = rotator else {
            return self.report.manual(&call.span, what, "its rule is computed", "write `options.keep`");
        };
        let number = |key: &str, most: u64| -> Option<u64> {
            let n: u64 = rotator.named(key).and_then(Value::literal)?.parse().ok()?;
            (1..=most).contains(&n).then_some(n)
        };
        let keep: Vec<(String, String)> = [("runs", number("numToKeepStr", 100_000)), ("days", number("daysToKeepStr", 36_500))]
            .into_iter()
            .filter_map(|(k, n)| Some((k.to_owned(), n?.to_string())))
            .collect();
        if keep.is_empty() {
            return self.report.manual(&call.span, what, "no number of runs or days is in it", "write `options.keep`");
        }
        let both = keep.len() == 2;
        self.file.keep = keep;
        if rotator.args.iter().any(|a| a.name.as_deref().is_some_and(|n| n.starts_with("artifact"))) {
            self.report.approximated(&call.span, what, "options.keep; artifacts stay as long as their run", "");
        } else if both {
            self.report.approximated(&call.span, what, "options.keep; a run stays while either rule keeps it", "");
        } else {
            self.report.converted(&call.span, what, "options.keep");
        }
    }

    pub fn parameters(&mut self, call: &Call) {
        self.report.converted(&call.head, "parameters", "parameters");
        self.too_many(&call.head, call.body().len(), "parameters");
        for s in call.body().iter().take(MAX_ITEMS) {
            match as_call(s) {
                Some(c) => self.parameter(c),
                None => self.report.manual(&s.span, "parameters", "this is no parameter", "write it by hand"),
            }
        }
    }

    pub fn parameter(&mut self, c: &Call) {
        let what = format!("parameter {}", show(&c.name));
        let Some(name) = c.arg("name").and_then(Value::literal).map(str::to_owned) else {
            return self.report.manual(&c.span, what, "its name is computed", "write it by hand");
        };
        if scalar(&Ty::Variable, &name).is_err() {
            let help = "choose another name, and use it in the scripts";
            return self.report.manual(&c.span, what, format!("`{}` cannot be the name of a variable here", show(&name)), help);
        }
        // What the job says beside its script is an older copy of what the script says.
        if let Some(i) = self.file.parameters.iter().take(self.inherited).position(|p| p.name == name) {
            self.file.parameters.remove(i);
            self.inherited -= 1;
        }
        if self.file.parameters.iter().any(|p| p.name == name) {
            return self.report.manual(&c.span, what, format!("`{}` stands twice", show(&name)), "remove one");
        }
        let text = |key: &str| c.named(key).map(Value::literal);
        let mut keys = Vec::new();
        let mut choices = Vec::new();
        let mut bool = false;
        match c.name.as_str() {
            "string" | "text" | "stringParam" | "textParam" => {
                keys.push(("type".to_owned(), "string".to_owned()));
                match text("defaultValue").or_else(|| c.positional(1).map(Value::literal)) {
                    Some(None) => return self.report.manual(&c.span, what, "its default is computed", "write a default"),
                    Some(Some(d)) => keys.push(("default".into(), d.to_owned())),
                    None => keys.push(("default".into(), String::new())),
                }
            }
            "booleanParam" | "boolean" => {
                bool = true;
                keys.push(("type".into(), "bool".into()));
                let on = text("defaultValue").flatten() == Some("true");
                keys.push(("default".into(), on.to_string()));
            }
            "choice" | "choiceParam" => {
                let values = c.named("choices").or_else(|| c.positional(1));
                for v in values.map(Value::items).unwrap_or_default() {
                    match v.literal() {
                        Some(t) => choices.extend(t.split('\n').map(str::to_owned)),
                        None => return self.report.manual(&c.span, what, "its choices are computed", "write them out"),
                    }
                }
                choices.dedup();
                let Some(first) = choices.first() else {
                    return self.report.manual(&c.span, what, "it has no choices", "write them out");
                };
                keys.push(("type".into(), "choice".into()));
                keys.push(("default".into(), first.clone()));
            }
            "password" => {
                return self.report.manual(
                    &c.span,
                    what,
                    "a secret is no parameter here: it would stand in the run's row",
                    format!("`quarterdeck secret set {}`, and `secrets:` in the stage that needs it", name_of(&name)),
                );
            }
            other => {
                let why = format!("there is no parameter of type `{}`", show(other));
                return self.report.manual(&c.span, what, why, "see `quarterdeck pipeline explain parameter`");
            }
        }
        if let Some(Some(d)) = text("description").filter(|d| d.is_some_and(|d| !d.trim().is_empty())) {
            keys.push(("description".into(), d.trim().to_owned()));
        }
        self.top.scope.insert(name.clone(), Var::Param { bool });
        self.file.parameters.push(Parameter { name, keys, choices });
        self.report.converted(&c.span, what, "a parameter; it reaches scripts as a variable of its name");
    }

    /// Puts names into `ctx`; what fits into `env:` is given back.
    pub fn environment(&mut self, call: &Call, ctx: &mut Ctx) -> Vec<(String, String)> {
        self.report.converted(&call.head, "environment", "env");
        self.too_many(&call.head, call.body().len() + ctx.exports.len() + ctx.scope.len(), "variables");
        if self.over.is_some() {
            return Vec::new();
        }
        let mut env: Vec<(String, String)> = Vec::new();
        for s in call.body() {
            let StmtKind::Assign { name, value } = &s.kind else {
                self.report.manual(&s.span, "environment", "only NAME = value can stand here", "write it by hand");
                continue;
            };
            let what = format!("environment {}", show(name));
            if scalar(&Ty::EnvName, name).is_err() {
                self.report.manual(&s.span, what, "it cannot be the name of a variable here", "choose another");
                continue;
            }
            match self.variable(name, value, ctx, &s.span) {
                Ok(Some(text)) => {
                    env.retain(|(n, _)| n != name);
                    env.push((name.clone(), text.clone()));
                    ctx.scope.insert(name.clone(), Var::Template(text));
                    self.report.converted(&s.span, what, "env");
                }
                Ok(None) => {}
                Err(why) => {
                    ctx.open.push(name.clone());
                    ctx.scope.insert(name.clone(), Var::Open);
                    self.report.manual(
                        &s.span,
                        what,
                        format!("{why}; steps stop until `{name}` is set"),
                        format!("set `{name}` in `env:` or in the scripts"),
                    );
                }
            }
        }
        env
    }

    /// The text of a variable as `env:` takes it; none where it reaches the steps by another way. The error says why nobody knows it.
    fn variable(&mut self, name: &str, value: &Value, ctx: &mut Ctx, span: &super::source::Span) -> Result<Option<String>, &'static str> {
        const COMPUTED: &str = "its value is computed in Groovy";
        let plain = |w: &str| !w.contains('.') && (w.starts_with(|c: char| c.is_ascii_digit()) || matches!(w, "true" | "false"));
        let (word, how) = match &value.kind {
            ValueKind::Word(w) if plain(w) => return Ok(Some(w.clone())),
            ValueKind::Word(w) if shell::expansion(w, &ctx.scope).is_none() => return Err("its value is a name of Groovy"),
            ValueKind::Str(_) | ValueKind::Word(_) => {
                let pieces = match &value.kind {
                    ValueKind::Word(w) => vec![Piece::Expr(w.clone())],
                    _ => value.pieces().unwrap_or_default().to_vec(),
                };
                match shell::template(&pieces, &ctx.scope) {
                    Some(t) if t.contains('\0') => return Err("it holds a NUL byte"),
                    Some(t) => return Ok(Some(t)),
                    None => {}
                }
                let word = shell::word(&pieces, &ctx.scope).map_err(|_| COMPUTED)?;
                (word, "known only when a step runs: each script sets it")
            }
            ValueKind::Call(c) if c.name == "credentials" => {
                let id = c.positional(0).and_then(Value::literal).ok_or("its credential is computed")?.to_owned();
                self.credentials(name, &id, ctx, span, &format!("environment {}", show(name)));
                return Ok(None);
            }
            _ => {
                let word = self.output_of(value, ctx).ok_or(COMPUTED)?;
                (word, "the command runs before each script that sees it, not once")
            }
        };
        ctx.exports.push((name.to_owned(), word));
        ctx.scope.insert(name.to_owned(), Var::Shell);
        self.report.approximated(span, format!("environment {}", show(name)), how, "");
        Ok(None)
    }

    /// `sh(script: '…', returnStdout: true)` and its `.trim()` as a word of the shell.
    fn output_of(&self, value: &Value, ctx: &Ctx) -> Option<String> {
        let text = self.src.slice(&value.span).trim();
        let text = text.strip_suffix(".trim()").unwrap_or(text).trim();
        if !text.starts_with("sh") || text.len() > 4_000 {
            return None;
        }
        let inner = super::source::Source::new(text.to_owned());
        let script = super::parse::parse(&inner).ok()?;
        let [stmt] = script.stmts.as_slice() else { return None };
        let call = as_call(stmt).filter(|c| c.name == "sh" && c.named("returnStdout").is_some_and(Value::is_true))?;
        let body = shell::script(call.arg("script")?.pieces()?, &ctx.scope).ok()?;
        let body = body.trim();
        (!body.contains('\n') && !body.starts_with('#')).then(|| format!("\"$({body})\""))
    }

    fn credentials(&mut self, name: &str, id: &str, ctx: &mut Ctx, span: &super::source::Span, what: &str) {
        let pair = [format!("{name}_USR"), format!("{name}_PSW")];
        let both = self.halves.contains(name);
        let help = |names: &str| format!("add {names} to [secrets] of the site file; a file or key is read from $QD_SECRETS_DIR");
        if both {
            let (user, password) = (self.secret(&format!("{id}-username")), self.secret(&format!("{id}-password")));
            let names = format!("`{}` and `{}`", user.name, password.name);
            for (var, s) in pair.iter().zip([user, password]) {
                ctx.binds.push(Bind { secret: s.name, known: s.known, kind: BindKind::Text(var.clone()) });
                ctx.scope.insert(var.clone(), Var::Shell);
            }
            ctx.exports.push((name.to_owned(), format!("\"${{{}}}:${{{}}}\"", pair[0], pair[1])));
            ctx.scope.insert(name.to_owned(), Var::Shell);
            self.report.approximated(span, what, "user and password are two secrets here", help(&names));
            return;
        }
        let s = self.secret(id);
        let names = format!("`{}`", s.name);
        let known = s.known;
        ctx.binds.push(Bind { secret: s.name, known, kind: BindKind::Text(name.to_owned()) });
        ctx.scope.insert(name.to_owned(), Var::Shell);
        self.report.approximated(
            span,
            what,
            "a secret, taken for a text: its kind is not in the original",
            if known { String::new() } else { help(&names) },
        );
    }

    pub fn tools(&mut self, call: &Call) {
        self.report.manual(
            &call.span,
            "tools",
            "nothing is installed here: programs are found on PATH",
            "install them on this machine, or set PATH in `env:`",
        );
    }

    pub fn triggers(&mut self, call: &Call) {
        self.report.converted(&call.head, "triggers", "triggers");
        self.too_many(&call.head, call.body().len(), "triggers");
        for s in call.body().iter().take(MAX_ITEMS) {
            let Some(c) = as_call(s) else {
                self.report.manual(
                    &s.span,
                    "triggers",
                    "this is no trigger that the importer knows",
                    "see `quarterdeck pipeline explain trigger`",
                );
                continue;
            };
            match c.name.as_str() {
                "cron" => self.cron(c),
                "pollSCM" => self.poll(c),
                "upstream" => self.upstream(c),
                other => self.report.manual(
                    &s.span,
                    format!("trigger {}", show(other)),
                    "nothing listens for calls from outside",
                    "let the sender call `quarterdeck run`, or use `cron:` or `every:`",
                ),
            }
        }
    }

    fn cron(&mut self, c: &Call) {
        let Some(text) = c.arg("spec").and_then(Value::literal) else {
            return self.report.manual(&c.span, "trigger cron", "its times are computed", "write them out below `triggers:`");
        };
        let (mut hashed, mut bad) = (false, Vec::new());
        let name = self.file.name.clone();
        for line in cron::lines(text, &name).into_iter().take(MAX_ITEMS) {
            match line {
                Ok(found) => {
                    hashed |= found.hashed;
                    let mut keys = vec![("cron".to_owned(), found.pattern)];
                    keys.extend(found.zone.map(|z| ("timezone".to_owned(), z)));
                    if found.hashed {
                        keys.push(("jitter".into(), "1m".into()));
                    }
                    if !self.file.triggers.iter().any(|t| t.keys == keys) {
                        self.file.triggers.push(Trigger { keys, off: None });
                    }
                }
                Err(why) => bad.push(why),
            }
        }
        if !bad.is_empty() {
            self.report.manual(
                &c.span,
                "trigger cron",
                bad.join("; "),
                "write these times by hand: `quarterdeck pipeline explain trigger.cron`",
            );
        } else if hashed {
            self.report.approximated(
                &c.span,
                "trigger cron",
                "`H` is a number that stays the same for this name, but not Jenkins' number",
                "",
            );
        } else if text.trim().is_empty() {
            self.report.manual(&c.span, "trigger cron", "it has no times", "remove it");
        } else {
            self.report.converted(&c.span, "trigger cron", "a cron trigger; its zone is the site's where none is said");
        }
    }

    fn poll(&mut self, c: &Call) {
        let interval = c.arg("scmpoll_spec").and_then(Value::literal).and_then(interval).unwrap_or("15m");
        let url = self.checkout.url.clone();
        let off = url.is_none().then(|| "Jenkins looked for changes here. Say which repository, and take the marks away:".to_owned());
        let mut keys = vec![("git".to_owned(), url.clone().unwrap_or_else(|| "https://git.example.org/repository.git".into()))];
        if let Some(r) = &self.checkout.reference {
            keys.push(("ref".into(), r.clone()));
        }
        keys.push(("interval".into(), interval.into()));
        self.file.triggers.push(Trigger { keys, off });
        match url {
            Some(_) => self.report.approximated(&c.span, "trigger pollSCM", "a git trigger with an interval", ""),
            None => self.report.manual(
                &c.span,
                "trigger pollSCM",
                "the original does not say which repository; the trigger stands as a comment",
                "fill in the address",
            ),
        }
    }

    fn upstream(&mut self, c: &Call) {
        let Some(names) = c.arg("upstreamProjects").and_then(Value::literal) else {
            return self.report.manual(&c.span, "trigger upstream", "its projects are computed", "write them out below `triggers:`");
        };
        let threshold = c.named("threshold").map_or("SUCCESS", |v| self.src.slice(&v.span));
        let any = !threshold.ends_with("SUCCESS");
        let mut missing = Vec::new();
        for job in names.split(',').map(str::trim).filter(|j| !j.is_empty()).take(MAX_ITEMS) {
            let name = name_of(job.rsplit('/').next().unwrap_or(job));
            let known = self.catalog.pipelines.contains(&name) && name != self.file.name;
            let keys = vec![("upstream".to_owned(), name.clone()), ("on".into(), if any { "any" } else { "success" }.into())];
            let off = (!known).then(|| "The site has no such pipeline yet. Import it too, then take the marks away:".to_owned());
            if !self.file.triggers.iter().any(|t| t.keys == keys) {
                self.file.triggers.push(Trigger { keys, off });
            }
            if !known {
                missing.push(name);
            }
        }
        if !missing.is_empty() {
            let why = format!("the site has no pipeline {}; the trigger stands as a comment", missing.join(", "));
            self.report.manual(&c.span, "trigger upstream", why, "import it too, then take the comment marks away");
        } else if any {
            self.report.approximated(&c.span, "trigger upstream", format!("`{}` counts every end here", show(threshold)), "");
        } else {
            self.report.converted(&c.span, "trigger upstream", "an upstream trigger");
        }
    }
}

/// How often a polling pattern looks, roughly.
fn interval(spec: &str) -> Option<&'static str> {
    let minute =
        spec.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#') && !l.starts_with("TZ="))?.split_whitespace().next()?;
    let step: u32 = minute.split('/').nth(1).and_then(|n| n.parse().ok()).unwrap_or(if minute == "*" { 1 } else { 60 });
    Some(match step {
        0..=2 => "1m",
        3..=7 => "5m",
        8..=20 => "15m",
        21..=45 => "30m",
        _ => "1h",
    })
}
