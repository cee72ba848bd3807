//! What each user may not do, tried with its own key.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{ConnectOptions, Event};
use tgmesh_stream::kv::Bucket;
use tgmesh_stream::publish::publish_one;
use tgmesh_stream::{stream_state, topology};
use tgmesh_testkit::cluster::Cluster;
use tgmesh_testkit::eventually;

use super::{config, connect, start};
use crate::{LONG, outgoing};

const SECRET: &str = "a sealed session";

/// What a service must not be able to do, whoever has broken into it.
const NOBODY_S: &[&str] = &[
    "$JS.API.STREAM.DELETE.DETECTIONS",
    "$JS.API.STREAM.PURGE.DETECTIONS",
    "$JS.API.STREAM.DELETE.KV_tgmesh_sessions",
    "$JS.API.STREAM.PURGE.KV_tgmesh_sessions",
    "$JS.API.STREAM.MSG.DELETE.AUDIT",
    "$JS.API.STREAM.SNAPSHOT.KV_tgmesh_sessions",
    "$JS.API.STREAM.RESTORE.DETECTIONS",
    "$JS.API.STREAM.LEADER.STEPDOWN.DETECTIONS",
    "$JS.API.META.LEADER.STEPDOWN",
    "$JS.API.ACCOUNT.PURGE.TGMESH",
    "$JS.API.CONSUMER.DELETE.DETECTIONS.archiver",
    "$JS.API.CONSUMER.PAUSE.DETECTIONS.archiver",
    "$JS.API.STREAM.MSG.GET.KV_tgmesh_sessions",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.ACCOUNT.PING.CONNZ",
    "tgmesh.v1.audit.tgmesh.erased",
];
/// What only one user may publish: each is tried with all others' keys.
const ONE_S: &[(&str, &[&str])] = &[
    (
        "listener",
        &[
            "tgmesh.v1.detections.-1001.solana",
            "tgmesh.v1.matches.-1001",
            "tgmesh.v1.audit.listener.account_stopped",
            "tgmesh.v1.stats.listener.x",
            "$KV.tgmesh_sessions.main",
            "$KV.tgmesh_leases.main",
            "$KV.tgmesh_ledger.main.-1001",
            "$KV.tgmesh_assignments.-1001",
            "$JS.API.DIRECT.GET.KV_tgmesh_sessions.$KV.tgmesh_sessions.main",
            "$JS.API.CONSUMER.CREATE.KV_tgmesh_sessions.x",
            "$JS.API.CONSUMER.CREATE.KV_tgmesh_sessions.x.$KV.tgmesh_sessions.>",
        ],
    ),
    (
        "archiver",
        &[
            "tgmesh.v1.deadletters.archiver",
            "tgmesh.v1.audit.archiver.expired_detections",
            "$JS.ACK.DETECTIONS.archiver.1.1.1.1.0",
            "$JS.API.CONSUMER.CREATE.DETECTIONS.archiver",
            "$JS.API.CONSUMER.MSG.NEXT.DETECTIONS.archiver",
            "$JS.API.CONSUMER.MSG.NEXT.AUDIT.archiver",
        ],
    ),
    (
        "gateway",
        &[
            "tgmesh.v1.audit.gateway.login",
            "tgmesh.v1.stats.gateway.x",
            "$KV.tgmesh_revocations.x",
        ],
    ),
    (
        "topology",
        &[
            "$JS.API.STREAM.CREATE.OTHER",
            "$JS.API.STREAM.UPDATE.KV_tgmesh_sessions",
        ],
    ),
];
/// What no service may listen to: others' answers, and streams without a consumer.
const DEAF_TO: &[&str] = &[
    ">",
    "_INBOX.>",
    "_INBOX.tgmesh-operator.>",
    "tgmesh.v1.detections.>",
    "$KV.tgmesh_sessions.>",
    "$JS.API.>",
    "$JS.EVENT.>",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_may_do_more_than_its_part() {
    let cluster = start().await;
    let listener = connect(&cluster, "listener").await;
    publish_one(&listener, &outgoing(1))
        .await
        .expect("the listener's own work");
    let sessions = Bucket::open(&listener, "tgmesh_sessions").await.expect("bucket");
    sessions
        .put("main", SECRET.into())
        .await
        .expect("the listener's own work");

    for (user, _) in ONE_S {
        let intruder = Intruder::new(&cluster, user).await;
        let others = ONE_S
            .iter()
            .filter(|(other, _)| other != user)
            .flat_map(|(_, theirs)| *theirs);
        for subject in NOBODY_S.iter().chain(others) {
            intruder.is_refused_to_publish(subject).await;
        }
        for subject in DEAF_TO {
            intruder.is_refused_to_read(subject).await;
        }
        for (other, _) in ONE_S.iter().filter(|(other, _)| other != user) {
            intruder.is_refused_to_read(&format!("_INBOX.tgmesh-{other}.>")).await;
        }
    }

    // And it had no effect.
    let state = stream_state(&listener, "DETECTIONS").await.expect("state");
    assert_eq!((state.messages, state.last_seq), (1, 1));
    let session = sessions.get("main").await.expect("answer").expect("still there");
    assert_eq!(session.value, SECRET.as_bytes());
}

/// The stream's epoch follows it even where those who read may not renew it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_learns_a_new_epoch_that_it_may_not_make() {
    let cluster = start().await;
    let listener = connect(&cluster, "listener").await;
    for n in 0..20 {
        publish_one(&listener, &outgoing(n)).await.expect("stored");
    }
    let archiver = connect(&cluster, "archiver").await;
    let stop = tokio_util::sync::CancellationToken::new();
    let keeper = tokio::spawn({
        let (archiver, stop) = (archiver.clone(), stop.clone());
        async move { topology::keep(&archiver, &stop).await }
    });
    let gateway = connect(&cluster, "gateway").await;
    let before = stream_state(&gateway, "DETECTIONS").await.expect("state").epoch;
    // The keeper has seen the twenty.
    tokio::time::sleep(Duration::from_secs(3)).await;

    // As a restore leaves it: the epoch of before, its end lost.
    let operator = Intruder::new(&cluster, "operator").await.context();
    let stream = operator.get_stream("DETECTIONS").await.expect("stream");
    let old = stream.cached_info().config.clone();
    operator.delete_stream("DETECTIONS").await.expect("deleted");
    operator.create_stream(old).await.expect("made again");
    publish_one(&listener, &outgoing(1_000_001)).await.expect("stored");

    eventually(LONG, "the gateway sees another epoch", || async {
        stream_state(&gateway, "DETECTIONS")
            .await
            .is_ok_and(|state| state.epoch != before)
    })
    .await;
    stop.cancel();
    keeper.await.expect("the keeper ends");
}

