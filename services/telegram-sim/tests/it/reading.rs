//! What a client reads: dialogs, histories, names, invitations; and what it is refused.

use std::collections::HashSet;

use grammers_client::tl::{enums, functions, types};
use grammers_session::types::{PeerAuth, PeerId, PeerRef};
use tgmesh_telegram_sim::{Author, Button, ChatKind, Draft, Entity, EntityKind, Forward};

use crate::client::{chat_of, connect, draft, rpc_error, simulator};

#[tokio::test]
async fn dialogs_come_in_pages_and_each_once() {
    let running = simulator(1, 230).await;
    let telegram = connect(&running, 0).await;
    let mut seen = HashSet::new();
    let mut dialogs = telegram.client.iter_dialogs();
    while let Some(dialog) = dialogs.next().await.unwrap() {
        assert!(seen.insert(dialog.peer_id().bot_api_dialog_id().unwrap()));
        assert!(dialog.last_message.is_some());
    }
    let world: HashSet<_> = running
        .sim
        .chats()
        .into_iter()
        .filter(|chat| !chat.accounts.is_empty())
        .map(|chat| chat.id)
        .collect();
    assert_eq!(seen, world);
    running.stop().await;
}

#[tokio::test]
async fn a_history_is_read_back_and_forth() {
    let running = simulator(1, 10).await;
    let telegram = connect(&running, 0).await;
    for kind in [ChatKind::Channel, ChatKind::Supergroup, ChatKind::Group, ChatKind::User] {
        let chat = chat_of(&running, kind);
        let mut posted = Vec::new();
        for i in 0..250 {
            posted.push(
                running
                    .sim
                    .post(draft(&chat, &format!("message {i}")))
                    .unwrap()
                    .message_id,
            );
        }
        let peer = find(&telegram, chat.id).await;
        let mut back = telegram.client.iter_messages(peer);
        let mut read = Vec::new();
        while let Some(message) = back.next().await.unwrap() {
            read.push((message.id(), message.text().to_owned()));
        }
        let ids: Vec<_> = read.iter().map(|(id, _)| *id).collect();
        assert!(ids.is_sorted_by(|a, b| a > b), "{kind:?}");
        assert_eq!(read[0].1, "message 249");
        assert_eq!(
            &ids[..250],
            &posted.iter().rev().copied().collect::<Vec<_>>()[..],
            "{kind:?}"
        );
        assert!(read.len() > 255, "the chat had a past: {}", read.len());

        // As a client fills a hole: onwards from a message it has.
        let mut onwards = telegram.client.iter_messages(peer).reverse(true).offset_id(posted[20]);
        let mut read = Vec::new();
        while let Some(message) = onwards.next().await.unwrap() {
            read.push(message.id());
        }
        assert_eq!(read, &posted[21..], "{kind:?}");
    }
    running.stop().await;
}

async fn find(telegram: &crate::client::Telegram, id: i64) -> PeerRef {
    let mut dialogs = telegram.client.iter_dialogs();
    while let Some(dialog) = dialogs.next().await.unwrap() {
        if dialog.peer_id().bot_api_dialog_id() == Some(id) {
            return dialog.peer_ref();
        }
    }
    panic!("{id} is in no dialog");
}

#[tokio::test]
async fn a_message_keeps_all_it_was_posted_with() {
    let running = simulator(1, 10).await;
    let telegram = connect(&running, 0).await;
    let group = chat_of(&running, ChatKind::Supergroup);
    let channel = chat_of(&running, ChatKind::Channel);
    let first = running.sim.post(draft(&group, "first")).unwrap();
    let author = group.people[3];
    let posted = running
        .sim
        .post(Draft {
            from: Author::User(author),
            reply_to: Some(first.message_id),
            forward: Some(Forward {
                from: Some(channel.id),
                message_id: Some(77),
                from_name: None,
                date: Some(1_700_000_000),
            }),
            entities: vec![
                Entity {
                    kind: EntityKind::Bold,
                    offset: 3,
                    length: 4,
                },
                Entity {
                    kind: EntityKind::TextUrl {
                        url: "https://example.org/x".to_owned(),
                    },
                    offset: 8,
                    length: 4,
                },
            ],
            buttons: vec![
                Button::Url {
                    text: "open".to_owned(),
                    url: "https://example.org/b".to_owned(),
                },
                Button::Copy {
                    text: "copy".to_owned(),
                    copy: "copied".to_owned(),
                },
            ],
            // The rocket takes two UTF-16 units.
            ..draft(&group, "🚀 bold link")
        })
        .unwrap();
    let input = telegram.channel(group.username.as_deref().unwrap()).await;
    let enums::messages::Messages::ChannelMessages(found) = telegram
        .client
        .invoke(&functions::channels::GetMessages {
            channel: input.into(),
            id: vec![
                types::InputMessageId { id: posted.message_id }.into(),
                types::InputMessageId {
                    id: posted.message_id + 1,
                }
                .into(),
            ],
        })
        .await
        .unwrap()
    else {
        panic!("not a channel's messages");
    };
    let [enums::Message::Message(message), enums::Message::Empty(_)] = &found.messages[..] else {
        panic!("{:?}", found.messages);
    };
    assert_eq!(message.message, "🚀 bold link");
    assert_eq!(message.from_id, Some(types::PeerUser { user_id: author }.into()));
    let Some(enums::MessageReplyHeader::Header(reply)) = &message.reply_to else {
        panic!("no reply")
    };
    assert_eq!(reply.reply_to_msg_id, Some(first.message_id));
    let Some(enums::MessageFwdHeader::Header(forward)) = &message.fwd_from else {
        panic!("no origin")
    };
    assert_eq!((forward.channel_post, forward.date), (Some(77), 1_700_000_000));
    assert_eq!(
        message.entities.as_deref().unwrap(),
        [
            types::MessageEntityBold { offset: 3, length: 4 }.into(),
            types::MessageEntityTextUrl {
                offset: 8,
                length: 4,
                url: "https://example.org/x".to_owned()
            }
            .into(),
        ]
    );
    let Some(enums::ReplyMarkup::ReplyInlineMarkup(markup)) = &message.reply_markup else {
        panic!("no buttons");
    };
    assert_eq!(markup.rows.len(), 2);
    assert!(found.users.iter().any(|user| user.id() == author));
    assert_eq!(found.chats.len(), 2, "the group and the origin");
    running.stop().await;
}

