//! `content/inspect`: every package's header held against what packages of a distribution may be: what metadata says of it, its licence, owners and rights
//! of its files, places that are no package's, and whether it goes back behind what is served. Findings are sorted as `rpminspect` sorts them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::BufReader;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rpm::{FileFlags, PackageMetadata};
use serde_json::json;

use super::unpack::sane_headers;
use super::{packages, repos, tell};
use crate::domain::content::Collector;
use crate::domain::nevra::Nevra;
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::report::Report;
use crate::steps::with::With;
use crate::systems::repo::{Origin, Tree};
use crate::wire::primary::Package;
use crate::wire::{excerpt, location};

const SHOWN: usize = 100;
/// Findings that the document of a run keeps.
const KEPT: usize = 10_000;
/// Directories in which no package of a distribution has files.
const NO_PLACE: [&str; 6] = ["/tmp/", "/var/tmp/", "/home/", "/usr/local/", "/root/", "/mnt/"];
/// Directories whose programs belong to root.
const PROGRAMS: [&str; 5] = ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/libexec/"];

/// What a finding is worth: BAD and VERIFY hold a content back unless somebody waives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    Info,
    Verify,
    Bad,
}

impl fmt::Display for Worth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "INFO",
            Self::Verify => "VERIFY",
            Self::Bad => "BAD",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    worth: Worth,
    inspection: &'static str,
    /// Name of the package, by which it is waived.
    name: String,
    nevra: String,
    why: String,
}

impl Finding {
    /// `NAME/INSPECTION`.
    fn waiver(&self) -> String {
        format!("{}/{}", self.name, self.inspection)
    }
}

struct Item {
    tree: usize,
    at: String,
    name: String,
    nevra: String,
}

/// A file of a package, as far as it is judged.
struct Held {
    path: String,
    user: String,
    mode: u32,
    regular: bool,
    ghost: bool,
}

pub fn run(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    let (mut trees, mut items, mut all, mut own) = (Vec::new(), Vec::new(), Collector::new(), Newest::new());
    for repo in repos(with, "tree", env) {
        let tree = open(&repo.at)?;
        packages(&repo.name, &tree, &mut all, |p| {
            let at = location::check(&p.href).map_err(|e| e.to_string())?.to_string();
            items.push(Item { tree: trees.len(), at, name: p.name.clone(), nevra: p.nevra() });
            newest(&mut own, p);
            Ok(())
        })?;
        trees.push(tree);
    }
    let (mut served, mut unjudged) = (Newest::new(), Collector::new());
    for repo in repos(with, "before", env) {
        packages(&repo.name, &open(&repo.at)?, &mut unjudged, |p| {
            newest(&mut served, p);
            Ok(())
        })?;
    }
    let (next, done, found) = (AtomicUsize::new(0), AtomicU64::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(items.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let some = inspected(&trees[item.tree], item);
                    if let (false, Ok(mut found)) = (some.is_empty(), found.lock()) {
                        found.extend(some);
                    }
                    report.progress(done.fetch_add(1, Ordering::Relaxed) + 1, items.len() as u64, "packages", "inspecting");
                }
            });
        }
    });
    let reading = all.finish();
    tell(report, with, &reading);
    let mut found: Vec<Finding> = found.into_inner().unwrap_or_default();
    found.extend(back(&own, &served));
    found.sort_by(|a, b| b.worth.cmp(&a.worth).then_with(|| (&a.nevra, a.inspection, &a.why).cmp(&(&b.nevra, b.inspection, &b.why))));
    conclude(&Judged { found, waived: with.list("waive"), packages: items.len() }, env, report)
}

fn open(at: &str) -> Result<Tree, StepError> {
    match Origin::open(at)? {
        Origin::Local(tree) => Ok(tree),
        Origin::Http { .. } => Err(StepError::input(
            format!("`{}` is no directory", excerpt(at)),
            "content/inspect reads packages on disk: sync the tree first",
        )),
    }
}

/// Newest package of each name and architecture.
type Newest = BTreeMap<(String, String), Nevra>;

fn newest(out: &mut Newest, p: &Package) {
    let Ok(own) = Nevra::parse(&p.nevra()) else { return };
    match out.get_mut(&(p.name.clone(), p.arch.clone())) {
        Some(old) if old.cmp_evr(&own).is_ge() => {}
        Some(old) => *old = own,
        None => drop(out.insert((p.name.clone(), p.arch.clone()), own)),
    }
}

/// Packages that go back behind what is served.
fn back(new: &Newest, old: &Newest) -> Vec<Finding> {
    let older = new.iter().filter_map(|(key, own)| Some((own, old.get(key).filter(|old| own.cmp_evr(old).is_lt())?)));
    let finding = |(own, old): (&Nevra, &Nevra)| Finding {
        worth: Worth::Verify,
        inspection: "upgrade",
        name: own.name.clone(),
        nevra: own.to_string(),
        why: format!("it is older than {old}, which is served: hosts that have that keep it"),
    };
    older.map(finding).collect()
}

