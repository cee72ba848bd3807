//! A gateway with a database, filled as the archiver fills it.

use serde_json::Value;
use tgmesh_proto::detection::Detection;
use tgmesh_proto::matched::Match;
use tgmesh_store::detections::{Place, Row};
use tgmesh_store::{DbConfig, Store, audit, matches};
use tgmesh_testkit::postgres::{Database, Server};

use crate::world::{World, now};

pub struct Past {
    pub world: World,
    pub store: Store,
    pub database: Database,
    pub http: reqwest::Client,
}

impl Past {
    pub async fn start() -> Self {
        Self::start_behind(str::to_owned).await
    }

    /// With a gateway that knows the database by another URL.
    pub async fn start_behind(url: impl FnOnce(&str) -> String) -> Self {
        let server = Server::shared().await.expect("Postgres");
        let database = server.database().await.expect("a database");
        let store = Store::connect(&DbConfig::parse(database.url()).expect("a URL"), 2)
            .await
            .expect("it connects");
        store.migrate().await.expect("it migrates");
        let world = World::start_with(&[("DATABASE_URL", &url(database.url()))]).await;
        Self {
            world,
            store,
            database,
            http: reqwest::Client::new(),
        }
    }

    pub async fn keep(&self, events: &[Detection]) {
        let now_us = now().as_micros() as u64;
        let rows: Vec<Row> = events
            .iter()
            .map(|event| Row::new(event.clone(), place(event.message.id), now_us).expect("it fits"))
            .collect();
        for rows in rows.chunks(1000) {
            self.store.detections().insert_batch(rows).await.expect("it is written");
        }
    }

    pub async fn keep_matches(&self, events: &[Match]) {
        let now_us = now().as_micros() as u64;
        let rows: Vec<matches::Row> = events
            .iter()
            .map(|event| matches::Row::new(event.clone(), place(event.message.id), now_us).expect("it fits"))
            .collect();
        for rows in rows.chunks(1000) {
            self.store.matches().insert_batch(rows).await.expect("it is written");
        }
    }

    pub async fn keep_audit(&self, events: &[tgmesh_proto::audit::AuditEvent]) {
        let rows: Vec<audit::Row> = events
            .iter()
            .map(|event| audit::Row::new(event.clone(), place(1)).expect("it fits"))
            .collect();
        self.store.audit().insert_batch(&rows).await.expect("it is written");
    }

    /// Counts everything that is there.
    pub async fn count(&self) {
        while self
            .database
            .query("SELECT counted FROM roll_up(100000)")
            .await
            .expect("it counts")
            != "0"
        {}
    }

    /// Status and body of an answer.
    pub async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        let (status, _, body) = self.fetch(path, token, "application/json").await;
        (status, serde_json::from_str(&body).expect("JSON"))
    }

    /// Status, content type and body of an answer.
    pub async fn fetch(&self, path: &str, token: &str, accept: &str) -> (u16, String, String) {
        let request = self
            .http
            .get(self.world.url(path))
            .bearer_auth(token)
            .header("accept", accept);
        let answer = request.send().await.expect("it answers");
        let kind = answer.headers()["content-type"].to_str().expect("ASCII").to_owned();
        (
            answer.status().as_u16(),
            kind,
            answer.text().await.expect("a whole body"),
        )
    }

    /// All pages of a list; how many pages there were.
    pub async fn pages(&self, path: &str, token: &str) -> (Vec<Value>, usize) {
        let (mut items, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let (status, page) = self.get(&format!("{path}{cursor}"), token).await;
            assert_eq!(status, 200, "{path}: {page}");
            items.extend(page["items"].as_array().expect("a list").iter().cloned());
            pages += 1;
            let Some(next) = page["next_cursor"].as_str() else {
                return (items, pages);
            };
            let sign = if path.contains('?') { '&' } else { '?' };
            cursor = format!("{sign}cursor={next}");
        }
    }
}

fn place(seq: i64) -> Place {
    Place {
        epoch: "5f0c9a4e21d84b7b".into(),
        seq: seq.unsigned_abs(),
        stored_us: now().as_micros() as u64,
    }
}
