use proptest::prelude::*;
use serde_json::json;
use tgmesh_proto::frame::Resume;

use super::*;

fn both(value: &serde_json::Value) -> [Result<ClientFrame, Unreadable>; 2] {
    let packed = rmp_serde::to_vec_named(value).expect("encodes");
    [
        Format::Json.decode(&Message::text(value.to_string())),
        Format::Msgpack.decode(&Message::binary(packed)),
    ]
}

#[test]
fn the_same_frames_in_both_formats() {
    let subscribe = json!({
        "type": "subscribe", "id": "s1", "filter": {"chats": [-100_123], "min_confidence": 1, "backfill": true},
        "resume": {"epoch": "e", "after": u64::MAX}, "of_a_later_version": 1,
    });
    for frame in both(&subscribe) {
        let Ok(ClientFrame::Subscribe { id, filter, resume }) = frame else {
            panic!("{frame:?}")
        };
        assert_eq!(id, "s1");
        assert_eq!(filter.chats, Some(vec![-100_123]));
        assert_eq!(
            resume,
            Some(Resume::After {
                epoch: "e".to_owned(),
                after: u64::MAX,
                since: None,
            })
        );
    }
    for frame in both(&json!({"type": "subscribe", "id": "s1", "resume": {"last": 10}})) {
        let Ok(ClientFrame::Subscribe { resume, .. }) = frame else {
            panic!("{frame:?}")
        };
        assert_eq!(resume, Some(Resume::Last { last: 10 }));
    }
    for frame in both(&json!({"type": "ping", "t_ms": 1_700_000_000_000_u64})) {
        assert_eq!(frame, Ok(ClientFrame::Ping { t_ms: 1.7e12 }));
    }
}

#[test]
fn a_subscribe_that_cannot_be_read_is_answered_by_name() {
    let cases = [
        (
            json!({"type": "subscribe", "id": "s1", "filter": {"chat": 1}}),
            ErrorCode::BadFilter,
        ),
        (
            json!({"type": "subscribe", "id": "s1", "filter": {"families": ["doge"]}}),
            ErrorCode::BadFilter,
        ),
        (
            json!({"type": "subscribe", "id": "s1", "filter": 7}),
            ErrorCode::BadFilter,
        ),
        (
            json!({"type": "subscribe", "id": "s1", "resume": {"last": -1}}),
            ErrorCode::BadResume,
        ),
        (
            json!({"type": "subscribe", "id": "s1", "resume": "now"}),
            ErrorCode::BadResume,
        ),
    ];
    for (value, expected) in cases {
        for frame in both(&value) {
            let Err(Unreadable::Refused { id, code, .. }) = frame else {
                panic!("{frame:?}")
            };
            assert_eq!((id.as_str(), code), ("s1", expected));
        }
    }
}

#[test]
fn everything_else_is_malformed() {
    for value in [
        json!(null),
        json!([]),
        json!({}),
        json!({"type": "subscribe"}),
        json!({"type": "subscribe", "id": 1}),
        json!({"type": "shout", "id": "s1"}),
        json!({"type": "rendered", "seq": -1, "at_ms": 1}),
        json!({"type": "ping", "t_ms": "now"}),
    ] {
        assert_eq!(
            both(&value),
            [Err(Unreadable::Malformed), Err(Unreadable::Malformed)],
            "{value}"
        );
    }
    assert_eq!(
        Format::Json.decode(&Message::binary(b"{}".to_vec())),
        Err(Unreadable::Malformed)
    );
    assert_eq!(Format::Msgpack.decode(&Message::text("{}")), Err(Unreadable::Malformed));
    let deep = "[".repeat(10_000);
    assert_eq!(Format::Json.decode(&Message::text(deep)), Err(Unreadable::Malformed));
    assert_eq!(
        Format::Msgpack.decode(&Message::binary(vec![0x91; 16_000])),
        Err(Unreadable::Malformed)
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256), text in ".{0,256}") {
        let _ = Format::Msgpack.decode(&Message::binary(bytes));
        let _ = Format::Json.decode(&Message::text(text));
    }
}
