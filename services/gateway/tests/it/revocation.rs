use std::time::{Duration, Instant};

use serde_json::json;
use tgmesh_proto::{codec, subject};
use tgmesh_stream::revocations;
use tgmesh_stream::tail::{Start, Tail};
use tgmesh_testkit::eventually;

use crate::socket::{Opening, PATIENCE, Socket};
use crate::world::{World, token};

async fn code_of(port: u16, bearer: &str) -> u16 {
    let (mut socket, _) = Socket::open(port, &Opening::bearer(bearer)).await.expect("101");
    socket.closed().await
}

async fn post(world: &World, bearer: &str, body: &str) -> u16 {
    let request = reqwest::Client::new()
        .post(world.url("/api/revocations"))
        .bearer_auth(bearer);
    let answer = request.body(body.to_owned()).send().await.expect("answers");
    answer.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_ends_at_once_and_stays_out() {
    let mut world = World::start().await;
    let (taken, kept) = (
        token(&json!({"sub": "ann", "jti": "t/1"})),
        token(&json!({"sub": "ann", "jti": "t-2"})),
    );
    let (mut first, _) = Socket::welcomed(world.port, &taken).await;
    let (mut second, _) = Socket::welcomed(world.port, &kept).await;
    let operator = token(&json!({}));
    assert_eq!(post(&world, &operator, r#"{"token_id": "t/1"}"#).await, 204);
    let begun = Instant::now();
    assert_eq!(first.closed().await, 4409);
    println!("closed after {:?}", begun.elapsed());
    assert_eq!(code_of(world.port, &taken).await, 4401);
    second.send(&json!({"type": "ping", "t_ms": 1})).await;
    second.expect("pong").await;

    revocations::revoke(&world.mesh, "ann", "test", 0)
        .await
        .expect("it is stored");
    assert_eq!(second.closed().await, 4409);
    // A gateway that starts anew lets nobody in before it knows the list.
    world.kill_gateway().await;
    world.start_gateway().await;
    assert_eq!(code_of(world.port, &taken).await, 4401);
    assert_eq!(code_of(world.port, &kept).await, 4401);
    let later = token(&json!({"sub": "ann"}));
    assert_eq!(
        code_of(world.port, &later).await,
        4401,
        "a subject has no tokens at all"
    );
    revocations::restore(&world.mesh, "ann").await.expect("it is stored");
    eventually(PATIENCE, "the subject is let in again", || async {
        let opening = Opening::bearer(&later);
        let (mut socket, _) = Socket::open(world.port, &opening).await.expect("101");
        socket.next().await.is_ok_and(|frame| frame["type"] == "welcome")
    })
    .await;
    assert_eq!(code_of(world.port, &taken).await, 4401, "its token stays revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_with_a_revoked_token_is_refused() {
    let world = World::start().await;
    let (mut socket, _) = Socket::welcomed(world.port, &token(&json!({"sub": "ann"}))).await;
    let revoked = token(&json!({"sub": "ann", "jti": "gone"}));
    revocations::revoke(&world.mesh, "gone", "test", 0)
        .await
        .expect("it is stored");
    eventually(PATIENCE, "the revocation is known", || async {
        code_of(world.port, &revoked).await == 4401
    })
    .await;
    socket.send(&json!({"type": "auth", "token": revoked})).await;
    assert_eq!(socket.closed().await, 4401);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_revoke_and_bad_bodies_are_told() {
    let world = World::start().await;
    let operator = token(&json!({}));
    assert_eq!(post(&world, "bad", r#"{"subject": "x"}"#).await, 401);
    for role in ["viewer", "analyst"] {
        assert_eq!(
            post(&world, &token(&json!({"role": role})), r#"{"subject": "x"}"#).await,
            403,
            "{role}"
        );
    }
    let long = "x".repeat(5_000);
    for (body, status) in [
        ("", 400),
        ("{}", 400),
        (r#"{"subject": ""}"#, 400),
        (r#"{"subject": "a", "token_id": "b"}"#, 400),
        (r#"{"subject": "a", "more": 1}"#, 400),
        (r#"{"subject": 7}"#, 400),
        (long.as_str(), 413),
    ] {
        assert_eq!(post(&world, &operator, body).await, status, "{body}");
    }
    let get = reqwest::Client::new()
        .get(world.url("/api/revocations"))
        .bearer_auth(&operator);
    assert_eq!(get.send().await.expect("answers").status(), 405);
}

/// Who came in, who watched what, who was refused, who revoked.
#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_has_it() {
    let world = World::start().await;
    let mut log = Tail::open(&world.mesh, subject::AUDIT, Start::After(0), None)
        .await
        .expect("AUDIT is there");
    let (mut socket, _) = Socket::welcomed(world.port, &token(&json!({"sub": "ann", "chats": [-7]}))).await;
    socket.subscribe("s", json!({"families": ["evm"]}), None).await;
    assert_eq!(code_of(world.port, "bad").await, 4401);
    assert_eq!(
        post(&world, &token(&json!({"sub": "root"})), r#"{"subject": "mallory"}"#).await,
        204
    );
    let mut told = Vec::new();
    while told.len() < 4 {
        let delivery = tokio::time::timeout(Duration::from_secs(20), log.next())
            .await
            .expect("in time")
            .expect("is read");
        let event = codec::decode_audit(&delivery.payload).expect("an audit event");
        assert_eq!(event.clone().with_id().id, event.id);
        told.push((event.event, event.actor, event.target));
    }
    let ann = || Some("ann".to_owned());
    assert_eq!(
        told,
        [
            ("login".to_owned(), ann(), None),
            ("subscribe".to_owned(), ann(), Some("chats:-7".to_owned())),
            ("refused".to_owned(), None, None),
            (
                "revoke".to_owned(),
                Some("root".to_owned()),
                Some("subject:mallory".to_owned())
            ),
        ]
    );
}
