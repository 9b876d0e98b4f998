//! What `mirror/sync` is asked to do, checked before anything is touched.

use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;
use zeroize::Zeroizing;

use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::with::With;
use crate::wire::address;
use crate::wire::http::{Credentials, Patience};

/// How far the number or the bytes of packages may fall in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shrink {
    Percent(u64),
    Allow,
}

pub struct Options {
    pub urls: Vec<Url>,
    pub dest: PathBuf,
    /// Name in the fingerprint's lines.
    pub repo: String,
    pub set: String,
    pub parallel: usize,
    pub shrink: Shrink,
    pub patience: Patience,
    pub attempts: u32,
    pub settle: Duration,
    pub credentials: Option<Credentials>,
    /// The signature of `repomd.xml` is mirrored with it.
    pub signature: bool,
}

impl Options {
    pub fn read(with: &With, env: &StepEnv) -> Result<Self, StepError> {
        let mut urls = Vec::new();
        for text in with.list("url").iter().filter(|u| !u.is_empty()) {
            let url = address::parse(text).map_err(|e| StepError::input(e.to_string(), "give the directory that holds repodata/"))?;
            no_password(&url)?;
            urls.push(url);
        }
        let dest = env.path(with.text("dest").unwrap_or_default());
        let last = dest.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        if last.is_empty() {
            return Err(StepError::input(
                format!("`{}` cannot be a mirror", dest.display()),
                "give a directory of its own for each repository",
            ));
        }
        let repo = with.text("repo").unwrap_or(&last).to_owned();
        let set = with.text("set").unwrap_or(&repo).to_owned();
        for (key, value) in [("repo", &repo), ("set", &set)] {
            if value.chars().any(|c| c.is_control() || c.is_whitespace()) {
                return Err(StepError::input(format!("`{key}` holds a blank or a control character"), "names are one word"));
            }
        }
        let ranged = |key: &str, default: u64, max: u64| match with.int(key).unwrap_or(default) {
            n if (1..=max).contains(&n) => Ok(n),
            n => Err(StepError::input(format!("`{key}` is {n}"), format!("give 1 to {max}"))),
        };
        let span = |key: &str, default: Duration| with.span(key).map_or(default, |s| s.as_duration());
        let stall = span("stall", Duration::from_secs(30));
        if stall < Duration::from_millis(100) {
            return Err(StepError::input("`stall` is shorter than 100ms", "a sane value is 30s"));
        }
        Ok(Self {
            urls,
            dest,
            repo,
            set,
            parallel: ranged("parallel", 8, 64)? as usize,
            shrink: shrink(with.text("shrink"))?,
            patience: Patience { connect: stall.min(Duration::from_secs(10)), stall },
            attempts: ranged("attempts", 3, 10)? as u32,
            settle: span("settle", Duration::from_secs(5)).min(Duration::from_secs(3600)),
            signature: match with.text("signature").unwrap_or("mirror") {
                "mirror" => true,
                "none" => false,
                other => {
                    let what = format!("`signature` is `{}`", crate::wire::excerpt(other));
                    return Err(StepError::input(what, "give mirror (as upstream has it) or none (the tree is served unsigned)"));
                }
            },
            credentials: with.text("credentials").map(|name| credentials(name, env)).transpose()?,
        })
    }
}

fn shrink(text: Option<&str>) -> Result<Shrink, StepError> {
    let shown = text.unwrap_or_default();
    match text.map(|t| t.trim().trim_end_matches('%')) {
        None => Ok(Shrink::Percent(20)),
        Some("allow") => Ok(Shrink::Allow),
        Some(n) => match n.parse() {
            Ok(n) if n <= 100 => Ok(Shrink::Percent(n)),
            _ => Err(StepError::input(format!("`shrink` is `{shown}`"), "give a percentage from 0 to 100, or `allow`")),
        },
    }
}

