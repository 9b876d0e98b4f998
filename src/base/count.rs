//! How many of something, as people say it: `1 package`, `2 packages`.

/// `n` with the word for one, or for any other number.
pub fn of(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// The same of a thing whose plural ends in `s`.
pub fn s(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_is_one() {
        assert_eq!([0, 1, 2].map(|n| super::s(n, "package")), ["0 packages", "1 package", "2 packages"]);
        assert_eq!([0, 1, 2].map(|n| super::of(n, "repository", "repositories")), ["0 repositories", "1 repository", "2 repositories"]);
    }
}
