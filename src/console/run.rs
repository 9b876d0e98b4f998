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
    let (orders, inbox) = mpsc::channel(INBOX);
    let (logs, log_inbox) = mpsc::channel(INBOX);
    let mut inboxes = Some((inbox, log_inbox));
    let (tell, told) = mpsc::channel(INBOX);
    let (pages, page_inbox) = mpsc::channel(INBOX);
    tokio::spawn(edge::page::serve(desk.clone(), page_inbox, tell.clone()));
    let outward = Outward { orders, logs, pages, views };
    let mut session = Session::open(model, look, attention, output, order)?;
    (session.links, session.asks) = (links, asks);
    if archive.is_some() {
        take(&mut session, [Msg::Tick(clock.now())], &outward, archive.as_ref(), clock);
    }
    session.first()?;
    let mut ears = Ears { input, signals, told, prepare, reload, typed: Typed::default(), settled: None };
    // A pipeline whose text is not ours to keep, as its editor may still write it.
    let mut untouched: Option<String> = None;
    let mut next_site: Option<String> = None;
    let left = loop {
        if ears.prepare.is_none()
            && let (Some(address), Some((inbox, log_inbox))) = (address.take(), inboxes.take())
        {
            tokio::spawn(edge::log::serve(address.clone(), log_inbox, tell.clone()));
            tokio::spawn(link::serve(address, inbox, tell.clone()));
        }
        let Ok(drawn) = session.draw() else { break Left::Lost };
        if drawn {
            ears.drawn(&session);
        }
        let waiting = match ears.hear(&mut session, clock, turn).await? {
            Ok(waiting) => waiting,
            Err(left) => break left,
        };
        if let Some(stats) = &mut session.model.debug {
            stats.inbox = waiting.len() + ears.told.len();
            stats.orders = outward.orders.max_capacity() - outward.orders.capacity();
        }
        let after = take(&mut session, waiting, &outward, archive.as_ref(), clock);
        dress(&mut session, &choose, by_background);
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
            Some(Effect::Editor { name, text }) => match elsewhere(&mut session, &mut ears.signals, &desk, &name, &text).await? {
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
        ears.linger(&mut session, clock).await;
    }
    match (&place, &left) {
        (Some(path), Left::Quit | Left::Site(_)) => restore::forget(path),
        (Some(path), Left::Told | Left::Lost) => restore::keep(path, &session.model),
        (None, _) => {}
    }
    session.close();
    Ok(next_site.map_or(left, Left::Site))
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
