use grammers_tl_types::types;
use proptest::prelude::*;

use super::*;

fn message(text: &str) -> types::Message {
    // The short form is the one way to a full message without naming its sixty fields.
    types::Message {
        out: false,
        mentioned: false,
        media_unread: false,
        silent: false,
        post: false,
        from_scheduled: false,
        legacy: false,
        edit_hide: false,
        pinned: false,
        noforwards: false,
        invert_media: false,
        offline: false,
        video_processing_pending: false,
        paid_suggested_post_stars: false,
        paid_suggested_post_ton: false,
        id: 7,
        from_id: None,
        from_boosts_applied: None,
        from_rank: None,
        peer_id: types::PeerChannel { channel_id: 99 }.into(),
        saved_peer_id: None,
        fwd_from: None,
        via_bot_id: None,
        via_business_bot_id: None,
        guestchat_via_from: None,
        reply_to: None,
        date: 1_700_000_000,
        message: text.to_owned(),
        media: None,
        reply_markup: None,
        entities: None,
        views: None,
        forwards: None,
        replies: None,
        edit_date: None,
        post_author: None,
        grouped_id: None,
        reactions: None,
        restriction_reason: None,
        ttl_period: None,
        quick_reply_shortcut_id: None,
        effect: None,
        factcheck: None,
        report_delivery_until_date: None,
        paid_message_stars: None,
        suggested_post: None,
        schedule_repeat_period: None,
        summary_from_language: None,
        rich_message: None,
    }
}

fn record(message: types::Message) -> Record {
    Record::of(message.into(), 1).unwrap()
}

fn inline(buttons: Vec<(&str, enums::InlineButtonType)>) -> enums::ReplyMarkup {
    let buttons = buttons.into_iter().map(|(text, kind)| {
        types::KeyboardInlineButton {
            style: None,
            text: text.to_owned(),
            r#type: kind,
        }
        .into()
    });
    let row = types::KeyboardInlineButtonRow {
        buttons: buttons.collect(),
    };
    types::ReplyInlineMarkup {
        force_reply: false,
        rows: vec![row.into()],
    }
    .into()
}

#[test]
fn senders_and_kinds() {
    let post = record(types::Message {
        post: true,
        ..message("gm")
    });
    assert_eq!(
        (post.chat_id, post.kind, post.sender),
        (-1_000_000_000_099, ChatKind::Channel, None)
    );
    let anonymous = record(message("gm"));
    assert_eq!(
        (anonymous.kind, anonymous.sender),
        (ChatKind::Supergroup, Some(-1_000_000_000_099))
    );
    let member = record(types::Message {
        from_id: Some(types::PeerUser { user_id: 5 }.into()),
        ..message("gm")
    });
    assert_eq!(member.sender, Some(5));
    let user = types::PeerUser { user_id: 5 };
    let private = record(types::Message {
        peer_id: user.clone().into(),
        ..message("gm")
    });
    assert_eq!(
        (private.chat_id, private.kind, private.sender),
        (5, ChatKind::User, Some(5))
    );
    let own = record(types::Message {
        peer_id: user.into(),
        out: true,
        ..message("gm")
    });
    assert_eq!(own.sender, Some(1));
    let group = record(types::Message {
        peer_id: types::PeerChat { chat_id: 3 }.into(),
        ..message("gm")
    });
    assert_eq!((group.chat_id, group.kind), (-3, ChatKind::Group));
}

#[test]
fn service_messages_are_none() {
    let empty = types::MessageEmpty { id: 1, peer_id: None };
    assert_eq!(Record::of(empty.into(), 1), None);
}

#[test]
fn marks_buttons_links_and_origins() {
    let entities = vec![
        types::MessageEntityTextUrl {
            offset: 2,
            length: 4,
            url: "https://x.example/a".into(),
        }
        .into(),
        types::MessageEntityBold { offset: -1, length: 4 }.into(),
        types::MessageEntityCode {
            offset: 0,
            length: i32::MAX,
        }
        .into(),
    ];
    let reply_markup = inline(vec![
        (
            "buy",
            types::InlineButtonTypeUrl {
                url: "https://x.example/b".into(),
            }
            .into(),
        ),
        (
            "copy",
            types::InlineButtonTypeCopy {
                copy_text: "abc".into(),
            }
            .into(),
        ),
        ("game", enums::InlineButtonType::Game),
    ]);
    let page = types::WebPagePending {
        id: 1,
        url: Some("https://x.example/c".into()),
        date: 0,
    };
    let media = types::MessageMediaWebPage {
        force_large_media: false,
        force_small_media: false,
        manual: false,
        safe: false,
        webpage: page.into(),
    };
    let record = record(types::Message {
        entities: Some(entities),
        reply_markup: Some(reply_markup),
        media: Some(media.into()),
        ..message("🚀 gm")
    });
    assert_eq!(record.marks.len(), 2, "a negative offset is no mark");
    assert_eq!(
        (record.marks[0].kind, record.marks[0].offset, record.marks[0].length),
        ("text_link", 2, 4)
    );
    assert_eq!(record.marks[0].to_detect().kind, EntityKind::TextUrl);
    assert_eq!(record.buttons[0].target, Target::Url("https://x.example/b".into()));
    assert_eq!(record.buttons[1].target, Target::Copy("abc".into()));
    assert!(record.buttons[2].to_detect().is_none());
    assert_eq!(record.links, ["https://x.example/c"]);
}

