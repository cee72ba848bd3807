use serde_json::{Value, json};
use tgmesh_proto::audit::AuditEvent;
use tgmesh_testkit::eventually;
use tgmesh_testkit::postgres::Server;
use tgmesh_testkit::proxy::Proxy;

use crate::past::Past;
use crate::socket::{PATIENCE, Socket};
use crate::world::{World, detection, matched, token};

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_back_as_they_were_newest_first_over_pages() {
    let past = Past::start().await;
    let mut events: Vec<_> = (0..25).map(|_| detection(-1)).collect();
    for (n, event) in events.iter_mut().enumerate() {
        // Several of one second, and two months.
        event.message.date_ms = 1_795_435_200_000 - (n as i64 / 3) * 1000 - (n as i64 / 20) * 86_400_000 * 30;
        event.message.text = format!("=cmd|' /C calc'!A0 {n}");
        event.message.reply_to = Some(5);
        event.coin_type = (n == 3).then(|| "0x1::a::B".to_owned());
    }
    past.keep(&events).await;
    let analyst = token(&json!({"role": "analyst"}));
    let (items, pages) = past.pages("/api/detections?limit=4", &analyst).await;
    assert!(pages >= 7, "{pages}");
    events.sort_by_key(|event| std::cmp::Reverse((event.message.date_ms, event.id)));
    let wanted: Vec<Value> = events
        .iter()
        .map(|event| serde_json::to_value(event).expect("JSON"))
        .collect();
    assert_eq!(items, wanted, "as an analyst's live frames have them");

    let viewer = token(&json!({"role": "viewer"}));
    let (items, _) = past.pages("/api/detections", &viewer).await;
    assert_eq!(items.len(), 25);
    assert!(
        items
            .iter()
            .all(|item| item["sender"].is_null() && item["seen_before"].is_null())
    );

    let (status, kind, lines) = past.fetch("/api/detections", &analyst, "application/x-ndjson").await;
    assert_eq!((status, kind.as_str()), (200, "application/x-ndjson"));
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines, wanted);
    let (status, kind, table) = past
        .fetch("/api/detections?limit=2", &analyst, "text/csv, */*;q=0.1")
        .await;
    assert_eq!(
        (status, kind.as_str()),
        (200, "text/csv; charset=utf-8; header=present")
    );
    let lines: Vec<&str> = table.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(
        lines[0].starts_with("id,event,family") && lines[1].contains(",'=cmd|"),
        "{table}"
    );
    assert_eq!(past.fetch("/api/detections", &viewer, "text/csv").await.0, 403);
    assert_eq!(past.fetch("/api/detections", &analyst, "text/html").await.0, 406);
}

