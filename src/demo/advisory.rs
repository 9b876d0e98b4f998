//! The metadata beside the packages: groups (comps), module streams, advisories (updateinfo).

use super::catalogue::{Advisory, Compose, Package, Repo};
use super::metadata::{Data, esc};

/// What `repo` carries beside primary, filelists and other at this compose.
pub fn extra(compose: &Compose, repo: Repo) -> Vec<Data> {
    let packages = compose.of(repo);
    let comps = comps(repo, &packages).into_bytes();
    let name = format!("comps-{}.x86_64.xml", repo.dir());
    // As the real composes do: once as it is (no open-checksum in repomd), once compressed.
    let mut out = vec![Data::plain("group", &name, comps.clone()), Data::gz("group_gz", &name, &comps)];
    if packages.iter().any(|p| p.module.is_some()) {
        out.push(Data::gz("modules", "modules.yaml", modules(&packages).as_bytes()));
    }
    let advisories: Vec<&Advisory> = compose.advisories.iter().filter(|a| a.repo == repo).collect();
    out.push(Data::gz("updateinfo", "updateinfo.xml", updateinfo(&advisories).as_bytes()));
    out
}

/// One group of packages that are installed together.
struct Group {
    id: &'static str,
    name: &'static str,
    mandatory: &'static [&'static str],
    default: &'static [&'static str],
}

const BASE_GROUPS: &[Group] = &[Group {
    id: "core",
    name: "Core",
    mandatory: &["basesystem", "bash", "coreutils", "curl", "dnf", "filesystem", "glibc", "openssh-server", "rpm", "sudo", "systemd"],
    default: &["chrony", "kernel-core", "selinux-policy-targeted"],
}];
const APP_GROUPS: &[Group] = &[
    Group { id: "web-server", name: "Basic Web Server", mandatory: &["httpd"], default: &["nginx"] },
    Group { id: "container-management", name: "Container Management", mandatory: &["podman"], default: &["crun", "conmon"] },
    Group { id: "sql-server", name: "SQL Database Server", mandatory: &["postgresql-server"], default: &["postgresql"] },
];

fn comps(repo: Repo, packages: &[&Package]) -> String {
    let groups = match repo {
        Repo::BaseOS => BASE_GROUPS,
        Repo::AppStream => APP_GROUPS,
    };
    let there = |name: &&&str| packages.iter().any(|p| p.name == ***name);
    let mut x = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE comps PUBLIC \"-//Red Hat, Inc.//DTD Comps info//EN\" \"comps.dtd\">\n<comps>\n",
    );
    for g in groups {
        x.push_str(&format!(
            "  <group>\n    <id>{}</id>\n    <name>{}</name>\n    <description>{}</description>\n    <default>false</default>\n    \
             <uservisible>true</uservisible>\n    <packagelist>\n",
            g.id, g.name, g.name
        ));
        for (kind, list) in [("mandatory", g.mandatory), ("default", g.default)] {
            for name in list.iter().filter(there) {
                x.push_str(&format!("      <packagereq type=\"{kind}\">{}</packagereq>\n", esc(name)));
            }
        }
        x.push_str("    </packagelist>\n  </group>\n");
    }
    if repo == Repo::BaseOS {
        x.push_str(
            "  <environment>\n    <id>minimal-environment</id>\n    <name>Minimal Install</name>\n    <description>Basic functionality.</description>\n    \
             <display_order>1</display_order>\n    <grouplist>\n      <groupid>core</groupid>\n    </grouplist>\n  </environment>\n",
        );
    }
    x.push_str("</comps>\n");
    x
}

fn modules(packages: &[&Package]) -> String {
    let mut out = String::new();
    let mut labels: Vec<&str> = packages.iter().filter_map(|p| p.module.as_deref()).collect();
    labels.sort_unstable();
    labels.dedup();
    for label in labels {
        let part: Vec<&str> = label.split(':').collect();
        let [name, stream, version, context] = part[..] else { continue };
        out.push_str(&format!(
            "---\ndocument: modulemd\nversion: 2\ndata:\n  name: {name}\n  stream: \"{stream}\"\n  version: {version}\n  context: {context}\n  \
             arch: x86_64\n  summary: {name} {stream}\n  description: >-\n    The {stream} stream of {name}, invented by the demo.\n  \
             license:\n    module:\n    - MIT\n  profiles:\n    common:\n      rpms:\n      - {name}\n  artifacts:\n    rpms:\n"
        ));
        for p in packages.iter().filter(|p| p.module.as_deref() == Some(label)) {
            out.push_str(&format!("    - {}\n", p.nevra()));
        }
        out.push_str(&format!(
            "...\n---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: {name}\n  stream: \"{stream}\"\n  profiles:\n    \"{stream}\": [common]\n...\n"
        ));
    }
    out
}

fn updateinfo(advisories: &[&Advisory]) -> String {
    let mut x = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<updates>\n");
    for a in advisories {
        let date = jiff::Timestamp::from_second(a.time).unwrap_or_default().strftime("%Y-%m-%d %H:%M:%S").to_string();
        let source = esc(&a.source);
        x.push_str(&format!(
            "  <update from=\"demo@ops.example\" status=\"final\" type=\"security\" version=\"1\">\n    <id>{}</id>\n    \
             <title>{source} security update</title>\n    <issued date=\"{date}\"/>\n    <updated date=\"{date}\"/>\n    \
             <severity>Important</severity>\n    <summary>An update for {source} is available.</summary>\n    \
             <description>{source}: fixes {cve}.</description>\n    <references>\n      \
             <reference href=\"https://security.ops.example/{cve}\" id=\"{cve}\" type=\"cve\" title=\"{cve}\"/>\n    </references>\n    \
             <pkglist>\n      <collection short=\"demo-{repo}\">\n        <name>demo {repo}</name>\n",
            esc(&a.id),
            cve = esc(&a.cve),
            repo = a.repo.dir()
        ));
        for p in &a.packages {
            x.push_str(&format!(
                "        <package name=\"{}\" version=\"{}\" release=\"{}\" epoch=\"{}\" arch=\"{}\" src=\"{}\">\n          \
                 <filename>{}</filename>\n        </package>\n",
                esc(&p.name),
                esc(&p.version),
                esc(&p.release),
                p.epoch.unwrap_or(0),
                p.arch.as_str(),
                esc(&p.source_rpm),
                esc(&p.file_name())
            ));
        }
        x.push_str("      </collection>\n    </pkglist>\n  </update>\n");
    }
    x.push_str("</updates>\n");
    x
}
