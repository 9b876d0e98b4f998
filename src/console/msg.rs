//! Everything that can happen to the console, and everything that it can ask the world for.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::edit;
use super::keymap::Key;
use super::log;
use super::question::{Answer, Question};
use crate::api::ApiError;
use crate::api::types::{Arm, Armed, Do, Done};

/// A row of one of the lists of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// The list, as [`super::model::Screen::focus`] counts them.
    pub list: usize,
    /// The row, from the first that the filter lets pass.
    pub row: usize,
}

/// Words of an error that tell a request which was not sent from one whose outcome nobody knows.
pub const NOTHING_DONE: &str = "nothing was done";

/// Something happened.
#[derive(Debug)]
pub enum Msg {
    /// A key, with whether the terminal says that it repeats itself.
    Key {
        key: Key,
        repeat: bool,
    },
    /// A key that came as no person types: part of a paste without brackets.
    Burst(Key),
    /// Text of a bracketed paste.
    Paste(String),
    Resize {
        width: u16,
        height: u16,
    },
    /// A click on a row.
    Click(Hit),
    /// The wheel, down or up.
    Wheel {
        down: bool,
    },
    /// The clock: once a second while something counts down or runs, else once a minute.
    Tick(Timestamp),
    /// The frame with this number was written, and what was typed before it has been read.
    Shown(u64),
    Link(LinkMsg),
    Answer {
        question: Question,
        result: Result<Answer, ApiError>,
    },
    /// What the engine says to arming, and to giving it back.
    Armed(Result<Armed, ApiError>),
    Disarmed(Result<Done, ApiError>),
    /// What became of a request that changes something.
    Done {
        request: Box<Do>,
        result: Result<Done, ApiError>,
    },
    /// What the log screen asked for.
    Log(Box<log::Told>),
    /// What the page of a pipeline asked for.
    Page(Box<edit::Told>),
}

/// The connection to the engine.
#[derive(Debug)]
pub enum LinkMsg {
    Up,
    /// Gone, and why; it is tried again by itself.
    Down(String),
    /// Rows changed: ids by table.
    Changed(BTreeMap<String, Vec<String>>),
    /// What is known is too old to be mended: everything is asked for again.
    Reset,
}

/// Something to do in the world. Answers come back as messages.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Ask(Question),
    Do(Box<Do>),
    Arm(Arm),
    Disarm,
    /// For the log screen, beside everything else that is asked.
    Log(log::Order),
    /// For the page of a pipeline.
    Page(Box<edit::Order>),
    /// The person's own editor in the place of the console, on this text.
    Editor {
        name: String,
        text: String,
    },
    /// Into the person's clipboard, and told where that may not have worked.
    Copy(String),
    /// Another look, by its name.
    Theme(String),
    /// The console of another site, in the place of this one.
    Site(String),
    /// The saved views are other ones: into their file.
    Views,
    /// The terminal is to tell of the mouse, or not.
    Mouse(bool),
    /// The screen as it is, into a new file of this name.
    Dump(String),
    Suspend,
    /// The next frame is written whole: something else has written on the terminal.
    Redraw,
    Quit,
}
