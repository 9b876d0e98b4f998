//! The console's whole state in a file: each question by its path, with the engine's answer as it came. What draws a screen from an engine draws
//! it from the file, so no screen needs code of its own for it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::keymap::Keymap;
use super::model::{Link, Model, Site};
use super::question::{Answer, Question};
use crate::api::ApiError;

/// What the file says it is.
const KIND: &str = "quarterdeck console";
const FORMAT: u32 = 1;
/// A larger file is none of ours.
pub const MOST_BYTES: u64 = 256 << 20;

/// All answers at one moment.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saved {
    kind: String,
    format: u32,
    /// Of the program that wrote it.
    version: String,
    pub saved_at: Timestamp,
    site: SavedSite,
    answers: BTreeMap<String, Box<RawValue>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedSite {
    name: String,
    demo: bool,
    time_zone: String,
}

/// Why a file is no saved state.
#[derive(Debug, thiserror::Error)]
pub enum NoState {
    #[error("it is no saved state of the console, or not all of one")]
    Broken(#[from] serde_json::Error),
    #[error("it is {0}, and no saved state of the console")]
    Other(String),
    #[error("it has format {found}, and this version reads {FORMAT}: it was written by quarterdeck {version}")]
    Newer { found: u32, version: String },
}

impl Saved {
    /// Without answers yet. `time_zone` is the site's, by name.
    pub fn new(site: &Site, time_zone: &str, saved_at: Timestamp) -> Self {
        let site = SavedSite { name: site.name.clone(), demo: site.demo, time_zone: time_zone.to_owned() };
        Self {
            kind: KIND.to_owned(),
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            saved_at,
            site,
            answers: BTreeMap::new(),
        }
    }

    /// Reads a file. Its texts are cleaned where they are shown, as the engine's are.
    pub fn read(bytes: &[u8]) -> Result<Self, NoState> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(default)]
            kind: String,
            #[serde(default)]
            format: u32,
            #[serde(default)]
            version: String,
        }
        // The head alone first: a newer format may differ in all the rest.
        let head: Head = serde_json::from_slice(bytes)?;
        if head.kind != KIND {
            let kind = crate::base::sanitise::cell(&head.kind);
            return Err(NoState::Other(if kind.is_empty() { "some other JSON".into() } else { format!("a `{kind}`") }));
        }
        if head.format != FORMAT {
            return Err(NoState::Newer { found: head.format, version: crate::base::sanitise::cell(&head.version) });
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    pub fn write(&self) -> Result<Vec<u8>, NoState> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// How many answers of the engine it holds.
    pub fn count(&self) -> usize {
        self.answers.len()
    }

    pub fn has(&self, question: &Question) -> bool {
        self.answers.contains_key(&question.path())
    }

    pub fn keep(&mut self, question: &Question, raw: Box<RawValue>) {
        self.answers.insert(question.path(), raw);
    }

    /// What the engine said then.
    pub fn answer(&self, question: &Question) -> Result<Answer, ApiError> {
        // Files of before tables were counted name them so.
        let path = question.path();
        let older = path.strip_suffix("&count=1").unwrap_or(&path);
        match self.answers.get(&path).or_else(|| self.answers.get(older)) {
            Some(raw) => question.read(raw.get().as_bytes()),
            None => Err(ApiError::failed("this is not in the saved state", "open the console on the engine itself to see it")),
        }
    }

    /// A console that shows it: the moment is that of the file, and nothing can be changed.
    pub fn model(&self, keys: Keymap, size: (u16, u16)) -> Model {
        let zone = crate::base::zone::named(&self.site.time_zone).unwrap_or(TimeZone::UTC);
        let site = Site { name: crate::base::sanitise::cell(&self.site.name), demo: self.site.demo, zone };
        let mut model = Model::new(site, keys, self.saved_at, size);
        model.link = Link::Saved { at: self.saved_at };
        model.never_armed = true;
        model
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Saved {
        let site = Site { name: "default".into(), demo: true, zone: TimeZone::UTC };
        let mut saved = Saved::new(&site, "UTC", "2026-04-07T03:07:00Z".parse().unwrap());
        let raw = RawValue::from_string(r#"{"what":"runs","revision":3,"age_ms":0,"rows":[{"run":"a#1"}]}"#.into()).unwrap();
        saved.keep(&Question::Rows { what: "runs", limit: 500 }, raw);
        saved
    }

    #[test]
    fn what_was_kept_is_answered_and_the_rest_says_so() {
        let saved = Saved::read(&some().write().unwrap()).unwrap();
        assert!(matches!(saved.answer(&Question::Rows { what: "runs", limit: 500 }), Ok(Answer::Rows(r)) if r.rows.len() == 1));
        assert!(saved.answer(&Question::Status).unwrap_err().message.contains("not in the saved state"));
        let model = saved.model(Keymap::default(), (80, 24));
        assert!(model.site.demo && model.hands_off().is_some() && model.now == saved.saved_at);
    }

    #[test]
    fn other_files_are_told_apart() {
        let text = String::from_utf8(some().write().unwrap()).unwrap();
        let newer = text.replace("\"format\":1", "\"format\":9");
        assert!(matches!(Saved::read(newer.as_bytes()), Err(NoState::Newer { found: 9, .. })));
        assert!(matches!(Saved::read(br#"{"kind":"x"}"#), Err(NoState::Other(k)) if k == "a `x`"));
        assert!(matches!(Saved::read(b"{}"), Err(NoState::Other(k)) if k == "some other JSON"));
        assert!(matches!(Saved::read(&text.as_bytes()[..40]), Err(NoState::Broken(_))));
    }
}
