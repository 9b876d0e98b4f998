//! The secrets of one site file: which source each name has.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStringExt;

use zeroize::Zeroizing;

use super::{SecretError, Source, cmd, file, fit};
use crate::base::suggest;
use crate::config::SecretSource;

/// `[secrets]` of the site file, answered by the providers `env`, `file` and `cmd`.
pub struct SiteSecrets {
    sources: BTreeMap<String, SecretSource>,
    uid: u32,
}

impl SiteSecrets {
    /// `uid`: whose files are trusted, the engine's own.
    pub fn new(sources: BTreeMap<String, SecretSource>, uid: u32) -> Self {
        Self { sources, uid }
    }
}

impl Source for SiteSecrets {
    fn resolve(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        match self.sources.get(name) {
            None => {
                let hint = match suggest::nearest(name, self.sources.keys().map(String::as_str)) {
                    Some(near) => format!("; did you mean `{near}`?"),
                    None => format!("; add {name} = \"env:…|file:…|cmd:…\" under [secrets]"),
                };
                Err(SecretError::Unknown { name: name.to_owned(), hint })
            }
            Some(SecretSource::Env(variable)) => match std::env::var_os(variable) {
                Some(value) => fit(name, Zeroizing::new(value.into_vec())),
                None => Err(SecretError::Unset { name: name.to_owned(), variable: variable.clone() }),
            },
            Some(SecretSource::File(path)) => file::read(name, path, self.uid),
            Some(SecretSource::Cmd(argv)) => cmd::read(name, argv, cmd::LIMIT),
        }
    }

    fn origin(&self, name: &str) -> Option<String> {
        self.sources.get(name).map(|source| match source {
            SecretSource::Env(variable) => format!("env:{variable}"),
            SecretSource::File(path) => format!("file:{}", path.display()),
            // Arguments may hold what somebody should not have put there; the program is enough to find it.
            SecretSource::Cmd(argv) => format!("cmd:{}", argv.first().map_or("", String::as_str)),
        })
    }

    fn names(&self) -> Vec<String> {
        self.sources.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_one_source_and_a_stranger_is_told_what_to_add() {
        let sources = BTreeMap::from([
            ("path".to_owned(), SecretSource::Env("PATH".into())),
            ("none".to_owned(), SecretSource::Env("QD_TEST_NO_SUCH_VARIABLE".into())),
            ("pass".to_owned(), SecretSource::Cmd(vec!["echo".into(), "from-a-command".into()])),
        ]);
        let secrets = SiteSecrets::new(sources, rustix::process::getuid().as_raw());
        assert!(!secrets.resolve("path").unwrap().is_empty());
        assert!(secrets.resolve("none").unwrap_err().to_string().contains("QD_TEST_NO_SUCH_VARIABLE is not set"));
        assert_eq!(secrets.resolve("pass").unwrap().as_slice(), b"from-a-command");
        assert_eq!(secrets.origin("pass").as_deref(), Some("cmd:echo"));
        assert!(secrets.resolve("pas").unwrap_err().to_string().contains("did you mean `pass`?"));
        assert!(secrets.resolve("banana").unwrap_err().to_string().contains("under [secrets]"));
        assert_eq!(secrets.names(), ["none", "pass", "path"]);
    }
}
