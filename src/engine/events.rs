//! The event stream: `change` with a change set, `reset` where the client must read everything again. Ids are `EPOCH.REVISION`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::model::{Held, Position, Start};
use super::state::Engine;

/// Between changes the client sees that the engine lives. Seldom: each wakes the console of everybody who looks on.
const BEAT: Duration = Duration::from_secs(60);

struct Listener {
    engine: Arc<Engine>,
    waiting: VecDeque<Event>,
    receiver: Receiver<Arc<Held>>,
}

/// The stream from a position on; without one it begins with `reset`.
pub fn stream(engine: Arc<Engine>, from: Option<Position>) -> Response {
    let (start, receiver) = engine.model.join(from);
    let epoch = engine.model.position().epoch;
    let waiting = match start {
        Start::Since(sets) => sets.iter().map(|s| change(epoch, s)).collect(),
        Start::Reset(position) => VecDeque::from([reset(position)]),
    };
    let listener = Listener { engine, waiting, receiver };
    let events = unfold(listener, move |mut l| async move {
        if let Some(event) = l.waiting.pop_front() {
            return Some((Ok::<_, Infallible>(event), l));
        }
        let event = tokio::select! {
            received = l.receiver.recv() => match received {
                Ok(set) => change(epoch, &set),
                // Too slow: what it missed is not kept for it.
                Err(RecvError::Lagged(_)) => {
                    let (start, receiver) = l.engine.model.join(None);
                    l.receiver = receiver;
                    match start {
                        Start::Reset(position) => reset(position),
                        Start::Since(_) => return None,
                    }
                }
                Err(RecvError::Closed) => return None,
            },
            () = l.engine.stopped() => return None,
        };
        Some((Ok(event), l))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(BEAT)).into_response()
}

fn change(epoch: u64, set: &Held) -> Event {
    let id = Position { epoch, revision: set.revision }.to_string();
    Event::default().event("change").id(id).data(&set.text)
}

fn reset(position: Position) -> Event {
    let text = json!({"epoch": position.epoch, "revision": position.revision}).to_string();
    Event::default().event("reset").id(position.to_string()).data(text)
}
