//! Writes yum metadata (repomd, primary, filelists, other and whatever else is given) as createrepo_c does.
//! Works from package headers as the `rpm` crate reads them; knows nothing of our own readers.

use std::collections::BTreeSet;
use std::io::Write;

use flate2::{Compression, GzBuilder};
use rpm::{Dependency, DependencyFlags, FileFlags, FileType, IndexSignatureTag, PackageMetadata};
use serde::{Deserialize, Serialize};

use super::files::sha256;

/// What a package contributes to the metadata, kept so that a compose builds only what is new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// sha256 of the file, which is also the package id.
    pub sha256: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// Where the metadata says it is, relative to the repository.
    pub href: String,
    primary: String,
    filelists: String,
    other: String,
}

impl Entry {
    /// Claims that the file lies at `href`, which goes into the metadata as it is given (XML references included).
    pub fn relocate(&mut self, href: &str) {
        let old = format!("<location href=\"{}\"/>", esc(&self.href));
        self.primary = self.primary.replace(&old, &format!("<location href=\"{href}\"/>"));
        self.href = href.to_owned();
    }
}

/// Describes a package file. `mtime` in seconds since the epoch.
pub fn describe(bytes: &[u8], meta: &PackageMetadata, href: &str, mtime: i64) -> Result<Entry, rpm::Error> {
    let id = sha256(bytes);
    let size = bytes.len() as u64;
    let version = format!(
        "<version epoch=\"{}\" ver=\"{}\" rel=\"{}\"/>",
        meta.get_epoch().unwrap_or(0),
        esc(meta.get_version()?),
        esc(meta.get_release()?)
    );
    let head = format!("<package pkgid=\"{id}\" name=\"{}\" arch=\"{}\">\n  {version}\n", esc(meta.get_name()?), esc(meta.get_arch()?));
    let listed = listed_files(meta)?;
    let mut filelists = head.clone();
    for (path, kind) in &listed {
        filelists.push_str(&format!("  {}\n", file_element(path, kind)));
    }
    filelists.push_str("</package>\n");
    let mut other = head;
    let mut changes = meta.get_changelog_entries()?;
    // The ten newest, oldest of them first.
    changes.truncate(10);
    for c in changes.iter().rev() {
        other.push_str(&format!("  <changelog author=\"{}\" date=\"{}\">{}</changelog>\n", esc(&c.name), c.timestamp, esc(&c.description)));
    }
    other.push_str("</package>\n");
    let primary = primary(meta, &listed, &id, size, href, mtime, &version)?;
    Ok(Entry { sha256: id, size, href: href.to_owned(), primary, filelists, other })
}

