//! The site file as it may be shown: stars in place of what may be a secret. No byte moves, so that spans still fit. Pure.

/// `text` with stars in place of values below `[secrets]` that neither say where a secret is nor are of a key that is none, and of passwords in
/// addresses.
pub(super) fn veiled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Whether a text of several lines is open, and how many lists are.
    let (mut inside, mut open, mut lists) = (false, false, 0_i32);
    for line in text.split_inclusive('\n') {
        let start = line.trim_start();
        if let Some(header) = start.strip_prefix('[').filter(|_| !open && is_header(start, lists)) {
            (inside, lists) = (is_secrets(header.trim_start_matches('[')), 0);
        } else if inside || start.trim_start_matches(['"', '\'']).starts_with("secrets") {
            addresses(&values(line, open, &mut lists), &mut out);
            // A text of several lines is as secret on each of them.
            open ^= !(line.matches("\"\"\"").count() + line.matches("'''").count()).is_multiple_of(2);
            continue;
        }
        addresses(line, &mut out);
    }
    out
}

/// `["x"],` on a line of its own is a part of a list, and no header.
fn is_header(line: &str, lists: i32) -> bool {
    let code = line.split('#').next().unwrap_or("").trim_end();
    let name = code.trim_matches(['[', ']']);
    code.ends_with(']') && !name.contains(['=', ',', '[', ']']) && (lists <= 0 || !name.trim_start().starts_with(['"', '\'']))
}

fn is_secrets(header: &str) -> bool {
    let name = header.trim_start().trim_start_matches(['"', '\'']);
    name.strip_prefix("secrets").is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(['.', ']']))
}

/// How the text of a secret's source begins; anything else may be the secret.
const FORMS: [&str; 5] = ["env:", "file:", "cmd:", "credential:", "keyring:"];
/// Keys of a secret's table whose value is none.
const PLAIN: [&str; 1] = ["cache"];
/// A value of such a key is no longer.
const MOST: usize = 16;

/// One line of secrets: keys, and the values that may be seen. `open`: it begins within a text of several lines.
fn values(line: &str, open: bool, lists: &mut i32) -> String {
    let mut out = String::with_capacity(line.len());
    let (mut rest, mut key, mut may_be_key) = (line, "", !open);
    while let Some(first) = rest.chars().next() {
        if keeps(first) {
            // Behind `{` and `,` of a table in one line comes a key; behind the `,` of a list no `=` does.
            may_be_key |= matches!(first, '{' | ',') && !open;
            *lists += i32::from(first == '[') - i32::from(first == ']');
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (token, behind) = rest.split_at(if first == '#' { rest.trim_end().len() } else { end(rest, first) });
        let word = token.trim_matches(['"', '\'']);
        let after = behind.trim_start();
        if may_be_key && after.starts_with('=') && !after.starts_with("==") {
            key = word.rsplit('.').next().unwrap_or(word);
            out.push_str(token);
        } else if seen(key, word) && !open && first != '#' {
            out.push_str(token);
        } else {
            token.chars().for_each(|c| if keeps(c) { out.push(c) } else { stars(&mut out, c) });
        }
        (may_be_key, rest) = (false, behind);
    }
    out
}

fn seen(key: &str, word: &str) -> bool {
    let plain = PLAIN.contains(&key) && word.len() <= MOST && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
    plain || word == "auto" || FORMS.iter().any(|f| word.starts_with(f))
}

/// Where a token ends: a text with its closing quote, or with the line where it has none; else before the next sign between tokens.
fn end(rest: &str, first: char) -> usize {
    if !matches!(first, '"' | '\'') {
        return rest.find(|c| keeps(c) || matches!(c, '"' | '\'')).unwrap_or(rest.len()).max(first.len_utf8());
    }
    let mut escaped = false;
    for (i, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if first == '"' => escaped = true,
            c if c == first => return i + 1,
            _ => {}
        }
    }
    rest.trim_end().len().max(1)
}

