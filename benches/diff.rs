//! Two composes of 20,000 packages told apart, and one primary read, beside createrepo_c's Python binding and `dnf repoquery`: whole processes,
//! time and peak memory, the same files.
//!
//! The metadata is written here in createrepo_c's manner, 2.8 kB a package; 400 packages are upgraded, 60 are new, 40 are gone, and every tool
//! must find exactly that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/mod.rs"]
mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Samples, ms, size};
use sha2::{Digest, Sha256};
use support::home::Home;

const US: &str = "quarterdeck diff";
const BINDING: &str = "python3-createrepo-c";
const DNF: &str = "dnf repoquery";
const TIME: &str = "two composes told apart";
const MEMORY: &str = "peak memory, two composes";
/// Of that, what is the process's own: neither its program nor its libraries, which it shares with whoever else runs them.
const OWN: &str = "of it its own";

fn main() {
    let mut samples = Samples::new("diff");
    let work = tempfile::tempdir().expect("a temporary directory");
    let n = size(20_000, 400);
    let (a, b) = (work.path().join("a"), work.path().join("b"));
    compose(&a, n, false);
    compose(&b, n, true);
    let home = Home::new();
    as_installed(Path::new(support::home::EXE));
    for _ in 0..size(9, 1) {
        ours(&mut samples, &home, &a, &b, n);
        if has_binding() {
            binding(&mut samples, &a, &b, n);
        } else {
            support::skip("bench.createrepo_c", "the Python binding is not installed (Debian: python3-createrepo-c)");
        }
    }
    if support::have_program("dnf") {
        for _ in 0..size(3, 1) {
            dnf(&mut samples, work.path(), &b, n);
        }
    } else {
        support::skip("bench.repoquery", "dnf is not installed");
    }
    samples.ratio(TIME, US, BINDING, "at most 0.33");
    let (peak, own) = (samples.median(US, MEMORY), samples.median(US, OWN));
    println!("  peak memory: {peak:.1} MiB, {own:.1} of it its own   (budget: at most 20)");
    samples.finish();
}

/// A file that was just written lies in the page cache in large pieces, and since 6.18 Linux maps such a piece whole where one page of it is
/// touched: 2 to 3 MiB of a program that was just linked count as memory of its process, and of one that was read from the disk do not.
/// So it is read from the disk, as what it is compared with was.
fn as_installed(program: &Path) {
    let drop = |file: std::fs::File| {
        file.sync_all()?;
        Ok(rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?)
    };
    if let Err(e) = std::fs::File::open(program).and_then(drop) {
        println!("  {} is measured as it lies in the page cache: {e}", program.display());
    }
}

/// Packages that changed: one in fifty is newer; three in a thousand are new, two are gone.
fn changed(i: usize, n: usize) -> (bool, bool, bool) {
    (i.is_multiple_of(50), i >= n - n * 2 / 1000, i < n * 3 / 1000)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// A repository of about `n` packages. `later`: the second compose.
fn compose(dir: &Path, n: usize, later: bool) {
    let mut primary = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata xmlns=\"http://linux.duke.edu/metadata/common\" xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\">\n",
    );
    let mut other =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<otherdata xmlns=\"http://linux.duke.edu/metadata/other\">\n");
    for i in 0..n {
        let (newer, gone, _) = changed(i, n);
        if !(later && gone) {
            package(
                &mut primary,
                &mut other,
                &format!("package{:x}-{i}", i.wrapping_mul(2_654_435_761) % 0xff_ffff),
                i,
                later && newer && !gone,
            );
        }
    }
    for i in (0..n).filter(|i| later && changed(*i, n).2) {
        package(&mut primary, &mut other, &format!("fresh-{i}"), i, false);
    }
    primary.push_str("</metadata>\n");
    other.push_str("</otherdata>\n");
    std::fs::create_dir_all(dir.join("repodata")).expect("repodata");
    let mut repomd = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<repomd xmlns=\"http://linux.duke.edu/metadata/repo\">\n<revision>1</revision>\n",
    );
    for (ty, text) in [("primary", &primary), ("other", &other)] {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gz.write_all(text.as_bytes()).expect("packed");
        let packed = gz.finish().expect("packed");
        let file = format!("repodata/{ty}.xml.gz");
        let _ = writeln!(
            repomd,
            "<data type=\"{ty}\"><checksum type=\"sha256\">{}</checksum><open-checksum type=\"sha256\">{}</open-checksum><location href=\"{file}\"/>\
             <timestamp>1700000000</timestamp><size>{}</size><open-size>{}</open-size></data>",
            hex(&packed),
            hex(text.as_bytes()),
            packed.len(),
            text.len()
        );
        std::fs::write(dir.join(file), packed).expect("metadata");
    }
    std::fs::write(dir.join("repodata/repomd.xml"), repomd + "</repomd>\n").expect("repomd.xml");
}

