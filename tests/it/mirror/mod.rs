//! `mirror/sync` against an upstream that behaves, misbehaves and lies; the served tree is judged by a reader of its own.

mod bad_world;
mod crashes;
mod cycles;
mod looks;
mod same_name;
mod signed;
mod snapshots;
mod switches;
mod tree_guards;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use quarterdeck::demo::upstream::{Options, Upstream};
use sha2::{Digest, Sha256};

use crate::support::home::{EXE, Out, run};

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// A repository made by hand: file name → bytes. The mirror never looks into packages, so any bytes will do.
#[derive(Clone, Default)]
pub struct Repo {
    pub packages: BTreeMap<String, Vec<u8>>,
    /// Metadata files are called `primary.xml.gz` and not by their checksums.
    pub plain_names: bool,
    pub timestamp: u64,
}

impl Repo {
    pub fn of(names: &[(&str, usize)]) -> Self {
        let mut repo = Self { timestamp: 1_700_000_000, ..Self::default() };
        for (name, size) in names {
            repo.put(name, *size, 0);
        }
        repo
    }

    /// Adds or replaces a package with bytes that nobody can guess from another.
    pub fn put(&mut self, name: &str, size: usize, seed: u8) {
        let mut bytes = Vec::with_capacity(size + 32);
        let mut block = Sha256::digest([name.as_bytes(), &[seed]].concat()).to_vec();
        while bytes.len() < size {
            bytes.extend_from_slice(&block);
            block = Sha256::digest(&block).to_vec();
        }
        bytes.truncate(size);
        self.packages.insert(name.to_owned(), bytes);
    }

    /// Writes it into `dir`; old files stay, as on a real mirror.
    pub fn write(&self, dir: &Path) {
        std::fs::create_dir_all(dir.join("repodata")).unwrap();
        let mut primary = format!(
            "<?xml version=\"1.0\"?>\n<metadata xmlns=\"http://linux.duke.edu/metadata/common\" packages=\"{}\">",
            self.packages.len()
        );
        for (name, bytes) in &self.packages {
            let path = dir.join("Packages").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            if std::fs::read(&path).ok().as_ref() != Some(bytes) {
                std::fs::write(&path, bytes).unwrap();
            }
            primary.push_str(&format!(
                "<package type=\"rpm\"><name>{}</name><arch>noarch</arch><version epoch=\"0\" ver=\"1\" rel=\"1\"/><checksum type=\"sha256\" pkgid=\"YES\">{}</checksum>\
                 <size package=\"{}\"/><location href=\"Packages/{name}\"/></package>",
                name.trim_end_matches(".rpm"),
                sha256(bytes),
                bytes.len()
            ));
        }
        primary.push_str("</metadata>");
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(primary.as_bytes()).unwrap();
        let gz = gz.finish().unwrap();
        let file = if self.plain_names { "primary.xml.gz".to_owned() } else { format!("{}-primary.xml.gz", sha256(&gz)) };
        std::fs::write(dir.join("repodata").join(&file), &gz).unwrap();
        let repomd = format!(
            "<?xml version=\"1.0\"?>\n<repomd xmlns=\"http://linux.duke.edu/metadata/repo\"><revision>x</revision><data type=\"primary\"><checksum type=\"sha256\">{}</checksum>\
             <open-checksum type=\"sha256\">{}</open-checksum><location href=\"repodata/{file}\"/><timestamp>{}</timestamp><size>{}</size><open-size>{}</open-size></data></repomd>\n",
            sha256(&gz),
            sha256(primary.as_bytes()),
            self.timestamp,
            gz.len(),
            primary.len()
        );
        std::fs::write(dir.join("repodata/repomd.xml"), repomd).unwrap();
    }
}

/// An upstream, a mirror beside it, and the binary.
pub struct World {
    pub dir: tempfile::TempDir,
    pub upstream: Upstream,
}

impl World {
    pub fn new(repo: &Repo) -> Self {
        let dir = tempfile::tempdir().unwrap();
        repo.write(&dir.path().join("up"));
        let upstream = Upstream::start(&dir.path().join("up"), Options::default()).unwrap();
        Self { dir, upstream }
    }

    pub fn up(&self) -> PathBuf {
        self.dir.path().join("up")
    }

