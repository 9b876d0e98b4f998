//! The connection to the engine: questions one after the other, a second connection for what changes, and trying again by itself.
//! The only code of the console that talks to an engine. It never starts one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::api::client::{ANSWER, Client, Lines, NoConnection, Trouble};
use crate::api::types::{Arm, Armed, ChangeSet, Do, Done};
use crate::api::{ApiError, Code};
use crate::console::msg::{Effect, LinkMsg, Msg, NOTHING_DONE};
use crate::console::question::Question;

/// How the engine is reached.
#[derive(Debug, Clone)]
pub struct Address {
    pub socket: PathBuf,
    pub uid: u32,
    pub shared: bool,
}

/// Pauses between tries, the last for ever.
const PAUSES_MS: [u64; 4] = [100, 500, 2_000, 5_000];
/// The stream of changes says something at least once a minute; an engine that hangs is noticed after this.
const QUIET: Duration = Duration::from_secs(150);

/// Reading two contents takes no longer in the engine.
const COMPARED: Duration = Duration::from_secs(660);

/// Serves until nobody asks any more. Messages go to `tell`; a console that is busy holds the engine's answers up, and nothing is lost.
pub async fn serve(address: Address, mut orders: mpsc::Receiver<Effect>, tell: mpsc::Sender<Msg>) {
    let mut tries = 0;
    loop {
        match both(&address).await {
            Ok((client, changes)) => {
                tries = 0;
                if tell.send(Msg::Link(LinkMsg::Up)).await.is_err() {
                    return;
                }
                let mut under_way = None;
                let why = tokio::select! {
                    end = questions(client, &address, &mut orders, &tell, &mut under_way) => match end {
                        Some(why) => why,
                        None => return,
                    },
                    why = follow(changes, &tell) => why,
                };
                // The stream of changes may break first: whoever waits for what became of a request is told that nobody knows.
                let left = under_way.take().and_then(|order| unknown(order, &why));
                if let Some(msg) = left
                    && tell.send(msg).await.is_err()
                {
                    return;
                }
                if tell.send(Msg::Link(LinkMsg::Down(why))).await.is_err() {
                    return;
                }
            }
            Err(why) => {
                if tell.send(Msg::Link(LinkMsg::Down(why))).await.is_err() {
                    return;
                }
            }
        }
        let pause = Duration::from_millis(PAUSES_MS[tries.min(PAUSES_MS.len() - 1)]);
        tries += 1;
        // What is ordered meanwhile goes to nobody: it is asked for again once there is an engine, and nothing that changes is kept for later.
        let _ = tokio::time::timeout(pause, refuse(&mut orders, &tell)).await;
        if orders.is_closed() && orders.is_empty() {
            return;
        }
    }
}

async fn refuse(orders: &mut mpsc::Receiver<Effect>, tell: &mpsc::Sender<Msg>) {
    while let Some(order) = orders.recv().await {
        if let Some(msg) = refusal(order, "there is no engine") {
            let _ = tell.send(msg).await;
        }
    }
}

/// What is told of a request that was sent and has no answer. It is never sent again: whether it was done, the screen shows once the engine is
/// back.
fn unknown(order: Effect, why: &str) -> Option<Msg> {
    match order {
        Effect::Do(request) => Some(Msg::Done { request, result: Err(not_known(why)) }),
        Effect::Arm(_) => Some(Msg::Armed(Err(not_known(why)))),
        Effect::Disarm => Some(Msg::Disarmed(Err(not_known(why)))),
        // A question is asked again by itself.
        _ => None,
    }
}

fn not_known(why: &str) -> ApiError {
    let message = format!("the engine went away in the middle ({why}): whether it was done is not known");
    ApiError::new(Code::NoEngine, message, "look before you try again")
}

/// What is told of an order that is not carried out; a question is asked again by itself.
pub fn refusal(order: Effect, why: &str) -> Option<Msg> {
    let error = || ApiError::no_engine(format!("{why}, and {NOTHING_DONE}"), "try again when it is back");
    match order {
        Effect::Do(request) => Some(Msg::Done { request, result: Err(error()) }),
        Effect::Arm(_) => Some(Msg::Armed(Err(error()))),
        Effect::Disarm => Some(Msg::Disarmed(Err(error()))),
        Effect::Ask(_)
        | Effect::Copy(_)
        | Effect::Dump(_)
        | Effect::Log(_)
        | Effect::Page(_)
        | Effect::Editor { .. }
        | Effect::Theme(_)
        | Effect::Site(_)
        | Effect::Views
        | Effect::Mouse(_)
        | Effect::Suspend
        | Effect::Redraw
        | Effect::Quit => None,
    }
}

async fn both(address: &Address) -> Result<(Client, Lines), String> {
    let client = connect(address).await?;
    let lines = connect(address).await?.lines("/v1/events").await.map_err(brief)?;
    Ok((client, lines))
}

/// Why, in so few words that the first rows have room for them.
fn brief(trouble: Trouble) -> String {
    match trouble {
        Trouble::Lost(why) | Trouble::Silent(why) => why,
        Trouble::Answer(e) => e.to_string(),
    }
}

/// A connection of its own; else why there is none, in words.
pub(super) async fn connect(address: &Address) -> Result<Client, String> {
    Client::connect(&address.socket, address.uid, address.shared).await.map_err(|e| match e {
        NoConnection::Absent => format!("no engine listens at {}", address.socket.display()),
        NoConnection::Refused(why) | NoConnection::Closed(why) | NoConnection::Silent(why) => why,
    })
}

