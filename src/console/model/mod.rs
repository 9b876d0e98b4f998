//! All that the console knows and shows. Plain data: `update` changes it, views read it, nothing here talks to anybody.

pub mod dialog;
pub mod grid;
pub mod list;
pub mod pane;
pub mod screen;
pub mod spots;
pub mod standing;
pub mod when;
pub mod word;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::edit::Page;
use super::keyfile::Report;
use super::keymap::{Key, Keymap};
use super::log::state::Flights;
use super::question::{Answer, Question};
use crate::api::ApiError;
use crate::api::diff::DiffDoc;
use crate::api::page::{About, History};
use crate::api::repo::RepoDoc;
use crate::api::types::{Rows, RunDoc, Status, Why};
pub use dialog::{Batch, Dialog, Opening, Prompt, PromptKind};
pub use list::List;
pub use screen::{Pane, Screen};

/// What is known of the site before the engine says anything.
#[derive(Debug, Clone)]
pub struct Site {
    pub name: String,
    pub demo: bool,
    pub zone: TimeZone,
}

/// The connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Nothing was heard yet.
    Connecting,
    Up,
    /// Since when, and why.
    Down {
        since: Timestamp,
        why: String,
    },
    /// A saved state: there is no engine behind it.
    Saved {
        at: Timestamp,
    },
}

/// Whether capitals do anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    ReadOnly,
    Armed { until: Timestamp, reason: String, lease: u64 },
}

/// How times are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    Site,
    Relative,
    /// Of this terminal, where that is another zone than the site's.
    Here,
    Utc,
}

/// The last answer to a question, and what is known about its age.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub answer: Option<Answer>,
    /// When `answer` came.
    pub at: Option<Timestamp>,
    /// When it was asked for last.
    pub asked_at: Option<Timestamp>,
    /// Why the last question got none; `answer` is then the one before.
    pub error: Option<ApiError>,
    /// Something has changed since.
    pub old: bool,
    /// Another one with each answer.
    pub version: u64,
    /// Cells of the answer that are other than those of the one before: by id, fields.
    pub changed: BTreeMap<String, BTreeSet<String>>,
}

/// One line to the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub text: String,
    pub bad: bool,
    pub at: Timestamp,
}

/// What the console costs, for the debug overlay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    pub frames: u64,
    /// Of the frame before.
    pub frame_us: u64,
    pub frame_bytes: usize,
    /// In all.
    pub bytes: u64,
    pub writes: u64,
    /// The least time between two frames now.
    pub gap_ms: u64,
    /// From a question to the terminal to its answer.
    pub rtt_ms: Option<u64>,
    /// Messages that waited when the last one was taken.
    pub inbox: usize,
    /// Orders that the link has not taken yet.
    pub orders: usize,
}

