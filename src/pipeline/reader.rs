//! The strict YAML subset: text to a tree of located nodes. One document, no anchors, aliases, tags or merge keys, no duplicate keys.
//!
//! Scalars stay text: the schema gives them their type, so that `no`, `010`, `9.10` and `22:30` mean what was written.

mod slip;

pub(in crate::pipeline) use slip::glued;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::diagnostic::{Loc, Sink, show};

/// Bytes of a file that will be read.
pub const MAX_BYTES: usize = 1 << 20;
/// Nesting of sequences and mappings.
pub const MAX_DEPTH: usize = 32;

#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub at: Loc,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Scalar { text: String, style: Style },
    Seq(Vec<Node>),
    Map(Vec<(Word, Node)>),
}

/// A mapping's key, or any other located word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    pub at: Loc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    Quoted,
    /// `|`
    Literal,
    /// `>`
    Folded,
    /// Stands for what was refused already; it is not judged again.
    Refused,
}

impl Node {
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// An absent value: `key:` and nothing behind it.
    pub fn is_empty(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, style: Style::Plain } if text.is_empty())
    }

    pub fn is_refused(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { style: Style::Refused, .. })
    }

    /// What it is, for messages.
    pub fn noun(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar { .. } if self.is_empty() => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// The place in `source` of `range` (bytes) of this scalar's text. Exact where the text stands in the source as it is; else the scalar's start.
    pub fn locate(&self, source: &str, range: std::ops::Range<usize>) -> Loc {
        let Kind::Scalar { text, style } = &self.kind else { return self.at };
        let (Some(body), Some(before), Some(piece)) =
            (source.get(self.at.start..self.at.end), text.get(..range.start), text.get(range.clone()))
        else {
            return self.at;
        };
        let piece = piece.split('\n').next().unwrap_or("");
        let found = if *style == Style::Literal {
            let row = before.bytes().filter(|b| *b == b'\n').count();
            let line = text.split('\n').nth(row).unwrap_or("");
            let column = range.start - before.rfind('\n').map_or(0, |i| i + 1);
            // The block's first line is its header, `|`.
            let mut offset = self.at.start;
            for (n, source_line) in source[self.at.start..].split_inclusive('\n').enumerate() {
                if n == row + 1 {
                    let indent = source_line.trim_end_matches(['\n', '\r']).len().saturating_sub(line.len());
                    return Loc::at(source, offset + indent + column..offset + indent + column + piece.len());
                }
                offset += source_line.len();
            }
            None
        } else {
            let quote = usize::from(*style == Style::Quoted);
            let direct = quote + range.start;
            match body.get(direct..direct + piece.len()) {
                Some(same) if same == piece => Some(direct),
                _ if piece.is_empty() => None,
                _ => body.find(piece),
            }
        };
        match found {
            Some(i) => Loc::at(source, self.at.start + i..self.at.start + i + piece.len()),
            None => self.at,
        }
    }
}

/// Reads the one document of `sink.text`. `None` when nothing could be read; slips that leave a tree are reported and the tree is returned.
pub fn read(sink: &mut Sink<'_>) -> Option<Node> {
    let text = sink.text;
    if text.len() > MAX_BYTES {
        sink.error(
            Loc::at(text, 0..0),
            "yaml.size",
            format!("the file is larger than {MAX_BYTES} bytes"),
            "move data out of the pipeline: scripts belong into files that `run:` calls",
        );
        return None;
    }
    if let Some(i) = text.find('\0') {
        let wide = matches!(text.as_bytes(), [0, _, 0, _, ..] | [_, 0, _, 0, ..]);
        let (message, help) = if wide { super::UTF_16 } else { ("a NUL byte stands in the file", "remove it; is this a text file?") };
        sink.error(Loc::at(text, i..i + 1), super::NOT_TEXT, message, help);
        return None;
    }
    let lone = text.match_indices('\r').map(|(i, _)| i).find(|i| !text[i + 1..].starts_with('\n'));
    if let Some(i) = lone {
        let message = "a carriage return (CR) without a line feed (LF) stands here: to YAML it ends a line, to most programs it does not";
        sink.error(Loc::at(text, i..i + 1), "yaml.line-end", message, "save the file with line ends of LF, or of CRLF");
        return None;
    }
    controls(sink);
    directives(sink);
    let mut reader = Reader { parser: Parser::new_from_str(text), index: CharIndex::new(text), broken: false, inert: Vec::new() };
    let root = reader.document(sink);
    let inert = std::mem::take(&mut reader.inert);
    if !reader.broken && !tabs(sink, &inert) {
        // Every key behind such a blank would be unknown, and look right.
        return None;
    }
    root
}

