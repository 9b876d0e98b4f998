//! `[cobbler.NAME]` of the site file: one Cobbler server, how it is reached, and where its trees can be read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::secrets::Secret;
use super::values::{absolute, file};
use crate::base::duration::Span;
use crate::base::suggest;
use crate::config::read::{At, Notes, Table};
use crate::domain::run::valid_name;
use crate::pipeline::catalog::FarEnd;

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cobbler {
    /// Of the API: `https://HOST/cobbler_api`, or cobblerd itself.
    pub url: Url,
    pub user: String,
    /// Name in `[secrets]`.
    pub secret: String,
    /// The datacentre that it serves; empty where the site says none.
    pub dc: String,
    /// Directories or addresses below which each of its repositories is a tree of its name. The first is where steps look.
    pub mirror: Vec<String>,
    /// For one call.
    pub timeout: Duration,
    /// Authorities of its certificate beside the system's, PEM.
    pub ca: Option<PathBuf>,
    /// Its certificate is not checked.
    pub insecure: bool,
}

const TIMEOUT: Duration = Duration::from_secs(30);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(600);

impl Cobbler {
    /// As a frozen plan holds it. The secret goes by its name.
    pub fn far_end(&self) -> FarEnd {
        let mut settled = vec![("url", self.url.to_string()), ("user", self.user.clone()), ("secret", self.secret.clone())];
        settled.push(("timeout", format!("{}ms", self.timeout.as_millis())));
        settled.extend(self.mirror.first().map(|m| ("mirror", m.clone())));
        settled.extend(self.ca.as_ref().map(|ca| ("ca", ca.display().to_string())));
        settled.extend(self.insecure.then(|| ("insecure", "true".to_owned())));
        FarEnd { settled, secrets: vec![self.secret.clone()] }
    }

    /// The name that Cobbler has for the repository whose tree or replica lies there; none where it is not of this server.
    pub fn repo_at(&self, tree: &str) -> Option<String> {
        let tree = tree.strip_prefix("file://").unwrap_or(tree).trim_end_matches('/');
        self.mirror.iter().find_map(|m| {
            let name = tree.strip_prefix(m.trim_end_matches('/'))?.strip_prefix('/')?;
            (!name.is_empty() && !name.contains('/')).then(|| name.to_owned())
        })
    }
}

/// One table; none where something that it must have is missing or wrong.
pub(super) fn read(table: &Table<'_, '_, '_>, name: &At<String>, secrets: &BTreeMap<String, Secret>, notes: &Notes<'_>) -> Option<Cobbler> {
    let (url, user, secret) = (table.text("url"), table.text("user"), table.text("secret"));
    for (key, there, help) in [
        ("url", url.is_some() || table.has("url"), "add url = \"https://HOST/cobbler_api\""),
        ("user", user.is_some() || table.has("user"), "add user = \"NAME\", who may start a reposync there"),
        ("secret", secret.is_some() || table.has("secret"), "add secret = \"NAME\", a name of [secrets] for that user's password"),
    ] {
        if !there {
            notes.add(name.span.clone(), format!("[cobbler.{}] has no `{key}`", name.value), help);
        }
    }
    let address = url.and_then(|u| address(&u, notes));
    let secret = secret.and_then(|s| {
        if secrets.contains_key(&s.value) {
            return Some(s.value);
        }
        // What is no name is not repeated: it may be the password itself.
        let (message, help) = if valid_name(&s.value) {
            let near = suggest::nearest(&s.value, secrets.keys().map(String::as_str));
            let help = near.map_or_else(|| format!("add {} = \"…\" to [secrets]", s.value), |n| format!("did you mean `{n}`?"));
            (format!("no secret `{}` in this file", s.value), help)
        } else {
            ("`secret` is no name of [secrets]".to_owned(), "a password itself never goes into the site file".to_owned())
        };
        notes.add(s.span, message, help);
        None
    });
    let user = user.filter(|u| {
        let good = !u.value.is_empty() && !u.value.contains(char::is_control);
        if !good {
            notes.add(u.span.clone(), "this is no name of a user", "");
        }
        good
    });
    let dc = table.text("dc").map(|d| {
        if !valid_name(&d.value) {
            notes.add(d.span.clone(), format!("`{}` cannot be the name of a datacentre", d.value), "write it like dc = \"alder\"");
        }
        d.value
    });
    let timeout = table.text("timeout").map_or(TIMEOUT, |t| match t.value.parse::<Span>().map(Span::as_duration) {
        Ok(d) if (SHORTEST..=LONGEST).contains(&d) => d,
        Ok(_) => {
            notes.add(t.span, "`timeout` must be at least 1s and at most 10m", "");
            TIMEOUT
        }
        Err(e) => {
            notes.add(t.span, format!("`timeout`: {e}"), "");
            TIMEOUT
        }
    });
    let ca = table.text("ca").and_then(|c| file("authority", c, notes));
    let insecure = table.bool("insecure").unwrap_or(false);
    let mirror = table.text_or_texts("mirror").map(|list| list.into_iter().filter_map(|m| tree(m, notes)).collect::<Vec<_>>());
    let url = address?;
    let mirror = mirror.filter(|m| !m.is_empty()).unwrap_or_else(|| vec![served(&url)]);
    Some(Cobbler { url, user: user?.value, secret: secret?, dc: dc.unwrap_or_default(), mirror, timeout, ca, insecure })
}

/// Where Cobbler's own configuration of Apache serves its trees.
fn served(url: &Url) -> String {
    let mut at = url.clone();
    at.set_path("/cobbler/repo_mirror");
    at.to_string()
}

