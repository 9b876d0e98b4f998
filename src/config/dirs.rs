//! Which directories a command uses: flags, then environment, then the user's own; and how the site is loaded from them.

use std::path::{Path, PathBuf};

use super::problem;
use super::site::Site;
use super::{ConfigError, trust};
use crate::domain::run::valid_name;

/// Where the site's files are. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    pub config: PathBuf,
    pub state: PathBuf,
    /// The configuration directory was named by a flag or the environment, so its absence is an error.
    pub explicit: bool,
}

/// What a person asked for, before defaults.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub site: Option<String>,
    pub config_dir: Option<PathBuf>,
    pub state_dir: Option<PathBuf>,
}

/// What the process was started with.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Empty where it is gone: nothing can be relative to it then.
    pub cwd: PathBuf,
    /// `$QUARTERDECK_CONFIG_DIR`, `$QUARTERDECK_STATE_DIR`; empty counts as unset.
    pub env_config: Option<PathBuf>,
    pub env_state: Option<PathBuf>,
    /// The user's configuration and state directories, where a home exists.
    pub user_config: Option<PathBuf>,
    pub user_state: Option<PathBuf>,
    /// Where an administrator keeps sites for everybody: `/etc/quarterdeck`.
    pub system: PathBuf,
}

impl Surroundings {
    /// Asks the process.
    pub fn of_process() -> Self {
        let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let base = directories::BaseDirs::new();
        // A home that depends on where one stands is none: client and engine stand in different places.
        let absolute = |p: PathBuf| Some(p).filter(|p| p.is_absolute());
        Self {
            cwd: std::env::current_dir().unwrap_or_default(),
            env_config: var("QUARTERDECK_CONFIG_DIR"),
            env_state: var("QUARTERDECK_STATE_DIR"),
            user_config: base.as_ref().and_then(|b| absolute(b.config_dir().join("quarterdeck"))),
            user_state: base.as_ref().and_then(|b| b.state_dir().and_then(|s| absolute(s.join("quarterdeck")))),
            system: "/etc/quarterdeck".into(),
        }
    }
}

impl Dirs {
    /// A flag beats the environment; a state directory alone brings its own configuration in `config/`. A site that is named is `sites/NAME`
    /// below the directories of configuration and state, whoever named those.
    pub fn find(wanted: &Wanted, around: &Surroundings) -> Result<Self, ConfigError> {
        if let Some(name) = wanted.site.as_deref().filter(|n| !valid_name(n)) {
            return Err(ConfigError::BadSite { name: name.to_owned() });
        }
        let absolute = |p: &PathBuf| {
            // `.` in it would stand in every path that is shown.
            let whole: PathBuf = around.cwd.join(p).components().collect();
            if whole.is_absolute() { Ok(whole) } else { Err(ConfigError::NoCwd { path: p.clone() }) }
        };
        let under = |base: PathBuf| match &wanted.site {
            Some(name) => base.join("sites").join(name),
            None => base,
        };
        let state = wanted.state_dir.as_ref().or(around.env_state.as_ref()).map(absolute).transpose()?;
        // A flag for the state outranks an inherited variable for the configuration: they would belong to different sites.
        let config = match (&wanted.config_dir, &wanted.state_dir) {
            (Some(c), _) => Some(absolute(c)?),
            (None, Some(_)) => None,
            (None, None) => around.env_config.as_ref().map(absolute).transpose()?,
        };
        if let Some(config) = config {
            let state = match state.or_else(|| around.user_state.clone()) {
                Some(s) => under(s),
                None => return Err(ConfigError::NoHome("there is no home directory to keep the state in".into())),
            };
            return Ok(Self { config: under(config), state, explicit: true });
        }
        if let Some(state) = state {
            return Ok(Self { config: under(state.join("config")), state: under(state), explicit: wanted.site.is_some() });
        }
        let (Some(user_config), Some(user_state)) = (&around.user_config, &around.user_state) else {
            return Err(ConfigError::NoHome("there is no home directory to keep configuration and state in".into()));
        };
        let (own, system) = (under(user_config.clone()), under(around.system.clone()));
        // A site for everybody that may not be looked at is no reason to go on as if there were none.
        let config = if !own.join(FILE).exists() && system.join(FILE).try_exists().unwrap_or(true) { system } else { own };
        Ok(Self { explicit: wanted.site.is_some(), config, state: under(user_state.clone()) })
    }