/// Signs that draw on a terminal, or turn the order of what is read: the first of each line. They are no part of YAML, in comments neither.
fn controls(sink: &mut Sink<'_>) {
    let text = sink.text;
    let odd =
        |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some((i, c)) = line.char_indices().find(|(_, c)| odd(*c)) {
            let message = format!("a control character stands here as it is: U+{:04X}", c as u32);
            let help = format!("take it out; in double quotes `\\u{:04x}` writes it", c as u32);
            sink.warning(Loc::at(text, at + i..at + i + c.len_utf8()), "text.control", message, help);
            if sink.full() {
                return;
            }
        }
        at += line.len();
    }
}

/// Lines before `---` that ask for another YAML, or give tags a meaning.
fn directives(sink: &mut Sink<'_>) {
    let text = sink.text;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let words = line.trim_end();
        if words.starts_with('%') {
            let place = Loc::at(text, at..at + words.len());
            let mut parts = words.split_whitespace();
            match (parts.next(), parts.next()) {
                (Some("%YAML"), Some("1.2")) => {}
                (Some("%YAML"), version) => sink.error(
                    place,
                    "yaml.version",
                    format!("the file says that it is YAML {}", show(version.unwrap_or("of no version"))),
                    "pipeline files are YAML 1.2: leave the line out, and look at values such as `no`, `010` and `22:30`, which are text here",
                ),
                _ => sink.error(place, "yaml.directive", "a directive (`%NAME`) is not part of pipeline files", "leave it out"),
            }
        } else if !words.is_empty() && !words.starts_with('#') {
            break;
        }
        at += line.len();
    }
}

/// The parser counts characters; everything else here counts bytes.
struct CharIndex {
    /// Byte of each character; empty where all are ASCII.
    bytes: Vec<u32>,
    len: usize,
}

impl CharIndex {
    fn new(text: &str) -> Self {
        let bytes = if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(i, _)| i as u32).collect() };
        Self { bytes, len: text.len() }
    }

    fn byte(&self, char: usize) -> usize {
        if self.bytes.is_empty() { char.min(self.len) } else { self.bytes.get(char).map_or(self.len, |b| *b as usize) }
    }
}

struct Reader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    index: CharIndex,
    /// An error that ends reading was reported.
    broken: bool,
    /// Byte ranges of scalars of several lines, in which a tab is content.
    inert: Vec<(usize, usize)>,
}

impl<'t> Reader<'t> {
    fn next(&mut self, sink: &mut Sink<'_>) -> Option<(Event<'t>, Loc)> {
        match self.parser.next_event()? {
            Ok((event, span)) => {
                let (start, end) = (self.index.byte(span.start.index()), self.index.byte(span.end.index()));
                // The parser's own lines and columns: counting them anew for each event would make large files quadratic.
                let (line, column) = (span.start.line() as u32, span.start.col() as u32 + 1);
                Some((event, Loc { start, end: end.max(start), line, column }))
            }
            Err(e) => {
                self.broken = true;
                slip::find(sink.text, e.info(), self.index.byte(e.marker().index())).tell(sink);
                None
            }
        }
    }

