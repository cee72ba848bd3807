use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::socket::{Opening, Socket};
use crate::world::{World, claims, now_s, signed, token};

async fn code_of(port: u16, bearer: &str) -> u16 {
    let (mut socket, _) = Socket::open(port, &Opening::bearer(bearer))
        .await
        .expect("101 before the close");
    socket.closed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_tokens_are_4401() {
    let world = World::start().await;
    let now = now_s();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}.", part(&json!({"alg": "none"})), part(&claims()));
    let good = token(&json!({}));
    let mut forged = good.clone();
    forged.replace_range(good.len() - 4.., "AAAA");
    let missing = |claim: &str| {
        let mut claims = claims();
        claims.as_object_mut().expect("a map").remove(claim);
        signed(&claims)
    };
    for bad in [
        String::new(),
        "garbage".to_owned(),
        unsigned,
        forged,
        token(&json!({"exp": now - 10})),
        token(&json!({"aud": "elsewhere"})),
        token(&json!({"iat": now + 60})),
        missing("aud"),
        missing("exp"),
        missing("jti"),
        missing("sub"),
    ] {
        assert_eq!(code_of(world.port, &bad).await, 4401, "{bad}");
    }
    let (mut socket, _) = Socket::open(world.port, &Opening::default()).await.expect("101");
    socket.send(&json!({"type": "subscribe", "id": "s"})).await;
    assert_eq!(socket.closed().await, 4401, "a frame before the token");
    let (mut socket, _) = Socket::open(world.port, &Opening::default()).await.expect("101");
    socket.send(&json!({"type": "auth", "token": "bad"})).await;
    assert_eq!(socket.closed().await, 4401);
    Socket::welcomed(world.port, &good).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_within_five_seconds_is_4401() {
    let world = World::start().await;
    let begun = std::time::Instant::now();
    let (mut socket, _) = Socket::open(world.port, &Opening::default()).await.expect("101");
    assert_eq!(socket.closed().await, 4401);
    assert!(begun.elapsed() > Duration::from_secs(4) && begun.elapsed() < Duration::from_secs(8));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_ways_to_bring_a_token() {
    let world = World::start().await;
    let token = token(&json!({"sub": "ann"}));
    let (_, welcome) = Socket::welcomed(world.port, &token).await;
    assert_eq!(welcome["subject"], "ann");
    for protocol in ["tgmesh.v1.json", "tgmesh.v1.msgpack"] {
        let opening = Opening {
            protocols: Some(format!("{protocol}, bearer, {token}")),
            ..Opening::default()
        };
        let (mut socket, echoed) = Socket::open(world.port, &opening).await.expect("101");
        assert_eq!(echoed.as_deref(), Some(protocol), "only the first is echoed");
        assert_eq!(socket.expect("welcome").await["subject"], "ann");
        let opening = Opening {
            protocols: Some(protocol.to_owned()),
            ..Opening::default()
        };
        let (mut socket, _) = Socket::open(world.port, &opening).await.expect("101");
        socket.send(&json!({"type": "auth", "token": token})).await;
        assert_eq!(socket.expect("welcome").await["subject"], "ann");
    }
    let bare = Opening {
        protocols: Some(format!("bearer, {token}")),
        ..Opening::default()
    };
    assert_eq!(Socket::open(world.port, &bare).await.err(), Some(400));
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_closes_and_renewal_goes_on() {
    let world = World::start().await;
    let brief = || json!({"sub": "ann", "exp": now_s() + 3});
    let (mut left, _) = Socket::welcomed(world.port, &token(&brief())).await;
    let (mut renewed, welcome) = Socket::welcomed(world.port, &token(&brief())).await;
    renewed.subscribe("s", json!({}), None).await;
    renewed
        .send(&json!({"type": "auth", "token": token(&json!({"sub": "ann"}))}))
        .await;
    let again = renewed.expect("welcome").await;
    assert_eq!(again["session"], welcome["session"]);
    assert!(again["expires_at"].as_i64() > welcome["expires_at"].as_i64());
    assert_eq!(left.closed().await, 4409);
    let seq = world.publish_many(1, -1).await;
    assert_eq!(renewed.seqs_until(seq).await, [seq]);
    renewed
        .send(&json!({"type": "auth", "token": token(&json!({"sub": "bob"}))}))
        .await;
    assert_eq!(renewed.closed().await, 4403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrower_renewal_applies_at_once() {
    let world = World::start().await;
    let (mut socket, _) = Socket::welcomed(world.port, &token(&json!({"sub": "ann", "chats": [-1, -2]}))).await;
    socket.subscribe("s", json!({}), None).await;
    let first = world.publish_many(1, -2).await;
    assert_eq!(socket.seqs_until(first).await, [first]);
    let narrow = json!({"sub": "ann", "chats": [-1], "role": "viewer"});
    socket.send(&json!({"type": "auth", "token": token(&narrow)})).await;
    socket.expect("welcome").await;
    world.publish_many(3, -2).await;
    let last = world.publish_many(1, -1).await;
    let frame = socket.expect("detection").await;
    assert_eq!(frame["seq"], last);
    assert_eq!(frame["data"]["sender"], Value::Null);
}
