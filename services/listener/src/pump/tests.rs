//! The pump against a simulator in this process, without a worker behind it.

use tgmesh_lifecycle::Process;
use tgmesh_proto::detection::ChatKind;
use tgmesh_telegram_sim::{Config, Draft, Running};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::queue::{Budget, Change, Entry, Reached, Receiver, Source, queue};
use crate::session::{Content, DcKey, SavedChannel};
use crate::watch::Wanted;

const LIMIT: Duration = Duration::from_secs(30);

struct Follower {
    session: Arc<MemorySession>,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
    queue: Receiver,
    stats: Stats,
    live: JoinHandle<End>,
    batch: std::collections::VecDeque<Entry>,
}

async fn simulator() -> Running {
    tgmesh_telegram_sim::start(Config::default()).await.unwrap()
}

fn session(running: &Running) -> Content {
    let account = &running.sim.accounts()[0];
    let digits = account.auth_key.as_bytes().chunks(2);
    let auth_key = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
    let key = DcKey {
        dc_id: account.dc_id,
        address: account.address.parse().unwrap(),
        auth_key: auth_key.collect(),
    };
    Content::new(account.user_id, key)
}

fn follow(start: Content, budget: &Budget) -> Follower {
    let stats = Stats::new(&Process::detached("listener", "test").metrics);
    follow_on(start, Arc::new(Ledger::new(stats)), budget)
}

/// Follows with what an earlier start knew.
fn follow_on(start: Content, ledger: Arc<Ledger>, budget: &Budget) -> Follower {
    let session = Arc::new(MemorySession::new(start));
    let watch = Arc::new(Watch::new(&Wanted::all()));
    let process = Process::detached("listener", "test");
    let stats = Stats::new(&process.metrics);
    let duties = Arc::<Duties>::default();
    let assigning = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&duties).accept_all()));
    let context = Context {
        account: "sim-1".into(),
        duties,
        session: Arc::clone(&session),
        peers: Arc::new(Peers::restore(&session.channels(), &watch)),
        watch,
        ledger: Arc::clone(&ledger),
        floods: Floods::unobserved(),
        polls_per_minute: 180,
        stats: stats.clone(),
        hints: Arc::default(),
        figures: Board::default(),
    };
    let (sender, queue) = queue(budget);
    let end = CancellationToken::new();
    let live = tokio::spawn({
        let (end, session) = (end.clone(), Arc::clone(&session));
        async move {
            let _assigning = assigning;
            let mut connection = Connection::new(session, 1, Floods::unobserved());
            Pump::new(context, sender).live(&mut connection, &end, || {}).await
        }
    });
    Follower {
        session,
        ledger,
        stop: end,
        queue,
        stats,
        live,
        batch: std::collections::VecDeque::new(),
    }
}

impl Follower {
    /// The next message, with where it came from; places on the way are noted as if acked.
    async fn message(&mut self) -> (String, Source) {
        loop {
            let Some(entry) = self.batch.pop_front() else {
                let mut batch = Vec::new();
                let received = timeout(LIMIT, self.queue.receive(&mut batch, 64)).await;
                assert!(received.expect("something comes") > 0, "the pump has ended");
                self.batch.extend(batch);
                continue;
            };
            self.queue.done(entry.size());
            self.ledger
                .settle(entry.change.iter().flat_map(Change::accounts), &[], 0);
            match entry.reached {
                Some(Reached::Account(place)) => self.session.advance(Some(place), []),
                Some(Reached::Channel(id, place)) => self.session.advance(None, [(id, place)]),
                None => {}
            }
            if let Some(Change::Message(seen)) = entry.change {
                return (seen.record.text, seen.source);
            }
        }
    }

    /// Posts until one arrives: then the account is followed.
    async fn settle(&mut self, running: &Running, chat_id: i64) {
        let mut n = 0;
        loop {
            post(running, chat_id, &format!("settle {n}"));
            n += 1;
            if timeout(Duration::from_millis(200), self.message()).await.is_ok() {
                break;
            }
        }
        post(running, chat_id, "settled");
        while self.message().await.0 != "settled" {}
    }

    async fn end(self) -> Content {
        self.stop.cancel();
        assert!(matches!(self.live.await.unwrap(), End::Stopped));
        self.session.content()
    }
}

