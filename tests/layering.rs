//! The rooms of `src/` and what each may import: the table, and the test that holds every file to it.
//!
//! A finding is fixed in the source, or by a change of this table together with the one in ARCHITECTURE.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "layering/rules.rs"]
mod rules;
#[path = "layering/scan.rs"]
mod scan;

use std::path::Path;

use rules::{Part, Room, Table};

/// Every room may also import `base` and, from floor 3 on, `domain`, unless it is marked strict.
static ROOMS: &[Room] = &[
    Room::new("base", 1, &[]),
    Room::new("theme", 2, &[]),
    Room::new("domain", 2, &[]),
    Room::new("wire", 2, &[]),
    Room::new("pipeline", 3, &["domain"]),
    Room::new("action", 3, &["domain"]),
    Room::new("api", 4, &["domain", "action"]),
    Room::new("store", 3, &["domain"]),
    Room::new("config", 4, &["domain", "pipeline", "action"]),
    Room::new("systems", 4, &["domain", "wire"]),
    Room::new("secret", 5, &["config", "wire"]),
    Room::new("steps", 5, &["systems", "wire", "pipeline"]),
    Room::new("runner", 6, &["pipeline", "store", "secret"]),
    // The shim outlives every engine: it knows the files of an attempt, and nothing that could change under it.
    Room::new("runner/shim", 6, &["base", "domain"]).strict(),
    Room::new("engine", 7, &["wire", "pipeline", "action", "api", "store", "config", "systems", "secret", "steps", "runner"]),
    Room::new("console", 7, &["theme", "domain", "pipeline", "action", "api", "config"]),
    // The demo speaks to us as a stranger would; with our own decoders both sides would share one bug.
    Room::new("demo", 7, &["base", "wire"]).strict(),
    Room::new(
        "cli",
        8,
        &[
            "theme", "wire", "pipeline", "action", "api", "store", "config", "systems", "secret", "steps", "runner", "engine", "console",
            "demo",
        ],
    ),
    // `src/main.rs`: the shim is branched to before anything else is touched.
    Room::new("main", 9, &["cli", "runner/shim"]).strict(),
];

/// Edges that are allowed into a part of a room only.
static PARTS: &[Part] =
    &[Part { from: "engine", into: "steps", only: &["catalog"] }, Part { from: "demo", into: "wire", only: &["http", "xmlrpc", "sse"] }];

static TABLE: Table = Table { rooms: ROOMS, parts: PARTS, max_lines: 600, unsafe_file: "base/sys.rs" };

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_file_of_the_source_keeps_to_its_floor() {
    let findings = scan::tree(&root().join("src"), &TABLE);
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.iter().map(|f| format!("{f}\n")).collect::<String>());
}

#[test]
fn the_table_itself_only_points_down() {
    for room in ROOMS {
        for import in room.imports {
            let below =
                ROOMS.iter().find(|r| r.name == *import).unwrap_or_else(|| panic!("{} imports an unknown room {import}", room.name));
            assert!(below.floor < room.floor, "{} (floor {}) imports {} (floor {})", room.name, room.floor, below.name, below.floor);
        }
    }
    for part in PARTS {
        assert!(TABLE.allows(part.from, part.into), "{} -> {} is restricted but not allowed", part.from, part.into);
    }
}

#[test]
fn the_table_is_the_one_of_the_architecture_page() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for room in ROOMS.iter().filter(|r| r.name != "main") {
        let row = page
            .lines()
            .find(|l| l.starts_with("| ") && l.contains(&format!("| `{}/` |", room.name)))
            .unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {}", room.name));
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells[0], room.floor.to_string(), "floor of {} in ARCHITECTURE.md", room.name);
        let mut listed: Vec<&str> = cells[3].split(',').map(|w| w.split_whitespace().next().unwrap_or("-")).filter(|w| *w != "-").collect();
        let mut allowed: Vec<&str> = room.imports.to_vec();
        listed.sort_unstable();
        allowed.sort_unstable();
        assert_eq!(listed, allowed, "imports of {} in ARCHITECTURE.md", room.name);
    }
}

#[test]
fn a_room_says_on_which_floor_it_is() {
    for room in ROOMS.iter().filter(|r| r.name != "main" && !r.name.contains('/')) {
        let text = std::fs::read_to_string(root().join("src").join(room.name).join("mod.rs")).unwrap();
        let says = format!("//! Floor {}: ", room.floor);
        assert!(text.starts_with(&says), "src/{}/mod.rs should begin with `{says}`: {:?}", room.name, text.lines().next());
    }
}

#[test]
fn every_source_file_that_a_page_names_is_there() {
    let exists = |name: &str| ["", "src", "tests"].iter().any(|dir| root().join(dir).join(name).is_file());
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"] {
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        let quoted = text.split('`').skip(1).step_by(2);
        let absent: Vec<&str> = quoted.filter(|w| w.ends_with(".rs") && !exists(w)).collect();
        assert!(absent.is_empty(), "{page} names {absent:?}");
    }
}

#[test]
fn a_clean_tree_gives_no_finding() {
    let findings = scan::tree(&root().join("tests/fixtures/layering/clean/src"), &TABLE);
    assert!(findings.is_empty(), "{findings:#?}");
}

