//! Reports as they are, and as nobody should write them.

use std::io::{BufReader, Cursor};

use super::*;
use crate::domain::junit::id;

fn read(text: impl AsRef<[u8]>) -> Result<(Tested, Vec<u64>), Unreadable> {
    // In pieces, as a file comes.
    report(BufReader::with_capacity(64 << 10, Cursor::new(text.as_ref())), super::super::MOST_TESTS, &|t: &str| t.to_owned())
}

fn why(text: impl AsRef<[u8]>) -> String {
    read(text).expect_err("it is taken in").to_string()
}

#[test]
fn the_common_writers_are_read() {
    // pytest
    let (t, _) = read(
        r#"<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4" time="0.5">
        <testcase classname="test_a.TestB" name="test_ok" time="0.001"/>
        <testcase classname="test_a.TestB" name="test_bad" time="1,234.5"><failure message="assert 1 == 2">def test_bad():
&gt;   assert 1 == 2 &#x26; more</failure></testcase>
        <testcase classname="test_a.TestB" name="test_skip"><skipped type="pytest.skip" message="no"/></testcase>
        <testcase classname="test_a.TestB" name="test_err"><error message="">Boom
second</error><system-out><![CDATA[<failure> is only text here]]></system-out></testcase></testsuite></testsuites>"#,
    )
    .unwrap();
    assert_eq!((t.passed, t.failed, t.skipped, t.total()), (1, 2, 1, 4));
    assert_eq!(t.duration_ms, 1_234_501);
    let [bad, err] = t.failures.as_slice() else { panic!("{:?}", t.failures) };
    assert_eq!(
        (bad.suite.as_str(), bad.test.as_str(), bad.kind, bad.message.as_str()),
        ("test_a.TestB", "test_bad", "failure", "assert 1 == 2")
    );
    assert_eq!(bad.trace, "def test_bad():\n>   assert 1 == 2 & more");
    assert_eq!((err.kind, err.message.as_str()), ("error", "Boom"), "the trace's first line stands in");
    assert_eq!(t.slowest[0].test, "test_bad");

    // Maven: a test that passed at the second try, one that never did; the suite is the root, and names stand in for classes.
    let (t, marks) = read(
        "<testsuite name='org.Suite'><testcase name='once'><flakyFailure message='late'>x</flakyFailure></testcase>\
         <testcase name='never'><failure message='a'/><rerunFailure message='b'/></testcase></testsuite>",
    )
    .unwrap();
    assert_eq!((t.passed, t.failed, t.flaky), (1, 1, 1));
    assert_eq!(
        t.failures.iter().map(|f| (f.suite.as_str(), f.test.as_str(), f.kind)).collect::<Vec<_>>(),
        [("org.Suite", "once", "flaky"), ("org.Suite", "never", "failure")]
    );
    assert_eq!(Seen::new(marks).of(id("org.Suite", "once")), Some(Outcome::Flaky));

    // Nested suites, a namespace, no names at all.
    let (t, _) =
        read("<j:testsuites xmlns:j='u'><j:testsuite name='outer'><j:testsuite><j:testcase/></j:testsuite></j:testsuite></j:testsuites>")
            .unwrap();
    assert_eq!((t.passed, t.failures.len()), (1, 0));
}

/// `1,5` was a quarter of a minute.
#[test]
fn seconds_are_read_in_either_way_to_write_them() {
    for (text, ms) in [
        ("0.25", 250),
        ("0,25", 250),
        ("1,5", 1_500),
        ("12,0421", 12_042),
        ("0,123", 123),
        ("1,234.5", 1_234_500),
        ("1,234,567.8", 1_234_567_800),
        ("1,234", 1_234_000),
        (" 3 ", 3_000),
        ("1e3", 1_000_000),
        ("-1", 0),
        ("NaN", 0),
        ("", 0),
        ("1,2,3", 0),
    ] {
        assert_eq!(millis(text), ms, "{text}");
    }
}

