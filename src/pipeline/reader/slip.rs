//! What a parser's complaint means: the usual slip behind it, where it stands, and what to do. Told in the order in which one hides another. Pure.

mod typed;

use std::ops::Range;

use crate::pipeline::diagnostic::{Loc, Sink, show};

pub(in crate::pipeline) use typed::glued;
pub(super) use typed::{CURLY, odd_blank, other_blank};

/// One slip, as it is told.
pub(super) struct Slip {
    at: Loc,
    code: &'static str,
    message: String,
    help: String,
}

impl Slip {
    fn new(at: Loc, code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at, code, message: message.into(), help: help.into() }
    }

    pub(super) fn tell(&self, sink: &mut Sink<'_>) {
        sink.error(self.at, self.code, &self.message, &self.help);
    }
}

/// The slip behind the parser's words `info`. `pos` is where the parser gave up, often just behind the slip.
pub(super) fn find<'t>(text: &'t str, info: &'t str, pos: usize) -> Slip {
    let place = Place::at(text, info, pos);
    let looks: [fn(&Place<'t>) -> Option<Slip>; 26] = [
        Place::conflict,
        Place::tab_of_indent,
        Place::odd_indent,
        Place::depth,
        Place::tab_within,
        Place::escape,
        Place::merge,
        Place::alias,
        Place::closes_nothing,
        Place::comma,
        Place::open_bracket,
        Place::block_header,
        Place::behind_block,
        Place::first_character,
        Place::wide_colon,
        Place::curly_quote,
        Place::blank_behind_dash,
        Place::list_behind_key,
        Place::shallow,
        Place::blank_behind_colon,
        Place::line_above,
        Place::list_above,
        Place::quote,
        Place::bracket,
        Place::second_colon,
        Place::goes_on,
    ];
    looks.iter().find_map(|look| look(&place)).unwrap_or_else(|| place.whole_line())
}

/// A tab that indents.
pub(super) fn tab(text: &str, pos: usize) -> Slip {
    Slip::new(Loc::at(text, pos..pos + 1), "yaml.tab", "a tab indents this line", "indent with blanks only")
}

/// Where the parser gave up, and why.
struct Place<'t> {
    text: &'t str,
    info: &'t str,
    pos: usize,
    /// The line of the slip, and where it begins.
    line: &'t str,
    start: usize,
    indent: usize,
    /// The last line before it that is neither blank nor a comment.
    above: Option<&'t str>,
}

impl<'t> Place<'t> {
    fn at(text: &'t str, info: &'t str, pos: usize) -> Self {
        let pos = Loc::at(text, pos..pos).start;
        let start = line_of(text, pos);
        let line = text[start..].lines().next().unwrap_or("");
        let above = text[..start].lines().rev().find(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#'));
        Self { text, info, pos, line, start, indent: indent(line), above }
    }

    fn says(&self, word: &str) -> bool {
        self.info.contains(word)
    }

    /// Of the line, counted in bytes from its beginning.
    fn loc(&self, part: Range<usize>) -> Loc {
        Loc::at(self.text, self.start + part.start..self.start + part.end)
    }

    fn body(&self) -> &'t str {
        self.line.trim_start()
    }

    /// All of the line but its indent.
    fn whole(&self) -> Loc {
        self.loc(self.indent..self.line.len())
    }

    /// Where the parser gave up, if that is in this line; else the line.
    fn behind(&self) -> Loc {
        let (here, whole) = (Loc::at(self.text, self.pos..self.pos), self.whole());
        if here.line == whole.line { here } else { whole }
    }

    /// In this line or the next, wherever the parser noticed it.
    fn tab_of_indent(&self) -> Option<Slip> {
        let mut offset = self.start;
        for l in self.text[self.start..].split_inclusive('\n').filter(|l| !l.trim().is_empty()).take(2) {
            let lead = l.len() - l.trim_start_matches([' ', '\t']).len();
            if let Some(i) = l[..lead].find('\t') {
                return Some(tab(self.text, offset + i));
            }
            offset += l.len();
        }
        None
    }

    fn depth(&self) -> Option<Slip> {
        let help = "is this a pipeline? remove brackets, or levels of indent";
        self.says("recursion limit").then(|| Slip::new(self.whole(), "yaml.depth", "the file nests deeper than any pipeline can", help))
    }

