//! What a client missed comes back from the differences.

use grammers_client::tl::enums::updates::{ChannelDifference, Difference};
use grammers_client::tl::{enums, functions, types};
use grammers_session::updates::UpdatesLike;
use tgmesh_telegram_sim::{ChatKind, Config, start};
use tgmesh_testkit::eventually;

use crate::client::{SOON, Telegram, chat_of, connect, draft, rpc_error, simulator};

async fn channel_difference(telegram: &Telegram, channel: &types::InputChannel, pts: i32) -> ChannelDifference {
    telegram
        .client
        .invoke(&functions::updates::GetChannelDifference {
            force: false,
            channel: channel.clone().into(),
            filter: enums::ChannelMessagesFilter::Empty,
            pts,
            limit: 100,
        })
        .await
        .unwrap()
}

async fn channel_pts(telegram: &Telegram, channel: &types::InputChannel) -> i32 {
    let full = telegram
        .client
        .invoke(&functions::channels::GetFullChannel {
            channel: channel.clone().into(),
        })
        .await
        .unwrap();
    let enums::messages::ChatFull::Full(full) = full;
    let enums::ChatFull::ChannelFull(full) = full.full_chat else {
        panic!("no channel")
    };
    full.pts
}

#[tokio::test]
async fn a_gap_is_recovered_after_a_reconnect() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let channel = telegram.channel(chat.username.as_deref().unwrap()).await;
    let kept = running.sim.post(draft(&chat, "kept")).unwrap();
    telegram.next().await;
    let mut pts = channel_pts(&telegram, &channel).await;

    running.sim.close_connections();
    eventually(SOON, "the connection is gone", || async {
        running.sim.connections() == 0
    })
    .await;
    let missed: Vec<_> = (0..250)
        .map(|i| {
            running
                .sim
                .post(draft(&chat, &format!("missed {i}")))
                .unwrap()
                .message_id
        })
        .collect();
    running
        .sim
        .edit(kept.message_id, draft(&chat, "kept, but changed"))
        .unwrap();
    running.sim.edit(missed[0], draft(&chat, "missed and changed")).unwrap();
    running.sim.delete(chat.id, &[missed[1]]).unwrap();

    // The client is told that it lost its connection, and asks over a new one.
    let told = tokio::time::timeout(SOON, telegram.updates.recv())
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(told, UpdatesLike::ConnectionClosed), "{told:?}");
    let mut messages = Vec::new();
    let mut updates = Vec::new();
    let mut slices = 0;
    loop {
        let ChannelDifference::Difference(mut part) = channel_difference(&telegram, &channel, pts).await else {
            panic!("no difference");
        };
        assert!(part.pts > pts);
        pts = part.pts;
        messages.append(&mut part.new_messages);
        updates.append(&mut part.other_updates);
        slices += 1;
        if part.r#final {
            break;
        }
    }
    assert_eq!(slices, 3, "100 events at once, 253 in all");
    let ids: Vec<_> = messages.iter().map(enums::Message::id).collect();
    let expected: Vec<_> = missed.iter().copied().filter(|id| *id != missed[1]).collect();
    assert_eq!(ids, expected);
    let enums::Message::Message(first) = &messages[0] else {
        panic!("{:?}", messages[0])
    };
    assert_eq!(
        first.message, "missed and changed",
        "a difference gives the present form"
    );
    let edits: Vec<_> = updates
        .iter()
        .filter_map(|update| match update {
            enums::Update::EditChannelMessage(edit) => Some(edit.message.id()),
            _ => None,
        })
        .collect();
    assert!(edits.contains(&kept.message_id));
    assert!(
        updates
            .iter()
            .any(|update| matches!(update, enums::Update::DeleteChannelMessages(gone) if gone.messages == [missed[1]]))
    );
    assert!(matches!(
        channel_difference(&telegram, &channel, pts).await,
        ChannelDifference::Empty(empty) if empty.r#final && empty.pts == pts && empty.timeout.is_some()
    ));
    // And it is live again.
    running.sim.post(draft(&chat, "live again")).unwrap();
    let (update, ..) = telegram.next().await;
    assert!(matches!(update, enums::Update::NewChannelMessage(new) if new.pts == pts + 1));
    running.stop().await;
}

