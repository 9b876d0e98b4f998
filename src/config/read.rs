//! A typed reader over parsed TOML that keeps spans, and collects every problem instead of stopping at the first.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::no_toml;
use super::problem::Problem;
use crate::base::suggest;

/// More problems than anybody reads at once are not noted: each costs a walk through the text, and one slip may make thousands.
const MOST: usize = 100;

/// Collects problems while one file is read.
pub struct Notes<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
    references: RefCell<Vec<Reference>>,
    doubts: RefCell<Vec<Problem>>,
    /// Keys that no table below the top knows.
    strays: RefCell<Vec<At<String>>>,
}

/// What a value names that lies outside of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    Calendar,
    Theme,
    /// How messages call it.
    File(&'static str),
}

/// A value that names something outside of its file, and its place. Whether that is there is for the caller to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub named: Named,
    pub value: String,
    pub span: Range<usize>,
}

impl<'t> Notes<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, problems: RefCell::default(), references: RefCell::default(), doubts: RefCell::default(), strays: RefCell::default() }
    }

    /// What the file may say, and what will hardly do what was meant.
    pub fn doubt(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let mut all = self.doubts.borrow_mut();
        if all.len() < MOST {
            all.push(Problem::at(self.text, span, message, help));
        }
    }

    /// In the order of the file.
    pub fn doubts(&self) -> Vec<Problem> {
        let mut all = self.doubts.borrow().clone();
        all.sort_by_key(|p| (p.span.start, p.span.end));
        all
    }

    /// A value names something outside of the file.
    pub fn refers(&self, named: Named, at: At<String>) {
        self.references.borrow_mut().push(Reference { named, value: at.value, span: at.span });
    }

    pub fn references(&self) -> Vec<Reference> {
        self.references.borrow().clone()
    }

    pub fn add(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let mut all = self.problems.borrow_mut();
        match all.len() {
            n if n < MOST => all.push(Problem::at(self.text, span, message, help)),
            MOST => {
                let last = self.text.len();
                all.push(Problem::at(self.text, last..last, format!("more than {MOST} errors: the others are not shown"), ""));
            }
            _ => {}
        }
    }

    /// Tells of keys below a table that the top of the file has: TOML gives a line to the table above it, wherever that began.
    fn belong_to_the_top(&self, known: &[&str]) {
        for stray in self.strays.borrow().iter().filter(|s| known.contains(&s.value.as_str())) {
            for p in self.problems.borrow_mut().iter_mut().filter(|p| p.span == stray.span) {
                p.help = format!("`{}` belongs to the top of the file: move it above the first line with a [table]", stray.value);
            }
        }
    }

    /// These, and what keeps the text from being TOML at all.
    pub fn no_toml(self, errors: &[toml::de::Error]) -> Vec<Problem> {
        for e in errors {
            let span = e.span().unwrap_or(0..0);
            let (message, help) = no_toml::told(self.text, &span, e.message());
            self.add(span, message, help);
        }
        // What follows on the line of a slip follows from it.
        let mut all = self.finish();
        all.dedup_by_key(|p| p.line);
        all
    }

    /// All problems, in the order of the file.
    pub fn finish(self) -> Vec<Problem> {
        let mut all = self.problems.into_inner();
        all.sort_by_key(|p| (p.span.start, p.span.end));
        all.dedup();
        all
    }
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    pub value: T,
    pub span: Range<usize>,
}

/// One table: keys are taken out by name and type; what is left over in `close` is unknown.
pub struct Table<'a, 'i, 't> {
    table: &'a DeTable<'i>,
    notes: &'a Notes<'t>,
    /// How messages call the table: empty or words at the top, else `[engine]`.
    title: String,
    known: RefCell<Vec<&'static str>>,
}

impl<'a, 'i, 't> Table<'a, 'i, 't> {
    pub fn new(table: &'a DeTable<'i>, notes: &'a Notes<'t>, title: impl Into<String>) -> Self {
        Self { table, notes, title: title.into(), known: RefCell::default() }
    }

