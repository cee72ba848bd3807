use proptest::prelude::*;
use tgmesh_proto::detection::{
    Chat, ChatKind, EventKind, Family, Listener, Message, Method, Role, SeenBefore, Sender, SenderKind, Times,
};
use tgmesh_proto::frame::ServerFrame;
use tgmesh_proto::id::EventId;
use tgmesh_proto::matched::{Match, MatchKind};

use super::*;

/// An event of its own for each number.
pub(crate) fn detection(n: u64) -> Detection {
    Detection {
        schema_version: tgmesh_proto::SCHEMA_VERSION.to_owned(),
        id: EventId::from_bytes(u128::from(n).to_be_bytes()),
        event: EventKind::Called,
        family: Family::Evm,
        chain: None,
        address: format!("0x{n:040x}"),
        coin_type: None,
        role: Role::Unknown,
        method: Method::Plain,
        evidence: vec!["eip55".to_owned()],
        confidence: 0.5,
        raw: format!("0x{n:040x}"),
        seen_before: None,
        chat: Chat {
            id: -100,
            title: "A chat".to_owned(),
            username: None,
            kind: ChatKind::Channel,
        },
        message: Message {
            id: 1,
            date_ms: 1,
            edit_date_ms: None,
            revision: "0-00000000".to_owned(),
            text: "text \"with\" \u{7} everything 🚀 \u{2028}".to_owned(),
            link: None,
            reply_to: None,
            forward_from: None,
        },
        sender: None,
        rules: Vec::new(),
        listener: Listener {
            instance: "l-1".to_owned(),
            account: "sim-1".to_owned(),
            shard: 0,
            lease_epoch: 0,
            backfill: false,
            detector: "1".to_owned(),
            layer: 230,
        },
        times: Times {
            received_us: 1,
            detected_us: 2,
            published_us: 3,
        },
    }
}

pub(crate) fn event_of(seq: u64, detection: &Detection) -> Event {
    let payload = codec::encode(detection).expect("an event has a MessagePack form");
    Event::read(seq, seq * 1000, &payload, None).expect("it was just written")
}

fn with_secrets() -> Detection {
    Detection {
        sender: Some(Sender {
            id: 77_001,
            username: None,
            name: "Ann".to_owned(),
            kind: SenderKind::User,
        }),
        seen_before: Some(SeenBefore {
            count: 3,
            first_ms: 1,
            first_chat: -999_002,
        }),
        ..detection(9)
    }
}

fn decode(format: Format, frame: &[u8]) -> ServerFrame {
    match format {
        Format::Json => serde_json::from_slice(frame).expect("JSON of a frame"),
        Format::Msgpack => rmp_serde::from_slice(frame).expect("MessagePack of a frame"),
    }
}

#[test]
fn a_frame_that_was_put_together_is_an_encoded_frame() {
    let parent = TraceParent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    for (trace, id) in [(None, "s1"), (parent, "quo\"te\\ and 🚀"), (parent, &"x".repeat(64))] {
        let mut event = event_of(u64::MAX, &with_secrets());
        event.trace = trace;
        let expected = ServerFrame::Detection {
            id: id.to_owned(),
            seq: u64::MAX,
            data: Box::new(with_secrets()),
            traceparent: trace.map(|trace| trace.to_string()),
        };
        for format in [Format::Json, Format::Msgpack] {
            let frame = event.frame(format, View::Full, &id.into());
            assert_eq!(decode(format, &frame), expected);
            let encoded = match format {
                Format::Json => serde_json::to_vec(&expected).expect("encodes"),
                Format::Msgpack => rmp_serde::to_vec_named(&expected).expect("encodes"),
            };
            assert_eq!(frame, encoded, "{format:?}");
        }
    }
}

#[test]
fn the_reduced_view_names_no_sender_and_no_other_chat() {
    let event = event_of(1, &with_secrets());
    for format in [Format::Json, Format::Msgpack] {
        // The full one first: what is kept for one view must not be given to the other.
        let _ = event.frame(format, View::Full, &"s".into());
        let ServerFrame::Detection { data, .. } = decode(format, &event.frame(format, View::Reduced, &"s".into()))
        else {
            panic!("not a detection");
        };
        assert_eq!(
            *data,
            Detection {
                sender: None,
                seen_before: None,
                ..with_secrets()
            }
        );
    }
    let text = String::from_utf8(event.frame(Format::Json, View::Reduced, &"s".into()).to_vec()).expect("UTF-8");
    assert!(!text.contains("77001") && !text.contains("999002"), "{text}");
}

/// A match of its own for each number, with a sender.
pub(crate) fn matched(n: u64) -> Match {
    let Detection {
        chat,
        message,
        listener,
        times,
        sender,
        ..
    } = with_secrets();
    Match {
        schema_version: tgmesh_proto::SCHEMA_VERSION.to_owned(),
        id: EventId::from_bytes((u128::from(n) << 64).to_be_bytes()),
        event: MatchKind::UnresolvedLink,
        chain: Some("solana".to_owned()),
        site: Some("dexscreener.com".to_owned()),
        raw: Some(format!("{n:044}")),
        link: Some(format!("https://dexscreener.com/solana/{n:044}")),
        chat,
        message,
        sender,
        rules: vec!["gems".to_owned()],
        listener,
        times,
    }
}

pub(crate) fn match_of(seq: u64, data: &Match) -> MatchEvent {
    let payload = codec::encode_match(data).expect("a match has a MessagePack form");
    MatchEvent::read(seq, seq * 1000, &payload).expect("it was just written")
}

#[test]
fn a_match_s_frame_is_an_encoded_frame_without_its_sender_where_reduced() {
    let event = match_of(7, &matched(1));
    for format in [Format::Json, Format::Msgpack] {
        for view in [View::Full, View::Reduced, View::Full] {
            let sender = matched(1).sender.filter(|_| view == View::Full);
            let expected = ServerFrame::Match {
                id: "quo\"te".to_owned(),
                seq: 7,
                data: Box::new(Match { sender, ..matched(1) }),
            };
            let frame = event.frame(format, view, &"quo\"te".into());
            let encoded = match format {
                Format::Json => serde_json::to_vec(&expected).expect("encodes"),
                Format::Msgpack => rmp_serde::to_vec_named(&expected).expect("encodes"),
            };
            assert_eq!(frame, encoded, "{format:?} {view:?}");
        }
    }
}

#[test]
fn frames_of_many_ids_are_right_and_few_are_kept() {
    let event = event_of(1, &detection(1));
    for n in 0..20 {
        let id: Arc<str> = format!("s{n}").into();
        for _ in 0..2 {
            let ServerFrame::Detection { id: told, .. } =
                decode(Format::Json, &event.frame(Format::Json, View::Full, &id))
            else {
                panic!("not a detection");
            };
            assert_eq!(*told, *id);
        }
    }
    assert_eq!(event.frames.kept.lock().expect("not poisoned").len(), frames::MAX_KEPT);
}

proptest! {
    #[test]
    fn any_payload_is_read_or_refused(payload in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = Event::read(1, 1, &payload, None);
    }

    #[test]
    fn any_id_survives(id in ".{1,64}") {
        let event = event_of(1, &detection(1));
        let frame = event.frame(Format::Json, View::Full, &id.as_str().into());
        match decode(Format::Json, &frame) {
            ServerFrame::Detection { id: told, .. } => prop_assert_eq!(told, id),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
