//! The theme file: palette and roles out of TOML, over those of the theme that it inherits from. Text in, sheet or slips out; no I/O.

use std::collections::BTreeMap;
use std::ops::Range;

use ratatui::style::{Color, Modifier, Style};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::colour::{self, Hue};
use super::{Depth, Role};
use crate::base::suggest;

/// Something wrong in a theme file, at a range of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slip {
    pub span: Range<usize>,
    pub message: String,
    /// What to do; empty where nothing can be advised.
    pub help: String,
}

/// What the terminal's own background is taken to be: black, or white.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ground {
    #[default]
    Dark,
    Light,
}

/// A whole theme, not yet for any terminal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sheet {
    pub ground: Ground,
    palette: BTreeMap<String, Hue>,
    /// By the name of a role or of a group.
    entries: BTreeMap<String, Entry>,
}

/// How one role, or one group, is drawn. What it leaves open its group says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Entry {
    fg: Option<Tint>,
    bg: Option<Tint>,
    on: Modifier,
    off: Modifier,
}

/// A colour as it was written. Names stay names: a theme that inherits may give them another colour.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tint {
    Palette(String),
    Fixed(Hue),
}

const KEYS: [&str; 4] = ["inherits", "background", "palette", "roles"];
const ATTRIBUTES: [(&str, Modifier); 6] = [
    ("bold", Modifier::BOLD),
    ("dim", Modifier::DIM),
    ("italic", Modifier::ITALIC),
    ("underline", Modifier::UNDERLINED),
    ("reverse", Modifier::REVERSED),
    ("strike", Modifier::CROSSED_OUT),
];
const COLOURS: &str = "write \"#rrggbb\", a name of [palette], \"default\", or one of the sixteen: red, bright-red, …";

impl Sheet {
    /// The style of a role on a terminal of this depth; none where neither the role nor its group is mentioned.
    pub fn style(&self, role: Role, depth: Depth) -> Option<Style> {
        let name = role.name();
        let own = self.entries.get(name);
        let group = name.split_once('.').and_then(|(g, _)| self.entries.get(g));
        let (own, group) = match (own, group) {
            (None, None) => return None,
            (own, group) => (own.cloned().unwrap_or_default(), group.cloned().unwrap_or_default()),
        };
        let mut style = Style::new();
        style.fg = own.fg.or(group.fg).and_then(|t| self.colour(&t, depth));
        style.bg = own.bg.or(group.bg).and_then(|t| self.colour(&t, depth));
        Some(style.add_modifier((group.on - own.off) | own.on))
    }

    fn colour(&self, tint: &Tint, depth: Depth) -> Option<Color> {
        match tint {
            Tint::Fixed(hue) => Some(hue.at(depth)),
            Tint::Palette(name) => self.palette.get(name).map(|h| h.at(depth)),
        }
    }
}

/// Reads a theme; `parent` finds the one that it inherits from, or says why there is none. Either the theme, or every slip in it.
pub fn read(text: &str, parent: &mut dyn FnMut(&str) -> Result<Sheet, String>) -> Result<Sheet, Vec<Slip>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader::default();
    for e in errors {
        let message = format!("this is not TOML: {}", e.message().lines().collect::<Vec<_>>().join("; "));
        reader.slip(e.span().unwrap_or(0..0), message, "");
    }
    if reader.slips.is_empty() {
        reader.root(root.get_ref(), parent);
    }
    let Reader { sheet, mut slips, .. } = reader;
    slips.sort_by_key(|s| (s.span.start, s.span.end));
    if slips.is_empty() { Ok(sheet) } else { Err(slips) }
}

#[derive(Default)]
struct Reader {
    sheet: Sheet,
    slips: Vec<Slip>,
    /// The theme that it inherits from is not known: a colour that is not known may be one of its.
    orphan: bool,
}

type Value<'i> = Spanned<DeValue<'i>>;

impl Reader {
    fn slip(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.slips.push(Slip { span, message: message.into(), help: help.into() });
    }

