//! Where a person stood when their terminal went away: screens, filters, rows, in a small file; the next console opens there. What was typed,
//! marked or armed is not kept.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::model::screen::Kind;
use super::model::standing::{Standing, screen, standing};
use super::model::{Model, Screen};

const FORMAT: u32 = 1;
/// A larger file is none of ours.
const MOST_BYTES: u64 = 64 << 10;
/// Deeper stacks are cut at their bottom.
const DEPTH: usize = 20;

#[derive(Debug, Serialize, Deserialize)]
struct Place {
    format: u32,
    screens: Vec<Standing>,
}

/// Keeps where the person stands; a place that cannot be written is none.
pub fn keep(path: &Path, model: &Model) {
    let from = model.stack.len().saturating_sub(DEPTH);
    let place = Place { format: FORMAT, screens: model.stack[from..].iter().map(standing).collect() };
    let Ok(text) = serde_json::to_vec(&place) else { return };
    let draft = path.with_extension("new");
    let _ = std::fs::remove_file(&draft);
    let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).and_then(|mut f| f.write_all(&text));
    if written.is_ok() {
        let _ = std::fs::rename(&draft, path);
    }
}

/// Puts the person back, once; true where there was a place.
pub fn take(path: &Path, model: &mut Model) -> bool {
    let Ok(file) = std::fs::File::open(path) else { return false };
    let mut text = Vec::new();
    let read = file.take(MOST_BYTES).read_to_end(&mut text);
    let _ = std::fs::remove_file(path);
    let Some(place) = read.ok().and_then(|_| serde_json::from_slice::<Place>(&text).ok()).filter(|p| p.format == FORMAT) else {
        return false;
    };
    let screens: Vec<Screen> = place.screens.into_iter().take(DEPTH).filter_map(screen).collect();
    if screens.is_empty() || (screens.len() == 1 && screens[0].kind == Kind::Home) {
        return false;
    }
    model.stack = screens;
    model.say("where you were when the terminal went away; 0 is home");
    true
}

/// The person left by themselves: the next console begins at home.
pub fn forget(path: &Path) {
    let _ = std::fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Site;
    use crate::console::keymap::Keymap;

    fn model() -> Model {
        let site = Site { name: "s".into(), demo: false, zone: jiff::tz::TimeZone::UTC };
        Model::new(site, Keymap::default(), jiff::Timestamp::UNIX_EPOCH, (80, 24))
    }

    #[test]
    fn the_next_console_stands_where_the_last_one_did() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console.place");
        let mut m = model();
        m.stack.push(Screen::of(Kind::Runs));
        let list = &mut m.screen_mut().lists[0];
        (list.filter, list.sort, list.selected) = ("verdict=failure".into(), Some(("number".into(), true)), Some("a#7".into()));
        list.marks.insert("a#7".into());
        m.stack.push(Screen::of(Kind::Run("a#7".parse().unwrap())));
        m.stack.push(Screen::of(Kind::Log("a#7".parse().unwrap(), Some("build/make".into()))));
        m.stack.push(Screen::of(Kind::Pipeline("a".into())));
        m.stack.push(Screen::of(Kind::Promotion("PR-2026Q2-el9".into())));
        keep(&path, &m);
        let mut next = model();
        assert!(take(&path, &mut next));
        let kinds = |m: &Model| m.stack.iter().map(|s| s.kind.clone()).collect::<Vec<_>>();
        assert_eq!(kinds(&next), kinds(&m));
        let list = &next.stack[1].lists[0];
        assert_eq!((list.filter.as_str(), list.selected.as_deref(), list.marks.len()), ("verdict=failure", Some("a#7"), 0));
        assert!(next.stack[3].log.is_some() && next.notice.is_some());
        assert!(!take(&path, &mut model()), "once");
    }

    #[test]
    fn no_file_and_any_bytes_are_no_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console.place");
        assert!(!take(&path, &mut model()));
        for text in ["", "{", r#"{"format":9,"screens":[]}"#, r#"{"format":1,"screens":[{"name":"x"}]}"#] {
            std::fs::write(&path, text).unwrap();
            let mut m = model();
            assert!(!take(&path, &mut m) && m.stack.len() == 1, "{text}");
        }
        keep(&path, &model());
        assert!(!take(&path, &mut model()), "home is where everybody begins");
        forget(&path);
    }
}
