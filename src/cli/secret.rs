//! `secret list|get|test`: names and places of secrets. A value is fetched by `test` alone, and thrown away.

use serde_json::json;

use super::Ctx;
use super::args::Secret;
use super::failure::{Failure, Outcome};
use super::out::{Out, Tone};
use super::table::{self, left};
use crate::base::suggest;
use crate::secret::{SiteSecrets, Source};

pub fn run(ctx: &Ctx, out: &mut Out, command: Secret) -> Outcome {
    let site = ctx.site(out)?;
    let secrets = SiteSecrets::new(site.secrets, ctx.uid);
    match command {
        Secret::List => list(out, &secrets),
        Secret::Get { name } => get(out, &secrets, &name),
        Secret::Test { name } => test(out, &secrets, name),
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

fn list(out: &Out, secrets: &SiteSecrets) -> Outcome {
    let rows: Vec<(String, String)> = secrets.names().into_iter().filter_map(|n| secrets.origin(&n).map(|o| (n, o))).collect();
    if out.json {
        let rows: Vec<_> = rows.iter().map(|(n, o)| json!({"secret": n, "source": o})).collect();
        out.value(&json!({"what": "secrets", "rows": rows}));
    } else if rows.is_empty() {
        out.line("no secrets: add NAME = \"env:…|file:…|cmd:…\" under [secrets] in site.toml");
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

/// The environment asked here is this command's; the engine may have been started with another one.
fn test(out: &Out, secrets: &SiteSecrets, names: Vec<String>) -> Outcome {
    let names = if names.is_empty() { secrets.names() } else { names };
    for name in &names {
        known(secrets, name)?;
    }
    let results: Vec<(String, Option<String>)> =
        names.into_iter().map(|n| (n.clone(), secrets.resolve(&n).err().map(|e| e.to_string()))).collect();
    let bad = results.iter().filter(|(_, e)| e.is_some()).count();
    if out.json {
        let rows: Vec<_> = results.iter().map(|(n, e)| json!({"secret": n, "ok": e.is_none(), "error": e})).collect();
        out.value(&json!({"what": "secrets", "rows": rows}));
    } else {
        for (name, error) in &results {
            match error {
                None => out.line(format!("{}  {name}", out.paint(Tone::Good, "ok     "))),
                Some(e) => out.line(format!("{}  {e}", out.paint(Tone::Bad, "not ok "))),
            }
        }
    }
    if bad == 0 { Ok(()) } else { Err(Failure::told(1)) }
}
