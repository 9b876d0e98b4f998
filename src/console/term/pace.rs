//! How often frames are drawn: at most twenty a second, fewer where the terminal takes them slowly. Pure: moments come in.

use std::time::{Duration, Instant};

/// Frames come no faster.
const FRAME: Duration = Duration::from_millis(50);
/// However slow the link is, a person sees this often where things stand.
const SLOWEST: Duration = Duration::from_secs(1);

/// When the next frame may be drawn.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    begun: Option<Instant>,
    gap: Duration,
    ready: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { begun: None, gap: FRAME, ready: None }
    }
}

impl Pace {
    /// A frame begins to be written.
    pub fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
        self.ready = Some(now + self.gap);
    }

    /// The terminal has taken all of it. A link that needed a while gets as long again for itself, so that what is typed is not stuck behind frames.
    pub fn taken(&mut self, now: Instant) {
        let Some(begun) = self.begun.take() else { return };
        self.gap = (now.duration_since(begun) * 2).clamp(FRAME, SLOWEST);
        self.ready = Some(begun + self.gap);
    }

    /// How long until a frame may be drawn; none = now.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.ready.and_then(|r| r.checked_duration_since(now)).filter(|d| !d.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_frames_a_second_and_fewer_where_the_link_pushes_back() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(pace.wait(start), None, "the first at once");
        pace.begin(start);
        pace.taken(at(1));
        assert_eq!(pace.wait(at(1)), Some(Duration::from_millis(49)));
        assert_eq!(pace.wait(at(50)), None);
        pace.begin(at(100));
        pace.taken(at(300));
        assert_eq!(pace.wait(at(300)), Some(Duration::from_millis(200)), "it took 200 ms");
        pace.begin(at(600));
        pace.taken(at(9_000));
        assert_eq!(pace.wait(at(9_000)), None, "never slower than one a second");
        pace.begin(at(9_000));
        pace.taken(at(9_001));
        assert_eq!(pace.wait(at(9_050)), None, "and fast again once the link is");
    }
}
