//! What `site init` puts into an empty site: a commented site file. The shipped pipelines are added by the command line.

/// `site.toml` of a new site: every key with its default, an example or what the shipped pipelines need, so that it reads as its own manual.
const SITE: &str = include_str!("site.toml");

/// The site file whose trees are below `mirror`, an absolute path.
pub fn site(mirror: &str) -> String {
    // The template closes the quote that is opened here.
    SITE.replace("@MIRROR@", &format!("\"{}", escaped(mirror.trim_end_matches('/'))))
}

/// A shipped pipeline whose snapshots lie below `mirror`, where it makes some.
pub fn pipeline(text: &str, mirror: &str) -> String {
    // A double-quoted scalar of YAML has the escapes of a basic string of TOML.
    text.replace("\"/srv/mirror/el9\"", &format!("\"{}/el9\"", escaped(mirror.trim_end_matches('/'))))
}

/// The inside of a basic string.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::site::Site;

    #[test]
    fn the_template_is_a_site_with_every_default_and_what_the_shipped_pipelines_need() {
        let site = Site::parse(&super::site("/srv/mirror/")).unwrap();
        assert_eq!(site.repos["baseos"].tree, "/srv/mirror/core-latest/9/BaseOS");
        assert_eq!(site.mirror_roots, [std::path::PathBuf::from("/srv/mirror")]);
        assert_eq!(site.content["el9-latest"].repos, ["baseos", "appstream"]);
        let bare = Site { repos: Default::default(), content: Default::default(), mirror_roots: Vec::new(), ..site };
        assert_eq!(bare, Site::default());
    }

    #[test]
    fn a_path_of_any_letters_stays_that_path() {
        for path in ["/a \"b\"", "/back\\slash", "/line\nbreak", "/tab\tand 'quote'", "/ümlaut/日本", "/$(id) ${x} #"] {
            let site = Site::parse(&super::site(path)).unwrap_or_else(|p| panic!("{path}: {p:?}"));
            assert_eq!(site.mirror_roots, [std::path::PathBuf::from(path)]);
            assert_eq!(site.repos["appstream"].tree, format!("{path}/core-latest/9/AppStream"));
        }
    }

    #[test]
    fn the_examples_in_its_comments_are_right() {
        let uncommented: String = super::site("/srv/mirror")
            .lines()
            .map(|l| l.strip_prefix("#: ").unwrap_or(if l.starts_with('#') { "" } else { l }))
            .filter(|l| !l.starts_with("executors") && !l.starts_with("[runner]"))
            .map(|l| format!("{l}\n"))
            .collect();
        let site = Site::parse(&uncommented).unwrap_or_else(|p| panic!("{p:?}"));
        assert!(site.repos.contains_key("baseos") && site.locks.contains_key("loopdev") && site.on_failure.is_some());
    }
}
