//! The first error line of a red step's log: a list of patterns, and the difference from the last good log of the same step.
//!
//! A line that the good log has too, but for its times and numbers, is noise: many a tool says `error` on its way to success. Both logs
//! are searched with the one expression that all patterns have in common, so that this costs what a search costs, in constant memory.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

use super::extra::Extra;
use super::grep::{How, Pattern, Search, Told, grep};
use super::read::{Line, Log, LogError};
use crate::base::sanitise::{self, Colour};
use crate::domain::log::FirstError;
use crate::domain::run::RunRef;

/// Lines of the good log that are remembered, as eight bytes each.
const REMEMBERED: usize = 200_000;
/// Lines of the red log that are judged: a log of nothing but old errors is not read to its end.
const JUDGED: usize = 1_000_000;
/// The last lines, where no pattern helps.
const LAST: usize = 200;
/// Lines shown before the error.
const CONTEXT: usize = 3;
const TEXT: usize = 500;

/// What every line of interest has in common; each pattern below matches only such lines.
const COMMON: &str = r"(?i)error|fail|fatal|cannot|can't|denied|no such|not found|undefined|exception|panic|killed|abort|segmentation|core dumped|conflict|\*\*\*|unable|refused|timed out|no space|out of memory|nothing provides|problem:|traceback|No match|Result: False|unreachable|mismatch|parameter not set|unbound variable";

/// `(name, expression, strong)`, most telling first. A strong one is an error wherever it stands; a weak one only where nothing else is.
const PATTERNS: &[(&str, &str, bool)] = &[
    ("gcc", r"^\S[^:]*:\d+(?::\d+)?: (?:fatal )?error: ", true),
    ("linker", r"undefined reference to|^(?:/\S*/)?ld(?:\.\w+)?: (?:cannot|.*: (?:undefined|error))|collect2: error", true),
    ("rustc", r"^error\[E\d+\]: ", true),
    ("rpm", r"^error: (?:.*: )?(?:Failed|Bad|unpacking|line \d+|%|Unable|File|.*[Ii]nstalled|rpmdb|cannot)|^RPM build errors:", true),
    ("dnf", r"^Error: |^Problem(?: \d+)?: |nothing provides |^Errors? during downloading|^No match for argument|Curl error \(\d+\)", true),
    (
        "salt",
        r"^\s*Result: False|^\[(?:ERROR|CRITICAL)\s*\]|Minion did not return|^\s*Data failed to compile|Rendering SLS .* failed",
        true,
    ),
    ("ansible", r"^fatal: \[|^failed: \[|UNREACHABLE!", true),
    ("make", r"^(?:g?make|ninja)(?:\[\d+\])?: \*\*\* |^ninja: (?:error|build stopped)|^FAILED: ", true),
    ("cmake", r"^CMake Error", true),
    ("python", r"^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Timeout)(?::|$)", true),
    ("java", r"^(?:Caused by: |Exception in thread )|^\[ERROR\] ", true),
    ("go", r"^panic: |^fatal error: |^--- FAIL: ", true),
    ("test", r"^FAILED? |^not ok \d+|^E\s{2,}\S|^FAILURES!|^=+ FAILURES =+|^test \S+ \.\.\. FAILED", true),
    ("git", r"^fatal: |^error: pathspec|^CONFLICT \(", true),
    (
        "shell",
        r"^(?:\S*/)?(?:ba|da|z|k)?sh: (?:line )?\d+: |^\S+: line \d+: .*(?:not found|No such file|denied|unbound|syntax error)|: parameter not set$",
        true,
    ),
    ("ssh", r"^ssh: |Permission denied \(|Host key verification failed|^rsync(?: error)?: ", true),
    ("curl", r"^curl: \(\d+\) ", true),
    (
        "kernel",
        r"Out of memory|oom-kill|Segmentation fault|core dumped|No space left on device|Input/output error|Read-only file system",
        true,
    ),
    ("quarterdeck", r"^\[quarterdeck: ", true),
    ("error", r"^error: ", true),
    ("log level", r"(?i)(?:^|[\s\[(|])(?:error|fatal|critical|severe|panic)(?:[\])|:]|\s+[\[:|-])", true),
    (
        "message",
        r"(?i)\b(?:error|failed|failure|fatal|exception|aborted|denied|refused|conflicts?|killed|mismatch|unreachable|timed out|panicked)\b",
        false,
    ),
    ("message", r"(?i)\b(?:cannot|can't|unable to|could not|no such|not found|undefined)\b", false),
];

/// Lines that speak of errors and are none: nothing failed, names, options, commands that are only shown.
const HARMLESS: &str = r"(?i)\b(?:0|no|without|zero) (?:errors?|failures?|failed)\b|\b(?:errors?|failed|failures?)\s*[:=]\s*(?:0\b|false\b|(?:none|no)\s*$)|-W(?:no-)?error|--\S*(?:error|fail)|\blib\S*error\b|perl-\S*(?:Error|Exception)|^\++ |\ballow_failure\b|\b(?:error|fail)\w*\.(?:[ch]|cpp|hpp|py|go|rs|rb|js|html|o|lo|pm|t)\b|\bon[_ -](?:error|failure)\b|error[_ -]?handl";

struct Rules {
    patterns: Vec<(&'static str, Regex, bool)>,
    harmless: Regex,
}

/// None only where an expression of ours cannot be built, which a test rules out.
fn rules() -> Option<&'static Rules> {
    static RULES: OnceLock<Option<Rules>> = OnceLock::new();
    RULES
        .get_or_init(|| {
            let build = |text: &str| RegexBuilder::new(text).crlf(true).multi_line(true).build().ok();
            let patterns = PATTERNS.iter().map(|(name, text, strong)| Some((*name, build(text)?, *strong))).collect::<Option<_>>()?;
            Some(Rules { patterns, harmless: build(HARMLESS)? })
        })
        .as_ref()
}