/// What the header of one package says against it.
fn inspected(tree: &Tree, item: &Item) -> Vec<Finding> {
    let of = |worth, inspection, why: String| Finding { worth, inspection, name: item.name.clone(), nevra: item.nevra.clone(), why };
    let metadata = match header(tree, &item.at) {
        Ok(metadata) => metadata,
        Err(why) => return vec![of(Worth::Bad, "header", why)],
    };
    let own = match own_nevra(&metadata) {
        Ok(own) => own,
        Err(why) => return vec![of(Worth::Bad, "header", why)],
    };
    let mut out = Vec::new();
    if own != item.nevra {
        out.push(of(Worth::Bad, "metadata", format!("its header says that it is {}", excerpt(&own))));
    }
    if metadata.get_license().map_or(true, |l| l.trim().is_empty()) {
        out.push(of(Worth::Bad, "license", "it names no licence".into()));
    }
    if metadata.get_changelog_entries().is_ok_and(|c| c.is_empty()) {
        out.push(of(Worth::Info, "changelog", "it has no changelog: what it fixes nobody can say".into()));
    }
    match held(&metadata) {
        Ok(files) => files.iter().filter_map(judged).for_each(|(worth, inspection, why)| out.push(of(worth, inspection, why))),
        Err(why) => out.push(of(Worth::Bad, "header", why)),
    }
    out
}

fn header(tree: &Tree, at: &str) -> Result<PackageMetadata, String> {
    use std::io::Seek;
    let text = |e: std::io::Error| excerpt(&e.to_string());
    let mut file = tree.open_read(at).map_err(|e| e.to_string())?;
    sane_headers(&mut file).map_err(text)?;
    file.rewind().map_err(text)?;
    let mut input = BufReader::with_capacity(64 << 10, file);
    PackageMetadata::parse(&mut input).map_err(|e| format!("its header cannot be read: {}", excerpt(&e.to_string())))
}

fn own_nevra(m: &PackageMetadata) -> Result<String, String> {
    let text = |r: Result<&str, rpm::Error>, what: &str| r.map(str::to_owned).map_err(|_| format!("its header has no {what}"));
    let (name, version) = (text(m.get_name(), "name")?, text(m.get_version(), "version")?);
    let (release, arch) = (text(m.get_release(), "release")?, text(m.get_arch(), "architecture")?);
    Ok(format!("{name}-{}:{version}-{release}.{arch}", m.get_epoch().unwrap_or(0)))
}

fn held(m: &PackageMetadata) -> Result<Vec<Held>, String> {
    let files = m.get_file_entries().map_err(|e| format!("its list of files cannot be read: {}", excerpt(&e.to_string())))?;
    let one = |f: rpm::FileEntry<'_>| Held {
        path: f.path().to_string_lossy().into_owned(),
        user: f.user().to_owned(),
        mode: u32::from(f.mode().raw_mode()),
        regular: f.file_type() == rpm::FileType::Regular,
        ghost: f.flags().contains(FileFlags::GHOST),
    };
    Ok(files.into_iter().map(one).collect())
}

/// One file; the first thing that is wrong with it, the worst first.
fn judged(f: &Held) -> Option<(Worth, &'static str, String)> {
    let path = excerpt(&f.path);
    let (special, open) = (f.mode & 0o6000 != 0, f.mode & 0o002 != 0);
    if NO_PLACE.iter().any(|d| f.path.starts_with(d)) && !f.ghost {
        return Some((Worth::Bad, "paths", format!("{path} lies where no package has files")));
    }
    if f.regular && open {
        return Some((Worth::Bad, "permissions", format!("everybody may write {path}")));
    }
    if f.regular && f.user != "root" && PROGRAMS.iter().any(|d| f.path.starts_with(d)) {
        return Some((Worth::Bad, "ownership", format!("{path} is a program of {}, not of root", excerpt(&f.user))));
    }
    if f.regular && special {
        let worth = if f.user == "root" { Worth::Info } else { Worth::Verify };
        return Some((worth, "permissions", format!("{path} runs with the rights of its owner ({}) or group", excerpt(&f.user))));
    }
    None
}

struct Judged<'a> {
    found: Vec<Finding>,
    /// `NAME/INSPECTION`.
    waived: &'a [String],
    packages: usize,
}

impl Judged<'_> {
    fn open(&self) -> Vec<&Finding> {
        let holds = |f: &&Finding| f.worth > Worth::Info && !self.waived.contains(&f.waiver());
        self.found.iter().filter(holds).collect()
    }

    /// As the run keeps it.
    fn document(&self) -> String {
        let finding = |f: &Finding| {
            json!({
                "result": f.worth.to_string(), "inspection": f.inspection, "name": f.name, "package": f.nevra, "message": f.why,
                "waived": self.waived.contains(&f.waiver()),
            })
        };
        let all: Vec<_> = self.found.iter().take(KEPT).map(finding).collect();
        let whole = json!({"format": 1, "packages": self.packages, "findings": self.found.len(), "results": all});
        serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n"
    }
}