fn post(running: &Running, chat_id: i64, text: &str) {
    let draft = Draft {
        chat_id,
        text: text.to_owned(),
        ..Draft::default()
    };
    running.sim.post(draft).unwrap();
}

fn chat(running: &Running, kind: tgmesh_telegram_sim::ChatKind) -> i64 {
    let chats = running.sim.chats();
    let mut joined = chats.iter().filter(|chat| !chat.accounts.is_empty());
    joined.find(|chat| chat.kind == kind).unwrap().id
}

#[tokio::test]
async fn a_poisoned_channel_holds_up_no_other() {
    let running = simulator().await;
    let channel = chat(&running, tgmesh_telegram_sim::ChatKind::Channel);
    let mut follower = follow(session(&running), &Budget::default());
    follower.settle(&running, channel).await;
    let ledger = Arc::clone(&follower.ledger);
    let mut content = follower.end().await;
    // One that the server does not know, and one whose place it does not know.
    let group = peers::channel_id(chat(&running, tgmesh_telegram_sim::ChatKind::Supergroup)).unwrap();
    content
        .positions
        .channels
        .insert(77, ChannelPosition { pts: 5, last_id: 3 });
    content.channels.insert(
        0,
        SavedChannel {
            id: 77,
            access_hash: 1,
            kind: ChatKind::Channel,
            title: "poison".into(),
            username: None,
        },
    );
    content.positions.channels.entry(group).or_default().pts += 1000;
    post(&running, channel, "missed");
    post(&running, peers::channel_chat_id(group), "lost place");
    let mut follower = follow_on(content, ledger, &Budget::default());
    let mut texts = vec![follower.message().await, follower.message().await];
    texts.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        texts,
        [
            ("lost place".to_owned(), Source::Difference),
            ("missed".to_owned(), Source::Difference)
        ]
    );
    // And everything is live.
    for chat_id in [channel, peers::channel_chat_id(group)] {
        post(&running, chat_id, "live");
        assert_eq!(follower.message().await, ("live".to_owned(), Source::Live));
    }
    let content = follower.end().await;
    assert_ne!(content.positions.channels[&group].pts, 1000);
}

#[tokio::test]
async fn what_finds_no_room_is_fetched_later() {
    let running = simulator().await;
    let (channel, group) = (
        chat(&running, tgmesh_telegram_sim::ChatKind::Channel),
        chat(&running, tgmesh_telegram_sim::ChatKind::Group),
    );
    let budget = Budget::default();
    let mut follower = follow(session(&running), &budget);
    follower.settle(&running, channel).await;
    // Another account's worker stands still.
    let (full, mut stuck) = queue(&budget);
    let ids = vec![0; 5 << 20];
    full.push(Entry {
        change: Some(Change::Deleted { chat_id: None, ids }),
        reached: None,
        received_us: 0,
    });
    for n in 0..20 {
        post(&running, channel, &format!("refused {n:02}"));
        post(&running, group, &format!("refused {:02}", n + 20));
    }
    let refused = || async { follower.stats.refused.get() >= 40 };
    tgmesh_testkit::eventually(LIMIT, "all are refused", refused).await;
    let mut batch = Vec::new();
    stuck.receive(&mut batch, 1).await;
    stuck.done(batch[0].size());
    let mut texts = Vec::new();
    for _ in 0..40 {
        let (text, source) = follower.message().await;
        assert_eq!(source, Source::Difference);
        texts.push(text);
    }
    texts.sort();
    let expected: Vec<_> = (0..40).map(|n| format!("refused {n:02}")).collect();
    assert_eq!(texts, expected);
    follower.end().await;
}

#[tokio::test]
async fn an_account_whose_place_the_server_does_not_know_reads_history() {
    let running = simulator().await;
    let group = chat(&running, tgmesh_telegram_sim::ChatKind::Group);
    let mut follower = follow(session(&running), &Budget::default());
    follower.settle(&running, group).await;
    let mut content = follower.end().await;
    let place = content.positions.account.as_mut().unwrap();
    place.pts += 1000;
    post(&running, group, "missed");
    let mut follower = follow(content, &Budget::default());
    loop {
        // What the last place did not cover comes again.
        let (text, source) = follower.message().await;
        assert_eq!(source, Source::History);
        if text == "missed" {
            break;
        }
    }
    post(&running, group, "live");
    while follower.message().await.0 != "live" {}
    follower.end().await;
}
