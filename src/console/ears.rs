//! What the event loop listens to: terminal, signals, engine, files and the clock. It waits until something has come, and takes in what waits.

use std::io;
use std::pin::Pin;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::model::{Link, Mode, Model};
use super::msg::{LinkMsg, Msg};
use super::rhythm::Rhythm;
use super::session::Session;
use super::term::keys::{Parser, Token};
use super::term::signals::{Event, Signals};
use super::term::tty::Input;
use super::update;
use super::watch::Reload;
use crate::base::clock::Clock;

/// Nobody answers a question so soon after it was shown: what comes within this was typed before, and is still on its way.
const SETTLE: Duration = Duration::from_millis(150);
/// What a notice is shown for, and a moment more: the tick after it takes it away.
const NOTICE: i64 = 20_050;

/// Makes the engine answer, where that is for the console to do: behind the first frame. Its error says why there is none.
pub type Prepare<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + 'a>>;

/// How the console was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// By the person.
    Quit,
    /// By the person, for the console of another site.
    Site(String),
    /// By a signal that asks for the end.
    Told,
    /// Its terminal is gone.
    Lost,
}

/// Why the console could not be opened, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    #[error("standard input and output are no terminal")]
    NoTerminal,
    #[error("the terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// Where the loop stands whenever it waits, for who drives it without a person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    /// Bytes that were read from the terminal, and that it has taken.
    pub read: u64,
    pub written: u64,
    /// Answers, frames and moments that are still to come before the screen stands still.
    pub busy: usize,
}

/// All that the loop listens to.
pub struct Ears<'a> {
    pub input: Input,
    pub signals: Signals,
    pub told: mpsc::Receiver<Msg>,
    pub prepare: Option<Prepare<'a>>,
    pub reload: Reload<'a>,
    pub typed: Typed,
    /// The frame that shows a question, and when what was typed before it has been read.
    pub settled: Option<(u64, tokio::time::Instant)>,
}

impl Ears<'_> {
    /// A frame was drawn: where it is the first that shows a question, that counts from now.
    pub fn drawn(&mut self, session: &Session) {
        self.settled = match &session.model.dialog {
            Some(d) if !d.shown => self.settled.filter(|(frame, _)| *frame >= d.since).or_else(|| Some((session.frame(), settle()))),
            _ => None,
        };
    }

    /// What has come; where nothing has, it waits for it. Or why the console ends.
    pub async fn hear(
        &mut self,
        session: &mut Session,
        clock: &dyn Clock,
        turn: &dyn Fn(Turn),
    ) -> Result<Result<Vec<Msg>, Left>, ConsoleError> {
        let mut waiting: Vec<Msg> = Vec::new();
        // What waits there is older than whatever else may come now.
        if !self.input.drain(&mut self.typed.bytes).unwrap_or(false) {
            return Ok(Err(Left::Lost));
        }
        self.typed.read(session, clock, &mut waiting);
        if waiting.is_empty() {
            let msg = match self.wait(session, clock, turn).await? {
                Ok(msg) => msg,
                Err(left) => return Ok(Err(left)),
            };
            self.typed.read(session, clock, &mut waiting);
            waiting.extend(msg);
            while let Ok(msg) = self.told.try_recv() {
                waiting.push(msg);
            }
        }
        if waiting.iter().any(|m| matches!(m, Msg::Key { .. } | Msg::Burst(_))) {
            // It may have been typed before the frame was there: the wait begins anew, for as long as it takes.
            self.settled = self.settled.map(|(frame, _)| (frame, settle()));
        }
        Ok(Ok(waiting))
    }

    /// Until something comes. What was typed is left to be read.
    async fn wait(
        &mut self,
        session: &mut Session,
        clock: &dyn Clock,
        turn: &dyn Fn(Turn),
    ) -> Result<Result<Option<Msg>, Left>, ConsoleError> {
        let (pause, draw_in, part) = (pause(&session.model, clock.now()), session.draw_in(), self.typed.parser.waits());
        let soon = [draw_in.is_some(), part.is_some(), session.output.busy(), self.settled.is_some(), self.prepare.is_some()];
        let busy = update::outstanding(&session.model) + self.told.len() + soon.into_iter().filter(|s| *s).count();
        turn(Turn { read: self.typed.read, written: session.output.bytes, busy });
        let msg = tokio::select! {
            biased;
            event = self.signals.next() => match event {
                Event::End | Event::Interrupt => return Ok(Err(Left::Told)),
                Event::HangUp => return Ok(Err(Left::Lost)),
                Event::Stop => { session.suspend()?; None }
                Event::Continue => { session.back()?; None }
                Event::Size => session.resized(),
            },
            alive = self.input.read(&mut self.typed.bytes) => match alive {
                Ok(true) => None,
                // The terminal is gone: so is the console, and nothing else.
                Ok(false) | Err(_) => return Ok(Err(Left::Lost)),
            },
            taken = session.output.flush(), if session.output.busy() => match taken {
                Ok(()) => { session.taken(); None }
                Err(_) => return Ok(Err(Left::Lost)),
            },
            ready = ready(&mut self.prepare), if self.prepare.is_some() => {
                self.prepare = None;
                ready.err().map(|why| Msg::Link(LinkMsg::Down(why)))
            }
            () = self.reload.changed() => { session.reread(self.reload.read.as_ref()()); None }
            msg = self.told.recv() => msg,
            () = tokio::time::sleep(draw_in.unwrap_or_default()), if draw_in.is_some() => None,
            () = tokio::time::sleep(part.unwrap_or_default()), if part.is_some() => {
                self.typed.flush();
                None
            }
            frame = shown(self.settled) => {
                self.settled = None;
                Some(Msg::Shown(frame))
            }
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => Some(Msg::Tick(clock.now())),
        };
        Ok(Ok(msg))
    }

    /// An answer of the terminal that is still on its way would be read by the shell.
    pub async fn linger(&mut self, session: &mut Session, clock: &dyn Clock) {
        while let Some(rest) = session.probe.linger(Instant::now()) {
            match tokio::time::timeout(rest, self.input.read(&mut self.typed.bytes)).await {
                Ok(Ok(true)) => self.typed.read(session, clock, &mut Vec::new()),
                _ => break,
            }
        }
    }
}

