//! Hides secret values in a stream of bytes, whatever way they were written: raw, base64, hex, URL, JSON, shell, line by line.
//!
//! What comes out is the input with every run of bytes that belongs to a form of a secret replaced by `***`. That does not depend on how
//! the input was cut into pieces. Values shorter than six characters are refused: hiding them would garble everything and protect nothing.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// What stands where a secret was.
pub const MARK: &[u8] = b"***";
/// A shorter value cannot be hidden.
pub const SHORTEST: usize = 6;
/// A line of a multi-line value that is shorter than this is not hidden by itself.
const SHORTEST_LINE: usize = 8;
/// Forms longer than two of these are cut into such pieces.
const PIECE: usize = 64;
/// So much of the beginning of a secret may be shown when the writer pauses there; see [`Stream::pause`].
const PROMPT: usize = 3;

/// Why a set of values cannot be hidden. Names, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MaskError {
    #[error("secret `{name}` has fewer than {SHORTEST} characters and cannot be hidden in the log; use a longer one")]
    TooShort { name: String },
    #[error("the secrets cannot be hidden: {why}")]
    Automaton { why: String },
}

/// All forms of all secrets of one step. Holds values: it has no `Debug` that shows them.
pub struct Masker {
    /// Sorted, for "which form begins like this".
    forms: Vec<Zeroizing<Vec<u8>>>,
    finder: Option<AhoCorasick>,
    /// First bytes of forms.
    first: [bool; 256],
    longest: usize,
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Masker({} forms)", self.forms.len())
    }
}

impl Masker {
    /// Prepares the forms of `(name, value)`. Blank space around a value is no part of it.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, MaskError> {
        let mut forms = Vec::new();
        for (name, value) in secrets {
            let value = value.trim_ascii();
            let chars = std::str::from_utf8(value).map_or(value.len(), |t| t.chars().count());
            if chars < SHORTEST {
                return Err(MaskError::TooShort { name: name.to_owned() });
            }
            forms_of(value, &mut forms);
        }
        let mut forms: Vec<_> = forms.into_iter().flat_map(pieces).collect();
        forms.sort_unstable_by(|a: &Zeroizing<Vec<u8>>, b| a.as_slice().cmp(b.as_slice()));
        forms.dedup_by(|a, b| a.as_slice() == b.as_slice());
        let finder = if forms.is_empty() {
            None
        } else {
            let built = AhoCorasick::builder().match_kind(MatchKind::Standard).build(forms.iter().map(|f| f.as_slice()));
            Some(built.map_err(|e| MaskError::Automaton { why: e.to_string() })?)
        };
        let mut first = [false; 256];
        forms.iter().filter_map(|f| f.first()).for_each(|b| first[usize::from(*b)] = true);
        let longest = forms.iter().map(|f| f.len()).max().unwrap_or(0);
        Ok(Self { forms, finder, first, longest })
    }

    /// Nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.finder.is_none()
    }

    /// A whole text with its secrets hidden.
    pub fn bytes(&self, input: &[u8]) -> Vec<u8> {
        let (mut stream, mut out) = (Stream::default(), Vec::with_capacity(input.len()));
        stream.push(self, input, &mut out);
        stream.finish(&mut out);
        out
    }

    /// As [`Masker::bytes`], for text.
    pub fn text(&self, input: &str) -> String {
        match self.contains(input.as_bytes()) {
            true => String::from_utf8_lossy(&self.bytes(input.as_bytes())).into_owned(),
            false => input.to_owned(),
        }
    }

    /// Whether any form of a secret is in there.
    pub fn contains(&self, input: &[u8]) -> bool {
        self.finder.as_ref().is_some_and(|f| f.is_match(input))
    }

    /// Where the longest end of `buf` begins that is the beginning of a longer form: from there on nothing is decided yet.
    fn undecided_from(&self, buf: &[u8]) -> usize {
        let earliest = buf.len().saturating_sub(self.longest.saturating_sub(1));
        (earliest..buf.len()).find(|i| self.first[usize::from(buf[*i])] && self.begins(&buf[*i..])).unwrap_or(buf.len())
    }

    fn begins(&self, end: &[u8]) -> bool {
        let at = self.forms.partition_point(|f| f.as_slice() < end);
        // Equal = a whole form, found by the finder; the next one may still be longer.
        self.forms[at..].iter().take(2).any(|f| f.len() > end.len() && f.starts_with(end))
    }
}

/// The state of hiding in one stream: the undecided end of what came so far. One masker serves many streams.
#[derive(Default)]
pub struct Stream {
    held: Zeroizing<Vec<u8>>,
    /// So many bytes at the beginning of `held` belong to a secret that ended there.
    covered: usize,
    /// So many bytes at the beginning of `held` are written already.
    shown: usize,
    /// The last thing written was a mark, and what follows may belong to the same run.
    in_mark: bool,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream({} held)", self.held.len())
    }
}