    fn tab_within(&self) -> Option<Slip> {
        let i = self.line.find('\t').filter(|_| !self.line.contains(['"', '\'', '#']))?;
        let message = "a tab stands in this line, and the parser stumbles there";
        Some(Slip::new(self.loc(i..i + 1), "yaml.tab", message, "write blanks in its place"))
    }

    fn merge(&self) -> Option<Slip> {
        let (message, help) =
            ("merge keys (`<<:`) are not part of pipeline files", "write the keys here again, or use `matrix:` or `env:`");
        self.body().starts_with("<<:").then(|| Slip::new(self.whole(), "yaml.merge", message, help))
    }

    /// A star that begins a value: of an alias, or of a text that lacks its quotes.
    fn alias(&self) -> Option<Slip> {
        let begins = |i: usize| self.line[..i].trim_end().ends_with([':', '-', '[', ',', '{']) || self.line[..i].trim().is_empty();
        let star = self.line.match_indices('*').map(|(i, _)| i).find(|i| begins(*i)).or_else(|| self.line.find('*'));
        let meant = self.says("unknown anchor") || self.says("alias") && star.is_some();
        let from = star.unwrap_or(self.indent);
        let name = self.line[from..].trim_start_matches('*').trim_end_matches([']', '}', ' ', ',']);
        let word = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
        let (message, help) = if word {
            ("an alias (`*name`) is not part of pipeline files", "write the value here again; a text that begins with `*` needs quotes")
        } else {
            ("a value cannot begin with `*`", "put the value in quotes")
        };
        meant.then(|| Slip::new(self.loc(from..self.line.len()), "yaml.alias", message, help))
    }

    /// A bracket that can be pointed at.
    fn open_bracket(&self) -> Option<Slip> {
        let flow = ["flow", "',' or", "illegal placement", "end of stream", "node content"].iter().any(|w| self.says(w));
        let open = unclosed(self.text, self.start + self.line.len()).filter(|_| flow)?;
        let bracket = &self.text[open..=open];
        let close = if bracket == "[" { "]" } else { "}" };
        Some(Slip::new(
            Loc::at(self.text, open..open + 1),
            "yaml.bracket",
            format!("this `{bracket}` is not closed, or a comma is missing behind it"),
            format!("add `{close}`; a text with `{{`, `[` or `,` needs quotes"),
        ))
    }

    /// `run: |9`, here or above.
    fn block_header(&self) -> Option<Slip> {
        let over = self.above.and_then(|l| Some((self.text[..self.start].rfind(l)?, l)));
        let (from, part) =
            [Some((self.start, self.line)), over].into_iter().flatten().find_map(|(from, l)| Some((from, block_indent(l)?)))?;
        Some(Slip::new(
            Loc::at(self.text, from + part.start..from + part.end),
            "yaml.block",
            "the number here says how far the text below is indented, and it is not",
            "leave the number out: the first line of the text says it",
        ))
    }

    fn first_character(&self) -> Option<Slip> {
        const NEVER: [char; 3] = ['@', '`', '%'];
        let meant = self.says("unexpected character") || self.body().starts_with(NEVER);
        let here = self.pos.checked_sub(self.start).filter(|i| self.line.get(*i..).is_some_and(|l| l.starts_with(NEVER)));
        let from = here.unwrap_or(self.indent + self.body().find(": ").map_or(0, |i| i + 2));
        let first = self.line[from..].chars().next().filter(|_| meant)?;
        let message = format!("a value cannot begin with `{}`", show(&first.to_string()));
        Some(Slip::new(self.loc(from..self.line.len()), "yaml.syntax", message, "put the value in quotes"))
    }

    /// The line above is neither a key nor an item.
    fn line_above(&self) -> Option<Slip> {
        let above = self.above.filter(|l| self.says("simple key") && !l.contains(':'))?;
        let i = self.text[..self.start].rfind(above).unwrap_or(self.start) + indent(above);
        Some(neither(Loc::at(self.text, i..i + above.trim().len()), above.trim()))
    }

    fn list_above(&self) -> Option<Slip> {
        let message = "this line belongs to nothing: the list above goes on only with `- …`";
        let item = self.text[..self.start].lines().rev().find(|l| l.trim_start().starts_with("- "));
        let more = item.map(content).and_then(|i| i.checked_sub(self.indent)).filter(|n| *n > 0);
        let more = more.map_or_else(String::new, |n| format!(" by {n} more"));
        let help = format!("indent it{more} to make it part of the item above");
        self.says("expected '-'").then(|| Slip::new(self.whole(), "yaml.indent", message, help))
    }

