//! Syncs of repositories that people froze. A `mirror/sync` of one does nothing and ends well, since somebody decided so; a `cobbler/reposync`
//! that names one is refused, since its task cannot leave one out by itself. Nothing is started for either.

use serde_json::{Map, Value};

use super::Dispatcher;
use crate::domain::run::{StepKey, Verdict};
use crate::pipeline::expr;
use crate::pipeline::plan::Action;
use crate::runner::model::now::Now;
use crate::store::RunId;

/// What a sync would write: each repository by name, with its tree where the step names one.
fn written(kind: &str, with: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |key: &str| with.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind {
        "mirror/sync" => {
            let tree = text("dest");
            let last = tree.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
            let name = text("repo");
            vec![(if name.is_empty() { last } else { name }, tree)]
        }
        "cobbler/reposync" => match with.get("repos") {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(|name| (name.to_owned(), String::new())).collect(),
            Some(Value::String(one)) => one.split_whitespace().map(|name| (name.to_owned(), String::new())).collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Whether a step is a sync at all: most are not, and cost nothing here.
fn is_sync(action: &Action) -> bool {
    matches!(action, Action::Native { kind, .. } if kind == "mirror/sync" || kind == "cobbler/reposync")
}

impl Dispatcher {
    /// Ends a step that would write what is frozen; true where it did.
    pub(super) fn stands_still(&mut self, id: RunId, key: StepKey, now: &Now) -> bool {
        let content = self.shared.cfg.content.clone();
        let Some(run) = self.run_mut(id) else { return false };
        let Some(step) = run.step(key).filter(|s| is_sync(&s.action)) else { return false };
        // What cannot be filled in fails where it is started, with its reason.
        let Ok((Action::Native { kind, with }, _)) = expr::fill_action(step, &run.facts(true)) else { return false };
        let frozen = written(&kind, &with).into_iter().find_map(|(name, tree)| content.frozen(&name, &tree));
        let Some(why) = frozen else { return false };
        let (mut ops, mut effects) = (Vec::new(), Vec::new());
        let (verdict, detail) = match kind.as_str() {
            "mirror/sync" => (Verdict::Success, format!("no-change: {why}")),
            _ => (Verdict::Failure, format!("{why}; leave it out of `repos`, or quarterdeck do thaw REPO")),
        };
        run.finish(key, verdict, detail, None, now, &mut ops, &mut effects);
        self.settle(id, ops, effects);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sync_is_known_by_name_and_tree() {
        let of = |kind: &str, with: Value| written(kind, with.as_object().unwrap());
        let one = |name: &str, tree: &str| vec![(name.to_owned(), tree.to_owned())];
        assert_eq!(of("mirror/sync", json!({"dest": "/srv/m/base9/"})), one("base9", "/srv/m/base9/"));
        assert_eq!(of("mirror/sync", json!({"dest": "/srv/m/x", "repo": "base9"})), one("base9", "/srv/m/x"));
        assert_eq!(of("cobbler/reposync", json!({"repos": ["a", "b"]})).len(), 2);
        assert!(of("mirror/verify", json!({"tree": "/x"})).is_empty());
    }
}
