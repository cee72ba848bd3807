//! The scenario and the load player.

use std::collections::HashSet;

use grammers_client::tl::enums;
use grammers_session::updates::UpdatesLike;
use tgmesh_telegram_sim::{Kind, LoadError, LoadSpec, LoadState};
use tgmesh_testkit::eventually;

use crate::client::{SOON, connect, simulator};

fn spec(messages: u64) -> LoadSpec {
    serde_json::from_value(serde_json::json!({ "messages": messages })).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scenario_plays_all_kinds_of_events() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    running.sim.set_scenario_rate(5_000.0);
    eventually(SOON, "2,000 events", || async {
        running.sim.posted(0, usize::MAX).items.len() > 2_000
    })
    .await;
    running.sim.set_scenario_rate(0.0);
    let items = running.sim.posted(0, usize::MAX).items;
    for kind in [Kind::New, Kind::Edit, Kind::Delete] {
        assert!(items.iter().any(|item| item.kind == kind), "{kind:?}");
    }
    let with = items
        .iter()
        .filter(|item| item.kind == Kind::New && !item.addresses.is_empty())
        .count();
    let share = with as f64 / items.len() as f64;
    assert!((0.05..0.4).contains(&share), "{share} of the messages bring an address");
    assert!(items.iter().map(|item| item.chat_id).collect::<HashSet<_>>().len() > 5);
    let (mut answers, mut forwards) = (0, 0);
    while let Ok(update) = telegram.updates.try_recv() {
        let UpdatesLike::Updates(enums::Updates::Updates(all)) = update else {
            continue;
        };
        for update in all.updates {
            if let enums::Update::NewChannelMessage(new) = update
                && let enums::Message::Message(message) = new.message
            {
                answers += usize::from(message.reply_to.is_some());
                forwards += usize::from(message.fwd_from.is_some());
            }
        }
    }
    assert!(answers > 0 && forwards > 0, "{answers} answers, {forwards} forwards");
    running.stop().await;
}

/// More than a client decodes before the connection's queue of 16,384 and the socket's buffers
/// are full: without waiting for room, pushes would be lost.
const MANY: usize = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_load_run_loses_nothing_and_repeats_nothing() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    running.sim.start_load(spec(MANY as u64)).unwrap();
    assert_eq!(running.sim.start_load(spec(1)), Err(LoadError::Running));
    let mut texts = Vec::new();
    while texts.len() < MANY {
        let update = tokio::time::timeout(SOON, telegram.updates.recv())
            .await
            .expect("a push")
            .unwrap();
        match update {
            UpdatesLike::Updates(enums::Updates::Updates(all)) => {
                for update in all.updates {
                    let message = match update {
                        enums::Update::NewChannelMessage(new) => new.message,
                        enums::Update::NewMessage(new) => new.message,
                        other => panic!("{other:?}"),
                    };
                    let enums::Message::Message(message) = message else {
                        panic!("{message:?}")
                    };
                    texts.push(message.message);
                }
            }
            UpdatesLike::Updates(enums::Updates::UpdateShortMessage(new)) => texts.push(new.message),
            UpdatesLike::Updates(enums::Updates::UpdateShortChatMessage(new)) => texts.push(new.message),
            other => panic!("{other:?}"),
        }
    }
    eventually(SOON, "the run is over", || async {
        running.sim.load().state == LoadState::Done
    })
    .await;
    let report = running.sim.load();
    assert_eq!(report.sent, MANY as u64);
    assert!(0 < report.first_us && report.first_us < report.last_us);
    let items = running.sim.posted(0, usize::MAX).items;
    let addresses: HashSet<_> = items.iter().flat_map(|item| &item.addresses).collect();
    assert_eq!(addresses.len(), MANY, "each message brings an address of its own");
    let all = texts.join("\n");
    assert!(items.iter().step_by(97).all(|item| all.contains(&item.addresses[0])));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_and_a_share_is_kept() {
    let running = simulator(1, 10).await;
    let spec: LoadSpec = serde_json::from_value(serde_json::json!({
        "rate": 2_000.0, "messages": 1_000, "address_share": 0.5, "chats": 2,
    }))
    .unwrap();
    running.sim.start_load(spec).unwrap();
    eventually(SOON, "the run is over", || async {
        running.sim.load().state == LoadState::Done
    })
    .await;
    let report = running.sim.load();
    let took_ms = (report.last_us - report.first_us) / 1_000;
    assert!(took_ms >= 450, "1,000 messages at 2,000/s took {took_ms} ms");
    let items = running.sim.posted(0, usize::MAX).items;
    let with = items.iter().filter(|item| !item.addresses.is_empty()).count();
    assert!((400..600).contains(&with), "{with}");
    assert_eq!(items.iter().map(|item| item.chat_id).collect::<HashSet<_>>().len(), 2);

    let endless: LoadSpec = serde_json::from_value(serde_json::json!({ "rate": 100.0 })).unwrap();
    running.sim.start_load(endless).unwrap();
    eventually(SOON, "it runs", || async { running.sim.load().sent > 2 }).await;
    running.sim.stop_load();
    eventually(SOON, "it ends", || async {
        running.sim.load().state == LoadState::Done
    })
    .await;
    running.stop().await;
}