fn primary(
    meta: &PackageMetadata,
    listed: &[(String, &'static str)],
    id: &str,
    size: u64,
    href: &str,
    mtime: i64,
    version: &str,
) -> Result<String, rpm::Error> {
    let offsets = meta.get_package_segment_offsets();
    let text = |r: Result<&str, rpm::Error>| r.map(esc).unwrap_or_default();
    let archive = meta.signature.get_entry_data_as_u32(IndexSignatureTag::RPMSIGTAG_PAYLOADSIZE).unwrap_or(0);
    let mut x = String::new();
    x.push_str("<package type=\"rpm\">\n");
    x.push_str(&format!("  <name>{}</name>\n  <arch>{}</arch>\n  {version}\n", text(meta.get_name()), text(meta.get_arch())));
    x.push_str(&format!("  <checksum type=\"sha256\" pkgid=\"YES\">{id}</checksum>\n"));
    x.push_str(&format!("  <summary>{}</summary>\n", text(meta.get_summary())));
    x.push_str(&format!("  <description>{}</description>\n", text(meta.get_description())));
    x.push_str(&format!("  <packager>{}</packager>\n  <url>{}</url>\n", text(meta.get_packager()), text(meta.get_url())));
    x.push_str(&format!("  <time file=\"{mtime}\" build=\"{}\"/>\n", meta.get_build_time()?));
    x.push_str(&format!("  <size package=\"{size}\" installed=\"{}\" archive=\"{archive}\"/>\n", meta.get_installed_size()?));
    x.push_str(&format!("  <location href=\"{}\"/>\n  <format>\n", esc(href)));
    x.push_str(&format!("    <rpm:license>{}</rpm:license>\n", text(meta.get_license())));
    x.push_str(&format!("    <rpm:vendor>{}</rpm:vendor>\n", text(meta.get_vendor())));
    x.push_str(&format!("    <rpm:group>{}</rpm:group>\n", text(meta.get_group())));
    x.push_str(&format!("    <rpm:buildhost>{}</rpm:buildhost>\n", text(meta.get_build_host())));
    x.push_str(&format!("    <rpm:sourcerpm>{}</rpm:sourcerpm>\n", text(meta.get_source_rpm())));
    x.push_str(&format!("    <rpm:header-range start=\"{}\" end=\"{}\"/>\n", offsets.header, offsets.payload));
    let provides = meta.get_provides()?;
    x.push_str(&deps("provides", &provides, |_| true));
    let provided: BTreeSet<&str> = provides.iter().map(|d| d.name.as_str()).collect();
    let own: BTreeSet<&str> = listed.iter().map(|(p, _)| p.as_str()).filter(|p| in_primary(p)).collect();
    // What rpm itself provides, and what the package brings along, is nobody else's to provide.
    x.push_str(&deps("requires", &meta.get_requires()?, |d| {
        !d.name.starts_with("rpmlib(") && !provided.contains(d.name.as_str()) && !own.contains(d.name.as_str())
    }));
    for (tag, list) in [
        ("conflicts", meta.get_conflicts()?),
        ("obsoletes", meta.get_obsoletes()?),
        ("suggests", meta.get_suggests()?),
        ("enhances", meta.get_enhances()?),
        ("recommends", meta.get_recommends()?),
        ("supplements", meta.get_supplements()?),
    ] {
        x.push_str(&deps(tag, &list, |_| true));
    }
    for (path, kind) in listed.iter().filter(|(p, _)| in_primary(p)) {
        x.push_str(&format!("    {}\n", file_element(path, kind)));
    }
    x.push_str("  </format>\n</package>\n");
    Ok(x)
}

fn listed_files(meta: &PackageMetadata) -> Result<Vec<(String, &'static str)>, rpm::Error> {
    let files = meta.get_file_entries()?;
    Ok(files
        .iter()
        .map(|f| {
            let kind = match f.file_type() {
                FileType::Dir => "dir",
                _ if f.flags().contains(FileFlags::GHOST) => "ghost",
                _ => "",
            };
            (f.path().to_string_lossy().into_owned(), kind)
        })
        .collect())
}

/// The paths that primary repeats from filelists.
fn in_primary(path: &str) -> bool {
    path.starts_with("/etc/") || path == "/usr/lib/sendmail" || path.contains("bin/")
}

fn file_element(path: &str, kind: &str) -> String {
    match kind {
        "" => format!("<file>{}</file>", esc(path)),
        kind => format!("<file type=\"{kind}\">{}</file>", esc(path)),
    }
}

fn deps(tag: &str, list: &[Dependency], keep: impl Fn(&Dependency) -> bool) -> String {
    let mut seen = BTreeSet::new();
    let mut entries = String::new();
    for d in list.iter().filter(|d| keep(d)) {
        let pre = d.flags.intersects(
            DependencyFlags::PREREQ | DependencyFlags::SCRIPT_PRE | DependencyFlags::SCRIPT_POST, //
        );
        let line = entry(d, pre);
        if seen.insert(line.clone()) {
            entries.push_str(&line);
        }
    }
    if entries.is_empty() { String::new() } else { format!("    <rpm:{tag}>\n{entries}    </rpm:{tag}>\n") }
}

fn entry(d: &Dependency, pre: bool) -> String {
    let pre = if pre { " pre=\"1\"" } else { "" };
    let flags = match d.flags.comparator_str() {
        "=" => "EQ",
        "<" => "LT",
        ">" => "GT",
        "<=" => "LE",
        ">=" => "GE",
        _ => "",
    };
    if flags.is_empty() || d.version.is_empty() {
        return format!("      <rpm:entry name=\"{}\"{pre}/>\n", esc(&d.name));
    }
    let (epoch, rest) = d.version.split_once(':').unwrap_or(("0", &d.version));
    let (ver, rel) = match rest.rsplit_once('-') {
        Some((v, r)) => (v, format!(" rel=\"{}\"", esc(r))),
        None => (rest, String::new()),
    };
    format!("      <rpm:entry name=\"{}\" flags=\"{flags}\" epoch=\"{epoch}\" ver=\"{}\"{rel}{pre}/>\n", esc(&d.name), esc(ver))
}

/// Escapes for XML text and attributes. Control characters that XML 1.0 cannot carry become `?`.
pub fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

/// One file of `repodata/`: its type in repomd, its name and its bytes.
#[derive(Debug, Clone)]
pub struct Data {
    pub kind: String,
    /// `SHA256-name`, without a directory.
    pub file: String,
    pub bytes: Vec<u8>,
    /// Checksum and size before compression; absent for a file that is not compressed.
    pub open: Option<(String, u64)>,
}

impl Data {
    /// A file stored as it is.
    pub fn plain(kind: &str, name: &str, bytes: Vec<u8>) -> Self {
        Self { kind: kind.to_owned(), file: format!("{}-{name}", sha256(&bytes)), bytes, open: None }
    }

    /// A file stored gzip-compressed, without time or name in the stream.
    pub fn gz(kind: &str, name: &str, open: &[u8]) -> Self {
        let bytes = gzip(open);
        let open = Some((sha256(open), open.len() as u64));
        Self { kind: kind.to_owned(), file: format!("{}-{name}.gz", sha256(&bytes)), bytes, open }
    }
}

/// gzip without time or name: the same bytes for the same input.
pub fn gzip(open: &[u8]) -> Vec<u8> {
    let mut gz = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    // Writing to a vector cannot fail.
    let _ = gz.write_all(open);
    gz.finish().unwrap_or_default()
}

/// A repository's metadata: the files of `repodata/` and `repomd.xml` itself.
#[derive(Debug, Clone)]
pub struct Repodata {
    pub data: Vec<Data>,
    pub repomd: Vec<u8>,
}

/// Puts together the metadata of a repository that holds `entries`. `extra` follows the three usual ones.
/// `time` is written as revision and as the time of every file.
pub fn repodata(entries: &[&Entry], extra: Vec<Data>, time: i64) -> Repodata {
    let n = entries.len();
    let join = |open: &str, part: fn(&Entry) -> &str, close: &str| {
        let mut x = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{open}\n");
        entries.iter().for_each(|e| x.push_str(part(e)));
        x.push_str(close);
        x.push('\n');
        x.into_bytes()
    };
    let ns = "http://linux.duke.edu/metadata";
    let primary = join(&format!("<metadata xmlns=\"{ns}/common\" xmlns:rpm=\"{ns}/rpm\" packages=\"{n}\">"), |e| &e.primary, "</metadata>");
    let filelists = join(&format!("<filelists xmlns=\"{ns}/filelists\" packages=\"{n}\">"), |e| &e.filelists, "</filelists>");
    let other = join(&format!("<otherdata xmlns=\"{ns}/other\" packages=\"{n}\">"), |e| &e.other, "</otherdata>");
    let mut data = vec![
        Data::gz("primary", "primary.xml", &primary),
        Data::gz("filelists", "filelists.xml", &filelists),
        Data::gz("other", "other.xml", &other),
    ];
    data.extend(extra);
    let repomd = repomd(&data, time);
    Repodata { data, repomd }
}

/// The index over `data`.
pub fn repomd(data: &[Data], time: i64) -> Vec<u8> {
    let ns = "http://linux.duke.edu/metadata";
    let mut x = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<repomd xmlns=\"{ns}/repo\" xmlns:rpm=\"{ns}/rpm\">\n  <revision>{time}</revision>\n  \
         <tags>\n    <distro cpeid=\"cpe:/o:centos:centos:9\">CentOS Stream 9</distro>\n  </tags>\n"
    );
    for d in data {
        x.push_str(&format!("  <data type=\"{}\">\n    <checksum type=\"sha256\">{}</checksum>\n", esc(&d.kind), sha256(&d.bytes)));
        if let Some((sum, _)) = &d.open {
            x.push_str(&format!("    <open-checksum type=\"sha256\">{sum}</open-checksum>\n"));
        }
        x.push_str(&format!("    <location href=\"repodata/{}\"/>\n    <timestamp>{time}</timestamp>\n", esc(&d.file)));
        x.push_str(&format!("    <size>{}</size>\n", d.bytes.len()));
        if let Some((_, size)) = &d.open {
            x.push_str(&format!("    <open-size>{size}</open-size>\n"));
        }
        x.push_str("  </data>\n");
    }
    x.push_str("</repomd>\n");
    x.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_header_cannot_break_out_of_its_element() {
        assert_eq!(esc("a<b>&\"c\"\u{1b}[0m"), "a&lt;b&gt;&amp;&quot;c&quot;?[0m");
    }

    #[test]
    fn an_entry_says_epoch_version_release_and_comparison() {
        let d =
            Dependency { name: "x".into(), flags: DependencyFlags::GE | DependencyFlags::SCRIPT_PRE, version: "2:1.0~rc1-3.el9".into() };
        assert_eq!(entry(&d, true).trim(), r#"<rpm:entry name="x" flags="GE" epoch="2" ver="1.0~rc1" rel="3.el9" pre="1"/>"#);
        let d = Dependency { name: "y".into(), flags: DependencyFlags::EQUAL, version: "3.9".into() };
        assert_eq!(entry(&d, false).trim(), r#"<rpm:entry name="y" flags="EQ" epoch="0" ver="3.9"/>"#);
    }

    #[test]
    fn the_same_input_compresses_to_the_same_bytes_and_names() {
        let (a, b) = (Data::gz("primary", "primary.xml", b"x"), Data::gz("primary", "primary.xml", b"x"));
        assert_eq!((a.file, a.bytes), (b.file, b.bytes));
    }
}
