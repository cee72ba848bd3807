//! Many faults at once, under load: whatever is pushed or not, the differences and the truth agree.

use std::collections::BTreeSet;

use grammers_client::tl::enums::updates::ChannelDifference;
use grammers_client::tl::enums::{self, Update};
use grammers_session::updates::UpdatesLike;
use tgmesh_telegram_sim::{ChatInfo, ChatKind, Fault, FaultKind, LoadSpec, LoadState, Of};
use tgmesh_testkit::eventually;

use super::{channel, difference_since, inject};
use crate::client::{SOON, Telegram, connect, simulator};

const MANY: u64 = 20_000;

/// All that the channel's differences bring, slice after slice.
async fn all_since(telegram: &Telegram, chat: &ChatInfo, mut pts: i32) -> BTreeSet<i32> {
    let channel = telegram.channel(chat.username.as_deref().unwrap()).await;
    let mut all = BTreeSet::new();
    loop {
        let ask = difference_since(&channel, pts);
        match telegram.client.invoke(&ask).await.unwrap() {
            ChannelDifference::Difference(part) => {
                all.extend(part.new_messages.iter().map(enums::Message::id));
                pts = part.pts;
                if part.r#final {
                    return all;
                }
            }
            ChannelDifference::Empty(_) => return all,
            ChannelDifference::TooLong(_) => panic!("too long"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_many_faults_the_truth_stays_whole() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let chats: Vec<_> = running
        .sim
        .chats()
        .into_iter()
        .filter(|chat| {
            let numbered = matches!(chat.kind, ChatKind::Channel | ChatKind::Supergroup);
            numbered && !chat.accounts.is_empty() && chat.username.is_some()
        })
        .collect();
    let mut starts = Vec::new();
    for chat in &chats {
        starts.push((
            channel(&telegram, chat).await.1,
            running.sim.ids(chat.id, None).unwrap(),
        ));
    }
    let chance = |kind, p| Fault::new(kind).probability(p).seed(7);
    let faults = [
        chance(FaultKind::Lost, 0.05),
        chance(FaultKind::Duplicated { copies: 1 }, 0.1).of(Of::New),
        chance(FaultKind::Reordered { window: 8, hold_ms: 20 }, 0.3),
        chance(FaultKind::UnknownUpdate, 0.01),
        chance(FaultKind::UpdatesTooLong, 0.01),
        chance(FaultKind::MinPeers { absent: false }, 0.01),
        Fault::new(FaultKind::Burst { size: Some(500) }).chat(chats[0].id),
    ];
    let names: Vec<_> = faults.into_iter().map(|fault| inject(&running, fault)).collect();
    let spec: LoadSpec = serde_json::from_value(serde_json::json!({ "messages": MANY })).unwrap();
    running.sim.start_load(spec).unwrap();
    let (mut pushed, mut repeated, mut spoilt) = (BTreeSet::new(), 0, 0);
    eventually(SOON, "the load is done", || async {
        running.sim.load().state == LoadState::Done
    })
    .await;
    let reports = running.sim.heal_all();
    for name in &names {
        let report = reports.iter().find(|report| report.id == *name).unwrap();
        assert!(report.hits > 0, "{report:?}");
    }
    // What came: with what was lost it makes up what was posted.
    while let Ok(Some(update)) = tokio::time::timeout(std::time::Duration::from_secs(1), telegram.updates.recv()).await
    {
        match update {
            UpdatesLike::Updates(enums::Updates::Updates(all)) => {
                for update in all.updates {
                    if let Update::NewChannelMessage(new) = update {
                        let enums::Message::Message(message) = new.message else {
                            panic!("{:?}", new.message)
                        };
                        let enums::Peer::Channel(peer) = message.peer_id else {
                            panic!("no channel")
                        };
                        repeated += u64::from(!pushed.insert((peer.channel_id, message.id)));
                    }
                }
            }
            UpdatesLike::MalformedUpdates => spoilt += 1,
            _ => {}
        }
    }
    assert!(repeated > 0 && spoilt > 0, "{repeated} came twice, {spoilt} unreadable");
    let mut unpushed = 0;
    for (chat, (pts, before)) in chats.iter().zip(starts) {
        let truth = running.sim.ids(chat.id, None).unwrap();
        let [(_, last)] = truth.exists[..] else {
            panic!("{truth:?}")
        };
        let expected: BTreeSet<_> = (before.exists[0].1 + 1..=last).collect();
        assert_eq!(all_since(&telegram, chat, pts).await, expected);
        let bare = -1_000_000_000_000 - chat.id;
        unpushed += expected.iter().filter(|id| !pushed.contains(&(bare, **id))).count();
    }
    assert!(unpushed > 500, "{unpushed}");
    running.stop().await;
}
