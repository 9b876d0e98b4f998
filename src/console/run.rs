//! The event loop: one message in, then all that wait, then at most one frame, in one write.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crossterm::event::EventStream;
use futures_util::StreamExt;
use jiff::Timestamp;
use ratatui::buffer::Buffer;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::link::{self, Address};
use super::model::{Mode, Model};
use super::msg::{Effect, Msg};
use super::rhythm::Rhythm;
use super::term::{guard, keys, paint};
use super::{shot, update};
use crate::base::clock::Clock;
use crate::theme::Look;

/// Messages that wait at most; the link waits when the console is behind.
const INBOX: usize = 256;
/// Frames come no faster.
const FRAME: Duration = Duration::from_millis(50);
/// Nobody answers a question so soon after it was shown: what comes within this was typed before, and is still on its way.
const SETTLE: Duration = Duration::from_millis(150);

/// Why the console could not be opened, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    #[error("standard input and output are no terminal")]
    NoTerminal,
    #[error("the terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// Opens the console and serves until it is quit or its terminal is gone. Needs a tokio runtime.
pub async fn run(mut model: Model, look: Look, address: Address, clock: &dyn Clock) -> Result<(), ConsoleError> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(ConsoleError::NoTerminal);
    }
    guard::restore_on_panic();
    let mut terminal = Some(guard::Guard::take()?);
    let (orders, inbox) = mpsc::channel(INBOX);
    let (tell, mut told) = mpsc::channel(INBOX);
    tokio::spawn(link::serve(address, inbox, tell));
    let mut signals = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()].map(signal);
    let mut events = EventStream::new();
    let (width, height) = crossterm::terminal::size()?;
    model.size = (width, height);
    let mut shown: Option<Buffer> = None;
    let mut rhythm = Rhythm::default();
    // The frame that shows a question, and when what was typed before it has been read.
    let mut settled: Option<(u64, tokio::time::Instant)> = None;
    loop {
        draw(&model, &look, &mut shown)?;
        settled = match &model.dialog {
            Some(d) if !d.shown => settled.filter(|(frame, _)| *frame >= d.since).or_else(|| Some((model.frame, settle()))),
            _ => None,
        };
        let [term, hup, int] = &mut signals;
        let ended = async {
            tokio::select! {
                () = arrived(term) => {}
                () = arrived(hup) => {}
                () = arrived(int) => {}
            }
        };
        let msg = tokio::select! {
            biased;
            () = ended => return Ok(()),
            event = events.next() => match event {
                // The terminal is gone: so is the console, and nothing else.
                None | Some(Err(_)) => return Ok(()),
                Some(Ok(event)) => match keys::message(event) {
                    Some(Msg::Key { key, repeat }) => {
                        // It may have been typed before the frame was there: the wait begins anew, for as long as it takes.
                        settled = settled.map(|(frame, _)| (frame, settle()));
                        Some(rhythm.take(key, repeat, clock.now()))
                    }
                    other => other,
                },
            },
            frame = ready(settled) => {
                settled = None;
                Some(Msg::Shown(frame))
            }
            msg = told.recv() => msg,
            () = tokio::time::sleep(pause(&model, clock.now())) => Some(Msg::Tick(clock.now())),
        };
        let mut waiting: Vec<Msg> = msg.into_iter().collect();
        while let Ok(msg) = told.try_recv() {
            waiting.push(msg);
        }
        for msg in waiting {
            model.now = clock.now();
            for effect in update(&mut model, msg) {
                match effect {
                    Effect::Quit => return Ok(()),
                    Effect::Suspend => {
                        drop(terminal.take());
                        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP);
                        terminal = Some(guard::Guard::take()?);
                        shown = None;
                    }
                    Effect::Copy(text) => copy(&mut model, &text)?,
                    order @ (Effect::Ask(_) | Effect::Do(_) | Effect::Arm(_) | Effect::Disarm) => {
                        // The link takes orders as fast as it can; a full queue means that the screen has asked already.
                        if let Err(e) = orders.try_send(order)
                            && let Some(msg) = link::refusal(e.into_inner(), "the engine is behind with its answers")
                        {
                            update(&mut model, msg);
                        }
                    }
                }
            }
        }
        tokio::time::sleep(FRAME.min(Duration::from_millis(5))).await;
    }
}

fn settle() -> tokio::time::Instant {
    tokio::time::Instant::now() + SETTLE
}

/// The frame, once its time has come.
async fn ready(settled: Option<(u64, tokio::time::Instant)>) -> u64 {
    match settled {
        Some((frame, at)) => {
            tokio::time::sleep_until(at).await;
            frame
        }
        None => std::future::pending().await,
    }
}

async fn arrived(signal: &mut io::Result<tokio::signal::unix::Signal>) {
    match signal {
        Ok(s) => {
            s.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Until the clock of the first row, or a countdown, changes.
fn pause(model: &Model, now: Timestamp) -> Duration {
    let busy = matches!(model.mode, Mode::Armed { .. }) || model.notice.is_some() || model.status().is_some_and(|s| s.runs_running > 0);
    let step = if busy { 1_000 } else { 60_000 };
    let into = now.as_millisecond().rem_euclid(step);
    Duration::from_millis(u64::try_from(step - into).unwrap_or(1_000))
}

fn draw(model: &Model, look: &Look, shown: &mut Option<Buffer>) -> io::Result<()> {
    let next = shot::draw(model, look);
    let bytes = paint::bytes(shown.as_ref(), &next);
    if !bytes.is_empty() {
        let mut out = io::stdout().lock();
        out.write_all(bytes.as_bytes())?;
        out.flush()?;
    }
    *shown = Some(next);
    Ok(())
}

/// OSC 52, wrapped for tmux and screen. Larger texts are not sent: terminals drop them without a word.
fn copy(model: &mut Model, text: &str) -> io::Result<()> {
    use base64::Engine;
    const MOST: usize = 74_000;
    let coded = base64::engine::general_purpose::STANDARD.encode(text);
    if coded.len() > MOST {
        model.complain("too long for the clipboard");
        return Ok(());
    }
    let plain = format!("\u{1b}]52;c;{coded}\u{7}");
    let sent = match (std::env::var_os("TMUX").is_some(), std::env::var("TERM").unwrap_or_default().starts_with("screen")) {
        (true, _) => format!("\u{1b}Ptmux;{}\u{1b}\\", plain.replace('\u{1b}', "\u{1b}\u{1b}")),
        (false, true) => format!("\u{1b}P{plain}\u{1b}\\"),
        (false, false) => plain,
    };
    guard::write(&sent)?;
    model.say(format!("copied: {text}"));
    Ok(())
}
