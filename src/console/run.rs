//! The event loop: one message in, then all that wait, then at most one frame, in one write. The first frame waits for nobody.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::edge::{self, link, link::Address};
use super::edit::{self, Desk};
use super::log;
use super::model::{Link, Mode, Model};
use super::msg::{Effect, LinkMsg, Msg};
use super::restore;
use super::rhythm::Rhythm;
use super::saved::Saved;
use super::session::Session;
use super::term::attention::Attention;
use super::term::keys::{Parser, Token};
use super::term::signals::{Event, Signals};
use super::term::tty::Terminal;
use super::update;
use super::views;
use super::watch::Reload;
use crate::base::clock::Clock;
use crate::base::sys;
use crate::theme::Look;

/// Messages that wait at most; the link waits when the console is behind.
const INBOX: usize = 256;
/// Nobody answers a question so soon after it was shown: what comes within this was typed before, and is still on its way.
const SETTLE: Duration = Duration::from_millis(150);
/// The editor ends with the terminal, a moment before or after us.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// What a notice is shown for, and a moment more: the tick after it takes it away.
const NOTICE: i64 = 20_050;

/// Makes the engine answer, where that is for the console to do: behind the first frame. Its error says why there is none.
pub type Prepare<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + 'a>>;

/// A look by its name; or why it cannot be had, on one line.
pub type Choose<'a> = Box<dyn Fn(&str) -> Result<Look, String> + 'a>;

/// Whether a site of this name could be opened in the place of this one, or why not.
pub type Openable<'a> = Box<dyn Fn(&str) -> Result<(), String> + 'a>;

/// Who answers the console.
pub enum Source<'a> {
    Engine {
        address: Address,
        prepare: Option<Prepare<'a>>,
    },
    File(Saved),
    /// Nobody: the welcome page asks nothing.
    Nobody,
}

/// All that a console is opened with.
pub struct Opening<'a> {
    pub model: Model,
    pub look: Look,
    pub attention: Attention,
    /// URLs that the engine vouches for are links (OSC 8).
    pub links: bool,
    /// The terminal may be asked what it is.
    pub asks: bool,
    /// Neither the site nor the environment says which theme: what is behind the text, as the terminal tells it, may.
    pub by_background: bool,
    /// Where a person's place is kept while nobody looks.
    pub place: Option<PathBuf>,
    /// Where saved views are kept.
    pub views: Option<PathBuf>,
    pub source: Source<'a>,
    /// Looks that may change while it is open.
    pub reload: Reload<'a>,
    /// The look of a name, kept from then on, for `:theme`.
    pub choose: Choose<'a>,
    /// Whether a site of this name could be opened in the place of this one, or why not.
    pub site: Openable<'a>,
    /// For the pages of pipelines.
    pub desk: Arc<Desk>,
}

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

/// Opens the console and serves until it is quit or its terminal is gone. Needs a tokio runtime.
pub async fn run(opening: Opening<'_>, clock: &dyn Clock) -> Result<Left, ConsoleError> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(ConsoleError::NoTerminal);
    }
    serve(opening, Terminal::own()?, clock, &|_| {}).await
}

