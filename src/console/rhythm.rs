//! Whether a key was pressed by a person: by when it came. Terminals that mark neither repeated keys nor pastes are no less safe.

use jiff::{SignedDuration, Timestamp};

use super::keymap::{Code, Key};
use super::msg::Msg;

/// The same key again within this is held down: keyboards repeat every 20 to 120 ms, and nobody presses one key so fast on purpose.
const HELD: SignedDuration = SignedDuration::from_millis(130);
/// Different signs at this pace are a paste.
const FAST: SignedDuration = SignedDuration::from_millis(12);
/// So many of them in a row. Fewer may be two hands, or a slow link that delivers at once what was typed one by one.
const BURST: u32 = 4;

/// What came before.
#[derive(Debug, Clone, Default)]
pub struct Rhythm {
    last: Option<(Key, Timestamp)>,
    /// Signs in a row, each as fast as no person types.
    fast: u32,
    /// They are not all the same: it is no held key.
    varied: bool,
}

impl Rhythm {
    /// The message of a key that came at `now`. `repeat`: the terminal says that it repeats itself.
    pub fn take(&mut self, key: Key, repeat: bool, now: Timestamp) -> Msg {
        let gap = self.last.map(|(_, at)| now.duration_since(at));
        let same = self.last.is_some_and(|(k, _)| k == key);
        self.last = Some((key, now));
        let sign = matches!(key.code, Code::Char(_) | Code::Enter | Code::Tab) && !key.ctrl && !key.alt;
        if sign && gap.is_some_and(|g| g <= FAST) {
            self.fast += 1;
            self.varied |= !same;
        } else {
            (self.fast, self.varied) = (u32::from(sign), false);
        }
        if self.varied && self.fast >= BURST {
            return Msg::Burst(key);
        }
        Msg::Key { key, repeat: repeat || (same && gap.is_some_and(|g| g < HELD)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of keys that come `gap` ms apart: `.` a key, `r` a repeated one, `b` part of a burst.
    fn signs(keys: &str, gap: i64) -> String {
        let mut rhythm = Rhythm::default();
        let sign =
            |(i, c): (usize, char)| match rhythm.take(Key::char(c), false, Timestamp::from_millisecond(1_000 + i as i64 * gap).unwrap()) {
                Msg::Key { repeat: false, .. } => '.',
                Msg::Key { repeat: true, .. } => 'r',
                _ => 'b',
            };
        keys.chars().enumerate().map(sign).collect()
    }

    #[test]
    fn what_a_person_types_is_keys() {
        assert_eq!(signs("nightly yes", 80), "...........");
        assert_eq!(signs("abc", 0), "...", "two hands, or a link that delivers at once");
        assert_eq!(signs("yy", 200), "..");
    }

    #[test]
    fn a_held_key_repeats_at_any_pace_of_keyboards() {
        for gap in [0, 5, 20, 33, 120] {
            assert_eq!(signs("yyyyyy", gap), ".rrrrr", "{gap} ms");
        }
    }

    #[test]
    fn a_paste_without_brackets_is_a_burst_to_its_end() {
        assert_eq!(signs("run nightly now", 1), "...bbbbbbbbbbbb");
        let mut rhythm = Rhythm::default();
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        for (i, c) in "paste".chars().enumerate() {
            let _ = rhythm.take(Key::char(c), false, at(i as i64));
        }
        assert!(matches!(rhythm.take(Key::char('y'), false, at(500)), Msg::Key { repeat: false, .. }), "after it, keys are keys");
    }
}
