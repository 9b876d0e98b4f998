//! The demo's configuration: its site file and its pipelines. Edits of the user are kept; only the upstream's
//! address is corrected when its port had to change.

use std::path::{Path, PathBuf};

use super::Error;
use super::catalogue::Repo;
use super::files::mkdir_private;
use super::places::Places;
use super::publish::repo_path;
use super::quote::quoted;
use super::{pairs, people, promotion, scm};
use crate::base::durable;

/// Writes what is absent, and corrects the upstream's address in a site file that is there.
pub fn write(places: &Places, url: &str, owner: &str, replicas: &[(&str, String)], pipelines: &[(&str, &str)]) -> Result<(), Error> {
    let dir = places.config_dir();
    mkdir_private(&dir.join("pipelines"))?;
    let path = dir.join("site.toml");
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let corrected = with_replicas(&with_address(&text, url), replicas);
            if corrected != text {
                save(&path, &corrected)?;
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let key = promotion::key(&places.own())?;
            let pairs = pairs::site(url, replicas, &places.replicas_dir(), &places.own());
            let roles = people::site(owner);
            save(
                &path,
                &(site(places, url, &|repo| places.tree(repo))
                    + &roles
                    + &pairs
                    + &promotion::site(&places.replicas_dir(), key.as_deref())
                    + promotion::help()),
            )?
        }
        Err(e) => return Err(Error::io("reading", &path)(e)),
    }
    let resync = promotion::resync(&places.replicas_dir());
    // Where none is copied, none is wanted.
    let own = (!pipelines.is_empty()).then_some((promotion::RESYNC, resync.as_str()));
    for (name, text) in pipelines.iter().copied().chain(own) {
        let path = dir.join("pipelines").join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let corrected = with_address(&text, url);
                if corrected != text {
                    save(&path, &corrected)?;
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => save(&path, &with_root(&with_scm(text, url), places))?,
            Err(e) => return Err(Error::io("reading", &path)(e)),
        }
    }
    Ok(())
}

fn save(path: &Path, text: &str) -> Result<(), Error> {
    durable::replace(path, text.as_bytes(), 0o600).map_err(Error::io("writing", path))
}

/// The site of the demo's past: its set is read where it was promoted from, and no far end is asked.
pub fn of_past(places: &Places, owner: &str, tree: &dyn Fn(Repo) -> PathBuf) -> String {
    site(places, "http://127.0.0.1:9", tree) + &people::site(owner)
}

fn site(places: &Places, url: &str, tree: &dyn Fn(Repo) -> PathBuf) -> String {
    let mut out = String::from(
        "# The site of the quarterdeck demo. Written once; edit it as you like.\n\
         # Only the address of the demo's upstream is corrected when its port had to change.\n\n\
         time_zone = \"America/Chicago\"\n\
         # A private engine fires schedules only where this says so.\n\
         scheduler = \"private\"\n\
         # What needs two people waits for the second: see [roles]. \"none\" lets one do it, recorded as a single person's.\n\
         second_person = \"required\"\n\n\
         [runner]\nexecutors = 4\n\n\
         [mirror]\n",
    );
    let roots = [places.mirror_dir(), places.replicas_dir()].map(|d| quoted(&d.to_string_lossy()));
    out.push_str(&format!("roots = [{}]\n", roots.join(", ")));
    for repo in Repo::ALL {
        out.push_str(&format!(
            "\n[repos.{}]\nupstream = [{}]\ntree = {}\nwriter = \"quarterdeck\"\n",
            repo.id(),
            quoted(&format!("{url}/{}/", repo_path(repo))),
            quoted(&tree(repo).to_string_lossy())
        ));
    }
    out.push_str("\n[content.el9-latest]\nrepos = [\"baseos\", \"appstream\"]\nos = \"el9\"\n");
    out
}

/// The pipeline with the demo's git repository as the default of its parameter `scm_url`, where it has one.
fn with_scm(text: &str, url: &str) -> String {
    text.replace("scm_url: {type: string, default: \"\"", &format!("scm_url: {{type: string, default: \"{url}/{}\"", scm::PATH))
}

