//! Looks at the signature of an upstream's metadata: who it says has made it, and, where the site names keys, whether `gpgv` agrees.

use std::path::Path;
use std::time::Duration;

use crate::config::site::Repo;
use crate::domain::freshness::Signed;
use crate::systems::repo::RepoError;
use crate::systems::repo::probe::{Head, Place};
use crate::systems::signature::{Home, SignatureError, Verdict, gpgv};
use crate::wire::openpgp;

/// gpgv has one small file to judge.
const LIMIT: Duration = Duration::from_secs(20);

/// What the signature says. `raw`: the `repomd.xml` that was just read, where it was; `home`: a directory that this look may make and removes.
pub async fn look(end: &Place, repo: &Repo, raw: Option<&[u8]>, home: &Path) -> Result<Signed, RepoError> {
    let (found, told) = once(end, repo, raw, home).await?;
    match found {
        // A push that passed between the two files is no lie: both are read again, once.
        Signed::Bad(_) if told => Ok(once(end, repo, None, home).await?.0),
        found => Ok(found),
    }
}

/// With whether `raw` was believed to be what is there.
async fn once(end: &Place, repo: &Repo, raw: Option<&[u8]>, home: &Path) -> Result<(Signed, bool), RepoError> {
    let Some(signature) = end.signature().await? else { return Ok((Signed::Unsigned, false)) };
    let key = match openpgp::issuer(&signature) {
        Ok(key) => key,
        Err(e) => return Ok((Signed::Unreadable(e.to_string()), false)),
    };
    if repo.keys.is_empty() {
        return Ok((Signed::Stated(key), false));
    }
    let read;
    let metadata = match raw {
        Some(raw) => raw,
        None => match end.head(None).await? {
            Head::Read { raw, .. } => {
                read = raw;
                &read
            }
            Head::Same => return Ok((Signed::Unasked, false)),
        },
    };
    Ok((verified(key, repo, metadata, &signature, home).await, raw.is_some()))
}

async fn verified(key: String, repo: &Repo, metadata: &[u8], signature: &[u8], home: &Path) -> Signed {
    let judged = async {
        let home = Home::at(home)?;
        let (file, asc) = (home.put("repomd.xml", metadata)?, home.put("repomd.xml.asc", signature)?);
        gpgv::verify(home.path(), &repo.keys, &asc, &file, LIMIT).await
    };
    match judged.await {
        Ok(Verdict::Good(by)) => Signed::Good(by),
        Ok(Verdict::UnknownKey(by)) => Signed::Foreign(by),
        Ok(Verdict::Bad(why)) => Signed::Bad(why),
        Ok(Verdict::Unreadable(why)) => Signed::Unreadable(why),
        Ok(Verdict::Unsigned) => Signed::Unsigned,
        Err(e @ SignatureError::NoTool(_)) => Signed::Unverified { key, why: e.to_string() },
        Err(e) => Signed::Unverified { key, why: format!("nobody can say whether it is good: {e}") },
    }
}
