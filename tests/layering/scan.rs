//! Reads Rust source as token trees and reports every way out of a room. Token trees, not the syntax tree: what stands in a macro,
//! a `macro_rules!` body or an attribute is an edge like any other. `syn` only proves first that the file is Rust.
//!
//! Limits: names glued together by `concat_idents`-like macros and edges made by code generators are not seen.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};

use crate::rules::Table;

const CRATE: &str = "quarterdeck";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub file: String,
    pub line: usize,
    pub form: &'static str,
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}:{}: {}: {}", self.file, self.line, self.form, self.what)
    }
}

/// Every finding below `src`, in path order.
pub fn tree(src: &Path, table: &Table) -> Vec<Finding> {
    let mut files = Vec::new();
    collect(src, &mut files);
    files.sort();
    assert!(!files.is_empty(), "no Rust file below {}", src.display());
    files.iter().flat_map(|path| file(src, path, table)).collect()
}

fn collect(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())).flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn file(src: &Path, path: &Path, table: &Table) -> Vec<Finding> {
    let name = path.strip_prefix(src).expect("below src").to_string_lossy().into_owned();
    let mut scan = Scan { table, room: String::new(), module: module_of(&name), file: name, out: Vec::new() };
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    scan.room = match scan.file.as_str() {
        "lib.rs" => "lib".into(),
        "main.rs" => "main".into(),
        _ => match table.owner(&scan.module).filter(|_| scan.file.contains('/')) {
            Some(room) => room.name.to_owned(),
            None => {
                scan.find(1, "stray file", "no room of the table");
                return scan.out;
            }
        },
    };
    if !text.starts_with("//!") {
        scan.find(1, "no //! header", "its first line does not say what the file owns");
    }
    let lines = text.lines().count();
    if lines > table.max_lines {
        scan.find(lines, "too long", &format!("{lines} lines, {} at most: split it by what it owns", table.max_lines));
    }
    match (syn::parse_file(&text), TokenStream::from_str(&text)) {
        (Ok(parsed), Ok(tokens)) => {
            if scan.room == "lib" {
                scan.lib(&parsed);
            }
            scan.walk(&flat(tokens), false);
        }
        (Err(e), _) => scan.find(e.span().start().line, "unreadable", &e.to_string()),
        (_, Err(e)) => scan.find(e.span().start().line, "unreadable", &e.to_string()),
    }
    scan.out
}

/// The module path of a file: `runner/shim/mod.rs` is `runner::shim`.
fn module_of(file: &str) -> Vec<String> {
    let stem = file.trim_end_matches(".rs");
    let stem = if matches!(stem, "lib" | "main") { "" } else { stem.strip_suffix("/mod").unwrap_or(stem) };
    stem.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

fn flat(tokens: TokenStream) -> Vec<TokenTree> {
    tokens.into_iter().collect()
}

/// An identifier without `r#`.
fn word(ident: &Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map(str::to_owned).unwrap_or(text)
}

fn ident_at(tokens: &[TokenTree], i: usize) -> Option<String> {
    match tokens.get(i) {
        Some(TokenTree::Ident(ident)) => Some(word(ident)),
        _ => None,
    }
}

fn punct_at(tokens: &[TokenTree], i: usize, c: char) -> bool {
    matches!(tokens.get(i), Some(TokenTree::Punct(p)) if p.as_char() == c)
}

fn colons_at(tokens: &[TokenTree], i: usize) -> bool {
    punct_at(tokens, i, ':') && punct_at(tokens, i + 1, ':')
}

fn group_at(tokens: &[TokenTree], i: usize, delimiter: Delimiter) -> Option<&Group> {
    match tokens.get(i) {
        Some(TokenTree::Group(g)) if g.delimiter() == delimiter => Some(g),
        _ => None,
    }
}

/// One path of a `use` tree or of a body; `*` and `self` are kept as last segments.
#[derive(Debug, Clone)]
struct Reach {
    segments: Vec<String>,
    line: usize,
}

struct Scan<'a> {
    table: &'a Table,
    file: String,
    room: String,
    /// Module path of the place being read, inline modules included.
    module: Vec<String>,
    out: Vec<Finding>,
}

