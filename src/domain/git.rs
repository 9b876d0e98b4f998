//! Which addresses and references of git may be used at all. Pure: what a command line could take for something else is refused.

/// Addresses of a kind that only reads: no `ext::`, nothing that git would take for an option, no password. The error is the reason; it
/// repeats nothing of the address.
pub fn check_url(url: &str) -> Result<(), &'static str> {
    if url.starts_with('-') {
        return Err("it starts with `-`");
    }
    if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("it holds a blank or a control character");
    }
    if url.contains("::") && !url.contains("://") {
        return Err("remote helpers are not allowed");
    }
    if url::Url::parse(url).is_ok_and(|u| u.password().is_some()) {
        return Err("it holds a password");
    }
    if let Some((scheme, rest)) = url.split_once("://") {
        if rest.starts_with('-') || rest.split_once('@').is_some_and(|(_, host)| host.starts_with('-')) {
            return Err("its host starts with `-`");
        }
        return if matches!(scheme, "https" | "http" | "ssh" | "git" | "file") { Ok(()) } else { Err("its scheme is not known") };
    }
    let scp =
        url.split_once(':').is_some_and(|(host, path)| !host.is_empty() && !host.contains('/') && !path.is_empty() && !host.contains("@-"));
    if scp || url.starts_with('/') { Ok(()) } else { Err("it is neither an address nor an absolute path") }
}

/// The rules of git check-ref-format that matter on a command line.
pub fn is_reference(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    !(name.is_empty()
        || name.starts_with(['-', '/', '+'])
        || name.contains("..")
        || name.contains("@{")
        || name.chars().any(forbidden)
        || name.ends_with(['/', '.']))
}

/// A full commit id.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Hexadecimal digits as people copy them from a log, and fewer than a commit id has. It may be the name of a branch as well.
pub fn is_short_commit(text: &str) -> bool {
    (4..40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The full names that a short one may mean, best first, as git itself tries them.
pub fn meanings(reference: &str) -> Vec<String> {
    if reference == "HEAD" || reference.starts_with("refs/") {
        return vec![reference.to_owned()];
    }
    vec![format!("refs/heads/{reference}"), format!("refs/tags/{reference}^{{}}"), format!("refs/tags/{reference}")]
}

/// The commit of a reference in the answer of `git ls-remote`; `None` where it is not there.
pub fn commit_of(answer: &str, reference: &str) -> Option<String> {
    let lines: Vec<(&str, &str)> = answer.lines().filter_map(|l| l.split_once('\t')).collect();
    meanings(reference).iter().find_map(|name| lines.iter().find(|(id, n)| n == name && is_commit(id)).map(|(id, _)| (*id).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_git_could_take_for_something_else_are_refused() {
        for good in ["https://h/x.git", "ssh://git@h:22/x", "git@h:team/x.git", "/srv/git/x.git", "file:///srv/x"] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in [
            "--upload-pack=touch /tmp/x",
            "-x",
            "ext::sh -c id",
            "ext::id",
            "fd::7",
            "ssh://-oProxyCommand=id/x",
            "ssh://u@-oProxyCommand=x/",
            "a@-oX:y",
            "relative/x",
            "ftp://h/x",
            "http://h/a b",
            "x\ny",
            "https://u:hunter2@h/x",
            "",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn references_are_names_and_nothing_else() {
        for good in ["main", "v1.2", "feature/x", "HEAD", "refs/heads/main", "0123456789abcdef0123456789abcdef01234567"] {
            assert!(is_reference(good), "{good}");
        }
        for bad in ["", "-x", "--upload-pack=x", "a..b", "a:b", "+a", "a b", "a^", "a~1", "a*", "/x", "x/", "@{u}", "a\\b"] {
            assert!(!is_reference(bad), "{bad}");
        }
    }

    #[test]
    fn a_reference_is_found_by_its_full_name_and_nothing_that_only_ends_like_it() {
        let (a, b, c) = ("a".repeat(40), "b".repeat(40), "c".repeat(40));
        let answer = format!("{c}\trefs/heads/old/main\n{b}\trefs/tags/main\n{a}\trefs/heads/main\n{c}\tHEAD\nnoise\n");
        assert_eq!(commit_of(&answer, "main"), Some(a));
        assert_eq!(commit_of(&answer, "refs/tags/main"), Some(b));
        assert_eq!(commit_of(&answer, "HEAD"), Some(c.clone()));
        assert_eq!(commit_of(&answer, "gone"), None);
        // An annotated tag is the commit that it names.
        let peeled = format!("{}\trefs/tags/v1\n{c}\trefs/tags/v1^{{}}\n", "d".repeat(40));
        assert_eq!(commit_of(&peeled, "v1"), Some(c));
        assert_eq!(commit_of("nonsense\trefs/heads/main\n", "main"), None);
    }
}