impl Stream {
    /// Takes bytes, and appends to `out` what is decided.
    pub fn push(&mut self, masker: &Masker, input: &[u8], out: &mut Vec<u8>) {
        let Some(finder) = &masker.finder else { return out.extend_from_slice(input) };
        if self.held.is_empty() && !finder.is_match(input) {
            // By far the most common case: no copy but the one to the output.
            let cut = masker.undecided_from(input);
            self.emit(&input[..cut], &[], out);
            self.held.extend_from_slice(&input[cut..]);
            return;
        }
        let mut buf = std::mem::take(&mut self.held);
        buf.extend_from_slice(input);
        let mut runs: Vec<(usize, usize)> = Vec::new();
        if self.covered > 0 {
            runs.push((0, self.covered));
        }
        for m in finder.find_overlapping_iter(buf.as_slice()) {
            // Matches come in the order of their ends, so an earlier beginning may swallow runs before it.
            let (mut start, end) = (m.start(), m.end());
            while let Some(last) = runs.last().filter(|r| r.1 >= start) {
                start = start.min(last.0);
                runs.pop();
            }
            runs.push((start, end));
        }
        let cut = masker.undecided_from(&buf);
        let decided: Vec<_> = runs.iter().map(|r| (r.0, r.1.min(cut))).filter(|r| r.0 < r.1).collect();
        self.emit(&buf[..cut], &decided, out);
        self.covered = runs.last().map_or(0, |r| r.1.saturating_sub(cut));
        self.held.extend_from_slice(&buf[cut..]);
    }

    fn emit(&mut self, bytes: &[u8], runs: &[(usize, usize)], out: &mut Vec<u8>) {
        // What was shown during a pause is not written twice; a secret that begins in it is masked from there on.
        let mut at = self.shown.min(bytes.len());
        for (start, end) in runs {
            let start = (*start).max(at.min(*end));
            if start > at {
                out.extend_from_slice(&bytes[at..start]);
                self.in_mark = false;
            }
            if !self.in_mark && start < *end {
                out.extend_from_slice(MARK);
                self.in_mark = true;
            }
            at = at.max(*end);
        }
        if at < bytes.len() {
            out.extend_from_slice(&bytes[at..]);
            self.in_mark = false;
        }
        self.shown = self.shown.saturating_sub(bytes.len());
    }

    /// Whether bytes are held that a pause would show.
    pub fn waits(&self) -> bool {
        self.covered == 0 && self.held.len() > self.shown && self.held.len() <= PROMPT
    }

    /// The writer has been silent for a while: shows the held bytes, so that a prompt is seen, unless they are so many that they may well
    /// be the beginning of a secret. What completes a secret afterwards is still hidden.
    pub fn pause(&mut self, out: &mut Vec<u8>) {
        if self.waits() {
            out.extend_from_slice(&self.held[self.shown..]);
            self.shown = self.held.len();
            self.in_mark = false;
        }
    }

    /// The end: nothing can complete what is held.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        let covered = std::mem::take(&mut self.covered);
        let runs = [(0, covered)];
        self.emit(&held, if covered > 0 { &runs } else { &[] }, out);
        *self = Self::default();
    }
}

/// A very long form is looked for piece by piece: the pieces cover it all, a long part of it is hidden as well, and neither the automaton
/// nor what a stream holds back grows with a certificate's size.
fn pieces(form: Zeroizing<Vec<u8>>) -> Vec<Zeroizing<Vec<u8>>> {
    if form.len() <= 2 * PIECE {
        return vec![form];
    }
    let mut all: Vec<_> = form.chunks_exact(PIECE).map(|c| Zeroizing::new(c.to_vec())).collect();
    all.push(Zeroizing::new(form[form.len() - PIECE..].to_vec()));
    all
}

/// Every form of one value, and of each of its longer lines.
fn forms_of(value: &[u8], out: &mut Vec<Zeroizing<Vec<u8>>>) {
    encodings(value, out);
    if value.contains(&b'\n') || value.contains(&b'\r') {
        for line in value.split(|b| matches!(b, b'\n' | b'\r')).map(<[u8]>::trim_ascii).filter(|l| l.len() >= SHORTEST_LINE) {
            encodings(line, out);
        }
    }
}

/// Base64 of `value` behind so many bytes of something else: only the characters that depend on nothing but the value.
fn base64(engine: &GeneralPurpose, value: &[u8], alignment: usize) -> Zeroizing<Vec<u8>> {
    let mut padded = Zeroizing::new(vec![0u8; alignment]);
    padded.extend_from_slice(value);
    let text = Zeroizing::new(engine.encode(padded.as_slice()));
    let (from, to) = ((alignment * 8).div_ceil(6), padded.len() * 8 / 6);
    Zeroizing::new(text.as_bytes().get(from..to).unwrap_or_default().to_vec())
}

