//! Jenkins' cron to ours: `H` becomes a number that stays the same for a name, nicknames are written out.

use sha2::{Digest, Sha256};

use crate::pipeline::diagnostic::show;
use crate::pipeline::schedule;

/// A line of a `cron` or `pollSCM` text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    pub pattern: String,
    pub zone: Option<String>,
    /// `H` stood in it.
    pub hashed: bool,
}

const RANGES: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 28), (1, 12), (0, 6)];

/// Every line of a trigger's text, read or with the reason why not. Comments and empty lines are left out.
pub fn lines(text: &str, name: &str) -> Vec<Result<Cron, String>> {
    let mut zone = None;
    let mut out = Vec::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(z) = line.strip_prefix("TZ=") {
            zone = Some(z.trim().to_owned());
            continue;
        }
        let read = one(line, name).and_then(|(pattern, hashed)| {
            if let Some(z) = &zone {
                schedule::zone(z).map_err(|_| format!("`{z}` is not a time zone"))?;
            }
            Ok(Cron { pattern, zone: zone.clone(), hashed })
        });
        out.push(read.map_err(|why| format!("`{}`: {why}", show(line))));
    }
    out
}

fn one(line: &str, name: &str) -> Result<(String, bool), String> {
    let line = match line {
        "@hourly" => "H * * * *",
        "@daily" => "H H * * *",
        "@midnight" => "H H(0-2) * * *",
        "@weekly" => "H H * * H",
        "@monthly" => "H H H * *",
        "@yearly" | "@annually" => "H H H H *",
        other => other,
    };
    let mut fields: Vec<&str> = line.split_whitespace().collect();
    if fields.len() != 5 {
        return Err(format!("it has {} fields, not five", fields.len()));
    }
    let nth = week_of_month(fields[2], fields[4]);
    if let Some(nth) = &nth {
        (fields[2], fields[4]) = ("*", nth);
    }
    // Where one of the two begins with `*`, both have to fit here as well.
    if !fields[2].starts_with('*') && !fields[4].starts_with('*') {
        return Err("Jenkins wants the day of the month and the weekday to fit, cron here takes either".into());
    }
    let mut hashed = false;
    let mut out = Vec::new();
    for (i, field) in fields.iter().enumerate() {
        let parts: Result<Vec<String>, String> = field.split(',').map(|p| part(p, i, name, &mut hashed)).collect();
        out.push(parts?.join(","));
    }
    let pattern = out.join(" ");
    let read = schedule::cron(&pattern, name)?;
    if read.never() { Err("it never fires".into()) } else { Ok((pattern, hashed)) }
}

/// A weekday in one week of the month, where that is what both fields together say: `1-7 * 1` is the first Monday.
fn week_of_month(day: &str, weekday: &str) -> Option<String> {
    let n = ["1-7", "8-14", "15-21", "22-28"].iter().position(|w| *w == day)? + 1;
    let one = weekday.len() == 1 || weekday.len() == 3;
    (one && weekday.bytes().all(|b| b.is_ascii_alphanumeric()) && weekday != "H").then(|| format!("{weekday}#{n}"))
}

/// One item between commas. `H(a-b)/n` begins at a stable place and goes on in steps.
fn part(text: &str, field: usize, name: &str, hashed: &mut bool) -> Result<String, String> {
    let Some(rest) = text.strip_prefix('H') else { return Ok(text.to_owned()) };
    *hashed = true;
    let bad = || format!("`{text}` cannot be read");
    let number = |t: &str| t.parse::<u32>().map_err(|_| bad());
    let (mut low, mut high) = RANGES[field];
    let mut rest = rest;
    if let Some(inner) = rest.strip_prefix('(') {
        let (range, tail) = inner.split_once(')').ok_or_else(bad)?;
        let (a, b) = range.split_once('-').ok_or_else(bad)?;
        let (a, b) = (number(a)?, number(b)?);
        if a > b || a < low || b > [59, 23, 31, 12, 7][field] {
            return Err(bad());
        }
        (low, high, rest) = (a, b, tail);
    }
    let stable = |n: u32| {
        let digest = Sha256::digest(format!("{name}/{field}").as_bytes());
        u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) % n.max(1)
    };
    if rest.is_empty() {
        return Ok((low + stable(high - low + 1)).to_string());
    }
    let step = number(rest.strip_prefix('/').ok_or_else(bad)?)?;
    if step == 0 {
        return Err(bad());
    }
    let first = low + stable(step.min(high - low + 1));
    Ok(if first + step > high { first.to_string() } else { format!("{first}-{high}/{step}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h_is_a_stable_number_in_its_range() {
        for (line, name) in [
            ("H 2 * * *", "a"),
            ("H H(0-7) * * 1-5", "b"),
            ("H/15 * * * *", "c"),
            ("H(0-29)/10 * * * *", "d"),
            ("@daily", "e"),
            ("H H H/3 * *", "f"),
        ] {
            let a = lines(line, name).remove(0).unwrap();
            assert_eq!(a, lines(line, name).remove(0).unwrap());
            assert!(a.hashed && !a.pattern.contains('H'), "{a:?}");
        }
        let fires: Vec<String> = (0..20).map(|i| lines("H * * * *", &format!("p{i}")).remove(0).unwrap().pattern).collect();
        assert!(fires.iter().collect::<std::collections::BTreeSet<_>>().len() > 5, "{fires:?}");
        let poll = lines("H/5 * * * *", "x").remove(0).unwrap().pattern;
        assert!(poll.ends_with("-59/5 * * * *"), "{poll}");
    }

    #[test]
    fn zones_comments_and_what_cannot_be() {
        let all = lines("TZ=Europe/Berlin\n# at night\n30 1 * * *\n\nTZ=Mars/X\n0 0 * * *", "x");
        assert_eq!(all[0].as_ref().unwrap().zone.as_deref(), Some("Europe/Berlin"));
        assert!(all[1].as_ref().unwrap_err().contains("Mars"));
        // Both fields have to fit in Jenkins: said so where cron can say it.
        for (line, pattern) in [("0 3 1-7 * 1", "0 3 * * 1#1"), ("0 3 15-21 * FRI", "0 3 * * FRI#3"), ("0 3 */2 * 0", "0 3 */2 * 0")] {
            assert_eq!(lines(line, "x").remove(0).unwrap().pattern, pattern);
        }
        for bad in ["0 0 1-7 * 1-5", "1 2 3", "0 0 1 * 1", "99 * * * *", "H(5) * * * *", "H/0 * * * *", "0 0 31 2 *", "H(9-3) * * * *"] {
            assert!(lines(bad, "x").remove(0).is_err(), "{bad}");
        }
    }
}
