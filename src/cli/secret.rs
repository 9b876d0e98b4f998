//! `secret list|get|set|test`: names and places of secrets. A value is read by `set`, fetched by `test` and thrown away, and never shown.

use serde_json::json;

use std::io::IsTerminal;
use std::time::Duration;

use super::args::Secret;
use super::connect::{self, Start};
use super::failure::{Failure, Outcome};
use super::out::{Out, Tone};
use super::run::{Request, ask};
use super::table::{self, left};
use super::{Ctx, prompt};
use crate::api::client::Trouble;
use crate::api::types::SecretTest;
use crate::api::{ApiError, Sealed};
use crate::base::{sanitise, suggest};
use crate::config::Site;
use crate::secret::{self, Means, SiteSecrets, Source};

/// A secret has several sources, and a command among them has ten seconds.
const TEST: Duration = Duration::from_secs(60);

pub fn run(ctx: &Ctx, out: &mut Out, command: Secret) -> Outcome {
    let site = ctx.site(out)?;
    let secrets = SiteSecrets::new(site.secrets.clone(), Means::of_process(ctx.uid));
    match command {
        Secret::List => list(out, &secrets),
        Secret::Get { name } => get(out, &secrets, &name),
        Secret::Set { name, consent } => set(ctx, out, &secrets, &name, consent),
        Secret::Test { name } => test(ctx, out, &site, &secrets, name),
    }
}

fn known(secrets: &SiteSecrets, name: &str) -> Result<String, Failure> {
    secrets.origin(name).ok_or_else(|| {
        let names = secrets.names();
        let help = match suggest::nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "the site file has no [secrets]".into(),
            None => format!("there are: {}", names.join(", ")),
        };
        Failure::bad(format!("no secret `{name}` in the site file"), help)
    })
}

/// A site without a secret says how it gets one.
const NONE: &str = "no secrets: add NAME = \"env:…|file:…|cmd:…|credential:…|keyring:…\" under [secrets] in site.toml";

fn list(out: &Out, secrets: &SiteSecrets) -> Outcome {
    let rows: Vec<(String, String)> = secrets.names().into_iter().filter_map(|n| secrets.origin(&n).map(|o| (n, o))).collect();
    if out.json {
        let rows: Vec<_> = rows.iter().map(|(n, o)| json!({"secret": n, "source": o})).collect();
        out.value(&json!({"what": "secrets", "rows": rows}));
    } else if rows.is_empty() {
        out.line(NONE);
    } else {
        table::print(out, &[left("SECRET"), left("SOURCE")], &rows.into_iter().map(|(n, o)| vec![n, o]).collect::<Vec<_>>());
    }
    Ok(())
}

fn get(out: &Out, secrets: &SiteSecrets, name: &str) -> Outcome {
    let origin = known(secrets, name)?;
    if out.json {
        out.value(&json!({"secret": name, "source": origin}));
    } else {
        out.line(format!("{name} comes from {origin}"));
    }
    Ok(())
}

/// What was found out about one secret.
pub struct Tested {
    pub name: String,
    pub error: Option<String>,
    /// A running engine was asked; else this command looked itself, with its own environment.
    pub by_engine: bool,
}

/// Asks for every name. Steps get their secrets from the engine, so a running one is asked; where there is none, it would be started by
/// whoever runs this command, and sees what this command sees.
pub fn test_all(ctx: &Ctx, site: &Site, names: Vec<String>) -> Result<Vec<Tested>, Failure> {
    let secrets = SiteSecrets::new(site.secrets.clone(), Means::of_process(ctx.uid));
    let own = |name: String| {
        let error = secrets.resolve(&name).err().map(|e| e.to_string());
        Tested { name, error, by_engine: false }
    };
    if names.is_empty() {
        return Ok(Vec::new());
    }
    connect::block_on(async {
        let mut client = match connect::connect(ctx, site, Start::Never).await {
            Ok(client) => client,
            // A shared engine that is away is no reason to test with an environment that is not its own.
            Err(e) if site.socket.is_some() => return Err(e),
            Err(_) => return Ok(names.into_iter().map(own).collect()),
        };
        let mut all = Vec::new();
        for name in names {
            match client.get::<SecretTest>(&format!("/v1/secrets/{name}/test"), TEST).await {
                Ok(t) => all.push(Tested { name, error: t.error, by_engine: true }),
                Err(Trouble::Answer(e)) => return Err(e.into()),
                Err(lost @ (Trouble::Lost(_) | Trouble::Silent(_))) => return Err(ApiError::from(lost).into()),
            }
        }
        Ok(all)
    })
}

fn test(ctx: &Ctx, out: &Out, site: &Site, secrets: &SiteSecrets, names: Vec<String>) -> Outcome {
    let names = if names.is_empty() { secrets.names() } else { names };
    for name in &names {
        known(secrets, name)?;
    }
    let results = test_all(ctx, site, names)?;
    let bad = results.iter().filter(|t| t.error.is_some()).count();
    if out.json {
        let asked = |t: &Tested| if t.by_engine { "engine" } else { "command" };
        let rows: Vec<_> =
            results.iter().map(|t| json!({"secret": t.name, "ok": t.error.is_none(), "error": t.error, "asked": asked(t)})).collect();
        out.value(&json!({"what": "secrets", "rows": rows}));
    } else if results.is_empty() {
        out.line(NONE);
    } else {
        for t in &results {
            match &t.error {
                None => out.line(format!("{}  {}", out.paint(Tone::Good, "ok     "), t.name)),
                Some(e) => out.line(format!("{}  {}", out.paint(Tone::Bad, "not ok "), sanitise::cell(e))),
            }
        }
        if results.iter().any(|t| !t.by_engine) {
            out.note("note: no engine runs; asked with the environment of this command");
        }
    }
    if bad == 0 { Ok(()) } else { Err(Failure::told(1)) }
}

/// The value comes from standard input or a terminal without echo: an argument would be in `ps` and in the shell's history.
fn set(ctx: &Ctx, out: &mut Out, secrets: &SiteSecrets, name: &str, consent: super::args::Consent) -> Outcome {
    let origin = known(secrets, name)?;
    if secrets.keyring_entry(name).is_none() {
        let help = secrets.by_hand(name).join("\n");
        return Err(ApiError::refused(format!("secret `{name}` comes from {origin}, which is not written from here"), help).into());
    }
    let value = prompt::secret(&format!("value of {name} (not shown): "))?;
    if let Some(why) = secret::unfit(&value) {
        return Err(Failure::bad(format!("secret `{name}`: {why}"), "nothing was written"));
    }
    let done = ask(ctx, out, Request::new("secret-set", name, consent).sealed(Sealed(value)), Start::OnDemand)?;
    out.done(&done);
    Ok(())
}

/// The short process that asks the Secret Service for an engine; the exit code and standard output are its answer.
pub fn serve(operation: &str, entry: &str) -> Outcome {
    if std::io::stdout().is_terminal() {
        return Err(Failure::bad(
            "this is how an engine asks the Secret Service; values are shown to nobody",
            "quarterdeck secret test NAME",
        ));
    }
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    match secret::keyring::serve(operation, entry, &mut std::io::stdin().lock(), &mut std::io::stdout().lock()) {
        0 => Ok(()),
        code => Err(Failure::told(code)),
    }
}
