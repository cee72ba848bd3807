use serde_json::{Value, json};
use tgmesh_testkit::eventually;

use crate::socket::{PATIENCE, Socket};
use crate::world::{World, token};

const METRICS: &str = "/api/metrics/telegram-stream";

#[tokio::test(flavor = "multi_thread")]
async fn everything_below_api_needs_a_token() {
    let world = World::start().await;
    let client = reqwest::Client::new();
    for path in [METRICS, "/api", "/api/detections", "/api/nothing"] {
        for request in [
            client.get(world.url(path)),
            client.get(world.url(path)).bearer_auth("bad"),
        ] {
            let answer = request.send().await.expect("answers");
            assert_eq!(answer.status(), 401, "{path}");
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
            assert!(answer.headers().contains_key("www-authenticate"));
            let problem: Value = answer.json().await.expect("JSON");
            assert_eq!(problem["status"], 401);
        }
    }
    let token = token(&json!({}));
    let answer = client
        .get(world.url("/api/nothing"))
        .bearer_auth(&token)
        .send()
        .await
        .expect("answers");
    assert_eq!(answer.status(), 404);
    let answer = client
        .post(world.url(METRICS))
        .bearer_auth(&token)
        .send()
        .await
        .expect("answers");
    assert_eq!(answer.status(), 405);
    let answer = client.get(world.url("/nothing")).send().await.expect("answers");
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let answer = client.get(world.url("/ws")).send().await.expect("answers");
    assert_eq!(answer.status(), 400, "no upgrade");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mesh_in_figures() {
    let world = World::start().await;
    let (mut socket, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
    socket.subscribe("s", json!({}), None).await;
    let last = world.publish_many(50, -1).await;
    socket.seqs_until(last).await;
    let fetch = async |role: &str| -> Value {
        let token = token(&json!({"role": role}));
        let answer = reqwest::Client::new()
            .get(world.url(METRICS))
            .bearer_auth(token)
            .send()
            .await
            .expect("answers");
        assert_eq!(answer.status(), 200);
        answer.json().await.expect("JSON")
    };
    eventually(PATIENCE, "the deliveries are reported", || async {
        fetch("viewer").await["websocketDeliveries"] == 50
    })
    .await;
    let metrics = fetch("viewer").await;
    assert!(metrics.get("instances").is_none(), "{metrics}");
    assert_eq!(metrics["websocketClients"], 1);
    assert_eq!(metrics["errors"], 0);
    assert!(metrics["uptime"].as_i64() > Some(0) && metrics["memoryUsage"]["rss"].as_u64() > Some(1 << 20));
    let latency = &metrics["latency"]["streamToWebSocket"];
    assert!(
        latency["p50"].as_f64() > Some(0.0) && latency["p999"].as_f64() >= latency["p50"].as_f64(),
        "{metrics}"
    );
    let average = metrics["avgStreamToWebSocketLatency"].as_f64().expect("a number");
    assert!(average > 0.0 && average < 1_000.0, "milliseconds: {average}");
    for key in [
        "messagesProcessed",
        "contractsDetected",
        "streamQueueSize",
        "avgListenerToStreamLatency",
        "avgDatabaseBatchLatency",
        "batchesWritten",
        "consumerGroupId",
    ] {
        assert!(metrics.get(key).is_some(), "{key}");
    }
    let instances = fetch("operator").await["instances"].clone();
    assert_eq!(instances[0]["instance"], "gateway-under-test");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_and_subjects_are_described_for_everyone() {
    let world = World::start().await;
    let answer = reqwest::get(world.url("/asyncapi.json")).await.expect("answers");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let document: Value = answer.json().await.expect("JSON");
    assert_eq!(document["asyncapi"], "3.0.0");
    assert_eq!(document["channels"]["ws"]["address"], "/ws");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_guarded() {
    let world = World::start().await;
    let answer = reqwest::get(world.url("/")).await.expect("answers");
    assert_eq!(answer.status(), 200);
    let header = |name: &str| {
        answer
            .headers()
            .get(name)
            .map(|value| value.to_str().expect("ASCII").to_owned())
    };
    assert_eq!(header("content-type").as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"));
    assert_eq!(header("referrer-policy").as_deref(), Some("no-referrer"));
    let policy = header("content-security-policy").expect("a policy");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "script-src 'self'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    if let Some(tag) = header("etag") {
        let request = reqwest::Client::new().get(world.url("/")).header("if-none-match", tag);
        assert_eq!(request.send().await.expect("answers").status(), 304);
    }
    let page = answer.text().await.expect("text");
    // Where the dashboard was built, its script is there, typed and cached for good.
    if let Some(script) = page
        .split('"')
        .find(|part| part.starts_with("./assets/index-") && part.contains(".js"))
    {
        let answer = reqwest::get(world.url(&script[1..])).await.expect("answers");
        assert_eq!(answer.headers()["content-type"], "text/javascript; charset=utf-8");
        assert!(
            answer.headers()["cache-control"]
                .to_str()
                .expect("ASCII")
                .contains("immutable")
        );
    } else {
        assert!(page.contains("dashboard"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_delivered_but_is_not_late() {
    let world = World::start().await;
    let last = world.publish_many(50, -1).await;
    let token = token(&json!({}));
    let (mut socket, _) = Socket::welcomed(world.port, &token).await;
    socket.subscribe("s", json!({}), Some(json!({"last": 50}))).await;
    socket.seqs_until(last).await;
    let fetch = async || -> Value {
        let request = reqwest::Client::new().get(world.url(METRICS)).bearer_auth(&token);
        request.send().await.expect("answers").json().await.expect("JSON")
    };
    eventually(PATIENCE, "the deliveries are reported", || async {
        fetch().await["websocketDeliveries"] == 50
    })
    .await;
    assert_eq!(fetch().await["avgStreamToWebSocketLatency"], Value::Null);
}