/// The pattern that a line matches first, and whether it is a strong one. What the site and the pipeline say comes before ours.
fn judge<'a>(line: &[u8], extra: &'a Extra) -> Option<(&'a str, bool)> {
    if extra.is_harmless(line) {
        return None;
    }
    if let Some(name) = extra.error(line) {
        return Some((name, true));
    }
    let rules = rules()?;
    if rules.harmless.is_match(line) {
        return None;
    }
    rules.patterns.iter().find(|(_, re, _)| re.is_match(line)).map(|(name, _, strong)| (*name, *strong))
}

/// The line as it would be on another day: without colours, times, numbers, hexadecimal words and the directories of paths.
fn normalised(line: &[u8]) -> u64 {
    let text = sanitise::bytes(line, Colour::Drop);
    let mut hash = DefaultHasher::new();
    for word in text.split_ascii_whitespace() {
        // The name at the end of a path says more than where this run had its workspace.
        let word = match word.rfind('/') {
            Some(i) if word[..i].contains('/') || word.starts_with('/') => &word[i..],
            _ => word,
        };
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        let hex = word.len() >= 7 && digits > 0 && word.bytes().all(|b| b.is_ascii_hexdigit() || b"-:x()[],.".contains(&b));
        if hex {
            b'#'.hash(&mut hash);
            continue;
        }
        let mut in_number = false;
        for b in word.bytes() {
            let number = b.is_ascii_digit() || (in_number && matches!(b, b'.' | b':' | b',' | b'-'));
            if !number {
                b.hash(&mut hash);
            } else if !in_number {
                b'#'.hash(&mut hash);
            }
            in_number = number;
        }
        b' '.hash(&mut hash);
    }
    hash.finish()
}

/// Looks for the first error of the log in `dir`, held against the good log of `good` where there is one. `extra`: what counts beside our
/// own patterns.
pub fn find(dir: &Path, good: Option<(&RunRef, &Path)>, extra: &Extra) -> Result<Option<FirstError>, LogError> {
    let wide = Pattern::new(&extra.widen(COMMON), How::default());
    if let Err(e) = &wide {
        tracing::warn!("the patterns of the site and of a pipeline are too large together, and are left out: {e}");
    }
    let Ok(common) = wide.or_else(|_| Pattern::new(COMMON, How::default())) else { return Ok(None) };
    // A good log that is gone or damaged explains nothing; the red one is judged by itself then.
    let known = good.and_then(|(run, dir)| Some((run, known(dir, &common).ok()?)));
    let is_new = |line: &[u8]| known.as_ref().is_none_or(|(_, k)| !k.contains(&normalised(line)));
    let (mut weak, mut old, mut strong, mut judged) = (None, None, None, 0);
    grep(dir, &common, &Search::default(), |told| {
        let Told::Hit(hit) = told else { return ControlFlow::Continue(()) };
        judged += 1;
        let Some((name, is_strong)) = judge(&hit.line.bytes, extra).filter(|_| !hit.line.binary) else { return ControlFlow::Continue(()) };
        if !is_new(&hit.line.bytes) {
            old.get_or_insert((hit.line, name, false));
        } else if is_strong {
            strong = Some((hit.line, name, true));
            return ControlFlow::Break(());
        } else {
            weak.get_or_insert((hit.line, name, true));
        }
        if judged < JUDGED { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let log = Log::open(dir)?;
    let last = || last_new(&log, good.map(|g| g.1));
    let (line, pattern, new) = match strong.or(weak) {
        Some(found) => found,
        None => match last()? {
            // A new last line tells more than an error that good runs have too.
            Some((line, true)) if known.is_some() => (line, "", true),
            Some((line, _)) => old.unwrap_or((line, "", false)),
            None => return Ok(None),
        },
    };
    let text: String = sanitise::bytes(&line.bytes, Colour::Drop).trim().chars().take(TEXT).collect();
    let new_since = known.filter(|_| new).map(|(run, _)| run.to_string());
    let context = log.lines_before(line.offset, CONTEXT)?;
    Ok(Some(FirstError { offset: line.offset, at_us: line.wall_us, text, pattern: pattern.to_owned(), new_since, context }))
}

/// The lines of a good log that a pattern could take for an error.
fn known(dir: &Path, common: &Pattern) -> Result<HashSet<u64>, LogError> {
    let mut known = HashSet::new();
    grep(dir, common, &Search::default(), |told| {
        if let Told::Hit(hit) = told {
            known.insert(normalised(&hit.line.bytes));
        }
        if known.len() < REMEMBERED { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(known)
}

/// The last line that says something, and whether the end of the good log has none like it. One that is new comes before one that is not.
fn last_new(log: &Log, good: Option<&Path>) -> Result<Option<(Line, bool)>, LogError> {
    let tail = |log: &Log| log.tail(LAST, 1 << 20);
    let known: HashSet<u64> = match good.map(Log::open) {
        Some(Ok(good)) => tail(&good).map(|p| p.lines.iter().map(|l| normalised(&l.bytes)).collect()).unwrap_or_default(),
        _ => HashSet::new(),
    };
    let mut lines = tail(log)?.lines;
    lines.retain(|l| !l.binary && !sanitise::bytes(&l.bytes, Colour::Drop).trim().is_empty());
    if let Some(i) = lines.iter().rposition(|l| !known.contains(&normalised(&l.bytes))) {
        return Ok(Some((lines.swap_remove(i), true)));
    }
    Ok(lines.pop().map(|l| (l, false)))
}

#[cfg(test)]
mod tests;
