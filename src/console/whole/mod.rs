//! The whole console in one process, without a terminal and without an engine's process: its own loop, link and session, a screen that reads
//! the bytes it writes, and an engine that says what a test tells it to, over the true socket in the true words. Nothing sleeps: the loop
//! says whenever it waits, and what for; a test types and goes on once nothing is outstanding.

mod changes;
mod engine;
mod looks;
mod screen;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::watch;
use tokio::time::Instant;

use super::edit::Desk;
use super::keymap::Keymap;
use super::model::{Model, Site};
use super::run::{Left, Opening, Source, Turn, serve};
use super::term::attention::Attention;
use super::term::signals::Event;
use super::watch::{Files, Reload};
use crate::base::clock::{Clock, ShiftedClock};
use crate::pipeline::Catalog;
use crate::theme::{Glyphs, Look, Theme};
use engine::Engine;
use screen::Screen;

/// The night of the fixtures.
const NOW: &str = "2026-04-07T08:07:00Z";
/// No test needs it; one that hangs ends with it.
const PATIENCE: Duration = Duration::from_secs(20);
/// A person's fingers.
const PRESS_MS: i64 = 400;

/// A clock that a test may turn, from the night of the fixtures on.
struct Hands(ShiftedClock);

impl Hands {
    fn new() -> Self {
        let clock = ShiftedClock::default();
        clock.set(NOW.parse().unwrap());
        Self(clock)
    }

    fn turn(&self, ms: i64) {
        self.0.set(self.0.now() + jiff::SignedDuration::from_millis(ms));
    }
}

/// A console that is open, as its person sees it.
struct Person<'a> {
    screen: Screen,
    turns: watch::Receiver<Turn>,
    clock: &'a Hands,
}

impl Person<'_> {
    /// Waits until nothing is outstanding, and all that was written is seen.
    async fn rests(&mut self) -> String {
        let typed = self.screen.typed;
        self.turn("to come to rest", |t| t.busy == 0 && t.read == typed).await;
        self.screen.text()
    }

    /// Waits for a moment when this is true of the loop, and reads what is on the screen then.
    async fn turn(&mut self, what: &str, done: impl Fn(&Turn) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, self.turns.wait_for(|t| done(t))).await;
        let written = waited.ok().and_then(|w| w.ok().map(|turn| turn.written));
        match written {
            Some(written) => self.screen.read_to(written).await,
            None => panic!("waited for the console {what}: {:?}\n{}", *self.turns.borrow(), self.screen.text()),
        }
    }

    /// Waits until the screen says this: for what comes by itself.
    async fn sees(&mut self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let written = self.turns.borrow_and_update().written;
            self.screen.read_to(written).await;
            let shown = self.screen.text();
            if shown.contains(text) {
                return shown;
            }
            let next = tokio::time::timeout_at(until, self.turns.changed()).await;
            assert!(matches!(next, Ok(Ok(()))), "waited for `{text}`\n{shown}");
        }
    }

    /// Keys, one after the other, as a person presses them: each once the one before has done what it does.
    async fn presses(&mut self, keys: &str) -> String {
        for key in keys.split(' ') {
            self.types(key).await;
        }
        self.screen.text()
    }

    /// A text, sign by sign, then Enter.
    async fn enters(&mut self, text: &str) -> String {
        for c in text.chars() {
            self.types(&c.to_string()).await;
        }
        self.types("enter").await
    }

    /// Bytes as they are, at once, without waiting for what they do.
    async fn sends(&mut self, bytes: &str) {
        self.clock.turn(PRESS_MS);
        self.screen.send(bytes.as_bytes()).await;
    }

    /// What leads out of the console: nothing comes after it but the end.
    async fn leaves(&mut self, text: &str) {
        for c in text.chars() {
            self.types(&c.to_string()).await;
        }
        self.sends("\r").await;
        self.screen.ends().await;
    }

    /// All that was written to the terminal, as it went there.
    fn raw(&self) -> String {
        String::from_utf8_lossy(&self.screen.raw).into_owned()
    }

    async fn types(&mut self, key: &str) -> String {
        self.clock.turn(PRESS_MS);
        self.screen.send(screen::bytes_of(key).as_bytes()).await;
        self.rests().await
    }

    async fn resized(&mut self, columns: u16, rows: u16) -> String {
        self.screen.resize(columns, rows);
        self.turns.mark_unchanged();
        self.screen.signal(Event::Size);
        self.turns.changed().await.unwrap();
        self.turn("to draw anew", |t| t.busy == 0).await;
        self.screen.text()
    }
}

/// Opens a console on this engine, lets a person use it, and says how it was left: by them, or as its terminal went away.
async fn console<F>(engine: &Engine, size: (u16, u16), of: F) -> Left
where
    F: AsyncFnOnce(&mut Person<'_>, &Engine),
{
    let clock = Hands::new();
    let (terminal, screen) = Screen::open(size);
    let look = || Look { theme: Theme::plain(), glyphs: Glyphs::ASCII };
    let site = Site { name: "demo".into(), demo: true, zone: TimeZone::UTC };
    let opening = Opening {
        model: Model::new(site, Keymap::default_keys(), clock.0.now(), size),
        look: look(),
        attention: Attention::default(),
        links: false,
        asks: false,
        by_background: false,
        place: None,
        views: None,
        source: Source::Engine { address: engine.address(), prepare: None },
        reload: Reload::of(&[], Box::new(move || Files { look: Ok(look()), keys: Keymap::default_keys(), reports: Vec::new() })),
        choose: Box::new(|_| Err("there is no other look here".into())),
        site: Box::new(|_| Err("there is no other site here".into())),
        desk: Arc::new(Desk {
            pipelines: engine.dir().join("pipelines"),
            drafts: engine.dir().join("drafts"),
            catalog: Box::new(|| Ok(Catalog::default())),
            have: |_| true,
            check: |_| Vec::new(),
            now: Timestamp::now,
            pid: 1,
        }),
    };
    let (tell, turns) = watch::channel(Turn::default());
    let turn = |t| {
        tell.send_replace(t);
    };
    let mut person = Person { screen, turns, clock: &clock };
    let served = serve(opening, terminal, &clock.0, &turn);
    let used = async {
        of(&mut person, engine).await;
        // Whoever has not left by then loses the terminal.
        drop(person);
    };
    let (left, ()) = tokio::join!(served, used);
    left.unwrap()
}
