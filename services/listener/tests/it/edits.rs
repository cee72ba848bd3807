use tgmesh_proto::detection::{Detection, EventKind};
use tgmesh_telegram_sim::{ChatKind, Config};

use crate::world::{LIMIT, World, address};

fn told(events: &[Detection]) -> Vec<(EventKind, &str)> {
    events
        .iter()
        .map(|event| (event.event, event.address.as_str()))
        .collect()
}

#[tokio::test]
async fn edits_and_deletions_tell_what_changed() {
    use EventKind::{AddedByEdit, Called, Retracted};
    for kind in [ChatKind::Channel, ChatKind::Group] {
        let world = World::start(Config::default()).await;
        let listener = world.listener().await;
        let chat = world.chat(kind);
        let (a, b, c) = (address(100), address(101), address(102));
        let message = world.post(chat, format!("call {a}")).message_id;
        world.wait_for(1, &listener).await;
        // Words alone: no event.
        world.edit(chat, message, format!("call {a} now"));
        world.edit(chat, message, format!("call {a} and {b}"));
        world.wait_for(2, &listener).await;
        world.edit(chat, message, format!("call {c}"));
        world.wait_for(5, &listener).await;
        // One without finds, and one that nobody knows.
        let other = world.post(chat, "gm").message_id;
        world.sim().delete(chat, &[other]).unwrap();
        world.sim().delete(chat, &[message]).unwrap();
        let events = world.wait_for(6, &listener).await;
        let mut last = told(&events[2..5]);
        last.sort_by_key(|(kind, address)| (kind.as_str(), (*address).to_owned()));
        let mut expected = vec![
            (AddedByEdit, c.as_str()),
            (Retracted, a.as_str()),
            (Retracted, b.as_str()),
        ];
        expected.sort_by_key(|(kind, address)| (kind.as_str(), (*address).to_owned()));
        assert_eq!(told(&events[..2]), [(Called, a.as_str()), (AddedByEdit, b.as_str())]);
        assert_eq!(last, expected);
        assert_eq!(told(&events[5..]), [(Retracted, c.as_str())]);
        let (called, added, gone) = (&events[0], &events[1], &events[5]);
        assert!(called.message.revision.starts_with("0-"));
        let edit_date_s = added.message.edit_date_ms.expect("it was edited") / 1000;
        assert!(added.message.revision.starts_with(&format!("{edit_date_s}-")));
        assert_eq!(gone.message.revision, "deleted");
        assert_eq!(gone.message.text, "");
        assert_eq!((gone.chat.id, gone.message.id), (chat, called.message.id));
        assert_eq!(gone.message.date_ms, called.message.date_ms);
        let page = listener.metrics().await;
        assert!(page.contains("tgmesh_listener_unknown_deletions_total 1\n"), "{page}");
    }
}

#[tokio::test]
async fn what_was_told_before_a_restart_is_remembered() {
    let world = World::start(Config::default()).await;
    let listener = world.listener().await;
    let chat = world.chat(ChatKind::Supergroup);
    let (a, b) = (address(110), address(111));
    let edited = world.post(chat, format!("call {a}")).message_id;
    let deleted = world.post(chat, format!("call {b}")).message_id;
    world.wait_for(2, &listener).await;
    assert!(listener.process.stop(LIMIT).await.success());
    // One change while nobody listens, one after.
    world.edit(chat, edited, "never mind");
    let listener = world.listen(world.spec()).await;
    world.wait_for(3, &listener).await;
    world.sim().delete(chat, &[deleted]).unwrap();
    let events = world.wait_for(4, &listener).await;
    assert_eq!(
        told(&events[2..]),
        [(EventKind::Retracted, a.as_str()), (EventKind::Retracted, b.as_str())]
    );
}