    pub fn site_file(&self) -> PathBuf {
        self.config.join(FILE)
    }

    pub fn keymaps(&self) -> PathBuf {
        self.config.join("keymaps")
    }

    pub fn pipelines(&self) -> PathBuf {
        self.config.join("pipelines")
    }

    pub fn calendars(&self) -> PathBuf {
        self.config.join("calendars")
    }

    pub fn themes(&self) -> PathBuf {
        self.config.join("themes")
    }

    /// Socket of the private engine. In the state directory and not in `/run/user`, which vanishes at log-out while the engine lives on.
    pub fn private_socket(&self) -> PathBuf {
        self.state.join("engine.sock")
    }

    /// Where the one engine of this site listens, and whether others share it.
    pub fn socket(&self, site: &Site) -> (PathBuf, bool) {
        match &site.socket {
            Some(shared) => (shared.clone(), true),
            None => (self.private_socket(), false),
        }
    }

    /// Reads the site file. A site without one has every default; a broken or untrusted one is an error, never a default.
    pub fn load(&self, uid: u32) -> Result<Site, ConfigError> {
        self.read_site(uid)?.map_or_else(|| Ok(Site::default()), |text| parse(&self.site_file(), &text))
    }

    /// The text of the site file; none where the site has none.
    pub fn read_site(&self, uid: u32) -> Result<Option<String>, ConfigError> {
        match trust::directory(&self.config, uid) {
            Ok(()) => {}
            Err(ConfigError::Missing { .. }) if !self.explicit => return Ok(None),
            Err(e) => return Err(e),
        }
        let path = self.site_file();
        if path.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
            return Ok(None);
        }
        trust::read(&path, uid).map(Some)
    }
}

const FILE: &str = "site.toml";
/// More are not listed.
const MOST_SITES: usize = 200;

/// Names of the sites that have a site file, the user's own and those for everybody, in order.
pub fn sites(around: &Surroundings) -> Vec<String> {
    let below = |base: &PathBuf| std::fs::read_dir(base.join("sites")).into_iter().flatten().flatten().take(MOST_SITES);
    let names = around.user_config.iter().chain([&around.system]).flat_map(below).filter(|e| e.path().join(FILE).is_file());
    let mut all: Vec<String> = names.filter_map(|e| e.file_name().into_string().ok()).filter(|n| valid_name(n)).collect();
    all.sort();
    all.dedup();
    all
}

/// The zone that the text of a site file names, whatever else in it is wrong.
pub fn zone_in(text: &str) -> Option<String> {
    text.parse::<toml::Table>().ok()?.get("time_zone")?.as_str().map(str::to_owned)
}

