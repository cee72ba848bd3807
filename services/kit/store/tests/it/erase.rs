//! Erasing a person or a chat.

use tgmesh_proto::detection::{Detection, Forward, Sender, SenderKind};
use tgmesh_store::detections::Row;
use tgmesh_store::{Erased, Store, Subject, matches};
use tgmesh_testkit::postgres::Database;

use crate::roll_ups::roll_up;
use crate::{NOW_US, event, inserted, matched, place, start};

const ANN: i64 = 7_654_321;
const BOB: i64 = 42;
const FIRST: i64 = -1_001;
const SECOND: i64 = -1_002;

fn said(n: u64, chat: i64, sender: i64, hour: i64) -> Detection {
    let mut event = event(n);
    event.chat.id = chat;
    event.chat.title = format!("chat {chat}");
    event.sender = Some(Sender {
        id: sender,
        username: Some(format!("u{sender}")),
        name: format!("person {sender}"),
        kind: SenderKind::User,
    });
    event.message.date_ms -= 86_400_000 * 3 - hour * 3_600_000;
    event.message.edit_date_ms = None;
    event.message.forward_from = None;
    event
}

fn forwarded(n: u64, origin: i64) -> Detection {
    let mut event = said(n, SECOND, BOB, 30);
    event.message.forward_from = Some(Forward {
        id: Some(origin),
        name: Some("the origin".to_owned()),
        message_id: Some(1),
        date_ms: event.message.date_ms - 3_600_000,
    });
    event
}

fn rows(events: &[Detection]) -> Vec<Row> {
    let row = |event: &Detection| Row::new(event.clone(), place(1), NOW_US).expect("fits");
    events.iter().map(row).collect()
}

async fn write(store: &Store) -> Vec<Detection> {
    let events = vec![
        said(1, FIRST, ANN, 0),
        said(2, SECOND, BOB, 10),
        said(3, FIRST, BOB, 20),
        said(4, SECOND, ANN, 21),
        forwarded(5, ANN),
        forwarded(6, FIRST),
    ];
    let done = store.detections().insert_batch(&rows(&events)).await.unwrap();
    assert_eq!(done.rows, 6);
    let matched = matched(said(7, FIRST, ANN, 1));
    let matched = matches::Row::new(matched, place(1), NOW_US).unwrap();
    assert_eq!(store.matches().insert_batch(&[matched]).await.unwrap().rows, 1);
    events
}

/// Every table's rows as text, without the state of the roll-ups.
async fn everything(database: &Database) -> String {
    let mut all = String::new();
    for table in [
        "detections",
        "matches",
        "addresses",
        "address_chats",
        "chats",
        "senders",
    ] {
        all += &database
            .query(&format!("SELECT to_jsonb(t) FROM {table} AS t"))
            .await
            .unwrap();
    }
    all
}

#[tokio::test]
async fn a_sender_is_gone_from_every_table_and_stays_gone() {
    let (database, store) = start().await;
    let events = write(&store).await;
    // Some are counted before they are erased, some are not.
    roll_up(&store).await;
    let late = said(8, SECOND, ANN, 25);
    store
        .detections()
        .insert_batch(&rows(std::slice::from_ref(&late)))
        .await
        .unwrap();

    let erased = store.erase(Subject::Sender(ANN)).await.unwrap();
    let expected = Erased {
        detections: 3,
        matches: 1,
        forwards: 1,
    };
    assert_eq!(erased, expected);
    let all = everything(&database).await;
    // Neither her id, nor her names, which end in it.
    assert!(!all.contains("7654321"), "{all}");
    roll_up(&store).await;
    let known = &store.addresses().first_seen(&event(1).address, None).await.unwrap()[0];
    assert_eq!(known.counts.called, 4);
    let first = known.first.as_ref().unwrap();
    // That it was seen there then stays.
    assert_eq!((first.chat_id, first.sender_id), (Some(FIRST), None));
    assert_eq!(first.at_us, events[0].message.date_ms * 1000);
    assert_eq!(
        database.query("SELECT sender_id, called FROM senders").await.unwrap(),
        "42|4"
    );
    let chats = "SELECT chat_id, called, matched FROM chats ORDER BY 1";
    assert_eq!(database.query(chats).await.unwrap(), "-1002|3|0\n-1001|1|0");

    // From a replay, or from history once more.
    let again = store.detections().insert_batch(&rows(&events)).await.unwrap();
    assert_eq!(again, inserted(0, 6));
    // What she says from now on is another matter.
    let mut new = said(9, FIRST, ANN, 0);
    new.message.date_ms = now_ms() + 60_000;
    let row = Row::new(new, place(1), now_us()).unwrap();
    assert_eq!(store.detections().insert_batch(&[row]).await.unwrap(), inserted(1, 0));
    assert_eq!(store.erase(Subject::Sender(ANN)).await.unwrap(), Erased::default());
}

#[tokio::test]
async fn a_chat_is_gone_and_the_next_one_was_first() {
    let (database, store) = start().await;
    let events = write(&store).await;
    roll_up(&store).await;
    let erased = store.erase(Subject::Chat(FIRST)).await.unwrap();
    let expected = Erased {
        detections: 2,
        matches: 1,
        forwards: 1,
    };
    assert_eq!(erased, expected);
    let all = everything(&database).await;
    assert!(!all.contains("1001"), "{all}");
    let known = &store.addresses().first_seen(&event(1).address, None).await.unwrap()[0];
    let first = known.first.as_ref().unwrap();
    assert_eq!((first.chat_id, first.sender_id), (Some(SECOND), Some(BOB)));
    assert_eq!((known.counts.called, known.chats, known.next), (4, 1, None));
    assert_eq!(database.query("SELECT called FROM addresses").await.unwrap(), "4");
    let senders = "SELECT sender_id, called, matched FROM senders ORDER BY 1";
    assert_eq!(database.query(senders).await.unwrap(), "42|3|0\n7654321|1|0");
    assert_eq!(
        store.detections().insert_batch(&rows(&events)).await.unwrap(),
        inserted(0, 6)
    );
    // The other chat takes the address with it.
    store.erase(Subject::Chat(SECOND)).await.unwrap();
    assert_eq!(database.query("SELECT count(*) FROM addresses").await.unwrap(), "0");
    assert_eq!(store.detections().count().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_slips_through_while_others_write_and_count() {
    let (_database, store) = start().await;
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for step in 0..60_u64 {
                let events: Vec<Detection> = (0..50)
                    .map(|n| said(step * 100 + n, FIRST - (n % 3) as i64, ANN + (n % 2) as i64, n as i64))
                    .collect();
                store.detections().insert_batch(&rows(&events)).await.unwrap();
                let _ = store.roll_up(200).await.unwrap();
            }
        })
    };
    while store.detections().count().await.unwrap() < 500 {
        tokio::task::yield_now().await;
    }
    let erased = store.erase(Subject::Sender(ANN)).await.unwrap();
    assert!(erased.detections >= 250, "{erased:?}");
    writer.await.unwrap();
    roll_up(&store).await;
    assert_eq!(store.detections().count().await.unwrap(), 60 * 25);
    let known = &store.addresses().first_seen(&event(1).address, None).await.unwrap()[0];
    assert_eq!(known.counts.called, 60 * 25);
}

fn now_us() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_micros() as u64
}

fn now_ms() -> i64 {
    (now_us() / 1000) as i64
}
