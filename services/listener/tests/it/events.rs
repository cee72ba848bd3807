use tgmesh_proto::detection::{ChatKind, EventKind, Family, Method, SenderKind};
use tgmesh_proto::id::{IdParts, revision};
use tgmesh_telegram_sim::ChatKind as Kind;
use tgmesh_telegram_sim::{Author, Config, Draft, Entity, EntityKind, Forward};

use crate::world::{World, address, addresses};

fn config() -> Config {
    Config {
        accounts: 1,
        chats: 12,
        ..Config::default()
    }
}

#[tokio::test]
async fn every_kind_of_chat_gives_its_events() {
    let world = World::start(config()).await;
    let listener = world.listener().await;
    let chats = [
        (Kind::Channel, ChatKind::Channel),
        (Kind::Supergroup, ChatKind::Supergroup),
        (Kind::Group, ChatKind::Group),
        (Kind::User, ChatKind::User),
    ];
    let mut posted = Vec::new();
    for (n, (kind, told)) in (0..).zip(chats) {
        let chat_id = world.chat(kind);
        let text = format!("🚀 new call {} do your own research", address(n));
        world.post(chat_id, "gm, nothing to see here");
        let change = world.post(chat_id, text.clone());
        posted.push((chat_id, told, text, change, address(n)));
    }
    let events = world.wait_for(4, &listener).await;
    assert_eq!(events.len(), 4);
    for (chat_id, kind, text, change, address) in posted {
        let event = events
            .iter()
            .find(|event| event.address == address)
            .expect("an event for each");
        let chat = world.sim().chats().into_iter().find(|chat| chat.id == chat_id).unwrap();
        assert_eq!((event.event, event.family), (EventKind::Called, Family::Solana));
        assert_eq!(event.method, Method::Plain);
        assert_eq!(event.raw, address);
        assert!(event.confidence > 0.0 && !event.evidence.is_empty());
        assert_eq!((event.chat.id, event.chat.kind), (chat_id, kind));
        assert_eq!(event.chat.username, chat.username);
        assert!(event.chat.title.starts_with(&chat.title), "{:?}", event.chat);
        assert_eq!(event.message.text, text);
        assert_eq!(event.message.date_ms, i64::from(change.date) * 1000);
        assert_eq!(event.message.edit_date_ms, None);
        assert_eq!(event.message.revision, revision(0, &text, [], []));
        if matches!(kind, ChatKind::Channel | ChatKind::Supergroup) {
            assert_eq!(event.message.id, i64::from(change.message_id));
            let place = match &chat.username {
                Some(name) => name.clone(),
                None => format!("c/{}", -chat_id - 1_000_000_000_000),
            };
            let link = format!("https://t.me/{place}/{}", change.message_id);
            assert_eq!(event.message.link.as_deref(), Some(link.as_str()));
        } else {
            assert_eq!(event.message.link, None);
        }
        if kind == ChatKind::Channel {
            assert_eq!(event.sender, None);
        } else {
            let sender = event.sender.as_ref().expect("somebody wrote it");
            assert!(matches!(sender.kind, SenderKind::User | SenderKind::Bot));
            assert!(sender.id > 0 && !sender.name.is_empty(), "{sender:?}");
        }
        assert_eq!(event.listener.account, "sim-1");
        assert_eq!(event.listener.shard, 0);
        assert!(event.listener.lease_epoch > 0);
        assert!(!event.listener.backfill && event.listener.layer > 200);
        assert_eq!(event.seen_before, None);
        let times = event.times;
        assert!(times.received_us <= times.detected_us && times.detected_us <= times.published_us);
        assert!(times.received_us / 1000 >= event.message.date_ms);
        let id = IdParts {
            chat_id,
            chat_kind: kind,
            account: "sim-1",
            message_id: event.message.id,
            revision: &event.message.revision,
            event: event.event,
            family: event.family,
            address: &event.address,
            coin_type: None,
        };
        assert_eq!(event.id, id.id());
    }
    assert!(listener.metric("messages_total").await >= 8.0);
    assert!(listener.metric("published_total").await >= 4.0);
    let page = listener.metrics().await;
    assert!(
        page.contains("tgmesh_listener_detections_total{family=\"solana\"} 4"),
        "{page}"
    );
}

