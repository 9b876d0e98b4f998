//! Tests of the room as a whole: the five worked files, the shipped ones, freezing.

use indexmap::IndexMap;

use super::catalog::{Catalog, Field, FieldType, Repo, StepKind, Touches};
use super::plan::{Action, LockMode, PostWhen, StageKind};
use super::*;

const fn field(name: &'static str, ty: FieldType, required: bool) -> Field {
    Field { name, ty, required, doc: "a field" }
}

const fn kind(kind: &'static str, with: &'static [Field]) -> StepKind {
    StepKind { kind, doc: "a kind", with, touches: Touches::Local }
}

const KINDS: &[StepKind] = &[
    kind(
        "mirror/sync",
        &[
            field("url", FieldType::List, true),
            field("dest", FieldType::Path, true),
            field("set", FieldType::Text, false),
            field("parallel", FieldType::Int, false),
            field("shrink", FieldType::Text, false),
            field("stall", FieldType::Duration, false),
            field("credentials", FieldType::Text, false),
        ],
    ),
    kind("content/closure", &[field("tree", FieldType::List, true), field("set", FieldType::Text, false)]),
    kind("content/unpack", &[field("tree", FieldType::List, true), field("set", FieldType::Text, false)]),
    kind(
        "git/checkout",
        &[field("url", FieldType::Text, true), field("ref", FieldType::Text, false), field("dest", FieldType::Path, false)],
    ),
];

/// A site with everything that the worked files name; kinds as the steps room will have them.
pub fn catalog() -> Catalog {
    let repo = |name: &str| {
        (
            name.to_owned(),
            Repo {
                upstream: vec![format!("http://up/{name}"), format!("http://up2/{name}")],
                tree: format!("/srv/{name}"),
                writer: "quarterdeck".into(),
                replicas: vec![],
            },
        )
    };
    Catalog {
        kinds: KINDS.to_vec(),
        later_kinds: vec![("koji/build", "build queues"), ("salt/apply", "salt")],
        secrets: vec!["koji-cert".into(), "matrix-webhook".into(), "signing-token".into()],
        locks: [("mirror".to_owned(), 1), ("loopdev".to_owned(), 4)].into_iter().collect(),
        sets: [("el9-latest".to_owned(), vec!["baseos".into(), "appstream".into()])].into_iter().collect(),
        repos: [repo("baseos"), repo("appstream")].into_iter().collect(),
        pipelines: vec!["nightly-repo-updates".into(), "rpmcanary".into()],
        time_zone: "UTC".into(),
        ..Catalog::default()
    }
}

pub fn short(diags: &[Diagnostic]) -> Vec<String> {
    diags.iter().map(|d| format!("{}:{} {} {} | {}", d.line, d.column, d.code, d.message, d.help)).collect()
}

fn good(text: &str) -> File {
    let (file, found) = load(text, "p.yml", &catalog());
    assert!(found.is_empty(), "{:#?}", short(&found));
    file.unwrap()
}

const WORKED: &str = include_str!("../../tests/fixtures/pipelines/worked.yml");

#[test]
fn the_five_worked_files_say_what_this_version_lacks_and_nothing_else() {
    let docs: Vec<&str> = WORKED.split("\n---\n").collect();
    assert_eq!(docs.len(), 5);
    let all: Vec<String> = docs.iter().flat_map(|d| short(&load(d, "w.yml", &catalog()).1).into_iter().chain(["--".into()])).collect();
    insta::assert_snapshot!(all.join("\n"));
}

const NIGHTLY: &str = include_str!("../../pipelines/nightly-repo-updates.yml");
const CANARY: &str = include_str!("../../pipelines/rpmcanary.yml");

fn given(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

const WITH_GIT: FreezeCtx<'static> = FreezeCtx { have: &|p| p == "git", find_run: FreezeCtx::NOTHING.find_run };

#[test]
fn the_shipped_pipelines_are_clean_and_freeze() {
    let nightly = good(NIGHTLY);
    good(CANARY);
    let plan = freeze(&nightly, &catalog(), &given(&[("scm_url", "/srv/git/scm")]), &WITH_GIT).unwrap();
    let names: Vec<(&str, Option<&str>)> = plan.stages.iter().map(|s| (s.name.as_str(), s.when.as_deref())).collect();
    assert_eq!(
        names,
        [
            ("Checkout SCM", None),
            ("HW Info", None),
            ("Update core-latest repos", None),
            ("Post Actions (failure)", None),
            ("Post Actions (fixed)", None),
            ("Post Actions", None)
        ]
    );
    let update = &plan.stages[2];
    assert_eq!(update.cells.iter().map(|c| c.key.as_str()).collect::<Vec<_>>(), ["repo=baseos", "repo=appstream"]);
    let Action::Native { kind, with } = &update.cells[1].steps[0].action else { panic!() };
    assert_eq!(kind, "mirror/sync");
    assert_eq!(
        serde_json::to_string(with).unwrap(),
        r#"{"url":["http://up/appstream","http://up2/appstream"],"dest":"/srv/appstream","shrink":"20"}"#
    );
    assert_eq!((update.locks[0].name.as_str(), update.locks[0].mode), ("content:el9-latest", LockMode::Exclusive));
    assert_eq!(plan.writes, ["el9-latest"]);
    assert_eq!(plan.stages[5].kind, StageKind::Post { when: PostWhen::Always, of: None });
    // Without git, or without an address, the checkout is skipped and the rest goes on.
    let plan = freeze(&nightly, &catalog(), &given(&[]), &WITH_GIT).unwrap();
    assert_eq!(plan.stages[0].when.as_deref(), Some("false"));
}
