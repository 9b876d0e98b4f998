//! The chain: order, what lets the next source speak, and the cache that stands in for a silent one.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use super::*;

#[derive(Default)]
struct Kept(Mutex<HashMap<String, Vec<u8>>>);

impl Cache for Kept {
    fn keep(&self, name: &str, value: &[u8], _: Duration) -> bool {
        self.0.lock().unwrap().insert(name.into(), value.to_vec());
        true
    }

    fn get(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.0.lock().unwrap().get(name).map(|v| Zeroizing::new(v.clone()))
    }

    fn forget(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }
}

fn means(env: &[(&str, &str)]) -> Means {
    let env: HashMap<String, OsString> = env.iter().map(|(k, v)| ((*k).to_owned(), OsString::from(v))).collect();
    Means {
        uid: rustix::process::getuid().as_raw(),
        env: Arc::new(move |name| env.get(name).cloned()),
        helper: Helper { exe: "/nonexistent/quarterdeck".into(), limit: Duration::from_secs(5) },
        cache: None,
    }
}

fn secrets(list: &[(&str, Vec<SecretSource>)], cache: Option<Duration>, means: Means) -> SiteSecrets {
    SiteSecrets::new(list.iter().map(|(n, s)| ((*n).to_owned(), Secret { sources: s.clone(), cache })).collect(), means)
}

fn env(name: &str) -> SecretSource {
    SecretSource::Env(name.into())
}

fn sh(script: &str) -> SecretSource {
    SecretSource::Cmd(vec!["sh".into(), "-c".into(), script.into()])
}

#[test]
fn each_name_has_its_sources_and_a_stranger_is_told_what_to_add() {
    let list = [("here", vec![env("HERE")]), ("none", vec![env("NONE")]), ("pass", vec![sh("echo from-a-command")])];
    let s = secrets(&list, None, means(&[("HERE", "a-good-value")]));
    assert_eq!(s.resolve("here").unwrap().as_slice(), b"a-good-value");
    assert!(s.resolve("none").unwrap_err().to_string().contains("variable NONE is not set"));
    assert_eq!(s.resolve("pass").unwrap().as_slice(), b"from-a-command");
    assert_eq!(s.origin("pass").as_deref(), Some("cmd:sh"));
    assert!(s.resolve("pas").unwrap_err().to_string().contains("did you mean `pass`?"));
    assert!(s.resolve("banana").unwrap_err().to_string().contains("under [secrets]"));
    assert_eq!(s.names(), ["here", "none", "pass"]);
}

#[test]
fn the_first_source_with_a_value_wins_and_only_absence_lets_the_next_one_speak() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "from-systemd\n").unwrap();
    std::fs::set_permissions(dir.path().join("token"), std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
    let loaded = ("CREDENTIALS_DIRECTORY", dir.path().to_str().unwrap());
    let chain = || vec![env("TOKEN"), SecretSource::Credential("token".into()), sh("echo from-a-command")];
    let value = |vars: &[(&str, &str)]| secrets(&[("t", chain())], None, means(vars)).resolve("t").map(|v| v.to_vec());
    assert_eq!(value(&[("TOKEN", "from-the-environment"), loaded]).unwrap(), b"from-the-environment");
    assert_eq!(value(&[loaded]).unwrap(), b"from-systemd");
    assert_eq!(value(&[]).unwrap(), b"from-a-command");
    // A value that must not be used is no reason to use another one.
    let e = value(&[("TOKEN", "tiny"), loaded]).unwrap_err();
    assert!(e.to_string().contains("fewer than 6") && e.kind() == Kind::Unfit, "{e}");
    // Nothing anywhere: every place is named.
    let s = secrets(&[("t", vec![env("A"), env("B"), SecretSource::Credential("c".into())])], None, means(&[]));
    let e = s.resolve("t").unwrap_err().to_string();
    assert!(e.contains("variable A") && e.contains("variable B") && e.contains("$CREDENTIALS_DIRECTORY"), "{e}");
    // A silent source stops the chain too.
    let s = secrets(&[("t", vec![sh("exit 3"), env("TOKEN")])], None, means(&[("TOKEN", "from-the-environment")]));
    assert_eq!(s.resolve("t").unwrap_err().kind(), Kind::Silent);
    assert_eq!(s.origin("t").as_deref(), Some("cmd:sh, then env:TOKEN"));
}

#[test]
fn the_cache_stands_in_for_a_silent_source_only_and_rotation_is_seen_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (value, state) = (dir.path().join("value"), dir.path().join("state"));
    let script = format!("case $(cat {s}) in up) cat {v};; down) exit 7;; esac", s = state.display(), v = value.display());
    let put = |v: &str, s: &str| {
        std::fs::write(&value, v).unwrap();
        std::fs::write(&state, s).unwrap();
    };
    let kept = Arc::new(Kept::default());
    let with = |cache| Means { cache: Some(kept.clone() as Arc<dyn Cache>), ..means(cache) };
    let s = secrets(&[("t", vec![sh(&script)])], Some(Duration::from_secs(60)), with(&[]));
    put("first-value", "down");
    assert!(s.resolve("t").is_err(), "nothing is kept yet");
    put("first-value", "up");
    assert_eq!(s.resolve("t").unwrap().as_slice(), b"first-value");
    put("second-value", "up");
    assert_eq!(s.resolve("t").unwrap().as_slice(), b"second-value", "the cache never hides a source that answers");
    put("third-value", "down");
    assert_eq!(s.resolve("t").unwrap().as_slice(), b"second-value");
    // A name without `cache` keeps nothing.
    let s = secrets(&[("u", vec![sh(&script)])], None, with(&[]));
    put("first-value", "up");
    s.resolve("u").unwrap();
    put("first-value", "down");
    assert!(s.resolve("u").is_err());
    // What is absent everywhere is forgotten.
    let s = secrets(&[("t", vec![env("T")])], Some(Duration::from_secs(60)), with(&[]));
    assert!(s.resolve("t").is_err() && kept.get("t").is_none());
}

#[test]
fn a_service_that_cannot_be_asked_is_silent_and_by_hand_says_how_each_source_is_set() {
    let s = secrets(&[("t", vec![SecretSource::Keyring("team/t".into())])], None, means(&[]));
    assert_eq!(s.resolve("t").unwrap_err().kind(), Kind::Silent);
    assert_eq!(s.keyring_entry("t"), Some("team/t"));
    let all = vec![env("T"), SecretSource::File("/etc/my file".into()), SecretSource::Credential("t".into()), sh("x")];
    let s = secrets(&[("t", all)], None, means(&[]));
    let said = s.by_hand("t").join("\n");
    assert!(
        said.contains("variable T") && said.contains("cat >'/etc/my file'") && said.contains("systemd-creds encrypt --name=t"),
        "{said}"
    );
    assert_eq!(s.keyring_entry("t"), None);
}