#[tokio::test]
async fn names_and_invitations_lead_to_chats() {
    let running = simulator(1, 10).await;
    let telegram = connect(&running, 0).await;
    let me = telegram.client.get_me().await.unwrap();
    assert_eq!(me.username(), Some("sim_1"));

    let chats = running.sim.chats();
    let [.., public, private] = &chats[..] else {
        panic!("{chats:?}")
    };
    assert!(public.accounts.is_empty() && private.accounts.is_empty());
    let name = public.username.as_deref().unwrap();
    let peer = telegram.client.resolve_username(name).await.unwrap().unwrap();
    assert_eq!(peer.id().bot_api_dialog_id(), Some(public.id));
    assert!(
        telegram
            .client
            .resolve_username("nobody_has_this")
            .await
            .unwrap()
            .is_none()
    );

    let input = telegram.channel(name).await;
    telegram
        .client
        .invoke(&functions::channels::JoinChannel { channel: input.into() })
        .await
        .unwrap();
    let hash = private.invite.clone().unwrap();
    let check = functions::messages::CheckChatInvite { hash: hash.clone() };
    let enums::ChatInvite::Invite(invite) = telegram.client.invoke(&check).await.unwrap() else {
        panic!("joined before");
    };
    assert_eq!(invite.title, private.title);
    let import = functions::messages::ImportChatInvite { hash };
    telegram.client.invoke(&import).await.unwrap();
    assert_eq!(
        rpc_error(telegram.client.invoke(&import).await),
        (400, "USER_ALREADY_PARTICIPANT".to_owned())
    );
    assert!(matches!(
        telegram.client.invoke(&check).await.unwrap(),
        enums::ChatInvite::Already(_)
    ));
    let chats = running.sim.chats();
    assert!(chats.iter().rev().take(2).all(|chat| chat.accounts == ["sim-1"]));
    running.stop().await;
}

#[tokio::test]
async fn another_accounts_hash_opens_nothing() {
    let running = simulator(2, 10).await;
    let (first, second) = (connect(&running, 0).await, connect(&running, 1).await);
    let chat = running
        .sim
        .chats()
        .into_iter()
        .find(|chat| chat.accounts.len() == 2)
        .unwrap();
    let name = chat.username.as_deref().unwrap();
    let (mine, theirs) = (first.channel(name).await, second.channel(name).await);
    assert_eq!(mine.channel_id, theirs.channel_id);
    assert_ne!(mine.access_hash, theirs.access_hash);
    let ask = functions::updates::GetChannelDifference {
        force: false,
        channel: theirs.into(),
        filter: enums::ChannelMessagesFilter::Empty,
        pts: 1,
        limit: 100,
    };
    assert_eq!(
        rpc_error(first.client.invoke(&ask).await),
        (400, "CHANNEL_INVALID".to_owned())
    );

    let user = chat.people[0];
    let wrong = PeerRef {
        id: PeerId::user(user).unwrap(),
        auth: PeerAuth::from_hash(5),
    };
    let ask = functions::messages::GetHistory {
        peer: wrong.into(),
        offset_id: 0,
        offset_date: 0,
        add_offset: 0,
        limit: 1,
        max_id: 0,
        min_id: 0,
        hash: 0,
    };
    assert_eq!(
        rpc_error(first.client.invoke(&ask).await),
        (400, "PEER_ID_INVALID".to_owned())
    );
    running.stop().await;
}

#[tokio::test]
async fn what_is_not_played_is_refused() {
    let running = simulator(1, 2).await;
    let telegram = connect(&running, 0).await;
    let (code, _) = rpc_error(telegram.client.invoke(&functions::account::GetAuthorizations {}).await);
    assert_eq!(code, 400);
    telegram.client.invoke(&functions::auth::LogOut {}).await.unwrap();
    assert_eq!(
        rpc_error(telegram.client.invoke(&functions::updates::GetState {}).await),
        (401, "AUTH_KEY_UNREGISTERED".to_owned())
    );
    running.stop().await;
}