    fn unknown<'a>(&mut self, span: Range<usize>, what: &str, word: &str, known: impl Iterator<Item = &'a str>) {
        let known: Vec<&str> = known.collect();
        let help = suggest::meant(word, known.iter().copied(), format!("there are: {}", known.join(", ")));
        self.slip(span, format!("{what} `{word}`"), help);
    }

    fn root(&mut self, root: &DeTable<'_>, parent: &mut dyn FnMut(&str) -> Result<Sheet, String>) {
        let of = |key: &str| root.iter().find(|(k, _)| k.get_ref().as_ref() == key).map(|(_, v)| v);
        if let Some(value) = of("inherits") {
            match value.get_ref().as_str().map(&mut *parent) {
                Some(Ok(sheet)) => self.sheet = sheet,
                Some(Err(why)) => {
                    self.orphan = true;
                    self.slip(value.span(), why, "");
                }
                None => self.slip(value.span(), "`inherits` must be the name of a theme, in quotes", ""),
            }
        }
        if let Some(value) = of("background") {
            match value.get_ref().as_str() {
                Some("dark") => self.sheet.ground = Ground::Dark,
                Some("light") => self.sheet.ground = Ground::Light,
                _ => self.slip(value.span(), "`background` must be \"dark\" or \"light\"", "it says on what the theme is meant to stand"),
            }
        }
        if let Some(table) = of("palette").and_then(|v| self.table(v, "[palette]")) {
            for (name, value) in table.iter() {
                if let Some(hue) = self.hue(value) {
                    self.sheet.palette.insert(name.get_ref().to_string(), hue);
                }
            }
        }
        if let Some(table) = of("roles").and_then(|v| self.table(v, "[roles]")) {
            for (name, value) in table.iter() {
                self.role(name.get_ref(), name.span(), value);
            }
        }
        for (key, _) in root.iter().filter(|(k, _)| !KEYS.contains(&k.get_ref().as_ref())) {
            self.unknown(key.span(), "a theme has no", key.get_ref(), KEYS.into_iter());
        }
    }

    fn table<'a, 'i>(&mut self, value: &'a Value<'i>, what: &str) -> Option<&'a DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.slip(value.span(), format!("{what} must be a table"), "");
        }
        table
    }

    /// `"#rrggbb"`, `"bright-red"`, or `{ rgb = "#rrggbb", ansi = "bright-red" }`.
    fn hue(&mut self, value: &Value<'_>) -> Option<Hue> {
        let Some(table) = value.get_ref().as_table() else {
            let word = value.get_ref().as_str();
            let hue = word.and_then(|w| colour::hex(w).map(Hue::of).or_else(|| colour::named(w).map(|ansi| Hue { rgb: None, ansi })));
            if hue.is_none() {
                self.no_colour(value);
            }
            return hue;
        };
        let (mut rgb, mut ansi) = (None, None);
        for (key, part) in table.iter() {
            let word = part.get_ref().as_str().unwrap_or_default();
            match key.get_ref().as_ref() {
                "rgb" => {
                    rgb = colour::hex(word);
                    if rgb.is_none() {
                        self.slip(part.span(), "`rgb` must be a colour as \"#rrggbb\"", "six hexadecimal digits");
                    }
                }
                "ansi" => {
                    ansi = colour::named(word);
                    if ansi.is_none() {
                        let names = colour::SIXTEEN.iter().map(|(n, ..)| *n).chain([colour::DEFAULT]);
                        self.unknown(part.span(), "among the sixteen there is no", word, names);
                    }
                }
                other => self.unknown(key.span(), "a colour has no", other, ["rgb", "ansi"].into_iter()),
            }
        }
        match (rgb, ansi) {
            (Some(rgb), Some(ansi)) => Some(Hue { rgb: Some(rgb), ansi }),
            (Some(rgb), None) => Some(Hue::of(rgb)),
            (None, Some(ansi)) => Some(Hue { rgb: None, ansi }),
            (None, None) => {
                if table.is_empty() {
                    self.slip(value.span(), "a colour needs `rgb`, `ansi` or both", COLOURS);
                }
                None
            }
        }
    }

    fn no_colour(&mut self, value: &Value<'_>) {
        match value.get_ref().as_str() {
            Some(word) if !word.starts_with('#') => {
                let names: Vec<String> = self.sheet.palette.keys().cloned().collect();
                let known = names.iter().map(String::as_str).chain(colour::SIXTEEN.iter().map(|(n, ..)| *n));
                let near = suggest::meant(word, known, COLOURS.to_owned());
                self.slip(value.span(), format!("no colour `{word}`"), near);
            }
            Some(word) => self.slip(value.span(), format!("`{word}` is no colour"), "write # and six hexadecimal digits"),
            None => self.slip(value.span(), "a colour must be a text in quotes", COLOURS),
        }
    }

    /// One entry of `[roles]`. A table in it is the role below it: `state.good = {…}` says what `"state.good" = {…}` says.
    fn role(&mut self, name: &str, at: Range<usize>, value: &Value<'_>) {
        let group = |r: &Role| r.name().split_once('.').map_or(r.name(), |(g, _)| g);
        if !Role::ALL.iter().any(|r| r.name() == name || group(r) == name) {
            let names = Role::ALL.iter().flat_map(|r| [r.name(), group(r)]).collect::<std::collections::BTreeSet<_>>();
            return self.unknown(at, "no role", name, names.into_iter());
        }
        let Some(table) = value.get_ref().as_table() else {
            return self.slip(value.span(), format!("the role `{name}` must be a table"), "write { fg = \"#rrggbb\", bold = true }");
        };
        let (mut entry, mut own) = (Entry::default(), table.is_empty());
        for (key, part) in table.iter() {
            let word = key.get_ref().as_ref();
            if part.get_ref().as_table().is_some() {
                self.role(&format!("{name}.{word}"), key.span(), part);
                continue;
            }
            own = true;
            if matches!(word, "fg" | "bg") {
                let tint = self.tint(part);
                *if word == "fg" { &mut entry.fg } else { &mut entry.bg } = tint;
            } else if let Some((_, flag)) = ATTRIBUTES.iter().find(|(n, _)| *n == word) {
                match part.get_ref().as_bool() {
                    Some(true) => entry.on |= *flag,
                    Some(false) => entry.off |= *flag,
                    None => self.slip(part.span(), format!("`{word}` must be true or false"), ""),
                }
            } else {
                let known = ["fg", "bg"].into_iter().chain(ATTRIBUTES.iter().map(|(n, _)| *n));
                self.unknown(key.span(), "a role has no", word, known);
            }
        }
        if own {
            self.sheet.entries.insert(name.to_owned(), entry);
        }
    }

    fn tint(&mut self, value: &Value<'_>) -> Option<Tint> {
        let word = value.get_ref().as_str();
        if let Some(name) = word.filter(|w| self.sheet.palette.contains_key(*w)) {
            return Some(Tint::Palette(name.to_owned()));
        }
        let fixed = word.and_then(|w| colour::hex(w).map(Hue::of).or_else(|| colour::named(w).map(|ansi| Hue { rgb: None, ansi })));
        if fixed.is_none() && !(self.orphan && word.is_some_and(|w| !w.starts_with('#'))) {
            self.no_colour(value);
        }
        fixed.map(Tint::Fixed)
    }
}
