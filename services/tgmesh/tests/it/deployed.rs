//! Postgres and its users as Kubernetes and compose have them: what each part can do there, and what
//! nobody can.

use std::time::Duration;

use tgmesh_lifecycle::clock;
use tgmesh_proto::{codec, subject};
use tgmesh_stream::publish::{Outgoing, publish_one};
use tgmesh_stream::{Mesh, NatsConfig};
use tgmesh_testkit::cluster::Secrets;
use tgmesh_testkit::postgres::Deployed;
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{Scratch, binary, eventually, free_port, nats, repo_root, until};

use crate::support::{alone, clean, tgmesh};

const LIMIT: Duration = Duration::from_mins(1);

struct Place {
    postgres: Deployed,
    nats: nats::Server,
    scratch: Scratch,
}

impl Place {
    async fn new() -> Self {
        let nats = nats::Server::start().await.unwrap();
        let (code, text) = output(tgmesh(&["topology", "apply"]).env("NATS_URL", nats.url())).await;
        assert_eq!(code, Some(0), "{text}");
        Self {
            postgres: Deployed::start().await.unwrap(),
            nats,
            scratch: Scratch::new().unwrap(),
        }
    }

    /// A service with the address that its Secret has.
    fn service(&self, part: &str) -> Spec {
        let url = self.postgres.url(part).unwrap();
        let file = self.scratch.path().join(format!("{part}-url"));
        std::fs::write(&file, url).unwrap();
        clean(Spec::new(binary(&format!("tgmesh-{part}"))))
            .env("NATS_URL", self.nats.url())
            .env("DATABASE_URL_FILE", file)
            .env("RUST_LOG", "info")
    }

    /// Puts an event of now into the stream, and gives its address.
    async fn publish(&self) -> String {
        let bytes = std::fs::read(repo_root().join("proto/vectors/detection_full.msgpack")).unwrap();
        let mut event = codec::decode(&bytes).unwrap();
        event.message.date_ms = clock::now_us() / 1000;
        event.listener.backfill = false;
        let message = Outgoing {
            subject: subject::detection(event.chat.id, event.family),
            id: event.id,
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00".to_owned(),
            payload: codec::encode(&event).unwrap().into(),
        };
        let config = NatsConfig::new(&self.nats.url()).unwrap();
        let mesh = Mesh::connect(&config, "test").await.unwrap();
        publish_one(&mesh, &message).await.unwrap();
        event.address
    }

    async fn refused(&self, user: &str, sql: &str) {
        let answer = self.postgres.query(user, "tgmesh", "verify-full", sql).await;
        let error = answer.expect_err(sql).to_string();
        let words = ["permission denied", "must be owner", "must be superuser"];
        assert!(words.iter().any(|word| error.contains(word)), "{user}: {sql}: {error}");
    }
}

async fn output(spec: Spec) -> (Option<i32>, String) {
    let process = Process::spawn(spec).unwrap();
    let status = process.wait(LIMIT).await.unwrap();
    (status.code(), process.log_tail())
}

fn migrate(url: &str) -> Spec {
    clean(Spec::new(binary("tgmesh-archiver")))
        .arg("migrate")
        .env("DATABASE_URL", url)
}

