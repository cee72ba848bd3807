//! The cases of the Autobahn test suite, by their numbers, against `/ws`.
//!
//! The suite's fuzzing client expects an echo, which this endpoint is not: here a text or binary
//! message is a `ping` of our own protocol, padded to the size that the case asks for, and its
//! `pong` stands for the echo. Where RFC 6455 has the connection failed with 1002, 1007 or 1009,
//! the contract says 4400 (malformed) or 4413 (too large). Groups 12 and 13 are about compression,
//! which is not offered.

mod peer;

use serde_json::json;

use crate::autobahn::peer::{
    BINARY, CLOSE, CONTINUATION, Chop, MALFORMED, MOST, PING, PONG, Peer, TEXT, TOO_LARGE, close, fragments, frame,
    ping, ping_with, whole,
};
use crate::world::World;

/// One case that ends with a failed connection.
async fn fails(world: &World, case: &str, bytes: &[u8], code: u16) {
    let mut peer = Peer::open(world, "tgmesh.v1.json").await;
    peer.send(bytes, Chop::Whole).await;
    assert_eq!(peer.closed(case).await, code, "{case}");
}

/// One case whose message is answered.
async fn passes(world: &World, case: &str, bytes: &[u8], chop: Chop) {
    let mut peer = Peer::open(world, "tgmesh.v1.json").await;
    peer.send(bytes, chop).await;
    peer.expect_pong(1, case).await;
    peer.send(&close(1000, b""), Chop::Whole).await;
    assert_eq!(peer.closed(case).await, 1000, "{case}");
}

