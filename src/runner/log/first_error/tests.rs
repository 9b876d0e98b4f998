//! Tests of the first error: logs as the tools of the trade write them.

use super::*;

fn log(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("log"), text).unwrap();
    dir
}

fn first(red: &str, good: Option<&str>) -> (String, String, Option<String>) {
    let (red, run) = (log(red), RunRef::new("p", 4));
    let good = good.map(log);
    let found = find(red.path(), good.as_ref().map(|g| (&run, g.path())), &Extra::default()).unwrap().expect("an error");
    (found.text, found.pattern, found.new_since)
}

#[test]
fn every_pattern_builds_and_begins_with_what_all_have_in_common() {
    assert!(rules().is_some());
    let common = Regex::new(COMMON).unwrap();
    for (text, line, pattern) in [
        ("make", "make: Entering directory '/w'\nsrc/a.c:12:5: error: expected ';' before 'x'\nmake: *** [a.o] Error 1\n", "gcc"),
        ("not none", "error: no such thing\n", "error"),
        ("make alone", "install ok\nmake[2]: *** [Makefile:7: all] Error 2\nmake: *** Error 2\n", "make"),
        ("ld", "cc -o x\n/usr/bin/ld: main.o: undefined reference to `foo'\ncollect2: error: ld returned 1 exit status\n", "linker"),
        ("rpm", "Building target platforms: x86_64\nerror: Failed build dependencies:\n\tfoo is needed by bar\n", "rpm"),
        ("dnf", "Last metadata expiration check\nError: \n Problem: package a requires b\n", "dnf"),
        ("dnf5", "Updating\nProblem: conflicting requests\n  - nothing provides libx\n", "dnf"),
        ("salt", "          ID: chrony\n    Function: pkg.installed\n      Result: False\n     Comment: no\n", "salt"),
        ("salt log", "[INFO    ] up\n[ERROR   ] Minion did not return\n", "salt"),
        ("python", "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\nValueError: bad literal\n", "python"),
        ("bash", "+ run\n./x.sh: line 3: frobnicate: command not found\n", "shell"),
        ("dash", "sh: 3: foo: not found\n", "shell"),
        ("unset", "/tmp/s/script: 4: X: parameter not set\n", "shell"),
        ("git", "Cloning into 'x'...\nfatal: repository 'y' not found\n", "git"),
        ("curl", "  % Total\ncurl: (22) The requested URL returned error: 404\n", "curl"),
        ("kernel", "working\nSegmentation fault (core dumped)\n", "kernel"),
        ("cargo", "   Compiling x\nerror[E0308]: mismatched types\n  --> src/a.rs\n", "rustc"),
        ("pytest", "collected 3 items\nE   assert 1 == 2\nFAILED test_a.py::test_b - assert 1 == 2\n", "test"),
        ("level", "2026-11-25 10:00:00 INFO up\n2026-11-25 10:00:01 ERROR: it fell over\n", "log level"),
        ("word", "doing things\nthe upload failed after a while\nbye\n", "message"),
    ] {
        let (found, name, _) = first(line, None);
        assert_eq!(name, pattern, "{text}: {found}");
        assert!(common.is_match(found.as_bytes()), "{text}: `{found}` is not found by the common expression");
    }
}

#[test]
fn what_only_speaks_of_errors_is_passed_over() {
    for harmless in [
        "0 errors, 3 warnings",
        "errors: 0 failed: 0",
        "failed=0 errors: none",
        "gcc -Werror -c error.c",
        "Installing libgpg-error-1.42",
        "+ test -e /no/such || echo error",
        "  adding: lib/error_handling.py",
        "rsync --ignore-errors --fail-fast",
    ] {
        let (found, name, _) = first(&format!("{harmless}\nmake: *** [x] Error 1\nbye\n"), None);
        assert_eq!((found.as_str(), name.as_str()), ("make: *** [x] Error 1", "make"), "{harmless}");
    }
}