/// Somebody with a user's key and a client of their own.
struct Intruder {
    user: String,
    client: async_nats::Client,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Intruder {
    async fn new(cluster: &Cluster, user: &str) -> Self {
        let errors = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&errors);
        let given = config(cluster, user);
        let seed = std::fs::read_to_string(given.creds.expect("a key")).expect("a key");
        let client = ConnectOptions::with_nkey(seed.trim().to_owned())
            .add_root_certificates(given.ca.expect("an authority"))
            .custom_inbox_prefix(format!("_INBOX.tgmesh-{user}"))
            .event_callback(move |event| {
                if let Event::ServerError(error) = event {
                    told.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(error.to_string());
                }
                std::future::ready(())
            })
            .connect(cluster.urls().split(',').next().expect("a server").to_owned())
            .await
            .expect("connection");
        Self {
            user: user.to_owned(),
            client,
            errors,
        }
    }

    fn context(self) -> async_nats::jetstream::Context {
        async_nats::jetstream::new(self.client)
    }

    async fn is_refused_to_publish(&self, subject: &str) {
        self.client
            .publish(subject.to_owned(), "{}".into())
            .await
            .expect("sent");
        self.is_told(&format!("Publish to \"{subject}\""), subject).await;
    }

    async fn is_refused_to_read(&self, subject: &str) {
        let subscription = self.client.subscribe(subject.to_owned()).await.expect("sent");
        self.is_told(&format!("Subscription to \"{subject}\""), subject).await;
        drop(subscription);
    }

    async fn is_told(&self, what: &str, subject: &str) {
        // The server and the client's event loop write them in other cases of letters.
        let what = what.to_lowercase();
        let is_there = || {
            let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
            errors.iter().any(|error| error.to_lowercase().contains(&what))
        };
        self.client.flush().await.expect("answer");
        eventually(LONG, &format!("{} is refused {subject}", self.user), || async {
            is_there()
        })
        .await;
    }
}
