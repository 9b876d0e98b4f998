//! Tests of the expression language.

use proptest::prelude::*;

use super::*;
use crate::domain::run::{RunRef, Verdict};

fn facts() -> Facts {
    let mut f = Facts { run: Some(RunRef::new("p", 7)), run_verdict: Some(Verdict::Failure), needs_ok: false, ..Facts::default() };
    f.stages.insert(
        "HW Info".into(),
        StageFacts { verdict: Some(Verdict::Success), outputs: [("n".to_owned(), "4 ${x} \"".to_owned())].into_iter().collect() },
    );
    f
}

#[test]
fn conditions_are_answered() {
    for (text, truth) in [
        ("always", true),
        ("success", false),
        ("failure", true),
        ("fixed", false),
        ("always and not failure", false),
        ("always and stages.\"HW Info\".verdict == 'success'", true),
        ("failure and run.verdict != \"failure\"", false),
        ("always and (stages.'HW Info'.outputs.n == \"5\" or true)", true),
        // No status word: the failed need decides.
        ("true", false),
        ("stages.\"HW Info\".verdict == \"success\"", false),
    ] {
        assert_eq!(decide(Some(text), &facts()), Ok(truth), "{text}");
    }
    assert_eq!(decide(None, &facts()), Ok(false));
    assert!(matches!(decide(Some("always and stages.later.verdict == \"x\""), &facts()), Err(EvalError::TooEarly { .. })));
    let e = decide(Some("always and stages.\"HW Info\".outputs.none == \"x\""), &facts()).unwrap_err();
    assert_eq!(e.to_string(), "`stages.\"HW Info\".outputs.none` is not known: stage `HW Info` gave no output `none`");
}

#[test]
fn texts_are_filled_once_and_never_again() {
    assert_eq!(
        fill("#${run.number} ${stages.\"HW Info\".outputs.n} $${run.number} $HOME", &facts()).unwrap(),
        "#7 4 ${x} \" ${run.number} $HOME"
    );
    struct P;
    impl Values for P {
        fn value(&self, path: &Path) -> Lookup {
            match path.root.as_str() {
                "params" => Lookup::Known(Value::Text("${run.number} $$x".into())),
                "repos" => Lookup::Known(Value::List(vec!["a".into(), "${b}".into()])),
                _ => Lookup::Later,
            }
        }
    }
    // A parameter that looks like a path stays the text that it is.
    let template::Reduced::Text(early) = Template::parse("${params.evil}/${run.number}").unwrap().reduce(&P).unwrap() else { panic!() };
    assert_eq!(fill(&early, &facts()).unwrap(), "${run.number} $$x/7");
    assert_eq!(
        Template::parse("${repos.a.upstream}").unwrap().reduce(&P).unwrap(),
        template::Reduced::List(vec!["a".into(), "$${b}".into()])
    );
    assert!(Template::parse("x ${repos.a.upstream}").unwrap().reduce(&P).is_err());
    assert!(fill("${params.x}", &facts()).is_err());
}

#[test]
fn slips_are_named_at_their_place() {
    for (text, at, message) in [
        ("a.b = c", 4, "a single `=` compares nothing"),
        ("a.b && c", 4, "`&` is no operator here"),
        ("!a.b", 0, "`!` is no operator here"),
        ("always()", 6, "there are no function calls"),
        ("params.", 7, "a name is missing behind the dot"),
        ("", 0, "the expression ends where a value is missing"),
        ("a == 010", 5, "`010` is not a whole number"),
        ("\"x", 0, "the quoted text does not end"),
        ("(a.b", 4, "a `)` is missing"),
        ("${params.x}", 0, "`${…}` is not needed inside an expression"),
        ("a.b and", 7, "the expression ends where a value is missing"),
        ("a.b c", 4, "`c` stands behind the end of the expression"),
    ] {
        let bad = parse(text).unwrap_err();
        assert_eq!((bad.span.start, bad.message.as_str()), (at, message), "{text}");
    }
    assert!(parse(&"(".repeat(500)).is_err());
    assert!(parse(&"not ".repeat(400)).is_err());
    assert!(parse(&"a".repeat(5_000)).is_err());
    assert!(parse(&format!("a{}", "[a".repeat(400))).is_err());
}