fn conclude(all: &Judged<'_>, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    if env.workspace.is_some() {
        let path = env.path("inspection.json");
        let failed = |e: std::io::Error| StepError::failed(format!("{}: {e}", path.display()), "look at the rights and the space there");
        std::fs::write(&path, all.document()).map_err(failed)?;
    }
    let count = |w: Worth| all.found.iter().filter(|f| f.worth == w).count();
    for f in all.found.iter().take(SHOWN) {
        let waived = if f.worth > Worth::Info && all.waived.contains(&f.waiver()) { " (waived)" } else { "" };
        report.say(&format!("{}{waived} {} {}: {}", f.worth, f.inspection, excerpt(&f.nevra), f.why));
    }
    if all.found.len() > SHOWN {
        report.say(&format!("only the first {SHOWN} of {} are shown", all.found.len()));
    }
    let open = all.open();
    report.output("bad", &count(Worth::Bad).to_string());
    report.output("verify", &count(Worth::Verify).to_string());
    report.output("open", &open.len().to_string());
    let counts = format!("{} BAD, {} VERIFY, {} INFO", count(Worth::Bad), count(Worth::Verify), count(Worth::Info));
    if let Some(first) = open.first() {
        let what = format!("{}: {} {}", excerpt(&first.nevra), first.worth, first.why);
        let next = format!("look at the package; what is right all the same is waived by waive: [\"{}\"]", excerpt(&first.waiver()));
        return Err(StepError::failed(format!("{} of {counts} in {} packages are not waived; {what}", open.len(), all.packages), next));
    }
    let detail =
        format!("{} packages inspected: {counts}{}", all.packages, if all.waived.is_empty() { "" } else { ", BAD and VERIFY waived" });
    report.detail(&detail);
    report.summary(&detail);
    report.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, user: &str, mode: u32) -> Held {
        Held { path: path.into(), user: user.into(), mode, regular: true, ghost: false }
    }

    #[test]
    fn files_are_judged_by_place_rights_and_owner() {
        let of = |f: &Held| judged(f).map(|(w, i, _)| (w, i));
        assert_eq!(of(&file("/usr/bin/ls", "root", 0o755)), None);
        assert_eq!(of(&file("/usr/bin/su", "root", 0o4755)), Some((Worth::Info, "permissions")));
        assert_eq!(of(&file("/usr/libexec/x", "x", 0o4755)), Some((Worth::Bad, "ownership")));
        assert_eq!(of(&file("/var/lib/x/run", "x", 0o2755)), Some((Worth::Verify, "permissions")));
        assert_eq!(of(&file("/etc/x", "root", 0o666)), Some((Worth::Bad, "permissions")));
        assert_eq!(of(&file("/usr/local/bin/x", "root", 0o755)), Some((Worth::Bad, "paths")));
        assert_eq!(of(&Held { ghost: true, ..file("/tmp/.X11-unix", "root", 0o644) }), None);
        assert_eq!(of(&Held { regular: false, ..file("/var/spool/mail", "root", 0o1777) }), None, "a directory may be everybody's");
    }

    #[test]
    fn only_the_newest_of_a_name_is_held_against_what_is_served() {
        let of = |all: &[&str]| {
            let mut out = Newest::new();
            for text in all {
                let n = Nevra::parse(text).unwrap();
                let epoch = n.epoch.to_string();
                let p = Package {
                    name: n.name.clone(),
                    arch: n.arch.clone(),
                    epoch,
                    version: n.version.clone(),
                    release: n.release.clone(),
                    ..Package::default()
                };
                newest(&mut out, &p);
            }
            out
        };
        let served = of(&["a-0:2-1.x86_64", "b-0:1-1.noarch"]);
        assert_eq!(back(&of(&["a-0:1-1.x86_64", "a-0:3-1.x86_64", "b-0:1-1.noarch", "c-0:1-1.noarch"]), &served), []);
        let gone_back = back(&of(&["a-0:1-1.x86_64"]), &served);
        assert_eq!((gone_back.len(), gone_back[0].waiver().as_str(), gone_back[0].worth), (1, "a/upgrade", Worth::Verify));
    }

    #[test]
    fn a_waiver_is_of_one_inspection_of_one_package_and_info_needs_none() {
        let of = |worth, name: &str| Finding {
            worth,
            inspection: "paths",
            name: name.into(),
            nevra: format!("{name}-0:1-1.noarch"),
            why: "w".into(),
        };
        let waived = ["a/paths".to_owned(), "b/license".to_owned()];
        let all = Judged { found: vec![of(Worth::Bad, "a"), of(Worth::Verify, "b"), of(Worth::Info, "c")], waived: &waived, packages: 3 };
        assert_eq!(all.open().iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["b"]);
        let doc: serde_json::Value = serde_json::from_str(&all.document()).unwrap();
        assert_eq!((&doc["results"][0]["waived"], &doc["results"][1]["result"]), (&json!(true), &json!("VERIFY")));
    }
}
