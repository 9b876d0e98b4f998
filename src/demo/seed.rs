//! Randomness that is the same on every machine for the same seed. Not for secrets.

/// SplitMix64: small, fast, and its output for a seed never changes with a library's version.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A stream of its own for every (seed, name, number): adding a consumer never shifts another's numbers.
    pub fn new(seed: u64, name: &str, number: u64) -> Self {
        let mut h = 0xcbf2_9ce4_8422_2325u64;
        for b in seed.to_le_bytes().into_iter().chain(name.bytes()).chain(number.to_le_bytes()) {
            h = (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        let mut rng = Self(h);
        rng.next();
        rng
    }

    /// The next 64 bits.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..n`; 0 when `n` is 0. The bias is below 2^-50 for the sizes used here.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.next() % n }
    }

    /// `n` bytes that no compressor makes smaller.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(n + 8);
        while out.len() < n {
            out.extend_from_slice(&self.next().to_le_bytes());
        }
        out.truncate(n);
        out
    }

    /// `count` different numbers below `n`, in the order drawn.
    pub fn pick(&mut self, n: usize, count: usize) -> Vec<usize> {
        let mut left: Vec<usize> = (0..n).collect();
        let mut out = Vec::new();
        while out.len() < count && !left.is_empty() {
            let i = self.below(left.len() as u64) as usize;
            out.push(left.swap_remove(i));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_seed_name_and_number_and_on_nothing_else() {
        let first = |s, n, k| Rng::new(s, n, k).next();
        assert_eq!(first(1, "a", 0), first(1, "a", 0));
        let all = [first(1, "a", 0), first(2, "a", 0), first(1, "b", 0), first(1, "a", 1)];
        for (i, a) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|b| a != b), "{all:?}");
        }
    }

    #[test]
    fn picks_are_different_and_never_more_than_there_are() {
        let mut got = Rng::new(7, "p", 1).pick(5, 9);
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3, 4]);
    }
}
