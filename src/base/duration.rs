//! Durations as people write them: `90s`, `15m`, `1h30m`, `15d`; and as people read them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of time in whole milliseconds. Text form: `500ms`, `90s`, `15m`, `1h30m`, `15d`, `2w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    ms: u64,
}

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration: {why}; write it like 90s, 15m, 1h30m or 15d")]
pub struct BadSpan {
    pub text: String,
    pub why: &'static str,
}

const UNITS: [(&str, u64); 6] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

impl Span {
    pub const fn from_ms(ms: u64) -> Self {
        Self { ms }
    }

    pub const fn from_secs(s: u64) -> Self {
        Self { ms: s * 1_000 }
    }

    pub const fn ms(self) -> u64 {
        self.ms
    }

    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

impl FromStr for Span {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Self, BadSpan> {
        let bad = |why| BadSpan { text: text.to_owned(), why };
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(bad("it is empty"));
        }
        let (mut ms, mut last_unit) = (0u64, u64::MAX);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                return Err(bad("a number is missing before the unit"));
            }
            let n: u64 = rest[..digits].parse().map_err(|_| bad("the number is too large"))?;
            rest = &rest[digits..];
            let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            let unit = &rest[..letters];
            rest = &rest[letters..];
            let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
                return Err(bad("the unit is missing or unknown (ms, s, m, h, d, w)"));
            };
            if *factor >= last_unit {
                return Err(bad("units must go from large to small"));
            }
            last_unit = *factor;
            ms = n.checked_mul(*factor).and_then(|v| ms.checked_add(v)).ok_or_else(|| bad("it is too long"))?;
        }
        Ok(Self { ms })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ms == 0 {
            return f.write_str("0s");
        }
        let mut left = self.ms;
        for (name, factor) in UNITS.iter().rev().filter(|(name, _)| *name != "w") {
            if left >= *factor {
                write!(f, "{}{name}", left / factor)?;
                left %= factor;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A duration as a table cell: `443ms`, `1.2s`, `58s`, `1m20s`, `7h12m`, `3d04h`. Never wider than six columns below 100 days.
pub fn short(ms: u64) -> String {
    let s = ms / 1_000;
    match ms {
        0..=999 => format!("{ms}ms"),
        1_000..=9_999 => format!("{}.{}s", s, ms % 1_000 / 100),
        10_000..=59_999 => format!("{s}s"),
        60_000..=3_599_999 => format!("{}m{:02}s", s / 60, s % 60),
        3_600_000..=86_399_999 => format!("{}h{:02}m", s / 3_600, s / 60 % 60),
        _ => format!("{}d{:02}h", s / 86_400, s / 3_600 % 24),
    }
}

/// A duration in a sentence: `less than a second`, `12s`, `4m20s`, `2h`, `3d4h`. The two largest units, and none that is zero.
pub fn spoken(ms: u64) -> String {
    let unit = match ms {
        0..=999 => return "less than a second".into(),
        1_000..=3_599_999 => 1_000,
        3_600_000..=86_399_999 => 60_000,
        _ => 3_600_000,
    };
    Span::from_ms(ms / unit * unit).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn people_s_forms_are_read() {
        for (text, ms) in [("90s", 90_000), ("1h30m", 5_400_000), ("15d", 1_296_000_000), ("500ms", 500), ("2w", 1_209_600_000)] {
            assert_eq!(text.parse::<Span>().unwrap().ms(), ms, "{text}");
        }
    }

    #[test]
    fn what_could_be_misread_is_refused() {
        for text in ["", "5", "m", "1m1h", "1h1h", "5 m", "-5s", "1.5h", "99999999999999999999s", "5y"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn cells_stay_narrow() {
        for (ms, cell) in
            [(443, "443ms"), (1_234, "1.2s"), (58_000, "58s"), (80_000, "1m20s"), (25_920_000, "7h12m"), (273_600_000, "3d04h")]
        {
            assert_eq!(short(ms), cell);
        }
    }

    #[test]
    fn a_sentence_has_neither_fractions_nor_zeros() {
        for (ms, said) in [
            (0, "less than a second"),
            (23, "less than a second"),
            (1_999, "1s"),
            (60_000, "1m"),
            (260_400, "4m20s"),
            (7_200_000, "2h"),
            (3_659_000, "1h"),
            (259_200_000, "3d"),
            (273_660_000, "3d4h"),
        ] {
            assert_eq!(spoken(ms), said);
        }
    }

    proptest! {
        #[test]
        fn every_span_survives_its_text(ms in 0u64..10_000_000_000_000) {
            let span = Span::from_ms(ms);
            prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
    }
}
