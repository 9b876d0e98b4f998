//! The secrets of one site file: which sources each name has, and asking them in order.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::keyring::Helper;
use super::{Cache, Kind, SecretError, Source, cmd, file, fit};
use crate::base::suggest;
use crate::config::{Secret, SecretSource};

/// Looks up a variable of the environment.
pub type Env = Arc<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

/// What sources are asked with.
#[derive(Clone)]
pub struct Means {
    /// Whose files are trusted: the engine's own.
    pub uid: u32,
    pub env: Env,
    pub helper: Helper,
    pub cache: Option<Arc<dyn Cache>>,
}

impl Means {
    /// Those of this process, without a cache.
    pub fn of_process(uid: u32) -> Self {
        Self { uid, env: Arc::new(|name| std::env::var_os(name)), helper: Helper::own(), cache: None }
    }
}

/// `[secrets]` of the site file.
pub struct SiteSecrets {
    secrets: BTreeMap<String, Secret>,
    means: Means,
}

impl SiteSecrets {
    pub fn new(secrets: BTreeMap<String, Secret>, means: Means) -> Self {
        Self { secrets, means }
    }

    /// The entry of the Secret Service that `secret set` writes: the first that is asked.
    pub fn keyring_entry(&self, name: &str) -> Option<&str> {
        self.secrets.get(name)?.sources.iter().find_map(|s| match s {
            SecretSource::Keyring(entry) => Some(entry.as_str()),
            _ => None,
        })
    }

    /// What a person does to set the value where this program cannot: one sentence for each source.
    pub fn by_hand(&self, name: &str) -> Vec<String> {
        let sources = self.secrets.get(name).map_or(&[][..], |s| s.sources.as_slice());
        sources
            .iter()
            .filter_map(|source| match source {
                SecretSource::Env(v) => Some(format!("set the variable {v} in the environment of the engine, and start it again")),
                SecretSource::File(path) => {
                    let path = shell_words::quote(&path.to_string_lossy()).into_owned();
                    Some(format!("write the file: (umask 077; cat >{path})"))
                }
                SecretSource::Cmd(argv) => Some(format!("change it where `{}` takes it from", argv.first().map_or("", String::as_str))),
                SecretSource::Credential(c) => Some(format!(
                    "systemd-ask-password -n | systemd-creds encrypt --name={c} - /etc/credstore.encrypted/{c}, then \
                     LoadCredentialEncrypted={c} in the engine's unit, and start it again"
                )),
                SecretSource::Keyring(_) => None,
            })
            .collect()
    }

    fn ask(&self, name: &str, source: &SecretSource) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let absent = |why: String| SecretError::new(name, Kind::Absent, why);
        match source {
            SecretSource::Env(variable) => match (self.means.env)(variable) {
                Some(value) => fit(name, Zeroizing::new(value.into_vec())),
                None => Err(absent(format!("variable {variable} is not set in the engine's environment"))),
            },
            SecretSource::File(path) => file::read(name, path, file::Trust::Owner(self.means.uid)),
            SecretSource::Cmd(argv) => cmd::read(name, argv, cmd::LIMIT),
            SecretSource::Credential(credential) => {
                let Some(dir) = (self.means.env)("CREDENTIALS_DIRECTORY").map(PathBuf::from).filter(|d| d.is_absolute()) else {
                    let why = format!("credential {credential}: the engine has no $CREDENTIALS_DIRECTORY, so systemd loads none for it");
                    return Err(absent(why));
                };
                file::read(name, &dir.join(credential), file::Trust::Systemd(self.means.uid))
            }
            SecretSource::Keyring(entry) => self.means.helper.read(name, entry),
        }
    }
}

impl Source for SiteSecrets {
    fn resolve(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let Some(secret) = self.secrets.get(name) else {
            let hint = match suggest::nearest(name, self.secrets.keys().map(String::as_str)) {
                Some(near) => format!("; did you mean `{near}`?"),
                None => format!("; add {name} = \"env:…|file:…|cmd:…|credential:…|keyring:…\" under [secrets]"),
            };
            return Err(SecretError::Unknown { name: name.to_owned(), hint });
        };
        // The sources are asked every time, so that a rotated value is the next attempt's; the cache only stands in for one that is silent.
        let cache = self.means.cache.as_ref().zip(secret.cache);
        let mut tried = Vec::new();
        for source in &secret.sources {
            match self.ask(name, source) {
                Ok(value) => {
                    if let Some((cache, time)) = cache {
                        cache.keep(name, &value, time);
                    }
                    return Ok(value);
                }
                Err(e) if e.kind() == Kind::Absent => tried.push(e.why().to_owned()),
                Err(e) if e.kind() == Kind::Silent => {
                    return match cache.and_then(|(cache, _)| cache.get(name)) {
                        Some(value) => {
                            tracing::warn!(secret = name, why = %e, "its source is silent: the value that the kernel kept is used");
                            Ok(value)
                        }
                        None => Err(e),
                    };
                }
                Err(e) => return Err(e),
            }
        }
        // Taken away everywhere is taken away here too.
        if let Some((cache, _)) = cache {
            cache.forget(name);
        }
        Err(SecretError::new(name, Kind::Absent, tried.join("; ")))
    }

    fn origin(&self, name: &str) -> Option<String> {
        let secret = self.secrets.get(name)?;
        let places: Vec<String> = secret
            .sources
            .iter()
            .map(|source| match source {
                SecretSource::Env(variable) => format!("env:{variable}"),
                SecretSource::File(path) => format!("file:{}", path.display()),
                // Arguments may hold what somebody should not have put there; the program is enough to find it.
                SecretSource::Cmd(argv) => format!("cmd:{}", argv.first().map_or("", String::as_str)),
                SecretSource::Credential(c) => format!("credential:{c}"),
                SecretSource::Keyring(entry) => format!("keyring:{entry}"),
            })
            .collect();
        Some(places.join(", then "))
    }

    fn names(&self) -> Vec<String> {
        self.secrets.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
