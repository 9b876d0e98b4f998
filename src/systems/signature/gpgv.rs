//! `gpgv`: a detached signature (`repomd.xml.asc`) against a keyring of the site.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Answer, Ask, SignatureError, Verdict, said};
use crate::wire::excerpt;

const TOOL: &str = "gpgv";

/// Whether `signature` is one of `file`, by a key of `keyring` (binary, as `write_keyring` makes it).
pub fn check(home: &Path, keyring: &Path, signature: &Path, file: &Path) -> Ask {
    let args = ["--status-fd", "1", "--keyring"].map(Into::into).into_iter();
    let args = args.chain([keyring.into(), "--".into(), signature.into(), file.into()]).collect();
    Ask { tool: TOOL, args, home: home.to_owned() }
}

/// Checks a detached signature with the site's keys. `home` is an empty directory for the tool.
pub async fn verify(home: &Path, keys: &[PathBuf], signature: &Path, file: &Path, limit: Duration) -> Result<Verdict, SignatureError> {
    let keyring = super::write_keyring(home, keys)?;
    if !signature.exists() {
        return Ok(Verdict::Unsigned);
    }
    verdict(&check(home, &keyring, signature, file).run(limit).await?)
}

/// Reads the answer to `check`, by its status lines: words for people may change.
pub fn verdict(answer: &Answer) -> Result<Verdict, SignatureError> {
    let (mut valid, mut unknown, mut bad, mut nothing) = (None, None, None, false);
    let mut good = false;
    for line in answer.out.lines().filter_map(|l| l.strip_prefix("[GNUPG:] ")) {
        let mut words = line.split_whitespace();
        let (word, first) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().to_ascii_lowercase());
        match word {
            "GOODSIG" => good = true,
            "VALIDSIG" => valid = Some(first),
            "NO_PUBKEY" => unknown = Some(first),
            "BADSIG" | "EXPSIG" | "EXPKEYSIG" | "REVKEYSIG" => bad = Some(excerpt(line)),
            "NODATA" => nothing = true,
            _ => {}
        }
    }
    // One wrong signature beside a good one makes the file doubtful.
    Ok(match (bad, unknown, valid) {
        (Some(why), ..) => Verdict::Bad(why),
        (None, _, Some(key)) if good && answer.success => Verdict::Good(key),
        (None, Some(key), _) => Verdict::UnknownKey(key),
        (None, None, _) if nothing => Verdict::Unreadable("it holds no signature".to_owned()),
        _ => return Err(SignatureError::Answer { tool: TOOL, said: said(&answer.err) }),
    })
}
