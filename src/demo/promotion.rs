//! What the demo promotes: el9, which three datacentres serve through a pointer each. The tables of the site file, the key that signs evidence,
//! and the pipeline that brings a datacentre level with upstream.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Error;
use super::catalogue::Repo;
use super::datacentres::{DATACENTRES, SERVED, replica_dir, root};
use super::quote::quoted;

/// The file name of the pipeline below `config/pipelines`.
pub const RESYNC: &str = "resync-replica.yml";
const IDENTITY: &str = "promotions@ops.example";
const STEP: Duration = Duration::from_millis(5);
/// Steps that ssh-keygen is waited for: 10 s.
const STEPS: u32 = 2_000;

/// The tables of the site file. Gates that the demo has no source for say so with a reason; canaries and coherence are judged truly.
pub fn site(replicas: &Path, key: Option<&Path>) -> String {
    let mut out = String::from(
        "\n# Promotions of el9: `do promote el9`. A demo waits for nobody: a real site leaves out age, streak and apart.\n\
         [promotion.el9]\nset = \"el9-latest\"\nage = \"1ms\"\nstreak = 1\napart = \"1ms\"\n\n\
         [promotion.el9.without]\n\
         G3 = \"the demo builds no images\"\n\
         G5 = \"the demo has no formulas\"\n\
         G6 = \"the demo has no sandbox hosts\"\n\
         G7 = \"the packages of the demo are not signed\"\n\
         G8 = \"the demo has no vendor agents\"\n\
         G9 = \"the demo has no calendar\"\n",
    );
    for dc in DATACENTRES {
        let tree = |(repo, pair): (Repo, &str)| quoted(&format!("{}={}", repo.id(), replica_dir(replicas, dc).join(pair).display()));
        out.push_str(&format!(
            "\n[promotion.el9.dc.{dc}]\nroot = {}\ntrees = [{}]\n",
            quoted(&root(replicas, dc).to_string_lossy()),
            SERVED.map(tree).join(", ")
        ));
    }
    if let Some(key) = key {
        out.push_str(&format!("\n[evidence]\nkey = {}\nidentity = \"{IDENTITY}\"\n", quoted(&key.to_string_lossy())));
    }
    out
}

/// What somebody should do in the demo of today where a gate does not pass.
pub fn help() -> &'static str {
    "\n# What somebody should do where a gate does not pass; without these lines it says what it knows itself.\n\
     [promotion.el9.help]\n\
     G1 = \"cedar's last sync was ended half-way: quarterdeck run resync-replica, then do promote-soak again, --with retake=true\"\n\
     G4 = \"canaries read el9-latest, which begins one compose behind the datacentres: quarterdeck demo advance, once, then quarterdeck run nightly-repo-updates; \
     rpmcanary and rpminspector follow it. Where el9-latest is ahead already (quarterdeck get versions): quarterdeck run resync-replica -p dc=alder, then birch and cedar, \
     and do promote-soak again, --with retake=true\"\n"
}

/// The pipeline, for these directories.
pub fn resync(replicas: &Path) -> String {
    let names: Vec<&str> = DATACENTRES.into_iter().rev().collect();
    let dest = replicas.join("${params.dc}/${matrix.repo}");
    format!(
        "# Brings what a datacentre serves of el9 level with upstream; a sync that was ended half-way is taken up where it was left.\n\
         format: 1\nname: resync-replica\ndescription: Sync the trees of el9 that one datacentre serves\nviews: [nightly]\nparameters:\n  \
         dc: {{type: choice, choices: [{}], default: cedar, description: \"datacentre\"}}\noptions:\n  \
         concurrency: {{group: resync-replica, limit: 1, on_conflict: queue}}\n  timeout: 1h\n  keep: {{runs: 60}}\nstages:\n  \
         - name: Sync\n    idempotent: true\n    timeout: 30m\n    matrix:\n      repo: [{}]\n    uses: mirror/sync\n    with:\n      \
         url: \"${{repos[matrix.repo].upstream}}\"\n      dest: {}\n",
        names.join(", "),
        SERVED.map(|(_, pair)| pair).join(", "),
        quoted(&dest.to_string_lossy())
    )
}

/// The demo's own key, made once. None where this machine has no ssh-keygen: evidence is unsigned then, and says so.
pub fn key(own: &Path) -> Result<Option<PathBuf>, Error> {
    let path = own.join("evidence-key");
    if path.is_file() {
        return Ok(Some(path));
    }
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "the key of a demo", "-f"]).arg(&path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return Ok(None) };
    for _ in 0..STEPS {
        if let Some(status) = child.try_wait().map_err(Error::io("waiting for ssh-keygen, which makes", &path))? {
            return Ok((status.success() && path.is_file()).then_some(path));
        }
        std::thread::sleep(STEP);
    }
    let _ = child.kill();
    let _ = child.wait();
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_file_promotes_el9_in_three_datacentres() {
        let parsed: toml::Table = site(Path::new("/x \"y\""), Some(Path::new("/k"))).parse().unwrap();
        let el9 = &parsed["promotion"]["el9"];
        assert_eq!(el9["dc"].as_table().unwrap().keys().collect::<Vec<_>>(), DATACENTRES);
        assert_eq!(el9["dc"]["cedar"]["trees"][1].as_str(), Some("appstream=/x \"y\"/cedar/appstream9"));
        assert_eq!(parsed["evidence"]["key"].as_str(), Some("/k"));
        assert!(!site(Path::new("/x"), None).contains("[evidence]"));
        let parsed: toml::Table = (site(Path::new("/x"), None) + help()).parse().unwrap();
        assert_eq!(parsed["promotion"]["el9"]["help"].as_table().unwrap().len(), 2);
    }

    #[test]
    fn a_key_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let Some(path) = key(dir.path()).unwrap() else { return assert!(Command::new("ssh-keygen").arg("-V").output().is_err()) };
        let first = std::fs::read(&path).unwrap();
        key(dir.path()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first);
    }
}
