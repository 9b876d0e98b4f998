//! Files of keys: what is built in, and those of CONFIG/keymaps over it. A file with an error is left out whole, and says where and why; two
//! that want the same keys, and keys that can never be reached, are told with both owners.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::command::{self, Meaning};
use super::keymap::{Code, Key, Keymap, Scope};
use crate::base::{sanitise, suggest};
use crate::config::Problem;

/// Keymaps of this name can be the `base` of others.
pub const BUILT_IN: [(&str, &str); 2] =
    [("default", include_str!("../../keymaps/default.toml")), ("vim", include_str!("../../keymaps/vim.toml"))];

const MAX_FILES: usize = 50;
const MAX_BYTES: u64 = 64 << 10;

/// What is wrong with keys: where, and in words. `error`: the file is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// `FILE:LINE:COLUMN`.
    pub at: String,
    pub message: String,
    pub error: bool,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

/// One file as it is read.
#[derive(Debug, Default)]
struct File {
    base: Option<String>,
    bindings: Vec<Binding>,
}

#[derive(Debug, Clone)]
struct Binding {
    scope: Scope,
    keys: Vec<Key>,
    /// Empty = these keys do nothing.
    id: String,
    at: String,
    own: bool,
}

type Layers = BTreeMap<(Scope, Vec<Key>), Binding>;

/// The keys of a site: `dir` is CONFIG/keymaps, which need not be there.
pub fn load(dir: &Path) -> (Keymap, Vec<Report>) {
    let mut reports = Vec::new();
    let mut names: Vec<_> = match std::fs::read_dir(dir) {
        Ok(entries) => entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.extension().is_some_and(|e| e == "toml")).collect(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => {
            reports.push(Report { at: dir.display().to_string(), message: format!("cannot be read: {e}"), error: true });
            Vec::new()
        }
    };
    names.sort();
    if names.len() > MAX_FILES {
        reports.push(Report { at: dir.display().to_string(), message: format!("only the first {MAX_FILES} files are read"), error: true });
        names.truncate(MAX_FILES);
    }
    let mut texts = Vec::new();
    for path in names {
        let name = sanitise::cell(&path.file_name().unwrap_or_default().to_string_lossy());
        let small = std::fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= MAX_BYTES);
        match if small { std::fs::read_to_string(&path).map_err(|e| e.to_string()) } else { Err("no file of at most 64 kB".to_owned()) } {
            Ok(text) => texts.push((name, text)),
            Err(why) => reports.push(Report { at: name, message: format!("cannot be read: {why}"), error: true }),
        }
    }
    let (keys, more) = merge(&texts);
    reports.extend(more);
    (keys, reports)
}

impl Keymap {
    /// The one that is built in.
    pub fn default_keys() -> Self {
        merge(&[]).0
    }
}

/// Own files, in order, over the built-in one that they name as their `base`.
pub fn merge(own: &[(String, String)]) -> (Keymap, Vec<Report>) {
    let mut reports = Vec::new();
    let mut files = Vec::new();
    for (name, text) in own {
        match read(name, text, true) {
            Ok(file) => files.push(file),
            Err(errors) => reports.extend(errors),
        }
    }
    let base = files.iter().find_map(|f| f.base.clone());
    let mut all = Layers::new();
    for (name, text) in BUILT_IN.iter().filter(|(n, _)| *n == "default" || Some(*n) == base.as_deref()) {
        for b in read(&format!("{name}.toml"), text, false).unwrap_or_default().bindings {
            all.insert((b.scope, b.keys.clone()), b);
        }
    }
    for b in files.into_iter().flat_map(|f| f.bindings) {
        let place = (b.scope, b.keys.clone());
        if let Some(before) = all.get(&place).filter(|o| o.own && o.id != b.id) {
            let message = format!("`{}` is `{}` here and `{}` in {}: this one holds", written(&b.keys), b.id, before.id, before.at);
            reports.push(Report { at: b.at.clone(), message, error: false });
        }
        all.insert(place, b);
    }
    all.retain(|_, b| !b.id.is_empty());
    reports.extend(shadows(&all));
    let mut scopes: BTreeMap<Scope, BTreeMap<Vec<Key>, String>> = BTreeMap::new();
    for ((scope, keys), b) in all {
        scopes.entry(scope).or_default().insert(keys, b.id);
    }
    (Keymap::of(scopes), reports)
}

