//! Promotions over packages that need one another: holds that break something are refused with the chain; the security lane.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::cobbler::fake::FakeCobbler;
use crate::demo_tools::have;
use crate::mirror::{Repo, read_whole, sha256};
use crate::promotion::{DCS, Estate, WITHOUT};
use crate::signatures;
use crate::support::until_some;

/// `name version requires`: a package provides its own name; requirements are divided by commas, `NAME` or `NAME>=VERSION`.
pub fn repo(at: &Path, packages: &[(&str, &str, &str)]) {
    std::fs::create_dir_all(at.join("repodata")).unwrap();
    std::fs::create_dir_all(at.join("Packages")).unwrap();
    let mut primary = format!(
        "<?xml version=\"1.0\"?>\n<metadata xmlns=\"http://linux.duke.edu/metadata/common\" xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\" packages=\"{}\">",
        packages.len()
    );
    for (name, version, requires) in packages {
        let file = format!("Packages/{name}-{version}-1.noarch.rpm");
        let bytes = format!("{name} {version} {}", "x".repeat(300));
        if std::fs::read(at.join(&file)).ok().as_deref() != Some(bytes.as_bytes()) {
            std::fs::write(at.join(&file), &bytes).unwrap();
        }
        let needs: String = requires
            .split(',')
            .filter(|r| !r.is_empty())
            .map(|r| match r.split_once(">=") {
                Some((n, v)) => format!("<rpm:entry name=\"{n}\" flags=\"GE\" epoch=\"0\" ver=\"{v}\"/>"),
                None => match r.split_once('=') {
                    Some((n, v)) => format!("<rpm:entry name=\"{n}\" flags=\"EQ\" epoch=\"0\" ver=\"{v}\"/>"),
                    None => format!("<rpm:entry name=\"{r}\"/>"),
                },
            })
            .collect();
        primary.push_str(&format!(
            "<package type=\"rpm\"><name>{name}</name><arch>noarch</arch><version epoch=\"0\" ver=\"{version}\" rel=\"1\"/>\
             <checksum type=\"sha256\" pkgid=\"YES\">{}</checksum><size package=\"{}\"/><location href=\"{file}\"/><format>\
             <rpm:provides><rpm:entry name=\"{name}\" flags=\"EQ\" epoch=\"0\" ver=\"{version}\" rel=\"1\"/></rpm:provides>\
             <rpm:requires>{needs}</rpm:requires></format></package>",
            sha256(bytes.as_bytes()),
            bytes.len()
        ));
    }
    primary.push_str("</metadata>");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(primary.as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    let (sum, open) = (sha256(&gz), sha256(primary.as_bytes()));
    std::fs::write(at.join(format!("repodata/{sum}-primary.xml.gz")), &gz).unwrap();
    let repomd = format!(
        "<?xml version=\"1.0\"?>\n<repomd xmlns=\"http://linux.duke.edu/metadata/repo\"><revision>x</revision><data type=\"primary\">\
         <checksum type=\"sha256\">{sum}</checksum><open-checksum type=\"sha256\">{open}</open-checksum>\
         <location href=\"repodata/{sum}-primary.xml.gz\"/><timestamp>1700000000</timestamp><size>{}</size><open-size>{}</open-size></data></repomd>\n",
        gz.len(),
        primary.len()
    );
    std::fs::write(at.join("repodata/repomd.xml"), repomd).unwrap();
}

/// From compose 3 on, ssl needs the crypto of its own version, and app needs that ssl.
pub fn composes(n: u8, name: &str, at: &Path) {
    let v = n.to_string();
    match (name, n) {
        ("base", 3..) => repo(at, &[("crypto", &v, ""), ("ssl", &v, &format!("crypto>={v}")), ("steady", "1", "")]),
        ("base", _) => repo(at, &[("crypto", &v, ""), ("ssl", &v, "crypto"), ("steady", "1", "")]),
        (_, 3..) => repo(at, &[("app", &v, &format!("ssl>={v}"))]),
        _ => repo(at, &[("app", &v, "ssl")]),
    }
}

#[test]
fn a_hold_that_cannot_be_installed_is_refused_with_the_chain_that_breaks() {
    let e = Estate::of(Box::new(composes), WITHOUT, "");
    let hold = |package: &str| {
        let with = format!("package={package}");
        e.qd(&["do", "hold-add", "el9", "--with", &with, "--with", "until=7d", "--reason", "INC-1", "--confirm", "el9"])
    };
    let chain = "app-0:3-1.noarch needs ssl >= 3; ssl-0:3-1.noarch needs crypto >= 3, but there is crypto-0:1-1.noarch";
    let first = "ssl-0:3-1.noarch needs crypto >= 3, but there is crypto-0:1-1.noarch";
    // What compose 2 has installs with the old crypto; nothing was refused that need not be.
    hold("crypto").expect(0);
    e.publish(3);
    // A promotion with that hold cannot install any more, and its soak does not even begin.
    e.home.json(&["do", "promote", "el9"]);
    let id = e.promotion()["promotion"].as_str().unwrap().to_owned();
    let out = e.qd(&["do", "promote-soak", &id]).expect(4);
    assert!(out.stderr.contains(first) && out.stderr.contains("needs ssl >= 3"), "{out:?}");
    assert_eq!(e.promotion()["state"], "DRAFT");
    // Neither is a second hold taken that moves the break to somebody else.
    let out = hold("ssl").expect(4);
    assert!(out.stderr.contains("app-0:3-1.noarch needs ssl >= 3, but there is ssl-0:1-1.noarch"), "{out:?}");
    e.qd(&["do", "hold-drop", "1", "--reason", "r", "--confirm", "1"]).expect(0);
    let out = hold("crypto").expect(4);
    assert!(out.stderr.contains(chain) || out.stderr.contains(first), "{out:?}");
    assert_eq!(e.home.json(&["get", "holds"])["rows"].as_array().unwrap().len(), 1, "nothing was written");
    // What belongs to nobody else's needs is held, and the candidate is taken.
    hold("app").expect(0);
    e.qd(&["do", "promote-soak", &id]).expect(0);
    e.until("READY");
}

fn of(e: &Estate, id: &str) -> Value {
    let rows = e.home.json(&["get", "promotions"]);
    rows["rows"].as_array().unwrap().iter().find(|r| r["promotion"] == id).cloned().unwrap_or_default()
}

fn until(e: &Estate, id: &str, state: &str) -> Value {
    until_some(&format!("{id} to be {state}, it is {}", of(e, id)), || Some(of(e, id)).filter(|p| p["state"] == state))
}

fn people(e: &Estate, id: &str, stages: &[&str]) {
    let run = of(e, id)["run"].as_str().unwrap().to_owned();
    for stage in stages {
        let stage = format!("stage={stage}");
        until_some(&format!("{stage} of {id}"), || (e.qd(&["approve", &run, "-p", &stage]).code == 0).then_some(()));
    }
}

/// How each addition stands: package, and how it ended.
fn additions(e: &Estate) -> Vec<(String, String)> {
    let rows = e.home.json(&["get", "holds", "--filter", "kind=oob"]);
    let text = |r: &Value, k: &str| r[k].as_str().unwrap_or_default().to_owned();
    let mut out: Vec<_> = rows["rows"].as_array().unwrap().iter().map(|r| (text(r, "package"), text(r, "how"))).collect();
    out.sort();
    out
}

fn fates(e: &Estate, id: &str) -> Vec<String> {
    let doc = e.document(id);
    doc["plan"]["additions"].as_array().into_iter().flatten().map(|a| format!("{} {}", a["nevra"], a["fate"]).replace('"', "")).collect()
}

#[test]
fn an_addition_is_served_beside_what_is_there_absorbed_by_the_next_promotion_and_taken_out_by_its_way_back() {
    let e = Estate::of(Box::new(composes), WITHOUT, "");
    let site = e.home.config().join("site.toml");
    let roots = format!("[mirror]\nroots = [\"{}\"]\n", e.home.root().display());
    std::fs::write(&site, std::fs::read_to_string(&site).unwrap() + &roots).unwrap();
    // Another promotion soaks compose 2 meanwhile; upstream goes on.
    let quarter = e.ready();
    let agreed = of(&e, &quarter)["sha"].clone();
    e.publish(3);
    let candidate = std::fs::read_link(e.root("alder").join("candidate")).unwrap();
    let add = |package: &str, more: &[&str]| {
        let with = format!("package={package}");
        e.qd(&[&["do", "oob-add", "el9", "--with", &with, "--reason", "CVE-2026-1", "--confirm", "el9"][..], more].concat())
    };
    let out = add("ssl-3-1.noarch", &[]).expect(4);
    assert!(out.stderr.contains("ssl-0:3-1.noarch needs crypto >= 3, but there is crypto-0:1-1.noarch"), "{out:?}");
    add("nowhere-1-1.noarch", &[]).expect(2);
    add("ssl", &[]).expect(2);
    let out = add("ssl-2-1.noarch", &[]).expect(2);
    assert!(out.stderr.contains("there is ssl-0:3-1.noarch"), "{out:?}");
    add("steady-1-1.noarch", &[]).expect(4);
    add("crypto-3-1.noarch", &["--with", "source=/etc"]).expect(4);
    add("crypto-3-1.noarch", &["--with", "source=http://elsewhere.example/x"]).expect(2);
    add("crypto-3-1.noarch", &["--with", "until=49h"]).expect(2);
    assert_eq!(additions(&e), [], "nothing was written");
    let out = add("crypto-3-1.noarch ssl-3-1.noarch", &[]).expect(0);
    assert!(out.stdout.contains("skipped: G2 age of the content; G3"), "{out:?}");
    let lane = e.promotion()["promotion"].as_str().unwrap().to_owned();
    assert!(lane.ends_with("-el9-oob"), "{lane}");
    let out = add("crypto-3-1.noarch", &[]).expect(4);
    assert!(out.stderr.contains(&lane), "{out:?}");
    let row = until(&e, &lane, "READY");
    assert_eq!((&row["lane"], &row["gates"]), (&json!("oob"), &json!(4)), "{row}");
    let doc = e.document(&lane);
    assert_eq!(doc["skips"].as_array().unwrap().len(), 6, "{doc:#}");
    assert!(doc["plan"]["skips"][0].as_str().unwrap().starts_with("G2 "), "what is skipped is agreed to: {doc:#}");
    // Nothing is served before people agree, and the other candidate soaks on.
    assert_eq!(e.all_lead(), e.old);
    assert_eq!(std::fs::read_link(e.root("alder").join("candidate")).unwrap(), candidate);
    e.start(&lane).expect(4);
    e.qd(&["do", "hold-drop", "1", "--reason", "r", "--confirm", "1"]).expect(4);
    e.qd(&["approve", &lane]).expect(0);
    e.start(&lane).expect(0);
    let row = until(&e, &lane, "WAVING");
    let added = row["to"].as_str().unwrap().to_owned();
    assert_eq!(e.all_lead(), vec![added.clone(); 3]);
    for dc in DCS {
        let base = e.root(dc).join("stable/base");
        assert_eq!(read_whole(&base, || ()), Ok(5), "{dc}: two beside the three that are there");
        assert!(base.join("Packages/crypto-1-1.noarch.rpm").is_file() && base.join("Packages/crypto-3-1.noarch.rpm").is_file());
        assert_eq!(read_whole(&e.root(dc).join("stable/app"), || ()), Ok(1), "{dc}");
    }
    let why = e.qd(&["why", &lane]).expect(0).stdout;
    assert!(why.contains("adds crypto-0:3-1.noarch") && why.contains("the security lane skips G2"), "{why}");
    people(&e, &lane, &["Waves"]);
    until(&e, &lane, "CLOSED");
    // What soaks has older ones: that would drop them, says its plan, which is another one now.
    let dropped = until_some("the other plan", || Some(fates(&e, &quarter)).filter(|f| f.len() == 2));
    assert_eq!(dropped, ["crypto-0:3-1.noarch dropped", "ssl-0:3-1.noarch dropped"]);
    until_some("it to be judged anew", || Some(of(&e, &quarter)).filter(|r| r["sha"] != agreed && r["state"] == "READY"));
    // Compose 3 has them.
    e.qd(&["do", "promote-soak", &quarter, "--with", "retake=true"]).expect(0);
    until_some("the new candidate", || Some(fates(&e, &quarter)).filter(|f| f.iter().all(|f| f.ends_with("absorbed"))));
    until(&e, &quarter, "READY");
    e.qd(&["approve", &quarter]).expect(0);
    e.start(&quarter).expect(0);
    until(&e, &quarter, "IMAGING");
    e.served();
    people(&e, &quarter, &["Images", "ISO and bundles", "Waves"]);
    until(&e, &quarter, "CLOSED");
    let how = |by: &str| ("crypto".to_owned(), format!("absorbed by {quarter}: {by}"));
    assert_eq!(additions(&e)[0], how("crypto-0:3-1.noarch"));
    // What came last goes first; then each way back takes out what it brought.
    let out = e.qd(&["do", "promote-rollback", &lane, "--reason", "r", "--confirm", &lane]).expect(4);
    assert!(out.stderr.contains(&quarter), "{out:?}");
    e.qd(&["do", "promote-rollback", &quarter, "--reason", "r", "--confirm", &quarter]).expect(0);
    until(&e, &quarter, "ROLLED-BACK");
    assert_eq!(e.all_lead(), vec![added; 3]);
    assert_eq!(additions(&e)[0].1, "", "served again");
    e.qd(&["do", "promote-rollback", &lane, "--reason", "r", "--confirm", &lane]).expect(0);
    until(&e, &lane, "ROLLED-BACK");
    assert_eq!(e.all_lead(), e.old);
    e.served();
    assert!(additions(&e).iter().all(|(_, how)| how.contains(&format!("taken out by the way back of {lane}"))), "{:?}", additions(&e));
    e.entries(&["oob-add"]);
}

/// `tools` needs exactly the `core` of its own version, as many packages of one source do.
fn exact(n: u8, name: &str, at: &Path) {
    let v = n.to_string();
    match name {
        "base" => repo(at, &[("core", &v, ""), ("tools", &v, &format!("core={v}"))]),
        _ => repo(at, &[("app", &v, "")]),
    }
}

#[test]
fn an_addition_that_no_host_could_take_is_refused_with_what_stands_in_its_way() {
    let e = Estate::of(Box::new(exact), WITHOUT, "");
    let add = |package: &str| {
        let with = format!("package={package}");
        e.qd(&["do", "oob-add", "el9", "--with", &with, "--reason", "CVE-2026-1", "--confirm", "el9"])
    };
    let out = add("core-2-1.noarch").expect(4);
    assert!(out.stderr.contains("breaks a package: tools-0:1-1.noarch needs core = 1, but there is core-0:2-1.noarch"), "{out:?}");
    add("core-2-1.noarch tools-2-1.noarch").expect(0);
}

#[test]
fn signatures_by_the_keys_of_the_site_pass_their_gate_and_a_package_without_one_does_not() {
    if !have("promotion.signatures", &signatures::TOOLS) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [signed, plain, _] = signatures::packages(dir.path()).map(|p| std::fs::read(p).unwrap());
    let write = move |n: u8, name: &str, at: &Path| {
        let mut repo = Repo::of(&[]);
        let bytes = if n > 2 { &plain } else { &signed };
        repo.packages.insert(format!("{name}-{n}.rpm"), bytes.clone());
        repo.write(at);
    };
    let without: String = WITHOUT.lines().map(str::trim).filter(|l| !l.starts_with("G7")).map(|l| format!("{l}\n")).collect();
    let e = Estate::of(Box::new(write), &without, &format!("keys = [\"{}\"]\n", dir.path().join("key.asc").display()));
    let id = e.ready();
    let doc = e.document(&id);
    let g7 = &doc["gates"][6];
    assert!(g7["text"] == "OK" && g7["evidence"][0].as_str().unwrap().starts_with("2 packages, 0 of metadata, keys key.asc "), "{g7}");
    // Other keys in the site file: what was found with the old ones says nothing.
    let key = dir.path().join("key.asc");
    let good = std::fs::read(&key).unwrap();
    std::fs::write(&key, [b"comment\n".to_vec(), good.clone()].concat()).unwrap();
    assert_eq!(e.document(&id)["gates"][6]["text"], "STALE");
    std::fs::write(&key, good).unwrap();
    e.until("READY");
    e.publish(3);
    e.qd(&["do", "promote-soak", &id, "--with", "retake=true"]).expect(0);
    until_some("the failed gate", || e.qd(&["why", &id]).stdout.contains("G7 signatures: FAIL: 2 without a good signature").then_some(()));
    assert_eq!(e.promotion()["state"], "GATED");
}

#[test]
fn who_installs_from_the_content_is_agreed_to_and_a_silent_cobbler_is_nobody_s_change() {
    let e = Estate::new(WITHOUT, "");
    let stable = e.root("alder").join("stable/base");
    let cobbler = FakeCobbler::start(&stable.display().to_string(), &stable, &e.home.root().join("repo_mirror"));
    cobbler.state().profiles.push("c9s-phys".into());
    let site = e.home.config().join("site.toml");
    let server = format!("[secrets]\nc = \"env:NOTHING\"\n[cobbler.alder]\nurl = \"{}\"\nuser = \"ops\"\nsecret = \"c\"\n", cobbler.url);
    std::fs::write(&site, std::fs::read_to_string(&site).unwrap() + &server).unwrap();
    let image = "format: 1\nname: imgbuilder\nlabels: {image: c9s}\nstages:\n  - {name: b, reads: el9-latest, run: 'true'}\n";
    e.home.pipeline("imgbuilder", image);
    let id = e.approved();
    let blast = |key: &str| e.document(&id)["blast"][key].clone();
    assert_eq!(blast("kickstarts"), json!(["alder: profile c9s-phys by repos base, kickstart c9s.ks"]));
    assert_eq!(blast("images"), json!(["c9s (pipeline imgbuilder)"]));
    // It falls silent, and the engine has to start anew: what it said last stands.
    cobbler.state().mute = true;
    e.qd(&["engine", "stop"]).expect(0);
    e.qd(&["get", "promotions"]).expect(0);
    until_some("the question", || Some(()).filter(|()| cobbler.state().calls.iter().filter(|c| *c == "get_repos").count() >= 2));
    assert_eq!(
        (of(&e, &id)["state"].clone(), blast("kickstarts")),
        (json!("APPROVED"), json!(["alder: profile c9s-phys by repos base, kickstart c9s.ks"]))
    );
    // One profile more: nobody has agreed to that.
    cobbler.state().mute = false;
    cobbler.state().profiles.push("c9s-vm".into());
    e.qd(&["engine", "stop"]).expect(0);
    let row = until(&e, &id, "READY");
    assert!(row["moved"].as_str().unwrap().is_empty() && row["missing"] == "ops security", "{row}");
    assert_eq!(blast("kickstarts").as_array().unwrap().len(), 2);
    e.start(&id).expect(4);
    assert_eq!(e.all_lead(), e.old);
}
