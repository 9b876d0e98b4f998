//! Signatures of packages and of metadata, through the machine's own `rpmkeys` and `gpgv`: each with keys of the site and with nothing else.
//!
//! What the machine trusts counts for nothing here: `rpmkeys` gets a database of its own that holds only the given keys, `gpgv` a keyring of
//! its own. A tool that is not installed is an error of its own kind, which whoever asks must show as N/A, and never as good.

pub mod gpgv;
pub mod rpmkeys;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::wire::excerpt;

/// Of what a tool says so much is read at most.
const ANSWER: u64 = 16 << 20;
/// A file of public keys is smaller.
const MAX_KEYS: u64 = 4 << 20;

/// Why nobody can say whether something is signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("{0} is not installed, so no signature can be judged here: install it (Debian: rpm, gpgv; elsewhere: rpm, gnupg2)")]
    NoTool(&'static str),
    #[error("{tool} cannot be started: {why}")]
    Start { tool: &'static str, why: String },
    #[error("{tool} did not answer within {seconds} s")]
    Slow { tool: &'static str, seconds: u64 },
    #[error("{tool} said something that this version does not understand: {said}")]
    Answer { tool: &'static str, said: String },
    #[error("the public key {} cannot be used: {why}; give an ASCII-armoured OpenPGP key", path.display())]
    Key { path: PathBuf, why: String },
    #[error("no public key is given: name the keys that packages must be signed with in the site file")]
    NoKeys,
    #[error("{}: {why}", path.display())]
    Io { path: PathBuf, why: String },
}

impl SignatureError {
    /// The tool that is absent.
    pub const fn tool(&self) -> Option<&'static str> {
        match self {
            Self::NoTool(tool) => Some(tool),
            _ => None,
        }
    }

    /// The tool is absent: N/A, whatever else is asked.
    pub const fn is_not_available(&self) -> bool {
        matches!(self, Self::NoTool(_))
    }
}

/// What is known of one signed file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// By one of the site's keys: its id or fingerprint, lower case.
    Good(String),
    Unsigned,
    /// By a key that the site does not know.
    UnknownKey(String),
    /// The signature or a digest is wrong, or the key was taken back.
    Bad(String),
    /// It is no such file, or it is gone.
    Unreadable(String),
}

impl Verdict {
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Good(_))
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Good(key) => write!(f, "signed by {key}"),
            Self::Unsigned => f.write_str("not signed"),
            Self::UnknownKey(key) => write!(f, "signed by {key}, which is no key of the site"),
            Self::Bad(why) => write!(f, "the signature is bad: {why}"),
            Self::Unreadable(why) => write!(f, "it cannot be read: {why}"),
        }
    }
}

/// A command that is to be run: pure, so that a test sees what would be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub tool: &'static str,
    pub args: Vec<OsString>,
    /// Where it may keep files of its own; also its home.
    pub home: PathBuf,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub success: bool,
    pub out: String,
    pub err: String,
}

impl Ask {
    /// With an environment of its own: no configuration, macro or key of whoever runs this takes part.
    pub fn command(&self) -> Command {
        use std::os::unix::process::CommandExt;
        let mut c = Command::new(self.tool);
        c.args(&self.args).current_dir("/").env_clear().process_group(0);
        c.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin:/usr/sbin".into()));
        c.env("HOME", &self.home).env("GNUPGHOME", &self.home).env("LC_ALL", "C").env("TZ", "UTC");
        c.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        c
    }

    /// Runs it. Dropped, or too slow, it is ended.
    pub async fn run(&self, limit: Duration) -> Result<Answer, SignatureError> {
        let mut command = tokio::process::Command::from(self.command());
        let mut child = command.kill_on_drop(true).spawn().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => SignatureError::NoTool(self.tool),
            _ => SignatureError::Start { tool: self.tool, why: e.to_string() },
        })?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let asked = async {
            let (out, err) = tokio::join!(all(out), all(err));
            let status = child.wait().await.map_err(|e| SignatureError::Start { tool: self.tool, why: e.to_string() })?;
            Ok(Answer { success: status.success(), out, err })
        };
        let slow = |_| SignatureError::Slow { tool: self.tool, seconds: limit.as_secs() };
        tokio::time::timeout(limit, asked).await.map_err(slow)?
    }
}

