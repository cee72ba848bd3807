//! The past is fetched once, whoever fetches it and whatever happens to them, and holds up nothing
//! that is live.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tgmesh_proto::detection::{Detection, EventKind};
use tgmesh_telegram_sim::{Config, Draft, Fault, FaultKind};
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{Scratch, eventually, until};

use crate::login::RUNNER;
use crate::pods::fleet::Fleet;
use crate::world::{LIMIT, World, address, is_soak, seed};

const DAY_S: u32 = 86_400;
/// What the listener paces its requests to, told apart from its own code.
const BURST: usize = 5;

/// Messages of a past, and the addresses in those that are asked for.
struct Past {
    chat: i64,
    since_s: u32,
    until_s: u32,
    messages: u64,
    wanted: BTreeSet<String>,
    others: BTreeSet<String>,
}

impl Past {
    /// Posts `count` messages from four days ago on, an hour's half of them before what will be
    /// asked for and as many behind it, two days ago.
    fn post(world: &World, chat: i64, count: u32, random: &mut StdRng) -> Self {
        let now_s = now_s();
        let (first_s, last_s) = (now_s - 4 * DAY_S, now_s - 2 * DAY_S);
        let (since_s, until_s) = (first_s + 6 * 3_600, last_s - 6 * 3_600);
        let mut past = Self {
            chat,
            since_s,
            until_s,
            messages: 0,
            wanted: BTreeSet::new(),
            others: BTreeSet::new(),
        };
        for n in 0..count {
            let date_s =
                first_s + u32::try_from(u64::from(n) * u64::from(last_s - first_s) / u64::from(count)).unwrap();
            let is_wanted = (since_s..until_s).contains(&date_s);
            let mut text = format!("message {n}");
            for _ in 0..[0, 0, 1, 2][random.random_range(0..4)] {
                let address = address(random.random());
                text.push(' ');
                text.push_str(&address);
                let set = if is_wanted { &mut past.wanted } else { &mut past.others };
                set.insert(address);
            }
            past.messages += u64::from(is_wanted);
            let draft = Draft {
                chat_id: chat,
                text,
                ..Draft::default()
            };
            world.sim().post_dated(draft, date_s).unwrap();
        }
        assert!(past.wanted.len() > 50 && past.others.len() > 10);
        past
    }

    fn order(&self, world: &World, more: &[&str]) -> Process {
        let (chat, since, until) = (self.chat.to_string(), rfc3339(self.since_s), rfc3339(self.until_s));
        let args = ["--chat", &chat, "--since", &since, "--until", &until];
        Process::spawn(command(world, &args).args(more)).unwrap()
    }

    /// The events of this past, each of which is in the stream once.
    fn told<'e>(&self, events: &'e [Detection]) -> BTreeMap<&'e str, &'e Detection> {
        let mut told = BTreeMap::new();
        for event in events.iter().filter(|event| self.wanted.contains(&event.address)) {
            assert!(
                told.insert(event.address.as_str(), event).is_none(),
                "{} twice",
                event.address
            );
            assert!(event.listener.backfill && event.event == EventKind::Called, "{event:?}");
            assert_eq!(event.chat.id, self.chat);
        }
        for event in events {
            assert!(
                !self.others.contains(&event.address),
                "{} was not asked for",
                event.address
            );
        }
        told
    }

    /// No more requests at once than the pace allows, from any account.
    fn was_paced(&self, world: &World) {
        let mut by_account: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
        for request in world.sim().history_requests() {
            if request.chat_id == self.chat {
                by_account.entry(request.account).or_default().push(request.at);
            }
        }
        let span = Duration::from_secs(3);
        for (account, times) in &by_account {
            let most = times
                .iter()
                .map(|&from| times.iter().filter(|&&at| at >= from && at < from + span).count());
            let most = most.max().unwrap();
            println!(
                "{account} asked {} times, at most {most} times in {span:?}",
                times.len()
            );
            assert!(most <= BURST + 3, "{account}: {most} requests within {span:?}");
        }
        assert!(!by_account.is_empty());
    }
}