    fn document(&mut self, sink: &mut Sink<'_>) -> Option<Node> {
        let mut root = None;
        loop {
            let (event, at) = self.next(sink)?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    let ended = sink.text[..at.start].lines().rev().find(|l| !l.trim().is_empty() && !l.starts_with('#'));
                    let help = match ended {
                        Some(l) if l.trim_end() == "..." => "the line `...` above ends the document: take it out",
                        _ => "one file holds one pipeline: move what follows into a file of its own",
                    };
                    sink.error(at, "yaml.document", "a second document starts here", help);
                    self.broken = true;
                    return root;
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                event => root = Some(self.node(event, at, 0, sink)?),
            }
        }
        if root.is_none() {
            sink.error(Loc::at(sink.text, 0..0), "yaml.empty", "the file holds no pipeline", "start with `format: 1` and `name: NAME`");
        }
        root
    }

    fn node(&mut self, event: Event<'t>, at: Loc, depth: usize, sink: &mut Sink<'_>) -> Option<Node> {
        if depth > MAX_DEPTH {
            sink.error(
                at,
                "yaml.depth",
                format!("nested deeper than {MAX_DEPTH} levels"),
                "no key of a pipeline needs that: look at the indentation",
            );
            self.broken = true;
            return None;
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse(anchor, tag.is_some(), at, sink);
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    ScalarStyle::Literal => Style::Literal,
                    ScalarStyle::Folded => Style::Folded,
                };
                if text.contains('\0') {
                    sink.error(
                        at,
                        "yaml.nul",
                        "a NUL stands in this text: no script and no variable can carry one",
                        "single quotes keep `\\0` as the two signs that it is",
                    );
                }
                let at = if matches!(style, Style::Literal | Style::Folded) { with_header(sink.text, at) } else { at };
                let whole = |t: &str| t.chars().count() > 2 && t.starts_with(slip::CURLY) && t.ends_with(slip::CURLY);
                if style == Style::Plain && whole(&text) {
                    let message = "these are no quotes of YAML: they are a part of the text";
                    sink.warning(at, "text.quotes", message, "write `\"` or `'` around it, or nothing");
                }
                if sink.text[at.start..at.end].contains('\n') {
                    self.inert.push((at.start, at.end));
                }
                Some(Node { at, kind: Kind::Scalar { text: text.into_owned(), style } })
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse(anchor, tag.is_some(), at, sink);
                let mut items = Vec::new();
                loop {
                    let (event, item_at) = self.next(sink)?;
                    if event == Event::SequenceEnd {
                        return Some(Node { at: Loc { end: item_at.end.max(at.end), ..at }, kind: Kind::Seq(items) });
                    }
                    items.push(self.node(event, item_at, depth + 1, sink)?);
                }
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse(anchor, tag.is_some(), at, sink);
                self.mapping(at, depth, sink)
            }
            Event::Alias(_) => {
                sink.error(
                    at,
                    "yaml.alias",
                    "an alias (`*name`) is not part of pipeline files",
                    "write the value here again, or use `matrix:` or `env:`",
                );
                // A placeholder keeps the tree whole, so that the rest of the file is read too.
                Some(Node { at, kind: Kind::Scalar { text: String::new(), style: Style::Refused } })
            }
            _ => None,
        }
    }

    fn mapping(&mut self, at: Loc, depth: usize, sink: &mut Sink<'_>) -> Option<Node> {
        let mut entries: Vec<(Word, Node)> = Vec::new();
        let mut seen: std::collections::HashMap<String, Loc> = std::collections::HashMap::new();
        let mut braces = false;
        let line = sink.text[..at.start].rfind('\n').map_or(0, |i| i + 1);
        let of_list = sink.text[line..at.start].trim_end().ends_with('-');
        loop {
            let (event, key_at) = self.next(sink)?;
            if event == Event::MappingEnd {
                let end = key_at.end.max(at.end);
                if braces {
                    return Some(Node { at: Loc { end, ..at }, kind: Kind::Scalar { text: String::new(), style: Style::Refused } });
                }
                return Some(Node { at: Loc { end, ..at }, kind: Kind::Map(entries) });
            }
            let key = self.node(event, key_at, depth + 1, sink)?;
            let (event, value_at) = self.next(sink)?;
            let value = self.node(event, value_at, depth + 1, sink)?;
            if matches!(key.kind, Kind::Map(_)) && sink.text[at.start..].starts_with("{{") && key_at.start == at.start + 1 {
                let message = "`{{` begins two mappings, one as the key of the other";
                sink.error(
                    Loc { end: at.start + 2, ..at },
                    "yaml.bracket",
                    message,
                    "a text that begins with `{` needs quotes around all of it",
                );
                braces = true;
                continue;
            }
            let Kind::Scalar { text, .. } = key.kind else {
                sink.error(
                    key_at,
                    "yaml.key",
                    format!("a key must be a word, this is {}", Node { at: key_at, kind: key.kind }.noun()),
                    "write `key: value`",
                );
                continue;
            };
            if text == "<<" {
                sink.error(
                    key_at,
                    "yaml.merge",
                    "merge keys (`<<:`) are not part of pipeline files",
                    "write the keys here again, or use `matrix:` or `env:`",
                );
                continue;
            }
            if let Some(first) = seen.get(&text) {
                sink.error_with(
                    key_at,
                    "yaml.duplicate-key",
                    format!("key `{}` stands here a second time; the first is on line {}", show(&text), first.line),
                    if of_list {
                        "keep one of the two lines; another item of the list begins with `- `"
                    } else {
                        "keep one of the two lines"
                    },
                    (*first, "first here"),
                );
                continue;
            }
            seen.insert(text.clone(), key_at);
            entries.push((Word { text, at: key_at }, value));
        }
    }

    fn refuse(&mut self, anchor: usize, tag: bool, at: Loc, sink: &mut Sink<'_>) {
        if anchor > 0 {
            sink.error(
                at,
                "yaml.anchor",
                "an anchor (`&name`) is not part of pipeline files",
                "write the value where it is needed, or use `matrix:` or `env:`",
            );
        }
        if tag {
            sink.error(
                at,
                "yaml.tag",
                "a tag (`!name`) is not part of pipeline files",
                "leave it out: the schema gives every value its type",
            );
        }
    }
}