#[derive(Debug, Clone)]
pub struct Model {
    pub site: Site,
    pub keys: Keymap,
    /// What was given before the command that opened it, such as `--state-dir D`: commands that are copied have it too.
    pub given: String,
    /// What is wrong with the files of keys.
    pub key_reports: Vec<Report>,
    pub link: Link,
    pub mode: Mode,
    /// Started with `--read-only`, or from a file: arming is refused.
    pub never_armed: bool,
    pub clock: Clock,
    /// The zone of this terminal, where it is another than the site's.
    pub here: Option<TimeZone>,
    pub now: Timestamp,
    pub size: (u16, u16),
    pub known: BTreeMap<Question, Known>,
    pub asked: BTreeSet<Question>,
    /// Requests that change something, and have no answer yet.
    pub acting: usize,
    /// Dialogs about several objects, whose requests are not all answered, or whose outcome has not been seen yet.
    pub batches: Vec<Batch>,
    /// What needs the person, derived from what is known.
    pub needs: Vec<list::Row>,
    pub needs_version: u64,
    /// What is under way for the log screen.
    pub flights: Flights,
    /// Pages of pipelines that are open, or that hold a text which nobody has saved.
    pub pages: BTreeMap<String, Page>,
    /// Never empty: the last is shown.
    pub stack: Vec<Screen>,
    /// What stood there before the person went elsewhere; empty = nothing.
    pub before: Vec<Screen>,
    /// Screens that the person has given a name.
    pub views: standing::Views,
    /// Names that `:site` takes.
    pub sites: Vec<String>,
    /// The terminal tells of clicks and of the wheel.
    pub mouse: bool,
    pub prompt: Option<Prompt>,
    pub opening: Option<Opening>,
    pub dialog: Option<Dialog>,
    /// A form that was sent; it comes back where the engine does not take its values.
    pub sent: Option<Dialog>,
    /// Lines of the palette, oldest first.
    pub history: Vec<String>,
    /// Filters, oldest first.
    pub filters: Vec<String>,
    /// Names that `:theme` takes.
    pub themes: Vec<String>,
    /// The rows that help is scrolled by; none = it is closed.
    pub help: Option<usize>,
    /// Since when nothing is asked for what is shown.
    pub frozen: Option<Timestamp>,
    /// The debug overlay is open.
    pub debug: Option<Stats>,
    /// There is no site: what to do first is shown, and nothing else.
    pub welcome: bool,
    pub notice: Option<Notice>,
    /// The beginning of a sequence of keys.
    pub pressed: Vec<Key>,
    /// The number of the frame that shows the state as it is now, once it is drawn.
    pub frame: u64,
}

impl Model {
    pub fn new(site: Site, keys: Keymap, now: Timestamp, size: (u16, u16)) -> Self {
        Self {
            site,
            keys,
            given: String::new(),
            key_reports: Vec::new(),
            link: Link::Connecting,
            mode: Mode::ReadOnly,
            never_armed: false,
            clock: Clock::Site,
            here: None,
            now,
            size,
            known: BTreeMap::new(),
            asked: BTreeSet::new(),
            acting: 0,
            batches: Vec::new(),
            needs: Vec::new(),
            needs_version: 1,
            flights: Flights::default(),
            pages: BTreeMap::new(),
            stack: vec![Screen::home()],
            before: Vec::new(),
            views: standing::Views::default(),
            sites: Vec::new(),
            mouse: false,
            prompt: None,
            opening: None,
            dialog: None,
            sent: None,
            history: Vec::new(),
            filters: Vec::new(),
            themes: Vec::new(),
            help: None,
            frozen: None,
            debug: None,
            welcome: false,
            notice: None,
            pressed: Vec::new(),
            frame: 0,
        }
    }

    /// Until when what goes on is known to have gone on: now, or when the engine was last heard.
    pub fn heard(&self) -> Timestamp {
        if let Link::Down { since, .. } = &self.link { *since } else { self.now }
    }

    /// A command line of ours as it reaches this site; one command a line.
    pub fn to_type(&self, line: &str) -> String {
        if self.given.is_empty() {
            return line.to_owned();
        }
        let own = |l: &str| match l.strip_prefix("quarterdeck ") {
            Some(rest) => format!("quarterdeck {} {rest}", self.given),
            None => l.to_owned(),
        };
        line.lines().map(own).collect::<Vec<_>>().join("\n")
    }

    /// The screen that is shown.
    pub fn screen(&self) -> &Screen {
        // The stack is never empty; a home screen stands in for the impossible.
        static HOME: std::sync::OnceLock<Screen> = std::sync::OnceLock::new();
        self.stack.last().unwrap_or_else(|| HOME.get_or_init(Screen::home))
    }

    pub fn screen_mut(&mut self) -> &mut Screen {
        if self.stack.is_empty() {
            self.stack.push(Screen::home());
        }
        let last = self.stack.len() - 1;
        &mut self.stack[last]
    }

    pub fn known(&self, question: &Question) -> Option<&Known> {
        self.known.get(question)
    }

    pub fn status(&self) -> Option<&Status> {
        match self.known.get(&Question::Status)?.answer.as_ref()? {
            Answer::Status(s) => Some(s),
            _ => None,
        }
    }

