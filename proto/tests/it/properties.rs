//! Whatever is written is read back, and no bytes make the decoder panic.

use proptest::prelude::*;
use tgmesh_proto::audit::AuditEvent;
use tgmesh_proto::codec::{self, DecodeError, MAX_PAYLOAD_BYTES, MAX_TEXT_CHARS};
use tgmesh_proto::detection::Message;
use tgmesh_proto::frame::{ClientFrame, ServerFrame};
use tgmesh_proto::matched::Match;

use crate::samples;

proptest! {
    #[test]
    fn any_text_survives(text in "\\PC{0,400}", title in ".{0,60}", confidence in 0.0..=1.0) {
        let mut event = samples::full();
        event.message.text = text;
        event.chat.title = title;
        event.confidence = confidence;
        let bytes = codec::encode(&event).expect("it is small");
        prop_assert_eq!(codec::decode(&bytes).expect("it was just written"), event);
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = codec::decode(&bytes);
        let _ = codec::decode_match(&bytes);
        let _ = codec::decode_audit(&bytes);
        let _ = rmp_serde::from_slice::<ClientFrame>(&bytes);
        let _ = rmp_serde::from_slice::<ServerFrame>(&bytes);
        let _ = serde_json::from_slice::<ClientFrame>(&bytes);
    }

    #[test]
    fn a_damaged_event_is_refused_or_read(at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = codec::encode(&samples::full()).expect("it is small");
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = codec::decode(&bytes);
        bytes.truncate(at);
        prop_assert!(codec::decode(&bytes).is_err());
    }
}

/// Breaks one bound of an event.
type Damage = fn(&mut AuditEvent);

#[test]
fn an_audit_event_is_read_back_and_its_bounds_hold() {
    let event = samples::audit();
    let read = |event: &AuditEvent| codec::decode_audit(&codec::encode_audit(event).expect("fits"));
    assert_eq!(read(&event).expect("it was just written"), event);
    assert!(codec::decode_audit(&codec::encode(&samples::full()).expect("fits")).is_err());
    let breaks: [(&str, Damage); 5] = [
        ("detail", |e| {
            e.detail = (0..65).map(|n| (n.to_string(), String::new())).collect();
        }),
        ("detail", |e| e.detail = [(String::new(), "x".repeat(1025))].into()),
        ("service or event", |e| e.service.clear()),
        ("actor", |e| e.actor = Some("x".repeat(1025))),
        ("target", |e| e.target = Some("x".repeat(1025))),
    ];
    for (name, damage) in breaks {
        let mut event = samples::audit();
        damage(&mut event);
        let refused = read(&event);
        assert!(
            matches!(refused, Err(DecodeError::OutOfBounds { field, .. }) if field == name),
            "{name}: {refused:?}"
        );
    }
}

#[test]
fn a_match_is_read_back_and_its_bounds_hold() {
    let read = |event: &Match| codec::decode_match(&codec::encode_match(event).expect("fits"));
    for event in [samples::rule_match(), samples::link_match()] {
        assert_eq!(read(&event).expect("it was just written"), event);
        let detection = codec::decode(&codec::encode_match(&event).expect("fits"));
        assert!(matches!(detection, Err(DecodeError::Malformed(_))), "{detection:?}");
    }
    assert!(codec::decode_match(&codec::encode(&samples::full()).expect("fits")).is_err());
    let broken = [
        (
            "message.text",
            Match {
                message: Message {
                    text: "x".repeat(MAX_TEXT_CHARS + 1),
                    ..samples::link_match().message
                },
                ..samples::link_match()
            },
        ),
        (
            "rules",
            Match {
                rules: vec![String::new(); 65],
                ..samples::link_match()
            },
        ),
        (
            "rules",
            Match {
                rules: vec!["x".repeat(1025)],
                ..samples::link_match()
            },
        ),
        (
            "link",
            Match {
                link: Some("x".repeat(2049)),
                ..samples::link_match()
            },
        ),
        (
            "raw",
            Match {
                raw: Some("x".repeat(1025)),
                ..samples::link_match()
            },
        ),
    ];
    for (name, event) in broken {
        let error = read(&event).expect_err("out of bounds");
        assert!(
            matches!(error, DecodeError::OutOfBounds { field, .. } if field == name),
            "{error}"
        );
    }
    let mut later = samples::rule_match();
    later.schema_version = "2.0.0".to_owned();
    assert!(matches!(read(&later), Err(DecodeError::UnknownVersion(_))));
}

#[test]
fn unknown_keys_are_ignored_and_absent_ones_mean_nil() {
    let mut value = serde_json::to_value(samples::minimal()).expect("JSON");
    let map = value.as_object_mut().expect("a map");
    for optional in [
        "chain",
        "coin_type",
        "seen_before",
        "sender",
        "rules",
        "evidence",
        "raw",
    ] {
        map.remove(optional);
    }
    map.insert("later_field".to_owned(), serde_json::json!({"a": [1, 2]}));
    let bytes = rmp_serde::to_vec_named(&value).expect("encodes");
    let event = codec::decode(&bytes).expect("readable");
    assert_eq!((event.chain, event.sender, event.rules.len()), (None, None, 0));
}

#[test]
fn another_major_version_is_named_even_if_fields_are_missing() {
    let bytes = rmp_serde::to_vec_named(&serde_json::json!({"schema_version": "2.0.0"})).expect("encodes");
    let error = codec::decode(&bytes).expect_err("not readable");
    assert!(
        matches!(&error, DecodeError::UnknownVersion(version) if version == "2.0.0"),
        "{error}"
    );
    let mut event = samples::minimal();
    event.schema_version = "1.7.0".to_owned();
    codec::decode(&codec::encode(&event).expect("small")).expect("the same major version is readable");
}

#[test]
fn bounds_hold() {
    let mut event = samples::minimal();
    event.message.text = "🚀".repeat(MAX_TEXT_CHARS);
    codec::decode(&codec::encode(&event).expect("fits")).expect("the longest text is fine");
    event.message.text.push('x');
    let error = codec::decode(&codec::encode(&event).expect("fits")).expect_err("too long");
    assert!(
        matches!(
            error,
            DecodeError::OutOfBounds {
                field: "message.text",
                ..
            }
        ),
        "{error}"
    );
    event.message.text = "x".repeat(MAX_PAYLOAD_BYTES);
    assert!(codec::encode(&event).is_err());
    assert!(matches!(
        codec::decode(&vec![0; MAX_PAYLOAD_BYTES + 1]),
        Err(DecodeError::TooLarge(_))
    ));
    for confidence in [f64::NAN, -0.1, 1.1] {
        let mut event = samples::minimal();
        event.confidence = confidence;
        assert!(
            codec::decode(&codec::encode(&event).expect("fits")).is_err(),
            "{confidence}"
        );
    }
}