#[tokio::test(flavor = "multi_thread")]
async fn matches_stand_among_detections_where_they_are_wanted() {
    let past = Past::start().await;
    let (found, mut link) = (detection(-1), matched(-1));
    link.message.date_ms = found.message.date_ms - 1000;
    past.keep(std::slice::from_ref(&found)).await;
    past.keep_matches(std::slice::from_ref(&link)).await;
    let analyst = token(&json!({"role": "analyst"}));
    let ids = async |query: &str| -> Vec<Value> {
        let (items, _) = past.pages(&format!("/api/detections?limit=1{query}"), &analyst).await;
        items.iter().map(|item| item["id"].clone()).collect()
    };
    let (found, link) = (json!(found.id), json!(link.id));
    assert_eq!(ids("").await, std::slice::from_ref(&found));
    assert_eq!(ids("&matches=true").await, [found.clone(), link.clone()]);
    assert_eq!(ids("&matches=true&events=rule_matched").await, [link]);
    assert_eq!(
        ids("&matches=true&families=solana").await,
        [found],
        "a match has no family"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_about_addresses_chats_and_senders() {
    let past = Past::start().await;
    let (mut first, mut second) = (detection(-1), detection(-2));
    second.address.clone_from(&first.address);
    first.message.date_ms = 1_795_435_200_000;
    second.message.date_ms = 1_795_435_205_000;
    past.keep(&[first.clone(), second]).await;
    past.count().await;
    let path = format!("/api/addresses/{}", first.address);
    let (_, answer) = past.get(&path, &token(&json!({"role": "analyst"}))).await;
    let found = &answer["found"][0];
    assert_eq!(found["first"]["chat_id"], -1);
    assert_eq!(found["first"]["sender_id"], 4242);
    assert_eq!(found["next"], json!({"chat_id": -2, "lead_ms": 5000}));
    assert_eq!(found["spread"][1]["behind_ms"], 5000);
    // As if there were no other chat.
    let narrow = token(&json!({"role": "viewer", "chats": [-2]}));
    let (_, answer) = past.get(&path, &narrow).await;
    let found = &answer["found"][0];
    assert_eq!(
        (&found["first"]["chat_id"], &found["chats"], &found["next"]),
        (&json!(-2), &json!(1), &Value::Null)
    );
    assert_eq!(found["first"]["sender_id"], Value::Null);
    assert_eq!(past.get(&path, &token(&json!({"chats": [-3]}))).await.0, 404);

    let (chats, pages) = past.pages("/api/chats?limit=1", &token(&json!({}))).await;
    assert_eq!((chats.len(), pages), (2, 2));
    assert_eq!(chats[0]["statistics"]["called"], 1);
    let (chats, _) = past.pages("/api/chats", &narrow).await;
    assert_eq!(
        (chats.len(), &chats[0]["id"], &chats[0]["statistics"]),
        (1, &json!(-2), &Value::Null)
    );

    let (_, sender) = past.get("/api/senders/4242", &token(&json!({"role": "analyst"}))).await;
    assert_eq!(
        (&sender["name"], &sender["statistics"]["called"]),
        (&json!("Mallory"), &json!(2))
    );
    let (_, sender) = past
        .get("/api/senders/4242", &token(&json!({"role": "analyst", "chats": [-1]})))
        .await;
    assert_eq!(
        (&sender["name"], &sender["statistics"]["called"]),
        (&json!("Mallory"), &json!(1))
    );
    assert_eq!(past.get("/api/senders/4242", &narrow).await.0, 403);
    assert_eq!(past.get("/api/senders/1", &token(&json!({}))).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn ledgers_are_for_operators() {
    let past = Past::start().await;
    let entries: Vec<AuditEvent> = (0..5)
        .map(|n| {
            AuditEvent::new(
                ("gateway", "g-1"),
                "login",
                1_795_435_200_000_000 + n / 2,
                Some("ann"),
                None,
                [],
            )
        })
        .map(AuditEvent::with_id)
        .collect();
    past.keep_audit(&entries).await;
    let operator = token(&json!({}));
    let (items, pages) = past.pages("/api/audit?limit=2&actor=ann", &operator).await;
    // Two pairs are the same entry, told twice.
    assert_eq!((items.len(), pages), (3, 2), "{items:?}");
    assert_eq!(past.pages("/api/audit?actor=bob", &operator).await.0.len(), 0);
    let (status, letters) = past.get("/api/deadletters", &operator).await;
    assert_eq!((status, letters), (200, json!({"items": [], "next_cursor": null})));
    for path in ["/api/audit", "/api/deadletters"] {
        let (status, problem) = past.get(path, &token(&json!({"role": "analyst"}))).await;
        assert_eq!((status, &problem["status"]), (403, &json!(403)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_the_past_is_unavailable_and_live_goes_on() {
    let world = World::start().await;
    let client = reqwest::Client::new();
    let answer = client
        .get(world.url("/api/detections"))
        .bearer_auth(token(&json!({})))
        .send()
        .await
        .expect("it answers");
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let (mut socket, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
    socket.subscribe("s", json!({}), None).await;
    let last = world.publish(&detection(-1)).await;
    socket.seqs_until(last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_told_and_comes_back() {
    let server = Server::shared().await.expect("Postgres");
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port()))
        .await
        .expect("a proxy");
    let (direct, through) = (format!(":{}/", server.port()), format!(":{}/", proxy.port()));
    let past = Past::start_behind(|url| url.replace(&direct, &through)).await;
    past.keep(&[detection(-1)]).await;
    // Each of these is another subject, so that asking again is not asking too often.
    let ask = async || past.get("/api/detections", &token(&json!({}))).await;
    assert_eq!(ask().await.1["items"].as_array().map(Vec::len), Some(1));
    proxy.cut();
    let (status, problem) = ask().await;
    assert_eq!((status, &problem["status"]), (503, &json!(503)));
    let ready = past
        .http
        .get(past.world.url("/readyz"))
        .send()
        .await
        .expect("it answers");
    assert_eq!(ready.status(), 200, "live events need no database");
    let (mut socket, _) = Socket::welcomed(past.world.port, &token(&json!({}))).await;
    socket.subscribe("s", json!({}), None).await;
    let last = past.world.publish(&detection(-1)).await;
    socket.seqs_until(last).await;
    proxy.heal();
    eventually(PATIENCE, "the database is used again", || async {
        ask().await.0 == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_checked_paced_and_answered_without_a_body_for_head() {
    let past = Past::start().await;
    let operator = token(&json!({}));
    for (path, name) in [
        ("/api/detections?nonsense=1", "nonsense"),
        ("/api/detections?chats=x", "chats"),
        ("/api/detections?limit=1001", "limit"),
        ("/api/detections?cursor=AQ", "cursor"),
        ("/api/detections?text=a", "text"),
        ("/api/chats?limit=0", "limit"),
        ("/api/audit?since=soon", "since"),
        ("/api/senders/x", "id"),
    ] {
        let (status, problem) = past.get(path, &operator).await;
        assert_eq!(
            (status, &problem["parameter"]),
            (400, &json!(name)),
            "{path}: {problem}"
        );
    }
    let request = past.http.head(past.world.url("/api/chats")).bearer_auth(&operator);
    let answer = request.send().await.expect("it answers");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["cache-control"]),
        (200, &"no-store".parse().expect("a value"))
    );
    assert_eq!(answer.text().await.expect("a body"), "");
    let request = past.http.post(past.world.url("/api/audit")).bearer_auth(&operator);
    let answer = request.send().await.expect("it answers");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["allow"]),
        (405, &"GET, HEAD".parse().expect("a value"))
    );

    let busy = token(&json!({}));
    let asked = (0..400).map(|_| past.http.get(past.world.url("/api/nothing")).bearer_auth(&busy).send());
    let answers = futures_util::future::join_all(asked).await;
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("it answers")).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status() == 429).collect();
    assert!(!refused.is_empty() && refused.len() <= 360, "{}", refused.len());
    assert!(
        refused
            .iter()
            .all(|answer| answer.headers().contains_key("retry-after"))
    );
}
