//! `[secrets]` of the site file: where each value comes from, in which order, and how long an answer may stand in for a silent source.

use std::path::PathBuf;
use std::time::Duration;

use super::values::{absolute, argv};
use crate::base::duration::Span;
use crate::base::suggest;
use crate::config::read::{At, Entry, Notes, Table};

/// Where a secret comes from; never its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    Env(String),
    File(PathBuf),
    /// argv; no shell.
    Cmd(Vec<String>),
    /// A file of this name in `$CREDENTIALS_DIRECTORY`, where systemd puts what a unit loads.
    Credential(String),
    /// An entry of this name in the Secret Service of the user's session.
    Keyring(String),
}

/// One name of `[secrets]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Asked in this order; the first that has a value gives it. Never empty.
    pub sources: Vec<SecretSource>,
    /// For so long the kernel keeps the last value for a source that does not answer; none = it keeps nothing.
    pub cache: Option<Duration>,
}

/// What may stand before the colon.
const FORMS: [&str; 5] = ["env", "file", "cmd", "credential", "keyring"];
pub(super) const HELP: &str =
    "write \"env:VARIABLE\", \"file:/absolute/path\", \"cmd:program argument …\", \"credential:NAME\", \"keyring:NAME\" or \"auto\"";
const NEVER: &str = "a secret itself never goes into the site file";
/// The kernel counts whole seconds.
const SHORTEST: Duration = Duration::from_secs(1);
/// A value that is older says too little about the one of now.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A text, a list of texts that are asked in order, or a table with `from` and `cache`.
pub(super) fn read<'a, 'i>(root: &Table<'a, 'i, '_>, entry: &Entry<'a, 'i>, notes: &Notes<'_>) -> Option<Secret> {
    let name = entry.name.value.as_str();
    let value = entry.value.get_ref();
    if value.as_str().is_some() {
        let text = entry.text(notes, "")?;
        return Some(Secret { sources: sources(name, vec![text], notes)?, cache: None });
    }
    if value.as_array().is_some() {
        return Some(Secret { sources: listed(name, entry.texts(notes)?, &entry.name, notes)?, cache: None });
    }
    if value.as_table().is_none() {
        entry.text(notes, "a text that says where the secret is, a list of such texts, or a table with `from` and `cache`");
        return None;
    }
    let table = root.entry("secrets", entry)?;
    let from = table.text_or_texts("from");
    let cache = table.text("cache").and_then(|text| match text.value.parse::<Span>().map(Span::as_duration) {
        Ok(d) if d >= SHORTEST && d <= LONGEST => Some(d),
        Ok(_) => {
            notes.add(text.span, "`cache` must be at least 1s and at most 24h", "");
            None
        }
        Err(e) => {
            notes.add(text.span, format!("`cache`: {e}"), "");
            None
        }
    });
    if from.is_none() && !table.has("from") {
        notes.add(entry.name.span.clone(), format!("[secrets.{name}] does not say where the secret is"), format!("add from = …: {HELP}"));
    }
    table.close();
    Some(Secret { sources: listed(name, from?, &entry.name, notes)?, cache })
}

fn listed(name: &str, texts: Vec<At<String>>, at: &At<String>, notes: &Notes<'_>) -> Option<Vec<SecretSource>> {
    if texts.is_empty() {
        notes.add(at.span.clone(), format!("secret `{name}` has no source"), HELP);
        return None;
    }
    sources(name, texts, notes)
}

/// All of them, or none where one is wrong: a chain with a hole would be another chain.
fn sources(name: &str, texts: Vec<At<String>>, notes: &Notes<'_>) -> Option<Vec<SecretSource>> {
    let read: Vec<Option<Vec<SecretSource>>> = texts.into_iter().map(|t| source(name, t, notes)).collect();
    read.into_iter().collect::<Option<Vec<_>>>().map(|lists| lists.into_iter().flatten().collect())
}

/// The variable that `auto` looks for.
fn variable(name: &str) -> String {
    let tail: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("QD_SECRET_{tail}")
}

