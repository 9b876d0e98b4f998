//! What every command knows: its directories, its site, and who runs it.

use super::args::Global;
use super::failure::Failure;
use super::out::Out;
use crate::config::dirs::{self, Surroundings, Wanted};
use crate::config::{ConfigError, Dirs, Site};
use crate::engine::catalog;
use crate::pipeline::Catalog;

/// What the site without a name is called.
pub const DEFAULT_SITE: &str = "default";

pub struct Ctx {
    pub dirs: Dirs,
    pub global: Global,
    pub uid: u32,
}

impl Ctx {
    pub(super) fn new(global: &Global) -> Result<Self, Failure> {
        let around = Surroundings::of_process();
        // The site without a name is called so on the screen; a directory of that name below sites/ has it first.
        let unnamed = |n: &String| n == DEFAULT_SITE && !dirs::sites(&around).contains(n);
        let site = global.site.clone().filter(|n| !unnamed(n));
        let wanted = Wanted { site, config_dir: global.config_dir.clone(), state_dir: global.state_dir.clone() };
        let dirs = Dirs::find(&wanted, &around)?;
        Ok(Self { dirs, global: global.clone(), uid: rustix::process::geteuid().as_raw() })
    }

    /// What pipeline files may name. A site whose file is broken is said so: its names would all be unknown.
    pub fn catalog(&self, out: &mut Out) -> Result<Catalog, Failure> {
        let site = self.site(out)?;
        self.catalog_of(&site)
    }

    /// The same of a site that was read.
    pub fn catalog_of(&self, site: &Site) -> Result<Catalog, Failure> {
        Ok(catalog::whole_now(&self.dirs, site, self.uid, jiff::Timestamp::now())?)
    }

    /// The same for another site of this machine. Directories that were named stand for one site alone.
    pub fn elsewhere(&self, name: &str) -> Result<Self, Failure> {
        let around = Surroundings::of_process();
        let named = self.global.config_dir.is_some()
            || self.global.state_dir.is_some()
            || around.env_config.is_some()
            || around.env_state.is_some();
        if named {
            return Err(Failure::bad(
                "this console was opened on directories that were named, and they hold one site",
                "without --state-dir and --config-dir, sites/NAME below the configuration directory are others",
            ));
        }
        let site = Some(name.to_owned()).filter(|n| n != DEFAULT_SITE);
        let all = self.sites();
        if !all.iter().any(|n| n == name) {
            return Err(Failure::bad(format!("there is no site `{name}`"), format!("there are: {}", all.join(" "))));
        }
        Self::new(&Global { site, ..self.global.clone() })
    }

    /// Names of the sites that a person here could open: the one without a name, and those below `sites/`.
    pub fn sites(&self) -> Vec<String> {
        let around = Surroundings::of_process();
        if self.global.config_dir.is_some() || self.global.state_dir.is_some() {
            return Vec::new();
        }
        let mut all = dirs::sites(&around);
        all.insert(0, DEFAULT_SITE.to_owned());
        all
    }

    /// The site, whole or an error; from then on times are shown in its zone.
    pub fn site(&self, out: &mut Out) -> Result<Site, Failure> {
        let site = self.dirs.load(self.uid)?;
        if let Some(zone) = crate::base::zone::named(&site.time_zone) {
            out.zone = zone;
        }
        Ok(site)
    }

    /// The site for a command that only looks. Where its file is broken, the engine that answers beside it goes on with what it had, and may
    /// still be looked at: a slip in a file must not hide the log of what runs.
    pub fn site_to_look(&self, out: &mut Out) -> Result<Site, Failure> {
        match self.dirs.load(self.uid) {
            Err(e @ ConfigError::Broken { .. }) if self.dirs.private_socket().exists() => {
                let told = e.to_string();
                out.note(&format!(
                    "note: {}: nothing can be changed until it is mended: quarterdeck site check",
                    told.lines().next().unwrap_or_default()
                ));
                let text = self.dirs.read_site(self.uid).ok().flatten().unwrap_or_default();
                if let Some(zone) = dirs::zone_in(&text).and_then(|z| crate::base::zone::named(&z)) {
                    out.zone = zone;
                }
                Ok(Site::default())
            }
            _ => self.site(out),
        }
    }
}
