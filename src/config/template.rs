//! What `site init` puts into an empty site: a commented site file. The shipped pipelines are added by the command line.

/// `site.toml` of a new site: every key with its default or an example, so that it reads as its own manual.
pub const SITE: &str = include_str!("site.toml");

#[cfg(test)]
mod tests {
    use super::super::site::Site;

    #[test]
    fn the_template_is_a_site_with_every_default() {
        assert_eq!(Site::parse(super::SITE).unwrap(), Site::default());
    }

    #[test]
    fn the_examples_in_its_comments_are_right() {
        let uncommented: String = super::SITE
            .lines()
            .map(|l| l.strip_prefix("#: ").unwrap_or(if l.starts_with('#') { "" } else { l }))
            .filter(|l| !l.starts_with("executors") && !l.starts_with("[runner]"))
            .map(|l| format!("{l}\n"))
            .collect();
        let site = Site::parse(&uncommented).unwrap_or_else(|p| panic!("{p:?}"));
        assert!(site.repos.contains_key("baseos") && site.locks.contains_key("loopdev") && site.on_failure.is_some());
    }
}
