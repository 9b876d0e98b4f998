//! The package as a whole: licences of everything that is linked, crates that are there twice, and words of the pages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "package/shots.rs"]
mod shots;
#[path = "package/table.rs"]
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Licences that may be part of the binary. MPL-2.0 is weak copyleft for each file, and unchanged crates are fine.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that are linked or built in more than one version: name, how many, who holds the old one, what ends it.
const TWICE: &[(&str, usize, &str)] = &[
    ("block-buffer", 2, "with digest: rpm and sha2 0.10 below it"),
    ("darling", 2, "at build time only: croner asks for the old one through derive_builder"),
    ("darling_core", 2, "with darling: croner"),
    ("darling_macro", 2, "with darling: croner"),
    ("itertools", 2, "the old one by ratatui-core"),
    ("strum", 2, "one by ratatui-core, the other by croner"),
    ("strum_macros", 2, "with strum: ratatui-core"),
    ("cpufeatures", 2, "with sha2: one for each major version"),
    ("crypto-common", 2, "with digest: one for each major version"),
    ("digest", 2, "rpm 0.30 is on the RustCrypto generation of sha2 0.10; the next rpm release moves"),
    ("getrandom", 2, "ring 0.17 stays on 0.2; rand, uuid and tempfile are on the current one"),
    ("sha2", 2, "rpm 0.30 is on 0.10"),
    ("syn", 3, "a build-time crate: derive macros are between its major versions; nothing of it is linked"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The resolved packages of this platform: what is really compiled here.
fn resolved() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let version = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let host = String::from_utf8_lossy(&version.stdout).lines().find_map(|l| l.strip_prefix("host: ").map(str::to_owned)).expect("a host");
    let out = Command::new(cargo)
        .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", &host])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let ids: BTreeSet<&str> = metadata["resolve"]["nodes"].as_array().unwrap().iter().filter_map(|n| n["id"].as_str()).collect();
    let packages: Vec<Value> =
        metadata["packages"].as_array().unwrap().iter().filter(|p| p["id"].as_str().is_some_and(|id| ids.contains(id))).cloned().collect();
    assert!(packages.len() > 50, "only {} packages were resolved", packages.len());
    packages
}

#[test]
fn every_crate_has_a_licence_of_the_list() {
    let bad: Vec<String> = resolved()
        .iter()
        .filter_map(|p| {
            let name = format!("{} {}", p["name"].as_str()?, p["version"].as_str()?);
            match p["license"].as_str() {
                Some(l) => (!permits(l, LICENCES)).then(|| format!("{name}: {l}")),
                None => Some(format!("{name}: no licence expression")),
            }
        })
        .collect();
    assert!(bad.is_empty(), "licences outside the list:\n{}", bad.join("\n"));
}

#[test]
fn every_duplicate_crate_is_known_with_its_reason() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for p in resolved() {
        versions.entry(p["name"].as_str().unwrap().into()).or_default().insert(p["version"].as_str().unwrap().into());
    }
    for (name, found) in versions.iter().filter(|(_, v)| v.len() > 1) {
        let known = TWICE.iter().find(|(n, ..)| n == name);
        let Some((_, count, _)) = known else {
            panic!("{name} is there in versions {found:?}: `cargo tree -i {name}`, and remove one or explain it here")
        };
        assert_eq!(found.len(), *count, "{name}: {found:?}");
    }
    for (name, _, why) in TWICE {
        assert!(versions.get(*name).is_some_and(|v| v.len() > 1), "{name} is no duplicate any more: strike it from the list");
        assert!(why.len() > 15, "{name}: {why}");
    }
}

#[test]
fn both_licence_texts_are_here_and_named() {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    assert_eq!(manifest["package"]["license"].as_str(), Some("MIT OR Apache-2.0"));
    for (file, words) in [("LICENSE-MIT", "Permission is hereby granted"), ("LICENSE-APACHE", "Apache License")] {
        assert!(std::fs::read_to_string(root().join(file)).unwrap().contains(words), "{file}");
    }
}

