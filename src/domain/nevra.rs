//! Names of packages: name, epoch, version, release, architecture, with RPM's own order of versions.

use std::cmp::Ordering;
use std::fmt;

use super::version::EvrRef;

/// A package's full name. Its text form is canonical, always with an epoch: `bash-0:5.1.8-9.el9.x86_64`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Nevra {
    pub name: String,
    pub epoch: u32,
    pub version: String,
    pub release: String,
    pub arch: String,
}

/// Why a text is no NEVRA.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a package name: {why}; write it like bash-5.1.8-9.el9.x86_64 or bash-0:5.1.8-9.el9.x86_64")]
pub struct BadNevra {
    pub text: String,
    pub why: &'static str,
}

impl Nevra {
    /// Reads `NAME-[EPOCH:]VERSION-RELEASE.ARCH`, with or without `.rpm` at the end.
    pub fn parse(text: &str) -> Result<Self, BadNevra> {
        let bad = |why| BadNevra { text: text.chars().take(200).collect(), why };
        let body = text.strip_suffix(".rpm").unwrap_or(text);
        let (rest, arch) = body.rsplit_once('.').ok_or_else(|| bad("the architecture is missing"))?;
        let (rest, release) = rest.rsplit_once('-').ok_or_else(|| bad("the release is missing"))?;
        let (name, version) = rest.rsplit_once('-').ok_or_else(|| bad("the version is missing"))?;
        let (epoch, version) = match version.split_once(':') {
            Some((e, v)) => (e.parse().map_err(|_| bad("the epoch is not a number"))?, v),
            None => (0, version),
        };
        for (part, why) in [
            (name, "the name is empty"),
            (version, "the version is empty"),
            (release, "the release is empty"),
            (arch, "the architecture is empty"),
        ] {
            if part.is_empty() {
                return Err(bad(why));
            }
        }
        if body.chars().any(|c| c.is_whitespace() || c.is_control() || c == '/') {
            return Err(bad("it holds a blank, a slash or a control character"));
        }
        Ok(Self { name: name.into(), epoch, version: version.into(), release: release.into(), arch: arch.into() })
    }

    /// Compares epoch, version and release as RPM does; name and architecture take no part.
    pub fn cmp_evr(&self, other: &Self) -> Ordering {
        let (a, b) = (self.epoch.to_string(), other.epoch.to_string());
        EvrRef { epoch: &a, version: &self.version, release: &self.release }.compare(EvrRef {
            epoch: &b,
            version: &other.version,
            release: &other.release,
        })
    }
}

impl fmt::Display for Nevra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}:{}-{}.{}", self.name, self.epoch, self.version, self.release, self.arch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_with_dashes_and_dots_come_apart_in_the_right_places() {
        let n = Nevra::parse("python3.11-pip-wheel-2:22.3.1~rc1-5.el9.noarch.rpm").unwrap();
        assert_eq!((n.name.as_str(), n.epoch, n.version.as_str()), ("python3.11-pip-wheel", 2, "22.3.1~rc1"));
        assert_eq!((n.release.as_str(), n.arch.as_str()), ("5.el9", "noarch"));
        assert_eq!(n.to_string(), "python3.11-pip-wheel-2:22.3.1~rc1-5.el9.noarch");
    }

    #[test]
    fn what_is_no_package_name_says_why() {
        for (text, why) in [
            ("bash", "the architecture is missing"),
            ("bash.x86_64", "the release is missing"),
            ("bash-5.x86_64", "the version is missing"),
            ("bash-x:5-1.x86_64", "the epoch is not a number"),
            ("-5-1.x86_64", "the name is empty"),
            ("a/b-5-1.x86_64", "it holds a blank, a slash or a control character"),
        ] {
            assert_eq!(Nevra::parse(text).unwrap_err().why, why, "{text}");
        }
    }

    #[test]
    fn versions_are_ordered_as_rpm_orders_them() {
        let cmp = |a, b| Nevra::parse(a).unwrap().cmp_evr(&Nevra::parse(b).unwrap());
        assert_eq!(cmp("a-1.0~rc1-1.x", "a-1.0-1.x"), Ordering::Less);
        assert_eq!(cmp("a-1.10-1.x", "a-1.9-1.x"), Ordering::Greater);
        assert_eq!(cmp("a-1:1-1.x", "a-9-9.x"), Ordering::Greater);
        assert_eq!(cmp("a-1-1.x86_64", "b-0:1-1.noarch"), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_is_read_survives(text in "\\PC{0,60}") {
            if let Ok(n) = Nevra::parse(&text) {
                prop_assert_eq!(Nevra::parse(&n.to_string()).unwrap(), n);
            }
        }

        #[test]
        fn well_formed_names_are_read(name in "[a-z][a-z0-9.+_-]{0,20}[a-z0-9]", e in 0u32..9, v in "[0-9][0-9a-z.~^]{0,8}", r in "[0-9][0-9a-z.]{0,8}") {
            let text = format!("{name}-{e}:{v}-{r}.x86_64");
            let n = Nevra::parse(&text).unwrap();
            prop_assert_eq!(n.to_string(), text);
        }
    }
}
