//! Cobbler's records in words of ours: repositories, distros, profiles, systems, settings. Pure; what a record lacks is absent, never made up.

use super::CobblerError;
use crate::base::sanitise;
use crate::wire::xmlrpc::Value;

/// How Cobbler writes `None`, which its protocol lacks. A record that is not there is this too.
pub const NONE: &str = "~";
/// In place of a value of its own: what the parent or the settings say.
const INHERIT: &str = "<<inherit>>";

/// Members that are dropped on receipt, at any depth: reads show passwords in clear, to everybody.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // A duration, not a token.
    if name == "auth_token_expiration" {
        return false;
    }
    ["passw", "passphrase", "secret", "token", "private_key", "redhat_management_key", "power_identity_file", "rootpw"]
        .iter()
        .any(|w| name.contains(w))
        || name == "pass"
        || name.ends_with("_pass")
        || name.ends_with("_pwd")
}

/// A repository as Cobbler has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repo {
    pub name: String,
    /// Address, or list of addresses, by `mirror_type`.
    pub mirror: String,
    /// `baseurl`, `mirrorlist` or `metalink`.
    pub mirror_type: String,
    /// `yum`, `rsync`, …
    pub breed: String,
    pub arch: String,
    /// Its packages are copied here; false: clients are sent to the mirror itself, and a reposync does nothing.
    pub mirrored: bool,
    /// A reposync of all works on it.
    pub updated: bool,
    pub createrepo_flags: String,
    /// Only these packages are fetched.
    pub only: Vec<String>,
    pub modified_us: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distro {
    pub name: String,
    pub arch: String,
    pub os_version: String,
    pub kernel: String,
    pub initrd: String,
    /// `autoinstall_meta` `tree`.
    pub tree: String,
    pub modified_us: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    pub name: String,
    pub parent: String,
    pub distro: String,
    /// None = inherited.
    pub repos: Option<Vec<String>>,
    pub autoinstall: String,
    pub modified_us: i64,
}

/// What of the settings matters to a mirror.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    pub webdir: String,
    pub reposync_flags: String,
    pub token_seconds: i64,
}

impl Settings {
    /// `dnf` skips `noarch` packages where it is given another architecture and not this one, and Cobbler gives it the repository's.
    pub fn loses_noarch(&self, arch: &str) -> bool {
        let words: Vec<&str> = self.reposync_flags.split_whitespace().collect();
        let named = words.windows(2).any(|w| matches!(w[0], "-a" | "--arch") && w[1] == "noarch");
        !matches!(arch, "none" | "noarch" | "") && !named && !words.iter().any(|w| matches!(*w, "--arch=noarch" | "-anoarch"))
    }
}

/// Asks a record's members by name.
struct Fields<'v> {
    method: &'static str,
    value: &'v Value,
}

impl Fields<'_> {
    fn of<'v>(method: &'static str, value: &'v Value) -> Result<Fields<'v>, CobblerError> {
        match value {
            Value::Struct(_) => Ok(Fields { method, value }),
            other => Err(CobblerError::Shape { method: method.into(), wanted: "a record", found: other.kind() }),
        }
    }

    /// Text that is shown or compared; `~` and what is inherited are empty.
    fn text(&self, name: &str) -> String {
        match self.value.get(name).and_then(Value::text) {
            Some(NONE | INHERIT) | None => String::new(),
            Some(t) => sanitise::cell(&t.chars().take(4_000).collect::<String>()),
        }
    }

    fn name(&self) -> Result<String, CobblerError> {
        match self.text("name") {
            name if name.is_empty() => {
                Err(CobblerError::Shape { method: self.method.into(), wanted: "a record with a name", found: "one without" })
            }
            name => Ok(name),
        }
    }

    fn flag(&self, name: &str) -> bool {
        self.value.get(name).and_then(Value::bool).unwrap_or(false)
    }

    fn list(&self, name: &str) -> Option<Vec<String>> {
        let texts = |items: &[Value]| items.iter().filter_map(Value::text).map(sanitise::cell).collect();
        match self.value.get(name)? {
            Value::Array(items) => Some(texts(items)),
            Value::Text(t) if t == INHERIT || t == NONE => None,
            Value::Text(t) => Some(t.split_whitespace().map(sanitise::cell).collect()),
            _ => None,
        }
    }

    fn modified_us(&self) -> i64 {
        let seconds = self.value.get("mtime").and_then(Value::number).unwrap_or(0.0);
        if (0.0..1e11).contains(&seconds) { (seconds * 1e6) as i64 } else { 0 }
    }
}

pub fn repo(value: &Value) -> Result<Repo, CobblerError> {
    let f = Fields::of("get_repos", value)?;
    Ok(Repo {
        name: f.name()?,
        mirror: f.text("mirror"),
        mirror_type: f.text("mirror_type"),
        breed: f.text("breed"),
        arch: f.text("arch"),
        mirrored: f.flag("mirror_locally"),
        updated: f.flag("keep_updated"),
        createrepo_flags: f.text("createrepo_flags"),
        only: f.list("rpm_list").unwrap_or_default(),
        modified_us: f.modified_us(),
    })
}

pub fn distro(value: &Value) -> Result<Distro, CobblerError> {
    let f = Fields::of("get_distros", value)?;
    let meta = value.get("autoinstall_meta").filter(|m| m.members().is_some());
    Ok(Distro {
        name: f.name()?,
        arch: f.text("arch"),
        os_version: f.text("os_version"),
        kernel: f.text("kernel"),
        initrd: f.text("initrd"),
        tree: meta.and_then(|m| m.get("tree")?.text()).map(sanitise::cell).unwrap_or_default(),
        modified_us: f.modified_us(),
    })
}

pub fn profile(value: &Value) -> Result<Profile, CobblerError> {
    let f = Fields::of("get_profiles", value)?;
    Ok(Profile {
        name: f.name()?,
        parent: f.text("parent"),
        distro: f.text("distro"),
        repos: f.list("repos"),
        autoinstall: f.text("autoinstall"),
        modified_us: f.modified_us(),
    })
}

pub fn settings(value: &Value) -> Result<Settings, CobblerError> {
    let f = Fields::of("get_settings", value)?;
    Ok(Settings {
        webdir: f.text("webdir"),
        reposync_flags: f.text("reposync_flags"),
        token_seconds: value.get("auth_token_expiration").and_then(Value::int).unwrap_or(3_600),
    })
}
