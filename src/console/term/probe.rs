//! What the terminal can do beyond the plain: asked once, behind the first frame, never waited for. Pure: moments come in.

use std::time::{Duration, Instant};

use super::keys::Reply;

/// Synchronised output: the terminal shows a frame at once.
const SYNC: u16 = 2026;
/// Answers count for so long; later ones are swallowed like any other.
pub const BUDGET: Duration = Duration::from_millis(150);
/// Is mode 2026 known? Is what is behind the text light or dark? And the kind of the terminal, which every one answers: what is not answered by then is not known.
pub const QUESTION: &str = "\u{1b}[?2026$p\u{1b}]11;?\u{1b}\\\u{1b}[c";

/// What is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Probe {
    asked: Option<Instant>,
    answered: bool,
    /// From the question to the end of its answers, however late that was.
    pub rtt: Option<Duration>,
    /// Frames may be marked as one.
    pub sync: bool,
    /// What is behind the text is light; none = not known.
    pub light: Option<bool>,
}

impl Probe {
    /// Whether a terminal of this name may be asked: some print what they do not understand.
    pub fn may_ask(term: &str) -> bool {
        !(term.is_empty() || ["dumb", "linux", "vt", "cons", "ansi", "sun", "unknown"].iter().any(|t| term.starts_with(t)))
    }

    pub fn ask(&mut self, now: Instant) {
        self.asked = Some(now);
        self.answered = false;
    }

    pub fn hear(&mut self, reply: Reply, now: Instant) {
        let Some(asked) = self.asked else { return };
        match reply {
            Reply::Device => {
                if !self.answered {
                    self.rtt = Some(now.duration_since(asked));
                }
                self.answered = true;
            }
            // 1 and 2: it can be set and is reset by us.
            Reply::Mode { mode: SYNC, state: 1 | 2 } if !self.answered && now.duration_since(asked) <= BUDGET => self.sync = true,
            Reply::Background { light } if !self.answered && now.duration_since(asked) <= BUDGET => self.light = Some(light),
            Reply::Mode { .. } | Reply::Background { .. } => {}
        }
    }

    /// How long an answer may still be on its way: ended before, the shell would read it as keys.
    pub fn linger(&self, now: Instant) -> Option<Duration> {
        let until = self.asked.filter(|_| !self.answered)? + BUDGET;
        until.checked_duration_since(now).filter(|d| !d.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAN: Reply = Reply::Mode { mode: SYNC, state: 2 };

    #[test]
    fn only_an_answer_in_time_counts() {
        let start = Instant::now();
        let late = start + BUDGET + Duration::from_millis(1);
        let heard = |replies: &[(Reply, Instant)]| {
            let mut probe = Probe::default();
            probe.ask(start);
            replies.iter().for_each(|(r, at)| probe.hear(*r, *at));
            probe
        };
        assert!(heard(&[(CAN, start)]).sync);
        assert!(!heard(&[(CAN, late)]).sync);
        let white = Reply::Background { light: true };
        assert_eq!((heard(&[(white, start)]).light, heard(&[(white, late)]).light), (Some(true), None));
        assert!(!heard(&[(Reply::Device, start), (CAN, start)]).sync, "nobody answers so");
        assert!(!heard(&[(Reply::Mode { mode: SYNC, state: 0 }, start)]).sync);
        assert_eq!(heard(&[]).linger(start), Some(BUDGET));
        assert_eq!(heard(&[]).linger(late), None);
        assert_eq!(heard(&[(Reply::Device, start)]).linger(start), None);
        assert_eq!(
            heard(&[(Reply::Device, late), (Reply::Device, start)]).rtt,
            Some(BUDGET + Duration::from_millis(1)),
            "the first answer"
        );
        assert!(Probe::default().linger(start).is_none() && Probe::may_ask("xterm-256color") && !Probe::may_ask("linux"));
    }
}
