//! Who signed the metadata of an upstream, as far as a look found out, and what of that somebody should look at. A key that nobody has verified is what
//! the signature states, and no more.

use serde::{Deserialize, Serialize};

use super::Observed;
use super::light::Light;

/// What is known of `repomd.xml.asc`. Keys are ids or fingerprints, lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "of", rename_all = "kebab-case")]
pub enum Signed {
    /// Nobody has asked, or nothing answered yet.
    #[default]
    Unasked,
    Unsigned,
    /// It is there, and is none.
    Unreadable(String),
    /// It names this key; the site names no keys to verify it with.
    Stated(String),
    /// Verified: by one of the site's keys.
    Good(String),
    /// By a key that is none of the site's.
    Foreign(String),
    /// Not of this `repomd.xml`, or by a key that was taken back.
    Bad(String),
    /// It names this key, and what would verify it is not there.
    Unverified {
        key: String,
        why: String,
    },
}

impl Signed {
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Stated(key) | Self::Good(key) | Self::Foreign(key) | Self::Unverified { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Whether the next look should ask again: something is not as it should be, or the site has changed its mind about keys.
    pub const fn is_open(&self, strict: bool) -> bool {
        match self {
            Self::Good(_) => !strict,
            Self::Stated(_) | Self::Unsigned | Self::Unreadable(_) => strict,
            Self::Unasked | Self::Foreign(_) | Self::Bad(_) | Self::Unverified { .. } => true,
        }
    }

    /// One word for tables.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unasked => "",
            Self::Unsigned => "unsigned",
            Self::Unreadable(_) => "unreadable",
            Self::Stated(_) => "stated",
            Self::Good(_) => "ok",
            Self::Foreign(_) => "other-key",
            Self::Bad(_) => "bad",
            Self::Unverified { .. } => "unverified",
        }
    }
}

/// Ids of one key, where one may be the fingerprint that the other is the end of.
fn same(a: &str, b: &str) -> bool {
    a.ends_with(b) || b.ends_with(a)
}

/// Something about the signature that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// What stands in the place of the state's word.
    pub word: &'static str,
    pub light: Light,
    pub why: String,
    pub next: String,
}

/// What the signature of an upstream gives to think. `strict`: the site names keys for it.
pub fn doubt(o: &Observed, strict: bool, repo: &str) -> Option<Doubt> {
    let name = format!("compare with what upstream has announced; a key that is right is named in [repos.{repo}] keys");
    let of = |word, light, why: String| Some(Doubt { word, light, why, next: name.clone() });
    let before = o.key_before.as_deref();
    match (&o.signed, before) {
        (Signed::Foreign(key), Some(old)) => {
            of("other-key", Light::Red, format!("its metadata is signed by {key}, which is no key of the site; it was by {old} before"))
        }
        (Signed::Foreign(key), None) => {
            of("other-key", Light::Red, format!("its metadata is signed by {key}, which is no key of the site"))
        }
        (Signed::Stated(key) | Signed::Unverified { key, .. }, Some(old)) => {
            of("new-key", Light::Amber, format!("its metadata is signed by {key}, and was by {old} before"))
        }
        (Signed::Unsigned, Some(old)) => {
            of("unsigned", Light::Amber, format!("its metadata is not signed any more; it was by {old} before"))
        }
        (Signed::Unsigned, None) if strict => {
            of("unsigned", Light::Amber, "its metadata is not signed, and the site names keys for it".into())
        }
        (Signed::Unreadable(why), _) if strict || before.is_some() => {
            of("unsigned", Light::Amber, format!("its signature cannot be read: {why}"))
        }
        _ => None,
    }
}

impl Observed {
    /// Remembers the key that was there before another one, or none, came; until the first is back, or one of the site's has signed.
    pub fn keyed(mut self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self };
        let old = before.key_before.as_deref().or(before.signed.key());
        self.key_before = match (&self.signed, old) {
            (Signed::Good(_), _) | (_, None) => None,
            (Signed::Unasked | Signed::Bad(_), _) => before.key_before.clone(),
            (now, Some(old)) => match now.key() {
                Some(key) if same(key, old) => None,
                _ => Some(old.to_owned()),
            },
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(signed: Signed, before: Option<&Observed>) -> Observed {
        Observed { signed, ..Observed::default() }.keyed(before)
    }

    #[test]
    fn another_key_is_a_doubt_until_the_first_is_back_or_one_of_the_site_s_has_signed() {
        let stated = |k: &str| Signed::Stated(k.to_owned());
        let word = |o: &Observed, strict| doubt(o, strict, "base9").map(|d| (d.word, d.light));
        let first = seen(stated("aa"), None);
        assert_eq!(word(&first, false), None, "a key that was never seen before is not another one");
        let other = seen(stated("bb"), Some(&first));
        assert_eq!(word(&other, false), Some(("new-key", Light::Amber)));
        let still = seen(stated("bb"), Some(&other));
        assert_eq!((word(&still, false), still.key_before.as_deref()), (Some(("new-key", Light::Amber)), Some("aa")));
        assert!(doubt(&still, false, "base9").unwrap().why.contains("signed by bb, and was by aa"));
        assert_eq!(word(&seen(stated("aa"), Some(&still)), false), None);
        let verified = seen(Signed::Good("11bb".into()), Some(&still));
        assert_eq!((word(&verified, true), verified.key_before), (None, None));
        // A verdict by fingerprint is of the key that was stated by its id.
        assert_eq!(word(&seen(stated("bb"), Some(&seen(Signed::Good("11bb".into()), None))), false), None);
    }

    #[test]
    fn no_signature_and_a_foreign_one_are_doubts_where_something_else_was_expected() {
        let word = |o: &Observed, strict| doubt(o, strict, "r").map(|d| (d.word, d.light));
        let none = seen(Signed::Unsigned, None);
        assert_eq!((word(&none, false), word(&none, true)), (None, Some(("unsigned", Light::Amber))));
        let gone = seen(Signed::Unsigned, Some(&seen(Signed::Stated("aa".into()), None)));
        assert_eq!(word(&gone, false), Some(("unsigned", Light::Amber)));
        assert_eq!(word(&seen(Signed::Foreign("cc".into()), None), true), Some(("other-key", Light::Red)));
        // What did not answer changes nothing.
        let silent = seen(Signed::Unasked, Some(&gone));
        assert_eq!((silent.key_before.as_deref(), word(&silent, false)), (Some("aa"), None));
    }
}
