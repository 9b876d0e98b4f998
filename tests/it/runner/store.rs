//! The store as a person meets it: permissions, a second engine, a garbled or newer file, a network file system, clean and unclean ends.

use std::os::unix::fs::PermissionsExt;

use quarterdeck::store::{OpenOptionsStore, RunsQuery, Store, StoreError};

use super::*;

fn options(dir: &Path) -> OpenOptionsStore {
    OpenOptionsStore { dir: dir.to_owned(), network_state: false, now_us: 1_700_000_000_000_000, boot_id: "b".into() }
}

fn error(dir: &Path) -> StoreError {
    match Store::open(&options(dir)) {
        Ok(_) => panic!("it opened"),
        Err(e) => e,
    }
}

#[test]
fn a_state_directory_that_others_can_reach_is_refused_and_left_as_it_is() {
    let e = Estate::new();
    std::fs::create_dir(e.state()).unwrap();
    std::fs::set_permissions(e.state(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = error(&e.state()).to_string();
    assert!(said.contains("chmod 700") && said.contains("755"), "{said}");
    assert_eq!(std::fs::read_dir(e.state()).unwrap().count(), 0);
    std::fs::set_permissions(e.state(), std::fs::Permissions::from_mode(0o700)).unwrap();
    drop(Store::open(&options(&e.state())).unwrap());
    let db = e.state().join("state.db");
    assert_eq!(std::fs::metadata(&db).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&db, std::fs::Permissions::from_mode(0o640)).unwrap();
    let said = error(&e.state()).to_string();
    assert!(said.contains("chmod 600"), "{said}");
}

#[test]
fn a_second_engine_is_refused_and_told_who_has_it() {
    let e = Estate::new();
    let first = Store::open(&options(&e.state())).unwrap();
    assert!(matches!(error(&e.state()), StoreError::Held { pid, .. } if pid == std::process::id().to_string()));
    let epoch = first.epoch();
    drop(first);
    let second = Store::open(&options(&e.state())).unwrap();
    assert_eq!((second.epoch(), second.was_unclean()), (epoch + 1, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_garbled_store_is_kept_aside_and_nothing_starts_empty_unasked() {
    let e = Estate::new();
    let r = e.open();
    let run = r.submit(order(plan("p", vec![stage("a", &[], "true")]))).await.unwrap();
    end(&r, &run).await;
    r.shutdown().await;
    let db = e.state().join("state.db");
    std::fs::write(&db, vec![b'x'; 40_000]).unwrap();
    let StoreError::Damaged { kept, report, .. } = error(&e.state()) else { panic!("not called damaged") };
    assert_eq!(std::fs::read(&kept).unwrap(), vec![b'x'; 40_000], "kept whole");
    assert!(std::fs::read_to_string(&report).unwrap().contains(kept.to_str().unwrap()));
    assert!(matches!(error(&e.state()), StoreError::Damaged { .. }), "the next start is no empty one");
    assert!(!db.exists());
    std::fs::remove_file(&report).unwrap();
    let r = e.open();
    assert!(r.store().runs(&RunsQuery::default()).unwrap().is_empty());
    let next = r.submit(order(plan("p", vec![stage("a", &[], "true")]))).await.unwrap();
    assert_eq!(next.number, 2, "I4: numbers go on from the directories");
    end(&r, &next).await;
    r.shutdown().await;
    std::fs::write(&db, "").unwrap();
    assert!(matches!(error(&e.state()), StoreError::Damaged { .. }), "an emptied file is damage, not a new store");
}

#[test]
fn a_foreign_database_and_a_directory_in_its_place_are_refused_untouched() {
    let e = Estate::new();
    drop(Store::open(&options(&e.state())).unwrap());
    let db = e.state().join("state.db");
    let c = rusqlite::Connection::open(&db).unwrap();
    c.execute_batch("PRAGMA application_id = 77").unwrap();
    drop(c);
    assert!(matches!(error(&e.state()), StoreError::Foreign { found: 77, .. }));
    let c = rusqlite::Connection::open(&db).unwrap();
    c.execute_batch("PRAGMA application_id = 0x51444b31; PRAGMA user_version = 999").unwrap();
    drop(c);
    let said = error(&e.state()).to_string();
    assert!(said.contains("schema 999") && said.contains("nothing was changed"), "{said}");
    std::fs::remove_file(&db).unwrap();
    std::fs::create_dir(&db).unwrap();
    assert!(matches!(error(&e.state()), StoreError::Permissions { .. }));
}

#[test]
fn a_fuse_mount_is_refused_unless_the_override_gives_up_wal() {
    let e = Estate::new();
    let (real, mount) = (e.file("real"), e.file("mount"));
    for d in [&real, &mount] {
        std::fs::create_dir(d).unwrap();
        std::fs::set_permissions(d, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let Some(_mounted) = crate::support::Fuse::over("runner::store::fuse", &real, &mount) else { return };
    let said = error(&mount).to_string();
    assert!(said.contains("FUSE") && said.contains("--state-dir"), "{said}");
    assert_eq!(std::fs::read_dir(&mount).unwrap().count(), 0, "refused before anything was written");
    let store = Store::open(&OpenOptionsStore { network_state: true, ..options(&mount) }).unwrap();
    assert_eq!(store.runs(&RunsQuery::default()).unwrap().len(), 0, "the one connection reads too");
    assert!(!mount.join("state.db-wal").exists());
    drop(store);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_add_costs_the_same_rows_whatever_the_history() {
    let e = Estate::new();
    let r = e.open();
    r.drain(Some((&ann(), "")), None).await.unwrap();
    let size = || std::fs::metadata(e.state().join("state.db-wal")).map_or(0, |m| m.len());
    let mut grown = Vec::new();
    for _ in 0..3 {
        for _ in 0..300 {
            r.submit(order(plan("p", vec![stage("a", &[], "true")]))).await.unwrap();
        }
        let before = size();
        r.submit(order(plan("p", vec![stage("a", &[], "true")]))).await.unwrap();
        grown.push(size().saturating_sub(before));
    }
    // Pages of one insert, not of the history: pueue's state would have grown by all of it.
    assert!(grown.iter().all(|g| *g < 200_000), "{grown:?}");
    assert_eq!(r.store().runs(&RunsQuery { limit: 2_000, ..RunsQuery::default() }).unwrap().len(), 903);
    assert_eq!(r.queue().await.unwrap().len(), 903);
    r.shutdown().await;
}