/// The same on this terminal. `turn` is told where the loop stands whenever it waits.
pub async fn serve(opening: Opening<'_>, terminal: Terminal, clock: &dyn Clock, turn: &dyn Fn(Turn)) -> Result<Left, ConsoleError> {
    let Opening { model, look, attention, links, asks, by_background, place, views, source, reload, choose, site, desk } = opening;
    let Terminal { input, output, mut signals, take: order } = terminal;
    let (mut address, mut prepare, archive) = match source {
        Source::Engine { address, prepare } => (Some(address), prepare, None),
        Source::File(saved) => (None, None, Some(saved)),
        Source::Nobody => (None, None, None),
    };
    let (orders, mut inbox) = {
        let (tx, rx) = mpsc::channel(INBOX);
        (tx, Some(rx))
    };
    let (logs, mut log_inbox) = {
        let (tx, rx) = mpsc::channel(INBOX);
        (tx, Some(rx))
    };
    let (tell, mut told) = mpsc::channel(INBOX);
    let (pages, page_inbox) = mpsc::channel(INBOX);
    tokio::spawn(edge::page::serve(desk.clone(), page_inbox, tell.clone()));
    let outward = Outward { orders, logs, pages, views };
    let mut session = Session::open(model, look, attention, output, order)?;
    (session.links, session.asks) = (links, asks);
    if archive.is_some() {
        take(&mut session, [Msg::Tick(clock.now())], &outward, archive.as_ref(), clock);
    }
    session.first()?;
    let mut typed = Typed::default();
    // The frame that shows a question, and when what was typed before it has been read.
    let mut settled: Option<(u64, tokio::time::Instant)> = None;
    // A pipeline whose text is not ours to keep, as its editor may still write it.
    let mut untouched: Option<String> = None;
    let mut next_site: Option<String> = None;
    let left = loop {
        if prepare.is_none()
            && let (Some(address), Some(inbox), Some(log_inbox)) = (address.take(), inbox.take(), log_inbox.take())
        {
            tokio::spawn(edge::log::serve(address.clone(), log_inbox, tell.clone()));
            tokio::spawn(link::serve(address, inbox, tell.clone()));
        }
        let mut waiting: Vec<Msg> = Vec::new();
        let Ok(drawn) = session.draw() else { break Left::Lost };
        if drawn {
            settled = match &session.model.dialog {
                Some(d) if !d.shown => settled.filter(|(frame, _)| *frame >= d.since).or_else(|| Some((session.frame(), settle()))),
                _ => None,
            };
        }
        // What waits there is older than whatever else may come now.
        if !input.drain(&mut typed.bytes).unwrap_or(false) {
            break Left::Lost;
        }
        typed.read(&mut session, clock, &mut waiting);
        if waiting.is_empty() {
            let (pause, draw_in, part) = (pause(&session.model, clock.now()), session.draw_in(), typed.parser.waits());
            let soon = [draw_in.is_some(), part.is_some(), session.output.busy(), settled.is_some(), prepare.is_some()];
            let busy = update::outstanding(&session.model) + told.len() + soon.into_iter().filter(|s| *s).count();
            turn(Turn { read: typed.read, written: session.output.bytes, busy });
            let msg = tokio::select! {
                biased;
                event = signals.next() => match event {
                    Event::End | Event::Interrupt => break Left::Told,
                    Event::HangUp => break Left::Lost,
                    Event::Stop => { session.suspend()?; None }
                    Event::Continue => { session.back()?; None }
                    Event::Size => session.resized(),
                },
                alive = input.read(&mut typed.bytes) => match alive {
                    Ok(true) => None,
                    // The terminal is gone: so is the console, and nothing else.
                    Ok(false) | Err(_) => break Left::Lost,
                },
                taken = session.output.flush(), if session.output.busy() => match taken {
                    Ok(()) => { session.taken(); None }
                    Err(_) => break Left::Lost,
                },
                ready = ready(&mut prepare), if prepare.is_some() => {
                    prepare = None;
                    ready.err().map(|why| Msg::Link(LinkMsg::Down(why)))
                }
                () = reload.changed() => { session.reread(reload.read.as_ref()()); None }
                msg = told.recv() => msg,
                () = tokio::time::sleep(draw_in.unwrap_or_default()), if draw_in.is_some() => None,
                () = tokio::time::sleep(part.unwrap_or_default()), if part.is_some() => {
                    typed.flush();
                    None
                }
                frame = shown(settled) => {
                    settled = None;
                    Some(Msg::Shown(frame))
                }
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => Some(Msg::Tick(clock.now())),
            };
            typed.read(&mut session, clock, &mut waiting);
            waiting.extend(msg);
            while let Ok(msg) = told.try_recv() {
                waiting.push(msg);
            }
        }
        if waiting.iter().any(|m| matches!(m, Msg::Key { .. } | Msg::Burst(_))) {
            // It may have been typed before the frame was there: the wait begins anew, for as long as it takes.
            settled = settled.map(|(frame, _)| (frame, settle()));
        }
        if let Some(stats) = &mut session.model.debug {
            stats.inbox = waiting.len() + told.len();
            stats.orders = outward.orders.max_capacity() - outward.orders.capacity();
        }
        let after = take(&mut session, waiting, &outward, archive.as_ref(), clock);
        if session.probe.light.take() == Some(true)
            && by_background
            && let Ok(light) = choose("light")
        {
            session.wear(light);
        }
        if let Some(name) = session.wanted.take() {
            let chosen = choose(&name);
            let there = chosen.is_ok();
            session.look(chosen);
            if there {
                session.model.say(format!("this is the theme {name}; console.theme in site.toml keeps it"));
            }
        }
        match after {
            Some(Effect::Suspend) => session.suspend()?,
            Some(Effect::Site(name)) => match site(&name) {
                Ok(()) => {
                    next_site = Some(name);
                    break Left::Quit;
                }
                Err(why) => {
                    session.model.complain(format!("site {name}: {why}"));
                    session.dirty = true;
                }
            },
            Some(Effect::Editor { name, text }) => match elsewhere(&mut session, &mut signals, &desk, &name, &text).await? {
                Ok(got) => {
                    let msg = Msg::Page(Box::new(edit::Told { name, got }));
                    take(&mut session, [msg], &outward, archive.as_ref(), clock);
                }
                Err((left, got)) => {
                    // What cannot be read now stays where it lies.
                    untouched = got.is_none().then(|| name.clone());
                    let told = got.map(|got| Msg::Page(Box::new(edit::Told { name, got })));
                    take(&mut session, told, &outward, archive.as_ref(), clock);
                    break left;
                }
            },
            Some(_) => break Left::Quit,
            None => {}
        }
    };
    keep(&session.model, &desk, untouched.as_deref());
    if left == Left::Quit {
        // An answer of the terminal that is still on its way would be read by the shell.
        while let Some(rest) = session.probe.linger(Instant::now()) {
            match tokio::time::timeout(rest, input.read(&mut typed.bytes)).await {
                Ok(Ok(true)) => typed.read(&mut session, clock, &mut Vec::new()),
                _ => break,
            }
        }
    }
    match (&place, &left) {
        (Some(path), Left::Quit | Left::Site(_)) => restore::forget(path),
        (Some(path), Left::Told | Left::Lost) => restore::keep(path, &session.model),
        (None, _) => {}
    }
    session.close();
    Ok(next_site.map_or(left, Left::Site))
}