#[test]
fn what_the_last_good_log_has_too_is_noise_whatever_its_numbers() {
    let good = "10:00:01 ERROR: cache 17 is cold at /w/p/4/tmp/x\nid 1f3a9c77 failed softly\ndone 12\n";
    let red = "11:30:59 ERROR: cache 993 is cold at /w/p/5/tmp/x\nid 77aa0b12 failed softly\nERROR: the disk is on fire\nbye\n";
    assert_eq!(first(red, Some(good)), ("ERROR: the disk is on fire".into(), "log level".into(), Some("p#4".into())));
    assert_eq!(first(red, None).0, "11:30:59 ERROR: cache 993 is cold at /w/p/5/tmp/x");
    // No pattern: the last line that is new.
    assert_eq!(first("up\nthe frob is empty\ndone 5\n", Some("up\ndone 4\n")), ("the frob is empty".into(), "".into(), Some("p#4".into())));
    // Nothing new at all: the noise is the best there is.
    let (text, _, since) = first("ERROR: cold 5\ndone 5\n", Some("ERROR: cold 4\ndone 4\n"));
    assert_eq!((text.as_str(), since), ("ERROR: cold 5", None));
    assert_eq!(first("only this\n\n", None).0, "only this");
    assert_eq!(find(log("").path(), None, &Extra::default()).unwrap(), None);
}

#[test]
fn what_is_found_is_bounded_safe_and_has_its_place() {
    let red = format!("a\nb\nc\nd\n\u{1b}[31merror: \u{7}{}\u{1b}[0m\n", "x".repeat(9_000));
    let dir = log(&red);
    let found = find(dir.path(), None, &Extra::default()).unwrap().unwrap();
    assert!(found.text.starts_with("error: xxx") && found.text.len() <= TEXT, "{found:?}");
    assert_eq!((found.offset, found.context), (8, 2));
    assert!(!red.is_empty() && find(&dir.path().join("gone"), None, &Extra::default()).unwrap_err().is_absent());
}

#[test]
fn what_a_site_and_a_pipeline_add_comes_first_and_a_bad_one_hurts_nobody() {
    use crate::domain::log::Patterns;
    let pair = |n: &str, re: &str| (n.to_owned(), re.to_owned());
    let site = Patterns { errors: vec![pair("obs", r"^E\d+ "), pair("bad", "(")], harmless: vec!["(?i)flaky proxy".into()] };
    let own = Patterns { errors: vec![pair("frob", "the frob is (?:sad|cold)$")], harmless: Vec::new() };
    let extra = Extra::of([&site, &own]);
    let red = log("up\nERROR: flaky proxy\nE17 no luck\nthe frob is cold\nmake: *** [x] Error 1\n");
    let found = find(red.path(), None, &extra).unwrap().unwrap();
    assert_eq!((found.text.as_str(), found.pattern.as_str()), ("E17 no luck", "obs"));
    let red = log("up\nthe frob is cold\nmake: *** [x] Error 1\n");
    let found = find(red.path(), None, &extra).unwrap().unwrap();
    assert_eq!((found.text.as_str(), found.pattern.as_str()), ("the frob is cold", "frob"));
    // Nothing of ours is lost, and flags of one expression do not leak into another.
    let red = log("THE FROB IS COLD\nsrc/a.c:1:2: error: x\n");
    assert_eq!(find(red.path(), None, &extra).unwrap().unwrap().pattern, "gcc");
    // A line that good runs have too is noise, whoever calls it an error.
    let (red, good, run) = (log("E17 no luck\nE99 worse things\n"), log("E12 no luck\n"), RunRef::new("p", 4));
    let found = find(red.path(), Some((&run, good.path())), &extra).unwrap().unwrap();
    assert_eq!((found.text.as_str(), found.new_since.as_deref()), ("E99 worse things", Some("p#4")));
}