fn now_s() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u32::try_from(now.as_secs()).unwrap()
}

fn rfc3339(at_s: u32) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(at_s.into())).to_string()
}

/// `tgmesh-listener backfill …`, which needs nothing but NATS.
fn command(world: &World, args: &[&str]) -> Spec {
    let spec = crate::world::bare().env("NATS_URL", world.nats.url());
    spec.arg("backfill").args(args).env_remove("DETECTION_RETENTION")
}

async fn ends(process: &Process, limit: Duration, code: i32) -> String {
    let status = process.wait(limit).await;
    let log = process.log_tail();
    assert_eq!(
        status.unwrap_or_else(|error| panic!("{error}: {log}")).code(),
        Some(code),
        "{log}"
    );
    log
}

async fn run(world: &World, args: &[&str], code: i32) -> String {
    ends(&Process::spawn(command(world, args)).unwrap(), LIMIT, code).await
}

/// The last state of an order among JSON lines.
fn last(log: &str) -> Option<Value> {
    let lines = log.lines().rev();
    let mut orders = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    orders.find(|line| line["state"].is_string())
}

fn number(order: &Value, field: &str) -> u64 {
    order[field].as_u64().unwrap_or_else(|| panic!("{field} of {order}"))
}

/// Under load the pod that fetches is killed half-way; the standby goes on where it was.
#[tokio::test]
async fn the_past_is_told_once_over_kills_and_again() {
    let mut random = StdRng::seed_from_u64(seed(81));
    let count = if is_soak() { 20_000 } else { 1_600 };
    let config = Config {
        accounts: 2,
        chats: 12,
        history: 500_000,
        ..Config::default()
    };
    let mut fleet = Fleet::start(config).await;
    let chat = fleet.shared_chats()[0];
    let past = Past::post(&fleet.world, chat, count, &mut random);
    fleet.add(2).await;
    fleet.every_account_is_held().await;
    fleet.add(2).await;
    fleet.load(50.0, random.random());
    let order = past.order(&fleet.world, &["--json"]);
    let is_half_way = async || {
        assert!(order.is_running(), "{}", order.log_tail());
        last(&order.log_tail()).is_some_and(|order| order["part"].as_f64().is_some_and(|part| part > 0.3))
    };
    assert!(until(LIMIT, is_half_way).await, "{}", order.log_tail());
    let before = fleet.world.events().await;
    let victim = fleet.pods.remove(0);
    victim.listener.process.kill();
    println!("{} is killed after {:?}", victim.name, last(&order.log_tail()));
    let log = ends(&order, if is_soak() { 20 * LIMIT } else { 2 * LIMIT }, 0).await;
    let first = last(&log).unwrap();
    fleet.end_load().await;
    assert_eq!(first["state"], "done");
    assert_eq!(first["owner"]["instance"], fleet.pods[0].name.as_str(), "{first}");
    assert_eq!(
        (number(&first, "messages"), number(&first, "finds")),
        (past.messages, past.wanted.len() as u64)
    );

    let events = fleet.world.events().await;
    let told = past.told(&events);
    assert_eq!(told.len(), past.wanted.len());
    let by: BTreeSet<_> = told.values().map(|event| event.listener.instance.as_str()).collect();
    assert_eq!(by.len(), 2, "both had their part: {by:?}");
    // What is live was told meanwhile, as live; a takeover may have read some of it from history.
    let live = before.iter().filter(|event| !past.wanted.contains(&event.address));
    let live: Vec<_> = live.map(|event| event.listener.backfill).collect();
    assert!(!live.is_empty() && live.iter().all(|is_past| !is_past), "{live:?}");
    past.was_paced(&fleet.world);

    // Once more: nothing is new, and nothing is told.
    let again = past.order(&fleet.world, &["--json"]);
    let second = last(&ends(&again, if is_soak() { 20 * LIMIT } else { LIMIT }, 0).await).unwrap();
    assert_eq!(
        (number(&second, "finds"), number(&second, "events")),
        (past.wanted.len() as u64, 0)
    );
    assert_eq!(past.told(&fleet.world.events().await).len(), past.wanted.len());
    past.was_paced(&fleet.world);
    fleet.each_key_had_one_user_at_a_time();
}

