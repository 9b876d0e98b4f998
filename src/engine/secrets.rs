//! Secrets for the runner: the site's sources as the file says now; every value that was fetched is kept out of the log.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::logging::SecretFilter;
use super::site_watch::SiteWatch;
use crate::config::{ConfigError, Dirs};
use crate::secret::{SecretError, SiteSecrets, Source};

pub struct FilteredSecrets {
    watch: Arc<SiteWatch>,
    uid: u32,
    filter: SecretFilter,
}

impl FilteredSecrets {
    pub fn new(dirs: Dirs, uid: u32, filter: SecretFilter) -> Result<Self, ConfigError> {
        Ok(Self { watch: Arc::new(SiteWatch::open(dirs, uid)?), uid, filter })
    }
}

impl FilteredSecrets {
    fn now(&self) -> Result<SiteSecrets, ConfigError> {
        Ok(SiteSecrets::new(self.watch.current()?.secrets.clone(), self.uid))
    }
}

impl Source for FilteredSecrets {
    fn resolve(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let site = self.now().map_err(|e| SecretError::Unfit { name: name.to_owned(), why: e.to_string() })?;
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