    pub fn rows(&self, question: &Question) -> Option<&Rows> {
        match self.known.get(question)?.answer.as_ref()? {
            Answer::Rows(r) => Some(r),
            _ => None,
        }
    }

    pub fn run(&self, run: &crate::domain::run::RunRef) -> Option<&RunDoc> {
        match self.known.get(&Question::Run(run.clone()))?.answer.as_ref()? {
            Answer::Run(r) => Some(r),
            _ => None,
        }
    }

    pub fn why(&self, run: &crate::domain::run::RunRef) -> Option<&Why> {
        match self.known.get(&Question::Why(run.clone()))?.answer.as_ref()? {
            Answer::Why(w) => Some(w),
            _ => None,
        }
    }

    pub fn about(&self, run: &crate::domain::run::RunRef) -> Option<&About> {
        match self.known.get(&Question::About(run.clone()))?.answer.as_ref()? {
            Answer::About(a) => Some(a),
            _ => None,
        }
    }

    /// One promotion, as the engine writes it.
    pub fn promotion(&self, id: &str) -> Option<&list::Row> {
        match self.known.get(&Question::Promotion(id.to_owned()))?.answer.as_ref()? {
            Answer::Promotion(p) => Some(p),
            _ => None,
        }
    }

    /// What stands around a repository.
    pub fn repo(&self, name: &str) -> Option<&RepoDoc> {
        match self.known.get(&Question::Repo(name.to_owned()))?.answer.as_ref()? {
            Answer::Repo(r) => Some(r),
            _ => None,
        }
    }

    pub fn diff(&self, question: &Question) -> Option<&DiffDoc> {
        match self.known.get(question)?.answer.as_ref()? {
            Answer::Diff(d) => Some(d),
            _ => None,
        }
    }

    /// The last runs of a pipeline, stage by stage.
    pub fn history(&self, pipeline: &str) -> Option<&History> {
        match self.known.get(&Question::History { pipeline: pipeline.to_owned(), limit: screen::PAST })?.answer.as_ref()? {
            Answer::History(h) => Some(h),
            _ => None,
        }
    }

    /// There is no engine that could be told anything, and why.
    pub fn nobody(&self) -> Option<String> {
        match &self.link {
            Link::Saved { .. } => Some("this is a saved state: there is no engine behind it".into()),
            Link::Down { why, .. } => Some(format!("disconnected: {why}")),
            Link::Connecting => Some("the engine has not answered yet".into()),
            Link::Up => None,
        }
    }

    /// Nothing may be changed through this console now, and why.
    pub fn hands_off(&self) -> Option<String> {
        match (&self.link, &self.mode) {
            (Link::Saved { .. } | Link::Down { .. } | Link::Connecting, _) => self.nobody(),
            (Link::Up, _) if self.frozen.is_some() => Some("the screen is frozen: f lets it go on".into()),
            (Link::Up, _) if self.newer_engine().is_some() => self.newer_engine(),
            (Link::Up, Mode::ReadOnly) if self.never_armed => Some("this console was opened read-only".into()),
            (Link::Up, Mode::ReadOnly) => Some("read-only: `:arm 15m REASON` first".into()),
            (Link::Up, Mode::Armed { .. }) => None,
        }
    }

    /// The engine may mean by a request what this console does not know of; why nothing is sent to it, where it is the newer one.
    pub fn newer_engine(&self) -> Option<String> {
        let (theirs, own) = (&self.status()?.version, env!("CARGO_PKG_VERSION"));
        let newer = crate::base::natural::compare(theirs, own) == std::cmp::Ordering::Greater;
        newer
            .then(|| format!("the engine is version {theirs} and this console {own}: it only looks; open the newer one to change anything"))
    }

    pub fn say(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: crate::base::sanitise::cell(&text.into()), bad: false, at: self.now });
    }

    pub fn complain(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: crate::base::sanitise::cell(&text.into()), bad: true, at: self.now });
    }
}