/// Parses the text of the site file at `path`.
pub fn parse(path: &Path, text: &str) -> Result<Site, ConfigError> {
    Site::parse(text).map_err(|problems| {
        let rendered = problem::render(&problems, &path.display().to_string(), text, false);
        ConfigError::Broken { path: path.into(), rendered, problems }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around() -> Surroundings {
        Surroundings {
            cwd: "/work".into(),
            user_config: Some("/home/u/.config/quarterdeck".into()),
            user_state: Some("/home/u/.local/state/quarterdeck".into()),
            system: "/nonexistent/etc".into(),
            ..Default::default()
        }
    }

    fn found(wanted: Wanted, around: &Surroundings) -> (String, String) {
        let d = Dirs::find(&wanted, around).unwrap();
        (d.config.display().to_string(), d.state.display().to_string())
    }

    #[test]
    fn flags_beat_the_environment_and_a_state_directory_brings_its_configuration() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let state = |s: &str| Wanted { state_dir: Some(s.into()), ..Default::default() };
        assert_eq!(found(Wanted::default(), &around()), pair("/home/u/.config/quarterdeck", "/home/u/.local/state/quarterdeck"));
        assert_eq!(found(state("d"), &around()), pair("/work/d/config", "/work/d"));
        let named = Wanted { site: Some("dc2".into()), ..Default::default() };
        assert_eq!(found(named.clone(), &around()).0, "/home/u/.config/quarterdeck/sites/dc2");
        // Beside a directory that is named, it is the site of that name below it: never another one than was asked for.
        let below = Wanted { state_dir: Some("d".into()), ..named.clone() };
        assert_eq!(found(below.clone(), &around()), pair("/work/d/config/sites/dc2", "/work/d/sites/dc2"));
        assert!(Dirs::find(&below, &around()).unwrap().explicit, "it must be there");
        let below = Wanted { config_dir: Some("/k".into()), ..named };
        assert_eq!(found(below, &around()), pair("/k/sites/dc2", "/home/u/.local/state/quarterdeck/sites/dc2"));
        let env = Surroundings { env_config: Some("/c".into()), env_state: Some("/s".into()), ..around() };
        assert_eq!(found(Wanted::default(), &env), pair("/c", "/s"));
        assert_eq!(found(state("/t"), &env), pair("/t/config", "/t"));
        let both = Wanted { config_dir: Some("/k".into()), ..state("/t") };
        assert_eq!(found(both, &env), pair("/k", "/t"));
        let env = Surroundings { env_state: Some("/s".into()), ..around() };
        assert_eq!(found(Wanted::default(), &env), pair("/s/config", "/s"));
    }

    #[test]
    fn a_site_for_everybody_that_may_not_be_looked_at_is_not_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let system = dir.path().join("system");
        let around = Surroundings { system: system.clone(), ..around() };
        assert_eq!(found(Wanted::default(), &around).0, "/home/u/.config/quarterdeck");
        // Whoever is root may look into everything but this.
        std::os::unix::fs::symlink(&system, &system).unwrap();
        assert_eq!(found(Wanted::default(), &around).0, system.display().to_string());
    }

    #[test]
    fn names_that_leave_the_directory_and_a_missing_home_are_refused() {
        assert!(Dirs::find(&Wanted { site: Some("../x".into()), ..Default::default() }, &around()).is_err());
        let gone = Surroundings { cwd: PathBuf::new(), ..around() };
        let relative = Wanted { state_dir: Some("d".into()), ..Default::default() };
        assert!(Dirs::find(&relative, &gone).unwrap_err().to_string().contains("current directory, which is gone"));
        assert!(Dirs::find(&Wanted { state_dir: Some("/d".into()), ..Default::default() }, &gone).is_ok());
        let none = Surroundings { user_config: None, user_state: None, ..around() };
        assert!(Dirs::find(&Wanted::default(), &none).unwrap_err().to_string().contains("no home"));
    }

    #[test]
    fn sites_are_those_that_have_a_file() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["dc2", "dc1", "empty", "Bad Name"] {
            std::fs::create_dir_all(dir.path().join("sites").join(name)).unwrap();
        }
        for name in ["dc2", "dc1", "Bad Name"] {
            std::fs::write(dir.path().join("sites").join(name).join("site.toml"), "").unwrap();
        }
        let around = Surroundings { user_config: Some(dir.path().into()), ..around() };
        assert_eq!(sites(&around), ["dc1", "dc2"]);
    }

    #[test]
    fn no_site_file_is_a_site_but_a_broken_one_never_hides() {
        let uid = rustix::process::getuid().as_raw();
        let dir = tempfile::tempdir().unwrap();
        let dirs = Dirs { config: dir.path().join("config"), state: dir.path().into(), explicit: false };
        assert_eq!(dirs.load(uid).unwrap(), Site::default());
        assert!(matches!(Dirs { explicit: true, ..dirs.clone() }.load(uid), Err(ConfigError::Missing { .. })));
        std::fs::create_dir(&dirs.config).unwrap();
        assert_eq!(dirs.load(uid).unwrap(), Site::default());
        std::fs::write(dirs.site_file(), "read_onyl = true").unwrap();
        let text = dirs.load(uid).unwrap_err().to_string();
        assert!(text.contains("1 error") && text.contains(":1:1") && text.contains("did you mean `read_only`?"), "{text}");
        std::fs::remove_file(dirs.site_file()).unwrap();
        std::os::unix::fs::symlink("/nonexistent", dirs.site_file()).unwrap();
        assert!(dirs.load(uid).is_err(), "a dangling link is not an absent file");
    }
}