async fn ready(prepare: &mut Option<Prepare<'_>>) -> Result<(), String> {
    match prepare {
        Some(work) => work.await,
        None => Ok(()),
    }
}

fn settle() -> tokio::time::Instant {
    tokio::time::Instant::now() + SETTLE
}

/// The frame, once its time has come.
async fn shown(settled: Option<(u64, tokio::time::Instant)>) -> u64 {
    match settled {
        Some((frame, at)) => {
            tokio::time::sleep_until(at).await;
            frame
        }
        None => std::future::pending().await,
    }
}

/// What came from the terminal and is not a message yet.
#[derive(Debug, Default)]
pub struct Typed {
    bytes: Vec<u8>,
    /// How many there were in all.
    read: u64,
    parser: Parser,
    tokens: Vec<Token>,
    rhythm: Rhythm,
}

impl Typed {
    /// Bytes as messages; what the terminal says of itself goes to the session.
    fn read(&mut self, session: &mut Session, clock: &dyn Clock, to: &mut Vec<Msg>) {
        self.parser.feed(&self.bytes, &mut self.tokens);
        self.read += self.bytes.len() as u64;
        self.bytes.clear();
        for token in self.tokens.drain(..) {
            match token {
                Token::Key(_) if session.away() => {}
                Token::Key(key) => to.push(self.rhythm.take(key, false, clock.now())),
                Token::Paste(text) => to.push(Msg::Paste(text)),
                Token::Mouse(mouse) => to.extend(session.pointed(mouse)),
                Token::Reply(reply) => {
                    session.probe.hear(reply, Instant::now());
                    session.heard();
                }
            }
        }
    }

    /// Nothing followed what had begun.
    fn flush(&mut self) {
        self.parser.flush(&mut self.tokens);
    }
}

/// Until the clock of the first row, a countdown or an age changes; none where nothing does. While nothing goes on that is once a minute.
fn pause(model: &Model, now: Timestamp) -> Option<Duration> {
    if model.welcome || matches!(model.link, Link::Saved { .. }) {
        return None;
    }
    let now_ms = now.as_millisecond();
    let busy = matches!(model.mode, Mode::Armed { .. }) || model.anything_fresh() || model.status().is_some_and(|s| s.runs_running > 0);
    let step = if busy { 1_000 } else { 60_000 };
    let clock = step - now_ms.rem_euclid(step);
    let notice = model.notice.as_ref().map(|n| (n.at.as_millisecond() + NOTICE - now_ms).max(50));
    let ms = notice.map_or(clock, |n| n.min(clock));
    let ms = Duration::from_millis(u64::try_from(ms).unwrap_or(1_000));
    let ms = super::update::beside::wakes_in(model).map_or(ms, |rest| ms.min(rest + Duration::from_millis(1)));
    // What was held back is asked a moment after its time has come, or it would be held back once more.
    Some(super::update::asks_in(model).map_or(ms, |asks| ms.min(asks + Duration::from_millis(1))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Site;
    use crate::console::keymap::Keymap;
    use jiff::tz::TimeZone;

    #[test]
    fn an_idle_console_wakes_for_its_clock_alone() {
        let now: Timestamp = "2026-04-07T03:07:10Z".parse().unwrap();
        let mut model = Model::new(Site { name: "s".into(), demo: false, zone: TimeZone::UTC }, Keymap::default(), now, (80, 24));
        assert_eq!(pause(&model, now), Some(Duration::from_secs(50)), "to the full minute");
        model.say("something");
        assert_eq!(pause(&model, now), Some(Duration::from_millis(20_050)), "then the notice goes");
        model.notice = None;
        model.mode = Mode::Armed { until: now, reason: String::new(), lease: 1 };
        assert_eq!(pause(&model, now), Some(Duration::from_secs(1)), "a countdown");
        model.link = Link::Saved { at: now };
        assert_eq!(pause(&model, now), None, "a saved state never changes");
    }
}
