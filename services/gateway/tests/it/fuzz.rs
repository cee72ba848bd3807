//! Hostile requests and frames: by a table with the right answer to each, and by seeded mutations
//! of good ones, of which none may be let in by mistake, hang or hurt.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::socket::{Opening, Socket};
use crate::tokens::{seed, soak};
use crate::world::{World, token};

/// What a request has to hold.
const HEAD: [&str; 6] = [
    "GET /ws HTTP/1.1",
    "Host: 127.0.0.1",
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

/// Sends bytes in pieces; the status, or nothing where the connection is just closed.
async fn status(world: &World, bytes: &[u8], piece: usize) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.expect("it listens");
    for part in bytes.chunks(piece.max(1)) {
        if stream.write_all(part).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut head = [0; 12];
    let read = tokio::time::timeout(Duration::from_secs(15), stream.read_exact(&mut head)).await;
    let _ = read.expect("an answer or an end in time").ok()?;
    let text = std::str::from_utf8(&head).expect("ASCII");
    Some(text.strip_prefix("HTTP/1.1 ").expect(text).parse().expect("a status"))
}

fn request(lines: &[&str]) -> Vec<u8> {
    (lines.join("\r\n") + "\r\n\r\n").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests() {
    let world = World::start().await;
    let but = |at: usize, line: &'static str| {
        let mut lines = HEAD.to_vec();
        lines[at] = line;
        request(&lines)
    };
    let and = |line: &str| request(&[&HEAD[..], &[line]].concat());
    let without = |at: usize| {
        let mut lines = HEAD.to_vec();
        lines.remove(at);
        request(&lines)
    };
    let huge = format!("X-Huge: {}", "x".repeat(64 << 10));
    let many: Vec<String> = (0..200).map(|n| format!("X-{n}: y")).collect();
    let many: Vec<&str> = HEAD.into_iter().chain(many.iter().map(String::as_str)).collect();
    let table: [(&str, Vec<u8>, &[u16]); 23] = [
        ("good", request(&HEAD), &[101]),
        ("no Upgrade", without(2), &[400]),
        ("no Connection", without(3), &[400]),
        ("no key", without(4), &[400]),
        ("no version", without(5), &[426]),
        ("another version", but(5, "Sec-WebSocket-Version: 8"), &[426]),
        ("a short key", but(4, "Sec-WebSocket-Key: dGhl"), &[400]),
        (
            "no base64",
            but(4, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=?"),
            &[400],
        ),
        ("another upgrade", but(2, "Upgrade: h2c"), &[400]),
        ("a post", but(0, "POST /ws HTTP/1.1"), &[400, 405]),
        ("another path", but(0, "GET /ws/x HTTP/1.1"), &[404]),
        ("a token in the URL is none", but(0, "GET /ws?token=x HTTP/1.1"), &[101]),
        ("two keys", and(HEAD[4]), &[400]),
        ("two versions", and(HEAD[5]), &[400]),
        (
            "two tokens",
            request(&[&HEAD[..], &["Authorization: Bearer a", "Authorization: Bearer b"]].concat()),
            &[400],
        ),
        ("another Origin", and("Origin: https://evil.example"), &[403]),
        (
            "two Origins",
            request(&[&HEAD[..], &["Origin: http://127.0.0.1"; 2]].concat()),
            &[403],
        ),
        (
            "no UTF-8 in the Origin",
            [&request(&HEAD)[..request(&HEAD).len() - 2], b"Origin: \xff\r\n\r\n"].concat(),
            &[403],
        ),
        (
            "unknown subprotocols",
            and("Sec-WebSocket-Protocol: chat, superchat"),
            &[400],
        ),
        ("a huge header", and(&huge), &[400, 431]),
        ("many headers", request(&many), &[400, 431]),
        (
            "no HTTP",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
            &[400],
        ),
        ("a space before the colon", and("X-Smuggled : 1"), &[400]),
    ];
    for (name, bytes, wanted) in &table {
        for piece in [bytes.len(), 7] {
            let got = status(&world, bytes, piece).await.unwrap_or(0);
            // A head that is refused before it was read whole may end with the connection.
            let is_torn = got == 0 && bytes.len() > 32 << 10;
            assert!(wanted.contains(&got) || is_torn, "{name}: {got} instead of {wanted:?}");
        }
    }
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..if soak() { 20_000 } else { 300 } {
        let mut lines: Vec<Vec<u8>> = HEAD.iter().map(|line| line.as_bytes().to_vec()).collect();
        for _ in 0..random.random_range(1..5) {
            let at = random.random_range(0..lines.len());
            let line = lines[at].clone();
            match random.random_range(0..6) {
                0 if lines.len() > 1 => drop(lines.remove(at)),
                1 => lines.push(line),
                2 => lines[1..].shuffle(&mut random),
                3 if !line.is_empty() => {
                    let byte = random.random_range(0..line.len());
                    lines[at][byte] = random.random();
                }
                4 => lines[at].truncate(line.len() / 2),
                _ => lines[at].extend((0..random.random_range(0..2_000)).map(|_| random.random_range(b' '..b'~'))),
            }
        }
        let mut bytes = lines.join(&b"\r\n"[..]);
        bytes.extend(b"\r\n\r\n");
        let got = status(&world, &bytes, random.random_range(1..400)).await;
        let is_known = matches!(
            got,
            None | Some(101 | 200 | 304 | 400 | 401 | 403 | 404 | 405 | 408 | 414 | 426 | 431 | 501 | 505)
        );
        assert!(
            is_known,
            "seed {seed}, round {round}: {got:?}\n{}",
            String::from_utf8_lossy(&bytes)
        );
    }
    assert_eq!(world.counter("client_panics_total").await, 0);
    assert!(world.gateway().is_running());
}

/// What a frame has to lead to.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Closed(u16),
    Error(&'static str),
    Frame(&'static str),
}

#[tokio::test(flavor = "multi_thread")]
async fn frames() {
    use Answer::{Closed, Error, Frame};
    let world = World::start().await;
    let filter = |filter: Value| json!({"type": "subscribe", "id": "s", "filter": filter});
    let table = [
        (json!({"type": "ping", "t_ms": 1.5}), Frame("pong")),
        (json!({"type": "ping", "t_ms": 1, "more": [{}]}), Frame("pong")),
        (json!({"type": "ping", "t_ms": "1"}), Closed(4400)),
        (json!({"type": "ping"}), Closed(4400)),
        (json!({"type": "ping", "t_ms": null}), Closed(4400)),
        (json!({"type": 7}), Closed(4400)),
        (json!({"type": ["ping"], "t_ms": 1}), Closed(4400)),
        (json!({"type": "welcome"}), Closed(4400)),
        (json!([{"type": "ping", "t_ms": 1}]), Closed(4400)),
        (json!("ping"), Closed(4400)),
        (json!(null), Closed(4400)),
        (json!({}), Closed(4400)),
        (json!({"type": "subscribe"}), Closed(4400)),
        (json!({"type": "subscribe", "id": 7}), Closed(4400)),
        (json!({"type": "subscribe", "id": ""}), Error("bad_id")),
        (json!({"type": "subscribe", "id": "x".repeat(65)}), Error("bad_id")),
        (json!({"type": "unsubscribe", "id": "nobody"}), Error("unknown_id")),
        (json!({"type": "rendered", "seq": -1, "at_ms": 1}), Closed(4400)),
        (json!({"type": "rendered", "seq": 1e300, "at_ms": 1}), Closed(4400)),
        (json!({"type": "auth", "token": 7}), Closed(4400)),
        (json!({"type": "auth", "token": "x"}), Closed(4401)),
        (
            json!({"type": "subscribe", "id": "s", "resume": {}}),
            Error("bad_resume"),
        ),
        (
            json!({"type": "subscribe", "id": "s", "resume": {"last": -1}}),
            Error("bad_resume"),
        ),
        (
            json!({"type": "subscribe", "id": "s", "resume": {"epoch": 1, "after": 1}}),
            Error("bad_resume"),
        ),
        (
            json!({"type": "subscribe", "id": "s", "resume": {"last": 4_000_000_000_u32}}),
            Frame("subscribed"),
        ),
        (filter(json!({})), Frame("subscribed")),
        (filter(json!({"chats": []})), Frame("subscribed")),
        (filter(json!([])), Error("bad_filter")),
        (filter(json!({"chat": [1]})), Error("bad_filter")),
        (filter(json!({"chats": ["1"]})), Error("bad_filter")),
        (filter(json!({"chats": [1e300]})), Error("bad_filter")),
        (filter(json!({"chats": vec![1; 1_001]})), Error("bad_filter")),
        (filter(json!({"chats": vec![1; 1_000]})), Frame("subscribed")),
        (filter(json!({"families": ["dogecoin"]})), Error("bad_filter")),
        (filter(json!({"events": ["called", "shouted"]})), Error("bad_filter")),
        (filter(json!({"min_confidence": 1.5})), Error("bad_filter")),
        (filter(json!({"min_confidence": -0.1})), Error("bad_filter")),
        (filter(json!({"min_confidence": "1"})), Error("bad_filter")),
        (filter(json!({"backfill": "yes"})), Error("bad_filter")),
        (filter(json!({"unique_within": "8d"})), Error("bad_filter")),
        (filter(json!({"unique_within": "-1s"})), Error("bad_filter")),
        (
            filter(json!({"unique_within": "99999999999999999999y"})),
            Error("bad_filter"),
        ),
        (filter(json!({"text": "("})), Error("bad_filter")),
        (filter(json!({"text": "(?=look)ahead"})), Error("bad_filter")),
        (filter(json!({"text": r"(a)\1"})), Error("bad_filter")),
        (filter(json!({"text": "x".repeat(257)})), Error("bad_filter")),
        (filter(json!({"text": "(((x{500}){500}){500})"})), Error("bad_filter")),
        (filter(json!({"text": r"\p{L}{200}\p{L}{200}"})), Error("bad_filter")),
        (filter(json!({"text": "(".repeat(256)})), Error("bad_filter")),
        (
            filter(json!({"text": format!("{}{}", "(".repeat(120), ")".repeat(120))})),
            Frame("subscribed"),
        ),
        // Exponential for whoever tracks back.
        (filter(json!({"text": "(a+)+$|(a|aa)+b|(.*){9}x"})), Frame("subscribed")),
    ];
    for protocol in ["tgmesh.v1.json", "tgmesh.v1.msgpack"] {
        for (frame, wanted) in &table {
            let mut socket = open(&world, protocol).await;
            socket.send(frame).await;
            check(&mut socket, *wanted, &format!("{protocol} {frame}")).await;
        }
    }
    // A pattern that is slow elsewhere meets a text that is made for it.
    let mut socket = open(&world, "tgmesh.v1.json").await;
    socket
        .subscribe("s", json!({"text": "(a+)+$|(a|aa)+b|(.*){9}x"}), None)
        .await;
    let mut event = crate::world::detection(-1);
    event.message.text = "a".repeat(4_000) + "!";
    world.publish(&event).await;
    event = crate::world::detection(-1);
    event.message.text = "aab".to_owned();
    let seq = world.publish(&event).await;
    assert_eq!(socket.expect("detection").await["seq"], seq);

    // What only one of the encodings can say.
    for (text, wanted) in [
        (r#"{"type":"ping","t_ms":NaN}"#.to_owned(), Closed(4400)),
        (r#"{"type":"ping","t_ms":1e999}"#.to_owned(), Closed(4400)),
        (r#"{"type":"ping","t_ms":1,"t_ms":2}"#.to_owned(), Closed(4400)),
        (r#"{"type":"ping","t_ms":1} {}"#.to_owned(), Closed(4400)),
        (format!("{}1{}", "[".repeat(8_000), "]".repeat(8_000)), Closed(4400)),
        (
            format!(
                r#"{{"type":"ping","t_ms":1,"x":{}{}}}"#,
                "[".repeat(8_000),
                "]".repeat(8_000)
            ),
            Closed(4400),
        ),
        ("\u{feff}{\"type\":\"ping\",\"t_ms\":1}".to_owned(), Closed(4400)),
    ] {
        let mut socket = open(&world, "tgmesh.v1.json").await;
        socket.send_raw(Message::text(text.clone())).await;
        check(&mut socket, wanted, &text[..text.len().min(60)]).await;
    }
    let good = rmp_serde::to_vec_named(&json!({"type": "ping", "t_ms": 1.5})).expect("encodes");
    let mut nan = good.clone();
    let at = nan.len() - 8;
    nan[at..].copy_from_slice(&f64::NAN.to_be_bytes());
    for (name, bytes) in [
        ("nothing", Vec::new()),
        ("truncated", good[..good.len() - 1].to_vec()),
        ("NaN", nan),
        ("a huge list", vec![0xdd, 0xff, 0xff, 0xff, 0xff]),
        ("a huge map", vec![0xdf, 0xff, 0xff, 0xff, 0xff]),
        ("a huge text", vec![0xdb, 0xff, 0xff, 0xff, 0xff]),
        ("huge bytes", vec![0xc6, 0xff, 0xff, 0xff, 0xff]),
        ("an extension", vec![0xc7, 0x04, 0x01, 1, 2, 3, 4]),
        ("no type at all", vec![0xc1]),
        ("numbers for keys", vec![0x81, 0x01, 0x02]),
        ("deep lists", vec![0x91; 15_000]),
        ("deep maps", [0x81, 0xa1, b'a'].repeat(5_000)),
    ] {
        let mut socket = open(&world, "tgmesh.v1.msgpack").await;
        socket.send_raw(Message::binary(bytes)).await;
        check(&mut socket, Closed(4400), name).await;
    }

    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let frames: Vec<Value> = table.iter().map(|(frame, _)| frame.clone()).collect();
    for round in 0..if soak() { 20_000 } else { 200 } {
        let msgpack = random.random::<bool>();
        let frame = frames.choose(&mut random).expect("some");
        let mut bytes = if msgpack {
            rmp_serde::to_vec_named(frame).expect("encodes")
        } else {
            frame.to_string().into_bytes()
        };
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len().max(1));
            match random.random_range(0..3) {
                0 if at < bytes.len() => bytes[at] = random.random(),
                1 => bytes.insert(at.min(bytes.len()), random.random()),
                _ => bytes.truncate(at),
            }
        }
        let (protocol, message) = if msgpack {
            ("tgmesh.v1.msgpack", Message::binary(bytes))
        } else {
            (
                "tgmesh.v1.json",
                Message::text(String::from_utf8_lossy(&bytes).into_owned()),
            )
        };
        let mut socket = open(&world, protocol).await;
        socket.send_raw(message.clone()).await;
        // Whatever it was: an answer, a refusal, or a connection that still works.
        socket.send(&json!({"type": "ping", "t_ms": 77})).await;
        loop {
            match socket.next().await {
                Ok(frame) if frame["type"] == "pong" && frame["t_ms"] == 77.0 => break,
                Ok(_) => {}
                Err(code) => {
                    assert!(
                        matches!(code, 4400 | 4401 | 4403),
                        "seed {seed}, round {round}: {code} for {message:?}"
                    );
                    break;
                }
            }
        }
    }
    assert_eq!(world.counter("client_panics_total").await, 0);
    assert!(world.gateway().is_running());
}

async fn open(world: &World, protocol: &str) -> Socket {
    let opening = Opening {
        protocols: Some(protocol.to_owned()),
        ..Opening::bearer(&token(&json!({})))
    };
    let (mut socket, _) = Socket::open(world.port, &opening).await.expect("101");
    socket.expect("welcome").await;
    socket
}

async fn check(socket: &mut Socket, wanted: Answer, what: &str) {
    let got = socket.next().await;
    let is_right = match (&wanted, &got) {
        (Answer::Closed(code), Err(closed)) => code == closed,
        (Answer::Error(code), Ok(frame)) => frame["type"] == "error" && frame["code"] == *code,
        (Answer::Frame(kind), Ok(frame)) => frame["type"] == *kind,
        _ => false,
    };
    assert!(is_right, "{what}: {got:?} instead of {wanted:?}");
}
