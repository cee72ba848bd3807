use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn request(extra: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let usual = [
        ("host", "mesh.example:8080"),
        ("upgrade", "websocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", KEY),
    ];
    for (name, value) in usual.into_iter().chain(extra.iter().copied()) {
        headers.insert(name, value.parse().expect("a header value"));
    }
    headers
}

fn status(extra: &[(&'static str, &str)]) -> u16 {
    Handshake::check(&request(extra), &Origins::default()).map_or_else(|refused| refused.status.as_u16(), |_| 101)
}

#[test]
fn the_key_of_the_rfc_gives_its_answer() {
    let handshake = Handshake::check(&request(&[]), &Origins::default()).expect("a good request");
    let response = handshake.response();
    assert_eq!(response.status(), 101);
    assert_eq!(
        response.headers()["sec-websocket-accept"],
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    assert!(!response.headers().contains_key("sec-websocket-protocol"));
    assert_eq!((handshake.format, handshake.token), (Format::Json, None));
}

#[test]
fn requests_that_are_no_handshake() {
    assert_eq!(status(&[("upgrade", "h2c")]), 400);
    assert_eq!(status(&[("connection", "close")]), 400);
    assert_eq!(status(&[("sec-websocket-version", "8")]), 426);
    for key in ["", "short", "AAAA", "dGhlIHNhbXBsZSBub25jZSBpcyB0b28gbG9uZw=="] {
        assert_eq!(status(&[("sec-websocket-key", key)]), 400, "{key}");
    }
}

#[test]
fn only_the_first_subprotocol_is_echoed_and_the_token_is_not() {
    let offer = |offer: &str| Handshake::check(&request(&[("sec-websocket-protocol", offer)]), &Origins::default());
    let handshake = offer("tgmesh.v1.json, bearer, a.b.c").expect("a good offer");
    assert_eq!(handshake.token.as_deref(), Some("a.b.c"));
    assert_eq!(
        handshake.response().headers()["sec-websocket-protocol"],
        "tgmesh.v1.json"
    );
    let handshake = offer("tgmesh.v1.msgpack,bearer,a.b.c").expect("a good offer");
    assert_eq!(
        (handshake.format, handshake.token.as_deref()),
        (Format::Msgpack, Some("a.b.c"))
    );
    assert_eq!(
        offer("tgmesh.v1.json, bearer")
            .expect("a bad token comes later")
            .token
            .as_deref(),
        Some("")
    );
    for bad in ["bearer, a.b.c", "chat", "bearer"] {
        assert_eq!(offer(bad).expect_err("no subprotocol of ours").status, 400, "{bad}");
    }
}

#[test]
fn the_header_counts_before_the_offer() {
    let headers = request(&[
        ("authorization", "bearer  x.y.z"),
        ("sec-websocket-protocol", "tgmesh.v1.json, bearer, a.b.c"),
    ]);
    let handshake = Handshake::check(&headers, &Origins::default()).expect("a good request");
    assert_eq!(handshake.token.as_deref(), Some("x.y.z"));
    assert_eq!(
        bearer(&request(&[("authorization", "Basic abc")])),
        Some(""),
        "another scheme is a bad token"
    );
}

#[test]
fn origins() {
    let allowed = Origins::parse("https://app.example, http://localhost:5173").expect("origins");
    let status = |origin: &str, host: &'static str| {
        let result = Handshake::check(&request(&[("origin", origin), ("host", host)]), &allowed);
        result.map_or_else(|refused| refused.status.as_u16(), |_| 101)
    };
    assert_eq!(status("http://mesh.example:8080", "mesh.example:8080"), 101);
    assert_eq!(status("HTTP://Mesh.Example:8080", "mesh.example:8080"), 101);
    assert_eq!(status("https://mesh.example", "mesh.example:443"), 101);
    assert_eq!(status("https://mesh.example", "mesh.example"), 101);
    assert_eq!(status("https://app.example", "mesh.example"), 101);
    assert_eq!(status("http://localhost:5173", "mesh.example"), 101);
    for bad in [
        "null",
        "http://app.example",
        "https://app.example.evil.example",
        "https://evil.example",
        "mesh.example",
    ] {
        assert_eq!(status(bad, "mesh.example"), 403, "{bad}");
    }
    assert_eq!(status("http://mesh.example:8081", "mesh.example:8080"), 403);
    for bad in [
        "*",
        "app.example",
        "https://",
        "https://a/b",
        "ftp://a",
        "https://*.example",
    ] {
        assert!(Origins::parse(bad).is_err(), "{bad}");
    }
}