/// Keys that can never be reached, by somebody's own doing.
fn shadows(all: &Layers) -> Vec<Report> {
    let mut out = Vec::new();
    // What holds at the same time: a scope with itself, and with the global one.
    let alone = |s: Scope| matches!(s, Scope::Mirrors | Scope::Promotions | Scope::Content | Scope::Diff);
    let over = |a: Scope, b: Scope| a == Scope::List && alone(b);
    let together = |a: Scope, b: Scope| a == b || a == Scope::Global || b == Scope::Global || over(a, b) || over(b, a);
    for short in all.values() {
        for long in all.values().filter(|l| (l.own || short.own) && together(short.scope, l.scope)) {
            // What a screen of its own takes for itself is there on all others.
            let elsewhere = alone(short.scope) && !alone(long.scope);
            if long.keys.len() > short.keys.len() && long.keys.starts_with(&short.keys) && !elsewhere {
                out.push(Report {
                    at: long.at.clone(),
                    message: format!(
                        "`{}` ({}) can never be reached: `{}` is `{}` in {}",
                        written(&long.keys),
                        long.id,
                        written(&short.keys),
                        short.id,
                        short.at
                    ),
                    error: false,
                });
            }
            if long.own && long.scope == Scope::Global && short.scope != Scope::Global && long.keys == short.keys && long.id != short.id {
                out.push(Report {
                    at: long.at.clone(),
                    message: format!("`{}` ({}) is hidden there by `{}` in {}", written(&long.keys), long.id, short.id, short.at),
                    error: false,
                });
            }
        }
    }
    out
}

