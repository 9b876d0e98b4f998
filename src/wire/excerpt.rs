//! Remote text in messages: short, and without anything that a terminal would obey.

/// At most 120 characters of remote text, control characters shown as escapes.
pub fn excerpt(text: &str) -> String {
    let mut out: String =
        text.chars().take(120).flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect();
    if text.chars().nth(120).is_some() {
        out.push('…');
    }
    out
}
