//! Bytes that the client cannot read.

use grammers_client::tl::enums::Update;
use grammers_mtsender::InvocationError;
use grammers_session::updates::UpdatesLike;
use tgmesh_telegram_sim::{ChatKind, FaultKind, Garbage};

use super::{
    arrival, channel, difference_since, found, history_of, hits, ids, inject, messages_of, missed, next_post, on, post,
};
use crate::client::{SOON, chat_of, connect, draft, simulator};

fn is_unreadable<T: std::fmt::Debug>(result: Result<T, InvocationError>) -> bool {
    match result {
        Err(InvocationError::Deserialize(_)) => true,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_unknown_update_spoils_what_it_comes_with() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let group = chat_of(&running, ChatKind::Group);
    let (input, pts) = channel(&telegram, &chat).await;
    let fault = inject(&running, on(&chat, FaultKind::UnknownUpdate));
    let id = post(&running, &chat, "spoilt");
    assert!(matches!(arrival(&mut telegram).await, UpdatesLike::MalformedUpdates));
    running.sim.delete(chat.id, &[id]).unwrap();
    assert!(matches!(arrival(&mut telegram).await, UpdatesLike::MalformedUpdates));
    assert_eq!(running.sim.heal(&fault).unwrap().hits, 2);
    let id = post(&running, &chat, "whole");
    assert_eq!(next_post(&mut telegram).await, (id, pts + 3));

    // In the account's own box as well, where plain texts and deletions are short updates.
    inject(&running, on(&group, FaultKind::UnknownUpdate).count(2));
    let id = post(&running, &group, "spoilt");
    running.sim.delete(group.id, &[id]).unwrap();
    for _ in 0..2 {
        assert!(matches!(arrival(&mut telegram).await, UpdatesLike::MalformedUpdates));
    }

    let fault = inject(&running, on(&chat, FaultKind::UnknownInDifference));
    assert!(is_unreadable(
        telegram.client.invoke(&difference_since(&input, pts)).await
    ));
    running.sim.heal(&fault);
    missed(&telegram, &input, pts).await;
    running.stop().await;
}

#[tokio::test]
async fn a_message_holds_what_no_layer_knows() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    for kind in [FaultKind::UnknownMedia, FaultKind::UnknownEntity] {
        let chat = chat_of(&running, ChatKind::Channel);
        let (input, pts) = channel(&telegram, &chat).await;
        let fault = inject(&running, on(&chat, kind).count(1));
        let odd = post(&running, &chat, "odd");
        assert!(matches!(arrival(&mut telegram).await, UpdatesLike::MalformedUpdates));
        let plain = post(&running, &chat, "plain");
        assert_eq!(next_post(&mut telegram).await, (plain, pts + 2));
        // Wherever it is, it spoils the answer.
        assert!(is_unreadable(
            telegram.client.invoke(&difference_since(&input, pts)).await
        ));
        assert!(is_unreadable(telegram.client.invoke(&history_of(&input)).await));
        assert!(is_unreadable(
            telegram.client.invoke(&messages_of(&input, &[odd])).await
        ));
        let others = found(telegram.client.invoke(&messages_of(&input, &[plain])).await.unwrap());
        assert_eq!(ids(&others), [plain]);
        // An edit keeps it.
        running.sim.edit(odd, draft(&chat, "still odd")).unwrap();
        assert!(matches!(arrival(&mut telegram).await, UpdatesLike::MalformedUpdates));
        // Healed, as when the client learns the new layer.
        assert_eq!(running.sim.heal(&fault).unwrap().hits, 1);
        assert_eq!(missed(&telegram, &input, pts).await, [odd, plain]);
        running.sim.edit(odd, draft(&chat, "readable")).unwrap();
        assert!(matches!(telegram.next().await.0, Update::EditChannelMessage(edit) if edit.message.id() == odd));
    }
    running.stop().await;
}

#[tokio::test]
async fn garbage_comes_in_a_pushs_place() {
    let running = simulator(1, 10).await;
    let chat = chat_of(&running, ChatKind::Channel);
    for shape in [Garbage::Updates, Garbage::Container, Garbage::Packet] {
        let mut telegram = connect(&running, 0).await;
        let (input, pts) = channel(&telegram, &chat).await;
        let fault = inject(&running, on(&chat, FaultKind::Garbage { shape }).count(1));
        let id = post(&running, &chat, "never read");
        let came = arrival(&mut telegram).await;
        match shape {
            Garbage::Updates => assert!(matches!(came, UpdatesLike::MalformedUpdates), "{came:?}"),
            // The client takes its connection for broken, and comes back.
            _ => assert!(matches!(came, UpdatesLike::ConnectionClosed), "{shape:?}: {came:?}"),
        }
        assert_eq!(hits(&running, &fault), 1);
        assert_eq!(missed(&telegram, &input, pts).await, [id]);
        let id = post(&running, &chat, "read");
        assert_eq!(next_post(&mut telegram).await.0, id);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_copy_ends_the_client_library() {
    let running = simulator(1, 10).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let mut telegram = connect(&running, 0).await;
    let shape = Garbage::MsgCopy;
    let fault = inject(&running, on(&chat, FaultKind::Garbage { shape }).count(1));
    post(&running, &chat, "fatal");
    let end = tokio::time::timeout(SOON, telegram.updates.recv())
        .await
        .expect("its end");
    assert!(end.is_none(), "the runner panicked: {end:?}");
    assert_eq!(hits(&running, &fault), 1);
    let mut next = connect(&running, 0).await;
    let id = post(&running, &chat, "read");
    assert_eq!(next_post(&mut next).await.0, id);
    running.stop().await;
}