fn address(text: &At<String>, notes: &Notes<'_>) -> Option<Url> {
    let bad = |message: &str, help: &str| {
        notes.add(text.span.clone(), message, help);
        None
    };
    match Url::parse(&text.value) {
        Ok(u) if !matches!(u.scheme(), "http" | "https") || u.host_str().is_none_or(str::is_empty) => {
            bad("this is no URL of a server", "write https://HOST/cobbler_api")
        }
        Ok(u) if u.password().is_some() || !u.username().is_empty() => {
            bad("a URL in the site file must not hold a user or a password", "write user = \"NAME\" and secret = \"NAME\" instead")
        }
        Ok(u) if u.query().is_some() || u.fragment().is_some() => bad("the URL must have no ? and no #", "write https://HOST/cobbler_api"),
        Ok(u) => Some(u),
        Err(_) => bad("this is no URL of a server", "write https://HOST/cobbler_api"),
    }
}

fn tree(at: At<String>, notes: &Notes<'_>) -> Option<String> {
    if at.value.starts_with("http://") || at.value.starts_with("https://") {
        return address(&at, notes).map(|u| u.to_string());
    }
    absolute(at, notes).map(|p| p.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Site;

    const SECRETS: &str = "[secrets]\ncobbler-alder = \"env:X\"\n";

    fn said(text: &str) -> String {
        let problems = Site::parse(&format!("{SECRETS}{text}")).unwrap_err();
        problems.iter().map(|p| format!("{}:{} {} {}\n", p.line, p.column, p.message, p.help)).collect()
    }

    #[test]
    fn a_server_has_an_address_a_user_and_a_secret_and_the_rest_has_defaults() {
        let text = "[cobbler.alder]\nurl = \"https://cobbler.alder.example.org/cobbler_api\"\nuser = \"quarterdeck\"\nsecret = \"cobbler-alder\"\n";
        let c = Site::parse(&format!("{SECRETS}{text}")).unwrap().cobblers["alder"].clone();
        assert_eq!((c.user.as_str(), c.dc.as_str(), c.timeout, c.insecure), ("quarterdeck", "", TIMEOUT, false));
        assert_eq!(c.mirror, ["https://cobbler.alder.example.org/cobbler/repo_mirror"]);
        assert_eq!(c.repo_at("https://cobbler.alder.example.org/cobbler/repo_mirror/base9-latest/").as_deref(), Some("base9-latest"));
        assert_eq!(c.repo_at("https://cobbler.alder.example.org/cobbler/repo_mirror/"), None);
        assert_eq!(c.repo_at("https://cobbler.alder.example.org/cobbler/repo_mirror/a/b"), None);
        let more = "dc = \"alder\"\nmirror = [\"/srv/www/cobbler/repo_mirror\", \"http://h/m/\"]\ntimeout = \"5s\"\nca = \"/etc/ca.pem\"\ninsecure = true\n";
        let c = Site::parse(&format!("{SECRETS}{text}{more}")).unwrap().cobblers["alder"].clone();
        assert_eq!(c.repo_at("/srv/www/cobbler/repo_mirror/base9").as_deref(), Some("base9"));
        assert_eq!(c.repo_at("http://h/m/base9").as_deref(), Some("base9"));
        let end = c.far_end();
        assert_eq!(end.secrets, ["cobbler-alder"]);
        for pair in [("timeout", "5000ms"), ("mirror", "/srv/www/cobbler/repo_mirror"), ("ca", "/etc/ca.pem"), ("insecure", "true")] {
            assert!(end.settled.contains(&(pair.0, pair.1.to_owned())), "{end:?}");
        }
    }

    #[test]
    fn slips_are_told_with_their_place_and_no_password_is_repeated() {
        let rest = "user = \"u\"\nsecret = \"cobbler-alder\"\n";
        for (text, words) in [
            ("[cobbler.alder]\n".to_owned(), "3:10 [cobbler.alder] has no `url`"),
            (format!("[cobbler.a]\nurl = \"ftp://h/\"\n{rest}"), "4:7 this is no URL"),
            (format!("[cobbler.a]\nurl = \"https://u:hunter2@h/\"\n{rest}"), "must not hold a user or a password"),
            ("[cobbler.a]\nurl = \"https://h/\"\nuser = \"u\"\nsecret = \"Hunter2 hunter2!\"\n".to_owned(), "no name of [secrets]"),
            ("[cobbler.a]\nurl = \"https://h/\"\nuser = \"u\"\nsecret = \"cobbler-aldr\"\n".to_owned(), "did you mean `cobbler-alder`?"),
            (format!("[cobbler.a]\nurl = \"https://h/\"\n{rest}timeout = \"0s\"\n"), "at least 1s"),
            (format!("[cobbler.a]\nurl = \"https://h/\"\n{rest}mirror = \"srv\"\n"), "not an absolute path"),
            (format!("[cobbler.a]\nurl = \"https://h/\"\n{rest}ca = \"ca.pem\"\n"), "not an absolute path"),
            (format!("[cobbler.a]\nurl = \"https://h/\"\n{rest}timeuot = \"3s\"\n"), "did you mean `timeout`?"),
            (format!("[cobbler.A]\nurl = \"https://h/\"\n{rest}"), "cannot be the name of a Cobbler"),
        ] {
            let said = said(&text);
            assert!(said.contains(words) && !said.to_lowercase().contains("hunter2"), "{text}: {said}");
        }
    }
}
