//! Time zones by their IANA name. The one file is read that has it: the library's own look-up lists the whole database first, which
//! is half of what a short command costs.

use jiff::tz::TimeZone;

/// Where the system keeps its zones.
const ZONES: &str = "/usr/share/zoneinfo";

/// The zone of this name: the system's, whose rules are newer, else the one built in.
pub fn named(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    let plain = name.split('/').all(|p| {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+');
        p.starts_with(|c: char| c.is_ascii_alphabetic()) && p.bytes().all(good)
    });
    if !plain {
        return None;
    }
    let file = std::fs::read(std::path::Path::new(ZONES).join(name)).ok();
    file.and_then(|bytes| TimeZone::tzif(name, &bytes).ok()).or_else(|| TimeZone::get(name).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_the_library_finds_and_nothing_outside() {
        let at: jiff::Timestamp = "2026-07-01T12:00:00Z".parse().unwrap();
        for name in ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT+5", "europe/berlin", "Asia/Kathmandu"] {
            let (ours, theirs) = (named(name).unwrap(), TimeZone::get(name).unwrap());
            assert_eq!(ours.to_offset(at), theirs.to_offset(at), "{name}");
            assert_eq!(ours.iana_name().map(str::to_lowercase), theirs.iana_name().map(str::to_lowercase), "{name}");
        }
        for name in ["", "Mars/Olympus", "../zoneinfo/UTC", "/etc/localtime", "Europe/", "Europe/../UTC", "tzdata.zi", "a b", "Europe"] {
            assert!(named(name).is_none(), "{name}");
        }
    }
}