#[test]
fn known_parts_fold_away_but_a_status_word_stays() {
    struct P;
    impl Values for P {
        fn value(&self, path: &Path) -> Lookup {
            if path.root == "params" { Lookup::Known(Value::Bool(true)) } else { Lookup::Later }
        }
    }
    for (text, want) in [
        ("not params.x", "false"),
        ("params.x and stages.a.verdict == \"success\"", "stages.a.verdict == \"success\""),
        ("always and params.x", "always"),
        ("params.x or always", "true or always"),
        ("params.x or stages.a.verdict == \"x\"", "true"),
        ("params.x == true", "true"),
    ] {
        assert_eq!(reduce(&parse(text).unwrap(), &P).unwrap().to_string(), want, "{text}");
    }
}

fn arb_path() -> impl Strategy<Value = Path> {
    let name = prop_oneof!["[a-z0-9][a-z0-9_-]{0,6}", "[ -~]{1,8}"];
    let leaf =
        ("[a-z][a-z0-9_]{0,5}", prop::collection::vec(name.prop_map(Segment::Name), 1..3)).prop_map(|(root, rest)| Path { root, rest });
    leaf.prop_recursive(2, 4, 2, |inner| {
        ("[a-z]{1,5}", inner).prop_map(|(root, p)| Path { root, rest: vec![Segment::Index(p), Segment::Name("tree".into())] })
    })
}

fn arb_expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(|b| Kind::Value(Value::Bool(b))),
        any::<i64>().prop_map(|n| Kind::Value(Value::Int(n))),
        "\\PC{0,8}".prop_map(|t| Kind::Value(Value::Text(t))),
        arb_path().prop_map(Kind::Path),
        prop::sample::select(Word::ALL.to_vec()).prop_map(|(_, w)| Kind::Word(w)),
    ]
    .prop_map(|kind| Expr::new(kind, 0..0));
    leaf.prop_recursive(4, 24, 2, |inner| {
        let b = |e: Expr| Box::new(e);
        prop_oneof![
            inner.clone().prop_map(move |e| Kind::Not(b(e))),
            (inner.clone(), inner.clone()).prop_map(move |(x, y)| Kind::And(b(x), b(y))),
            (inner.clone(), inner.clone()).prop_map(move |(x, y)| Kind::Or(b(x), b(y))),
            (inner.clone(), inner, any::<bool>()).prop_map(move |(x, y, negated)| Kind::Compare { left: b(x), right: b(y), negated }),
        ]
        .prop_map(|kind| Expr::new(kind, 0..0))
    })
}

proptest! {
    #[test]
    fn a_printed_expression_reads_back_as_itself(e in arb_expr()) {
        let text = e.to_string();
        prop_assume!(text.len() <= MAX_BYTES);
        prop_assert_eq!(parse(&text).unwrap(), e, "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}", more in "[a-z\\[\\].$\\{\\}()\"'\\\\ =!]{0,60}") {
        for t in [&text, &more] {
            if let Ok(e) = parse(t) {
                let _ = eval(&e, &facts());
            }
            let _ = fill(t, &facts());
        }
    }

    #[test]
    fn a_value_put_in_early_is_never_read_as_a_path(a in "[$\\{\\}x]{0,5}", b in "[$\\{\\}x]{0,5}", c in "[$\\{\\}x]{0,5}") {
        struct P(String, String);
        impl Values for P {
            fn value(&self, path: &Path) -> Lookup {
                match path.root.as_str() {
                    "a" => Lookup::Known(Value::Text(self.0.clone())),
                    "b" => Lookup::Known(Value::Text(self.1.clone())),
                    _ => Lookup::Later,
                }
            }
        }
        let text = format!("${{a.x}}${{b.x}}${{run.number}}{}", template::escape(&c));
        let template::Reduced::Text(early) = Template::parse(&text).unwrap().reduce(&P(a.clone(), b.clone())).unwrap() else { panic!() };
        prop_assert_eq!(fill(&early, &facts()).unwrap(), format!("{a}{b}7{c}"), "{}", early);
    }

    #[test]
    fn any_text_survives_escaping(text in "[$\\{\\}a.]{0,20}|\\PC{0,20}") {
        let escaped = template::escape(&text);
        prop_assert_eq!(fill(&escaped, &facts()).unwrap(), text);
    }
}
