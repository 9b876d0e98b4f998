//! I8: no declared secret in log, report, journal, spec, argv or environment of the supervisor; given to the step as files in memory.

use quarterdeck::domain::attempt::{EndedBy, SecretUse};
use quarterdeck::runner::attempt::recovery::Decision;

use super::{Attempt, finish};

const VALUE: &str = "s3cr3t/With \"quotes\" & spaces";

fn with_secret(script: &str, env: bool) -> Attempt {
    let mut a = Attempt::shell(script);
    a.spec.secrets = vec![SecretUse { name: "koji-cert".into(), env }];
    a
}

/// Every file below the test's directory.
fn all_bytes(a: &Attempt) -> Vec<(String, Vec<u8>)> {
    fn walk(dir: &std::path::Path, out: &mut Vec<(String, Vec<u8>)>) {
        for e in std::fs::read_dir(dir).unwrap().flatten() {
            match e.file_type().unwrap().is_dir() {
                true => walk(&e.path(), out),
                false => out.push((e.path().display().to_string(), std::fs::read(e.path()).unwrap())),
            }
        }
    }
    let mut out = Vec::new();
    walk(a.root(), &mut out);
    out
}

#[track_caller]
fn assert_nowhere(a: &Attempt, needle: &str) {
    for (path, bytes) in all_bytes(a) {
        assert!(!bytes.windows(needle.len()).any(|w| w == needle.as_bytes()), "{needle} in {path}: {}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn a_secret_is_a_private_file_in_memory_and_gone_afterwards_i8() {
    let a = with_secret(
        "f=\"$QD_SECRETS_DIR/koji-cert\"; stat -c '%a' \"$QD_SECRETS_DIR\" \"$f\"; stat -f -c %T \"$f\"; wc -c < \"$f\"\n\
         env | grep -c KOJI_CERT || true; echo \"dir=$QD_SECRETS_DIR\"",
        false,
    );
    assert_eq!(a.run_with(&[("koji-cert", VALUE.as_bytes())]).code, Some(0));
    let text = a.text();
    assert!(text.starts_with(&format!("700\n600\ntmpfs\n{}\n0\ndir=/", VALUE.len())), "{text}");
    let dir = text.lines().find_map(|l| l.strip_prefix("dir=")).unwrap().to_owned();
    assert!(!std::path::Path::new(&dir).exists());
    assert_nowhere(&a, VALUE);
}

#[test]
fn a_secret_is_hidden_however_it_is_written_i8() {
    let a = with_secret(
        "printf '%s\\n' \"$KOJI_CERT\" >&2\nprintf '%s' \"$KOJI_CERT\" | base64 -w0; echo\nprintf 'user:%s' \"$KOJI_CERT\" | base64 -w0; echo\n\
         set -x; : \"$KOJI_CERT\"; set +x\n\
         printf '%s' \"${KOJI_CERT%????????}\"; sleep 0.4; printf '%s\\n' \"${KOJI_CERT#\"${KOJI_CERT%????????}\"}\"\n\
         printf '%s' \"$KOJI_CERT\" | od -An -tx1 -v | tr -d ' \\n'; echo\n\
         printf '{\"type\":\"detail\",\"text\":\"%s\"}\\n' \"$KOJI_CERT\" >> \"$QD_REPORT\"\nprintf '%s\\n' \"$KOJI_CERT\" >> \"$QD_JOURNAL\"\necho end",
        true,
    );
    let s = a.run_with(&[("koji-cert", VALUE.as_bytes())]);
    assert_eq!(s.code, Some(0), "{}", a.text());
    let text = a.text();
    assert!(text.ends_with("end\n") && text.matches("***").count() >= 6, "{text}");
    for needle in [VALUE, "s3cr3t", "czNjcjN0", "733363723374", "spaces"] {
        assert_nowhere(&a, needle);
    }
    let report = std::fs::read_to_string(&a.spec.report).unwrap();
    assert_eq!(report, "{\"type\":\"detail\",\"text\":\"***\"}\n");
    assert_eq!(std::fs::read_to_string(&a.spec.journal).unwrap(), "***\n");
}

#[test]
fn a_multi_line_key_is_hidden_line_by_line_i8() {
    let key = "-----BEGIN KEY-----\nAAAABBBBCCCCDDDDEEEE\nFFFFGGGGHHHHIIIIJJJJ\n-----END KEY-----\n";
    let a = with_secret("sed 's/^/> /' \"$QD_SECRETS_DIR/koji-cert\"; tail -n 2 \"$QD_SECRETS_DIR/koji-cert\" | head -n 1", false);
    assert_eq!(a.run_with(&[("koji-cert", key.as_bytes())]).code, Some(0));
    assert_eq!(a.text(), "> ***\n> ***\n> ***\n> ***\n***\n");
}

#[test]
fn neither_argv_nor_environment_of_the_shim_tells_i8() {
    let a = with_secret("touch up; while [ ! -e go ]; do sleep 0.05; done", true);
    a.create();
    let shim = a.start_with(&[("koji-cert", VALUE.as_bytes())]);
    a.until_work("up");
    let pid = shim.id();
    for name in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{pid}/{name}")).unwrap();
        assert!(!bytes.windows(6).any(|w| w == b"s3cr3t"), "{name}");
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", a.started().unwrap().child.pid)).unwrap();
    assert!(limits.lines().any(|l| l.starts_with("Max core file size") && l.contains(" 1 ")), "{limits}");
    std::fs::write(a.work("go"), "").unwrap();
    assert!(finish(shim).success());
}

#[test]
fn a_short_secret_is_refused_and_a_missing_one_starts_nothing() {
    let a = with_secret("touch ran", false);
    let s = a.run_with(&[("koji-cert", b"12345\n")]);
    assert_eq!(s.ended_by, EndedBy::Setup);
    assert!(s.detail.contains("koji-cert") && !s.detail.contains("12345"), "{}", s.detail);
    assert!(!a.work("ran").exists());

    let a = with_secret("touch ran", false);
    a.create();
    assert_eq!(finish(a.start()).code(), Some(75));
    assert_eq!(a.decide(), Decision::NeverStarted);
    assert!(quarterdeck::runner::attempt::read_refusal(a.dir()).unwrap().contains("koji-cert"));
    assert!(!a.work("ran").exists());
}