fn package(primary: &mut String, other: &mut String, name: &str, i: usize, newer: bool) {
    let version = if newer { "1.2.4" } else { "1.2.3" };
    let (id, release) = (hex(format!("{name} {version}").as_bytes()), i % 9);
    let _ = write!(
        primary,
        "<package type=\"rpm\">\n  <name>{name}</name>\n  <arch>x86_64</arch>\n  <version epoch=\"0\" ver=\"{version}\" rel=\"{release}.el9\"/>\n  \
         <checksum type=\"sha256\" pkgid=\"YES\">{id}</checksum>\n  <summary>Some thing that does what one line says it does</summary>\n  \
         <description>{}</description>\n  <packager>CentOS Build System &lt;builder@centos.org&gt;</packager>\n  <url>https://example.org/{name}</url>\n  \
         <time file=\"1700000000\" build=\"1699999000\"/>\n  <size package=\"{}\" installed=\"{}\" archive=\"{}\"/>\n  \
         <location href=\"Packages/{name}-{version}-{release}.el9.x86_64.rpm\"/>\n  <format>\n    <rpm:license>GPLv2+ and MIT</rpm:license>\n    \
         <rpm:vendor>CentOS</rpm:vendor>\n    <rpm:group>Unspecified</rpm:group>\n    <rpm:buildhost>x86-05.mbox.centos.org</rpm:buildhost>\n    \
         <rpm:sourcerpm>{name}-{version}-{release}.el9.src.rpm</rpm:sourcerpm>\n    <rpm:header-range start=\"4504\" end=\"17373\"/>\n    <rpm:provides>\n",
        "A longer text in several lines that are wrapped somewhere.\n".repeat(6),
        10_000 + i,
        30_000 + i,
        31_000 + i
    );
    for k in 0..6 {
        let _ = writeln!(
            primary,
            "      <rpm:entry name=\"{name}-part{k}\" flags=\"EQ\" epoch=\"0\" ver=\"{version}\" rel=\"{release}.el9\"/>"
        );
    }
    primary.push_str("    </rpm:provides>\n    <rpm:requires>\n");
    for k in 0..14 {
        let _ = writeln!(primary, "      <rpm:entry name=\"libsomething{}.so.{k}()(64bit)\"/>", (i * 7 + k * 13) % 5_000);
    }
    let _ = write!(
        primary,
        "    </rpm:requires>\n    <file>/usr/bin/{name}</file>\n    <file>/etc/{name}.conf</file>\n  </format>\n</package>\n"
    );
    let _ = writeln!(
        other,
        "<package pkgid=\"{id}\" name=\"{name}\" arch=\"x86_64\"><version epoch=\"0\" ver=\"{version}\" rel=\"{release}.el9\"/>"
    );
    for (v, date) in [("1.2.2", 1_600_000_000), ("1.2.3", 1_650_000_000)] {
        let _ = writeln!(
            other,
            "<changelog author=\"A Person &lt;a@example.org&gt; - {v}-{release}\" date=\"{date}\">- Update to {v} and mend what was said of it</changelog>"
        );
    }
    if newer {
        let _ = writeln!(
            other,
            "<changelog author=\"A Person &lt;a@example.org&gt; - 1.2.4-{release}\" date=\"1700000000\">- Fix CVE-2024-{:05}</changelog>",
            10_000 + i
        );
    }
    other.push_str("</package>\n");
}

/// What a program took.
struct Run {
    ms: f64,
    /// MiB: at the most, and of that what is its own, as a look each millisecond found it.
    peak: f64,
    own: f64,
    said: String,
}

/// The shortest way to a child's peak memory that every machine with these tools has. The child is there, and nothing of us is in it, once
/// `posix_spawnp` has returned.
const WATCH: &str = "import os,sys,time
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
own, ended = 0, 0
while not ended:
    try:
        own = max(own, *(int(l.split()[1]) for l in open(f'/proc/{pid}/status') if l.startswith('RssAnon')), 0)
    except OSError:
        pass
    time.sleep(0.001)
    ended, status, used = os.wait4(pid, os.WNOHANG)
print('PEAK', used.ru_maxrss, own, os.waitstatus_to_exitcode(status))
";

/// Runs a program twice: for its memory and what it says, and for its time, with nobody around it.
fn measured(command: &mut Command) -> Run {
    let program = command.get_program().to_owned();
    let mut watched = Command::new("python3");
    watched.args(["-c", WATCH]).arg(program).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => watched.env(key, value),
            None => watched.env_remove(key),
        };
    }
    let out = watched.stdin(Stdio::null()).output().expect("python3 is there");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let peak = said.lines().rfind(|l| l.starts_with("PEAK ")).unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&out.stderr)));
    let numbers: Vec<f64> = peak.split(' ').skip(1).map(|n| n.parse().unwrap()).collect();
    assert_eq!(numbers[2], 0.0, "{said}{}", String::from_utf8_lossy(&out.stderr));
    let (ms, status) = ms(|| command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it starts"));
    assert!(status.success());
    Run { ms, peak: numbers[0] / 1024.0, own: numbers[1] / 1024.0, said }
}