/// The README promises two commands; CI must call the second one, or the promise is not tested.
#[test]
fn the_two_commands_of_the_readme_are_the_ones_that_ci_runs() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(readme.contains("\n    cargo run --release -- demo\n"));
    assert!(readme.contains("\n    cargo test\n"));
    assert!(ci.contains("cargo test --locked"));
}

/// The figures of the README are those of `benches/results/`. `QD_WRITE=1` writes the table anew.
#[test]
fn figures_of_the_readme_come_from_the_results() {
    let path = root().join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let fresh = table::block(&root().join("benches/results"));
    let (from, to) = (readme.find(table::OPEN).expect("README.md has the marker"), readme.find(table::CLOSE).expect("its end"));
    let found = &readme[from..to + table::CLOSE.len()];
    if found != fresh && std::env::var_os("QD_WRITE").is_some() {
        std::fs::write(&path, readme.replace(found, &fresh)).unwrap();
        return;
    }
    assert_eq!(found, fresh, "README.md is stale: QD_WRITE=1 cargo test --test package figures");
}

/// The pictures are what the program draws today. `QD_WRITE=1` draws them anew.
#[test]
fn screenshots_are_what_the_console_draws() {
    let dir = root().join("screenshots");
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut stale = Vec::new();
    for (file, screen, size, theme) in shots::SHOTS {
        let fresh = shots::draw(screen, size, theme);
        if std::env::var_os("QD_WRITE").is_some() {
            std::fs::write(dir.join(file), fresh).unwrap();
        } else if std::fs::read_to_string(dir.join(file)).ok().as_deref() != Some(fresh.as_str()) {
            stale.push(file);
        }
        assert!(readme.contains(&format!("(screenshots/{file})")), "README.md does not show screenshots/{file}");
    }
    assert!(stale.is_empty(), "{stale:?} in screenshots/: stale, or drawn by hand: QD_WRITE=1 cargo test --test package screenshots");
}

/// Text alone does not show a theme that went wrong: below each row stand the styles of its cells.
#[test]
fn a_screen_keeps_its_styles_with_colours_and_without() {
    let (screen, size) = ("run imgcanary#4", (80, 18));
    insta::assert_snapshot!("run_dark", shots::styled(screen, size, "dark"));
    insta::assert_snapshot!("run_mono", shots::styled(screen, size, "mono"));
}

/// An SPDX expression, with the older `MIT/Apache-2.0`: `OR` passes when one side does, `AND` when both do.
fn permits(expression: &str, list: &[&str]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let verdict = any_of(&words, &mut at, list);
    verdict && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, list: &[&str]) -> bool {
    let mut verdict = all_of(words, at, list);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        verdict |= all_of(words, at, list);
    }
    verdict
}

fn all_of(words: &[&str], at: &mut usize, list: &[&str]) -> bool {
    let mut verdict = one(words, at, list);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        verdict &= one(words, at, list);
    }
    verdict
}

fn one(words: &[&str], at: &mut usize, list: &[&str]) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let verdict = any_of(words, at, list);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return verdict && closed;
    }
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
        return words.get(*at - 1).is_some_and(|exception| list.contains(&format!("{word} WITH {exception}").as_str()));
    }
    list.contains(word)
}

#[test]
fn licence_expressions_are_judged_as_spdx_says() {
    let list = &["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"];
    for good in ["MIT", "GPL-3.0-only OR MIT", "MIT/GPL-2.0", "(MIT OR GPL-2.0) AND ISC", "Apache-2.0 WITH LLVM-exception OR GPL-2.0"] {
        assert!(permits(good, list), "{good}");
    }
    for bad in
        ["GPL-3.0-only", "MIT AND GPL-2.0", "(MIT AND GPL-2.0) OR GPL-3.0", "Apache-2.0", "ISC WITH LLVM-exception", "", "(MIT", "MIT MIT"]
    {
        assert!(!permits(bad, list), "{bad}");
    }
}
