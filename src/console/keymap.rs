//! Keys to commands: what a file says, by scope, with sequences of keys; and how keys are written.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// One press. Shift is in the character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub code: Code,
    pub ctrl: bool,
    pub alt: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    Char(char),
    Enter,
    Esc,
    Tab,
    BackTab,
    Backspace,
    Delete,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
}

impl Key {
    pub const fn plain(code: Code) -> Self {
        Self { code, ctrl: false, alt: false }
    }

    pub const fn char(c: char) -> Self {
        Self::plain(Code::Char(c))
    }
}

/// Names of keys that are no characters, as files and hints write them.
const NAMES: [(&str, Code); 15] = [
    ("enter", Code::Enter),
    ("esc", Code::Esc),
    ("tab", Code::Tab),
    ("backtab", Code::BackTab),
    ("backspace", Code::Backspace),
    ("delete", Code::Delete),
    ("up", Code::Up),
    ("down", Code::Down),
    ("left", Code::Left),
    ("right", Code::Right),
    ("home", Code::Home),
    ("end", Code::End),
    ("pgup", Code::PageUp),
    ("pgdn", Code::PageDown),
    ("space", Code::Char(' ')),
];

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut rest, mut ctrl, mut alt) = (text, false, false);
        loop {
            match rest.split_at_checked(2) {
                Some(("C-", more)) if !more.is_empty() => (rest, ctrl) = (more, true),
                Some(("A-", more)) if !more.is_empty() => (rest, alt) = (more, true),
                _ => break,
            }
        }
        let mut chars = rest.chars();
        let code = match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_control() => Code::Char(c),
            _ => NAMES
                .iter()
                .find(|(n, _)| *n == rest)
                .map(|(_, c)| *c)
                .ok_or_else(|| format!("`{text}` is no key: one character, or one of {}", NAMES.map(|(n, _)| n).join(" ")))?,
        };
        Ok(Self { code, ctrl, alt })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.ctrl { "C-" } else { "" })?;
        f.write_str(if self.alt { "A-" } else { "" })?;
        match (NAMES.iter().find(|(_, c)| *c == self.code), self.code) {
            (Some((name, _)), _) => f.write_str(name),
            (None, Code::Char(c)) => write!(f, "{c}"),
            (None, other) => write!(f, "{other:?}"),
        }
    }
}

/// Where a binding holds. Inner scopes win over outer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Global,
    /// Every screen that is a list.
    List,
    Log,
    /// The screen of repositories and their replicas.
    Mirrors,
    /// The page of a pipeline, while no text is typed.
    Pipeline,
    /// The screens of promotions.
    Promotions,
    /// Versions and holds.
    Content,
    /// Two contents compared.
    Diff,
}

impl Scope {
    pub const ALL: [(&str, Self); 8] = [
        ("global", Self::Global),
        ("list", Self::List),
        ("log", Self::Log),
        ("mirrors", Self::Mirrors),
        ("pipeline", Self::Pipeline),
        ("promotions", Self::Promotions),
        ("content", Self::Content),
        ("diff", Self::Diff),
    ];
}

/// What the keys pressed so far mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a> {
    Command(&'a str),
    /// The beginning of these.
    Prefix(Vec<(Key, &'a str)>),
    Nothing,
}

/// All bindings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keymap {
    scopes: BTreeMap<Scope, BTreeMap<Vec<Key>, String>>,
}

impl Keymap {
    pub fn of(scopes: BTreeMap<Scope, BTreeMap<Vec<Key>, String>>) -> Self {
        Self { scopes }
    }

    /// Looks the sequence up, innermost scope first.
    pub fn look_up(&self, scopes: &[Scope], pressed: &[Key]) -> Found<'_> {
        let mut prefix = Vec::new();
        for keys in scopes.iter().rev().filter_map(|s| self.scopes.get(s)) {
            if let Some(id) = keys.get(pressed) {
                return Found::Command(id);
            }
            let longer = keys.range(pressed.to_vec()..).take_while(|(k, _)| k.starts_with(pressed));
            prefix.extend(longer.filter_map(|(k, id)| Some((*k.get(pressed.len())?, id.as_str()))));
        }
        if prefix.is_empty() { Found::Nothing } else { Found::Prefix(prefix) }
    }

    /// Every way to a command in one scope.
    #[cfg(test)]
    pub fn all_of(&self, scope: Scope, id: &str) -> Vec<String> {
        let all = self.scopes.get(&scope).into_iter().flatten().filter(|(_, c)| *c == id);
        all.map(|(k, _)| k.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")).collect()
    }

    /// Whether these keys, pressed one after the other, come to the command: an inner scope may have taken one of them.
    fn comes_to(&self, scopes: &[Scope], keys: &[Key], id: &str) -> bool {
        (1..keys.len()).all(|n| matches!(self.look_up(scopes, &keys[..n]), Found::Prefix(_)))
            && self.look_up(scopes, keys) == Found::Command(id)
    }

    /// Every way to a command from these scopes, the shortest first.
    pub fn ways(&self, scopes: &[Scope], id: &str) -> Vec<String> {
        let all = scopes.iter().rev().filter_map(|s| self.scopes.get(s)).flatten().filter(|(_, c)| *c == id).map(|(k, _)| k);
        let mut all: Vec<&Vec<Key>> = all.filter(|k| self.comes_to(scopes, k, id)).collect();
        all.sort_by_key(|k| (k.len(), k.iter().any(|k| k.ctrl || k.alt)));
        let mut ways: Vec<String> = Vec::new();
        for keys in all {
            let written = keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            if !ways.contains(&written) {
                ways.push(written);
            }
        }
        ways
    }

    /// The shortest way to a command from these scopes, as hints show it.
    pub fn keys_of(&self, scopes: &[Scope], id: &str) -> Option<String> {
        self.ways(scopes, id).into_iter().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        for text in ["a", "A", "/", "C-c", "A-x", "enter", "pgdn", "space", "C-space", "-", "C--"] {
            let key: Key = text.parse().unwrap();
            assert_eq!(key.to_string(), text);
        }
        assert!("ab".parse::<Key>().is_err() && "".parse::<Key>().is_err());
    }

    #[test]
    fn the_built_in_keys_are_whole() {
        let keys = Keymap::default_keys();
        let scopes = [Scope::Global, Scope::List];
        assert_eq!(keys.look_up(&scopes, &[Key::char('j')]), Found::Command("down"));
        assert!(matches!(keys.look_up(&scopes, &[Key::char('g')]), Found::Prefix(_)));
        assert_eq!(keys.look_up(&scopes, &[Key::char('g'), Key::char('g')]), Found::Command("top"));
        assert_eq!(keys.look_up(&scopes, &[Key::char('\u{e9}')]), Found::Nothing);
    }

    #[test]
    fn hints_name_no_key_that_an_inner_scope_has_taken() {
        let keys = Keymap::default_keys();
        let mirrors = [Scope::Global, Scope::List, Scope::Mirrors];
        assert_eq!(keys.keys_of(&mirrors, "replicas").as_deref(), Some("k"));
        assert_eq!(keys.ways(&mirrors, "up"), ["up"], "k shows replicas there");
        assert_eq!(keys.ways(&mirrors, "top"), ["home"], "g shows the graph there");
        assert_eq!(keys.ways(&[Scope::Global, Scope::List], "down"), ["j", "down"]);
    }
}
