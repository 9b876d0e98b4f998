//! The probe of the terminal, which no engine can look at.

use std::io::IsTerminal;

use crate::domain::doctor::TerminalFacts;

pub fn terminal() -> TerminalFacts {
    let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    // The first of these that is set decides, as for every program.
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|n| var(n)).unwrap_or_default().to_ascii_lowercase();
    let stdout = std::io::stdout();
    TerminalFacts {
        is_terminal: stdout.is_terminal(),
        term: var("TERM").unwrap_or_default(),
        size: rustix::termios::tcgetwinsize(&stdout).ok().map(|w| (w.ws_col, w.ws_row)).filter(|(c, r)| *c > 0 && *r > 0),
        utf8: locale.contains("utf-8") || locale.contains("utf8"),
        true_colour: var("COLORTERM").is_some_and(|v| v == "truecolor" || v == "24bit"),
    }
}
