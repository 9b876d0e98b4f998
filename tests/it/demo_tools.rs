//! The genuine tools (rpm, dnf, createrepo_c, rpmbuild) as tests call them: away from the machine's own configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::support::home::{Out, run};
use crate::support::{have_program, skip};

/// True when every one of `programs` is there; otherwise says that `test` was skipped.
pub fn have(test: &str, programs: &[&str]) -> bool {
    match programs.iter().find(|p| !have_program(p)) {
        None => true,
        Some(missing) => {
            skip(test, &format!("{missing} is not installed"));
            false
        }
    }
}

/// Runs `program`, and panics with all it said unless it succeeds.
#[track_caller]
pub fn tool<S: AsRef<std::ffi::OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    let mut c = Command::new(program);
    c.args(args).env("LC_ALL", "C.UTF-8");
    run(c).expect(0).stdout
}

/// dnf over `repos` (id, base URL or path), with cache, root and logs in `work` and nothing of the machine's own.
pub fn dnf(work: &Path, repos: &[(&str, String)], args: &[&str]) -> Out {
    let mut c = Command::new("dnf");
    let path = |name: &str| work.join(name).display().to_string();
    c.env("LC_ALL", "C.UTF-8").env("HOME", work);
    std::fs::create_dir_all(work.join("log")).expect("a directory for dnf");
    c.args(["--quiet", "--assumeno", "--releasever=9", "--forcearch=x86_64", "--disablerepo=*"]);
    c.arg(format!("--installroot={}", path("root")));
    for (key, value) in [
        ("cachedir", path("cache")),
        ("persistdir", path("persist")),
        ("logdir", path("log")),
        ("reposdir", path("none")),
        ("varsdir", path("none")),
        ("module_platform_id", "platform:el9".to_owned()),
        ("timeout", "20".to_owned()),
        ("retries", "1".to_owned()),
        ("gpgcheck", "0".to_owned()),
    ] {
        c.arg(format!("--setopt={key}={value}"));
    }
    for (id, url) in repos {
        c.arg(format!("--repofrompath={id},{url}")).arg(format!("--enablerepo={id}"));
    }
    run({
        c.args(args);
        c
    })
}

/// `name-epoch:version-release.arch` of every package that dnf sees.
#[track_caller]
pub fn dnf_nevras(work: &Path, repos: &[(&str, String)]) -> BTreeSet<String> {
    let out = dnf(work, repos, &["repoquery", "--qf", "%{name}-%{epoch}:%{version}-%{release}.%{arch}"]).expect(0);
    out.stdout.lines().map(str::to_owned).collect()
}

/// One package of a primary.xml: every value in it by its path, such as `checksum`, `size@archive`,
/// `requires`: the sorted entries.
pub type Fields = BTreeMap<String, BTreeSet<String>>;

/// A primary, filelists or other document by package: NEVRA to fields. Read with a general XML reader, not with the
/// program's own.
pub fn packages_of(xml: &str) -> BTreeMap<String, Fields> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut out = BTreeMap::new();
    let mut path: Vec<String> = Vec::new();
    let mut fields = Fields::new();
    let mut text = String::new();
    loop {
        let (start, empty) = match reader.read_event().expect("well-formed XML") {
            Event::Start(e) => (Some(e), false),
            Event::Empty(e) => (Some(e), true),
            Event::Text(t) => {
                text.push_str(&t);
                (None, false)
            }
            Event::GeneralRef(r) => {
                text.push_str(match &*r {
                    "amp" => "&",
                    "lt" => "<",
                    "gt" => ">",
                    "quot" => "\"",
                    "apos" => "'",
                    other => panic!("unknown entity {other}"),
                });
                (None, false)
            }
            Event::End(e) => {
                let name = e.name().as_ref().to_owned();
                let value = std::mem::take(&mut text);
                if name == "package" {
                    let done = std::mem::take(&mut fields);
                    let one = |key: &str| done.get(key).and_then(|v| v.first()).cloned().unwrap_or_default();
                    let (name, arch) = (one("package/name") + &one("package@name"), one("package/arch") + &one("package@arch"));
                    let evr = ["epoch", "ver", "rel"].map(|k| one(&format!("package/version@{k}")));
                    out.insert(format!("{name}-{}:{}-{}.{arch}", evr[0], evr[1], evr[2]), done);
                } else if !value.trim().is_empty() {
                    fields.entry(path.join("/")).or_default().insert(value.trim().to_owned());
                }
                path.pop();
                (None, false)
            }
            Event::Eof => return out,
            _ => (None, false),
        };
        let Some(e) = start else { continue };
        let name = e.name().as_ref().to_owned();
        text.clear();
        // Below the document's own element.
        if name == "package" || !path.is_empty() {
            path.push(name.clone());
        }
        let attributes: Vec<(String, String)> = e
            .attributes()
            .map(|a| {
                let a = a.expect("attribute");
                let value = a.normalized_value(quick_xml::XmlVersion::Implicit1_0).expect("value").into_owned();
                (a.key.as_ref().to_owned(), value)
            })
            .collect();
        if name == "rpm:entry" {
            let line = attributes.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ");
            fields.entry(path.join("/")).or_default().insert(line);
        } else if !path.is_empty() {
            for (k, v) in attributes {
                fields.entry(format!("{}@{k}", path.join("/"))).or_default().insert(v);
            }
        }
        if empty && !path.is_empty() {
            path.pop();
        }
    }
}

/// The document of `kind` that `repo`'s repomd.xml names, decompressed.
pub fn document(repo: &Path, kind: &str) -> String {
    use std::io::Read;
    let repomd = std::fs::read_to_string(repo.join("repodata/repomd.xml")).expect("repomd.xml");
    let data =
        repomd.split("<data ").find(|d| d.starts_with(&format!("type=\"{kind}\""))).unwrap_or_else(|| panic!("no {kind} in {repomd}"));
    let href = data.split("<location href=\"").nth(1).and_then(|l| l.split('"').next()).expect("a location");
    let bytes = std::fs::read(repo.join(href)).expect("the document");
    let mut text = String::new();
    match href.rsplit('.').next() {
        Some("gz") => flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("gzip"),
        Some("zst") => zstd::Decoder::new(bytes.as_slice()).expect("zstd").read_to_string(&mut text).expect("zstd"),
        Some("xml") => bytes.as_slice().read_to_string(&mut text).expect("utf-8"),
        other => panic!("compression {other:?}"),
    };
    text
}
