//! Addresses of repositories: parsed once, joined with checked locations, shown without what could be secret.

use url::Url;

use super::location::Location;

/// Why an address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` cannot be used as the address of a repository: {why}")]
pub struct BadAddress {
    pub shown: String,
    pub why: String,
}

/// Reads the base address of a repository: http or https, the directory that holds `repodata/`. A trailing `repodata/repomd.xml` is taken off.
pub fn parse(text: &str) -> Result<Url, BadAddress> {
    let text = text.trim();
    let bad = |why: String| BadAddress { shown: shown_text(text), why };
    let mut url = Url::parse(text).map_err(|e| bad(format!("{e}; write it like http://host/path/")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad(format!("`{}` is not http or https", url.scheme())));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(bad("it has no host".into()));
    }
    url.set_fragment(None);
    let mut path =
        url.path().trim_end_matches("repodata/repomd.xml").trim_end_matches("/repodata/").trim_end_matches("/repodata").to_owned();
    if !path.ends_with('/') {
        path.push('/');
    }
    url.set_path(&path);
    Ok(url)
}

/// The address of a file of the repository. Never `Url::join`: a file name such as `a-1:2.rpm` would be taken for a scheme. A location is the
/// name of a file, as dnf reads it: `%20` in it is three characters, and `+` is none that an object store may take for a blank.
pub fn join(base: &Url, location: &Location) -> Url {
    let mut url = base.clone();
    let name = location.as_str().replace('%', "%25").replace('?', "%3F").replace('#', "%23").replace('+', "%2B");
    url.set_path(&format!("{}{name}", base.path()));
    url
}

/// An address for people: password and query values are replaced.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        let _ = url.set_password(Some("***"));
    } else if !url.username().is_empty() {
        // A lone user name is often a token.
        let _ = url.set_username("***");
    }
    if url.query().is_some() {
        url.set_query(Some("***"));
    }
    url.to_string()
}

/// The same for a text that may be no address at all.
pub fn shown_text(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if url.has_host() => shown(&url),
        _ => super::excerpt(match (text.find("//"), text.rfind('@')) {
            (_, Some(at)) => &text[at..],
            _ => text,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::location;

    #[test]
    fn bases_are_directories_and_file_names_stay_file_names() {
        let base = parse("http://h:8080/9-stream/BaseOS").unwrap();
        let at = |loc: &str| join(&base, &location::check(loc).unwrap()).to_string();
        assert_eq!(at("Packages/a-1:2-3.rpm"), "http://h:8080/9-stream/BaseOS/Packages/a-1:2-3.rpm");
        assert_eq!(at("foo-1:2.rpm"), "http://h:8080/9-stream/BaseOS/foo-1:2.rpm");
        assert_eq!(at("libstdc++-1~rc^2.rpm"), "http://h:8080/9-stream/BaseOS/libstdc%2B%2B-1~rc^2.rpm");
        assert_eq!(at("a%20b%2Bc%.rpm"), "http://h:8080/9-stream/BaseOS/a%2520b%252Bc%25.rpm");
        assert_eq!(at("a?b#c d.rpm"), "http://h:8080/9-stream/BaseOS/a%3Fb%23c%20d.rpm");
        assert_eq!(parse("https://h/x/repodata/repomd.xml").unwrap().as_str(), "https://h/x/");
        assert_eq!(parse("https://h/x/repodata").unwrap().as_str(), "https://h/x/");
    }

    #[test]
    fn secrets_are_never_shown() {
        for text in
            ["http://user:hunter2@h/x", "http://hunter2@h/x", "http://h/x?token=hunter2", "http//user:hunter2@h/x", "ftp://u:hunter2@h/"]
        {
            let shown = match parse(text) {
                Ok(url) => shown(&url),
                Err(e) => e.to_string(),
            };
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn other_schemes_are_refused_with_the_reason() {
        for text in ["file:///etc", "ftp://h/", "rsync://h/x", "", "not an address"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