#[test]
fn the_revision_hangs_on_the_content_alone() {
    let first = record(message("gm"));
    assert!(first.revision().starts_with("0-"));
    let other_chat = record(types::Message {
        id: 8,
        from_id: Some(types::PeerUser { user_id: 5 }.into()),
        ..message("gm")
    });
    assert_eq!(first.revision(), other_chat.revision());
    let edited = record(types::Message {
        edit_date: Some(1_700_000_001),
        ..message("gm")
    });
    assert!(edited.revision().starts_with("1700000001-"));
    assert_eq!(edited.revision()[10..], first.revision()[1..]);
    assert_ne!(record(message("gn")).revision(), first.revision());
}

#[test]
fn rich_messages_are_read() {
    let plain = |text: &str| enums::RichText::TextPlain(types::TextPlain { text: text.into() });
    let link = types::TextUrl {
        text: plain("chart"),
        url: "https://x.example/d".into(),
        webpage_id: 0,
    };
    let concat = types::TextConcat {
        texts: vec![plain("see "), enums::RichText::TextUrl(Box::new(link))],
    };
    let rich = types::RichMessage {
        rtl: false,
        part: false,
        blocks: vec![
            types::PageBlockHeading1 { text: plain("Call") }.into(),
            types::PageBlockParagraph {
                text: enums::RichText::TextConcat(concat),
            }
            .into(),
        ],
        photos: Vec::new(),
        documents: Vec::new(),
    };
    let record = record(types::Message {
        rich_message: Some(rich.into()),
        ..message("")
    });
    assert_eq!(record.text, "Call\nsee chart");
    assert_eq!(record.links, ["https://x.example/d"]);
}

#[test]
fn deep_nesting_ends() {
    let mut text = enums::RichText::TextPlain(types::TextPlain { text: "x".into() });
    for _ in 0..200 {
        text = enums::RichText::TextBold(Box::new(types::TextBold { text }));
    }
    let rich = types::RichMessage {
        rtl: false,
        part: false,
        blocks: vec![types::PageBlockParagraph { text }.into()],
        photos: Vec::new(),
        documents: Vec::new(),
    };
    let record = record(types::Message {
        rich_message: Some(rich.into()),
        ..message("a")
    });
    assert_eq!(record.text, "a\n");
}

proptest! {
    /// What stands at an entity's UTF-16 place is what the detector sees there.
    #[test]
    fn utf16_places_hold(before in "\\PC{0,20}", inside in "[a-z]{4}", after in "\\PC{0,20}") {
        let text = format!("{before}{inside}{after}");
        let offset = before.encode_utf16().count();
        let url = "https://dexscreener.com/solana/So11111111111111111111111111111111111111112";
        let entity = types::MessageEntityTextUrl { offset: offset as i32, length: 4, url: url.into() };
        let record = record(types::Message { entities: Some(vec![entity.into()]), ..message(&text) });
        let mark = &record.marks[0];
        let units: Vec<u16> = record.text.encode_utf16().collect();
        let place = mark.offset as usize..(mark.offset + mark.length) as usize;
        prop_assert_eq!(String::from_utf16(&units[place]).unwrap(), inside);
        prop_assert_eq!(mark.to_detect().offset, offset);
        prop_assert_eq!(mark.to_detect().url, Some(url));
    }

    /// Offsets come from outside and may be anything.
    #[test]
    fn any_offsets_are_taken(text in "\\PC{0,40}", offset: i32, length: i32) {
        let entity = types::MessageEntityUrl { offset, length };
        let record = record(types::Message { entities: Some(vec![entity.into()]), ..message(&text) });
        let entities: Vec<_> = record.marks.iter().map(Mark::to_detect).collect();
        let input = tgmesh_detect::Input { text: &record.text, entities: &entities, ..Default::default() };
        tgmesh_detect::Detector::new().find(&input, &mut tgmesh_detect::Findings::default());
        prop_assert_eq!(entities.is_empty(), offset < 0 || length < 0);
    }
}
