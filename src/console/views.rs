//! Views that a person has given a name: a screen with its filters, order and tab. They lie in the state directory, and nowhere in the
//! configuration, which the console never writes.

use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::model::Model;
use super::model::standing::{Views, standing};
use crate::domain::run::valid_name;

const FORMAT: u32 = 1;
/// A larger file is none of ours.
const MOST_BYTES: u64 = 256 << 10;
/// So many are kept.
const MOST: usize = 100;

/// Keeps the screen in front under a name; or why that is none.
pub fn keep(model: &mut Model, name: &str) -> Result<(), String> {
    if !valid_name(name) || matches!(name, "save" | "drop") {
        return Err(format!("`{}` is no name for a view: lower case letters, digits and . _ -", crate::base::sanitise::cell(name)));
    }
    if model.views.views.len() >= MOST && !model.views.views.contains_key(name) {
        return Err(format!("{MOST} views are kept already: `:view drop NAME` makes room"));
    }
    let mut here = standing(model.screen());
    here.forget_row();
    model.views.format = FORMAT;
    model.views.views.insert(name.to_owned(), here);
    Ok(())
}

/// Forgets one; false where there is none of this name.
pub fn forget(model: &mut Model, name: &str) -> bool {
    model.views.views.remove(name).is_some()
}

/// What the file holds; nothing where there is none. A file that cannot be read is left as it is, and said.
pub fn read(path: &Path) -> Result<Views, String> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Views::default()),
        Err(e) => return Err(format!("saved views: {}: {e}", path.display())),
    };
    let mut text = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut text).map_err(|e| format!("saved views: {}: {e}", path.display()))?;
    let views: Views = serde_json::from_slice(&text).map_err(|e| format!("saved views: {}: {e}; move it away", path.display()))?;
    match views.format {
        FORMAT => Ok(views),
        n => Err(format!("saved views: {} has format {n}, and this version reads {FORMAT}; move it away", path.display())),
    }
}

/// Replaces the file by a rename: another console that reads it has one or the other.
pub fn write(path: &Path, views: &Views) -> Result<(), String> {
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    let text = serde_json::to_vec_pretty(views).map_err(io::Error::other);
    let put = |text: Vec<u8>| {
        let _ = std::fs::remove_file(&draft);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    };
    text.and_then(put).map_err(|e| format!("the view is kept until this console is left, and no longer: {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Site;
    use crate::console::keymap::Keymap;
    use crate::console::model::screen::{Kind, Screen};

    fn model() -> Model {
        let site = Site { name: "s".into(), demo: false, zone: jiff::tz::TimeZone::UTC };
        let mut m = Model::new(site, Keymap::default(), jiff::Timestamp::UNIX_EPOCH, (80, 24));
        m.stack.push(Screen::of(Kind::Runs));
        let list = &mut m.screen_mut().lists[0];
        (list.filter, list.sort, list.selected) = ("verdict=failure".into(), Some(("number".into(), true)), Some("a#7".into()));
        m
    }

    #[test]
    fn a_view_is_kept_read_again_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console.views");
        assert_eq!(read(&path), Ok(Views::default()));
        let mut m = model();
        keep(&mut m, "red").unwrap();
        for bad in ["", "Red", "save", "../x"] {
            assert!(keep(&mut m, bad).is_err(), "{bad}");
        }
        write(&path, &m.views).unwrap();
        let again = read(&path).unwrap();
        assert_eq!(again, m.views);
        let screen = again.screen("red").unwrap();
        assert_eq!((&screen.kind, screen.lists[0].filter.as_str(), &screen.lists[0].selected), (&Kind::Runs, "verdict=failure", &None));
        assert_eq!(again.about("red"), "runs  filter verdict=failure  sort -number");
        assert!(forget(&mut m, "red") && !forget(&mut m, "red"));
    }

    #[test]
    fn a_file_that_is_not_ours_stays_and_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console.views");
        for text in ["", "{", r#"{"format":9,"views":{}}"#] {
            std::fs::write(&path, text).unwrap();
            assert!(read(&path).is_err_and(|e| e.contains("console.views") && e.contains("move it away")), "{text}");
        }
    }
}
