//! Tests of hiding: no form leaks, and cutting the stream into pieces changes nothing.

use super::*;
use proptest::prelude::*;

fn masker(values: &[&[u8]]) -> Masker {
    Masker::new(values.iter().map(|v| ("s", *v))).unwrap()
}

fn in_pieces(m: &Masker, input: &[u8], cuts: &[usize]) -> Vec<u8> {
    let (mut s, mut out, mut at) = (Stream::default(), Vec::new(), 0);
    let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (input.len() + 1)).collect();
    cuts.sort_unstable();
    for c in cuts.into_iter().chain([input.len()]) {
        s.push(m, &input[at..c], &mut out);
        at = c;
    }
    s.finish(&mut out);
    out
}

#[test]
fn every_form_is_hidden() {
    let value = "pa'ss \"w\\rd$/ü&x";
    let m = masker(&[value.as_bytes()]);
    let json = serde_json::to_string(value).unwrap();
    for form in [
        value.to_owned(),
        json.clone(),
        json.replace('/', "\\/"),
        "pa'ss \\\"w\\\\rd$/\\u00fc&x".to_owned(),
        // PHP; Go and Rails; PowerShell; Gson; .NET.
        "pa'ss \\\"w\\\\rd$\\/\\u00fc&x".to_owned(),
        "pa'ss \\\"w\\\\rd$/ü\\u0026x".to_owned(),
        "pa\\u0027ss \\\"w\\\\rd$/ü\\u0026x".to_owned(),
        "pa\\u0027ss \\u0022w\\\\rd$/\\u00FC\\u0026x".to_owned(),
        // XML-RPC, and an attribute of HTML.
        "pa'ss \"w\\rd$/ü&amp;x".to_owned(),
        "pa'ss &quot;w\\rd$/ü&amp;x".to_owned(),
        shell_words::quote(value).into_owned(),
        "pa%27ss%20%22w%5Crd%24%2F%C3%BC%26x".to_owned(),
        "pa%27ss+%22w%5crd%24%2f%c3%bc%26x".to_owned(),
        // Python's `quote`, which leaves the slash; `encodeURI`, which leaves what has a meaning in an address.
        "pa%27ss%20%22w%5Crd%24/%C3%BC%26x".to_owned(),
        "pa%27ss+%22w%5crd%24/%c3%bc%26x".to_owned(),
        "pa'ss%20%22w%5Crd$/%C3%BC&x".to_owned(),
        "pa\\'ss\\ \\\"w\\\\rd\\$/ü\\&x".to_owned(),
        value.bytes().map(|b| format!("{b:02x}")).collect(),
    ] {
        let line = format!("before {form} after");
        let out = String::from_utf8(m.bytes(line.as_bytes())).unwrap();
        assert!(out.starts_with("before ") && out.ends_with(" after") && out.contains("***") && out.len() < 22, "{form}: {out}");
    }
}

#[test]
fn base64_is_hidden_at_every_alignment_and_in_both_alphabets() {
    let value = b"\xfb\xff\xfe>?>?secret-key";
    let m = masker(&[value]);
    for before in ["", "u", "us", "use", "user:"] {
        for after in ["", "x", "xy", "xyz"] {
            let mut all = before.as_bytes().to_vec();
            all.extend(value);
            all.extend(after.bytes());
            for text in [STANDARD_NO_PAD.encode(&all), URL_SAFE_NO_PAD.encode(&all), base64::engine::general_purpose::STANDARD.encode(&all)]
            {
                let out = m.bytes(text.as_bytes());
                assert!(out.windows(3).any(|w| w == MARK), "{before}|{after}: {text}");
                // At most one character at either end of the value depends on its neighbours.
                assert!(out.len() <= 3 + (before.len() + after.len()) * 2 + 6, "{}", String::from_utf8_lossy(&out));
            }
        }
    }
}

