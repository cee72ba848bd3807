//! Messages that are there and are not shown, or were there and were never told of; and the truth
//! about all of them.

use std::time::Duration;

use grammers_client::tl::enums::{self, Update};
use tgmesh_telegram_sim::{ChatKind, Config, FaultKind, Kind, WorldError, start};

use super::{channel, found, history_of, ids, inject, messages_of, missed, next_post, on, post};
use crate::client::{chat_of, connect, simulator};

#[tokio::test]
async fn a_late_message_is_nowhere_until_its_time() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let (input, pts) = channel(&telegram, &chat).await;
    let fault = inject(&running, on(&chat, FaultKind::Late { after_ms: 3_600_000 }).count(1));
    let late = post(&running, &chat, "late");
    let next = post(&running, &chat, "next");
    assert_eq!(next_post(&mut telegram).await, (next, pts + 2), "its pts is counted");
    assert_eq!(missed(&telegram, &input, pts).await, [next]);
    let history = found(telegram.client.invoke(&history_of(&input)).await.unwrap());
    assert!(!ids(&history).contains(&late) && ids(&history).contains(&next));
    let by_number = found(
        telegram
            .client
            .invoke(&messages_of(&input, &[late, next]))
            .await
            .unwrap(),
    );
    assert!(matches!(
        by_number[..],
        [enums::Message::Empty(_), enums::Message::Message(_)]
    ));
    let truth = running.sim.ids(chat.id, None).unwrap();
    assert_eq!(truth.exists.last().unwrap().1, next);
    assert!(truth.deleted.is_empty());

    assert_eq!(running.sim.heal(&fault).unwrap().hits, 1);
    assert_eq!(missed(&telegram, &input, pts).await, [late, next]);
    let by_number = found(telegram.client.invoke(&messages_of(&input, &[late])).await.unwrap());
    assert!(matches!(by_number[..], [enums::Message::Message(_)]));

    // Without healing it comes when its time has come.
    inject(&running, on(&chat, FaultKind::Late { after_ms: 100 }).count(1));
    let soon = post(&running, &chat, "soon");
    tgmesh_testkit::eventually(crate::client::SOON, "it is shown", || async {
        let history = telegram.client.invoke(&history_of(&input)).await.unwrap();
        ids(&found(history)).contains(&soon)
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn a_vanished_message_is_a_hole() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let (input, pts) = channel(&telegram, &chat).await;
    inject(&running, on(&chat, FaultKind::Vanished).count(1));
    let gone = post(&running, &chat, "gone");
    let next = post(&running, &chat, "next");
    assert_eq!(next, gone + 1);
    assert_eq!(next_post(&mut telegram).await, (next, pts + 3));
    let by_number = found(telegram.client.invoke(&messages_of(&input, &[gone])).await.unwrap());
    assert!(matches!(by_number[..], [enums::Message::Empty(_)]));
    assert_eq!(missed(&telegram, &input, pts).await, [next]);
    let log: Vec<_> = running
        .sim
        .posted(0, 10)
        .items
        .iter()
        .map(|item| (item.kind, item.message_id))
        .collect();
    assert_eq!(log, [(Kind::New, gone), (Kind::Delete, gone), (Kind::New, next)]);
    assert_eq!(running.sim.ids(chat.id, None).unwrap().deleted, [(gone, gone)]);
    running.stop().await;
}

#[tokio::test]
async fn every_number_is_accounted_for() {
    let running = start(Config {
        accounts: 2,
        history: 100,
        ..Config::default()
    })
    .await
    .unwrap();
    let channel = chat_of(&running, ChatKind::Channel);
    let before = running.sim.ids(channel.id, None).unwrap();
    let [(first, last)] = before.exists[..] else {
        panic!("{before:?}")
    };
    let posted: Vec<_> = (0..200).map(|i| post(&running, &channel, &i.to_string())).collect();
    assert_eq!((posted[0], posted[199]), (last + 1, last + 200));
    running
        .sim
        .delete(channel.id, &[posted[150], posted[152], posted[151], posted[190]])
        .unwrap();
    let truth = running.sim.ids(channel.id, None).unwrap();
    assert_eq!(truth.dropped, [(first, posted[99])]);
    assert_eq!(truth.deleted, [(posted[150], posted[152]), (posted[190], posted[190])]);
    assert_eq!(
        truth.exists,
        [
            (posted[100], posted[149]),
            (posted[153], posted[189]),
            (posted[191], posted[199])
        ]
    );

    // Groups number per account, and share the numbers with the account's other chats.
    let chats = running.sim.chats();
    let group = chats
        .iter()
        .find(|chat| chat.kind == ChatKind::Group && chat.accounts.len() == 2)
        .unwrap();
    let private = chats.iter().find(|chat| chat.kind == ChatKind::User).unwrap();
    assert_eq!(private.accounts, ["sim-2"]);
    let mut second = connect(&running, 1).await;
    let told = post(&running, group, "one");
    post(&running, private, "between");
    running.sim.edit(told, crate::client::draft(group, "changed")).unwrap();
    running.sim.delete(group.id, &[told]).unwrap();
    let theirs = loop {
        let update = tokio::time::timeout(crate::client::SOON, second.updates.recv()).await;
        if let Some(grammers_session::updates::UpdatesLike::Updates(enums::Updates::UpdateShort(short))) =
            update.unwrap()
            && let Update::DeleteMessages(gone) = short.update
        {
            break gone.messages[0];
        }
    };
    let of = |account| running.sim.ids(group.id, account).unwrap().deleted;
    assert_eq!(of(None), [(told, told)]);
    assert_eq!(of(Some("sim-1")), [(told, told)]);
    assert_eq!(of(Some("sim-2")), [(theirs, theirs)]);
    assert_ne!(told, theirs);
    assert_eq!(running.sim.ids(1, None), Err(WorldError::NoChat));
    assert_eq!(running.sim.ids(private.id, Some("sim-1")), Err(WorldError::NoChat));
    running.stop().await;
}

#[tokio::test]
async fn a_fault_ends_with_its_time() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    inject(&running, on(&chat, FaultKind::Lost).lasts(Duration::from_millis(100)));
    post(&running, &chat, "lost");
    tgmesh_testkit::eventually(crate::client::SOON, "it is over", || async {
        !running.sim.faults()[0].active
    })
    .await;
    let id = post(&running, &chat, "after");
    assert_eq!(next_post(&mut telegram).await.0, id);
    assert_eq!(running.sim.faults()[0].hits, 1);
    running.stop().await;
}
