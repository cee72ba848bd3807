//! Pushes that do not come, come twice, late, in disorder, or as something else.

use std::time::Duration;

use grammers_client::tl::enums::updates::Difference;
use grammers_client::tl::enums::{self, Update};
use grammers_client::tl::functions;
use grammers_session::updates::UpdatesLike;
use tgmesh_telegram_sim::{ChatInfo, ChatKind, Config, Fault, FaultKind, Of, Running, start};
use tgmesh_testkit::eventually;

use super::{arrival, channel, hits, inject, missed, next_post, on, post};
use crate::client::{SOON, chat_of, connect, draft, simulator};

/// A chat that both accounts are in.
fn shared_channel(running: &Running) -> ChatInfo {
    let chats = running.sim.chats();
    let both = |chat: &&ChatInfo| chat.accounts.len() == 2 && chat.kind == ChatKind::Channel;
    chats.iter().find(both).unwrap().clone()
}

#[tokio::test]
async fn a_lost_push_is_lost_for_its_account_and_chat_only() {
    let running = simulator(2, 10).await;
    let (mut first, mut second) = (connect(&running, 0).await, connect(&running, 1).await);
    let chat = shared_channel(&running);
    let other = chat_of(&running, ChatKind::Supergroup);
    let (input, pts) = channel(&first, &chat).await;
    let before = post(&running, &chat, "before");
    assert_eq!(next_post(&mut first).await.0, before);

    let fault = inject(&running, on(&chat, FaultKind::Lost).account("sim-1").count(2));
    let lost = [post(&running, &chat, "one"), post(&running, &chat, "two")];
    let elsewhere = post(&running, &other, "elsewhere");
    assert_eq!(next_post(&mut first).await.0, elsewhere);
    for expected in [before, lost[0], lost[1]] {
        assert_eq!(next_post(&mut second).await.0, expected);
    }
    let report = &running.sim.faults()[0];
    assert_eq!((report.hits, report.active), (2, false), "its count is used up");

    let after = post(&running, &chat, "after");
    let (id, reached) = next_post(&mut first).await;
    assert_eq!((id, reached), (after, pts + 4), "the gap shows");
    assert_eq!(missed(&first, &input, pts).await, [before, lost[0], lost[1], after]);
    assert_eq!(running.sim.heal(&fault).unwrap().hits, 2);
    assert!(running.sim.faults().is_empty());
    running.stop().await;
}

#[tokio::test]
async fn only_the_deletions_are_lost() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let fault = inject(&running, on(&chat, FaultKind::Lost).of(Of::Delete));
    let id = post(&running, &chat, "short-lived");
    let (_, pts) = next_post(&mut telegram).await;
    running.sim.delete(chat.id, &[id]).unwrap();
    let next = post(&running, &chat, "next");
    assert_eq!(next_post(&mut telegram).await, (next, pts + 2));
    assert_eq!(hits(&running, &fault), 1);
    running.sim.heal(&fault);
    running.sim.delete(chat.id, &[next]).unwrap();
    assert!(matches!(telegram.next().await.0, Update::DeleteChannelMessages(gone) if gone.messages == [next]));
    running.stop().await;
}

/// Which of 64 posts are lost.
async fn lost_of_64(seed: u64) -> Vec<usize> {
    let running = start(Config {
        chats: 1,
        ..Config::default()
    })
    .await
    .unwrap();
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let fault = Fault::new(FaultKind::Lost).probability(0.5).seed(seed);
    let id = inject(&running, fault);
    let posted: Vec<_> = (0..64).map(|i| post(&running, &chat, &i.to_string())).collect();
    running.sim.heal(&id);
    let last = post(&running, &chat, "last");
    let mut came = Vec::new();
    while came.last() != Some(&last) {
        came.push(next_post(&mut telegram).await.0);
    }
    running.stop().await;
    (0..64).filter(|i| !came.contains(&posted[*i])).collect()
}

#[tokio::test]
async fn chance_follows_the_seed() {
    let first = lost_of_64(1).await;
    assert!((16..48).contains(&first.len()), "{}", first.len());
    assert_eq!(first, lost_of_64(1).await);
    assert_ne!(first, lost_of_64(2).await);
}

