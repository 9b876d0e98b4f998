//! Tests of the readers of signatures, on what the tools say. Through the tools themselves: `tests/it/signatures.rs`.

use super::*;

const LIMIT: Duration = Duration::from_secs(120);

fn answer(out: &str, err: &str, success: bool) -> Answer {
    Answer { success, out: out.into(), err: err.into() }
}

#[test]
fn what_rpmkeys_says_of_each_package_is_read() {
    let all: Vec<PathBuf> = ["/a.rpm", "/gone.rpm", "/u.rpm", "/k.rpm", "/d.rpm", "/g.rpm"].map(PathBuf::from).to_vec();
    let out = "/a.rpm:\n    Header V4 RSA/SHA512 Signature, key ID 403BEEC7: OK\n    Header SHA256 digest: OK\n    MD5 digest: OK\n\
        /u.rpm:\n    Header SHA256 digest: OK\n    Payload SHA256 digest: OK\n\
        /k.rpm:\n    Header V4 RSA/SHA512 Signature, key ID 403beec7: NOKEY\n    Header SHA256 digest: OK\n\
        /d.rpm:\n    Header V4 RSA/SHA512 Signature, key ID 403beec7: OK\n    RSA signature: NOTFOUND\n    MD5 digest: BAD (Expected a: b != c)\n/g.rpm:\n";
    let got = rpmkeys::verdicts(&all, &answer(out, "error: /gone.rpm: open failed: No such file or directory\n", false)).unwrap();
    assert_eq!(got[0], Verdict::Good("403beec7".into()));
    assert!(matches!(&got[1], Verdict::Unreadable(why) if why.contains("open failed")), "{got:?}");
    assert_eq!(got[2], Verdict::Unsigned);
    assert_eq!(got[3], Verdict::UnknownKey("403beec7".into()));
    assert!(matches!(&got[4], Verdict::Bad(why) if why.contains("MD5")), "{got:?}");
    assert!(matches!(&got[5], Verdict::Unreadable(_)));
    assert!(rpmkeys::verdicts(&all[..1], &answer("something else\n", "", true)).is_err());
    assert_eq!(got.iter().filter(|v| v.is_good()).count(), 1);
}

#[test]
fn nothing_that_rpmkeys_says_makes_an_unsigned_package_good() {
    let one = [PathBuf::from("/a.rpm")];
    for block in ["", "    x: WEIRD\n", "    Signature: OK\n", "    no colon\n", "    Header Signature, key ID : NOTFOUND\n"] {
        let got = rpmkeys::verdicts(&one, &answer(&format!("/a.rpm:\n{block}"), "", true)).unwrap();
        assert!(!got[0].is_good(), "{block}: {got:?}");
    }
    assert!(!rpmkeys::verdicts(&one, &answer("", "", true)).unwrap()[0].is_good());
}

#[test]
fn what_gpgv_says_is_read_by_its_status() {
    let said = |out: &str, ok| gpgv::verdict(&answer(out, "", ok));
    let good = "[GNUPG:] GOODSIG 70F5 Test\n[GNUPG:] VALIDSIG FA1F 2026\n";
    assert_eq!(said(good, true), Ok(Verdict::Good("fa1f".into())));
    assert!(said(good, false).is_err(), "what failed is not good");
    assert!(matches!(said("[GNUPG:] BADSIG 70F5 Test\n", false), Ok(Verdict::Bad(_))));
    assert!(matches!(said(&format!("{good}[GNUPG:] EXPKEYSIG 70F5 T\n"), true), Ok(Verdict::Bad(_))));
    assert_eq!(said("[GNUPG:] ERRSIG 70F5 1\n[GNUPG:] NO_PUBKEY 70F5\n", false), Ok(Verdict::UnknownKey("70f5".into())));
    assert!(matches!(said("[GNUPG:] NODATA 1\n", false), Ok(Verdict::Unreadable(_))));
    assert!(said("Good signature from \"Test\"\n", true).is_err(), "words for people are no status");
}

#[test]
fn the_tools_are_called_with_nothing_of_ours() {
    let ask = rpmkeys::check(Path::new("/d"), &[PathBuf::from("/x.rpm")]);
    let command = ask.command();
    let env: Vec<_> = command.get_envs().filter_map(|(k, v)| Some(format!("{}={}", k.to_str()?, v?.to_str()?))).collect();
    assert!(env.contains(&"HOME=/d".to_owned()) && env.contains(&"LC_ALL=C".to_owned()) && env.len() == 5, "{env:?}");
    assert_eq!(ask.args[..2], ["--dbpath", "/d/rpmdb"].map(std::ffi::OsString::from));
    assert_eq!(ask.args.last().unwrap(), "/x.rpm");
}

#[test]
fn keys_are_read_out_of_their_armour_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let good = write("good", &format!("x\n{BEGIN}\nVersion: 1\n\nmQEN\n=abcd\n{END}\n{BEGIN}\n\nmQEN\n{END}\n"));
    assert_eq!(keyring(&[good]).unwrap(), [0x99, 1, 0x0d, 0x99, 1, 0x0d]);
    for (name, text) in [
        ("none", "hello"),
        ("cut", BEGIN),
        ("base", &format!("{BEGIN}\n\n!!\n{END}")),
        ("private", "-----BEGIN PGP PRIVATE KEY BLOCK-----"),
    ] {
        assert!(matches!(keyring(&[write(name, text)]), Err(SignatureError::Key { .. })), "{name}");
    }
    assert!(matches!(keyring(&[dir.path().join("gone")]), Err(SignatureError::Key { .. })));
    assert_eq!(keyring(&[]), Err(SignatureError::NoKeys));
}

#[tokio::test]
async fn a_tool_that_is_not_there_is_told_so_and_nothing_else() {
    let ask = Ask { tool: "quarterdeck-no-such-tool", args: Vec::new(), home: "/".into() };
    let error = ask.run(LIMIT).await.unwrap_err();
    assert!(error.is_not_available() && error.to_string().contains("not installed"), "{error}");
}