/// The parser gives the place of a block scalar's first line; its header (`|`, `>-`) stands on the last line before it that is not blank.
fn with_header(text: &str, at: Loc) -> Loc {
    let line_start = text[..at.start].rfind('\n').map_or(0, |i| i + 1);
    let before = text[..line_start].trim_end();
    let header_start = before.rfind('\n').map_or(0, |i| i + 1);
    let header = before[header_start..].split(" #").next().unwrap_or("").trim_end();
    let marks = header.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
    if !marks.ends_with(['|', '>']) {
        return at;
    }
    let start = header_start + marks.len() - 1;
    let lines = text[start..at.start].bytes().filter(|b| *b == b'\n').count() as u32;
    Loc { start, end: at.end.max(start), line: at.line.saturating_sub(lines), column: text[header_start..start].chars().count() as u32 + 1 }
}

/// Tabs that indent, and blanks of another kind. Inside a text of several lines they are content. Whether there are none of another kind.
fn tabs(sink: &mut Sink<'_>, inert: &[(usize, usize)]) -> bool {
    let text = sink.text;
    let mut offset = 0;
    let mut at = Vec::new();
    for line in text.split_inclusive('\n') {
        if let Some(blank) = slip::other_blank(line) {
            let pos = offset + blank;
            let blank = line.trim().is_empty();
            // The ranges are in file order and do not overlap.
            let before = inert.partition_point(|(start, _)| *start <= pos);
            let content = before.checked_sub(1).is_some_and(|i| pos < inert[i].1);
            if !blank && !content && at.len() < super::diagnostic::MOST {
                at.push(pos);
            }
        }
        offset += line.len();
    }
    let mut plain = true;
    for pos in at {
        let tab = text[pos..].starts_with('\t');
        plain &= tab;
        let slip = if tab { slip::tab(text, pos) } else { slip::odd_blank(text, pos) };
        slip.tell(sink);
    }
    plain
}
