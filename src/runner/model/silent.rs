//! When a secret whose source is silent is asked for again. A locked keyring may show a person its question for a password each time, so it is
//! asked less and less often, and by one step for all that wait for it; at once when somebody says that it can be had.

use std::collections::BTreeMap;

use crate::domain::reason::Reason;

/// What is missing, and not silent, costs nobody anything to look for.
pub(in crate::runner) const AGAIN_US: i64 = 15_000_000;
const MOST_US: i64 = 300_000_000;

/// The secrets that were not to be had at the last question for each.
#[derive(Debug, Default)]
pub struct Silent(BTreeMap<String, Asked>);

#[derive(Debug)]
struct Asked {
    /// Why there is no value.
    why: String,
    until_us: i64,
    wait_us: i64,
    /// Somebody asks just now.
    asking: bool,
}

impl Silent {
    /// What keeps a step that needs these from asking now, and until when; none = it is the one that asks.
    pub fn held(&mut self, names: &[String], now_us: i64) -> Option<(Reason, i64)> {
        for name in names {
            let Some(a) = self.0.get(name) else { continue };
            // A clock that was set back keeps nobody waiting for longer.
            if (1..=MOST_US).contains(&(a.until_us - now_us)) {
                return Some((a.reason(name), a.until_us));
            }
        }
        for name in names {
            if let Some(a) = self.0.get_mut(name) {
                (a.asking, a.until_us) = (true, now_us + AGAIN_US);
            }
        }
        None
    }

    /// Its source was silent.
    pub fn heard(&mut self, name: &str, why: String, now_us: i64) -> (Reason, i64) {
        let a = self.0.entry(name.to_owned()).or_insert(Asked { why: String::new(), until_us: 0, wait_us: AGAIN_US / 2, asking: true });
        a.why = why;
        // Steps that asked at the same moment heard the same.
        if std::mem::take(&mut a.asking) {
            a.wait_us = (a.wait_us * 2).min(MOST_US);
            a.until_us = now_us + a.wait_us;
        }
        (a.reason(name), a.until_us)
    }

    /// It was had, or is absent, which is another thing than silent; or a person says that it can be had.
    pub fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }
}

impl Asked {
    fn reason(&self, name: &str) -> Reason {
        Reason::Secret { name: name.to_owned(), why: self.why.clone(), until_us: self.until_us }
    }
}

/// What a look-up heard instead of a value.
#[derive(Debug)]
pub struct NoSecret {
    pub name: String,
    pub why: String,
    pub silent: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn a_silent_source_is_asked_less_and_less_often_and_by_one_for_all() {
        let mut silent = Silent::default();
        let (key, both) = (names(&["key"]), names(&["other", "key"]));
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..7 {
            assert!(silent.held(&key, now).is_none());
            let (Reason::Secret { name, why, .. }, until_us) = silent.heard("key", "locked".into(), now + 5 * S) else { panic!() };
            assert_eq!((name.as_str(), why.as_str()), ("key", "locked"));
            waits.push((until_us - now - 5 * S) / S);
            // A hundred runs that need it ask nobody meanwhile.
            assert!(silent.held(&both, now + 6 * S).is_some() && silent.held(&key, until_us - 1).is_some());
            now = until_us;
        }
        assert_eq!(waits, [15, 30, 60, 120, 240, 300, 300]);
        // One asks; the others hear what it heard, and that makes nothing longer.
        assert!(
            silent.held(&key, now).is_none() && silent.held(&both, now + 1).is_some() && silent.held(&names(&["other"]), now).is_none()
        );
        silent.forget("key");
        assert!(silent.held(&both, now + 2).is_none());
        silent.heard("key", "locked".into(), now);
        let (_, until_us) = silent.heard("key", "locked".into(), now + S);
        assert_eq!(until_us, now + 15 * S, "two that asked at the same moment");
        assert!(silent.held(&key, now - 3_600 * S).is_none());
    }
}
