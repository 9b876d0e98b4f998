//! Times for people: in the site's zone, relative where the eye wants an age; and what people type for `--since`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::base::duration;

/// `Tue 07 Apr 03:07` this year, with the year in another; empty for none.
pub fn absolute(text: Option<&str>, zone: &TimeZone, now: Timestamp) -> String {
    let Some(at) = text.and_then(|t| t.parse::<Timestamp>().ok()) else { return String::new() };
    let (at, now) = (at.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
    let form = if at.year() == now.year() { "%a %d %b %H:%M:%S" } else { "%d %b %Y %H:%M" };
    at.strftime(form).to_string()
}

/// `4m ago`, `in 2h`; empty for none.
pub fn age(text: Option<&str>, now: Timestamp) -> String {
    let Some(at) = text.and_then(|t| t.parse::<Timestamp>().ok()) else { return String::new() };
    let passed = now.duration_since(at).as_millis();
    let short = |ms: i128| duration::short(u64::try_from(ms).unwrap_or(0) / 1_000 * 1_000).replace(".0s", "s");
    match passed {
        0..1_000 => "now".into(),
        p if p < 0 => format!("in {}", short(-p)),
        p => format!("{} ago", short(p)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_and_read_in_the_site_s_zone() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(absolute(Some("2026-11-25T00:30:05Z"), &berlin, now), "Wed 25 Nov 01:30:05");
        assert_eq!(absolute(Some("2025-11-25T00:30:05Z"), &berlin, now), "25 Nov 2025 01:30");
        assert_eq!((absolute(None, &berlin, now), age(Some("x"), now)), (String::new(), String::new()));
        assert_eq!(age(Some("2026-11-25T11:56:00Z"), now), "4m00s ago");
        assert_eq!(age(Some("2026-11-25T11:59:59.500Z"), now), "now");
        assert_eq!(age(Some("2026-11-25T12:00:09Z"), now), "in 9s");
        let t = |s: &str| crate::base::since::since(s, &berlin, now).map(|t| t.to_string());
        assert_eq!(t("10m").as_deref(), Some("2026-11-25T11:50:00Z"));
        assert_eq!(t("01:30").as_deref(), Some("2026-11-25T00:30:00Z"));
        assert_eq!(t("23:00").as_deref(), Some("2026-11-24T22:00:00Z"));
        assert_eq!(t("2026-11-25T01:00:00Z").as_deref(), Some("2026-11-25T01:00:00Z"));
        assert_eq!(t("2026-11-25 01:00").as_deref(), Some("2026-11-25T00:00:00Z"));
        assert_eq!(t("-10m").as_deref(), Some("2026-11-25T11:50:00Z"));
        assert_eq!((t("soon"), t("10"), t("1030")), (None, None, None));
    }
}
