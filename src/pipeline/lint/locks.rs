//! Content sets and locks that a stage names: whether the site has them, and whether the stage can ever get them.

use crate::base::suggest::{self, meant};
use crate::domain::run::valid_name;
use crate::pipeline::catalog::Catalog;
use crate::pipeline::diagnostic::{Sink, show};
use crate::pipeline::locks::OF_SET;
use crate::pipeline::model::{LockUse, Stage};
use crate::pipeline::plan::LockMode;

pub(super) fn lint(stage: &Stage, catalog: &Catalog, sink: &mut Sink<'_>) {
    sets(stage, catalog, sink);
    for (i, lock) in stage.locks.iter().enumerate() {
        let name = &lock.name.value;
        let twice = stage.locks[..i].iter().any(|l| l.name.value == *name);
        if twice {
            sink.error(
                lock.name.at,
                "lock.twice",
                format!("the stage takes lock `{name}` twice: it would wait for itself"),
                "keep one, with as many `slots` as it needs",
            );
        }
        match catalog.locks.get(name) {
            Some(slots) => of_the_site(lock, *slots, twice, sink),
            None if valid_name(name) => of_nobody(lock, catalog, sink),
            // Said by the schema.
            None => {}
        }
    }
}

fn sets(stage: &Stage, catalog: &Catalog, sink: &mut Sink<'_>) {
    for (key, sets) in [("reads", &stage.reads), ("writes", &stage.writes)] {
        for (i, set) in sets.iter().enumerate() {
            if !catalog.sets.contains_key(&set.value) {
                let known = catalog.sets.keys().map(String::as_str);
                sink.error(
                    set.at,
                    "ref.set",
                    format!("the site has no content set `{}`", show(&set.value)),
                    meant(&set.value, known, format!("add [content.{}] with `repos = […]` to the site file", set.value)),
                );
            }
            if sets[..i].iter().any(|s| s.value == set.value) {
                sink.warning(set.at, "ref.set", format!("`{key}` names `{}` twice", set.value), "remove one");
            }
        }
    }
}

/// A lock that the site file lists, with `slots`.
fn of_the_site(lock: &LockUse, slots: u32, twice: bool, sink: &mut Sink<'_>) {
    let name = &lock.name.value;
    let whole = lock.mode == LockMode::Exclusive;
    if lock.slots.value > slots {
        sink.error(
            lock.slots.at,
            "lock.slots",
            format!("the stage takes {} slots of lock `{name}`, which has {slots}: it would wait for ever", lock.slots.value),
            format!("take fewer, or raise [locks.{name}] slots in the site file"),
        );
    } else if whole && lock.slots.value > 1 {
        sink.warning(
            lock.slots.at,
            "lock.slots",
            format!("an exclusive lock takes all {slots} slots of `{name}`"),
            "leave `slots` out, or write `mode: shared`",
        );
    } else if whole && !lock.said && !twice && slots > 1 {
        // Right for who needs the whole of it, and a surprise for who wanted one of them.
        sink.warning(
            lock.name.at,
            "lock.all",
            format!("the stage takes all {slots} slots of lock `{name}`, so that it runs alone"),
            format!("for one slot: {{name: {name}, mode: shared, slots: 1}}; if all are meant, say so: {{name: {name}, mode: exclusive}}"),
        );
    }
}

/// A lock that the site file does not list: it has one slot.
fn of_nobody(lock: &LockUse, catalog: &Catalog, sink: &mut Sink<'_>) {
    let name = &lock.name.value;
    if let Some(near) = suggest::nearest(name, catalog.locks.keys().map(String::as_str)) {
        sink.error(
            lock.name.at,
            "ref.lock",
            format!("the site has no lock `{name}`"),
            format!("did you mean `{near}`? a new lock of one slot is declared as [locks.{name}]"),
        );
    } else if lock.slots.value > 1 {
        sink.error(
            lock.slots.at,
            "lock.slots",
            format!("lock `{name}` has one slot: the site file says no more"),
            format!("add `slots = {}` to [locks.{name}]", lock.slots.value),
        );
    } else if name.starts_with(OF_SET) {
        // Implied by a content set; nobody declares it.
    } else if catalog.locks.is_empty() {
        sink.warning(
            lock.name.at,
            "ref.lock",
            format!("the site declares no lock `{name}`: it is taken as a new one of one slot"),
            format!("if that is meant, say so: [locks.{name}] in the site file"),
        );
    } else {
        // A site that lists its locks means all of them: one that is not there keeps nobody away from anybody.
        sink.error(
            lock.name.at,
            "ref.lock",
            format!("the site has no lock `{name}`"),
            format!("the site file lists its locks: add [locks.{name}] there, or take one of {}", some(catalog.locks.keys())),
        );
    }
}

/// A few of many names.
fn some<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let all: Vec<&str> = names.map(String::as_str).collect();
    let shown = all.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    if all.len() > 5 { format!("{shown} and {} more", all.len() - 5) } else { shown }
}
