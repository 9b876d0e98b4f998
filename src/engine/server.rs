//! The socket: made, guarded by its mode, and served. One task a connection; how many is bounded.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::crowd::{Crowd, Pulse};
use super::identity::Peer;
use super::presence::Presence;
use super::routes;
use super::state::Engine;
use super::{lease, pace};
use crate::api::ApiError;
use crate::api::error::ErrorBody;
use crate::api::socket::{self, Found};

/// Clients at once. A further one takes the place of one that is silent, or is told that all are at work.
const CONNECTIONS: usize = 512;
/// Clients at once that are being told so; one more is turned away without a word.
const TURNED_AWAY: usize = 32;
/// How long one that is told so may take to ask and to read.
const PATIENCE: Duration = Duration::from_secs(2);
/// A client that has not sent the whole head of a request by then is dropped.
const HEAD: Duration = Duration::from_secs(10);
/// Requests that are under way at the end get so long.
const GRACE: Duration = Duration::from_secs(3);

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

/// Answers whatever is asked with why it is not served; who asks nothing gets no answer.
async fn turn_away(mut stream: UnixStream) -> std::io::Result<()> {
    let busy = ApiError::no_engine(
        format!("the engine has {CONNECTIONS} clients, and every one of them is being served"),
        "ask again in a moment; `ss -xp` shows who is connected to its socket",
    );
    let body = serde_json::to_string(&ErrorBody { error: busy })?;
    let mut asked = [0; 1024];
    if stream.read(&mut asked).await? == 0 {
        return Ok(());
    }
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close",
        body.len()
    );
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await?;
    stream.shutdown().await
}

/// Serves until the engine is asked to stop; then what is under way gets a moment.
pub async fn serve(engine: Arc<Engine>, mut listener: UnixListener) {
    let mut presence = Presence::of(&engine.socket, engine.store.dir());
    let app = routes::router(engine.clone());
    let crowd = Arc::new(Crowd::new(CONNECTIONS));
    let doorstep = Arc::new(Semaphore::new(TURNED_AWAY));
    let armed = |at| engine.leases.is_armed(at, engine.now_us());
    let tasks = tokio_util::task::TaskTracker::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = engine.stopped() => break,
            () = presence.disturbed() => {
                // Connections that are there go on; the old listener has no name any more.
                if let Some(again) = presence.mend(&engine).await {
                    listener = again;
                }
                continue;
            }
        };
        let stream = match stream {
            Ok((stream, _)) => stream,
            Err(e) => {
                // Out of descriptors: somebody who is here must leave first.
                tracing::warn!("a client could not be taken: {e}");
                crowd.send_away(armed);
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if !crowd.has_room(armed) {
            tracing::warn!("a client was turned away: {CONNECTIONS} are here, and all of them at work");
            if let Ok(place) = doorstep.clone().try_acquire_owned() {
                tasks.spawn(async move {
                    let _place = place;
                    let _ = tokio::time::timeout(PATIENCE, turn_away(stream)).await;
                });
            }
            continue;
        }
        let peer = match stream.peer_cred() {
            Ok(c) => engine.people.peer(Peer { pid: c.pid(), uid: c.uid(), gid: c.gid(), login_uid: None }),
            Err(e) => {
                tracing::warn!("a client without credentials was dropped: {e}");
                continue;
            }
        };
        let link = engine.leases.open();
        let service = TowerToHyperService::new(app.clone().layer(Extension(peer)).layer(Extension(link)));
        let pulse = Arc::new(Pulse::default());
        let leave = crowd.enter(link, pulse.clone());
        let (engine, crowd) = (engine.clone(), crowd.clone());
        tasks.spawn(async move {
            let connection = pace::connection(stream, service, HEAD, pulse);
            tokio::pin!(connection);
            tokio::select! {
                // A client that goes away is no event.
                _ = connection.as_mut() => {}
                () = async { tokio::select! { () = engine.stopped() => {}, () = leave.notified() => {} } } => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
            crowd.left(link);
            lease::closed(&engine, link).await;
        });
    }
    tasks.close();
    let _ = tokio::time::timeout(GRACE, tasks.wait()).await;
    presence.remove();
}
