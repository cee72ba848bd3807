//! Events and frames that the golden vectors are made of. Everything in them is fixed, so that
//! the files change only when the contract does.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tgmesh_proto::SCHEMA_VERSION;
use tgmesh_proto::audit::AuditEvent;
use tgmesh_proto::detection::{
    Chat, ChatKind, Detection, EventKind, Family, Forward, Listener, Message, Method, Role, SeenBefore, Sender,
    SenderKind, Times,
};
use tgmesh_proto::frame::{ClientFrame, ErrorCode, EventName, Filter, Resume, ServerFrame};
use tgmesh_proto::id::{DELETED, EventId, IdParts, MatchIdParts, Matched, RevisionButton, RevisionEntity, revision};
use tgmesh_proto::matched::Match;
use tgmesh_proto::stats::{HistogramSnapshot, StatsReport};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const EPOCH: &str = "5f0c9a4e21d84b7b";

/// One golden vector: the same value as MessagePack and as JSON.
pub struct Vector {
    /// File name without its ending.
    pub name: &'static str,
    pub msgpack: Vec<u8>,
    pub json: String,
    /// Reads bytes as this vector's type and writes them again.
    pub rewrite: fn(&[u8]) -> Result<Vec<u8>, rmp_serde::decode::Error>,
}

/// Every vector.
pub fn vectors() -> Vec<Vector> {
    let client = |name, frame: ClientFrame| vector(name, &frame);
    let server = |name, frame: ServerFrame| vector(name, &frame);
    vec![
        vector("detection_minimal", &minimal()),
        vector("detection_full", &full()),
        vector("detection_retracted", &retracted()),
        vector("detection_group", &group()),
        vector("match_rule", &rule_match()),
        vector("match_link", &link_match()),
        vector("audit", &audit()),
        client(
            "client_subscribe",
            ClientFrame::Subscribe {
                id: "s1".to_owned(),
                filter: full_filter(),
                resume: Some(Resume::After {
                    epoch: EPOCH.to_owned(),
                    after: 123,
                    since: Some(100),
                }),
            },
        ),
        client(
            "client_subscribe_last",
            ClientFrame::Subscribe {
                id: "s2".to_owned(),
                filter: Filter::default(),
                resume: Some(Resume::Last { last: 50 }),
            },
        ),
        client("client_unsubscribe", ClientFrame::Unsubscribe { id: "s1".to_owned() }),
        client(
            "client_auth",
            ClientFrame::Auth {
                token: "header.payload.signature".to_owned(),
            },
        ),
        client(
            "client_rendered",
            ClientFrame::Rendered {
                seq: 124,
                at_ms: 1_795_392_000_123.5,
            },
        ),
        client(
            "client_ping",
            ClientFrame::Ping {
                t_ms: 1_795_392_000_000.25,
            },
        ),
        server(
            "server_welcome",
            ServerFrame::Welcome {
                session: "c-1".to_owned(),
                epoch: EPOCH.to_owned(),
                seq: 9_007_199_254_740_991,
                subject: "alice".to_owned(),
                expires_at: 1_795_395_600,
            },
        ),
        server(
            "server_subscribed",
            ServerFrame::Subscribed {
                id: "s1".to_owned(),
                epoch: EPOCH.to_owned(),
                seq: 200,
                filter: full_filter(),
                recovered: true,
                oldest: Some(17),
            },
        ),
        server(
            "server_detection",
            ServerFrame::Detection {
                id: "s1".to_owned(),
                seq: 124,
                data: Box::new(full()),
                traceparent: Some(TRACEPARENT.to_owned()),
            },
        ),
        server(
            "server_match",
            ServerFrame::Match {
                id: "s1".to_owned(),
                seq: 7,
                data: Box::new(link_match()),
            },
        ),
        server(
            "server_position",
            ServerFrame::Position {
                id: "s1".to_owned(),
                epoch: EPOCH.to_owned(),
                seq: 200,
            },
        ),
        server(
            "server_gap",
            ServerFrame::Gap {
                id: "s1".to_owned(),
                from: 124,
                to: 130,
            },
        ),
        server(
            "server_error",
            ServerFrame::Error {
                id: Some("s1".to_owned()),
                code: ErrorCode::DuplicateId,
                message: "subscription s1 exists".to_owned(),
            },
        ),
        server(
            "server_pong",
            ServerFrame::Pong {
                t_ms: 1_795_392_000_000.25,
                server_ms: 1_795_392_000_001.0,
            },
        ),
        server("server_reconnect", ServerFrame::Reconnect { after_ms: 750 }),
        vector("stats_report", &stats()),
    ]
}