fn encodings(value: &[u8], out: &mut Vec<Zeroizing<Vec<u8>>>) {
    let mut add = |form: Vec<u8>| {
        // A form shorter than the shortest secret, such as a tiny middle of base64, would hit innocent text.
        if form.len() >= SHORTEST {
            out.push(Zeroizing::new(form));
        }
    };
    add(value.to_vec());
    for alignment in 0..3usize {
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let whole = base64(engine, value, alignment);
            add(whole.to_vec());
            // Once more, as a login of a registry stands in a secret of Kubernetes.
            (0..3).for_each(|outer| add(base64(engine, &whole, outer).to_vec()));
            // Encoders break lines: at 76 (base64, MIME) or at 64 (PEM).
            if alignment == 0 {
                for width in [64, 76] {
                    if whole.len() > width {
                        whole.chunks(width).filter(|c| c.len() >= SHORTEST_LINE).for_each(|c| add(c.to_vec()));
                    }
                }
            }
        }
    }
    let hex: String = value.iter().map(|b| format!("{b:02x}")).collect();
    add(hex.to_ascii_uppercase().into_bytes());
    add(hex.into_bytes());
    for (upper, plus) in [(true, false), (true, true), (false, false), (false, true)] {
        add(percent(value, upper, plus, b"-._~"));
        // The slash stays by default in Python, and in every path.
        add(percent(value, upper, plus, b"-._~/"));
        add(percent(value, upper, plus, b"-._~!*'()"));
        add(percent(value, upper, plus, b"-._~!*'();/?:@&=+$,#"));
    }
    if let Ok(text) = std::str::from_utf8(value) {
        for writer in &JSON {
            let once = json(text, writer);
            // A document that is a text of another one, as loggers and queues carry it.
            let inner = Zeroizing::new(String::from_utf8_lossy(&once).into_owned());
            add(json(&inner, &PLAIN));
            add(once);
        }
        let xml = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        add(xml.replace('"', "&quot;").into_bytes());
        add(xml.into_bytes());
        add(text.replace('\'', "'\\''").into_bytes());
        add(text.replace('\'', "'\"'\"'").into_bytes());
        add(escape(text, |c| matches!(c, '"' | '\\' | '$' | '`')));
        add(escape(text, |c| !(c.is_alphanumeric() || "_-./:=@%+,^".contains(c) || c.is_control())));
        add(escape(text, |c| matches!(c, '\'' | '\\')).into_iter().fold(Vec::new(), ansi_c));
    }
}

/// `$'…'`, as shells trace values with control characters.
fn ansi_c(mut out: Vec<u8>, byte: u8) -> Vec<u8> {
    match byte {
        b'\n' => out.extend(b"\\n"),
        b'\t' => out.extend(b"\\t"),
        b'\r' => out.extend(b"\\r"),
        b => out.push(b),
    }
    out
}

fn escape(text: &str, wants: impl Fn(char) -> bool) -> Vec<u8> {
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if wants(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out.into_bytes()
}

/// How a library writes a text as JSON: what it escapes that it need not, and how.
struct Json {
    /// As `\uXXXX`.
    units: &'static str,
    /// All that is not ASCII too.
    ascii: bool,
    slash: bool,
    upper: bool,
}

const PLAIN: Json = Json { units: "", ascii: false, slash: false, upper: false };
/// What is written into a page of HTML without care must not end it there: many escape its signs in all JSON.
const JSON: [Json; 8] = [
    PLAIN,
    Json { slash: true, ..PLAIN },
    // Python, jq -a.
    Json { ascii: true, ..PLAIN },
    // PHP.
    Json { ascii: true, slash: true, ..PLAIN },
    // Go, and so most tools of our trade; Rails.
    Json { units: "&<>", ..PLAIN },
    // PowerShell.
    Json { units: "&<>'", ..PLAIN },
    // Gson.
    Json { units: "&<>'=", ..PLAIN },
    // .NET.
    Json { units: "\"&'+<>`", ascii: true, upper: true, ..PLAIN },
];

fn json(text: &str, writer: &Json) -> Vec<u8> {
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if writer.units.contains(c) || writer.ascii && !c.is_ascii() {
            let unit = |u: &u16| if writer.upper { format!("\\u{u:04X}") } else { format!("\\u{u:04x}") };
            c.encode_utf16(&mut [0u16; 2]).iter().for_each(|u| out.push_str(&unit(u)));
        } else if writer.slash && c == '/' {
            out.push_str("\\/");
        } else if let Ok(one) = serde_json::to_string(c.encode_utf8(&mut [0u8; 4])) {
            out.push_str(&one[1..one.len() - 1]);
        }
    }
    out.into_bytes()
}

fn percent(value: &[u8], upper: bool, plus: bool, keep: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() * 3);
    for b in value {
        match b {
            b' ' if plus => out.push(b'+'),
            b if b.is_ascii_alphanumeric() || keep.contains(b) => out.push(*b),
            b if upper => out.extend(format!("%{b:02X}").into_bytes()),
            b => out.extend(format!("%{b:02x}").into_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests;