#[tokio::test]
async fn a_push_comes_again() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let fault = inject(&running, on(&chat, FaultKind::Duplicated { copies: 2 }));
    let id = post(&running, &chat, "thrice");
    let first = next_post(&mut telegram).await;
    assert_eq!(first.0, id);
    for _ in 0..2 {
        assert_eq!(next_post(&mut telegram).await, first);
    }
    assert_eq!(running.sim.heal(&fault).unwrap().hits, 1);
    let once = [post(&running, &chat, "once"), post(&running, &chat, "once more")];
    assert_eq!(next_post(&mut telegram).await.0, once[0]);
    assert_eq!(next_post(&mut telegram).await.0, once[1]);
    running.stop().await;
}

#[tokio::test]
async fn pushes_come_in_disorder_and_none_is_kept_for_good() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let kind = FaultKind::Reordered { window: 4, hold_ms: 50 };
    let fault = inject(&running, on(&chat, kind));
    let posted: Vec<_> = (0..8).map(|i| post(&running, &chat, &i.to_string())).collect();
    let mut came = Vec::new();
    for _ in 0..8 {
        came.push(next_post(&mut telegram).await.0);
    }
    assert_ne!(came[..4], posted[..4]);
    assert_ne!(came[4..], posted[4..]);
    came.sort_unstable();
    assert_eq!(came, posted);
    // One alone never fills the window.
    let alone = post(&running, &chat, "alone");
    assert_eq!(next_post(&mut telegram).await.0, alone);
    assert_eq!(running.sim.heal(&fault).unwrap().hits, 9);
    let in_order = [post(&running, &chat, "a"), post(&running, &chat, "b")];
    for id in in_order {
        assert_eq!(next_post(&mut telegram).await.0, id);
    }
    running.stop().await;
}

/// More than a connection's queue takes.
const MANY: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_held_back_and_then_comes_whole() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let other = chat_of(&running, ChatKind::Supergroup);
    let fault = inject(&running, on(&chat, FaultKind::Burst { size: None }));
    let posted: Vec<_> = (0..MANY).map(|i| post(&running, &chat, &i.to_string())).collect();
    let elsewhere = post(&running, &other, "elsewhere");
    assert_eq!(next_post(&mut telegram).await.0, elsewhere);
    assert_eq!(running.sim.heal(&fault).unwrap().hits, MANY as u64);
    for id in &posted {
        assert_eq!(next_post(&mut telegram).await.0, *id);
    }

    // The same by number, and by time.
    inject(&running, on(&chat, FaultKind::Burst { size: Some(3) }).named("three"));
    let three: Vec<_> = (0..3).map(|i| post(&running, &chat, &i.to_string())).collect();
    for id in three {
        assert_eq!(next_post(&mut telegram).await.0, id);
    }
    running.sim.heal("three");
    let brief = on(&chat, FaultKind::Burst { size: None }).lasts(Duration::from_millis(50));
    inject(&running, brief.named("brief"));
    let id = post(&running, &chat, "soon");
    assert_eq!(next_post(&mut telegram).await.0, id);
    assert!(!running.sim.faults()[0].active);
    running.stop().await;
}