#[tokio::test]
async fn an_accounts_difference_comes_in_slices_and_names_channels() {
    let running = simulator(1, 10).await;
    let telegram = connect(&running, 0).await;
    let enums::updates::State::State(state) = telegram.client.invoke(&functions::updates::GetState {}).await.unwrap();
    let mut pts = state.pts;
    let group = chat_of(&running, ChatKind::Group);
    let channel = chat_of(&running, ChatKind::Channel);
    let posted: Vec<_> = (0..1_200)
        .map(|i| {
            running
                .sim
                .post(draft(&group, &format!("missed {i}")))
                .unwrap()
                .message_id
        })
        .collect();
    running.sim.post(draft(&channel, "elsewhere")).unwrap();
    running.sim.delete(group.id, &posted[..1]).unwrap();

    let mut read = Vec::new();
    let mut deleted = Vec::new();
    let mut named = Vec::new();
    let mut slices = 0;
    loop {
        let difference = telegram
            .client
            .invoke(&functions::updates::GetDifference {
                pts,
                pts_limit: None,
                pts_total_limit: None,
                date: state.date,
                qts: state.qts,
                qts_limit: None,
            })
            .await
            .unwrap();
        let (messages, updates, reached, last) = match difference {
            Difference::Slice(d) => (d.new_messages, d.other_updates, d.intermediate_state, false),
            Difference::Difference(d) => (d.new_messages, d.other_updates, d.state, true),
            other => panic!("{other:?}"),
        };
        slices += 1;
        read.extend(messages.iter().map(enums::Message::id));
        for update in updates {
            match update {
                enums::Update::DeleteMessages(gone) => deleted.extend(gone.messages),
                enums::Update::ChannelTooLong(long) => named.push(long.channel_id),
                other => panic!("{other:?}"),
            }
        }
        let enums::updates::State::State(reached) = reached;
        pts = reached.pts;
        if last {
            break;
        }
    }
    assert_eq!(slices, 3);
    assert_eq!(read, &posted[1..]);
    assert_eq!(deleted, &posted[..1]);
    assert_eq!(named, [-1_000_000_000_000 - channel.id]);
    assert_eq!(pts, telegram.pts().await);
    running.stop().await;
}

#[tokio::test]
async fn who_was_away_too_long_is_told() {
    let running = start(Config {
        chats: 10,
        history: 150,
        ..Config::default()
    })
    .await
    .unwrap();
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let channel = telegram.channel(chat.username.as_deref().unwrap()).await;
    let pts = channel_pts(&telegram, &channel).await;
    let own = telegram.pts().await;
    let group = chat_of(&running, ChatKind::Group);
    let mut last = 0;
    for i in 0..400 {
        last = running.sim.post(draft(&chat, &format!("{i}"))).unwrap().message_id;
        running.sim.post(draft(&group, &format!("{i}"))).unwrap();
    }
    let ChannelDifference::TooLong(long) = channel_difference(&telegram, &channel, pts).await else {
        panic!("the log reaches back");
    };
    let enums::Dialog::Dialog(dialog) = long.dialog else {
        panic!("no dialog")
    };
    assert_eq!((dialog.pts, dialog.top_message), (Some(pts + 400), last));
    assert!(long.r#final && !long.messages.is_empty());
    let ask = functions::updates::GetDifference {
        pts: own,
        pts_limit: None,
        pts_total_limit: None,
        date: 1,
        qts: 0,
        qts_limit: None,
    };
    let difference = telegram.client.invoke(&ask).await.unwrap();
    assert!(matches!(difference, Difference::TooLong(long) if long.pts == own + 400));
    let ahead = functions::updates::GetDifference { pts: own + 401, ..ask };
    assert_eq!(
        rpc_error(telegram.client.invoke(&ahead).await),
        (400, "PERSISTENT_TIMESTAMP_INVALID".to_owned())
    );
    for _ in 0..800 {
        telegram.updates.recv().await.unwrap();
    }
    running.sim.send_too_long();
    let told = tokio::time::timeout(SOON, telegram.updates.recv())
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(told, UpdatesLike::Updates(enums::Updates::TooLong)),
        "{told:?}"
    );
    running.stop().await;
}
