//! Differences that are too long, although they are not, and channels that are lost to an account.

use grammers_client::tl::enums::updates::{ChannelDifference, Difference};
use grammers_client::tl::{enums, functions};
use tgmesh_telegram_sim::{ChatKind, Fault, FaultKind};

use super::{channel, difference_since, history_of, ids, inject, missed, next_post, on, post, refusal};
use crate::client::{chat_of, connect, simulator};

#[tokio::test]
async fn a_channels_difference_is_too_long() {
    let running = simulator(1, 10).await;
    let telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let (input, pts) = channel(&telegram, &chat).await;
    let posted: Vec<_> = (0..4).map(|i| post(&running, &chat, &i.to_string())).collect();
    assert_eq!(missed(&telegram, &input, pts).await, posted);

    let fault = inject(
        &running,
        on(&chat, FaultKind::ChannelDifferenceTooLong { behind: Some(3) }),
    );
    let answer = telegram.client.invoke(&difference_since(&input, pts)).await.unwrap();
    let ChannelDifference::TooLong(too_long) = answer else {
        panic!("{answer:?}")
    };
    let enums::Dialog::Dialog(dialog) = too_long.dialog else {
        panic!("no dialog")
    };
    assert_eq!((dialog.pts, dialog.top_message), (Some(pts + 4), posted[3]));
    assert!(too_long.r#final && ids(&too_long.messages).starts_with(&[posted[3], posted[2]]));
    // Three behind is not more than three.
    assert_eq!(missed(&telegram, &input, pts + 1).await, posted[1..]);
    assert_eq!(running.sim.heal(&fault).unwrap().hits, 1);

    let forced = inject(
        &running,
        on(&chat, FaultKind::ChannelDifferenceTooLong { behind: None }),
    );
    let answer = telegram
        .client
        .invoke(&difference_since(&input, pts + 4))
        .await
        .unwrap();
    assert!(matches!(answer, ChannelDifference::TooLong(_)), "{answer:?}");
    running.sim.heal(&forced);
    assert_eq!(missed(&telegram, &input, pts).await, posted);
    running.stop().await;
}

#[tokio::test]
async fn the_accounts_difference_is_too_long() {
    let running = simulator(1, 10).await;
    let telegram = connect(&running, 0).await;
    let group = chat_of(&running, ChatKind::Group);
    let pts = telegram.pts().await;
    post(&running, &group, "one");
    post(&running, &group, "two");
    let ask = functions::updates::GetDifference {
        pts,
        pts_limit: None,
        pts_total_limit: None,
        date: i32::MAX,
        qts: 0,
        qts_limit: None,
    };
    for behind in [None, Some(1)] {
        let fault = inject(&running, Fault::new(FaultKind::DifferenceTooLong { behind }));
        let answer = telegram.client.invoke(&ask).await.unwrap();
        assert!(
            matches!(&answer, Difference::TooLong(long) if long.pts == pts + 2),
            "{answer:?}"
        );
        assert_eq!(running.sim.heal(&fault).unwrap().hits, 1);
    }
    inject(&running, Fault::new(FaultKind::DifferenceTooLong { behind: Some(2) }));
    let answer = telegram.client.invoke(&ask).await.unwrap();
    assert!(
        matches!(&answer, Difference::Difference(all) if all.new_messages.len() == 2),
        "{answer:?}"
    );
    running.stop().await;
}

#[tokio::test]
async fn a_channel_is_lost_to_one_account() {
    let running = simulator(2, 10).await;
    let (mut first, mut second) = (connect(&running, 0).await, connect(&running, 1).await);
    let chats = running.sim.chats();
    let chat = chats
        .iter()
        .find(|chat| chat.accounts.len() == 2 && chat.kind == ChatKind::Channel)
        .unwrap();
    let (input, pts) = channel(&first, chat).await;
    let (theirs, _) = channel(&second, chat).await;
    for message in ["CHANNEL_PRIVATE", "CHANNEL_INVALID"] {
        let kind = FaultKind::ChannelLost {
            message: message.to_owned(),
        };
        let fault = inject(&running, on(chat, kind).account("sim-1"));
        let answer = first.client.invoke(&difference_since(&input, pts)).await;
        assert_eq!(refusal(answer), (400, message.to_owned(), None));
        let answer = first.client.invoke(&history_of(&input)).await;
        assert_eq!(refusal(answer).1, message);
        let mut dialogs = first.client.iter_dialogs();
        while let Some(dialog) = dialogs.next().await.unwrap() {
            assert_ne!(dialog.peer_id().bot_api_dialog_id(), Some(chat.id));
        }
        let unseen = post(&running, chat, "unseen by the first");
        assert_eq!(next_post(&mut second).await.0, unseen);
        assert!(!missed(&second, &theirs, pts).await.is_empty());
        assert!(running.sim.heal(&fault).unwrap().hits >= 3);
        let seen = post(&running, chat, "seen");
        assert_eq!(next_post(&mut first).await.0, seen);
        assert_eq!(next_post(&mut second).await.0, seen);
        assert!(missed(&first, &input, pts).await.contains(&unseen));
    }
    running.stop().await;
}