/// The chats that the account's own difference tells it to look into.
async fn named_by_the_difference(telegram: &crate::client::Telegram, pts: i32) -> Vec<i64> {
    let ask = functions::updates::GetDifference {
        pts,
        pts_limit: None,
        pts_total_limit: None,
        date: 1,
        qts: 0,
        qts_limit: None,
    };
    match telegram.client.invoke(&ask).await.unwrap() {
        Difference::Difference(difference) => difference
            .other_updates
            .iter()
            .filter_map(|update| match update {
                Update::ChannelTooLong(named) => Some(-1_000_000_000_000 - named.channel_id),
                _ => None,
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_poll_only_channel_is_in_its_own_difference_only() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let other = chat_of(&running, ChatKind::Supergroup);
    let own = telegram.pts().await;
    let (input, pts) = channel(&telegram, &chat).await;
    let fault = inject(&running, on(&chat, FaultKind::PollOnly));
    let id = post(&running, &chat, "nobody is told");
    running.sim.edit(id, draft(&chat, "nor of this")).unwrap();
    let elsewhere = post(&running, &other, "elsewhere");
    assert_eq!(next_post(&mut telegram).await.0, elsewhere);
    let named = named_by_the_difference(&telegram, own).await;
    assert!(named.contains(&other.id) && !named.contains(&chat.id), "{named:?}");
    assert_eq!(missed(&telegram, &input, pts).await, [id]);
    assert!(running.sim.heal(&fault).unwrap().hits >= 3);
    assert!(named_by_the_difference(&telegram, own).await.contains(&chat.id));
    let id = post(&running, &chat, "again");
    assert_eq!(next_post(&mut telegram).await.0, id);
    running.stop().await;
}

#[tokio::test]
async fn something_else_comes_in_a_pushs_place() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let (input, pts) = channel(&telegram, &chat).await;
    inject(&running, on(&chat, FaultKind::UpdatesTooLong).count(1));
    let first = post(&running, &chat, "first");
    assert!(matches!(
        arrival(&mut telegram).await,
        UpdatesLike::Updates(enums::Updates::TooLong)
    ));
    for told in [true, false] {
        inject(&running, on(&chat, FaultKind::ChannelTooLong { pts: told }).count(1));
        post(&running, &chat, "x");
        let (update, _, chats) = telegram.next().await;
        let Update::ChannelTooLong(too_long) = update else {
            panic!("{update:?}")
        };
        assert_eq!(too_long.channel_id, input.channel_id);
        assert_eq!(too_long.pts.is_some(), told);
        assert!(too_long.pts.is_none_or(|reached| reached == pts + 2));
        assert_eq!(chats.len(), 1);
    }
    let last = post(&running, &chat, "last");
    assert_eq!(next_post(&mut telegram).await, (last, pts + 4));
    let missed = missed(&telegram, &input, pts).await;
    assert_eq!((missed.len(), missed[0], missed[3]), (4, first, last));

    // Out of the blue.
    assert_eq!(running.sim.send_too_long_to(Some("sim-1")), Ok(1));
    assert!(matches!(
        arrival(&mut telegram).await,
        UpdatesLike::Updates(enums::Updates::TooLong)
    ));
    assert_eq!(running.sim.send_channel_too_long(chat.id, None, true), Ok(1));
    assert!(matches!(telegram.next().await.0, Update::ChannelTooLong(told) if told.pts == Some(pts + 4)));
    running.stop().await;
}

#[tokio::test]
async fn a_push_brings_no_usable_hash() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Supergroup);
    inject(&running, on(&chat, FaultKind::MinPeers { absent: false }).count(1));
    post(&running, &chat, "who is this");
    let (_, users, chats) = telegram.next().await;
    let ([enums::User::User(user)], [enums::Chat::Channel(min)]) = (&users[..], &chats[..]) else {
        panic!("{users:?} {chats:?}")
    };
    assert!(min.min && user.min);
    let mut input = telegram.channel(chat.username.as_deref().unwrap()).await;
    assert_eq!(input.channel_id, min.id);
    input.access_hash = min.access_hash.unwrap();
    let answer = telegram.client.invoke(&super::difference_since(&input, 1)).await;
    assert_eq!(super::refusal(answer).1, "CHANNEL_INVALID", "the hash opens nothing");

    inject(&running, on(&chat, FaultKind::MinPeers { absent: true }).count(1));
    post(&running, &chat, "and this");
    let (_, users, chats) = telegram.next().await;
    assert!(users.is_empty() && chats.is_empty());
    post(&running, &chat, "now I see");
    let (_, _, chats) = telegram.next().await;
    assert!(matches!(&chats[..], [enums::Chat::Channel(whole)] if !whole.min && whole.access_hash.is_some()));
    running.stop().await;
}

#[tokio::test]
async fn what_was_held_back_goes_to_whoever_is_there_then() {
    let running = simulator(1, 10).await;
    let telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let fault = inject(&running, on(&chat, FaultKind::Burst { size: None }));
    let id = post(&running, &chat, "late");
    drop(telegram);
    eventually(SOON, "it is gone", || async { running.sim.connections() == 0 }).await;
    let mut next = connect(&running, 0).await;
    running.sim.heal(&fault);
    assert_eq!(next_post(&mut next).await.0, id);
    running.stop().await;
}
