//! Tests of the difference of two contents.

use proptest::prelude::*;

use super::*;
use crate::domain::packages::{Builder, Entry};

/// `REPO NAME EVR ARCH CHECKSUM [SOURCE] [STREAM]` a line.
fn list(text: &str) -> Side {
    let mut b = Builder::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let f: Vec<&str> = line.split_whitespace().collect();
        let (epoch, vr) = f[2].split_once(':').unwrap_or(("0", f[2]));
        let (version, release) = vr.split_once('-').unwrap();
        let (source_rpm, stream) = (f.get(5).copied().unwrap_or(""), f.get(6).copied().unwrap_or(""));
        let e = Entry { name: f[1], epoch, version, release, arch: f[3], checksum: f[4], size: 10, source_rpm, stream };
        b.package(f[0], &e).unwrap();
    }
    Side::new(b.finish())
}

fn told(a: &str, b: &str) -> Vec<String> {
    let (a, b) = (list(a), list(b));
    let d = diff(&a, &b);
    let evr = |p: Option<Package<'_>>| p.map_or("-".to_owned(), |p| format!("{}:{}-{}", p.evr.epoch, p.evr.version, p.evr.release));
    let rows = d.packages.iter().map(|r| {
        let p = r.either().unwrap();
        format!("{} {}.{} {} {}", r.change.as_str(), p.name, p.arch, evr(r.old), evr(r.new))
    });
    rows.collect()
}

#[test]
fn every_kind_of_change_is_told() {
    let old = "b up 1.9-1 x a1\nb down 2-1 x a2\nb gone 1-1 x a3\nb same 1-1 x a4\nb rebuilt 1-1 x a5\nb moved 1-1 x a6\nb epoch 9-1 x a7
        b kept 1-1 x k1\nb kept 2-1 x k2";
    let new = "b up 1.10-1 x b1\nb down 1-1 x b2\nb new 1-1 x b3\nb same 1-1 x a4\nb rebuilt 1-1 x b5\nc moved 1-1 x a6\nb epoch 1:1-1 x b7
        b kept 2-1 x k2";
    assert_eq!(
        told(old, new),
        [
            "down down.x 0:2-1 0:1-1",
            "up epoch.x 0:9-1 1:1-1",
            "gone gone.x 0:1-1 -",
            "copies kept.x 0:2-1 0:2-1",
            "moved moved.x 0:1-1 0:1-1",
            "new new.x - 0:1-1",
            "rebuilt rebuilt.x 0:1-1 0:1-1",
            "up up.x 0:1.9-1 0:1.10-1",
        ]
    );
    let (a, b) = (list(old), list(new));
    let d = diff(&a, &b);
    assert_eq!((d.same, d.count(Change::Up), d.fetch_bytes()), (1, 2, 50), "an older copy that goes is not fetched");
    assert!(diff(&a, &a).is_empty() && diff(&a, &a).same == 9);
    assert!(told("here p 1-1 x 1\nhere q 1-1 x 2", "there p 1-1 x 1\nthere q 1-1 x 2").is_empty(), "one repository under two names");
}

#[test]
fn only_bytes_that_one_has_not_got_are_fetched() {
    let fetched = |a: &str, b: &str| diff(&list(a), &list(b)).fetch_bytes();
    let both = "r k 1-1 x a\nr k 2-1 x b";
    assert_eq!(fetched(both, "r k 1-1 x a"), 0, "the newest falls away, the older one is there");
    assert_eq!(fetched("r p 1-1 x p", &format!("r p 1-1 x p\n{both}")), 20, "every version that came");
    assert_eq!(fetched(both, &both.replace("x b", "x b s.src.rpm stream:1")), 0, "the same bytes, of a stream now");
    assert_eq!(fetched("r p 1-1 x p", "r p 2-1 x q\ns p 2-1 x q"), 10, "one file in two repositories");
}

#[test]
fn a_source_goes_from_what_moves_to_what_it_becomes_and_an_addition_beside_it_hides_nothing() {
    // `ssl` was added out of band beside what is served; `ssl-libs` comes with the next compose.
    let (a, b) = (
        list("b ssl 1-1 x a1 ssl-1-1.src.rpm\nb ssl 1-2 x a2 ssl-1-2.src.rpm\nb ssl-libs 1-1 x a3 ssl-1-1.src.rpm"),
        list("b ssl 1-2 x a2 ssl-1-2.src.rpm\nb ssl-libs 1-2 x a4 ssl-1-2.src.rpm"),
    );
    let s = &diff(&a, &b).sources[0];
    assert_eq!((s.change, s.old.as_str(), s.new.as_str(), s.packages), (Change::Up, "0:1-1", "0:1-2", 2));
}

