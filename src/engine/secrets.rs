//! Secrets for the runner: the site's sources as the file says now; every value that was fetched is kept out of the log.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::logging::SecretFilter;
use super::site_watch::SiteWatch;
use crate::config::{ConfigError, Dirs};
use crate::secret::{Cache, KernelCache, Means, SecretError, SiteSecrets, Source};

/// The chain of providers that the runner asks. Every value that it gives out, or that is written through it, is masked in the engine's log.
pub struct FilteredSecrets {
    watch: Arc<SiteWatch>,
    means: Means,
    filter: SecretFilter,
}

impl FilteredSecrets {
    /// Of this site's files, trusted where `uid` owns them. An error where the site file cannot be used.
    pub fn new(dirs: Dirs, uid: u32, filter: SecretFilter) -> Result<Self, ConfigError> {
        // Where the kernel keeps no keys for us, `cache` has no effect; `doctor` says so.
        let cache = KernelCache::start().map(|c| Arc::new(c) as Arc<dyn Cache>);
        Ok(Self { watch: Arc::new(SiteWatch::open(dirs, uid)?), means: Means { cache, ..Means::of_process(uid) }, filter })
    }

    /// The sources as the site file names them now.
    pub fn now(&self) -> Result<SiteSecrets, ConfigError> {
        Ok(SiteSecrets::new(self.watch.current()?.secrets.clone(), self.means.clone()))
    }

    /// Writes a value to the entry of the Secret Service. Blocks for seconds: call it off the runtime's threads.
    pub fn write(&self, name: &str, entry: &str, value: &[u8]) -> Result<(), SecretError> {
        self.filter.learn(value);
        self.means.helper.write(name, entry, value)?;
        if let Some(cache) = &self.means.cache {
            cache.forget(name);
        }
        Ok(())
    }
}

impl Source for FilteredSecrets {
    fn resolve(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let site = self.now().map_err(|e| SecretError::broken(name, &e))?;
        let value = site.resolve(name)?;
        self.filter.learn(&value);
        Ok(value)
    }

    fn origin(&self, name: &str) -> Option<String> {
        self.now().ok()?.origin(name)
    }

    fn names(&self) -> Vec<String> {
        self.now().map(|s| s.names()).unwrap_or_default()
    }
}