/// A password in an address would stand in the pipeline, in the plan and in every process list.
pub fn no_password(url: &Url) -> Result<(), StepError> {
    if url.password().is_none() {
        return Ok(());
    }
    Err(StepError::input(
        format!("the address {} holds a password", address::shown(url)),
        "declare a secret of the form user:password and give its name: credentials=NAME",
    ))
}

/// Reads `user:password` from the file that the shim made for a declared secret. The value never reaches a message.
pub fn credentials(name: &str, env: &StepEnv) -> Result<Credentials, StepError> {
    if name.contains('/') || name.starts_with('.') {
        return Err(StepError::input(
            format!("`{name}` is not the name of a secret"),
            "give the name that the pipeline's `secrets:` declares",
        ));
    }
    let missing =
        |why: String| StepError::input(format!("the secret `{name}` cannot be read: {why}"), "declare it under `secrets:` of the step");
    let dir: &Path = env.secrets_dir.as_deref().ok_or_else(|| missing("QD_SECRETS_DIR is not set".into()))?;
    let text = Zeroizing::new(std::fs::read_to_string(dir.join(name)).map_err(|e| missing(e.to_string()))?);
    let (user, password) =
        text.trim_end_matches(['\r', '\n']).split_once(':').ok_or_else(|| missing("it is not of the form user:password".into()))?;
    Ok(Credentials { user: user.to_owned(), password: Zeroizing::new(password.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(items: &[&str]) -> Result<Options, StepError> {
        Options::read(&With::from_args(items).unwrap(), &StepEnv::from_process())
    }

    #[test]
    fn names_come_from_the_tree_unless_given() {
        let o = read(&["url=http://h/x", "dest=/srv/el9-latest"]).unwrap();
        assert_eq!((o.repo.as_str(), o.set.as_str(), o.parallel), ("el9-latest", "el9-latest", 8));
        assert_eq!(o.shrink, Shrink::Percent(20));
        let o = read(&["url=http://h/x", "dest=/srv/a", "repo=base", "set=el9", "shrink=35%", "stall=2s"]).unwrap();
        assert_eq!((o.repo.as_str(), o.set.as_str(), o.shrink), ("base", "el9", Shrink::Percent(35)));
        assert_eq!(o.patience.connect, Duration::from_secs(2));
    }

    #[test]
    fn nonsense_is_refused_before_anything_is_touched() {
        for items in [
            &["url=ftp://h/x", "dest=/srv/a"][..],
            &["url=http://h/x", "dest=/"],
            &["url=http://h/x", "dest=/srv/a", "parallel=0"],
            &["url=http://h/x", "dest=/srv/a", "parallel=1000"],
            &["url=http://h/x", "dest=/srv/a", "shrink=lots"],
            &["url=http://h/x", "dest=/srv/a", "shrink=101"],
            &["url=http://h/x", "dest=/srv/a", "set=a b"],
            &["url=http://h/x", "dest=/srv/a", "credentials=../x"],
            &["url=http://h/x", "dest=/srv/a", "stall=1ms"],
            &["url=http://me:word@h/x", "dest=/srv/a"],
        ] {
            assert_eq!(read(items).err().map(|e| e.exit()), Some(crate::steps::error::Exit::Input), "{items:?}");
        }
    }

    #[test]
    fn credentials_come_from_the_secrets_directory_and_stay_out_of_errors() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("UP"), "hunter2-without-colon").unwrap();
        let mut env = StepEnv::from_process();
        env.secrets_dir = Some(dir.path().into());
        let e = credentials("UP", &env).err().unwrap().to_string();
        assert!(!e.contains("hunter2") && e.contains("user:password"), "{e}");
        std::fs::write(dir.path().join("UP"), "me:pass:word\n").unwrap();
        let c = credentials("UP", &env).unwrap();
        assert_eq!((c.user.as_str(), c.password.as_str()), ("me", "pass:word"));
    }
}