async fn body(url: &str, token: &str) -> Option<String> {
    let answer = reqwest::Client::new().get(url).bearer_auth(token).send().await.ok()?;
    answer.error_for_status().ok()?.text().await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_does_its_work_in_the_deployed_database_and_nothing_else() {
    let _alone = alone().await;
    let place = Place::new().await;
    let admin = format!("127.0.0.1:{}", free_port());
    let archiver = Process::spawn(place.service("archiver").env("ADMIN_LISTEN", &admin)).unwrap();
    // The pods start together: the archiver waits for the Job.
    eventually(LIMIT, "the archiver says what it waits for", async || {
        archiver.log_tail().contains("its user may not migrate")
    })
    .await;
    let (code, text) = output(migrate(&place.postgres.url("migrate").unwrap())).await;
    assert_eq!(code, Some(0), "{text}");
    let ready = format!("http://{admin}/readyz");
    eventually(LIMIT, "the archiver is ready", async || {
        reqwest::get(&ready).await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;

    let address = place.publish().await;

    let port = free_port();
    let secrets = place.postgres.secrets();
    let gateway = place
        .service("gateway")
        .env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"))
        .env("ADMIN_LISTEN", "127.0.0.1:0")
        .env("JWT_ALGORITHM", "EdDSA")
        .env("JWT_JWKS", secrets.path("gateway/jwks.json"));
    let gateway = Process::spawn(gateway).unwrap();
    let sign = tgmesh(&["token", "--sub", "me", "--role", "operator", "--chats", "*"])
        .env("JWT_ALGORITHM", "EdDSA")
        .env("JWT_PRIVATE_KEY_FILE", secrets.path("operator/jwt.pem"));
    let (code, token) = output(sign).await;
    assert_eq!(code, Some(0), "{token}");
    let past = format!("http://127.0.0.1:{port}/api/detections?addresses={address}");
    eventually(LIMIT, "what was published is in the past", async || {
        assert!(gateway.is_running(), "{}", gateway.log_tail());
        let page = body(&past, token.trim()).await;
        page.is_some_and(|page| page.contains(&format!("\"address\":\"{address}\"")))
    })
    .await;

    let sessions = "SELECT string_agg(DISTINCT concat_ws(' ', usename, ssl, version), ', ' ORDER BY concat_ws(' ', usename, ssl, version)) \
                    FROM pg_stat_activity LEFT JOIN pg_stat_ssl USING (pid) WHERE client_addr IS NOT NULL";
    let sessions = place.postgres.superuser("tgmesh", sessions).await.unwrap();
    assert_eq!(sessions, "archiver t TLSv1.3, gateway t TLSv1.3");
    let owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'";
    let owners = place.postgres.superuser("tgmesh", owners).await.unwrap();
    assert_eq!(owners, "tgmesh_owner");
    for sql in [
        "INSERT INTO chats SELECT * FROM chats",
        "INSERT INTO audit_log SELECT * FROM audit_log",
        "UPDATE detections SET text = NULL",
        "DELETE FROM detections",
        "TRUNCATE detections",
    ] {
        place.refused("gateway", sql).await;
    }
    for sql in ["DELETE FROM detections", "DELETE FROM audit_log", "TRUNCATE detections"] {
        place.refused("archiver", sql).await;
    }
    for user in ["gateway", "archiver"] {
        for sql in [
            "DROP TABLE detections",
            "ALTER TABLE detections ADD own int",
            "CREATE TABLE own (a int)",
            "CREATE TEMP TABLE own (a int)",
            "CREATE SCHEMA own",
            "SET ROLE tgmesh_owner",
        ] {
            place.refused(user, sql).await;
        }
    }
    for user in ["gateway", "archiver", "migrate"] {
        for sql in [
            "CREATE ROLE own",
            "CREATE DATABASE own",
            "SET ROLE postgres",
            "COPY (SELECT 1) TO PROGRAM 'true'",
            "SELECT pg_read_file('postgresql.conf')",
            "SELECT rolpassword FROM pg_authid",
        ] {
            place.refused(user, sql).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_encrypted_known_and_trusted_does_not_come_in() {
    let _alone = alone().await;
    let postgres = Deployed::start().await.unwrap();
    let told = async |user: &str, database: &str, sslmode: &str| {
        let answer = postgres.query(user, database, sslmode, "SELECT 1").await;
        answer.expect_err("it was let in").to_string()
    };
    let plain = told("archiver", "tgmesh", "disable").await;
    assert!(plain.contains("no encryption"), "{plain}");
    let superuser = told("postgres", "tgmesh", "verify-full").await;
    assert!(superuser.contains("no pg_hba.conf entry"), "{superuser}");
    let elsewhere = told("gateway", "postgres", "verify-full").await;
    assert!(elsewhere.contains("no pg_hba.conf entry"), "{elsewhere}");
    assert_eq!(
        postgres
            .query("gateway", "tgmesh", "verify-full", "SELECT 1")
            .await
            .unwrap(),
        "1"
    );

    let url = postgres.url("migrate").unwrap();
    let password = std::fs::read_to_string(postgres.secrets().path("postgres/migrate")).unwrap();
    let (code, text) = output(migrate(&url.replace(&password, "anothersecret"))).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("password authentication failed for user \"migrate\""),
        "{text}"
    );
    assert!(!text.contains("anothersecret"), "{text}");

    let (in_the_clear, _) = url.split_once('?').unwrap();
    let in_the_clear = format!("{in_the_clear}?hostaddr=127.0.0.1");
    let (code, text) = output(migrate(&in_the_clear)).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("no encryption"), "{text}");

    // Another authority of the same name, as after a second `make k8s-secrets`.
    let others = Secrets::make().await.unwrap();
    let authority = |secrets: &Secrets| secrets.path("postgres-tls/ca.crt").display().to_string();
    let untrusted = url.replace(&authority(postgres.secrets()), &authority(&others));
    let misnamed = url.replace("postgres.tgmesh.svc", "postgres.elsewhere.svc");
    for (url, cause) in [
        (untrusted, "BadSignature"),
        (misnamed, "certificate not valid for name"),
    ] {
        // A certificate may be renewed: it waits, and says for what.
        let waiting = Process::spawn(migrate(&url)).unwrap();
        let told = format!("invalid peer certificate: {cause}");
        let is_told = until(LIMIT, async || {
            !waiting.is_running() || waiting.log_tail().contains(cause)
        })
        .await;
        let log = waiting.log_tail();
        assert!(is_told && log.contains(&told) && waiting.is_running(), "{told}: {log}");
        assert!(!log.contains(&password), "{log}");
    }
}