    fn take(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.known.borrow_mut().push(key);
        self.table.iter().find(|(k, _)| k.get_ref().as_ref() == key).map(|(_, v)| v)
    }

    /// Whether the key is there at all, whatever its type.
    pub fn has(&self, key: &str) -> bool {
        self.table.iter().any(|(k, _)| k.get_ref().as_ref() == key)
    }

    /// How a table of this one is written: `log.errors`.
    fn below(&self, key: &str) -> String {
        let own = if self.title.starts_with('[') { self.title.trim_matches(['[', ']']) } else { "" };
        if own.is_empty() { key.to_owned() } else { format!("{own}.{key}") }
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let what = if self.title.is_empty() { format!("`{key}`") } else { format!("`{key}` in {}", self.title) };
        self.notes.add(value.span(), format!("{what} must be {wanted}, not {}", kind(value.get_ref())), "");
    }

    pub fn text(&self, key: &'static str) -> Option<At<String>> {
        let value = self.take(key)?;
        match value.get_ref().as_str() {
            Some(s) => Some(At { value: s.to_owned(), span: value.span() }),
            None => {
                self.wrong(key, value, "a text in quotes");
                None
            }
        }
    }

    pub fn bool(&self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        let got = value.get_ref().as_bool();
        if got.is_none() {
            self.wrong(key, value, "true or false");
        }
        got
    }

    /// A whole number within `range`, both ends included.
    pub fn int(&self, key: &'static str, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let value = self.take(key)?;
        let Some(n) = value.get_ref().as_integer() else {
            self.wrong(key, value, "a whole number");
            return None;
        };
        match i64::from_str_radix(n.as_str(), n.radix()).ok().and_then(|n| u32::try_from(n).ok()).filter(|n| range.contains(n)) {
            Some(n) => Some(n),
            None => {
                self.notes.add(value.span(), format!("`{key}` must be from {} to {}", range.start(), range.end()), "");
                None
            }
        }
    }

    /// A list of texts.
    pub fn texts(&self, key: &'static str) -> Option<Vec<At<String>>> {
        let value = self.take(key)?;
        match value.get_ref().as_array() {
            Some(list) => Some(text_list(list, self.notes, key)),
            None => {
                self.wrong(key, value, "a list of texts, such as [\"a\", \"b\"]");
                None
            }
        }
    }

    /// Where a list stands that has nothing in it.
    pub fn empty_list(&self, key: &str) -> Option<Range<usize>> {
        let (_, value) = self.table.iter().find(|(k, _)| k.get_ref().as_ref() == key)?;
        value.get_ref().as_array().filter(|list| list.is_empty()).map(|_| value.span())
    }

    /// One text, or a list of texts.
    pub fn text_or_texts(&self, key: &'static str) -> Option<Vec<At<String>>> {
        match self.table.iter().find(|(k, _)| k.get_ref().as_ref() == key) {
            Some((_, v)) if v.get_ref().as_array().is_some() => self.texts(key),
            _ => self.text(key).map(|t| vec![t]),
        }
    }

    pub fn table(&self, key: &'static str) -> Option<(Table<'a, 'i, 't>, Range<usize>)> {
        let value = self.take(key)?;
        match value.get_ref().as_table() {
            Some(t) => Some((Table::new(t, self.notes, format!("[{}]", self.below(key))), value.span())),
            None => {
                self.wrong(key, value, &format!("a table, written [{}]", self.below(key)));
                None
            }
        }
    }