fn ours(samples: &mut Samples, home: &Home, a: &Path, b: &Path, n: usize) {
    let version = env!("CARGO_PKG_VERSION");
    let args = |flag: &'static str| ["--json".into(), "diff".into(), a.display().to_string(), b.display().to_string(), flag.to_owned()];
    let run = measured(&mut home.command(args("--no-changelogs")));
    let doc: serde_json::Value = serde_json::from_str(run.said.lines().next().unwrap()).unwrap();
    let found = ["up", "new", "gone"].map(|k| doc["packages"][k].as_u64().unwrap() as usize);
    assert_eq!(found, expected(n));
    samples.add(US, version, TIME, "ms", run.ms);
    samples.add(US, version, MEMORY, "MiB", run.peak);
    samples.add(US, version, OWN, "MiB", run.own);
    let run = measured(&mut home.command(&args("--exit-code")[..4]));
    let doc: serde_json::Value = serde_json::from_str(run.said.lines().next().unwrap()).unwrap();
    assert_eq!(doc["cves"].as_array().unwrap().len(), expected(n)[0]);
    samples.add(US, version, "with changelogs and CVE ids", "ms", run.ms);
    samples.add(US, version, "peak memory, with changelogs", "MiB", run.peak);
}

fn expected(n: usize) -> [usize; 3] {
    let kept = |i: &usize| !changed(*i, n).1;
    [(0..n).filter(kept).filter(|i| changed(*i, n).0).count(), n * 3 / 1000, n * 2 / 1000]
}

/// The interpreter that Debian's packages belong to, wherever another one is first on the path.
const PYTHON: &str = "/usr/bin/python3";

fn has_binding() -> bool {
    Command::new(PYTHON).args(["-c", "import createrepo_c"]).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

const SCRIPT: &str = "import createrepo_c as cr, sys
def load(p):
    d = {}
    def row(k):
        d[(k.name, k.arch)] = (k.epoch, k.version, k.release, k.pkgId)
    cr.xml_parse_primary(p, pkgcb=row, do_files=False)
    return d
a, b = load(sys.argv[1]), load(sys.argv[2])
print(len([k for k in a if k in b and a[k] != b[k]]), len([k for k in b if k not in a]), len([k for k in a if k not in b]))
";

fn binding(samples: &mut Samples, a: &Path, b: &Path, n: usize) {
    let file = |d: &Path| d.join("repodata/primary.xml.gz").display().to_string();
    let run = measured(Command::new(PYTHON).args(["-c", SCRIPT, &file(a), &file(b)]));
    let found: Vec<usize> = run.said.lines().next().unwrap().split(' ').map(|w| w.parse().unwrap()).collect();
    assert_eq!(found, expected(n));
    let version = Command::new(PYTHON).args(["-c", "import createrepo_c; print(createrepo_c.VERSION)"]).output().expect("it is there");
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    samples.add(BINDING, &version, TIME, "ms", run.ms);
    samples.add(BINDING, &version, MEMORY, "MiB", run.peak);
    samples.add(BINDING, &version, OWN, "MiB", run.own);
}

/// Listing one compose, with nothing cached: what a person waits for who asks dnf.
fn dnf(samples: &mut Samples, work: &Path, repo: &Path, n: usize) {
    let cache = work.join("dnf");
    let _ = std::fs::remove_dir_all(&cache);
    // dnf ends without a list where its log has no directory.
    std::fs::create_dir_all(cache.join("logdir")).expect("a directory");
    let mut command = Command::new("dnf");
    command.args(["--quiet", "--releasever=9", "--forcearch=x86_64", "--setopt=reposdir=/dev/null", "--setopt=varsdir=/dev/null"]);
    command.arg(format!("--installroot={}", cache.join("root").display()));
    for key in ["cachedir", "persistdir", "logdir"] {
        command.arg(format!("--setopt={key}={}", cache.join(key).display()));
    }
    command.arg(format!("--repofrompath=bench,file://{}", repo.display())).args(["--repoid=bench", "repoquery", "--nvr"]);
    let (took, out) = ms(|| command.stdin(Stdio::null()).output().expect("dnf starts"));
    let lines = String::from_utf8_lossy(&out.stdout).lines().count();
    assert!(lines >= n * 99 / 100, "{lines} {}", String::from_utf8_lossy(&out.stderr));
    samples.add(DNF, &common::version("dnf"), "one compose listed, nothing cached", "ms", took);
}
