//! A theme by name: the site's own, then the built-in ones; with the places of all that is wrong in a file.

use std::path::Path;

use crate::config::{ConfigError, Dirs, Problem, problem, themes};
use crate::theme::{self, BUILT_IN, Depth, Sheet, Slip, Theme};

/// No chain of themes that inherit from one another is longer.
const DEPTH: usize = 8;

/// All names, built-in ones first.
pub fn names(dirs: &Dirs, uid: u32) -> Result<Vec<String>, ConfigError> {
    let mut all: Vec<String> = BUILT_IN.iter().map(|(n, _)| (*n).to_owned()).collect();
    all.extend(themes::names(dirs, uid)?.into_iter().filter(|n| !BUILT_IN.iter().any(|(b, _)| b == n)));
    Ok(all)
}

/// The theme of a name. A file of the site goes before a built-in theme, and may inherit from the built-in one of its own name.
pub fn load(dirs: &Dirs, uid: u32, name: &str, depth: Depth) -> Result<Theme, ConfigError> {
    let sheet = sheet(dirs, uid, name, &mut Vec::new())?;
    Ok(Theme::of(name, &sheet, depth))
}

/// `heirs`: those that inherit from it, the last nearest.
fn sheet(dirs: &Dirs, uid: u32, name: &str, heirs: &mut Vec<String>) -> Result<Sheet, ConfigError> {
    let own = if heirs.last().is_some_and(|h| h == name) { None } else { themes::text(dirs, name, uid)? };
    let Some((path, text)) = own else {
        return match theme::built_in(name) {
            Some(built_in) => built_in.map_err(|slips| broken(Path::new(name), "", slips)),
            None => Err(ConfigError::NoTheme { name: name.to_owned(), help: theme::unknown(name, &names(dirs, uid)?) }),
        };
    };
    heirs.push(name.to_owned());
    let read = theme::read(&text, &mut |parent| {
        if heirs.iter().rev().skip(1).any(|h| h == parent) || heirs.len() > DEPTH {
            return Err(format!("`{parent}` inherits from this theme: {} > {parent}", heirs.join(" > ")));
        }
        sheet(dirs, uid, parent, heirs).map_err(|e| match &e {
            ConfigError::NoTheme { help, .. } => format!("{e}. {help}"),
            _ => format!("`{parent}` cannot be inherited: {}", e.in_short()),
        })
    });
    heirs.pop();
    read.map_err(|slips| broken(&path, &text, slips))
}

fn broken(path: &Path, text: &str, slips: Vec<Slip>) -> ConfigError {
    let problems: Vec<Problem> = slips.into_iter().map(|s| Problem::at(text, s.span, s.message, s.help)).collect();
    let rendered = problem::render(&problems, &path.display().to_string(), text, false);
    ConfigError::Theme { path: path.into(), problems, rendered }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::theme::Role;

    struct Place {
        _tmp: tempfile::TempDir,
        dirs: Dirs,
    }

    fn place(files: &[(&str, &str)]) -> Place {
        let tmp = tempfile::tempdir().unwrap();
        let dirs = Dirs { config: tmp.path().join("config"), state: tmp.path().to_path_buf(), explicit: false };
        std::fs::create_dir_all(dirs.themes()).unwrap();
        for (name, text) in files {
            std::fs::write(dirs.themes().join(name), text).unwrap();
        }
        Place { _tmp: tmp, dirs }
    }

    impl Place {
        fn load(&self, name: &str) -> Result<Theme, ConfigError> {
            load(&self.dirs, rustix::process::getuid().as_raw(), name, Depth::True)
        }
    }

    #[test]
    fn own_files_go_first_and_stand_on_built_in_ones() {
        let place = place(&[
            ("dark.toml", "inherits = \"dark\"\n[palette]\ngood = \"#00ff00\"\n"),
            ("mine.toml", "inherits = \"dark\"\n[roles]\n\"state.bad\" = { fg = \"#ff0000\" }\n"),
            ("No Name.toml", "x"),
        ]);
        let (dark, mine) = (place.load("dark").unwrap(), place.load("mine").unwrap());
        let green = Some(ratatui::style::Color::Rgb(0, 255, 0));
        assert_eq!((dark.style(Role::Good).fg, mine.style(Role::Good).fg), (green, green));
        assert_eq!(mine.name, "mine");
        assert_eq!(names(&place.dirs, rustix::process::getuid().as_raw()).unwrap().last().unwrap(), "mine");
        let e = place.load("drak").unwrap_err();
        assert!(e.help().contains("did you mean `dark`?") && e.help().contains("tritanopia"), "{e} {}", e.help());
        assert!(place.load("../dark").is_err());
    }

    #[test]
    fn a_broken_file_says_line_and_column_its_heir_too_and_a_circle_ends() {
        let place = place(&[
            ("bad.toml", "inherits = \"dark\"\n\n[roles]\n  \"state.god\" = {}\n"),
            ("heir.toml", "inherits = \"bad\"\n"),
            ("a.toml", "inherits = \"b\"\n"),
            ("b.toml", "inherits = \"a\"\n"),
        ]);
        let e = place.load("bad").unwrap_err();
        assert!(e.to_string().contains("bad.toml:4:3") && e.to_string().contains("^^^^") && e.to_string().contains("`state.good`"), "{e}");
        assert!(e.in_short().contains("bad.toml:4:3: no role"), "{}", e.in_short());
        let e = place.load("heir").unwrap_err();
        assert!(e.to_string().contains("heir.toml:1:12") && e.to_string().contains("bad.toml:4:3"), "{e}");
        assert!(place.load("a").unwrap_err().to_string().contains("a > b > a"));
    }

    #[test]
    fn what_others_may_write_is_refused() {
        let place = place(&[("mine.toml", "inherits = \"dark\"\n")]);
        let path = place.dirs.themes().join("mine.toml");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(place.load("mine"), Err(ConfigError::Untrusted { .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::set_permissions(place.dirs.themes(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(place.load("mine"), Err(ConfigError::Untrusted { .. })));
    }
}
