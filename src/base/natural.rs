//! Natural order: numbers inside texts compare as numbers, so `host10` comes after `host9`.

use std::cmp::Ordering;

/// Compares without regard to case first; equal texts that way fall back to their bytes, so the order is total.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a.as_bytes(), b.as_bytes());
    while let (Some(&p), Some(&q)) = (x.first(), y.first()) {
        if p.is_ascii_digit() && q.is_ascii_digit() {
            let (n, rest_x) = number(x);
            let (m, rest_y) = number(y);
            let order = n.len().cmp(&m.len()).then_with(|| n.cmp(m));
            if order != Ordering::Equal {
                return order;
            }
            (x, y) = (rest_x, rest_y);
        } else {
            let order = p.to_ascii_lowercase().cmp(&q.to_ascii_lowercase());
            if order != Ordering::Equal {
                return order;
            }
            (x, y) = (&x[1..], &y[1..]);
        }
    }
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

/// The digits at the front without leading zeros, and what follows them.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let zeros = text[..end].iter().take_while(|b| **b == b'0').count();
    (&text[zeros..end], &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_count_as_numbers() {
        let mut hosts = ["web10", "web9", "Web1", "web09", "db2", "nightly#100", "nightly#99"];
        hosts.sort_by(|a, b| compare(a, b));
        assert_eq!(hosts, ["db2", "nightly#99", "nightly#100", "Web1", "web09", "web9", "web10"]);
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in "[a-bA0-1]{0,6}", b in "[a-bA0-1]{0,6}", c in "[a-bA0-1]{0,6}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b) == Ordering::Equal, a == b);
            if compare(&a, &b) != Ordering::Greater && compare(&b, &c) != Ordering::Greater {
                prop_assert_ne!(compare(&a, &c), Ordering::Greater);
            }
        }
    }
}
