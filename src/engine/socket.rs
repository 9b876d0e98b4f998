//! The engine's socket: made, and guarded by its mode.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::api::socket::{self, Found};

/// Why there is no socket.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SocketError {
    #[error("{path} {why}", path = path.display())]
    Unusable { path: PathBuf, why: String, help: String },
}

/// Makes the socket. `gid`: who may open a shared one; none = everybody. The caller holds the store's lock, so a socket left there by a dead engine of ours is stale.
pub async fn bind(path: &Path, private: bool, gid: Option<u32>, uid: u32) -> Result<UnixListener, SocketError> {
    let unusable = |why: String, help: &str| SocketError::Unusable { path: path.to_owned(), why, help: help.to_owned() };
    if !private && let Some(dir) = path.parent() {
        shared_dir(dir, uid).map_err(|(why, help)| SocketError::Unusable { path: dir.to_owned(), why, help })?;
    }
    match socket::look(path).map_err(|e| unusable(format!("cannot be looked at: {e}"), ""))? {
        Found::Nothing => {}
        Found::Other => return Err(unusable("is there and is not a socket".into(), "move it away")),
        Found::Socket { uid: owner } if owner != uid => {
            return Err(unusable(format!("belongs to uid {owner}, and this is uid {uid}"), "use another --state-dir, or [engine] socket"));
        }
        Found::Socket { .. } => {
            if let Ok((short, _fd)) = socket::short(path)
                && UnixStream::connect(&short).await.is_ok()
            {
                return Err(unusable(
                    "is served by another engine".into(),
                    "it has another state directory; stop it, or name another socket",
                ));
            }
            std::fs::remove_file(path).map_err(|e| unusable(format!("is stale and cannot be removed: {e}"), "remove it"))?;
        }
    }
    let (short, _fd) = socket::short(path).map_err(|e| unusable(format!("cannot be reached: {e}"), ""))?;
    let listener =
        UnixListener::bind(&short).map_err(|e| unusable(format!("cannot be made: {e}"), "is its directory there and writable?"))?;
    // The directory of a private one is 0700; a shared one is open to all, and the guard knows each by the kernel's word.
    let mode = match (private, gid) {
        (true, _) => 0o600,
        (false, Some(_)) => 0o660,
        (false, None) => 0o666,
    };
    // The group first: with the mode alone it would be open to the wrong one for a moment.
    if let Some(gid) = gid {
        let given = std::os::unix::fs::chown(path, None, Some(gid));
        let help = "the engine's user must be a member of the group that [engine] group names";
        given.map_err(|e| unusable(format!("cannot be given to group {gid}: {e}"), help))?;
    }
    let set = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    set.map_err(|e| unusable(format!("cannot get its mode: {e}"), ""))?;
    Ok(listener)
}

/// The directory of a shared socket: made where absent; refused where others could put their own socket into it.
fn shared_dir(dir: &Path, uid: u32) -> Result<(), (String, String)> {
    if !dir.exists() {
        std::fs::create_dir(dir).map_err(|e| (format!("cannot be made: {e}"), "make it for the engine's user".to_owned()))?;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755))
            .map_err(|e| (format!("cannot get its mode: {e}"), String::new()))?;
    }
    let meta = std::fs::metadata(dir).map_err(|e| (format!("cannot be looked at: {e}"), String::new()))?;
    if meta.uid() != uid && meta.uid() != 0 {
        return Err((
            format!("belongs to uid {}: its owner could replace the socket", meta.uid()),
            format!("chown {uid} {}", dir.display()),
        ));
    }
    if meta.mode() & 0o002 != 0 {
        return Err(("may be written by everybody: anybody could replace the socket".into(), format!("chmod o-w {}", dir.display())));
    }
    Ok(())
}
