//! Requests that are refused, answered late, or not at all.

use grammers_client::tl::enums::Update;
use grammers_client::tl::functions;
use grammers_session::updates::UpdatesLike;
use tgmesh_telegram_sim::{ChatKind, Fault, FaultKind};

use super::{
    arrival, channel, difference_since, history_of, hits, inject, messages_of, missed, next_post, on, post, refusal,
};
use crate::client::{chat_of, connect, simulator};

/// Longer than the client library sleeps by itself.
const LONG: u32 = 61;

fn flood(method: &str) -> FaultKind {
    FaultKind::FloodWait {
        seconds: LONG,
        method: Some(method.to_owned()),
    }
}

#[tokio::test]
async fn one_method_has_to_wait() {
    let running = simulator(2, 10).await;
    let (telegram, other) = (connect(&running, 0).await, connect(&running, 1).await);
    let chat = chat_of(&running, ChatKind::Channel);
    let group = chat_of(&running, ChatKind::Supergroup);
    let (input, pts) = channel(&telegram, &chat).await;
    let (elsewhere, other_pts) = channel(&telegram, &group).await;
    let flooded = (420, "FLOOD_WAIT".to_owned(), Some(LONG));

    let fault = inject(
        &running,
        on(&chat, flood("updates.getChannelDifference")).account("sim-1"),
    );
    let answer = telegram.client.invoke(&difference_since(&input, pts)).await;
    assert_eq!(refusal(answer), flooded);
    telegram.client.invoke(&history_of(&input)).await.unwrap();
    missed(&telegram, &elsewhere, other_pts).await;
    let (theirs, _) = channel(&other, &chat).await;
    missed(&other, &theirs, pts).await;
    assert_eq!(running.sim.heal(&fault).unwrap().hits, 1);
    missed(&telegram, &input, pts).await;

    let fault = inject(&running, Fault::new(flood("messages.getHistory")).count(1));
    assert_eq!(refusal(telegram.client.invoke(&history_of(&input)).await), flooded);
    telegram.client.invoke(&history_of(&input)).await.unwrap();
    assert_eq!(hits(&running, &fault), 1);

    inject(&running, on(&chat, flood("channels.getMessages")).named("by number"));
    let answer = telegram.client.invoke(&messages_of(&input, &[1])).await;
    assert_eq!(refusal(answer), flooded);
    let resolve = functions::contacts::ResolveUsername {
        username: chat.username.clone().unwrap(),
        referer: None,
    };
    telegram.client.invoke(&resolve).await.unwrap();
    inject(&running, on(&chat, flood("contacts.resolveUsername")).named("by name"));
    assert_eq!(refusal(telegram.client.invoke(&resolve).await), flooded);
    telegram.channel(group.username.as_deref().unwrap()).await;
    assert_eq!(running.sim.heal_all().len(), 3);
    telegram.client.invoke(&resolve).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn the_data_centre_has_errors_of_its_own() {
    let running = simulator(1, 10).await;
    let telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let (input, pts) = channel(&telegram, &chat).await;
    for (code, message) in [(500, "INTERNAL"), (-503, "Timeout"), (400, "CHANNEL_INVALID")] {
        let kind = FaultKind::RpcError {
            code,
            message: message.to_owned(),
            method: None,
        };
        let fault = inject(&running, on(&chat, kind));
        let answer = telegram.client.invoke(&difference_since(&input, pts)).await;
        assert_eq!(refusal(answer), (code, message.to_owned(), None));
        telegram.pts().await;
        assert_eq!(running.sim.heal(&fault).unwrap().hits, 1);
    }
    missed(&telegram, &input, pts).await;
    running.stop().await;
}

#[tokio::test]
async fn a_push_overtakes_an_answer() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let (input, pts) = channel(&telegram, &chat).await;
    let kind = FaultKind::Delay {
        ms: 500,
        method: Some("updates.getChannelDifference".to_owned()),
    };
    let fault = inject(&running, on(&chat, kind));
    let first = post(&running, &chat, "first");
    assert_eq!(next_post(&mut telegram).await.0, first);
    let client = telegram.client.clone();
    let ask = difference_since(&input, pts);
    let asking = tokio::spawn(async move { client.invoke(&ask).await });
    tgmesh_testkit::eventually(crate::client::SOON, "it was asked", || async {
        hits(&running, &fault) == 1
    })
    .await;
    let second = post(&running, &chat, "second");
    assert_eq!(next_post(&mut telegram).await.0, second);
    assert!(!asking.is_finished(), "the push was first");
    let answer = asking.await.unwrap().unwrap();
    let grammers_client::tl::enums::updates::ChannelDifference::Difference(answer) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(super::ids(&answer.new_messages), [first], "from before the push");
    running.sim.heal(&fault);
    assert_eq!(missed(&telegram, &input, pts).await, [first, second]);
    running.stop().await;
}

#[tokio::test]
async fn the_connection_closes_in_an_answers_place() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let public = running.sim.chats().into_iter().rev().nth(1).unwrap();
    assert!(public.accounts.is_empty());
    let (input, _) = channel(&telegram, &public).await;
    let kind = FaultKind::Cut {
        method: Some("channels.joinChannel".to_owned()),
    };
    let fault = inject(&running, on(&public, kind).count(1));
    let join = functions::channels::JoinChannel { channel: input.into() };
    // The client library asks again of its own accord after such an end.
    telegram.client.invoke(&join).await.unwrap();
    assert_eq!(hits(&running, &fault), 1);
    assert!(matches!(arrival(&mut telegram).await, UpdatesLike::ConnectionClosed));
    let chats = running.sim.chats();
    assert_eq!(chats[chats.len() - 2].accounts, ["sim-1"]);
    running.stop().await;
}

#[tokio::test]
async fn an_account_is_signed_out() {
    let running = simulator(2, 10).await;
    let (mut telegram, mut other) = (connect(&running, 0).await, connect(&running, 1).await);
    let chats = running.sim.chats();
    let chat = chats
        .iter()
        .find(|chat| chat.accounts.len() == 2 && chat.kind == ChatKind::Channel)
        .unwrap();
    for message in ["AUTH_KEY_UNREGISTERED", "SESSION_REVOKED"] {
        let kind = FaultKind::SignedOut {
            message: message.to_owned(),
        };
        let fault = inject(&running, Fault::new(kind).account("sim-1"));
        let answer = telegram.client.invoke(&functions::updates::GetState {}).await;
        assert_eq!(refusal(answer), (401, message.to_owned(), None));
        let unseen = post(&running, chat, "unseen");
        assert_eq!(next_post(&mut other).await.0, unseen);
        assert_eq!(running.sim.heal(&fault).unwrap().hits, 2);
        let seen = post(&running, chat, "seen");
        assert!(matches!(telegram.next().await.0, Update::NewChannelMessage(new) if new.message.id() == seen));
        assert_eq!(next_post(&mut other).await.0, seen);
        telegram.pts().await;
    }
    running.stop().await;
}
