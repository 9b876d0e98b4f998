//! `rpmkeys`: packages against a key database that holds the site's keys and no other.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Answer, Ask, SignatureError, Verdict, said};
use crate::wire::excerpt;

const TOOL: &str = "rpmkeys";
/// Packages of one call; the command line has an end.
const BATCH: usize = 200;

fn ask(db: &Path, args: impl IntoIterator<Item = OsString>) -> Ask {
    // Said here, whatever the macros of the machine say; those of a person are not read, for HOME is ours.
    let mut all: Vec<OsString> = vec!["--dbpath".into(), db.join("rpmdb").into()];
    all.extend(["--define", "_pkgverify_level none", "--define", "_keyring rpmdb"].map(OsString::from));
    all.extend(args);
    Ask { tool: TOOL, args: all, home: db.to_owned() }
}

/// Takes keys into the database in `db`.
pub fn import(db: &Path, keys: &[PathBuf]) -> Ask {
    ask(db, std::iter::once("--import".into()).chain(keys.iter().map(OsString::from)))
}

/// Asks what each of these packages is by the keys in `db`. Absolute paths only.
pub fn check(db: &Path, packages: &[PathBuf]) -> Ask {
    // Absolute, so that no name can be an option.
    ask(db, ["--checksig".into(), "-v".into()].into_iter().chain(packages.iter().map(OsString::from)))
}

/// A database that exists for one check.
pub struct Database {
    dir: PathBuf,
}

impl Database {
    /// Makes one in an empty directory, with these keys. They are checked first: a key that is none would only be a warning of the tool's.
    pub async fn new(dir: &Path, keys: &[PathBuf], limit: Duration) -> Result<Self, SignatureError> {
        super::keyring(keys)?;
        let db = dir.join("rpmdb");
        std::fs::create_dir_all(&db).map_err(|e| SignatureError::Io { path: db.clone(), why: e.to_string() })?;
        let answer = import(dir, keys).run(limit).await?;
        if !answer.success || answer.err.contains("error") {
            return Err(SignatureError::Answer { tool: TOOL, said: said(&answer.err) });
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// What each package is. Absolute paths only; `limit` is for each batch of 200.
    pub async fn check(&self, packages: &[PathBuf], limit: Duration) -> Result<Vec<Verdict>, SignatureError> {
        let mut out = Vec::with_capacity(packages.len());
        for batch in packages.chunks(BATCH) {
            out.extend(verdicts(batch, &check(&self.dir, batch).run(limit).await?)?);
        }
        Ok(out)
    }
}

/// Reads the answer to `check`: a verdict for each package, in their order.
pub fn verdicts(packages: &[PathBuf], answer: &Answer) -> Result<Vec<Verdict>, SignatureError> {
    let strange = |text: &str| SignatureError::Answer { tool: TOOL, said: excerpt(text) };
    let mut out: Vec<Verdict> = Vec::with_capacity(packages.len());
    let mut lines = answer.out.lines().peekable();
    for package in packages {
        let head = format!("{}:", package.display());
        if lines.peek().is_none_or(|l| l.trim_end() != head) {
            // Packages that cannot be opened have no block, only a line on the other stream.
            let why = answer.err.lines().find(|l| l.contains(&*package.to_string_lossy())).unwrap_or("rpmkeys says nothing of it");
            out.push(Verdict::Unreadable(excerpt(why)));
            continue;
        }
        lines.next();
        let mut block = Vec::new();
        while let Some(line) = lines.next_if(|l| l.starts_with(' ')) {
            block.push(line.trim());
        }
        out.push(judge(&block));
    }
    match lines.next() {
        Some(line) if !line.trim().is_empty() => Err(strange(line)),
        _ => Ok(out),
    }
}

fn judge(block: &[&str]) -> Verdict {
    if block.is_empty() {
        return Verdict::Unreadable("it is no package".to_owned());
    }
    let (mut good, mut unknown) = (None, None);
    for line in block {
        // `Header V4 RSA/SHA512 Signature, key ID 403beec7: OK`, `Payload SHA256 digest: BAD (Expected …)`
        let Some((what, result)) = line.rsplit_once(": ").or_else(|| line.rsplit_once(':')) else { return Verdict::Bad(excerpt(line)) };
        let word = result.split_whitespace().next().unwrap_or_default();
        let key = what.rsplit_once("key ID ").map(|(_, id)| id.trim().to_ascii_lowercase());
        match (word, key) {
            ("OK", Some(key)) => good = Some(key),
            ("OK", None) => {}
            ("NOKEY" | "NOTTRUSTED", Some(key)) => unknown = Some(key),
            // Told of signatures that a package need not have.
            ("NOTFOUND", None) => {}
            _ => return Verdict::Bad(excerpt(line)),
        }
    }
    // A package may carry two signatures. One that the site knows is enough; one that is bad was refused above.
    match (good, unknown) {
        (Some(key), _) => Verdict::Good(key),
        (None, Some(key)) => Verdict::UnknownKey(key),
        (None, None) => Verdict::Unsigned,
    }
}
