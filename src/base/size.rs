//! Sizes in bytes as people write them (`200MiB`, `1.5 GiB`, `64k`) and as people read them.

/// Parses `N[.N] UNIT`, binary units, case ignored: `b`, `k|kb|kib`, `m…`, `g…`, `t…`. `None` when it is no size.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let n: f64 = text[..digits].parse().ok()?;
    let factor = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1u64,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return None,
    };
    let bytes = n * factor as f64;
    (bytes.is_finite() && bytes >= 0.0 && bytes < (1u64 << 62) as f64).then_some(bytes as u64)
}

/// A size as a table cell: `512 B`, `1.4 KiB`, `21 MiB`.
pub fn short(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit < 4 {
        value /= 1024.0;
        unit += 1;
    }
    let name = ["B", "KiB", "MiB", "GiB", "TiB"][unit];
    if value < 10.0 { format!("{value:.1} {name}") } else { format!("{value:.0} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        assert_eq!(parse("200MiB"), Some(200 << 20));
        assert_eq!(parse("1.5 g"), Some(3 << 29));
        assert_eq!(parse("64k"), Some(65_536));
        for bad in ["", "x", "5q", "-1", "1e9", "9999999999T"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(short(1_434), "1.4 KiB");
        assert_eq!(short(22_020_096), "21 MiB");
    }
}