fn written(keys: &[Key]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn read(name: &str, text: &str, own: bool) -> Result<File, Vec<Report>> {
    let report = |span: std::ops::Range<usize>, message: String| {
        let p = Problem::at(text, span, message, "");
        Report { at: format!("{name}:{}:{}", p.line, p.column), message: sanitise::cell(&p.message), error: true }
    };
    let table = match DeTable::parse(text) {
        Ok(t) => t,
        Err(e) => return Err(vec![report(e.span().unwrap_or(0..0), e.message().to_owned())]),
    };
    let (mut file, mut errors) = (File::default(), Vec::new());
    for (key, value) in table.get_ref() {
        let word = key.get_ref().as_ref();
        match value.get_ref() {
            DeValue::String(s) if word == "base" => match BUILT_IN.iter().find(|(n, _)| *n == s.as_ref()) {
                Some((n, _)) => file.base = Some((*n).to_owned()),
                None => errors.push(report(value.span(), format!("no keymap `{s}`: there are {}", BUILT_IN.map(|(n, _)| n).join(" ")))),
            },
            DeValue::Table(bindings) => {
                let Some((_, scope)) = Scope::ALL.into_iter().find(|(n, _)| *n == word) else {
                    errors.push(report(key.span(), format!("no scope `{word}`: there are {}", Scope::ALL.map(|(n, _)| n).join(" "))));
                    continue;
                };
                for (sequence, id) in bindings {
                    let at = report(sequence.span(), String::new()).at;
                    match binding(sequence.get_ref(), id.get_ref()) {
                        Ok((keys, id)) => file.bindings.push(Binding { scope, keys, id, at, own }),
                        Err((of_keys, why)) => errors.push(report(if of_keys { sequence.span() } else { id.span() }, why)),
                    }
                }
            }
            _ => errors.push(report(key.span(), format!("`{word}` is neither `base` nor a scope: [global], [list], …"))),
        }
    }
    if errors.is_empty() { Ok(file) } else { Err(errors) }
}

/// Keys and command; an error says whether it is about the keys.
fn binding(sequence: &str, id: &DeValue<'_>) -> Result<(Vec<Key>, String), (bool, String)> {
    let keys = sequence.split_ascii_whitespace().map(str::parse).collect::<Result<Vec<Key>, _>>().map_err(|why| (true, why))?;
    let Some(last) = keys.last() else { return Err((true, "no keys".to_owned())) };
    let DeValue::String(id) = id else { return Err((false, "a command is a text in quotes".to_owned())) };
    if id.is_empty() {
        return Ok((keys, String::new()));
    }
    let Some(meaning) = command::find(id) else {
        let names: Vec<String> = command::names().collect();
        let near = suggest::nearest(id, names.iter().map(String::as_str));
        return Err((false, near.map_or_else(|| format!("no command `{id}`"), |n| format!("no command `{id}`: did you mean `{n}`?"))));
    };
    // Who looks after what is no change of the estate.
    let changes = matches!(meaning, Meaning::Do(action) if !action.owns());
    if changes && !matches!(last.code, Code::Char(c) if c.is_uppercase()) {
        return Err((true, format!("`{id}` changes the estate: its keys must end with a capital letter")));
    }
    Ok((keys, id.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::keymap::Found;

    fn of(files: &[(&str, &str)]) -> (Keymap, Vec<String>) {
        let files: Vec<(String, String)> = files.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
        let (keys, reports) = merge(&files);
        (keys, reports.iter().map(ToString::to_string).collect())
    }

    const LIST: [Scope; 2] = [Scope::Global, Scope::List];

    fn found<'a>(keys: &'a Keymap, text: &str) -> Found<'a> {
        let pressed: Vec<Key> = text.split(' ').map(|k| k.parse().unwrap()).collect();
        keys.look_up(&LIST, &pressed)
    }

    #[test]
    fn what_is_built_in_has_no_error_and_nothing_is_out_of_reach() {
        for (name, text) in BUILT_IN {
            let file = read(name, text, true).unwrap();
            assert!(!file.bindings.is_empty());
            let (_, reports) = of(&[(name, text)]);
            assert_eq!(reports, [""; 0], "{name}");
        }
    }

    #[test]
    fn own_keys_win_and_empty_ones_take_away() {
        let (keys, reports) = of(&[("mine.toml", "[list]\n\"x\" = \"open\"\n\"j\" = \"up\"\n\"enter\" = \"\"\n")]);
        assert_eq!(reports, [""; 0]);
        assert_eq!((found(&keys, "x"), found(&keys, "j")), (Found::Command("open"), Found::Command("up")));
        assert_eq!((found(&keys, "enter"), found(&keys, "k")), (Found::Nothing, Found::Command("up")));
        let (keys, _) = of(&[("mine.toml", "base = \"vim\"\n")]);
        assert_eq!(found(&keys, "Z Z"), Found::Command("quit"));
    }

    #[test]
    fn a_broken_file_says_where_and_leaves_the_others_alone() {
        for (text, wanted) in [
            ("[list]\n\"x\" = \"opne\"\n", "a.toml:2:7: no command `opne`: did you mean `open`?"),
            ("[list]\n\"xx\" = \"open\"\n", "a.toml:2:1: `xx` is no key"),
            ("[lists]\n\"x\" = \"open\"\n", "a.toml:1:2: no scope `lists`"),
            ("[list]\n\"x\" = 1\n", "a.toml:2:7: a command is a text in quotes"),
            ("[list]\n\"x\" \"open\"\n", "a.toml:2:"),
            ("base = \"emacs\"\n", "a.toml:1:8: no keymap `emacs`"),
            ("[list]\n\"x\" = \"do-cancel\"\n", "a.toml:2:1: `do-cancel` changes the estate"),
        ] {
            let (keys, reports) = of(&[("a.toml", text), ("b.toml", "[list]\n\"x\" = \"why\"\n")]);
            assert_eq!(reports.len(), 1, "{reports:?}");
            assert!(reports[0].starts_with(wanted), "{}", reports[0]);
            assert_eq!(found(&keys, "x"), Found::Command("why"));
        }
    }

    #[test]
    fn clashes_and_keys_out_of_reach_name_both_owners() {
        let (keys, reports) = of(&[("a.toml", "[list]\n\"x\" = \"open\"\n"), ("b.toml", "[list]\n\"x\" = \"why\"\n")]);
        assert_eq!(reports, ["b.toml:2:1: `x` is `why` here and `open` in a.toml:2:1: this one holds"]);
        assert_eq!(found(&keys, "x"), Found::Command("why"));
        let (_, reports) = of(&[("a.toml", "[list]\n\"g\" = \"open\"\n")]);
        assert!(
            reports.iter().any(|r| r.starts_with("default.toml:") && r.contains("`g g` (top)") && r.contains("a.toml:2:1")),
            "{reports:?}"
        );
        let (_, reports) = of(&[("a.toml", "[global]\n\"j\" = \"home\"\n")]);
        assert!(reports.iter().any(|r| r.starts_with("a.toml:2:1") && r.contains("hidden") && r.contains("default.toml:")), "{reports:?}");
    }

    /// The table of keymaps/README.md: every command, and its keys in each built-in keymap.
    fn page() -> String {
        let maps: Vec<(&str, Keymap)> =
            BUILT_IN.iter().map(|(name, _)| (*name, merge(&[("page".to_owned(), format!("base = \"{name}\"\n"))]).0)).collect();
        let mut out = String::from(
            "# Keys\n\nMade from the registry of commands by `QD_WRITE=1 cargo test --lib keyfile`. A file of the same form in `CONFIG/keymaps/` changes any of\n\
             them: `\"keys\" = \"command\"` below `[global]` or another scope, `\"\"` takes keys away, `base = \"vim\"` at its top begins with that keymap.\n\
             Lower case never changes the estate; capitals do, and only after `:arm 15m REASON`.\n\n",
        );
        out.push_str(&format!(
            "| command | {} | what it does |\n|---|{}---|\n",
            BUILT_IN.map(|(n, _)| n).join(" | "),
            "---|".repeat(BUILT_IN.len())
        ));
        for name in command::names() {
            let Some(meaning) = command::find(&name) else { continue };
            let cell = |keys: &Keymap| {
                let mut all: Vec<String> =
                    Scope::ALL.iter().flat_map(|(_, s)| keys.all_of(*s, &name)).map(|k| format!("`{}`", k.replace('|', "\\|"))).collect();
                // The same key in several scopes is told once.
                let mut seen = std::collections::BTreeSet::new();
                all.retain(|k| seen.insert(k.clone()));
                if all.is_empty() { format!("`:{name}`") } else { all.join(" ") }
            };
            let cells: Vec<String> = maps.iter().map(|(_, k)| cell(k)).collect();
            let doc = meaning.doc().split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
            out.push_str(&format!("| {} | {} | {doc} |\n", meaning.title(), cells.join(" | ")));
        }
        out
    }

    #[test]
    fn the_page_of_keys_is_what_the_registry_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("keymaps/README.md");
        if std::env::var_os("QD_WRITE").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, page(), "keymaps/README.md is stale: QD_WRITE=1 cargo test --lib keyfile");
    }

    #[test]
    fn files_are_read_in_order_and_odd_ones_are_told() {
        let dir = tempfile::tempdir().unwrap();
        assert!(load(&dir.path().join("absent")).1.is_empty());
        std::fs::write(dir.path().join("1.toml"), "[list]\n\"x\" = \"open\"\n").unwrap();
        std::fs::write(dir.path().join("notes.txt"), "no keys").unwrap();
        std::fs::write(dir.path().join("2.toml"), [0xff, 0xfe]).unwrap();
        std::fs::create_dir(dir.path().join("3.toml")).unwrap();
        let (keys, reports) = load(dir.path());
        assert_eq!(found(&keys, "x"), Found::Command("open"));
        assert_eq!(reports.iter().map(|r| r.at.as_str()).collect::<Vec<_>>(), ["2.toml", "3.toml"]);
    }
}