/// One forbidden thing of each form, one a file: file, form, what the finding says.
static PLANTED: &[(&str, &str, &str)] = &[
    ("api/extern_crate_self.rs", "root alias", "extern crate self"),
    ("api/extern_crate_name.rs", "root alias", "extern crate quarterdeck"),
    ("api/use_crate_as.rs", "root alias", "crate"),
    ("api/use_group_self_as.rs", "root alias", "crate"),
    ("api/use_super_as_root.rs", "root alias", "crate"),
    ("api/glob_of_root.rs", "root glob", "crate::*"),
    ("api/glob_of_super_root.rs", "root glob", "crate::*"),
    ("api/own_name.rs", "edge", "api -> engine"),
    ("api/own_name_global.rs", "edge", "api -> engine"),
    ("domain/use_plain.rs", "edge", "domain -> engine"),
    ("domain/use_group.rs", "edge", "domain -> engine"),
    ("domain/use_renamed.rs", "edge", "domain -> engine"),
    ("domain/use_in_function.rs", "edge", "domain -> engine"),
    ("domain/use_sideways.rs", "edge", "domain -> wire"),
    ("domain/use_super_chain.rs", "edge", "domain -> engine"),
    ("domain/use_glob.rs", "edge", "domain -> engine"),
    ("domain/inline_module_supers.rs", "edge", "domain -> engine"),
    ("domain/self_super.rs", "edge", "domain -> engine"),
    ("domain/body_path.rs", "edge", "domain -> engine"),
    ("domain/body_super_path.rs", "edge", "domain -> engine"),
    ("domain/type_path.rs", "edge", "domain -> engine"),
    ("domain/trait_bound.rs", "edge", "domain -> engine"),
    ("domain/impl_path.rs", "edge", "domain -> engine"),
    ("domain/qualified_path.rs", "edge", "domain -> engine"),
    ("domain/turbofish.rs", "edge", "domain -> engine"),
    ("domain/pattern_path.rs", "edge", "domain -> engine"),
    ("domain/macro_argument.rs", "edge", "domain -> engine"),
    ("domain/macro_definition.rs", "edge", "domain -> engine"),
    ("domain/macro_use_tree.rs", "edge", "domain -> engine"),
    ("domain/attribute_string.rs", "edge", "domain -> engine"),
    ("domain/attribute_path.rs", "edge", "domain -> engine"),
    ("domain/test_module.rs", "edge", "domain -> engine"),
    ("domain/raw_identifier.rs", "edge", "domain -> engine"),
    ("domain/unknown_room.rs", "unknown room", "crate::attic"),
    ("domain/pub_use.rs", "re-export", "base"),
    ("domain/pub_crate_use.rs", "re-export", "base"),
    ("domain/pub_use_super.rs", "re-export", "base"),
    ("domain/path_attribute.rs", "path attribute", "../engine/mod.rs"),
    ("domain/path_cfg_attr.rs", "path attribute", "../engine/mod.rs"),
    ("domain/include.rs", "include", "include!"),
    ("domain/macro_export.rs", "macro export", "shared"),
    ("domain/unsafe_block.rs", "unsafe", "unsafe"),
    ("domain/no_header.rs", "no //! header", "its first line does not say what the file owns"),
    ("engine/steps_beyond_catalogue.rs", "edge", "engine -> steps::run (only steps::catalog)"),
    ("engine/steps_whole.rs", "edge", "engine -> steps (only steps::catalog)"),
    ("demo/decoder.rs", "edge", "demo -> wire::repomd (only wire::http, wire::xmlrpc, wire::sse)"),
    ("demo/domain.rs", "edge", "demo -> domain"),
    ("runner/shim/up.rs", "edge", "runner/shim -> runner"),
    ("runner/shim/store.rs", "edge", "runner/shim -> store"),
    ("main.rs", "edge", "main -> engine"),
    ("lib.rs", "lib item", "lib.rs holds `mod` lines only"),
    ("stray.rs", "stray file", "no room of the table"),
    ("attic/mod.rs", "stray file", "no room of the table"),
];

#[test]
fn each_planted_edge_is_found_and_nothing_else() {
    let dir = root().join("tests/fixtures/layering/broken/src");
    let mut found: Vec<(String, String, String)> =
        scan::tree(&dir, &TABLE).into_iter().map(|f| (f.file, f.form.to_owned(), f.what)).collect();
    let mut expected: Vec<(String, String, String)> =
        PLANTED.iter().map(|(file, form, what)| ((*file).into(), (*form).into(), (*what).into())).collect();
    found.sort();
    expected.sort();
    let missed: Vec<_> = expected.iter().filter(|e| !found.contains(e)).collect();
    let surplus: Vec<_> = found.iter().filter(|f| !expected.contains(f)).collect();
    assert!(missed.is_empty() && surplus.is_empty() && found.len() == expected.len(), "missed: {missed:#?}\nsurplus: {surplus:#?}");
}

#[test]
fn a_file_beyond_the_cap_is_found() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("base")).unwrap();
    std::fs::write(dir.path().join("base/long.rs"), format!("//! Owns nothing.\n{}", "// x\n".repeat(600))).unwrap();
    std::fs::write(dir.path().join("base/fits.rs"), format!("//! Owns nothing.\n{}", "// x\n".repeat(599))).unwrap();
    let found = scan::tree(dir.path(), &TABLE);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].file.as_str(), found[0].form), ("base/long.rs", "too long"));
}

#[test]
fn a_file_that_does_not_parse_is_a_finding_not_a_pass() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("base")).unwrap();
    std::fs::write(dir.path().join("base/mod.rs"), "//! Owns nothing.\nfn (").unwrap();
    assert_eq!(scan::tree(dir.path(), &TABLE)[0].form, "unreadable");
}