#[test]
fn what_was_encoded_twice_is_hidden_too() {
    let m = masker(&[b"S3cret/valu\xc3\xa9-\"q\"&-0123"]);
    let login = STANDARD_NO_PAD.encode("robot:S3cret/valué-\"q\"&-0123");
    for before in ["", "x", "xy", "{\"auths\":{\"registry\":{\"auth\":\""] {
        let out = m.bytes(STANDARD_NO_PAD.encode(format!("{before}{login}\"}}")).as_bytes());
        assert!(out.windows(3).any(|w| w == MARK), "{before}: {}", String::from_utf8_lossy(&out));
        // What stands around it, and a few signs at its edges.
        assert!(out.len() <= (before.len() + 12) * 4 / 3 + 14, "{before}: {}", String::from_utf8_lossy(&out));
    }
    let inner = serde_json::json!({"password": "S3cret/valué-\"q\"&-0123"}).to_string();
    let outer = serde_json::json!({"body": inner}).to_string();
    assert_eq!(m.bytes(outer.as_bytes()), br#"{"body":"{\"password\":\"***\"}"}"#);
}

#[test]
fn lines_of_a_key_are_hidden_one_by_one_and_wrapped_base64_too() {
    let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\nshort\nVJTUt9Us8cKjMzEfYyjiWA4R4\n-----END-----\n";
    let m = masker(&[key.as_bytes()]);
    assert_eq!(m.bytes(b"x MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7 y"), b"x *** y");
    assert_eq!(m.bytes(b"a short word"), b"a short word");
    assert_eq!(m.bytes(key.replace('\n', "\r\n").as_bytes()), b"***\r\n***\r\nshort\r\n***\r\n***\r\n");
    let text = base64::engine::general_purpose::STANDARD.encode(key.trim());
    let wrapped = text.as_bytes().chunks(76).map(|c| String::from_utf8_lossy(c).into_owned()).collect::<Vec<_>>().join("\n");
    let out = String::from_utf8(m.bytes(wrapped.as_bytes())).unwrap();
    assert!(out.lines().all(|l| l.contains("***")) && out.len() < 40, "{out}");
}

#[test]
fn short_values_are_refused_by_name_and_blanks_do_not_count() {
    let e = Masker::new([("pin", b"12345\n".as_slice())]).unwrap_err();
    assert_eq!(e, MaskError::TooShort { name: "pin".into() });
    assert!(!e.to_string().contains("12345"));
    assert!(Masker::new([("pin", "äöüßäö".as_bytes())]).is_ok());
    assert!(!format!("{:?}", masker(&[b"hunter22"])).contains("hunter"));
}

#[test]
fn overlapping_secrets_are_hidden_together() {
    let m = masker(&[b"abcdef", b"defghi", b"cdefgh-long"]);
    assert_eq!(m.bytes(b"-abcdefghi-"), b"-***-");
    assert_eq!(m.bytes(b"abcdef defghi"), b"*** ***");
    assert_eq!(m.bytes(b"abcdefgh-long"), b"***");
    assert_eq!(m.bytes(b"abcdefgh-lon"), b"***gh-lon");
}

#[test]
fn a_pause_shows_a_prompt_but_never_completes_a_secret() {
    let m = masker(&[b"secret-value"]);
    let (mut s, mut out) = (Stream::default(), Vec::new());
    s.push(&m, b"yes", &mut out);
    assert_eq!(out, b"ye");
    assert!(s.waits());
    s.pause(&mut out);
    assert_eq!(out, b"yes");
    assert!(!s.waits());
    s.push(&m, b"ecret-value!", &mut out);
    assert_eq!(out, b"yes***!");
    s.push(&m, b"secret-v", &mut out);
    s.pause(&mut out);
    assert_eq!(out, b"yes***!", "so much of a secret is not shown");
    s.push(&m, b"ulgar", &mut out);
    s.finish(&mut out);
    assert_eq!(out, b"yes***!secret-vulgar");
}

/// Texts made of pieces of the secrets, so that near misses and overlaps are common.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"aabaab".to_vec()),
        Just(b"abaabaa".to_vec()),
        Just(b"token-1234".to_vec()),
        Just(b"token-".to_vec()),
        Just(b"1234567".to_vec()),
        Just(b"\n".to_vec()),
        proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(b't'), Just(b'1')], 0..6),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|p| p.concat())
}

proptest! {
    #[test]
    fn cutting_changes_nothing_and_nothing_leaks_i8(text in texts(), cuts in proptest::collection::vec(0usize..200, 0..12)) {
        let values: [&[u8]; 3] = [b"aabaab", b"token-1234", b"1234567"];
        let m = masker(&values);
        let whole = m.bytes(&text);
        prop_assert_eq!(&in_pieces(&m, &text, &cuts), &whole);
        prop_assert_eq!(&in_pieces(&m, &text, &(0..text.len()).collect::<Vec<_>>()), &whole);
        for v in values {
            prop_assert!(!whole.windows(v.len()).any(|w| w == v));
        }
        // The oracle: mark every byte of every occurrence, then replace each run.
        let mut marked = vec![false; text.len()];
        for f in &m.forms {
            for i in 0..text.len() {
                if text[i..].starts_with(f) {
                    marked[i..i + f.len()].fill(true);
                }
            }
        }
        let (mut expected, mut in_run) = (Vec::new(), false);
        for (b, hidden) in text.iter().zip(&marked) {
            if !*hidden { expected.push(*b); } else if !in_run { expected.extend(MARK); }
            in_run = *hidden;
        }
        prop_assert_eq!(&whole, &expected);
    }

    #[test]
    fn pauses_never_leak_a_secret_i8(text in texts(), cuts in proptest::collection::vec(0usize..200, 0..12)) {
        let values: [&[u8]; 3] = [b"aabaab", b"token-1234", b"1234567"];
        let m = masker(&values);
        let (mut s, mut out, mut at) = (Stream::default(), Vec::new(), 0);
        let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (text.len() + 1)).collect();
        cuts.sort_unstable();
        for c in cuts.into_iter().chain([text.len()]) {
            s.push(&m, &text[at..c], &mut out);
            s.pause(&mut out);
            at = c;
        }
        s.finish(&mut out);
        for v in values {
            prop_assert!(!out.windows(v.len()).any(|w| w == v), "{}", String::from_utf8_lossy(&out));
        }
    }
}

#[test]
fn a_large_value_is_hidden_whole_and_in_long_parts() {
    let mut noise: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 9) as u8 | 0x20).collect();
    noise[0] = b'A';
    noise[99_999] = b'A';
    for value in [vec![b'k'; 100_000], noise] {
        let m = masker(&[&value]);
        let text = [b"<".as_slice(), &value, b">"].concat();
        assert_eq!(m.bytes(&text), b"<***>");
        assert_eq!(in_pieces(&m, &text, &[1, 77, 5_000, 99_999]), b"<***>");
        let part = m.bytes(&value[1_000..2_000]);
        assert!(part.len() < 2 * PIECE + MARK.len(), "{}", part.len());
        assert!(m.longest <= 2 * PIECE);
    }
}
