//! What is written is read back; what is hostile is refused in bounded memory; no error repeats what it read.

use proptest::prelude::*;

use super::*;

fn nothing(_: &str) -> bool {
    false
}

fn parse(text: &[u8]) -> Result<Document, RpcError> {
    read(text, Limits::default(), nothing, None)
}

fn answer(inner: &str) -> Result<Value, RpcError> {
    match parse(
        format!("<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n{inner}\n</param></params></methodResponse>").as_bytes(),
    )? {
        Document::Answer(Ok(v)) => Ok(v),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_type_is_read_and_a_bare_value_is_a_text() {
    for (text, want) in [
        ("<value><string>a &amp; b&#33;</string></value>", Value::Text("a & b!".into())),
        ("<value>bare</value>", Value::Text("bare".into())),
        ("<value/>", Value::Text(String::new())),
        ("<value><string/></value>", Value::Text(String::new())),
        ("<value> <int> -7 </int> </value>", Value::Int(-7)),
        ("<value><i8>9007199254740993</i8></value>", Value::Int(9_007_199_254_740_993)),
        ("<value><double>1795319243.6304257</double></value>", Value::Double(1_795_319_243.630_425_7)),
        ("<value><boolean>1</boolean></value>", Value::Bool(true)),
        ("<value><nil/></value>", Value::Nil),
        ("<value><base64>aGk=\n</base64></value>", Value::Bytes(b"hi".to_vec())),
        ("<value><array><data>\n</data></array></value>", Value::Array(vec![])),
        ("<value><struct>\n</struct></value>", Value::Struct(vec![])),
        ("<value><string><![CDATA[<x>]]></string></value>", Value::Text("<x>".into())),
    ] {
        assert!(answer(text).unwrap() == want, "{text}");
    }
}

#[test]
fn what_is_no_answer_is_refused_and_its_text_is_not_repeated() {
    for text in [
        "hunter2hunter2",
        "<html><body>hunter2</body></html>",
        "<!DOCTYPE x [<!ENTITY a 'hunter2'>]><methodResponse/>",
        "<methodResponse><params><param><value><string>&hunter2;</string></value></param></params></methodResponse>",
        "<methodResponse><params><param><value><hunter2>1</hunter2></value></param></params></methodResponse>",
        "<methodResponse><params><param><value><int>hunter2</int></value></param></params></methodResponse>",
        "<methodResponse><params><param><value>hunter2<int>1</int></value></param></params></methodResponse>",
        "<methodResponse><params><param><value><string>hunter2",
        "<methodResponse><params><param><value><string>x</hunter2></value></param></params></methodResponse>",
        "<methodResponse><fault><value><string>hunter2</string></value></fault></methodResponse>",
        "<methodResponse><params></params></methodResponse>",
        "<methodResponse><params><param><value>1</value></param></params></methodResponse><hunter2/>",
        "",
    ] {
        let e = parse(text.as_bytes()).unwrap_err();
        assert!(!format!("{e} {e:?}").contains("hunter2"), "{text}: {e:?}");
    }
    let fault = "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>1</int></value></member>\
        <member><name>faultString</name><value><string>invalid token: hunter2</string></value></member></struct></value></fault></methodResponse>";
    let Document::Answer(Err(fault)) = parse(fault.as_bytes()).unwrap() else { panic!("no fault") };
    assert!(fault.text.contains("hunter2") && !format!("{fault:?}").contains("hunter2"));
}

#[test]
fn limits_hold_for_bytes_values_and_depth() {
    let many = |n: usize| format!("<value><array><data>{}</data></array></value>", "<value/>".repeat(n));
    let wrapped = |inner: &str| format!("<methodResponse><params><param>{inner}</param></params></methodResponse>");
    let small = Limits { bytes: 4_000, values: 100 };
    let e = read(wrapped(&many(200)).as_bytes(), small, nothing, None).unwrap_err();
    assert_eq!(e, RpcError::Limit { limit: "100 values".into() });
    assert!(matches!(read(wrapped(&many(90)).as_bytes(), small, nothing, None), Ok(Document::Answer(Ok(_)))));
    let long = wrapped(&format!("<value>{}</value><value/>", "x".repeat(5_000)));
    assert_eq!(read(long.as_bytes(), small, nothing, None).unwrap_err(), RpcError::Limit { limit: "4000 bytes".into() });
    let deep = |n: usize| wrapped(&format!("{}{}", "<value><array><data>".repeat(n), "</data></array></value>".repeat(n)));
    assert!(parse(deep(8).as_bytes()).is_ok());
    assert!(matches!(parse(deep(10_000).as_bytes()), Err(RpcError::Limit { .. })));
}

#[test]
fn rows_are_handed_on_one_by_one_and_unwanted_members_are_never_kept() {
    let row = |n: u32| {
        format!(
            "<value><struct><member><name>name</name><value><string>h{n}</string></value></member>\
             <member><name>power_pass</name><value><struct><member><name>x</name><value>hunter2</value></member></struct></value></member>\
             </struct></value>"
        )
    };
    let text = format!(
        "<methodResponse><params><param><value><array><data>{}</data></array></value></param></params></methodResponse>",
        (0..500).map(row).collect::<String>()
    );
    let mut seen = Vec::new();
    let mut take = |v: Value| {
        seen.push(v);
        Ok(())
    };
    // Fewer values than all rows have together, more than one has.
    let limits = Limits { bytes: 1 << 20, values: 10 };
    let got = read(text.as_bytes(), limits, |name| name == "power_pass", Some(&mut take)).unwrap();
    assert!(got == Document::Answer(Ok(Value::Array(vec![]))));
    assert_eq!(seen.len(), 500);
    assert!(seen.iter().all(|v| v.members().unwrap().len() == 1));
    assert_eq!(seen[499].get("name").and_then(Value::text), Some("h499"));
    let mut stop = |_: Value| Err("enough".to_owned());
    assert_eq!(read(text.as_bytes(), limits, nothing, Some(&mut stop)), Err(RpcError::Stopped("enough".into())));
}

#[test]
fn what_xml_cannot_carry_is_not_sent_and_not_repeated() {
    for bad in ["hunter2\u{1}", "a\0b"] {
        let e = call("login", &["u".into(), bad.into()]).unwrap_err();
        assert_eq!(e.to_string(), "argument 2 of login holds a character that XML cannot carry");
    }
    assert!(call("m", &[Value::Double(f64::NAN)]).is_err());
}

fn values() -> impl Strategy<Value = Value> {
    // Characters that XML can carry.
    let text = "[\\t\\n\\r -~äß€<>&\"']{0,20}";
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter("finite", |d| d.is_finite()).prop_map(Value::Double),
        text.prop_map(Value::Text),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
            prop::collection::vec((text, inner), 0..8).prop_map(Value::Struct),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(method in "[a-z_.]{1,20}", params in prop::collection::vec(values(), 0..4)) {
        let bytes = call(&method, &params).unwrap();
        let want = Document::Call { method, params };
        prop_assert!(parse(&bytes).unwrap() == want);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
        let mut text = b"<methodResponse><params><param><value>".to_vec();
        text.extend_from_slice(&bytes);
        let _ = parse(&text);
    }

    #[test]
    fn any_mixture_of_tags_is_read_or_refused(parts in prop::collection::vec(0usize..18, 0..60)) {
        const PARTS: [&str; 18] = ["<value>", "</value>", "<array><data>", "</data></array>", "<struct>", "</struct>", "<member><name>", "</name>",
            "</member>", "<int>", "</int>", "1", "<nil/>", "&amp;", "<![CDATA[", "]]>", "<!--", "-->"];
        let text: String = parts.iter().map(|i| PARTS[*i]).collect();
        let _ = parse(format!("<methodResponse><params><param>{text}</param></params></methodResponse>").as_bytes());
    }

    #[test]
    fn a_document_that_is_cut_anywhere_is_no_document(params in prop::collection::vec(values(), 1..3), cut in any::<prop::sample::Index>()) {
        let bytes = call("m", &params).unwrap();
        prop_assert!(parse(&bytes[..cut.index(bytes.len())]).is_err());
    }
}
