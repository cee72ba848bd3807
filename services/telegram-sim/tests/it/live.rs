//! What is pushed: posts, edits and deletions, with the right pts and peers.

use grammers_client::tl::enums::{self, Update};
use grammers_session::updates::UpdatesLike;
use tgmesh_telegram_sim::{Button, ChatKind, Draft};

use crate::client::{SOON, chat_of, connect, draft, simulator};

#[tokio::test]
async fn a_channels_life_is_pushed() {
    let running = simulator(1, 10).await;
    let mut telegram = connect(&running, 0).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let posted = running.sim.post(draft(&chat, "new")).unwrap();
    let (update, _, chats) = telegram.next().await;
    let Update::NewChannelMessage(new) = update else {
        panic!("{update:?}")
    };
    let enums::Message::Message(message) = new.message else {
        panic!("{:?}", new.message)
    };
    assert_eq!((message.id, message.message.as_str()), (posted.message_id, "new"));
    assert!(message.post && message.from_id.is_none());
    let [enums::Chat::Channel(channel)] = &chats[..] else {
        panic!("{chats:?}")
    };
    assert_eq!(-1_000_000_000_000 - channel.id, chat.id);
    assert!(channel.access_hash.is_some() && !channel.left && channel.broadcast);

    running.sim.edit(posted.message_id, draft(&chat, "changed")).unwrap();
    let (update, ..) = telegram.next().await;
    let Update::EditChannelMessage(edit) = update else {
        panic!("{update:?}")
    };
    assert_eq!((edit.pts, edit.pts_count), (new.pts + 1, 1));
    let enums::Message::Message(message) = edit.message else {
        panic!("{:?}", edit.message)
    };
    assert_eq!(message.message, "changed");
    assert!(message.edit_date.is_some());

    let other = running.sim.post(draft(&chat, "another")).unwrap();
    telegram.next().await;
    running
        .sim
        .delete(chat.id, &[posted.message_id, other.message_id])
        .unwrap();
    for (i, id) in [posted.message_id, other.message_id].into_iter().enumerate() {
        let (update, ..) = telegram.next().await;
        let Update::DeleteChannelMessages(gone) = update else {
            panic!("{update:?}")
        };
        assert_eq!((gone.channel_id, gone.messages), (channel.id, vec![id]));
        assert_eq!(gone.pts, new.pts + 3 + i as i32);
    }
    running.stop().await;
}

#[tokio::test]
async fn group_messages_have_the_accounts_own_numbers() {
    let running = simulator(2, 10).await;
    let (mut first, mut second) = (connect(&running, 0).await, connect(&running, 1).await);
    let chats = running.sim.chats();
    let group = chats
        .iter()
        .find(|c| c.kind == ChatKind::Group && c.accounts.len() == 2)
        .unwrap();
    let private = chats.iter().find(|c| c.kind == ChatKind::User).unwrap();
    assert_eq!(private.accounts, ["sim-2"]);
    // The second account's numbers run ahead by its private message.
    running.sim.post(draft(private, "hello")).unwrap();
    let got = tokio::time::timeout(SOON, second.updates.recv())
        .await
        .unwrap()
        .unwrap();
    let UpdatesLike::Updates(enums::Updates::UpdateShortMessage(hello)) = got else {
        panic!("{got:?}")
    };
    assert_eq!((hello.user_id, hello.message.as_str()), (private.id, "hello"));

    let posted = running.sim.post(draft(group, "to both")).unwrap();
    let mut numbers = Vec::new();
    for telegram in [&mut first, &mut second] {
        let got = tokio::time::timeout(SOON, telegram.updates.recv())
            .await
            .unwrap()
            .unwrap();
        let UpdatesLike::Updates(enums::Updates::UpdateShortChatMessage(new)) = got else {
            panic!("{got:?}")
        };
        assert_eq!((-new.chat_id, new.message.as_str()), (group.id, "to both"));
        numbers.push(new.id);
    }
    assert_eq!(numbers[0], posted.message_id);
    assert_ne!(numbers[0], numbers[1]);

    // With a button it is no short update any more; the answer names the other account's number.
    running
        .sim
        .post(Draft {
            reply_to: Some(posted.message_id),
            buttons: vec![Button::Url {
                text: "b".into(),
                url: "https://example.org".into(),
            }],
            ..draft(group, "answer")
        })
        .unwrap();
    for (telegram, number) in [&mut first, &mut second].into_iter().zip(&numbers) {
        let (update, ..) = telegram.next().await;
        let Update::NewMessage(new) = update else {
            panic!("{update:?}")
        };
        let enums::Message::Message(message) = new.message else {
            panic!("{:?}", new.message)
        };
        let Some(enums::MessageReplyHeader::Header(reply)) = message.reply_to else {
            panic!("no reply")
        };
        assert_eq!(reply.reply_to_msg_id, Some(*number));
    }
    running.sim.edit(posted.message_id, draft(group, "changed")).unwrap();
    running.sim.delete(group.id, &[posted.message_id]).unwrap();
    for (telegram, number) in [&mut first, &mut second].into_iter().zip(&numbers) {
        let (update, users, chats) = telegram.next().await;
        let Update::EditMessage(edit) = update else {
            panic!("{update:?}")
        };
        assert_eq!(edit.message.id(), *number);
        assert_eq!((users.len(), chats.len()), (1, 1));
        let (update, ..) = telegram.next().await;
        let Update::DeleteMessages(gone) = update else {
            panic!("{update:?}")
        };
        assert_eq!((gone.messages, gone.pts), (vec![*number], edit.pts + 1));
        assert_eq!(telegram.pts().await, gone.pts);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_post_is_stamped_when_it_goes_out() {
    let running = simulator(1, 2).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let mut telegram = connect(&running, 0).await;
    let before = now_us();
    let change = running
        .sim
        .post(Draft {
            addresses: vec!["a1".into(), "a2".into()],
            ..draft(&chat, "x")
        })
        .unwrap();
    telegram.next().await;
    let page = running.sim.posted(0, 10);
    assert_eq!(page.items.len(), 1);
    let item = &page.items[0];
    assert_eq!(
        (item.n, item.chat_id, item.message_id),
        (change.n, chat.id, change.message_id)
    );
    assert_eq!(item.addresses, ["a1", "a2"]);
    assert!((before..=now_us()).contains(&item.sent_us));
    running.stop().await;
}

fn now_us() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64
}