/// The pipeline with the demo's own root of snapshots, where it has one: beside the trees, for packages are linked.
fn with_root(text: &str, places: &Places) -> String {
    text.replace("\"/srv/mirror/el9\"", &quoted(&places.mirror_dir().join("el9").to_string_lossy()))
}

/// `text` with every `DATACENTRE=http://127.0.0.1:PORT/` at the address of that datacentre.
fn with_replicas(text: &str, replicas: &[(&str, String)]) -> String {
    let mut out = text.to_owned();
    for (dc, url) in replicas {
        let head = format!("\"{dc}=http://127.0.0.1:");
        let mut corrected = String::new();
        let mut rest = out.as_str();
        while let Some(at) = rest.find(&head) {
            corrected.push_str(&rest[..at]);
            corrected.push_str(&format!("\"{dc}={url}"));
            rest = rest[at + head.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
        }
        corrected.push_str(rest);
        out = corrected;
    }
    out
}

/// `text` with every `http://127.0.0.1:PORT/9-stream/`, `…/scm/` and `…/pairs/` at the address `url`.
fn with_address(text: &str, url: &str) -> String {
    let head = "http://127.0.0.1:";
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(head) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let port: usize = from[head.len()..].bytes().take_while(u8::is_ascii_digit).count();
        let (address, after) = from.split_at(head.len() + port);
        out.push_str(if ["/9-stream/", "/scm/", "/pairs/"].iter().any(|p| after.starts_with(p)) { url } else { address });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_nightly_checks_out_the_demos_repository() {
        let shipped = include_str!("../../pipelines/nightly-repo-updates.yml");
        let copied = with_scm(shipped, "http://127.0.0.1:4000");
        assert!(copied.contains("default: \"http://127.0.0.1:4000/scm/ops-scripts.git\""), "{copied}");
        assert!(with_address(&copied, "http://127.0.0.1:5001").contains("5001/scm/"));
    }

    #[test]
    fn the_shipped_promotion_works_beside_the_demos_trees() {
        let places = Places { state_dir: "/tmp/a \"b\"".into() };
        for shipped in [include_str!("../../pipelines/promote-latest.yml"), include_str!("../../pipelines/rollback-stable.yml")] {
            let copied = with_root(shipped, &places);
            assert!(copied.contains(r#"default: "/tmp/a \"b\"/mirror/el9""#) && !copied.contains("/srv/"), "{copied}");
        }
    }

    #[test]
    fn the_addresses_of_the_datacentres_are_corrected() {
        let at = |port: u16| crate::demo::datacentres::DATACENTRES.map(|dc| (dc, format!("http://127.0.0.1:{port}")));
        let text = pairs::site("http://127.0.0.1:4000", &at(1), Path::new("/x"), Path::new("/own"));
        assert_eq!(
            with_replicas(&text, &at(65_000)),
            pairs::site("http://127.0.0.1:4000", &at(65_000), Path::new("/x"), Path::new("/own"))
        );
        assert!(with_address(&text, "http://127.0.0.1:9").contains("http://127.0.0.1:9/pairs/base9/"));
    }

    #[test]
    fn only_the_upstreams_address_is_corrected() {
        let places = Places { state_dir: "/tmp/a \"b\"".into() };
        let text = site(&places, "http://127.0.0.1:4000", &|r| places.tree(r)) + "# see http://127.0.0.1:9/else and http://127.0.0.1:\n";
        let moved = with_address(&text, "http://127.0.0.1:5001");
        assert_eq!(moved.matches("http://127.0.0.1:5001/9-stream/").count(), 2);
        assert!(moved.contains("http://127.0.0.1:9/else") && !moved.contains(":4000"));
        assert_eq!(moved.replace("127.0.0.1:5001", "127.0.0.1:4000"), text);
        let parsed: toml::Table = text.parse().unwrap();
        assert_eq!(parsed["repos"]["baseos"]["tree"].as_str().unwrap(), "/tmp/a \"b\"/mirror/baseos");
    }
}