async fn all(pipe: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What was said before it broke is still said.
        let _ = pipe.take(ANSWER).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The bytes of the OpenPGP blocks in files of armoured keys, one behind the other: a keyring, as `gpgv` reads it.
pub fn keyring(keys: &[PathBuf]) -> Result<Vec<u8>, SignatureError> {
    if keys.is_empty() {
        return Err(SignatureError::NoKeys);
    }
    let mut out = Vec::new();
    for path in keys {
        let bad = |why: &str| SignatureError::Key { path: path.clone(), why: why.to_owned() };
        let size = std::fs::metadata(path).map_err(|e| bad(&e.to_string()))?;
        if !size.is_file() || size.len() > MAX_KEYS {
            return Err(bad("it is no file, or too large for one of keys"));
        }
        let text = std::fs::read_to_string(path).map_err(|e| bad(&e.to_string()))?;
        out.extend(dearmoured(&text).map_err(bad)?);
    }
    Ok(out)
}

/// The files of keys, each with the beginning of its sha256: what was trusted, so that other keys are seen to be others.
pub fn names(keys: &[PathBuf]) -> Result<Vec<String>, SignatureError> {
    keyring(keys)?;
    let mut out = Vec::with_capacity(keys.len());
    for path in keys {
        let bytes = std::fs::read(path).map_err(|e| SignatureError::Io { path: path.clone(), why: e.to_string() })?;
        let sum = crate::systems::repo::read::sha256(&bytes);
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        out.push(format!("{} {}", excerpt(&name), sum.get(..16).unwrap_or(&sum)));
    }
    out.sort();
    Ok(out)
}

const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";

fn dearmoured(text: &str) -> Result<Vec<u8>, &'static str> {
    use base64::Engine;
    if text.contains("PRIVATE KEY") {
        return Err("it is a private key, which has no place here");
    }
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let block = &rest[at + BEGIN.len()..];
        let end = block.find(END).ok_or("a block has no end")?;
        // Headers, a blank line, the bytes, and a checksum that begins with `=`.
        let lines = block[..end].lines().map(str::trim).filter(|l| !l.contains(':') && !l.starts_with('='));
        let body: String = lines.collect();
        out.extend(base64::engine::general_purpose::STANDARD.decode(body).map_err(|_| "its base64 is damaged")?);
        rest = &block[end + END.len()..];
    }
    if out.is_empty() { Err("there is no public key block in it") } else { Ok(out) }
}

/// A line of a tool, as it may be shown.
fn said(text: &str) -> String {
    excerpt(text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default())
}

/// A directory of its own for a tool and its files; it goes when this does.
pub struct Home(PathBuf);

impl Home {
    /// Makes it anew: what a kill left there goes.
    pub fn at(dir: &Path) -> Result<Self, SignatureError> {
        use std::os::unix::fs::DirBuilderExt;
        let failed = |e: std::io::Error| SignatureError::Io { path: dir.to_owned(), why: e.to_string() };
        match std::fs::remove_dir_all(dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        std::fs::DirBuilder::new().mode(0o700).recursive(true).create(dir).map_err(failed)?;
        // The tools want absolute paths, whatever it was called by.
        Ok(Self(std::fs::canonicalize(dir).map_err(failed)?))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, SignatureError> {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).map_err(|e| SignatureError::Io { path: path.clone(), why: e.to_string() })?;
        Ok(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Writes the site's keyring for `gpgv` into its home.
pub fn write_keyring(home: &Path, keys: &[PathBuf]) -> Result<PathBuf, SignatureError> {
    let path = home.join("trusted.gpg");
    let bytes = keyring(keys)?;
    crate::base::durable::replace(&path, &bytes, 0o600).map_err(|e| SignatureError::Io { path: path.clone(), why: e.to_string() })?;
    Ok(path)
}

#[cfg(test)]
mod tests;
