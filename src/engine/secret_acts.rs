//! Setting and testing secrets for people. What is asked for by name is looked up in the site file; values go in and never out.

use std::sync::Arc;

use super::blocking::blocking;
use super::doctor;
use super::guard::{self, Caller};
use super::state::Engine;
use crate::api::ApiError;
use crate::api::types::{CobblerLogin, Do, SecretTest};
use crate::base::suggest;
use crate::config::Site;
use crate::secret::{self, Kind, SecretError, Source};

/// Who may ask whether secrets can be had: the question may start commands and ask services.
const TESTERS: [&str; 3] = ["operator", "security", "admin"];

/// The entry of the Secret Service that `secret-set` writes, or why there is none.
pub fn entry_of(engine: &Engine, site: &Site, request: &Do) -> Result<String, ApiError> {
    let name = request.target.as_str();
    known(site, name)?;
    let secrets = engine.secrets.now()?;
    let Some(entry) = secrets.keyring_entry(name) else {
        let origin = secrets.origin(name).unwrap_or_default();
        let help = secrets.by_hand(name).join("\n");
        return Err(ApiError::refused(format!("secret `{name}` comes from {origin}, which is not written from here"), help));
    };
    let Some(value) = &request.value else {
        return Err(ApiError::bad(format!("no value was given for secret `{name}`"), "quarterdeck secret set NAME reads it"));
    };
    match secret::unfit(&value.0) {
        Some(why) => Err(ApiError::bad(format!("secret `{name}`: {why}"), "nothing was written")),
        None => Ok(entry.to_owned()),
    }
}

/// Writes it. The service is outside of any transaction, so the caller has an entry in the audit chain before, and writes another after.
pub async fn write(engine: &Arc<Engine>, request: &Do, entry: String) -> Result<(), ApiError> {
    let (engine, name) = (engine.clone(), request.target.clone());
    let Some(value) = request.value.clone() else { return Err(ApiError::bad("no value was given", "")) };
    let (e, n) = (engine.clone(), name.clone());
    blocking(move || {
        e.secrets.write(&n, &entry, &value.0).map_err(|no| {
            let by_hand = e.secrets.now().map(|s| s.by_hand(&n)).unwrap_or_default();
            unwritten(&no, &by_hand)
        })
    })
    .await?;
    engine.runner.secret_again(name).await.map_err(ApiError::from)
}

fn unwritten(e: &SecretError, by_hand: &[String]) -> ApiError {
    let mut help = match e.kind() {
        Kind::Absent => {
            "where the engine has no session, name another source in site.toml: \"credential:NAME\" or \"file:/path\"".to_owned()
        }
        _ => "unlock the keyring in the session of the engine, and set it again".to_owned(),
    };
    for way in by_hand {
        help.push_str(&format!("\nor {way}"));
    }
    ApiError::no_engine(e.to_string(), help)
}

/// Whether the engine can have this secret now; who waits for it asks at once then.
pub async fn test(engine: &Arc<Engine>, caller: Caller, name: String) -> Result<SecretTest, ApiError> {
    let (e, n) = (engine.clone(), name.clone());
    let error = blocking(move || {
        let site = e.site()?;
        may(&e, &site, &caller, "test secrets")?;
        known(&site, &n)?;
        Ok(e.secrets.resolve(&n).err().map(|no| no.to_string()))
    })
    .await?;
    if error.is_none() {
        engine.runner.secret_again(name.clone()).await?;
    }
    Ok(SecretTest { secret: name, ok: error.is_none(), error })
}

/// Whether a Cobbler takes the user and the password that steps of this engine would log in with.
pub async fn log_in(engine: &Arc<Engine>, caller: Caller, name: String) -> Result<CobblerLogin, ApiError> {
    let (e, n) = (engine.clone(), name.clone());
    let (table, password) = blocking(move || {
        let site = e.site()?;
        may(&e, &site, &caller, "log in at a Cobbler")?;
        let Some(table) = site.cobblers.get(&n).cloned() else {
            let shown: String = crate::base::sanitise::cell(&n).chars().take(100).collect();
            let names = site.cobblers.keys().map(String::as_str);
            let help = suggest::meant(&n, names, "add it as [cobbler.NAME] to site.toml".to_owned());
            return Err(ApiError::bad(format!("no cobbler `{shown}` in the site file"), help));
        };
        let password = e.secrets.resolve(&table.secret).map_err(|no| no.to_string());
        Ok((table, password))
    })
    .await?;
    let login = doctor::cobbler::login(&name, &table, password).await;
    Ok(CobblerLogin { cobbler: name, login })
}

fn may(engine: &Engine, site: &Site, caller: &Caller, what: &str) -> Result<(), ApiError> {
    if (engine.private && caller.owner) || TESTERS.iter().any(|r| guard::has_role(site, caller, r)) {
        return Ok(());
    }
    let help = format!("needs one of the roles {}; an admin gives them under [roles] in site.toml", TESTERS.join(", "));
    Err(ApiError::refused(format!("{what}: {} may not", caller.actor.name), help))
}

fn known(site: &Site, name: &str) -> Result<(), ApiError> {
    if site.secrets.contains_key(name) {
        return Ok(());
    }
    let shown: String = crate::base::sanitise::cell(name).chars().take(100).collect();
    let help = suggest::meant(
        name,
        site.secrets.keys().map(String::as_str),
        format!("add {shown} = \"keyring:{shown}\" under [secrets] in site.toml"),
    );
    Err(ApiError::bad(format!("no secret `{shown}` in the site file"), help))
}
