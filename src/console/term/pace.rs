//! How often frames are drawn: at most twenty a second, fewer where the terminal takes them slowly or is far away; what nobody typed for comes
//! less often still. On a fast link four frames may come one right after the other: a key's own, and those of the answers to it.
//! Pure: moments come in.

use std::time::{Duration, Instant};

/// Frames come no faster, where they keep coming: seventeen a second, and with [`AHEAD`] never more than twenty.
const FRAME: Duration = Duration::from_millis(59);
/// So many frames may come before their time, after a while without.
const AHEAD: u32 = 3;
/// On a slow link they come no faster than this.
const SLOW: Duration = Duration::from_millis(250);
/// However slow the link is, a person sees this often where things stand.
const SLOWEST: Duration = Duration::from_secs(1);
/// A terminal whose answers take longer is far away.
const FAR: Duration = Duration::from_millis(150);

/// When the next frame may be drawn.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    begun: Option<Instant>,
    last: Option<Instant>,
    /// When the next frame would come if all of them came evenly.
    due: Option<Instant>,
    gap: Duration,
    far: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { begun: None, last: None, due: None, gap: FRAME, far: false }
    }
}

impl Pace {
    /// A frame begins to be written.
    pub fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
        self.last = Some(now);
        self.due = Some(self.due.map_or(now, |due| due.max(now)) + FRAME);
    }

    /// The terminal has taken all of it. A link that needed a while gets as long again for itself, so that what is typed is not stuck behind frames.
    pub fn taken(&mut self, now: Instant) {
        let Some(begun) = self.begun.take() else { return };
        self.gap = (now.duration_since(begun) * 2).clamp(FRAME, SLOWEST);
    }

    /// A question to the terminal was answered after this time.
    pub fn link(&mut self, rtt: Duration) {
        self.far = rtt > FAR;
    }

    /// The least time from one frame to the next, as far as the terminal alone says.
    pub fn gap(&self) -> Duration {
        self.gap
    }

    /// How long until a frame may be drawn; none = now. `keyed`: a person typed what it shows.
    pub fn wait(&self, now: Instant, keyed: bool) -> Option<Duration> {
        let least = match (self.far, keyed) {
            (true, false) => SLOWEST,
            (true, true) => SLOW,
            (false, false) if self.gap > FRAME => SLOW,
            (false, _) => FRAME,
        };
        let gap = self.gap.max(least);
        let ready = if gap > FRAME { self.last? + gap } else { self.due?.checked_sub(FRAME * AHEAD)? };
        ready.checked_duration_since(now).filter(|d| !d.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_frames_a_second_and_fewer_where_the_link_pushes_back() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(pace.wait(start, true), None, "the first at once");
        pace.begin(start);
        pace.taken(at(1));
        assert_eq!(pace.wait(at(1), false), None, "the answer to what a key asked is not held up");
        for ms in [2, 3, 4] {
            assert_eq!(pace.wait(at(ms), false), None, "nor are the answers to what that asked");
            pace.begin(at(ms));
            pace.taken(at(ms));
        }
        assert_eq!((pace.wait(at(5), true), pace.wait(at(59), true)), (Some(Duration::from_millis(54)), None), "then they come evenly");
        pace.begin(at(100));
        pace.taken(at(300));
        assert_eq!(pace.wait(at(300), true), Some(Duration::from_millis(200)), "it took 200 ms");
        pace.begin(at(600));
        pace.taken(at(9_000));
        assert_eq!(pace.wait(at(9_000), true), None, "never slower than one a second");
        pace.begin(at(9_000));
        pace.taken(at(9_001));
        assert_eq!(pace.wait(at(9_050), true), None, "and fast again once the link is");
    }

    #[test]
    fn never_more_than_twenty_in_a_second_whenever_they_are_wanted() {
        for step in 1..120u64 {
            let (mut pace, start) = (Pace::default(), Instant::now());
            let mut drawn = Vec::new();
            for ms in (0..3_000).step_by(step as usize) {
                let now = start + Duration::from_millis(ms);
                if pace.wait(now, true).is_none() {
                    pace.begin(now);
                    pace.taken(now);
                    drawn.push(ms);
                }
            }
            let most = drawn.iter().map(|from| drawn.iter().filter(|t| (*from..from + 1_000).contains(*t)).count()).max();
            assert!(most <= Some(20), "every {step} ms: {most:?}");
            let even = drawn.windows(2).skip(8).map(|w| w[1] - w[0]).max();
            assert!(even <= Some(FRAME.as_millis() as u64 + step), "every {step} ms: {even:?}");
        }
    }

    #[test]
    fn what_nobody_typed_for_waits_longer_on_a_slow_link_and_a_far_one() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        pace.begin(start);
        pace.taken(at(1));
        assert_eq!((pace.wait(at(50), true), pace.wait(at(50), false)), (None, None), "a good link");
        pace.begin(at(100));
        pace.taken(at(160));
        assert_eq!(pace.wait(at(220), true), None, "twice the 60 ms that it took");
        assert_eq!(pace.wait(at(220), false), Some(Duration::from_millis(130)), "four a second");
        pace.link(Duration::from_millis(151));
        pace.begin(at(1_000));
        pace.taken(at(1_001));
        assert_eq!(pace.wait(at(1_000), true), Some(Duration::from_millis(250)));
        assert_eq!(pace.wait(at(1_000), false), Some(Duration::from_secs(1)));
        pace.link(Duration::from_millis(20));
        assert_eq!(pace.wait(at(1_050), false), None, "it has come nearer");
    }
}