/// An event with nothing optional in it.
pub fn minimal() -> Detection {
    let (address, revision) = (
        "7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU",
        revision(0, "7xKX", [], []),
    );
    let chat = Chat {
        id: -1_001_234_567_890,
        title: "Calls".to_owned(),
        username: None,
        kind: ChatKind::Channel,
    };
    event(chat, 42, &revision, EventKind::Called, Family::Solana, address)
}

/// An event with everything in it.
pub fn full() -> Detection {
    let text = "🚀 «ЗАПУСК»  now 0x60a3E35Cc302bFA44Cb288Bc5a4F316Fdb1adb42";
    let entity = RevisionEntity {
        kind: "text_link",
        offset: 3,
        length: 6,
        url: "https://dexscreener.com/base/0x60a3",
    };
    let button = RevisionButton {
        text: "Chart",
        target: "https://dexscreener.com/base/0x60a3",
    };
    let revision = revision(1_795_392_005, text, [entity], [button]);
    let chat = Chat {
        id: -1_009_876_543_210,
        title: "日本語 & <b>Gems</b> 💎".to_owned(),
        username: Some("gems_jp".to_owned()),
        kind: ChatKind::Supergroup,
    };
    let address = "0x60a3E35Cc302bFA44Cb288Bc5a4F316Fdb1adb42";
    let mut event = event(
        chat,
        2_147_483_647,
        &revision,
        EventKind::AddedByEdit,
        Family::Evm,
        address,
    );
    event.chain = Some("base".to_owned());
    event.role = Role::Token;
    event.method = Method::Entity;
    event.evidence = vec!["eip55".to_owned(), "link:dexscreener.com".to_owned()];
    event.confidence = 0.975;
    event.seen_before = Some(SeenBefore {
        count: 3,
        first_ms: 1_795_391_000_000,
        first_chat: -1_001_234_567_890,
    });
    event.message.edit_date_ms = Some(1_795_392_005_000);
    event.message.text.push_str(text);
    event.message.link = Some("https://t.me/gems_jp/2147483647".to_owned());
    event.message.reply_to = Some(7);
    event.message.forward_from = Some(Forward {
        id: Some(-1_001_111_111_111),
        name: Some("Origin".to_owned()),
        message_id: Some(5),
        date_ms: 1_795_390_000_000,
    });
    event.sender = Some(Sender {
        id: 777_000_111,
        username: Some("caller".to_owned()),
        name: "Cal \u{202e}ler".to_owned(),
        kind: SenderKind::User,
    });
    event.rules = vec!["base-gems".to_owned()];
    event.listener.shard = 2;
    event.listener.lease_epoch = 18;
    event.listener.backfill = true;
    event
}

fn retracted() -> Detection {
    let Detection { chat, address, .. } = minimal();
    event(chat, 42, DELETED, EventKind::Retracted, Family::Solana, &address)
}

fn group() -> Detection {
    let chat = Chat {
        id: -4_242,
        title: "Friends".to_owned(),
        username: None,
        kind: ChatKind::Group,
    };
    let revision = revision(0, "T", [], []);
    event(
        chat,
        9,
        &revision,
        EventKind::Called,
        Family::Tron,
        "TXhVPaVFx49tvWMWTqt7HbPxb9Zxbi9ZfG",
    )
}