    fn quote(&self) -> Option<Slip> {
        let meant = self.says("quoted") || self.says("end of stream") && self.body().contains(['"', '\'']);
        if !meant {
            return None;
        }
        let before = self.text[self.start..self.pos.max(self.start)].trim_end();
        Some(match before.chars().next_back().filter(|q| before.len() > 1 && matches!(q, '"' | '\'')) {
            Some(q) => {
                let (inside, other) = if q == '"' { ("\\\"", "single") } else { ("\'\'", "double") };
                let help = format!("quote the whole value; inside of these quotes write `{inside}`, or take {other} quotes around it");
                Slip::new(self.behind(), "yaml.quote", "the quoted text ends before this, and something follows", help)
            }
            None => Slip::new(self.behind(), "yaml.quote", "this quote is not closed", "close it with the same quote"),
        })
    }

    fn bracket(&self) -> Option<Slip> {
        let meant = self.says("flow") || self.says("',' or");
        let help = "check brackets and commas; a text with `{`, `[` or `,` needs quotes";
        meant.then(|| Slip::new(self.behind(), "yaml.bracket", "a `[…]` or `{…}` is not closed or lacks a comma", help))
    }

    fn second_colon(&self) -> Option<Slip> {
        let (second, _) = self.body().match_indices(": ").nth(1)?;
        let at = self.loc(self.indent + second..self.indent + second + 1);
        Some(Slip::new(at, "yaml.colon", "a second `: ` stands in this line", "put the value in quotes"))
    }

    /// No sign in the line is the slip.
    fn whole_line(&self) -> Slip {
        let (body, above) = (self.body(), self.above.map_or(0, indent));
        if above != self.indent {
            let keys = self.above.map_or(0, content);
            let of = if keys == above { "the line before has" } else { "the keys of the item before have" };
            let message = format!("the indent of {} fits nothing above: {of} {keys}", self.indent);
            return Slip::new(self.whole(), "yaml.indent", message, "line it up with the keys that it belongs to");
        }
        if !body.contains(':') && !body.starts_with('-') {
            return neither(self.whole(), body);
        }
        let message = format!("this is not YAML here: {}", show(self.info));
        Slip::new(self.whole(), "yaml.syntax", message, "look at the indent of this line and of the one above")
    }
}

fn neither(at: Loc, line: &str) -> Slip {
    let message = format!("`{}` is neither `key: value` nor a list item `- …`", show(line));
    Slip::new(at, "yaml.syntax", message, "is a colon missing, or the `|` behind the key above?")
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Where the content of a line begins, behind the dashes of an item.
fn content(line: &str) -> usize {
    let mut from = indent(line);
    while line[from..].starts_with("- ") {
        from += 1 + indent(&line[from + 1..]);
    }
    from
}

/// Where the line of a slip begins. At the very end, or on a blank line, it is the last line with something on it.
fn line_of(text: &str, pos: usize) -> usize {
    let mut start = text[..pos].rfind('\n').map_or(0, |i| i + 1);
    while text[start..].lines().next().unwrap_or("").trim().is_empty() && start > 0 {
        start = text[..start - 1].rfind('\n').map_or(0, |i| i + 1);
    }
    start
}

/// Where a line ends with a `|` or `>` that states an indent: `run: |9`.
fn block_indent(line: &str) -> Option<Range<usize>> {
    let end = line.trim_end();
    let i = end.rfind(['|', '>'])?;
    let states = end[i + 1..].len() <= 2 && end[i + 1..].contains(|c: char| c.is_ascii_digit());
    (states && end[..i].ends_with(' ') && end[i + 1..].chars().all(|c| c.is_ascii_digit() || "+-".contains(c))).then_some(i..end.len())
}

/// The last bracket opened and not closed in the few lines before `end`.
fn unclosed(text: &str, end: usize) -> Option<usize> {
    let from = text[..end].char_indices().rev().filter(|(_, c)| *c == '\n').nth(4).map_or(0, |(i, _)| i + 1);
    let mut open: Vec<usize> = Vec::new();
    let mut quote = None;
    for (i, c) in text[from..end].char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => open.push(from + i),
            (None, ']' | '}') => {
                open.pop();
            }
            _ => {}
        }
    }
    open.pop()
}