fn keeps(c: char) -> bool {
    c.is_ascii_whitespace() || matches!(c, '=' | '[' | ']' | '{' | '}' | ',')
}

fn stars(out: &mut String, c: char) {
    match c {
        '"' | '\'' => out.push(c),
        _ => (0..c.len_utf8()).for_each(|_| out.push('*')),
    }
}

/// `scheme://user:password@host`: the password.
fn addresses(line: &str, out: &mut String) {
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(['/', '"', '\'', ' ', '\n']).unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        match authority.rfind('@').and_then(|host| authority[..host].find(':').map(|colon| (colon + 1, host))) {
            Some((from, to)) => {
                out.push_str(&authority[..from]);
                authority[from..to].chars().for_each(|c| stars(out, c));
                out.push_str(&authority[to..]);
            }
            None => out.push_str(authority),
        }
        rest = tail;
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_shown_again() {
        let text = "[secrets]\nt = \"hünter2\"\nf = \"file:rel\"\n[secrets.x]\nfrom = [\"geheim\"]\n[repos.a]\nupstream = [\"http://u:pass@h/x\"]\nsecretsy = 1\n";
        let seen = veiled(text);
        assert_eq!(seen.len(), text.len());
        assert!(!["hünter", "geheim", "pass"].iter().any(|s| seen.contains(s)), "{seen}");
        assert!(seen.contains("\"file:rel\"") && seen.contains("http://u:****@h/x") && seen.contains("[repos.a]"), "{seen}");
    }

    #[test]
    fn a_secret_hides_wherever_it_was_put() {
        for text in [
            "a = [\"env:A\", \"hunter2\"]",
            "a = [\n  \"env:A\",\n  \"hunter2\",\n]",
            "a = [\n  \"env:A\"\n  , hunter2\n]",
            "a = \"\"\"\nhunter2\n\"\"\"",
            "a = \"\"\"\nx = hunter2\n\"\"\"",
            "a = \"\"\"\n[repos]\nhunter2 = 1\n\"\"\"",
            "a = '''hunter2",
            "a = \"hunter2",
            "a = \"x\\\"hunter2\"",
            "a = hunter2hunter2",
            "a = hunter2==",
            "a = { from = \"hunter2\", cache = \"5m\" }",
            "a = { from = \"env:A\", cahce = \"hunter2\" }",
            "a = { from = \"env:A\", cache = \"hunter2 hunter2\" }",
            "a = \"env:A\" # hunter2",
            "# a = \"hunter2\"",
            "[secrets.a]\nfrom = [\n[\"hunter2\"],\n]",
            "[secrets.a]\nfrom = [\n[\"hunter2\"]\n]",
            "[\"secrets\"]\na = \"hunter2\"",
            "[ secrets . a ]\nfrom = \"hunter2\"",
        ] {
            let text = format!("[secrets]\n{text}\n");
            let seen = veiled(&text);
            assert!(!seen.contains("hunter") && seen.len() == text.len(), "{text}\n{seen}");
        }
        assert_eq!(
            veiled("secrets = { a = \"hunter2\" }\nsecrets.b = \"hunter2\"\n"),
            "secrets = { a = \"*******\" }\nsecrets.b = \"*******\"\n"
        );
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for text in [
            "[secrets.a]\nfrom = \"env:A\"\ncache = \"0s\"\n",
            "[secrets]\na = { from = [\"file:/x\", \"auto\"], cache = \"25h\" }\n",
            "[secrets]\na = \"cmd:pass show 'a b' --x=y\"\n[repos.a]\ntree = \"srv\"\n",
            "[secrets.a]\nfrom = \"vault\"\n[runner]\nexecutors = 0\n".replace("vault", "auto").as_str(),
            "[secrets.a] # where\ncache = 5m\n[engine] # [x]\nsocket = \"x\"\n",
        ] {
            assert_eq!(veiled(text), text);
        }
    }
}
