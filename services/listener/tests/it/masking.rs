use sha2::{Digest as _, Sha256};
use tgmesh_proto::codec;
use tgmesh_proto::detection::EventKind;
use tgmesh_telegram_sim::{ChatKind, Config, Draft, Forward};

use crate::world::{World, address};

const ZEROS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
const LEGAL: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";
/// What the phrases are recognised by, wherever they would turn up.
const WORDS: [&str; 4] = ["abandon", "sausage", "useful", "yellow"];

#[tokio::test]
async fn secrets_do_not_leave_the_listener() {
    let world = World::start(Config::default()).await;
    world.import(world.spec()).await;
    let listener = world
        .listen(world.spec().env("RUST_LOG", "debug,tgmesh_listener=trace"))
        .await;
    let chat = world.chat(ChatKind::Supergroup);
    let (a, b, c) = (address(400), address(401), address(402));

    // A phrase beside an address; another, numbered, over lines and in capitals.
    let first = world.post(chat, format!("ape {a} my seed: {ZEROS} thanks"));
    let list: Vec<_> = (1..)
        .zip(LEGAL.to_uppercase().split(' '))
        .map(|(n, word)| format!("{n}) {word}\n"))
        .collect();
    let list = list.concat();
    world.post(chat, format!("{list}gm {b}"));
    // A phrase in the place that is forwarded from, and a key that would pass for an address.
    let key: Vec<_> = Sha256::digest(b"a key")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let key = key.concat();
    let draft = Draft {
        chat_id: chat,
        text: format!("{c} on sol, my sui wallet, private key: 0x{key}"),
        forward: Some(Forward {
            from: None,
            message_id: None,
            from_name: Some(LEGAL.to_owned()),
            date: Some(1_700_000_000),
        }),
        ..Draft::default()
    };
    world.sim().post(draft).unwrap();
    world.wait_for(3, &listener).await;
    // An edit that pastes one, and a deletion: both tell what the memory kept.
    world.edit(chat, first.message_id, format!("no more address, just {LEGAL}"));
    let events = world.wait_for(4, &listener).await;

    let told: Vec<_> = events
        .iter()
        .map(|event| (event.event, event.address.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (EventKind::Called, a.as_str()),
            (EventKind::Called, b.as_str()),
            (EventKind::Called, c.as_str()),
            (EventKind::Retracted, a.as_str()),
        ]
    );
    let texts: Vec<_> = events.iter().map(|event| event.message.text.as_str()).collect();
    assert_eq!(texts[0], format!("ape {a} my seed: [masked: seed phrase] thanks"));
    assert_eq!(texts[1], format!("1) [masked: seed phrase]\ngm {b}"));
    assert_eq!(
        texts[2],
        format!("{c} on sol, my sui wallet, private key: [masked: private key]")
    );
    assert_eq!(texts[3], "no more address, just [masked: seed phrase]");
    let forward = events[2].message.forward_from.as_ref().expect("it was forwarded");
    assert_eq!(forward.name.as_deref(), Some("[masked: seed phrase]"));

    // Not one field, not one line of the log, on a level that says more than any shipped one.
    let log = std::fs::read_to_string(listener.process.log_path()).unwrap();
    assert!(
        log.contains("TRACE") || log.contains("DEBUG"),
        "{}",
        listener.process.log_tail()
    );
    let payloads: String = events
        .iter()
        .map(|event| String::from_utf8_lossy(&codec::encode(event).unwrap()).into_owned())
        .collect();
    for (what, place) in [("log", &log), ("stream", &payloads)] {
        let place = place.to_lowercase();
        for word in WORDS.into_iter().chain([&key[..16]]) {
            assert!(!place.contains(word), "{word} is in the {what}");
        }
    }
}
