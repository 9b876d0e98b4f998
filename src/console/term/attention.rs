//! What reaches a person who looks elsewhere: bell, a notice of the desktop (OSC 9), the title of the window. Each only where it was asked for.

use super::clip;
use crate::base::sanitise;

/// Longer titles are cut by whoever shows them.
const MOST: usize = 120;

/// What was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attention {
    pub bell: bool,
    pub osc9: bool,
    pub title: bool,
}

impl Attention {
    /// The bytes that tell of the worst fact, where it is another than `before`; each is its text and whether something is broken.
    pub fn tell(self, before: Option<&(String, bool)>, now: &(String, bool), term: &str, in_tmux: bool) -> String {
        let mut out = String::new();
        if before == Some(now) {
            return out;
        }
        let text: String = sanitise::cell(&now.0).chars().take(MOST).collect();
        if self.title {
            out.push_str(&format!("\u{1b}]2;{text}\u{7}"));
        }
        // Only when something breaks, and not because the console was opened on it.
        if now.1 && before.is_some_and(|b| !b.1) {
            if self.osc9 {
                out.push_str(&clip::wrap(&format!("\u{1b}]9;{text}\u{7}"), term, in_tmux));
            }
            if self.bell {
                out.push('\u{7}');
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::Attention;

    #[test]
    fn only_what_was_asked_for_and_only_when_something_breaks() {
        let all = Attention { bell: true, osc9: true, title: true };
        let (good, bad) = (("well".to_owned(), false), ("a#1 \u{1b}]0;x\u{7} failed".to_owned(), true));
        assert_eq!(Attention::default().tell(Some(&good), &bad, "xterm", false), "");
        assert_eq!(all.tell(Some(&bad), &bad, "xterm", false), "");
        assert_eq!(all.tell(None, &good, "xterm", false), "\u{1b}]2;well\u{7}");
        let told = all.tell(Some(&good), &bad, "xterm", false);
        assert!(told.ends_with("failed\u{7}\u{7}") && told.matches('\u{1b}').count() == 2, "{told:?}");
        assert_eq!(all.tell(None, &bad, "xterm", false).matches('\u{7}').count(), 1, "opened on it");
    }
}
