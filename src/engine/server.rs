//! Serves the socket: one task a connection; how many is bounded.

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
use super::{arm, pace};
use crate::api::ApiError;
use crate::api::error::ErrorBody;

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
    let armed = |at| engine.leases.is_armed(at, engine.clock.boot_us());
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
            arm::closed(&engine, link).await;
        });
    }
    tasks.close();
    let _ = tokio::time::timeout(GRACE, tasks.wait()).await;
    presence.remove();
}
