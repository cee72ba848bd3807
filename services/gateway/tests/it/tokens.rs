//! Hostile tokens: by a table, and by a seeded generator that has only one wish, to be let in.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tgmesh_testkit::Scratch;

use crate::keys::Key;
use crate::socket::{Opening, Socket};
use crate::world::{SECRET, World, claims, now_s, signed, token};

fn part(value: &str) -> String {
    URL_SAFE_NO_PAD.encode(value)
}

/// Signed with the gateway's own secret, whatever header and claims say.
fn sealed(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256);
    format!("{message}.{}", signature.expect("signs"))
}

fn without(name: &str) -> String {
    let mut claims = claims();
    claims.as_object_mut().expect("a map").remove(name);
    signed(&claims)
}

async fn status(world: &World, token: &str) -> u16 {
    let request = reqwest::Client::new()
        .get(world.url("/api/metrics/telegram-stream"))
        .header("authorization", format!("Bearer {token}"));
    request.send().await.expect("answers").status().as_u16()
}

async fn code(world: &World, token: &str) -> u16 {
    let (mut socket, _) = Socket::open(world.port, &Opening::bearer(token)).await.expect("101");
    match socket.next().await {
        Ok(frame) => panic!("let in with {token}: {frame}"),
        Err(code) => code,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_token_is_refused_on_every_way_in() {
    let world = World::start_with(&[("JWT_ISSUER", "https://id.example"), ("RUST_LOG", "trace")]).await;
    let now = now_s();
    let good = |extra: &Value| {
        let mut all = json!({"iss": "https://id.example"});
        for (name, value) in extra.as_object().expect("a map") {
            all[name] = value.clone();
        }
        token(&all)
    };
    let text = |claims: &Value| {
        let mut claims = claims.clone();
        claims["iss"] = json!("https://id.example");
        claims.to_string()
    };
    let all = text(&claims());
    let hs256 = r#"{"alg":"HS256","typ":"JWT"}"#;
    let in_front = |more: &str| format!("{{{more},{}", &all[1..]);
    let mut table: Vec<(&str, String)> = vec![
        ("alg none", format!("{}.{}.", part(r#"{"alg":"none"}"#), part(&all))),
        ("alg nOnE", format!("{}.{}.", part(r#"{"alg":"nOnE"}"#), part(&all))),
        ("no signature", format!("{}.{}.", part(hs256), part(&all))),
        ("another alg", sealed(r#"{"alg":"HS512"}"#, &all)),
        ("alg twice", sealed(r#"{"alg":"none","alg":"HS256"}"#, &all)),
        ("no alg", sealed(r#"{"typ":"JWT"}"#, &all)),
        ("crit", sealed(r#"{"alg":"HS256","crit":["exp"]}"#, &all)),
        ("b64", sealed(r#"{"alg":"HS256","b64":false}"#, &all)),
        ("kid is a list", sealed(r#"{"alg":"HS256","kid":["x"]}"#, &all)),
        ("no object", sealed(hs256, "[]")),
        ("no JSON", sealed(hs256, "{")),
        ("exp twice", sealed(hs256, &in_front(r#""exp":1"#))),
        ("sub twice", sealed(hs256, &in_front(r#""sub":"root""#))),
        ("aud missing", without("aud")),
        ("iss missing", token(&json!({}))),
        ("iss wrong", good(&json!({"iss": "https://evil.example"}))),
        (
            "iss is another's beginning",
            good(&json!({"iss": "https://id.example.evil"})),
        ),
        ("aud wrong", good(&json!({"aud": "elsewhere"}))),
        ("aud without us", good(&json!({"aud": ["elsewhere", "nowhere"]}))),
        ("aud empty", good(&json!({"aud": []}))),
        ("aud is a map", good(&json!({"aud": {"tgmesh": true}}))),
        ("exp is text", good(&json!({"exp": (now + 600).to_string()}))),
        ("exp is null", good(&json!({"exp": null}))),
        ("exp is over", good(&json!({"exp": now - 6}))),
        ("exp below zero", good(&json!({"exp": -1}))),
        ("exp is a list", good(&json!({"exp": [now + 600]}))),
        ("iat ahead", good(&json!({"iat": now + 60}))),
        ("iat is text", good(&json!({"iat": now.to_string()}))),
        ("nbf ahead", good(&json!({"nbf": now + 60}))),
        ("jti is a number", good(&json!({"jti": 7}))),
        ("jti empty", good(&json!({"jti": ""}))),
        ("jti huge", good(&json!({"jti": "x".repeat(257)}))),
        ("sub empty", good(&json!({"sub": ""}))),
        ("sub huge", good(&json!({"sub": "x".repeat(257)}))),
        ("role unknown", good(&json!({"role": "root"}))),
        ("role in capitals", good(&json!({"role": "OPERATOR"}))),
        ("chats is text", good(&json!({"chats": "*"}))),
        ("chats of words", good(&json!({"chats": ["all"]}))),
        ("chats of fractions", good(&json!({"chats": [1.5]}))),
        ("min_confidence above 1", good(&json!({"min_confidence": 1.5}))),
        ("rate zero", good(&json!({"rate": 0}))),
        ("rate endless", sealed(hs256, &in_front(r#""rate":1e400"#))),
        ("max_connections below zero", good(&json!({"max_connections": -1}))),
        ("claims too large", good(&json!({"note": "x".repeat(12 << 10)}))),
        (
            "deep",
            sealed(hs256, &format!("{}{}", "[".repeat(2000), "]".repeat(2000))),
        ),
        ("four parts", format!("{}.x", good(&json!({})))),
        (
            "two parts",
            good(&json!({})).rsplit_once('.').expect("a token").0.to_owned(),
        ),
        ("another secret", {
            let key = EncodingKey::from_secret(b"another secret of the tests, 32 bytes");
            jsonwebtoken::encode(&Header::default(), &claims(), &key).expect("encodes")
        }),
    ];
    for claim in ["sub", "exp", "iat", "jti"] {
        let mut claims = claims();
        claims.as_object_mut().expect("a map").remove(claim);
        table.push(("a missing claim", sealed(hs256, &text(&claims))));
    }
    assert_eq!(
        status(&world, &good(&json!({"aud": ["elsewhere", "tgmesh"]}))).await,
        200
    );
    for (name, token) in &table {
        assert_eq!(status(&world, token).await, 401, "{name}");
        assert_eq!(code(&world, token).await, 4401, "{name}");
    }

    // And whatever else is made of a good one.
    let rounds = if soak() { 20_000 } else { 300 };
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let client = reqwest::Client::new();
    let original = good(&json!({}));
    for round in 0..rounds {
        let mut bytes = original.clone().into_bytes();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..4) {
                0 => bytes[at] = *b"Az09-_.= ".choose(&mut random).expect("some"),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, *b"Az09-_.".choose(&mut random).expect("some")),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let bent = String::from_utf8(bytes).expect("ASCII");
        // The last letter of a part has bits that mean nothing; strict decoders refuse them.
        if bent.trim() == original {
            continue;
        }
        let request = client
            .get(world.url("/api/metrics/telegram-stream"))
            .header("authorization", format!("Bearer {bent}"));
        let answer = request.send().await.expect("answers").status().as_u16();
        assert_eq!(answer, 401, "seed {seed}, round {round}: {bent}");
    }

    assert_eq!(world.counter("client_panics_total").await, 0);
    let log = std::fs::read_to_string(world.gateway().log_path()).expect("a log");
    assert!(log.contains("refused a token"), "the log is as talkative as it gets");
    for secret in [SECRET, &STANDARD.encode(SECRET), &part(SECRET)] {
        assert!(!log.contains(secret), "the secret is in the log");
    }
    for (name, token) in table.iter().chain([&("the good one", original)]) {
        for part in token.split('.').skip(1).filter(|part| part.len() > 20) {
            assert!(!log.contains(&part[..20]), "{name} is in the log");
        }
    }
}

/// The classic: a public key, which everyone has, as the secret of an HMAC.
#[tokio::test(flavor = "multi_thread")]
async fn a_public_key_is_no_secret_and_a_name_no_path() {
    let key = Key::new("key");
    let stranger = Key::new("key");
    let scratch = Scratch::new().expect("a folder");
    let path = scratch.path().join("jwks.json");
    let public = key.public();
    let set = json!({ "keys": [public] }).to_string();
    std::fs::write(&path, &set).expect("it can be written");
    let path = path.to_str().expect("UTF-8");
    let world = World::start_with(&[("JWT_SECRET", ""), ("JWT_ALGORITHM", "ES256"), ("JWT_JWKS", path)]).await;
    assert_eq!(status(&world, &key.token()).await, 200);
    let text = |name: &str| public[name].as_str().expect("text").to_owned();
    let raw = [text("x"), text("y")]
        .map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64"))
        .concat();
    let point = [&[4], raw.as_slice()].concat();
    let secrets = [
        Vec::new(),
        set.clone().into_bytes(),
        public.to_string().into_bytes(),
        text("x").into_bytes(),
        raw,
        point,
    ];
    for secret in secrets {
        let header = Header {
            kid: Some("key".to_owned()),
            ..Header::default()
        };
        let forged = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&secret)).expect("encodes");
        assert_eq!(status(&world, &forged).await, 401);
        assert_eq!(code(&world, &forged).await, 4401);
    }
    for name in [
        "key",
        "../../etc/passwd",
        "' OR 1=1 --",
        "",
        "\u{0}",
        &"k".repeat(5_000),
    ] {
        let forged = stranger.sign(Some(name));
        assert_eq!(status(&world, &forged).await, 401, "{name:.20}");
    }
    // A token that brings its own key.
    let mut header = Header::new(jsonwebtoken::Algorithm::ES256);
    header.jwk = serde_json::from_value(stranger.public()).ok();
    header.jku = Some("http://127.0.0.1:1/keys".to_owned());
    let forged = stranger.sign_with(&header);
    assert_eq!(status(&world, &forged).await, 401);
    assert_eq!(world.counter("client_panics_total").await, 0);
}

/// Whether the tests run at full length.
pub fn soak() -> bool {
    std::env::var_os("TGMESH_SOAK").is_some_and(|soak| soak == "1")
}

/// The same each time in the short form, another one each time in the long; printed.
pub fn seed() -> u64 {
    let seed = if soak() { rand::random() } else { 0x7467_6d65_7368 };
    println!("seed {seed}");
    seed
}