#[test]
fn a_bomb_of_every_kind_is_refused_with_its_name() {
    let laughs = "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol2 '&lol;&lol;&lol;'>]><testsuite><testcase name='&lol2;'/></testsuite>";
    assert_eq!(why(laughs), "a document type is not allowed in it");
    assert!(why("<testsuite><testcase name='&lol;'/></testsuite>").contains("lol"));
    assert!(why("<testsuite><testcase name='x'><failure>&nope;</failure></testcase></testsuite>").contains("unknown entity `nope`"));
    let deep = format!("<testsuite>{}", "<testsuite>".repeat(100_000));
    assert_eq!(why(deep), "its elements are nested more than 64 deep");
    let many = format!("<testsuite>{}</testsuite>", "<testcase name='x'/>".repeat(100_001));
    assert_eq!(why(many), "the step's reports hold more than 100000 tests");
    let tag = format!("<testsuite><testcase name='{}'/></testsuite>", "x".repeat(300 << 10));
    assert_eq!(why(tag), "a tag is larger than 256 KiB");
    let text = format!("<testsuite><system-out>{}</system-out></testsuite>", "x".repeat(17 << 20));
    assert_eq!(why(text), "one tag or text is larger than 16 MiB");
    let attributes: String = (0..10_000).map(|i| format!(" a{i}='1'")).collect();
    assert_eq!(read(format!("<testsuite><testcase name='x'{attributes}/></testsuite>")).unwrap().0.passed, 1);
}

#[test]
fn what_is_no_report_is_told_apart() {
    assert_eq!(why("<html><body/></html>"), "its outermost element is `html`, not `testsuites` or `testsuite`");
    assert_eq!(why("<testsuite/><testsuite/>"), "its outermost element is `testsuite`, not `testsuites` or `testsuite`");
    for empty in ["", "   \n", "just text", "<!-- only this -->"] {
        assert_eq!(why(empty), "it holds no XML element: is it a test report?", "{empty}");
    }
    assert_eq!(why("<testsuite><testcase name='x'>"), "it ends in the middle of an element");
    assert!(why("<testsuite><testcase name='x'></testsuite>").contains("at byte"));
    assert!(why(b"<testsuite><testcase name='\xff\xfe'/></testsuite>").contains("not UTF-8"));
    assert!(why("<?xml version='1.0' encoding='ISO-8859-1'?><testsuite/>").contains("written in ISO-8859-1"));
    assert!(!why(b"\xff\xfe<\0t\0e\0").is_empty());
}

#[test]
fn texts_are_bounded_masked_and_safe() {
    let long = "y".repeat(100_000);
    let (t, _) = report(
        Cursor::new(format!(
            "<testsuite name='s\u{1b}[31m'><testcase name='hunter22'><failure message='{long}'>hunter22\u{1b}[2J\nline{long}</failure></testcase></testsuite>"
        )),
        10,
        &|t: &str| t.replace("hunter22", "****"),
    )
    .unwrap();
    let f = &t.failures[0];
    assert!(f.test == "****" && !f.suite.contains('\u{1b}'), "{f:?}");
    assert!(f.trace.starts_with("****") && !f.trace.contains('\u{1b}') && f.trace.len() <= TRACE, "{}", f.trace.len());
    assert!(f.message.len() <= MESSAGE);
    // Failures beyond the limit are counted; their texts together stay below theirs.
    let many: String = (0..2_000).map(|i| format!("<testcase name='t{i}'><error>{}</error></testcase>", "z".repeat(8_000))).collect();
    let (t, marks) = read(format!("<testsuite>{many}</testsuite>")).unwrap();
    assert_eq!((t.failed, t.failures.len(), marks.len()), (2_000, MOST_FAILURES, 2_000));
    assert!(t.failures.iter().map(|f| f.message.len() + f.trace.len()).sum::<usize>() <= TEXTS);
    for (text, ms) in
        [("0.25", 250), ("1,234.5", 1_234_500), ("-3", 0), ("NaN", 0), ("inf", 0), ("1e300", 8_640_000_000), ("", 0), ("x", 0)]
    {
        assert_eq!(millis(text), ms, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let _ = read(bytes);
    }

    #[test]
    fn no_tags_make_it_panic(text in "(<(/?(testsuites?|testcase|failure|error|skipped|flakyError))( (name|time|message)='[a-z0-9&;,.]{0,4}')?/?>|[a-z&;]){0,30}") {
        let _ = read(text);
    }
}
