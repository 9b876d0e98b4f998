//! Slips of hand and editor that a parser tells far from their place, or in words of its own: blanks that are missing, signs that only look
//! right, escapes, blocks, and what a merge left. Each is looked for where it would stand.

use super::{Place, Slip, content, indent};
use crate::pipeline::diagnostic::{Loc, show};

/// Quotes that editors put in place of `"` and `'`.
pub(in crate::pipeline::reader) const CURLY: [char; 8] = ['“', '”', '„', '‟', '‘', '’', '«', '»'];
/// What may stand behind a backslash in double quotes, beside codes.
const ESCAPES: &str = "0abt\tnvfre \"/\\N_LP\n\r";

/// A sign that looks like a blank and indents.
pub(in crate::pipeline::reader) fn odd_blank(text: &str, pos: usize) -> Slip {
    let c = text[pos..].chars().next().unwrap_or(' ');
    let message = format!("what indents this line are no blanks: U+{:04X}", c as u32);
    Slip::new(Loc::at(text, pos..pos + c.len_utf8()), "yaml.indent", message, "type the blanks anew; copied text often has other ones")
}

/// The first blank of another kind that indents `line`, tabs among them.
pub(in crate::pipeline::reader) fn other_blank(line: &str) -> Option<usize> {
    line.char_indices().take_while(|(_, c)| c.is_whitespace() && !matches!(c, '\n' | '\r')).find(|(_, c)| *c != ' ').map(|(i, _)| i)
}

/// Where `key:value` lacks its blank: the colon's place in `line`. A word with `://` is an address.
pub(in crate::pipeline) fn glued(line: &str) -> Option<usize> {
    let from = content(line);
    let colon = from + line[from..].find(':')?;
    let key = &line[from..colon];
    let behind = line[colon + 1..].chars().next()?;
    let word = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    (word && !behind.is_whitespace() && !matches!(behind, '/' | ':')).then_some(colon)
}