impl Scan<'_> {
    fn find(&mut self, line: usize, form: &'static str, what: &str) {
        self.out.push(Finding { file: self.file.clone(), line, form, what: what.to_owned() });
    }

    /// `lib.rs` sees every room as its own child, so it may hold nothing but `mod` lines.
    fn lib(&mut self, parsed: &syn::File) {
        use syn::spanned::Spanned;
        for item in &parsed.items {
            match item {
                syn::Item::Mod(m) if m.content.is_none() => {
                    let name = word(&m.ident);
                    if self.table.room(&name).is_none() {
                        self.find(m.span().start().line, "unknown room", &format!("crate::{name}"));
                    }
                }
                other => self.find(other.span().start().line, "lib item", "lib.rs holds `mod` lines only"),
            }
        }
    }

    fn walk(&mut self, tokens: &[TokenTree], in_attribute: bool) {
        let mut i = 0;
        while i < tokens.len() {
            i = self.step(tokens, i, in_attribute);
        }
    }

    /// Reads what starts at `i`; returns where to go on.
    fn step(&mut self, tokens: &[TokenTree], i: usize, in_attribute: bool) -> usize {
        match &tokens[i] {
            TokenTree::Punct(p) if p.as_char() == '#' => {
                let at = if punct_at(tokens, i + 1, '!') { i + 2 } else { i + 1 };
                let Some(group) = group_at(tokens, at, Delimiter::Bracket) else { return i + 1 };
                self.attribute(&flat(group.stream()), tokens.get(at + 1..).unwrap_or_default());
                at + 1
            }
            TokenTree::Punct(_) => i + 1,
            TokenTree::Literal(literal) => {
                // `#[serde(with = "crate::engine::x")]`: attributes hide paths in strings.
                if in_attribute
                    && let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string())
                    && text.value().contains("::")
                    && let Ok(inner) = TokenStream::from_str(&text.value())
                {
                    let line = literal.span().start().line;
                    let before = self.out.len();
                    self.walk(&flat(inner), true);
                    self.out[before..].iter_mut().for_each(|f| f.line = line);
                }
                i + 1
            }
            TokenTree::Group(group) => {
                self.walk(&flat(group.stream()), in_attribute);
                i + 1
            }
            TokenTree::Ident(ident) => self.ident(tokens, i, ident),
        }
    }

    fn ident(&mut self, tokens: &[TokenTree], i: usize, ident: &Ident) -> usize {
        let line = ident.span().start().line;
        match ident.to_string().as_str() {
            "mod" if ident_at(tokens, i + 1).is_some() => {
                let Some(body) = group_at(tokens, i + 2, Delimiter::Brace) else { return i + 2 };
                self.module.extend(ident_at(tokens, i + 1));
                self.walk(&flat(body.stream()), false);
                self.module.pop();
                i + 3
            }
            "extern" if ident_at(tokens, i + 1).is_some_and(|w| w == "crate") => {
                if let Some(name) = ident_at(tokens, i + 2).filter(|n| n == "self" || n == CRATE) {
                    self.find(line, "root alias", &format!("extern crate {name}"));
                }
                i + 3
            }
            // `use<'a>` in a type captures lifetimes and imports nothing.
            "use" if !punct_at(tokens, i + 1, '<') => {
                let end = (i..tokens.len()).find(|n| punct_at(tokens, *n, ';')).unwrap_or(tokens.len());
                let mut reached = Vec::new();
                use_tree(&tokens[i + 1..end], &[], line, &mut reached);
                let leaks = self.leaks(tokens, i);
                reached.iter().for_each(|r| self.reach(r, true, leaks));
                end + 1
            }
            "include" if punct_at(tokens, i + 1, '!') => {
                self.find(line, "include", "include!");
                i + 2
            }
            "unsafe" if self.file != self.table.unsafe_file => {
                self.find(line, "unsafe", "unsafe");
                i + 1
            }
            _ => self.path(tokens, i, line),
        }
    }

    /// True where a `use` at `i` is visible outside its room.
    fn leaks(&self, tokens: &[TokenTree], i: usize) -> bool {
        let before = |n: usize| i.checked_sub(n).and_then(|at| ident_at(tokens, at));
        if before(1).is_some_and(|w| w == "pub") {
            return true;
        }
        let Some(scope) = i.checked_sub(1).and_then(|at| group_at(tokens, at, Delimiter::Parenthesis)) else { return false };
        if before(2).is_none_or(|w| w != "pub") {
            return false;
        }
        match ident_at(&flat(scope.stream()), 0).as_deref() {
            Some("self") => false,
            Some("super") => self.module.len() <= 1,
            _ => true,
        }
    }

    /// A path in a body, a type, a pattern, a macro: only those that start at the root or climb can leave the room.
    fn path(&mut self, tokens: &[TokenTree], i: usize, line: usize) -> usize {
        let continues = i >= 2 && colons_at(tokens, i - 2);
        let first = ident_at(tokens, i).unwrap_or_default();
        let starts = match first.as_str() {
            "crate" | "super" | "self" => !continues,
            CRATE => true,
            _ => false,
        };
        if !starts || !colons_at(tokens, i + 1) {
            return i + 1;
        }
        let mut segments = vec![first];
        let mut at = i + 1;
        while colons_at(tokens, at) {
            match tokens.get(at + 2) {
                Some(TokenTree::Ident(ident)) => segments.push(word(ident)),
                Some(TokenTree::Group(g)) if g.delimiter() == Delimiter::Brace => {
                    let mut reached = Vec::new();
                    use_tree(&flat(g.stream()), &segments, line, &mut reached);
                    reached.iter().for_each(|r| self.reach(r, true, false));
                    return at + 3;
                }
                Some(TokenTree::Punct(p)) if p.as_char() == '*' => segments.push("*".into()),
                _ => break,
            }
            at += 3;
        }
        self.reach(&Reach { segments, line }, false, false);
        at
    }

    /// Judges one path. `leaks`: it is a `use` that others can see.
    fn reach(&mut self, reach: &Reach, is_use: bool, leaks: bool) {
        let Some(absolute) = self.resolve(&reach.segments) else { return };
        let line = reach.line;
        match absolute.first().map(String::as_str) {
            None | Some("self") if is_use => self.find(line, "root alias", "crate"),
            None | Some("self") => {}
            Some("*") => self.find(line, "root glob", "crate::*"),
            Some(first) => {
                let Some(target) = self.table.owner(&absolute).map(|r| r.name) else {
                    self.find(line, "unknown room", &format!("crate::{first}"));
                    return;
                };
                if self.room == target || target.strip_prefix(self.room.as_str()).is_some_and(|rest| rest.starts_with('/')) {
                    return;
                }
                if !self.table.allows(&self.room, target) {
                    let edge = format!("{} -> {target}", self.room);
                    self.find(line, "edge", &edge);
                } else if let Some(part) = self.table.part(&self.room, target)
                    && !absolute.get(1).is_some_and(|m| part.only.contains(&m.as_str()))
                {
                    let only = part.only.iter().map(|o| format!("{target}::{o}")).collect::<Vec<_>>().join(", ");
                    let reached = absolute.iter().take(2).filter(|s| *s != "self").cloned().collect::<Vec<_>>().join("::");
                    let edge = format!("{} -> {reached} (only {only})", self.room);
                    self.find(line, "edge", &edge);
                } else if leaks {
                    self.find(line, "re-export", target);
                }
            }
        }
    }

    /// The path from the root of the crate; none where it cannot leave the place it stands in.
    fn resolve(&self, segments: &[String]) -> Option<Vec<String>> {
        let mut rest = segments;
        let mut base = match rest.first().map(String::as_str) {
            Some("crate") => {
                rest = &rest[1..];
                Vec::new()
            }
            Some(CRATE) => {
                rest = &rest[1..];
                Vec::new()
            }
            Some("self" | "super") => self.module.clone(),
            _ => return None,
        };
        while let Some(first) = rest.first() {
            match first.as_str() {
                "self" if rest.len() > 1 => {}
                "super" => {
                    base.pop()?;
                }
                _ => break,
            }
            rest = &rest[1..];
        }
        base.extend(rest.iter().cloned());
        if base.len() > 1 && base.last().is_some_and(|s| s == "self") {
            base.pop();
        }
        Some(base)
    }

    /// `inner` = what stands in the brackets; `after` = what the attribute belongs to.
    fn attribute(&mut self, inner: &[TokenTree], after: &[TokenTree]) {
        let name = ident_at(inner, 0).unwrap_or_default();
        if name == "doc" {
            return;
        }
        if name == "path" || name == "cfg_attr" {
            self.path_attribute(inner);
        }
        if name == "macro_export" {
            let line = inner[0].span().start().line;
            let at = after.iter().position(|t| matches!(t, TokenTree::Ident(i) if i == "macro_rules"));
            let which = at.and_then(|at| ident_at(after, at + 2)).unwrap_or_default();
            self.find(line, "macro export", &which);
        }
        self.walk(inner, true);
    }

    fn path_attribute(&mut self, inner: &[TokenTree]) {
        for (i, token) in inner.iter().enumerate() {
            match token {
                TokenTree::Group(g) => self.path_attribute(&flat(g.stream())),
                TokenTree::Ident(ident) if ident == "path" && punct_at(inner, i + 1, '=') => {
                    let target = inner.get(i + 2).map(|t| t.to_string().trim_matches('"').to_owned()).unwrap_or_default();
                    self.find(ident.span().start().line, "path attribute", &target);
                }
                _ => {}
            }
        }
    }
}

/// Flattens a `use` tree; aliases are dropped, for it is the path that makes the edge.
fn use_tree(tokens: &[TokenTree], prefix: &[String], line: usize, out: &mut Vec<Reach>) {
    for branch in tokens.split(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == ',')) {
        let mut segments = prefix.to_vec();
        let mut line = line;
        let mut grouped = false;
        for token in branch {
            match token {
                TokenTree::Ident(ident) if ident == "as" => break,
                TokenTree::Ident(ident) => {
                    line = ident.span().start().line;
                    segments.push(word(ident));
                }
                TokenTree::Punct(p) if p.as_char() == '*' => segments.push("*".into()),
                TokenTree::Group(g) => {
                    use_tree(&flat(g.stream()), &segments, line, out);
                    grouped = true;
                }
                _ => {}
            }
        }
        if !grouped && segments.len() > prefix.len() {
            out.push(Reach { segments, line });
        }
    }
}
