//! The event loop: one message in, then all that wait, then at most one frame, in one write. The first frame waits for nobody.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::ears::{Ears, Typed};
use super::edge::{self, link, link::Address};
use super::edit::{self, Desk};
use super::log;
use super::model::Model;
use super::msg::{Effect, Msg};
use super::restore;
use super::saved::Saved;
use super::session::Session;
use super::term::attention::Attention;
use super::term::signals::{Event, Signals};
use super::term::tty::Terminal;
use super::update;
use super::views;
use super::watch::Reload;
use crate::base::clock::Clock;
use crate::base::sys;
use crate::theme::Look;

pub use super::ears::{ConsoleError, Left, Prepare, Turn};

/// Messages that wait at most; the link waits when the console is behind.
const INBOX: usize = 256;
/// The editor ends with the terminal, a moment before or after us.
const LAST_WORDS: Duration = Duration::from_millis(500);

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
    let Terminal { input, output, signals, take: order } = terminal;
    let (mut address, prepare, archive) = match source {
        Source::Engine { address, prepare } => (Some(address), prepare, None),
        Source::File(saved) => (None, None, Some(saved)),
        Source::Nobody => (None, None, None),
    };
    let (tell, told) = mpsc::channel(INBOX);
    let (outward, inboxes) = Outward::open(views);
    tokio::spawn(edge::page::serve(desk.clone(), inboxes.pages, tell.clone()));
    let mut unheard = Some((inboxes.orders, inboxes.logs));
    let mut session = Session::open(model, look, attention, output, order)?;
    (session.links, session.asks) = (links, asks);
    let hands = Hands { outward, archive, clock, site, desk };
    if hands.archive.is_some() {
        hands.take(&mut session, [Msg::Tick(clock.now())]);
    }
    session.first()?;
    let mut ears = Ears { input, signals, told, prepare, reload, typed: Typed::default(), settled: None };
    let (left, untouched) = loop {
        if ears.prepare.is_none()
            && let (Some(address), Some((orders, logs))) = (address.take(), unheard.take())
        {
            tokio::spawn(edge::log::serve(address.clone(), logs, tell.clone()));
            tokio::spawn(link::serve(address, orders, tell.clone()));
        }
        let Ok(drawn) = session.draw() else { break (Left::Lost, None) };
        if drawn {
            ears.drawn(&session);
        }
        let waiting = match ears.hear(&mut session, clock, turn).await? {
            Ok(waiting) => waiting,
            Err(left) => break (left, None),
        };
        if let Some(stats) = &mut session.model.debug {
            stats.inbox = waiting.len() + ears.told.len();
            stats.orders = hands.outward.orders.max_capacity() - hands.outward.orders.capacity();
        }
        let after = hands.take(&mut session, waiting);
        dress(&mut session, &choose, by_background);
        if let Some(effect) = after
            && let Some(end) = hands.follow(&mut session, &mut ears.signals, effect).await?
        {
            break end;
        }
    };
    keep(&session.model, &hands.desk, untouched.as_deref());
    let meant = matches!(left, Left::Quit | Left::Site(_));
    if meant {
        ears.linger(&mut session, clock).await;
    }
    match &place {
        Some(path) if meant => restore::forget(path),
        Some(path) => restore::keep(path, &session.model),
        None => {}
    }
    session.close();
    Ok(left)
}

/// How the loop ends, and the pipeline whose text is not ours to keep, as its editor may still write it.
type End = (Left, Option<String>);

/// What carries out what the console decides.
struct Hands<'a> {
    outward: Outward,
    /// A saved state answers in the place of an engine.
    archive: Option<Saved>,
    clock: &'a dyn Clock,
    site: Openable<'a>,
    desk: Arc<Desk>,
}

impl Hands<'_> {
    fn take(&self, session: &mut Session, messages: impl IntoIterator<Item = Msg>) -> Option<Effect> {
        take(session, messages, &self.outward, self.archive.as_ref(), self.clock)
    }

    /// An effect that stops the console for a while, or for good.
    async fn follow(&self, session: &mut Session, signals: &mut Signals, effect: Effect) -> Result<Option<End>, ConsoleError> {
        match effect {
            Effect::Suspend => session.suspend()?,
            Effect::Site(name) => match (self.site)(&name) {
                Ok(()) => return Ok(Some((Left::Site(name), None))),
                Err(why) => {
                    session.model.complain(format!("site {name}: {why}"));
                    session.dirty = true;
                }
            },
            Effect::Editor { name, text } => match elsewhere(session, signals, &self.desk, &name, &text).await? {
                Ok(got) => drop(self.take(session, [Msg::Page(Box::new(edit::Told { name, got }))])),
                Err((left, got)) => {
                    // What cannot be read now stays where it lies.
                    let untouched = got.is_none().then(|| name.clone());
                    self.take(session, got.map(|got| Msg::Page(Box::new(edit::Told { name, got }))));
                    return Ok(Some((left, untouched)));
                }
            },
            _ => return Ok(Some((Left::Quit, None))),
        }
        Ok(None)
    }
}

/// The theme that the terminal's background asks for, where nobody else has said one; and the one that was asked for by name.
fn dress(session: &mut Session, choose: &Choose<'_>, by_background: bool) {
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

/// Where orders go: to the link, and those of the log screen beside it.
struct Outward {
    orders: mpsc::Sender<Effect>,
    logs: mpsc::Sender<log::Order>,
    pages: mpsc::Sender<edit::Order>,
    /// Where saved views lie; none where nothing is kept.
    views: Option<PathBuf>,
}

/// The other ends of it.
struct Inboxes {
    orders: mpsc::Receiver<Effect>,
    logs: mpsc::Receiver<log::Order>,
    pages: mpsc::Receiver<edit::Order>,
}

impl Outward {
    fn open(views: Option<PathBuf>) -> (Self, Inboxes) {
        let (orders, heard) = mpsc::channel(INBOX);
        let (logs, logs_heard) = mpsc::channel(INBOX);
        let (pages, pages_heard) = mpsc::channel(INBOX);
        (Self { orders, logs, pages, views }, Inboxes { orders: heard, logs: logs_heard, pages: pages_heard })
    }
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