impl<'t> Place<'t> {
    /// This line and the one above, each with where it begins.
    fn near(&self) -> impl Iterator<Item = (usize, &'t str)> + use<'t> {
        let above = self.above.and_then(|l| Some((self.text[..self.start].rfind(l)?, l)));
        above.into_iter().chain([(self.start, self.line)])
    }

    pub(super) fn conflict(&self) -> Option<Slip> {
        let mut at = 0;
        for l in self.text[..self.start + self.line.len()].split_inclusive('\n') {
            if ["<<<<<<< ", ">>>>>>> ", "||||||| "].iter().any(|m| l.starts_with(m)) || l.trim_end() == "=======" {
                let help = "keep one side, and take out the lines `<<<<<<<`, `=======` and `>>>>>>>`";
                let place = Loc::at(self.text, at..at + l.trim_end().len());
                return Some(Slip::new(place, "yaml.conflict", "a conflict of a merge was left in the file", help));
            }
            at += l.len();
        }
        None
    }

    pub(super) fn odd_indent(&self) -> Option<Slip> {
        self.near().find_map(|(from, l)| Some(odd_blank(self.text, from + other_blank(l)?)))
    }

    /// A `\` in double quotes. The parser points at the quote.
    pub(super) fn escape(&self) -> Option<Slip> {
        if !["escape character", "escape code", "hexadecimal number"].iter().any(|w| self.says(w)) {
            return None;
        }
        let mut rest = self.pos;
        loop {
            let at = rest + self.text[rest..].find('\\')?;
            let mut behind = self.text[at + 1..].chars();
            let kind = behind.next()?;
            rest = at + 1 + kind.len_utf8();
            let digits = match kind {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                c if ESCAPES.contains(c) => continue,
                c => {
                    let message = format!("`\\{}` means nothing in double quotes", show(&c.to_string()));
                    let help = "single quotes keep a backslash as it is; in double quotes `\\\\` is one";
                    return Some(Slip::new(Loc::at(self.text, at..rest), "yaml.escape", message, help));
                }
            };
            let code: String = behind.take_while(char::is_ascii_hexdigit).take(digits).collect();
            let place = Loc::at(self.text, at..rest + code.len());
            let value = u32::from_str_radix(&code, 16).unwrap_or_default();
            let (message, help) = if code.len() < digits {
                (format!("`\\{kind}` has to be followed by {digits} hexadecimal digits"), "single quotes keep a backslash as it is")
            } else if char::from_u32(value).is_some() {
                rest += code.len();
                continue;
            } else if value <= 0x10_FFFF {
                let help = "write the character itself, or its whole code, such as `\\U0001F600`";
                (format!("`\\{kind}{code}` is half of a character: YAML does not put halves together"), help)
            } else {
                (format!("`\\{kind}{code}` is no character"), "the last one is `\\U0010FFFF`")
            };
            return Some(Slip::new(place, "yaml.escape", message, help));
        }
    }

    /// `name:p`, here or above.
    pub(super) fn blank_behind_colon(&self) -> Option<Slip> {
        let meant = ["simple key", "mapping values", "expected key", "document start"].iter().any(|w| self.says(w));
        let (from, l, colon) = self.near().filter(|_| meant).find_map(|(from, l)| Some((from, l, glued(l)?)))?;
        let help = format!("write `{}: {}`", show(&l[content(l)..colon]), show(l[colon + 1..].trim_end()));
        Some(Slip::new(Loc::at(self.text, from + colon..from + colon + 1), "yaml.colon", "a blank is missing behind this `:`", help))
    }

    /// `-name: x`, and dashes of another kind.
    pub(super) fn blank_behind_dash(&self) -> Option<Slip> {
        self.near().find_map(|(from, l)| {
            let body = l.trim_start();
            let at = from + indent(l);
            let first = body.chars().next()?;
            let rest = &body[first.len_utf8()..];
            let place = Loc::at(self.text, at..at + first.len_utf8());
            let help = format!("an item begins with a dash and a blank: `- {}`", show(rest.trim()));
            match first {
                '-' if rest.contains(':') && rest.starts_with(|c: char| c.is_alphabetic() || matches!(c, '"' | '\'')) => {
                    Some(Slip::new(place, "yaml.dash", "a blank is missing behind this `-`", help))
                }
                '–' | '—' | '−' | '‐' | '‑' | '•' | '·' => {
                    Some(Slip::new(place, "yaml.dash", format!("`{first}` is not the dash that begins an item"), help))
                }
                _ => None,
            }
        })
    }

    /// `：`, which some keyboards type.
    pub(super) fn wide_colon(&self) -> Option<Slip> {
        let (at, c) = self
            .near()
            .find_map(|(from, l)| l.char_indices().find(|(_, c)| matches!(c, '：' | '﹕' | '︰')).map(|(i, c)| (from + i, c)))?;
        let place = Loc::at(self.text, at..at + c.len_utf8());
        Some(Slip::new(place, "yaml.colon", format!("`{c}` is not the colon that ends a key"), "write `:` and a blank"))
    }

    pub(super) fn curly_quote(&self) -> Option<Slip> {
        let value = self.line.find(": ").map(|i| i + 2).filter(|i| self.line[*i..].starts_with(CURLY))?;
        let c = self.line[value..].chars().next()?;
        let help = "write `\"` or `'`: these are characters like any other";
        Some(Slip::new(self.loc(value..value + c.len_utf8()), "yaml.quote", format!("`{c}` is no quote of YAML"), help))
    }

    /// `run: | make`
    pub(super) fn behind_block(&self) -> Option<Slip> {
        if !self.says("block scalar, did not find expected comment") {
            return None;
        }
        let mark = self.line.find([':', '-']).and_then(|i| self.line[i..].find(['|', '>']).map(|j| i + j))?;
        let message = format!("text stands behind `{}`, and has to begin on the next line", &self.line[mark..=mark]);
        let help = "move it there, deeper than the key; a text of one line needs no mark";
        Some(Slip::new(self.loc(mark..self.line.len()), "yaml.block", message, help))
    }

    /// A line of a block that is not as deep as the block's first one.
    pub(super) fn shallow(&self) -> Option<Slip> {
        let mut first: Option<usize> = None;
        for l in self.text[..self.start].lines().rev().filter(|l| !l.trim().is_empty()) {
            let code = l.split(" #").next().unwrap_or("").trim_end();
            let header = [": |", ": >", "- |", "- >"].iter().any(|m| code.trim_end_matches(['+', '-']).ends_with(m));
            if header {
                let depth = content(l);
                return match first {
                    None if self.indent <= depth => {
                        let message = "the text of the block above has to be deeper than its key";
                        Some(Slip::new(self.whole(), "yaml.block", message, format!("indent it by {} or more", depth + 2)))
                    }
                    Some(first) if self.indent < first && self.indent > indent(l) => {
                        let message =
                            format!("this line ends the block above: it is indented by {}, the block's first line by {first}", self.indent);
                        Some(Slip::new(self.whole(), "yaml.block", message, "indent it like the first line of the block"))
                    }
                    _ => None,
                };
            }
            if indent(l) < self.indent {
                return None;
            }
            first = Some(indent(l));
        }
        None
    }

    /// A plain text that goes on over lines, with a `: ` in it.
    pub(super) fn goes_on(&self) -> Option<Slip> {
        let above = self.above.filter(|l| self.says("mapping values") && !l.contains(':') && content(l) == indent(l))?;
        if indent(above) > self.indent {
            return None;
        }
        let message = "the text of the line above goes on here, and no `: ` can stand in it";
        Some(Slip::new(self.whole(), "yaml.colon", message, "put `|` behind the key and all of the text below it, or quotes around it"))
    }

    pub(super) fn closes_nothing(&self) -> Option<Slip> {
        if !self.says("misplaced bracket") {
            return None;
        }
        let (mut open, mut quote) = (0_i32, None);
        for (i, c) in self.line.char_indices() {
            match (quote, c) {
                (Some(q), c) if c == q => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(c),
                (None, '[' | '{') => open += 1,
                (None, ']' | '}') if open == 0 => {
                    let help = "take it out, or put the value in quotes";
                    return Some(Slip::new(self.loc(i..i + 1), "yaml.bracket", format!("this `{c}` closes nothing"), help));
                }
                (None, ']' | '}') => open -= 1,
                _ => {}
            }
        }
        None
    }

    /// `[a,, b]`
    pub(super) fn comma(&self) -> Option<Slip> {
        let meant = self.says("node content") || self.says("flow");
        let second = self.line.match_indices(',').filter(|_| meant).find_map(|(i, _)| {
            let rest = &self.line[i + 1..];
            rest.trim_start().starts_with(',').then(|| i + 1 + indent(rest))
        })?;
        Some(Slip::new(self.loc(second..second + 1), "yaml.bracket", "nothing stands before this comma", "take one of the two out"))
    }

    /// `needs: - a`
    pub(super) fn list_behind_key(&self) -> Option<Slip> {
        let i = self.line.find(": - ").filter(|_| self.says("block sequence entries"))? + 2;
        let help = "begin it on the next line, or write [a, b]";
        Some(Slip::new(self.loc(i..self.line.len()), "yaml.dash", "a list with dashes cannot begin on the line of its key", help))
    }
}
