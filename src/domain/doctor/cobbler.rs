//! The check of a Cobbler: whether it answers, how safely, and whether its settings lose packages.

use serde::{Deserialize, Serialize};

use super::{Row, State};

/// Whether it takes the user and the password that the site names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "login", rename_all = "kebab-case")]
pub enum Login {
    Good,
    Failed {
        why: String,
        next: String,
    },
    /// There is no password to try.
    NoSecret {
        why: String,
    },
    Untried {
        why: String,
    },
}

impl Default for Login {
    fn default() -> Self {
        Self::Untried { why: "pages do not log in".into() }
    }
}

/// What a server of `[cobbler.NAME]` said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CobblerFacts {
    pub name: String,
    /// Without passwords.
    pub url: String,
    pub user: String,
    pub secret: String,
    /// Nobody on the way can read along: https with a checked certificate, or this very host.
    pub protected: bool,
    /// Its version, or why there is none and what to do.
    pub answer: Option<String>,
    pub error: Option<(String, String)>,
    /// Repositories that it mirrors without their noarch packages.
    pub lossy: Vec<String>,
    /// A reposync in flight: its task.
    pub in_flight: Option<String>,
    pub login: Login,
}

pub fn cobbler(f: &CobblerFacts) -> Row {
    let check = format!("cobbler {}", f.name);
    if let Some((why, next)) = &f.error {
        return Row::new(check, State::Fail, why.clone(), next.clone());
    }
    let version = f.answer.as_deref().unwrap_or("?");
    let busy = f.in_flight.as_ref().map(|id| format!("; a reposync is in flight: {id}")).unwrap_or_default();
    let (user, mut found) = (&f.user, format!("Cobbler {version} answers at {}", f.url));
    match &f.login {
        Login::Failed { why, next } => return Row::new(check, State::Fail, format!("{found}; {why}"), next.clone()),
        Login::Good => found.push_str(&format!(" and logs `{user}` in{busy}")),
        Login::NoSecret { why } => found.push_str(&format!("{busy}; no login of `{user}` was tried: {why}")),
        Login::Untried { why } => found.push_str(&format!("{busy}; no login of `{user}` was tried: {why}")),
    }
    if !version.starts_with("3.3.") {
        return Row::new(check, State::Warn, found, "3.3 is what this version of quarterdeck was proved against");
    }
    if !f.protected {
        let help = "its password travels so that others can read it: use https with a checked certificate (`ca`), or a tunnel to 127.0.0.1";
        return Row::new(check, State::Warn, format!("{found}, unprotected"), help);
    }
    if !f.lossy.is_empty() {
        let what = format!("{found}; noarch packages never come into {}", f.lossy.join(", "));
        return Row::new(
            check,
            State::Warn,
            what,
            "add `-a noarch` to reposync_flags in /etc/cobbler/settings.yaml, or set their arch to none",
        );
    }
    match &f.login {
        Login::Untried { .. } => Row::new(check, State::Unknown, found, "quarterdeck doctor logs in, and out again"),
        Login::NoSecret { .. } => Row::new(check, State::Unknown, found, format!("quarterdeck secret test {}", f.secret)),
        _ => Row::ok(check, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cobbler_is_judged_by_answer_version_protection_and_settings() {
        let fine = CobblerFacts {
            name: "alder".into(),
            url: "https://h/x".into(),
            protected: true,
            answer: Some("3.3.10".into()),
            user: "ops".into(),
            secret: "c".into(),
            login: Login::Good,
            ..Default::default()
        };
        let state = |f: &CobblerFacts| (cobbler(f).state, cobbler(f).found);
        assert_eq!(state(&fine).0, State::Ok);
        assert_eq!(state(&CobblerFacts { protected: false, ..fine.clone() }).0, State::Warn);
        assert_eq!(state(&CobblerFacts { answer: Some("3.2.1".into()), ..fine.clone() }).0, State::Warn);
        let (s, found) = state(&CobblerFacts { lossy: vec!["base9".into()], ..fine.clone() });
        assert!(s == State::Warn && found.contains("base9"), "{found}");
        let login = |login: Login| cobbler(&CobblerFacts { login, ..fine.clone() });
        let refused = login(Login::Failed { why: "Cobbler refuses the login of `ops`".into(), next: "look".into() });
        assert_eq!((refused.state, refused.help.as_str()), (State::Fail, "look"));
        assert!(refused.found.contains("answers at https://h/x; Cobbler refuses the login of `ops`"), "{refused:?}");
        let (untried, absent) = (login(Login::default()), login(Login::NoSecret { why: "no value".into() }));
        assert!(untried.state == State::Unknown && untried.help.contains("quarterdeck doctor"), "{untried:?}");
        assert!(absent.state == State::Unknown && absent.help == "quarterdeck secret test c", "{absent:?}");
        let broken = cobbler(&CobblerFacts { error: Some(("why".into(), "next".into())), ..fine });
        assert_eq!((broken.check.as_str(), broken.state, broken.help.as_str()), ("cobbler alder", State::Fail, "next"));
    }
}