fn source(name: &str, text: At<String>, notes: &Notes<'_>) -> Option<Vec<SecretSource>> {
    if text.value == "auto" {
        return Some(vec![
            SecretSource::Env(variable(name)),
            SecretSource::Credential(name.to_owned()),
            SecretSource::Keyring(name.to_owned()),
        ]);
    }
    let Some((form, rest)) = text.value.split_once(':') else {
        // The text is not repeated: it may be the secret itself.
        notes.add(text.span, "this says not where the secret is", format!("{HELP}; {NEVER}"));
        return None;
    };
    let at = At { value: rest.to_owned(), span: text.span.clone() };
    let one = match form {
        "env" => {
            let first = |c: char| c.is_ascii_alphabetic() || c == '_';
            let good = rest.starts_with(first) && rest.chars().all(|c| first(c) || c.is_ascii_digit());
            if !good {
                notes.add(text.span, format!("`{rest}` is no name of a variable"), "write \"env:VARIABLE\"");
            }
            good.then(|| SecretSource::Env(rest.to_owned()))
        }
        "file" => absolute(at, notes).map(|p| SecretSource::File(p.value.into())),
        "cmd" => argv(&at, notes).map(SecretSource::Cmd),
        "credential" => {
            let good = !rest.is_empty() && rest.len() <= 255 && !rest.starts_with('.') && !rest.contains(['/', '\0']);
            if !good {
                notes.add(
                    text.span,
                    "this is no name of a credential",
                    "write \"credential:NAME\" as LoadCredential=NAME:… of the unit says",
                );
            }
            good.then(|| SecretSource::Credential(rest.to_owned()))
        }
        "keyring" => {
            let good = !rest.is_empty() && rest.len() <= 200 && !rest.starts_with('-') && !rest.contains(char::is_control);
            if !good {
                notes.add(text.span, "this is no name of an entry", "write \"keyring:NAME\"");
            }
            good.then(|| SecretSource::Keyring(rest.to_owned()))
        }
        _ => {
            let help = match suggest::nearest(form, FORMS) {
                Some(near) => format!("did you mean \"{near}:…\"?"),
                None => format!("{HELP}; {NEVER}"),
            };
            notes.add(text.span, "no such kind of source", help);
            None
        }
    };
    one.map(|s| vec![s])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Site;

    fn site(text: &str) -> Site {
        Site::parse(&format!("[secrets]\n{text}")).unwrap()
    }

    #[test]
    fn a_text_a_list_and_a_table_say_where_a_secret_is() {
        let s = site(
            "a = \"auto\"\nb = [\"credential:b\", \"keyring:team/b\", \"file:/etc/b\"]\nc = { from = \"cmd:pass show c\", cache = \"30m\" }\n",
        );
        let auto = vec![SecretSource::Env("QD_SECRET_A".into()), SecretSource::Credential("a".into()), SecretSource::Keyring("a".into())];
        assert_eq!(s.secrets["a"], Secret { sources: auto, cache: None });
        assert_eq!(s.secrets["b"].sources.len(), 3);
        assert_eq!(s.secrets["c"].cache, Some(Duration::from_secs(1800)));
        assert_eq!(variable("koji-cert.pem"), "QD_SECRET_KOJI_CERT_PEM");
    }

    #[test]
    fn what_is_no_source_is_an_error_with_a_cure_and_is_not_repeated() {
        for (text, words) in [
            ("a = \"hunter2hunter2\"", "says not where"),
            ("a = []", "has no source"),
            ("a = 7", "must be a text"),
            ("a = [\"env:A\", 3]", "must be a text"),
            ("a = [\"env:A\", \"vault:x\"]", "no such kind"),
            ("a = \"keyrign:x\"", "did you mean \"keyring:…\""),
            ("a = \"credential:../x\"", "no name of a credential"),
            ("a = \"keyring:\"", "no name of an entry"),
            ("a = { cache = \"5m\" }", "does not say where"),
            ("a = { from = \"env:A\", cache = \"25h\" }", "at most 24h"),
            ("a = { from = \"env:A\", cache = \"0s\" }", "at least 1s"),
            ("a = { from = \"env:A\", cahce = \"5m\" }", "did you mean `cache`"),
        ] {
            let problems = Site::parse(&format!("[secrets]\n{text}\n")).unwrap_err();
            let said: String = problems.iter().map(|p| format!("{} {}\n", p.message, p.help)).collect();
            assert!(said.contains(words) && !said.contains("hunter2"), "{text}: {said}");
        }
    }
}
