//! Files that nobody writes by hand: at the limits, each with one thing very often.

use super::*;

/// Files at the size limit, each with one thing very often: they are answered, not worked on for ever.
#[test]
fn large_hostile_files_are_answered() {
    let head = "format: 1\nname: x\n";
    let n = 400_000;
    let many = |piece: &str| piece.repeat((n - 200) / piece.len());
    let one = |s: String| format!("{head}stages:\n  - name: a\n    run: |\n{s}\n");
    for (what, text) in [
        ("keys", format!("{head}{}", (0..30_000).map(|i| format!("k{i}: 1\n")).collect::<String>())),
        ("a line of flow", format!("{head}x: [{}]\n", many("a, "))),
        ("brackets", format!("{head}x: {}", many("["))),
        ("dashes", format!("{head}x:\n{}", many("- "))),
        ("stages", format!("{head}stages:\n{}", (0..20_000).map(|i| format!("  - {{name: s{i}, run: echo}}\n")).collect::<String>())),
        (
            "scripts",
            format!("{head}stages:\n{}", (0..9_000).map(|i| format!("  - name: s{i}\n    run: |\n      echo\n")).collect::<String>()),
        ),
        (
            "needs",
            format!(
                "{head}stages:\n{}",
                (0..500)
                    .map(|i| format!("  - {{name: s{i}, needs: [s{}, s{}], run: echo}}\n", (i + 1) % 500, (i * 7) % 500))
                    .collect::<String>()
            ),
        ),
        (
            "values",
            format!(
                "{head}stages:\n  - name: a\n    matrix: {{v: [{}]}}\n    run: echo\n",
                (0..9_900).map(|i| format!("v{i}, ")).collect::<String>()
            ),
        ),
        ("interpolations", one(format!("      echo {}", many("${a.b} ")))),
        ("interpolations in a comment", one(format!("      # {}", many("${a.b} ")))),
        ("deletions", one(many("      rm -rf $x/y\n"))),
        ("anchors", format!("{head}x: [{}]\n", many("&a b, "))),
        ("tabs", format!("{head}x: [\n{}]\n", many("\t1,\n"))),
        ("blank lines", format!("{head}{}", many("\n"))),
        ("quotes", format!("{head}x: \"{}", many("\\"))),
        ("an expression", format!("{head}stages:\n  - name: a\n    when: {}\n    run: echo\n", many("not "))),
        ("paths", format!("{head}run_name: '{}'\n", many("${params.x}"))),
    ] {
        assert!(text.len() <= reader::MAX_BYTES, "{what}");
        let (file, found) = load(&text, "p.yml", &catalog());
        assert_eq!(file.is_none(), found.iter().any(Diagnostic::is_error), "{what}");
        assert!(found.len() <= diagnostic::MOST + 1, "{what}");
        for d in found.iter().take(2) {
            assert!(!render(d, &text).is_empty(), "{what}");
        }
    }
}

#[test]
fn a_matrix_value_is_measured_in_characters_as_its_message_says() {
    let told = |value: &str| {
        let text = format!("format: 1\nname: p\nstages:\n  - name: a\n    matrix: {{v: [\"{value}\", x]}}\n    run: echo\n");
        load(&text, "p.yml", &catalog()).1.iter().any(|d| d.code == "matrix.value")
    };
    assert!(!told(&"漢".repeat(200)) && told(&"漢".repeat(201)) && told(&"x".repeat(201)));
}
