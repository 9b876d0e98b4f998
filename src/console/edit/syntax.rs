//! What a line of a pipeline file is made of, by role: keys and comments step back, so that values stand out. No parser: a line is taken as
//! it looks, and what looks wrong is for lint to say.

use crate::theme::Role;

/// Goes from line to line: whether the lines belong to a script.
#[derive(Debug, Clone, Default)]
pub struct Syntax {
    /// A block scalar began on a line with this indent: deeper lines are its text.
    block: Option<usize>,
}

impl Syntax {
    /// Parts of a line, in order and without gaps: characters up to there, and what they are.
    pub fn line(&mut self, line: &str) -> Vec<(usize, Role)> {
        let chars: Vec<char> = line.chars().collect();
        let indent = chars.iter().take_while(|c| **c == ' ').count();
        let blank = indent == chars.len();
        if let Some(outer) = self.block {
            if blank || indent > outer {
                let comment = chars.get(indent) == Some(&'#');
                return vec![(chars.len(), if comment { Role::Dim } else { Role::Text })];
            }
            self.block = None;
        }
        let mut out = Vec::new();
        let mut at = indent;
        while chars.get(at) == Some(&'-') && chars.get(at + 1).is_none_or(|c| *c == ' ') {
            at = (at + 2).min(chars.len());
            while chars.get(at) == Some(&' ') {
                at += 1;
            }
        }
        out.push((at, Role::Dim));
        if let Some(end) = key_end(&chars, at) {
            out.push((end, Role::Label));
            at = end;
        }
        let comment = comment_start(&chars, at);
        let value: String = chars[at..comment].iter().collect();
        if matches!(value.trim().chars().next(), Some('|' | '>')) && value.trim().len() <= 3 {
            self.block = Some(indent);
            out.push((comment, Role::Dim));
        } else {
            out.push((comment, Role::Text));
        }
        out.push((chars.len(), Role::Dim));
        out
    }
}

/// Behind the colon of `key:`.
fn key_end(chars: &[char], from: usize) -> Option<usize> {
    let word = chars[from..].iter().take_while(|c| c.is_alphanumeric() || "_-.\"'/".contains(**c)).count();
    let colon = from + word;
    let ends = chars.get(colon) == Some(&':') && chars.get(colon + 1).is_none_or(|c| *c == ' ');
    (word > 0 && ends).then_some(colon + 1)
}

/// Where a comment begins outside quotes; the line's end where there is none.
fn comment_start(chars: &[char], from: usize) -> usize {
    let mut quote = None;
    for (i, c) in chars.iter().enumerate().skip(from) {
        match (quote, c) {
            (Some(q), c) if q == *c => quote = None,
            (None, '"' | '\'') => quote = Some(*c),
            (None, '#') if i == 0 || chars[i - 1] == ' ' => return i,
            _ => {}
        }
    }
    chars.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(text: &str) -> Vec<String> {
        let mut syntax = Syntax::default();
        let sign = |r: Role| match r {
            Role::Dim => '.',
            Role::Label => 'k',
            _ => 't',
        };
        let of = |line: &str| {
            let (mut out, mut from) = (String::new(), 0);
            for (to, role) in syntax.line(line) {
                out.extend(std::iter::repeat_n(sign(role), to - from));
                from = to;
            }
            assert_eq!(from, line.chars().count());
            out
        };
        text.lines().map(of).collect()
    }

    #[test]
    fn keys_comments_and_scripts_are_told_apart() {
        assert_eq!(
            signs("name: x # why\n- run: |\n    a: b\n\n    # no\nend: 'a # b'\n"),
            ["kkkkkttt.....", "..kkkk..", "tttttttt", "", "........", "kkkktttttttt"]
        );
    }
}