    pub fn dest(&self) -> PathBuf {
        self.dir.path().join("mirror")
    }

    pub fn command(&self, with: &[&str]) -> Command {
        step(
            "mirror/sync",
            &[&[format!("url={}", self.upstream.url()).as_str()][..], with].concat(),
            &self.dest(),
            &self.dir.path().join("report"),
        )
    }

    /// Syncs from this upstream, in haste: short pauses, no settling.
    pub fn sync(&self, with: &[&str]) -> Out {
        run(self.command(with))
    }

    /// The `detail` and the `output`s of the last sync.
    pub fn told(&self) -> (String, BTreeMap<String, String>) {
        told(&self.dir.path().join("report"))
    }
}

pub fn step(kind: &str, with: &[&str], dest: &Path, report: &Path) -> Command {
    let _ = std::fs::remove_file(report);
    let mut c = Command::new(EXE);
    c.arg("step").arg(kind);
    let settle = (kind == "mirror/sync" && !with.iter().any(|w| w.starts_with("settle="))).then_some("settle=0s");
    for w in with.iter().copied().chain(settle) {
        c.arg("--with").arg(w);
    }
    if kind == "mirror/sync" {
        c.arg("--with").arg(format!("dest={}", dest.display()));
    }
    c.env("QD_REPORT", report).env_remove("QD_CRASH_AT").env("NO_PROXY", "127.0.0.1");
    c
}

pub fn told(report: &Path) -> (String, BTreeMap<String, String>) {
    let (mut detail, mut outputs) = (String::new(), BTreeMap::new());
    for line in std::fs::read_to_string(report).unwrap_or_default().lines() {
        let v: serde_json::Value = serde_json::from_str(line).expect("every report line is whole JSON");
        match v["type"].as_str() {
            Some("detail") => detail = v["text"].as_str().unwrap().to_owned(),
            Some("output") => drop(outputs.insert(v["name"].as_str().unwrap().to_owned(), v["value"].as_str().unwrap().to_owned())),
            Some("fact") if v["kind"] == "content" => {
                outputs.insert("fact.set".into(), v["set"].as_str().unwrap().to_owned());
                outputs.insert("fact.fp".into(), v["fp"].as_str().unwrap().to_owned());
            }
            _ => {}
        }
    }
    (detail, outputs)
}

/// Every served file with its content's digest; the mirror's own directory left out.
pub fn snapshot(dir: &Path) -> BTreeMap<String, String> {
    fn walk(top: &Path, dir: &Path, out: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                if entry.file_name() != ".quarterdeck" {
                    walk(top, &path, out);
                }
            } else {
                let text = std::fs::read(&path).map(|b| sha256(&b)).unwrap_or_default();
                out.insert(path.strip_prefix(top).unwrap().display().to_string(), text);
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(dir, dir, &mut out);
    out
}

/// One pass of a reader that trusts nothing: repomd.xml, then (after `pause`) its files and packages. The number of packages, or what is torn.
pub fn read_whole(dir: &Path, pause: impl FnOnce()) -> Result<usize, String> {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    let get = |rel: &str| std::fs::read(dir.join(rel)).map_err(|e| format!("{rel}: {e}"));
    let repomd = text(&get("repodata/repomd.xml")?);
    pause();
    let data = regex::Regex::new(
        r#"(?s)<data type="([a-z_]+)">.*?<checksum type="sha256">([0-9a-f]{64})<.*?<location href="([^"]+)"/>.*?</data>"#,
    )
    .unwrap();
    let package = regex::Regex::new(r#"(?s)<checksum type="sha256" pkgid="YES">([0-9a-f]{64})<.*?<location href="([^"]+)"/>"#).unwrap();
    let mut count = None;
    for c in data.captures_iter(&repomd) {
        let bytes = get(&c[3])?;
        if sha256(&bytes) != c[2] {
            return Err(format!("{} has another checksum", &c[3]));
        }
        if &c[1] == "primary" {
            let mut open = String::new();
            flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut open).map_err(|e| e.to_string())?;
            let mut n = 0;
            for p in package.captures_iter(&open) {
                if sha256(&get(&p[2])?) != p[1] {
                    return Err(format!("{} has another checksum", &p[2]));
                }
                n += 1;
            }
            count = Some(n);
        }
    }
    count.ok_or_else(|| "no primary".into())
}