/// The person's own editor has the terminal. The text lies where unsaved texts are kept, so that nothing that happens to either loses it.
async fn elsewhere(
    session: &mut Session,
    signals: &mut Signals,
    desk: &Desk,
    name: &str,
    text: &str,
) -> io::Result<Result<edit::Got, (Left, Option<edit::Got>)>> {
    let failed = |why: String| Ok(Ok(edit::Got::Failed { why, closed: false }));
    let place = match edit::drafts::keep(&desk.drafts, name, desk.pid, text) {
        Ok(place) => place,
        Err(e) => return failed(format!("{} cannot be written for the editor: {e}", desk.drafts.display())),
    };
    let words = match edit::editor::words(|n| std::env::var(n).ok()) {
        Ok(words) => words,
        Err(why) => return failed(why),
    };
    session.leave();
    let mut child = match edit::editor::start(&words, &place) {
        Ok(child) => child,
        Err(why) => {
            session.enter()?;
            return failed(why);
        }
    };
    let status = loop {
        tokio::select! {
            biased;
            event = signals.next() => match event {
                // The editor was stopped, and the shell is to have the terminal until both go on.
                Event::Stop => sys::stop_group()?,
                // The console ends, and has what the editor has written so far.
                Event::End | Event::HangUp => {
                    let _ = tokio::time::timeout(LAST_WORDS, child.wait()).await;
                    let got = edit::drafts::read(&place).ok().map(|t| edit::Got::Edited(edit::order::Shape::of(&t).1));
                    return Ok(Err((if event == Event::End { Left::Told } else { Left::Lost }, got)));
                }
                Event::Interrupt | Event::Continue | Event::Size => {}
            },
            status = child.wait() => break status,
        }
    };
    session.enter()?;
    match (status, edit::drafts::read(&place)) {
        // One that was killed is no word of a person that the text is to stay as it was.
        (Ok(status), _) if status.code().is_some_and(|c| c != 0) => {
            failed(format!("`{}` ended badly ({status}); the text is as it was", words.join(" ")))
        }
        (Ok(_), Ok(text)) => Ok(Ok(edit::Got::Edited(edit::order::Shape::of(&text).1))),
        (Ok(_), Err(e)) => failed(format!("what the editor left cannot be read: {}: {e}", place.display())),
        (Err(e), _) => failed(format!("`{}`: {e}", words.join(" "))),
    }
}

