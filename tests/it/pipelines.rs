//! The shipped pipelines against the step kinds that this version really has.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use quarterdeck::pipeline::catalog::Repo;
use quarterdeck::pipeline::{Catalog, FreezeCtx, freeze, load};
use quarterdeck::steps;

const SHIPPED: [(&str, &str); 7] = [
    ("nightly-repo-updates", include_str!("../../pipelines/nightly-repo-updates.yml")),
    ("promote-latest", include_str!("../../pipelines/promote-latest.yml")),
    ("repo-updates", include_str!("../../pipelines/repo-updates.yml")),
    ("rollback-stable", include_str!("../../pipelines/rollback-stable.yml")),
    ("snapshot-latest", include_str!("../../pipelines/snapshot-latest.yml")),
    ("rpmcanary", include_str!("../../pipelines/rpmcanary.yml")),
    ("rpminspector", include_str!("../../pipelines/rpminspector.yml")),
];

fn catalog() -> Catalog {
    let repo = |name: &str| {
        let repo = Repo {
            upstream: vec![format!("http://127.0.0.1/{name}/")],
            tree: format!("/srv/{name}"),
            writer: "quarterdeck".into(),
            replicas: vec![],
        };
        (name.to_owned(), repo)
    };
    Catalog {
        kinds: steps::catalog().to_vec(),
        later_kinds: steps::later_kinds().to_vec(),
        sets: BTreeMap::from([("el9-latest".to_owned(), vec!["baseos".to_owned(), "appstream".to_owned()])]),
        repos: BTreeMap::from([repo("baseos"), repo("appstream")]),
        pipelines: SHIPPED.iter().map(|(n, _)| (*n).to_owned()).collect(),
        time_zone: "Europe/Berlin".into(),
        ..Catalog::default()
    }
}

#[test]
fn the_shipped_pipelines_fit_the_steps_of_this_version() {
    for (name, text) in SHIPPED {
        let (file, found) = load(text, name, &catalog());
        assert!(found.is_empty(), "{name}: {found:#?}");
        let file = file.unwrap();
        assert_eq!(file.name.value, name);
        let plan = freeze(&file, &catalog(), &IndexMap::new(), &FreezeCtx::NOTHING).unwrap();
        assert!(!plan.stages.is_empty());
    }
}

#[test]
fn kinds_that_this_version_lacks_are_told_as_such() {
    for (kind, _) in steps::later_kinds() {
        let text = format!("format: 1\nname: x\nstages:\n  - name: a\n    uses: {kind}\n");
        let (file, found) = load(&text, "x.yml", &catalog());
        assert!(file.is_none());
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0].message, format!("this version lacks step kind `{kind}`"));
    }
}
