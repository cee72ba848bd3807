//! Who may do what.

use tgmesh_store::detections::Row;
use tgmesh_store::{DbConfig, Retention, Store, Subject};
use tgmesh_testkit::postgres::Database;

use crate::{NOW_US, event, inserted, place, row, start, unmigrated};

/// A user of its own for one test; roles belong to the whole server.
struct User {
    name: String,
    url: String,
}

impl User {
    async fn new(database: &Database, role: &str) -> Self {
        let name = format!("{role}_{:016x}", rand::random::<u64>());
        let create = format!("CREATE ROLE {name} LOGIN PASSWORD 'x' IN ROLE {role}");
        database.query(&create).await.unwrap();
        let (_, place) = database.url().split_once('@').unwrap();
        let url = format!("postgres://{name}:x@{place}");
        Self { name, url }
    }

    async fn store(&self) -> Store {
        Store::connect(&DbConfig::parse(&self.url).unwrap(), 2).await.unwrap()
    }

    async fn refused(&self, sql: &str) {
        let answer = tgmesh_testkit::postgres::query(&self.url, sql).await;
        let error = answer.expect_err(sql).to_string();
        let words = ["permission denied", "must be owner"];
        assert!(words.iter().any(|word| error.contains(word)), "{sql}: {error}");
    }

    async fn gone(self, database: &Database) {
        database.query(&format!("DROP ROLE {}", self.name)).await.unwrap();
    }
}

#[tokio::test]
async fn an_archiver_does_its_work_and_nothing_else() {
    let (database, _) = start().await;
    let user = User::new(&database, "tgmesh_archiver").await;
    let store = user.store().await;
    // All is up to date, which is all it may find out.
    store.migrate().await.unwrap();
    let store = store.with_retention(Retention {
        rows: Some(std::time::Duration::from_hours(40 * 24)),
        texts: Some(std::time::Duration::from_hours(24)),
    });
    let mut old = event(9);
    old.message.date_ms -= 60 * 86_400_000;
    let keeps_all = store.clone().with_retention(Retention::default());
    let old = Row::new(old, place(9), NOW_US).unwrap();
    let rows = [row(1), row(2), old];
    assert_eq!(
        keeps_all.detections().insert_batch(&rows).await.unwrap(),
        inserted(3, 0)
    );
    store.make_months_ahead(NOW_US).await.unwrap();
    crate::roll_ups::roll_up(&store).await;
    assert!(!store.rebase_roll_up().await.unwrap());
    assert_eq!(
        store.drop_expired_month(NOW_US).await.unwrap().as_deref(),
        Some("detections_2026_09")
    );
    assert_eq!(store.clear_expired_texts(NOW_US + 90_000_000_000, 10).await.unwrap(), 2);
    assert_eq!(
        store
            .addresses()
            .first_seen(&event(1).address, None)
            .await
            .unwrap()
            .len(),
        1
    );
    for sql in [
        "DELETE FROM detections",
        "DELETE FROM addresses",
        "DELETE FROM audit_log",
        "UPDATE audit_log SET actor = 'nobody'",
        "UPDATE detections SET address = 'x'",
        "UPDATE detections SET detail = '{}'",
        "TRUNCATE detections",
        "DROP TABLE detections",
        "DROP TABLE detections_2026_11",
        "ALTER TABLE detections DETACH PARTITION detections_2026_11",
        "DROP FUNCTION roll_up",
        "CREATE TABLE own (a int)",
        "SELECT erase_rows('chat', -1, 1)",
        "SELECT ask_erasure('chat', -1)",
        "INSERT INTO erasures VALUES ('chat', 1, now(), 0)",
        "DELETE FROM refinery_schema_history",
    ] {
        user.refused(sql).await;
    }
    let error = store.erase(Subject::Chat(-1)).await.unwrap_err();
    assert!(!error.is_transient() && !error.is_row_fault(), "{error}");
    drop((store, keeps_all));
    user.gone(&database).await;
}

#[tokio::test]
async fn a_reader_reads() {
    let (database, owner) = start().await;
    owner.detections().insert_batch(&[row(1)]).await.unwrap();
    let user = User::new(&database, "tgmesh_reader").await;
    let store = user.store().await;
    assert_eq!(store.detections().count().await.unwrap(), 1);
    assert_eq!(store.audit().count().await.unwrap(), 0);
    let known = store.addresses().first_seen(&event(1).address, None).await.unwrap();
    assert_eq!(known[0].counts.called, 1);
    assert_eq!(
        store
            .addresses()
            .spread(&event(1).address, None, 9)
            .await
            .unwrap()
            .len(),
        1
    );
    for sql in [
        "DELETE FROM detections",
        "UPDATE detections SET text = NULL",
        "INSERT INTO audit_log SELECT * FROM audit_log",
        "INSERT INTO chats SELECT * FROM chats",
        "UPDATE roll_up_state SET next_xid = 0",
        "TRUNCATE chats",
        "SELECT make_month('detections', '2020-01-01')",
        "SELECT drop_month('detections', '2020-01-01')",
        "SELECT roll_up(1)",
        "CREATE TABLE own (a int)",
        "DROP TABLE detections_2026_11",
    ] {
        user.refused(sql).await;
    }
    assert!(store.detections().insert_batch(&[row(2)]).await.is_err());
    drop(store);
    user.gone(&database).await;
}

#[tokio::test]
async fn a_user_who_may_not_migrate_says_what_is_missing() {
    let (database, _) = unmigrated().await;
    // Makes the roles, in another database of the same server.
    drop(start().await);
    let user = User::new(&database, "tgmesh_archiver").await;
    let store = user.store().await;
    let error = store.migrate().await.unwrap_err();
    assert!(
        error.to_string().contains("at version 0") && error.to_string().contains("owner"),
        "{error}"
    );
    let owner = Store::connect(&DbConfig::parse(database.url()).unwrap(), 1)
        .await
        .unwrap();
    owner.migrate().await.unwrap();
    store.migrate().await.unwrap();
    drop(store);
    user.gone(&database).await;
}

/// As on a hosted Postgres: no superuser, but one who may make roles and databases.
#[tokio::test]
async fn an_owner_need_not_be_a_superuser() {
    let (database, _) = unmigrated().await;
    drop(start().await);
    let user = User::new(&database, "tgmesh_owner").await;
    // What an operator does in a database of the user's own.
    database
        .query("GRANT CREATE ON SCHEMA public TO tgmesh_owner")
        .await
        .unwrap();
    let store = user.store().await;
    store.migrate().await.unwrap();
    // Once more, as at every start.
    store.migrate().await.unwrap();
    let owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(database.query(owners).await.unwrap(), "tgmesh_owner");
    let archiver = User::new(&database, "tgmesh_archiver").await;
    let writer = archiver.store().await;
    writer.migrate().await.unwrap();
    assert_eq!(
        writer.detections().insert_batch(&[row(1)]).await.unwrap(),
        inserted(1, 0)
    );
    assert_eq!(crate::roll_ups::roll_up(&writer).await, 1);
    let erased = store.erase(Subject::Chat(event(1).chat.id)).await.unwrap();
    assert_eq!(erased.detections, 1);
    // The partition that the archiver had made is the owner's.
    assert_eq!(database.query(owners).await.unwrap(), "tgmesh_owner");
    drop((store, writer));
    archiver.gone(&database).await;
    user.gone(&database).await;
}