#[tokio::test]
async fn links_replies_forwards_and_anonymous_admins() {
    let world = World::start(config()).await;
    let listener = world.listener().await;
    let group = world.chat(Kind::Supergroup);
    let channel = world.chat(Kind::Channel);
    let first = world.post(group, "wen");
    let hidden = format!("https://pump.fun/coin/{}", address(20));
    let text = "🔥 chart here";
    let draft = Draft {
        chat_id: group,
        text: text.to_owned(),
        entities: vec![Entity {
            kind: EntityKind::TextUrl { url: hidden.clone() },
            offset: 3,
            length: 5,
        }],
        from: Author::Anonymous,
        reply_to: Some(first.message_id),
        forward: Some(Forward {
            from: Some(channel),
            message_id: Some(3),
            from_name: None,
            date: Some(1_700_000_000),
        }),
        ..Draft::default()
    };
    world.sim().post(draft).unwrap();
    let events = world.wait_for(1, &listener).await;
    let event = &events[0];
    assert_eq!(
        (event.address.as_str(), event.method),
        (address(20).as_str(), Method::Entity)
    );
    let sender = event.sender.as_ref().expect("the group itself");
    assert_eq!((sender.id, sender.kind), (group, SenderKind::Group));
    assert_eq!(event.message.reply_to, Some(i64::from(first.message_id)));
    let forward = event.message.forward_from.as_ref().expect("it was forwarded");
    assert_eq!((forward.id, forward.message_id), (Some(channel), Some(3)));
    assert_eq!(forward.date_ms, 1_700_000_000_000);
    assert!(event.message.revision.starts_with("0-"));
    assert_eq!(events.len(), 1);
}

#[tokio::test]
async fn only_watched_chats_are_told() {
    let world = World::start(config()).await;
    world.import(world.spec()).await;
    let chats = world.sim().chats();
    let joined = |named: bool| {
        chats
            .iter()
            .filter(|chat| !chat.accounts.is_empty())
            .find(|chat| chat.username.is_some() == named && chat.kind.has_own_numbers())
            .unwrap()
    };
    let (named, other) = (joined(true), joined(false));
    let group = world.chat(Kind::Group);
    let watched = format!("@{},{group}", named.username.as_deref().unwrap());
    let listener = world.listen(world.spec().env("MONITORED_CHATS", watched)).await;
    for (n, chat) in [(30, other.id), (31, named.id), (32, other.id), (33, group)] {
        world.post(chat, format!("call {}", address(n)));
    }
    let events = world.wait_for(2, &listener).await;
    let mut found: Vec<_> = addresses(&events).into_keys().collect();
    let mut expected = vec![address(31), address(33)];
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_message_that_two_accounts_see_is_told_once() {
    let world = World::start(Config {
        accounts: 3,
        ..config()
    })
    .await;
    let chats = world.sim().chats();
    let shared: Vec<_> = chats
        .iter()
        .filter(|chat| chat.kind.has_own_numbers() && chat.accounts.len() > 1)
        .collect();
    assert!(!shared.is_empty(), "accounts share channels");
    // Each of them watches them all, which is not so by default.
    let ids: Vec<_> = shared.iter().map(|chat| chat.id.to_string()).collect();
    world.import(world.spec()).await;
    let spec = world.spec().env("HOT_CHATS", ids.join(",")).env("RACERS", "3");
    let listener = world.listen(spec).await;
    let mut expected = std::collections::BTreeMap::new();
    for n in 40..90 {
        let chat = shared[n as usize % shared.len()];
        world.post(chat.id, format!("call {}", address(n)));
        expected.insert(address(n), 1);
    }
    let events = world.wait_for(expected.len(), &listener).await;
    crate::world::assert_same(&addresses(&events), &expected, &listener);
    // All of it went through each account that sees it.
    tgmesh_testkit::eventually(crate::world::LIMIT, "every account handled its messages", || async {
        listener.metric("messages_total").await >= 100.0
    })
    .await;
    assert_eq!(world.events().await.len(), expected.len());
}