/// What was told live is not told again, although it is asked for; what an edit changed is told as
/// the edit that it is.
#[tokio::test]
async fn what_is_known_is_not_told_again() {
    let world = World::start(Config::default()).await;
    let chat = world.chat(tgmesh_telegram_sim::ChatKind::Channel);
    let listener = world.listener().await;
    let known = world.post(chat, format!("live {}", address(1)));
    let edited = world.post(chat, format!("live {}", address(2)));
    world.wait_for(2, &listener).await;
    world.edit(chat, edited.message_id, format!("edited {}", address(3)));
    let before = world.wait_for(4, &listener).await;
    // The range ends with the second that it is given in.
    let is_past = async || i64::from(now_s()) > i64::from(edited.date.max(known.date)) + 1;
    eventually(LIMIT, "the second is over", is_past).await;
    let log = run(&world, &["--chat", &chat.to_string(), "--since", "5m", "--json"], 0).await;
    let order = last(&log).unwrap();
    assert_eq!(
        (
            number(&order, "messages"),
            number(&order, "finds"),
            number(&order, "events")
        ),
        (2, 2, 0)
    );
    assert_eq!(world.events().await.len(), before.len());
    // A process that has never heard of them finds them in the stream.
    assert!(listener.process.stop(LIMIT).await.success());
    let _listener = world.listen(world.spec().env("EDIT_WINDOW", "1s")).await;
    let log = run(&world, &["--chat", &chat.to_string(), "--since", "5m", "--json"], 0).await;
    assert_eq!(number(&last(&log).unwrap(), "events"), 0, "{log}");
    assert_eq!(world.events().await.len(), before.len());
}

#[tokio::test]
async fn an_order_can_be_watched_left_and_taken_back() {
    let world = World::start(Config {
        history: 100_000,
        ..Config::default()
    })
    .await;
    let chat = world.chat(tgmesh_telegram_sim::ChatKind::Channel);
    let past = Past::post(&world, chat, 4_000, &mut StdRng::seed_from_u64(seed(82)));
    let _listener = world.listener().await;
    let name = world
        .sim()
        .chats()
        .into_iter()
        .find(|one| one.id == chat)
        .unwrap()
        .username
        .unwrap();

    // A person watches it, and leaves it with Ctrl-C.
    let scratch = Scratch::new().unwrap();
    let pipe = scratch.path().join("input");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let typed = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let (since, until_) = (rfc3339(past.since_s), rfc3339(past.until_s));
    let program = [
        "python3",
        "-c",
        RUNNER,
        pipe.to_str().unwrap(),
        "pty",
        env!("CARGO_BIN_EXE_tgmesh-listener"),
    ];
    let asked = [
        "backfill",
        "--chat",
        &format!("@{name}"),
        "--since",
        &since,
        "--until",
        &until_,
    ];
    let spec = Spec::new("/usr/bin/env").args(program).args(asked);
    let person = Process::spawn(spec.env("NATS_URL", world.nats.url()).env_remove("RUST_LOG")).unwrap();
    let sees = async || {
        assert!(person.is_running(), "{}", person.log_tail());
        let log = person.log_tail();
        log.contains("[##") && log.contains(" left") && log.contains("\x1b[1A")
    };
    assert!(until(LIMIT, sees).await, "{}", person.log_tail());
    std::io::Write::write_all(&mut &typed, b"\x03").unwrap();
    let log = ends(&person, LIMIT, 0).await;
    assert!(log.contains("goes on without this"), "{log}");
    let id = log
        .split("order ")
        .nth(1)
        .unwrap()
        .split(':')
        .next()
        .unwrap()
        .to_owned();

    // It goes on; another one of the same is not begun; it is taken back.
    let listed = async || last(&run(&world, &["--list", "--json"], 0).await).unwrap();
    let at = number(&listed().await, "messages");
    eventually(LIMIT, "it goes on", async || number(&listed().await, "messages") > at).await;
    let log = run(&world, &asked[1..], 1).await;
    assert!(log.contains(&id) && log.contains("--watch"), "{log}");
    let watching = Process::spawn(command(&world, &["--watch", &id])).unwrap();
    let log = run(&world, &["--cancel", &id], 0).await;
    assert!(log.contains("cancelled"), "{log}");
    ends(&watching, LIMIT, 1).await;
    let cancelled = listed().await;
    assert_eq!(cancelled["state"], "cancelled");
    let asked_before = world.sim().history_requests().len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(
        world.sim().history_requests().len() <= asked_before + 1,
        "it is still being fetched"
    );
    assert!(number(&listed().await, "messages") < past.messages);
    let told = past.told(&world.events().await).len();
    assert!(told > 0 && told < past.wanted.len());
    assert!(
        run(&world, &["--cancel", "nothing"], 1)
            .await
            .contains("there is no order")
    );
}

