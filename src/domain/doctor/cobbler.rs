//! The check of a Cobbler: whether it answers, how safely, and whether its settings lose packages.

use super::{Row, State};

/// What a server of `[cobbler.NAME]` said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CobblerFacts {
    pub name: String,
    /// Without passwords.
    pub url: String,
    /// Nobody on the way can read along: https with a checked certificate, or this very host.
    pub protected: bool,
    /// Its version, or why there is none and what to do.
    pub answer: Option<String>,
    pub error: Option<(String, String)>,
    /// Repositories that it mirrors without their noarch packages.
    pub lossy: Vec<String>,
    /// A reposync in flight: its task.
    pub in_flight: Option<String>,
}

pub fn cobbler(f: &CobblerFacts) -> Row {
    let check = format!("cobbler {}", f.name);
    if let Some((why, next)) = &f.error {
        return Row::new(check, State::Fail, why.clone(), next.clone());
    }
    let version = f.answer.as_deref().unwrap_or("?");
    let busy = f.in_flight.as_ref().map(|id| format!("; a reposync is in flight: {id}")).unwrap_or_default();
    let found = format!("Cobbler {version} answers at {}{busy}", f.url);
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
    Row::ok(check, found)
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
            ..Default::default()
        };
        let state = |f: &CobblerFacts| (cobbler(f).state, cobbler(f).found);
        assert_eq!(state(&fine).0, State::Ok);
        assert_eq!(state(&CobblerFacts { protected: false, ..fine.clone() }).0, State::Warn);
        assert_eq!(state(&CobblerFacts { answer: Some("3.2.1".into()), ..fine.clone() }).0, State::Warn);
        let (s, found) = state(&CobblerFacts { lossy: vec!["base9".into()], ..fine.clone() });
        assert!(s == State::Warn && found.contains("base9"), "{found}");
        let broken = cobbler(&CobblerFacts { error: Some(("why".into(), "next".into())), ..fine });
        assert_eq!((broken.check.as_str(), broken.state, broken.help.as_str()), ("cobbler alder", State::Fail, "next"));
    }
}