/// An audit event with everything in it.
pub fn audit() -> AuditEvent {
    let event = AuditEvent {
        schema_version: SCHEMA_VERSION.to_owned(),
        id: EventId::from_bytes([0; 16]),
        service: "tgmesh".to_owned(),
        event: "erase".to_owned(),
        at_us: 1_795_435_200_000_000,
        instance: "ops-1".to_owned(),
        actor: Some("ann".to_owned()),
        target: Some("sender:42".to_owned()),
        detail: [("detections", "17"), ("matches", "0")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    };
    event.with_id()
}

/// A match with nothing optional in it but its rules.
pub fn rule_match() -> Match {
    let rules = vec!["airdrops".to_owned(), "launch".to_owned()];
    let of = Detection {
        message: Message {
            text: "Launch at 20:00 UTC, no CA yet".to_owned(),
            ..minimal().message
        },
        ..minimal()
    };
    matched(of, Matched::Rules(&rules), rules.clone(), None)
}

/// A match with everything in it.
pub fn link_match() -> Match {
    let link = "https://dexscreener.com/solana/7xkxtg2cw87d97txjsdpbd5jbkhetqa83tzrujosgasu?ref=1";
    let named = Matched::Link {
        site: "dexscreener.com",
        chain: Some("solana"),
        raw: "7xkxtg2cw87d97txjsdpbd5jbkhetqa83tzrujosgasu",
    };
    matched(full(), named, vec!["base-gems".to_owned()], Some(link))
}

fn matched(of: Detection, matched: Matched<'_>, rules: Vec<String>, link: Option<&str>) -> Match {
    let id = MatchIdParts {
        chat_id: of.chat.id,
        chat_kind: of.chat.kind,
        account: &of.listener.account,
        message_id: of.message.id,
        revision: &of.message.revision,
        matched,
    }
    .id();
    let (site, chain, raw) = match matched {
        Matched::Rules(_) => (None, None, None),
        Matched::Link { site, chain, raw } => (Some(site), chain, Some(raw)),
    };
    Match {
        schema_version: SCHEMA_VERSION.to_owned(),
        id,
        event: matched.kind(),
        chain: chain.map(str::to_owned),
        site: site.map(str::to_owned),
        raw: raw.map(str::to_owned),
        link: link.map(str::to_owned),
        chat: of.chat,
        message: of.message,
        sender: of.sender,
        rules,
        listener: of.listener,
        times: of.times,
    }
}

fn event(chat: Chat, message: i64, revision: &str, kind: EventKind, family: Family, address: &str) -> Detection {
    let account = "alpha";
    let id = IdParts {
        chat_id: chat.id,
        chat_kind: chat.kind,
        account,
        message_id: message,
        revision,
        event: kind,
        family,
        address,
        coin_type: None,
    }
    .id();
    Detection {
        schema_version: SCHEMA_VERSION.to_owned(),
        id,
        event: kind,
        family,
        chain: None,
        address: address.to_owned(),
        coin_type: None,
        role: Role::Unknown,
        method: Method::Plain,
        evidence: Vec::new(),
        confidence: 0.5,
        raw: address.to_owned(),
        seen_before: None,
        chat,
        message: Message {
            id: message,
            date_ms: 1_795_392_000_000,
            edit_date_ms: None,
            revision: revision.to_owned(),
            text: String::new(),
            link: None,
            reply_to: None,
            forward_from: None,
        },
        sender: None,
        rules: Vec::new(),
        listener: Listener {
            instance: "listener-0".to_owned(),
            account: account.to_owned(),
            shard: 0,
            lease_epoch: 0,
            backfill: false,
            detector: "0.1.0".to_owned(),
            layer: 230,
        },
        times: Times {
            received_us: 1_795_392_000_123_456,
            detected_us: 1_795_392_000_123_476,
            published_us: 1_795_392_000_123_490,
        },
    }
}

fn full_filter() -> Filter {
    Filter {
        chats: Some(vec![-1_001_234_567_890, 42]),
        families: Some(vec![Family::Evm, Family::Solana]),
        chains: Some(vec!["base".to_owned()]),
        addresses: Some(vec!["0x60a3e35cc302bfa44cb288bc5a4f316fdb1adb42".to_owned()]),
        senders: Some(vec![777_000_111]),
        rules: Some(vec!["base-gems".to_owned()]),
        text: Some("(?i)launch".to_owned()),
        min_confidence: Some(0.5),
        events: Some(vec![EventName::Called, EventName::AddedByEdit, EventName::RuleMatched]),
        unique_within: Some("10m".to_owned()),
        backfill: true,
        matches: true,
    }
}

fn stats() -> StatsReport {
    let histogram = HistogramSnapshot {
        count: 3,
        sum_us: 340,
        buckets: vec![(104, 2), (144, 1)],
    };
    StatsReport {
        service: "gateway".to_owned(),
        instance: "gateway-0".to_owned(),
        started_ms: 1_795_390_000_000,
        at_ms: 1_795_392_000_000,
        rss_bytes: 25_000_000,
        heap_bytes: 12_000_000,
        counters: [("deliveries_total".to_owned(), 1_000_000)].into(),
        gauges: [("clients".to_owned(), 2.0)].into(),
        histograms: [("stream_to_client_seconds".to_owned(), histogram)].into(),
    }
}

fn vector<T: Serialize + DeserializeOwned>(name: &'static str, value: &T) -> Vector {
    let msgpack = rmp_serde::to_vec_named(value).expect("a sample encodes");
    let mut json = serde_json::to_string_pretty(value).expect("a sample encodes");
    json.push('\n');
    Vector {
        name,
        msgpack,
        json,
        rewrite: |bytes| Ok(write(&rmp_serde::from_slice::<T>(bytes)?)),
    }
}

fn write<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("what was read can be written")
}