/// Questions and requests, in order. None = nobody asks any more; else why the connection is of no use any more. `under_way`: what is sent and
/// not answered, should this be dropped in the middle.
async fn questions(
    mut client: Client,
    address: &Address,
    orders: &mut mpsc::Receiver<Effect>,
    tell: &mpsc::Sender<Msg>,
    under_way: &mut Option<Effect>,
) -> Option<String> {
    // What takes long must not keep a halt waiting behind it: it has a connection of its own. Dropped with this one.
    let mut slow = JoinSet::new();
    while let Some(order) = orders.recv().await {
        while slow.try_join_next().is_some() {}
        if matches!(order, Effect::Do(_) | Effect::Arm(_) | Effect::Disarm) {
            *under_way = Some(order.clone());
        }
        let (msg, lost) = match order {
            Effect::Ask(question @ (Question::Diff { .. } | Question::Brief { .. })) => {
                let (address, tell) = (address.clone(), tell.clone());
                slow.spawn(async move {
                    // Nobody listens any more where this fails.
                    let _ = tell.send(compare(&address, question).await).await;
                });
                continue;
            }
            Effect::Ask(question) => ask(&mut client, question).await,
            Effect::Do(request) => act(&mut client, request).await,
            Effect::Arm(wish) => arm(&mut client, wish).await,
            Effect::Disarm => disarm(&mut client).await,
            // For the terminal: `refusal` names them all, so that a new one is thought of.
            _ => continue,
        };
        *under_way = None;
        if tell.send(msg).await.is_err() {
            return None;
        }
        if lost.is_some() {
            return lost;
        }
    }
    None
}

/// Reads two contents, which may lie far away.
async fn compare(address: &Address, question: Question) -> Msg {
    let result = match connect(address).await {
        Ok(mut client) => {
            let answer: Result<Box<serde_json::value::RawValue>, Trouble> = client.get(&question.path(), COMPARED).await;
            answer.map_err(ApiError::from).and_then(|raw| question.read(raw.get().as_bytes()))
        }
        Err(why) => Err(ApiError::no_engine(why, "it is asked again with r")),
    };
    Msg::Answer { question, result }
}

async fn ask(client: &mut Client, question: Question) -> (Msg, Option<String>) {
    let answer: Result<Box<serde_json::value::RawValue>, Trouble> = client.get(&question.path(), ANSWER).await;
    let (result, lost) = match answer {
        Ok(raw) => (question.read(raw.get().as_bytes()), None),
        Err(trouble) => failed(trouble),
    };
    (Msg::Answer { question, result }, lost)
}

async fn act(client: &mut Client, request: Box<Do>) -> (Msg, Option<String>) {
    let answer: Result<Done, Trouble> = client.post("/v1/do", &*request, ANSWER).await;
    match answer {
        Ok(done) => (Msg::Done { request, result: Ok(done) }, None),
        Err(Trouble::Answer(e)) => (Msg::Done { request, result: Err(e) }, None),
        Err(Trouble::Lost(why) | Trouble::Silent(why)) => (Msg::Done { request, result: Err(not_known(&why)) }, Some(why)),
    }
}

/// The lease belongs to this connection, on which every request goes.
async fn arm(client: &mut Client, wish: Arm) -> (Msg, Option<String>) {
    let answer: Result<Armed, Trouble> = client.post("/v1/arm", &wish, ANSWER).await;
    let (result, lost) = answer.map_or_else(failed, |armed| (Ok(armed), None));
    (Msg::Armed(result), lost)
}

async fn disarm(client: &mut Client) -> (Msg, Option<String>) {
    let answer: Result<Done, Trouble> = client.post("/v1/disarm", &serde_json::json!({}), ANSWER).await;
    let (result, lost) = answer.map_or_else(failed, |done| (Ok(done), None));
    (Msg::Disarmed(result), lost)
}

fn failed<T>(trouble: Trouble) -> (Result<T, ApiError>, Option<String>) {
    let lost = match &trouble {
        Trouble::Lost(why) | Trouble::Silent(why) => Some(why.clone()),
        Trouble::Answer(_) => None,
    };
    (Err(trouble.into()), lost)
}

/// Reads the stream of changes until it ends, and says why it did.
async fn follow(mut lines: Lines, tell: &mpsc::Sender<Msg>) -> String {
    let mut event = String::new();
    loop {
        let line = match lines.next(QUIET).await {
            Ok(Some(line)) => line,
            Ok(None) => return "the engine ended the connection".into(),
            Err(e) => return brief(e),
        };
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches('\r');
        if let Some(name) = line.strip_prefix("event:") {
            name.trim().clone_into(&mut event);
        } else if let Some(data) = line.strip_prefix("data:") {
            let msg = match (event.as_str(), serde_json::from_str::<ChangeSet>(data.trim())) {
                ("change", Ok(set)) => LinkMsg::Changed(touched(set)),
                _ => LinkMsg::Reset,
            };
            if tell.send(Msg::Link(msg)).await.is_err() {
                return String::new();
            }
        }
    }
}

fn touched(set: ChangeSet) -> BTreeMap<String, Vec<String>> {
    let mut out: BTreeMap<String, Vec<String>> = set.upserts.into_iter().map(|(t, rows)| (t, rows.into_keys().collect())).collect();
    for (table, ids) in set.deletes {
        out.entry(table).or_default().extend(ids);
    }
    out
}