#[test]
fn streams_of_a_module_are_compared_each_with_itself() {
    let old = "a nodejs 1:16.1-1 x 1 n.src.rpm nodejs:16\na nodejs 1:18.1-1 x 2 n.src.rpm nodejs:18";
    let new =
        "a nodejs 1:16.2-1 x 3 n.src.rpm nodejs:16\na nodejs 1:18.1-1 x 2 n.src.rpm nodejs:18\na nodejs 1:20.0-1 x 4 n.src.rpm nodejs:20";
    assert_eq!(told(old, new), ["up nodejs.x 1:16.1-1 1:16.2-1", "new nodejs.x - 1:20.0-1"]);
    let with = |version: &str, extra: bool| {
        let mut b = Builder::new();
        let s = |name: &str, version: &str| Stream { name: name.into(), stream: "1".into(), version: version.into(), ..Stream::default() };
        b.stream(s("a", version));
        b.stream(s("a", "7"));
        if extra {
            b.stream(s("b", "1"));
        }
        b.metadata("r", "modules", version);
        Side::new(b.finish())
    };
    let (a, b) = (with("9", true), with("10", false));
    let d = diff(&a, &b);
    let rows: Vec<_> = d.streams.iter().map(|r| (r.change, r.name.as_str(), r.old.as_str(), r.new.as_str())).collect();
    assert_eq!(rows, [(Change::Up, "a", "9", "10"), (Change::Gone, "b", "1", "")]);
    assert_eq!((d.metadata.len(), d.metadata[0].change), (1, Change::Rebuilt));
    assert!(!d.is_empty());
}

#[test]
fn sources_sum_up_what_their_packages_did() {
    let old = "b bash 1:5-1 x 1 bash-5-1.src.rpm\nb bash-doc 1:5-1 noarch 2 bash-5-1.src.rpm\nb lib 1-1 x 3 big-1-1.src.rpm\nb odd 1-1 x 4";
    let new = "b bash 1:5-2 x 5 bash-5-2.src.rpm\nb bash-doc 1:5-2 noarch 6 bash-5-2.src.rpm\nb bash-new 1:5-2 x 7 bash-5-2.src.rpm
        b lib 1-1 x 8 big-1-1.src.rpm\nb odd 2-1 x 9";
    let (a, b) = (list(old), list(new));
    let d = diff(&a, &b);
    let rows: Vec<_> = d.sources.iter().map(|s| (s.name.as_str(), s.change, s.old.as_str(), s.new.as_str(), s.packages)).collect();
    assert_eq!(
        rows,
        [
            ("bash", Change::Up, "1:5-1", "1:5-2", 3),
            ("big", Change::Rebuilt, "0:1-1", "0:1-1", 1),
            ("odd", Change::Up, "0:1-1", "0:2-1", 1)
        ]
    );
    assert_eq!((d.sources[0].old_bytes, d.sources[0].new_bytes, d.sources[0].new_rpm.as_str()), (20, 30, "bash-5-2.src.rpm"));
    assert_eq!(d.count_sources(Change::Up), 2);
}

fn some() -> impl Strategy<Value = String> {
    let line = ("[ab]", "[p-r]", "[0-2]", "[xy]", "[0-3]").prop_map(|(r, n, v, a, c)| format!("{r} {n} {v}-1 {a} {n}{v}{a}{c}"));
    proptest::collection::btree_set(line, 0..12).prop_map(|l| l.into_iter().collect::<Vec<_>>().join("\n"))
}

proptest! {
    #[test]
    fn nothing_differs_only_where_nothing_differs(x in some(), y in some()) {
        let (a, b) = (list(&x), list(&y));
        let d = diff(&a, &b);
        let (one, other) = (a.list(), b.list());
        let named = one.repos().any(|r| other.repos().any(|n| n == r));
        if named || (one.is_empty() && other.is_empty()) {
            prop_assert_eq!(d.is_empty(), one.fp() == other.fp(), "{:?}", d.packages);
        }
        prop_assert_eq!(d.packages.is_empty(), d.sources.is_empty());
        let rows: u64 = Change::WORDS.iter().map(|(_, c)| d.count(*c)).sum();
        prop_assert_eq!(rows, d.packages.len() as u64);
    }

    #[test]
    fn the_way_back_is_the_way_turned_round(x in some(), y in some()) {
        let (a, b) = (list(&x), list(&y));
        let (there, back) = (diff(&a, &b), diff(&b, &a));
        let turned = |c| match c {
            Change::Up => Change::Down,
            Change::Down => Change::Up,
            Change::New => Change::Gone,
            Change::Gone => Change::New,
            other => other,
        };
        let there: Vec<Change> = there.packages.iter().map(|r| turned(r.change)).collect();
        let back: Vec<Change> = back.packages.iter().map(|r| r.change).collect();
        prop_assert_eq!(there, back);
    }
}
