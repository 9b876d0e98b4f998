//! "Did you mean …?": the nearest known word to a mistyped one.

/// So much of the beginning of a word is enough to know it by.
const BEGUN: usize = 4;

/// The candidate nearest to `word` by edit distance (swaps count one), if it is near enough to be what was meant; else the only one that
/// begins with it.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (word, known) = (word.to_lowercase(), known.into_iter().collect::<Vec<_>>());
    let length = word.chars().count();
    // One letter has nothing in common with another one.
    let limit = (length / 3).clamp(1, 3).min(length.saturating_sub(1));
    let distances = known.iter().map(|k| (distance(&word, &k.to_lowercase()), *k));
    let near = distances.filter(|(d, _)| *d <= limit).min_by_key(|(d, _)| *d).map(|(_, k)| k);
    near.or_else(|| {
        let mut begun = known.iter().filter(|k| length >= BEGUN && k.to_lowercase().starts_with(&word));
        begun.next().copied().filter(|first| begun.all(|k| k == first))
    })
}

/// What to tell who wrote `word`: the nearest of the known ones, or what to do where none is near.
pub fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, otherwise: impl Into<String>) -> String {
    nearest(word, known).map_or_else(|| otherwise.into(), |near| format!("did you mean `{near}`?"))
}

/// Optimal string alignment distance: insert, delete, replace, swap neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word_and_strangers_find_none() {
        let keys = ["timeout", "retry", "stages", "matrix"];
        assert_eq!(nearest("timout", keys), Some("timeout"));
        assert_eq!(nearest("retyr", keys), Some("retry"));
        assert_eq!(nearest("Stages", keys), Some("stages"));
        assert_eq!(nearest("banana", keys), None);
        assert_eq!(nearest("x", keys), None);
    }

    #[test]
    fn one_letter_is_no_slip_of_another() {
        assert_eq!(nearest("x", ["s", "i"]), None);
        assert_eq!(nearest("S", ["s", "i"]), Some("s"));
        assert_eq!(nearest("", ["s"]), None);
    }

    #[test]
    fn the_beginning_of_one_word_alone_finds_it() {
        let names = ["nightly-repo-updates", "duration_ms", "repo-updates", "repo-checks"];
        assert_eq!(nearest("nightly", names), Some("nightly-repo-updates"));
        assert_eq!(nearest("DURATION", names), Some("duration_ms"));
        assert_eq!(nearest("repo-", names), None, "two begin so");
        assert_eq!(nearest("nig", names), None, "too short to know it by");
        assert_eq!(nearest("nightly", ["nightly-x", "nightly-x"]), Some("nightly-x"), "it is one word");
    }
}