    /// A text in quotes, or a date or time as TOML knows them.
    pub fn moment(&self, key: &'static str) -> Option<At<String>> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::String(s) => Some(At { value: s.to_string(), span: value.span() }),
            DeValue::Datetime(d) => Some(At { value: d.to_string(), span: value.span() }),
            _ => {
                self.wrong(key, value, "a time or a date");
                None
            }
        }
    }

    /// A list of tables: `[[window]]`, each with its place.
    pub fn tables(&self, key: &'static str) -> Vec<(Table<'a, 'i, 't>, Range<usize>)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            self.wrong(key, value, &format!("a list of tables, each written [[{}]]", self.below(key)));
            return Vec::new();
        };
        let mut out = Vec::new();
        for item in list.iter() {
            match item.get_ref().as_table() {
                Some(t) => out.push((Table::new(t, self.notes, format!("[[{}]]", self.below(key))), item.span())),
                None => self.wrong(key, item, &format!("a list of tables, each written [[{}]]", self.below(key))),
            }
        }
        out
    }

    /// A table whose keys are names of the site, each with a value: `[secrets] NAME = …`.
    pub fn named(&self, key: &'static str) -> Vec<Entry<'a, 'i>> {
        self.entries(key, &format!("a table, written [{}]", self.below(key)))
    }

    /// A table whose keys are names of the site, each with a table of its own: `[locks.NAME]`.
    pub fn tables_by_name(&self, key: &'static str) -> Vec<Entry<'a, 'i>> {
        self.entries(key, &format!("tables with names, each written [{}.NAME]", self.below(key)))
    }

    fn entries(&self, key: &'static str, wanted: &str) -> Vec<Entry<'a, 'i>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(key, value, wanted);
            return Vec::new();
        };
        table.iter().map(|(k, v)| Entry { name: At { value: k.get_ref().to_string(), span: k.span() }, value: v }).collect()
    }

    /// The sub-table of a named entry.
    pub fn entry(&self, group: &str, entry: &Entry<'a, 'i>) -> Option<Table<'a, 'i, 't>> {
        let title = format!("[{group}.{}]", entry.name.value);
        match entry.value.get_ref().as_table() {
            Some(t) => Some(Table::new(t, self.notes, title)),
            None => {
                let found = kind(entry.value.get_ref());
                self.notes.add(
                    entry.value.span(),
                    format!("`{}` must be a table, not {found}", entry.name.value),
                    format!("write {title}"),
                );
                None
            }
        }
    }

    /// Reports every key that nobody asked for, with the nearest one that exists.
    pub fn close(self) {
        let known = self.known.into_inner();
        for (key, _) in self.table.iter() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let place = if self.title.is_empty() { "in the site file".to_owned() } else { format!("in {}", self.title) };
            let help = match suggest::nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.notes.add(key.span(), format!("unknown key `{name}` {place}"), help);
            if !self.title.is_empty() {
                self.notes.strays.borrow_mut().push(At { value: name.to_owned(), span: key.span() });
            }
        }
        if self.title.is_empty() {
            self.notes.belong_to_the_top(&known);
        }
    }
}

/// A key chosen by the site, with its value.
pub struct Entry<'a, 'i> {
    pub name: At<String>,
    pub value: &'a Spanned<DeValue<'i>>,
}

impl Entry<'_, '_> {
    /// The value as a text.
    pub fn text(&self, notes: &Notes<'_>, wanted: &str) -> Option<At<String>> {
        let got = self.value.get_ref().as_str().map(|s| At { value: s.to_owned(), span: self.value.span() });
        if got.is_none() {
            notes.add(self.value.span(), format!("`{}` must be {wanted}, not {}", self.name.value, kind(self.value.get_ref())), "");
        }
        got
    }

    /// The value as a list of texts.
    pub fn texts(&self, notes: &Notes<'_>) -> Option<Vec<At<String>>> {
        match self.value.get_ref().as_array() {
            Some(list) => Some(text_list(list, notes, &self.name.value)),
            None => {
                let found = kind(self.value.get_ref());
                notes.add(self.value.span(), format!("`{}` must be a list of texts, not {found}", self.name.value), "");
                None
            }
        }
    }
}

fn text_list(list: &DeArray<'_>, notes: &Notes<'_>, key: &str) -> Vec<At<String>> {
    let mut out = Vec::new();
    for item in list.iter() {
        match item.get_ref().as_str() {
            Some(s) => out.push(At { value: s.to_owned(), span: item.span() }),
            None => notes.add(item.span(), format!("`{key}` holds {}; every entry must be a text", kind(item.get_ref())), ""),
        }
    }
    out
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