/// Whatever ends the console, unsaved texts are kept. Where even that fails, the log is the only place left to say so.
fn keep(model: &Model, desk: &Desk, untouched: Option<&str>) {
    for page in model.pages.values().filter(|p| Some(p.name.as_str()) != untouched) {
        let kept = if page.unsaved() {
            edit::drafts::keep(&desk.drafts, &page.name, desk.pid, &page.text()).map(drop)
        } else {
            edit::drafts::forget(&desk.drafts, &page.name, desk.pid)
        };
        if let Err(e) = kept {
            tracing::error!(pipeline = %page.name, error = %e, "an unsaved text cannot be kept");
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
struct Typed {
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

/// Where orders go: to the link, and those of the log screen beside it.
struct Outward {
    orders: mpsc::Sender<Effect>,
    logs: mpsc::Sender<log::Order>,
    pages: mpsc::Sender<edit::Order>,
    /// Where saved views lie; none where nothing is kept.
    views: Option<PathBuf>,
}

/// Takes messages in, and does what follows from them. An effect that ends or stops the console is returned.
fn take(
    session: &mut Session,
    messages: impl IntoIterator<Item = Msg>,
    outward: &Outward,
    archive: Option<&Saved>,
    clock: &dyn Clock,
) -> Option<Effect> {
    let mut waiting: VecDeque<Msg> = messages.into_iter().collect();
    while let Some(msg) = waiting.pop_front() {
        // The clock of a saved state stands still.
        let now = archive.map_or_else(|| clock.now(), |a| a.saved_at);
        session.model.now = now;
        // That a frame was shown changes nothing that is seen.
        session.dirty |= !matches!(msg, Msg::Shown(_));
        session.keyed |=
            matches!(msg, Msg::Key { .. } | Msg::Burst(_) | Msg::Paste(_) | Msg::Resize { .. } | Msg::Click(_) | Msg::Wheel { .. });
        let msg = if matches!(msg, Msg::Tick(_)) { Msg::Tick(now) } else { msg };
        for effect in update(&mut session.model, msg) {
            match (effect, archive) {
                (end @ (Effect::Quit | Effect::Suspend | Effect::Editor { .. } | Effect::Site(_)), _) => return Some(end),
                // A terminal that is gone is seen by the next read.
                (Effect::Redraw, _) => drop(session.anew()),
                (Effect::Theme(name), _) => session.wanted = Some(name),
                // A terminal that is gone is seen by the next read.
                (Effect::Mouse(on), _) => drop(session.mouse(on)),
                (Effect::Views, _) => {
                    let kept = outward.views.as_ref().map(|path| views::write(path, &session.model.views));
                    if let Some(Err(why)) = kept {
                        session.model.complain(why);
                    }
                }
                (Effect::Dump(name), _) => session.dump(&name),
                // A terminal that is gone is seen by the next read.
                (Effect::Copy(text), _) => drop(session.copy(&text)),
                // Each order is taken at once; a full queue means that the console is about to end.
                (Effect::Log(order), None) => drop(outward.logs.try_send(order)),
                (Effect::Log(_), Some(_)) => {}
                (Effect::Page(order), None) => {
                    if let Err(e) = outward.pages.try_send(*order) {
                        let name = e.into_inner().name;
                        let got = edit::Got::Failed { why: "the disk is behind: once more in a moment".into(), closed: false };
                        waiting.push_back(Msg::Page(Box::new(edit::Told { name, got })));
                    }
                }
                // The pages of a saved state ask for nothing.
                (Effect::Page(_), Some(_)) => {}
                (Effect::Ask(question), Some(saved)) => {
                    let result = saved.answer(&question);
                    waiting.push_back(Msg::Answer { question, result });
                }
                (order @ (Effect::Do(_) | Effect::Arm(_) | Effect::Disarm), Some(_)) => {
                    waiting.extend(link::refusal(order, "this is a saved state"));
                }
                (order @ (Effect::Ask(_) | Effect::Do(_) | Effect::Arm(_) | Effect::Disarm), None) => {
                    // The link takes orders as fast as it can; a full queue means that the screen has asked already.
                    if let Err(e) = outward.orders.try_send(order) {
                        waiting.extend(link::refusal(e.into_inner(), "the engine is behind with its answers"));
                    }
                }
            }
        }
    }
    None
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