#[tokio::test(flavor = "multi_thread")]
async fn framing_pings_reserved_bits_and_opcodes() {
    let world = World::start().await;
    // 1.1: text of the sizes at which the length's form changes; an empty one is no frame of ours.
    fails(&world, "1.1.1", &whole(TEXT, b""), MALFORMED).await;
    for (case, size) in [
        ("1.1.2", 125),
        ("1.1.3", 126),
        ("1.1.4", 127),
        ("1.1.5", 128),
        ("1.1.6", MOST),
    ] {
        passes(&world, case, &whole(TEXT, &ping(1, size)), Chop::Whole).await;
    }
    fails(&world, "1.1.7", &whole(TEXT, &ping(1, 65_536)), TOO_LARGE).await;
    passes(&world, "1.1.8", &whole(TEXT, &ping(1, MOST)), Chop::Of(997)).await;
    // 1.2: binary, in the other subprotocol.
    for (case, pad, chop) in [
        ("1.2.2", 60, Chop::Whole),
        ("1.2.4", 128, Chop::Octets),
        ("1.2.6", 16_000, Chop::Whole),
        ("1.2.8", 16_000, Chop::Of(997)),
    ] {
        let body = json!({"type": "ping", "t_ms": 1, "note": "*".repeat(pad)});
        let mut peer = Peer::open(&world, "tgmesh.v1.msgpack").await;
        peer.send(&whole(BINARY, &rmp_serde::to_vec_named(&body).expect("encodes")), chop)
            .await;
        peer.expect_pong(1, case).await;
    }
    fails(
        &world,
        "1.2 in the text protocol",
        &whole(BINARY, &ping(1, 0)),
        MALFORMED,
    )
    .await;

    // 2: pings of the protocol.
    let payloads: [(&str, Vec<u8>, Chop); 5] = [
        ("2.1", Vec::new(), Chop::Whole),
        ("2.2", b"Hello, world!".to_vec(), Chop::Whole),
        ("2.3", vec![0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff], Chop::Whole),
        ("2.4", vec![0xfe; 125], Chop::Whole),
        ("2.6", vec![0xfe; 125], Chop::Octets),
    ];
    for (case, payload, chop) in payloads {
        let mut peer = Peer::open(&world, "tgmesh.v1.json").await;
        peer.send(&whole(PING, &payload), chop).await;
        peer.expect_frame(PONG, &payload, case).await;
    }
    fails(&world, "2.5", &whole(PING, &[0xfe; 126]), MALFORMED).await;
    for (case, payload) in [("2.7", &b""[..]), ("2.8", b"unsolicited")] {
        let bytes = [whole(PONG, payload), whole(TEXT, &ping(1, 0))].concat();
        passes(&world, case, &bytes, Chop::Whole).await;
    }
    for (case, chop) in [("2.10", Chop::Whole), ("2.11", Chop::Octets)] {
        let mut peer = Peer::open(&world, "tgmesh.v1.json").await;
        let pings = (0..10).flat_map(|n| whole(PING, format!("payload-{n}").as_bytes()));
        peer.send(&pings.collect::<Vec<_>>(), chop).await;
        // RFC 6455, 5.5.3: a pong may stand for the pings before it; the last has to come.
        let mut last = None;
        while last != Some(9) {
            let (opcode, payload) = peer.answer().await.expect(case);
            assert_eq!(opcode, PONG, "{case}");
            let n = payload.strip_prefix(b"payload-").expect(case)[0] - b'0';
            assert!(last < Some(n), "{case}: in order");
            last = Some(n);
        }
    }

    // 3: reserved bits, in every kind of frame.
    for rsv in 1..8 {
        for opcode in [TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG] {
            let case = format!("3.{rsv} with opcode {opcode}");
            fails(&world, &case, &frame(true, rsv, opcode, b""), MALFORMED).await;
        }
    }
    // 4: opcodes that mean nothing, with and without a payload, behind a good message.
    for opcode in (3..8).chain(11..16) {
        let case = format!("4 with opcode {opcode}");
        fails(&world, &case, &whole(opcode, b""), MALFORMED).await;
        let mut peer = Peer::open(&world, "tgmesh.v1.json").await;
        let bytes = [whole(TEXT, &ping(1, 0)), whole(opcode, b"reserved"), whole(PING, b"")].concat();
        peer.send(&bytes, Chop::Octets).await;
        // Whether the answer to the message goes out before the end is not promised.
        let code = match peer.answer().await {
            Some((TEXT, _)) => peer.closed(&case).await,
            Some((CLOSE, payload)) => u16::from_be_bytes(*payload.first_chunk().expect("a code")),
            other => panic!("{case}: {other:?}"),
        };
        assert_eq!(code, MALFORMED, "{case}");
    }
    // RFC 6455, 5.1: a client has to mask.
    fails(&world, "unmasked", &[0x81, 0x02, b'{', b'}'], MALFORMED).await;
    assert_eq!(world.counter("client_panics_total").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments_utf8_and_limits() {
    let world = World::start().await;
    let message = ping(1, 0);
    let (a, b) = message.split_at(message.len() / 2);
    // 5: control frames are whole, messages may come in parts, control frames between them.
    for (case, opcode) in [("5.1", PING), ("5.2", PONG)] {
        fails(&world, case, &fragments(opcode, &[b"frag", b"ment"]), MALFORMED).await;
    }
    for (case, chop) in [("5.3", Chop::Whole), ("5.5", Chop::Octets)] {
        passes(&world, case, &fragments(TEXT, &[a, b]), chop).await;
    }
    for (case, chop) in [("5.6", Chop::Whole), ("5.8", Chop::Octets)] {
        let mut peer = Peer::open(&world, "tgmesh.v1.json").await;
        let bytes = [
            frame(false, 0, TEXT, a),
            whole(PING, b"between"),
            frame(true, 0, CONTINUATION, b),
        ]
        .concat();
        peer.send(&bytes, chop).await;
        peer.expect_frame(PONG, b"between", case).await;
        peer.expect_pong(1, case).await;
    }
    for (case, fin) in [("5.9", true), ("5.12", false)] {
        fails(
            &world,
            case,
            &frame(fin, 0, CONTINUATION, b"non-continuation"),
            MALFORMED,
        )
        .await;
    }
    let stray = [fragments(TEXT, &[a, b]), frame(false, 0, CONTINUATION, b"stray")].concat();
    let mut peer = Peer::open(&world, "tgmesh.v1.json").await;
    peer.send(&stray, Chop::Whole).await;
    let (opcode, _) = peer.answer().await.expect("5.15");
    assert!(matches!(opcode, TEXT | CLOSE), "5.15");
    fails(
        &world,
        "5.18",
        &[frame(false, 0, TEXT, a), whole(TEXT, b)].concat(),
        MALFORMED,
    )
    .await;
    let mut peer = Peer::open(&world, "tgmesh.v1.json").await;
    for (at, byte) in message.iter().enumerate() {
        let opcode = if at == 0 { TEXT } else { CONTINUATION };
        peer.send(&frame(at + 1 == message.len(), 0, opcode, &[*byte]), Chop::Whole)
            .await;
        if at % 5 == 0 {
            peer.send(&whole(PING, &[*byte]), Chop::Whole).await;
            peer.expect_frame(PONG, &[*byte], "5.19").await;
        }
    }
    peer.expect_pong(1, "5.19").await;

    // 6: UTF-8 over the borders of fragments and writes; what is none is refused.
    passes(
        &world,
        "6.1.2",
        &fragments(TEXT, &[b"", b"", message.as_slice(), b""]),
        Chop::Whole,
    )
    .await;
    let long = ping_with(1, "Hello-µ@ßöäüàá-UTF-8!! κόσμε 🚀".as_bytes());
    passes(&world, "6.2.1", &whole(TEXT, &long), Chop::Whole).await;
    let octets: Vec<&[u8]> = long.chunks(1).collect();
    passes(&world, "6.2.4", &fragments(TEXT, &octets), Chop::Octets).await;
    let good: [&[u8]; 10] = [
        b"\x7f",
        b"\xc2\x80",
        b"\xdf\xbf",
        b"\xe0\xa0\x80",
        b"\xed\x9f\xbf",
        b"\xee\x80\x80",
        b"\xef\xbf\xbd",
        b"\xef\xbf\xbf",
        b"\xf0\x90\x80\x80",
        b"\xf4\x8f\xbf\xbf",
    ];
    for bytes in good {
        passes(
            &world,
            &format!("6.5 {bytes:x?}"),
            &whole(TEXT, &ping_with(1, bytes)),
            Chop::Whole,
        )
        .await;
    }
    let bad: [&[u8]; 18] = [
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\x80",
        b"\xbf",
        b"\x80\xbf\x80",
        b"\xc0 \xc1 ",
        b"\xe0 \xef ",
        b"\xc3",
        b"\xe1\xbd",
        b"\xf0\x90\x80",
        b"\xfe",
        b"\xff\xff",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xed\xbf\xbf",
    ];
    for bytes in bad {
        let case = format!("6.6 to 6.21 {bytes:x?}");
        let body = ping_with(1, bytes);
        fails(&world, &case, &whole(TEXT, &body), MALFORMED).await;
        let (a, b) = body.split_at(body.len() - 3);
        fails(&world, &case, &fragments(TEXT, &[a, b]), MALFORMED).await;
    }

    // 9 and 10: as far as our bound on a message allows, in one frame and in many, and beyond it.
    let largest = ping(1, MOST);
    for (case, size) in [("9.3.1", 64), ("9.3.3", 1_024), ("9.3.4", 4_096), ("10.1.1", 1_300)] {
        let parts: Vec<&[u8]> = largest.chunks(size).collect();
        passes(&world, case, &fragments(TEXT, &parts), Chop::Whole).await;
    }
    for (case, chop) in [("9.5.1", 64), ("9.5.4", 512)] {
        passes(&world, case, &whole(TEXT, &largest), Chop::Of(chop)).await;
    }
    let beyond = ping(1, MOST + 1);
    let parts: Vec<&[u8]> = beyond.chunks(1_024).collect();
    fails(&world, "9.3 beyond", &fragments(TEXT, &parts), TOO_LARGE).await;
    let mut peer = Peer::open(&world, "tgmesh.v1.json").await;
    for n in 0..1_000 {
        peer.send(&whole(TEXT, &ping(n, 0)), Chop::Whole).await;
    }
    for n in 0..1_000 {
        peer.expect_pong(n, "9.7").await;
    }
    // Lengths that nobody has the bytes for.
    for length in [1_u64 << 32, (1 << 63) - 1, u64::MAX] {
        let bytes = [&[0x81, 0xff][..], &length.to_be_bytes(), &[0; 4], b"..."].concat();
        let mut peer = Peer::open(&world, "tgmesh.v1.json").await;
        peer.send(&bytes, Chop::Whole).await;
        let code = peer.closed("a length").await;
        assert!(matches!(code, MALFORMED | TOO_LARGE), "{length}: {code}");
    }
    assert_eq!(world.counter("client_panics_total").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing() {
    let world = World::start().await;
    let open = async || Peer::open(&world, "tgmesh.v1.json").await;
    // 7.1: what comes behind a close is not answered.
    for (case, behind) in [
        ("7.1.1", Vec::new()),
        ("7.1.2", close(1000, b"")),
        ("7.1.3", whole(PING, b"")),
        ("7.1.4", whole(TEXT, &ping(1, 0))),
        ("7.1.6", whole(TEXT, &vec![b' '; 256 << 10])),
    ] {
        let mut peer = open().await;
        peer.send(&[close(1000, b""), behind].concat(), Chop::Whole).await;
        assert_eq!(peer.closed(case).await, 1000, "{case}");
    }
    let mut peer = open().await;
    let bytes = [
        frame(false, 0, TEXT, b"{"),
        close(1000, b""),
        frame(true, 0, CONTINUATION, b"}"),
    ]
    .concat();
    peer.send(&bytes, Chop::Whole).await;
    assert_eq!(peer.closed("7.1.5").await, 1000);

    // 7.3: payloads of the close frame.
    let mut peer = open().await;
    peer.send(&whole(CLOSE, b""), Chop::Whole).await;
    assert_eq!(peer.closed("7.3.1").await, 1005);
    fails(&world, "7.3.2", &whole(CLOSE, b"a"), MALFORMED).await;
    for (case, reason) in [
        ("7.3.3", String::new()),
        ("7.3.4", "Hello".to_owned()),
        ("7.3.5", "*".repeat(123)),
    ] {
        let mut peer = open().await;
        peer.send(&close(1000, reason.as_bytes()), Chop::Whole).await;
        assert_eq!(peer.closed(case).await, 1000, "{case}");
    }
    fails(&world, "7.3.6", &close(1000, &[b'*'; 124]), MALFORMED).await;
    fails(
        &world,
        "7.5.1",
        &close(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80"),
        MALFORMED,
    )
    .await;

    // 7.7 and 7.13: codes that a peer may send come back; 7.9: the others fail.
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ] {
        let mut peer = open().await;
        peer.send(&close(code, b""), Chop::Whole).await;
        assert_eq!(peer.closed("7.7").await, code);
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        let mut peer = open().await;
        peer.send(&close(code, b""), Chop::Whole).await;
        let answer = peer.closed(&format!("7.9 {code}")).await;
        assert!(matches!(answer, 1002 | MALFORMED), "7.9 {code}: {answer}");
    }
    assert_eq!(world.counter("client_panics_total").await, 0);
}