/// Who cannot read a chat leaves it to whoever can; waits are told.
#[tokio::test]
async fn refusals_and_waits_are_told_and_worked_around() {
    let mut fleet = Fleet::start(Config {
        accounts: 2,
        chats: 12,
        ..Config::default()
    })
    .await;
    let chats = fleet.shared_chats();
    let chat = chats[0];
    let past = Past::post(&fleet.world, chat, 400, &mut StdRng::seed_from_u64(seed(83)));
    fleet.add(2).await;
    fleet.every_account_is_held().await;
    let watcher = fleet.settled(&chats).await.remove(&chat).unwrap();
    let method = || Some("messages.getHistory".to_owned());
    let wait = Fault::new(FaultKind::FloodWait {
        seconds: 4,
        method: method(),
    })
    .account(&watcher)
    .count(1);
    fleet.world.sim().inject(wait).unwrap();
    let first = past.order(&fleet.world, &[]);
    let log = ends(&first, LIMIT, 0).await;
    assert!(
        log.contains("Telegram asks to wait") && log.contains("[########################] 100 %"),
        "{log}"
    );
    assert_eq!(past.told(&fleet.world.events().await).len(), past.wanted.len());

    // By its account alone, then by nobody.
    let refused = Fault::new(FaultKind::RpcError {
        code: 400,
        message: "CHANNEL_PRIVATE".to_owned(),
        method: method(),
    });
    fleet.world.sim().inject(refused.account(&watcher)).unwrap();
    let alone = past.order(&fleet.world, &["--account", &watcher]);
    let log = ends(&alone, LIMIT, 1).await;
    assert!(
        log.contains("failed") && log.contains(&format!("{watcher}: CHANNEL_PRIVATE")),
        "{log}"
    );
    let other = if watcher == "sim-1" { "sim-2" } else { "sim-1" };
    let second = past.order(&fleet.world, &["--account", other, "--json"]);
    let order = last(&ends(&second, LIMIT, 0).await).unwrap();
    assert_eq!(
        (order["owner"]["account"].as_str(), number(&order, "events")),
        (Some(other), 0)
    );

    // Nobody sees it.
    let unseen = Process::spawn(command(&fleet.world, &["--chat", "-1009999999999", "--since", "1d"])).unwrap();
    let says = async || unseen.log_tail().contains("no account watches the chat");
    assert!(until(LIMIT, says).await, "{}", unseen.log_tail());
    unseen.kill();
}
