//! Promotions over packages that need one another: holds that break something are refused with the chain; the security lane.

use std::io::Write as _;
use std::path::Path;

use crate::mirror::sha256;
use crate::promotion::{Estate, WITHOUT};

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
                None => format!("<rpm:entry name=\"{r}\"/>"),
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
    let e = Estate::of(composes, WITHOUT, "");
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
