//! The command line that does the same as a key: made from the registry's own usage, so that the two cannot differ.

use indexmap::IndexMap;

use crate::action::Action;

/// What is to be written out.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    pub action: &'a Action,
    pub target: &'a str,
    pub with: &'a IndexMap<String, String>,
    pub reason: &'a str,
    /// What must be confirmed, where anything must be.
    pub confirm: Option<&'a str>,
}

/// The command, quoted for a shell.
pub fn write(line: Line<'_>) -> String {
    let usage = line.action.usage;
    let end = [" [", " --with", " --reason", " --confirm"].iter().filter_map(|s| usage.find(s)).min().unwrap_or(usage.len());
    let must = usage.get(..end).unwrap_or(usage);
    let mut out: Vec<String> = must
        .split(' ')
        .map(|word| match word {
            "RUN" | "PIPELINE" | "NAME" | "PROMOTION" | "OS" | "NUMBER" | "REPO" => quoted(line.target),
            other => other.to_owned(),
        })
        .collect();
    let flag = if must.starts_with("quarterdeck do ") { "--with" } else { "-p" };
    for (name, value) in line.with {
        out.push(format!("{flag} {}", quoted(&format!("{name}={value}"))));
    }
    for name in ["--reason", "--comment"] {
        if !line.reason.is_empty() && usage.contains(&format!("{name} T")) {
            out.push(format!("{name} {}", quoted(line.reason)));
        }
    }
    if let Some(word) = line.confirm.filter(|_| usage.contains("--confirm ")) {
        out.push(format!("--confirm {}", quoted(word)));
    }
    out.join(" ")
}

/// `#` begins a comment only at the start of a word, so names of runs stand as they are.
fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"#-_./:=@+,".contains(&b);
    if !text.is_empty() && !text.starts_with('#') && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action;

    fn of(id: &str, target: &str, with: &[(&str, &str)], reason: &str, confirm: bool) -> String {
        let with = with.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        write(Line { action: action::find(id).unwrap(), target, with: &with, reason, confirm: confirm.then_some(target) })
    }

    #[test]
    fn lines_are_those_of_the_usage() {
        assert_eq!(
            of("cancel", "nightly#7", &[], "it hangs", true),
            "quarterdeck cancel nightly#7 --reason 'it hangs' --confirm nightly#7"
        );
        assert_eq!(of("run", "nightly", &[("os", "9 s")], "", false), "quarterdeck run nightly -p 'os=9 s'");
        assert_eq!(of("deny", "n#1", &[("sha", "ab")], "no", false), "quarterdeck do deny n#1 --with sha=ab --reason no");
        assert_eq!(of("approve", "n#1", &[("sha", "ab")], "ok", false), "quarterdeck approve n#1 -p sha=ab --comment ok");
        assert_eq!(of("drain", "", &[], "it's late", false), "quarterdeck engine drain --reason 'it'\\''s late'");
        assert_eq!(of("undrain", "", &[], "x", false), "quarterdeck engine drain --off");
        assert_eq!(
            of("promote-rollback", "PR-2026Q2-el9", &[], "it hangs", true),
            "quarterdeck do promote-rollback PR-2026Q2-el9 --reason 'it hangs' --confirm PR-2026Q2-el9"
        );
        assert_eq!(
            of("promote-approve", "PR-2026Q2-el9", &[("side", "ops")], "looked", false),
            "quarterdeck approve PR-2026Q2-el9 -p side=ops --comment looked"
        );
        assert_eq!(
            of("hold-add", "el9", &[("package", "bash"), ("until", "7d")], "INC-1", true),
            "quarterdeck do hold-add el9 --with package=bash --with until=7d --reason INC-1 --confirm el9"
        );
    }

    #[test]
    fn every_action_has_one() {
        for a in action::ALL {
            let line = write(Line { action: a, target: "t#1", with: &IndexMap::new(), reason: "r", confirm: Some("t#1") });
            assert!(line.starts_with("quarterdeck ") && !line.contains(['[', '\u{2026}']), "{line}");
        }
    }
}
