//! Searches in a log: where the hits are, and the filter that shows nothing but hits. The engine does the work; this keeps account of it.

use regex::Regex;

/// Hits that are known at once; `n` at the last of them looks for more.
pub const HITS_MAX: usize = 100_000;
/// A pattern that compiles to more is refused, as the engine does.
const PATTERN_MAX: usize = 1 << 20;
/// Lines around each hit of a filter at most.
pub const CONTEXT_MAX: usize = 100;

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Pattern {
    pub text: String,
    /// The same, to mark hits in lines that are shown.
    pub marks: Regex,
}

impl Pattern {
    /// Small letters only = both cases are meant.
    pub fn new(text: &str) -> Result<Self, String> {
        let built = regex::RegexBuilder::new(text).case_insensitive(ignores_case(text)).size_limit(PATTERN_MAX).build();
        let marks = built.map_err(|e| {
            let why = e.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("no regular expression: {why}; put a \\ before signs that are meant as themselves")
        })?;
        Ok(Self { text: text.to_owned(), marks })
    }

    /// The part of the engine's question that says it.
    pub fn query(&self) -> String {
        let case = if ignores_case(&self.text) { "&ignore_case=1" } else { "" };
        format!("re={}{case}", crate::api::client::encode(&self.text))
    }
}

fn ignores_case(text: &str) -> bool {
    !text.chars().any(char::is_uppercase)
}

/// `/`: every place where the pattern is.
#[derive(Debug, Clone)]
pub struct Search {
    pub pattern: Pattern,
    /// Where hits begin, in order.
    pub hits: Vec<u64>,
    /// Where the engine begins or goes on.
    pub next: u64,
    /// The engine is to be asked.
    pub wanted: bool,
    pub running: bool,
    /// The step has ended and all of its log was searched.
    pub complete: bool,
    /// The hit that the person is at.
    pub current: Option<u64>,
    /// The line from which the first hit is looked for.
    pub origin: u64,
    /// A jump that waits for its hit; forwards or not.
    pub jump: Option<bool>,
    /// For this jump more was looked for already.
    pub extended: bool,
}

/// What a jump comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jump {
    To(u64),
    /// There, past the other end.
    Round(u64),
    /// The search has not come so far.
    Wait,
    /// The log must be searched from where the last search ended.
    More,
    Nothing,
}

impl Search {
    pub fn new(pattern: Pattern, origin: u64) -> Self {
        Self {
            pattern,
            hits: Vec::new(),
            next: 0,
            wanted: true,
            running: false,
            complete: false,
            current: None,
            origin,
            jump: Some(true),
            extended: false,
        }
    }

    pub fn is_full(&self) -> bool {
        self.hits.len() >= HITS_MAX
    }

    /// More hits. Those that are known already are passed over.
    pub fn found(&mut self, hits: Vec<u64>) {
        for hit in hits {
            if self.hits.len() < HITS_MAX && self.hits.last().is_none_or(|l| *l < hit) {
                self.hits.push(hit);
            }
            self.next = self.next.max(hit);
        }
    }

    /// Where `n` or `N` leads; `size`: bytes of the log as far as is known.
    pub fn jump(&self, forward: bool, size: u64) -> Jump {
        let busy = self.running || self.wanted;
        if forward {
            let at = match self.current {
                Some(at) => self.hits.partition_point(|h| *h <= at),
                None => self.hits.partition_point(|h| *h < self.origin),
            };
            match (self.hits.get(at), self.hits.first()) {
                (Some(hit), _) => Jump::To(*hit),
                (None, _) if busy => Jump::Wait,
                (None, _) if !self.extended && (self.is_full() || !self.complete && size > self.next) => Jump::More,
                (None, Some(first)) => Jump::Round(*first),
                (None, None) => Jump::Nothing,
            }
        } else {
            let from = self.current.unwrap_or(self.origin);
            let at = self.hits.partition_point(|h| *h < from);
            match (at.checked_sub(1).and_then(|i| self.hits.get(i)), self.hits.last()) {
                _ if busy && self.next < from => Jump::Wait,
                (Some(hit), _) => Jump::To(*hit),
                (None, _) if busy => Jump::Wait,
                (None, Some(last)) => Jump::Round(*last),
                (None, None) => Jump::Nothing,
            }
        }
    }

    /// The number of the hit that the person is at, from 1.
    pub fn number(&self) -> Option<usize> {
        self.hits.binary_search(&self.current?).ok().map(|i| i + 1)
    }
}

/// `&`: only lines with the pattern, and some around each.
#[derive(Debug, Clone)]
pub struct Filter {
    pub pattern: Pattern,
    pub context: usize,
    /// Where the engine begins or goes on.
    pub next: u64,
    pub wanted: bool,
    pub running: bool,
    pub complete: bool,
    /// As much is held as may be; more follows.
    pub full: bool,
    pub hits: usize,
    /// The engine has answered once: the next question waits for what is written.
    pub asked: bool,
    /// Where the first line began.
    pub first: Option<u64>,
    /// What is in front of what is held was let go, or passed over.
    pub from: u64,
}

impl Filter {
    pub fn new(pattern: Pattern, context: usize, from: u64) -> Self {
        Self {
            pattern,
            context,
            next: from,
            wanted: true,
            running: false,
            complete: false,
            full: false,
            hits: 0,
            asked: false,
            first: None,
            from,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn search(hits: &[u64], origin: u64) -> Search {
        let mut s = Search::new(Pattern::new("x").unwrap(), origin);
        s.found(hits.to_vec());
        (s.wanted, s.complete) = (false, true);
        s
    }

    #[test]
    fn n_and_shift_n_go_from_hit_to_hit_and_round() {
        let mut s = search(&[10, 20, 30], 15);
        assert_eq!(s.jump(true, 0), Jump::To(20));
        assert_eq!(s.jump(false, 0), Jump::To(10));
        s.current = Some(30);
        assert_eq!((s.jump(true, 0), s.jump(false, 0), s.number()), (Jump::Round(10), Jump::To(20), Some(3)));
        s.current = Some(10);
        assert_eq!(s.jump(false, 0), Jump::Round(30));
        assert_eq!(search(&[], 0).jump(true, 0), Jump::Nothing);
        s.running = true;
        s.current = Some(30);
        assert_eq!(s.jump(true, 0), Jump::Wait);
        s.current = Some(40);
        assert_eq!(s.jump(false, 0), Jump::Wait, "hits between may still come");
        (s.running, s.complete, s.current) = (false, false, Some(30));
        assert_eq!(s.jump(true, 99), Jump::More, "the log has grown meanwhile");
        s.extended = true;
        assert_eq!(s.jump(true, 99), Jump::Round(10), "and there was nothing new");
    }

    #[test]
    fn small_letters_mean_both_cases() {
        assert_eq!(Pattern::new("a b").unwrap().query(), "re=a%20b&ignore_case=1");
        assert_eq!(Pattern::new("A").unwrap().query(), "re=A");
        assert!(Pattern::new("a(").unwrap_err().contains("no regular expression"));
        assert!(Pattern::new("(\\w{1000}){1000}").is_err());
    }

    proptest! {
        #[test]
        fn hits_are_in_order_and_bounded(found in proptest::collection::vec(0u64..50, 0..80), at in 0u64..60) {
            let mut s = search(&found, at);
            prop_assert!(s.hits.windows(2).all(|w| w[0] < w[1]));
            for forward in [true, false, true] {
                if let Jump::To(h) | Jump::Round(h) = s.jump(forward, 0) {
                    prop_assert!(s.hits.contains(&h));
                    s.current = Some(h);
                }
            }
        }
    }
}
