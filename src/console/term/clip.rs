//! Into the person's clipboard by OSC 52, through tmux and screen too. Nobody answers whether it worked.

/// Longer is dropped by terminals without a word.
const MOST: usize = 74_000;
/// Screen takes no longer string in one piece.
const PIECE: usize = 200;

/// The bytes to send; none where the terminal has no clipboard, or the text is too long: it is to be printed.
pub fn sequence(text: &str, term: &str, in_tmux: bool) -> Option<String> {
    use base64::Engine;
    if text.len() > MOST || ["linux", "dumb", "vt", "cons"].iter().any(|t| term.starts_with(t)) {
        return None;
    }
    let coded = base64::engine::general_purpose::STANDARD.encode(text);
    if coded.len() > MOST {
        return None;
    }
    let plain = format!("\u{1b}]52;c;{coded}\u{7}");
    // tmux takes it itself where `set-clipboard` is `on`, and hands it on where `allow-passthrough` is; it says neither, and both do no harm.
    let own = if in_tmux { plain.as_str() } else { "" };
    Some(format!("{own}{}", wrap(&plain, term, in_tmux)))
}

/// The sequence, so that whatever stands between hands it on.
pub fn wrap(plain: &str, term: &str, in_tmux: bool) -> String {
    match (in_tmux, term.starts_with("screen")) {
        (true, _) => format!("\u{1b}Ptmux;{}\u{1b}\\", plain.replace('\u{1b}', "\u{1b}\u{1b}")),
        // All of it is ASCII.
        (false, true) => plain.as_bytes().chunks(PIECE).map(|c| format!("\u{1b}P{}\u{1b}\\", String::from_utf8_lossy(c))).collect(),
        (false, false) => plain.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::sequence;

    #[test]
    fn wrapped_where_something_stands_between_and_refused_where_nothing_takes_it() {
        assert_eq!(sequence("a#1", "xterm-256color", false).unwrap(), "\u{1b}]52;c;YSMx\u{7}");
        assert_eq!(
            sequence("a#1", "screen-256color", true).unwrap(),
            "\u{1b}]52;c;YSMx\u{7}\u{1b}Ptmux;\u{1b}\u{1b}]52;c;YSMx\u{7}\u{1b}\\"
        );
        assert_eq!(sequence("a#1", "screen", false).unwrap(), "\u{1b}P\u{1b}]52;c;YSMx\u{7}\u{1b}\\");
        let long = sequence(&"x".repeat(1_000), "screen", false).unwrap();
        assert!(long.split("\u{1b}\\").all(|p| p.len() <= 202) && long.matches("\u{1b}P").count() == 7);
        assert!(sequence("a", "linux", false).is_none() && sequence(&"x".repeat(60_000), "xterm", false).is_none());
    }
}
