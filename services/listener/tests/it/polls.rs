//! Channels that Telegram does not push: every post is found, within the budget, and the hot ones
//! soon.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use tgmesh_telegram_sim::{Config, Fault, FaultKind};
use tgmesh_testkit::process::Process;
use tgmesh_testkit::{eventually, until};

use crate::chats::chats;
use crate::world::{LIMIT, Listener, World, address, is_soak};

/// Requests a minute: a quarter of what the hot channels would take.
const BUDGET: u32 = 60;

/// What `chats --json` says of each channel.
async fn told(world: &World) -> BTreeMap<i64, Value> {
    let lines = chats(world, "*", true).await;
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines = lines.filter(|line| line["way"].is_string());
    lines.map(|line| (line["id"].as_i64().unwrap(), line)).collect()
}

/// Requests that find posts: looks at up to a hundred channels, and their differences.
async fn requests(listener: &Listener) -> (f64, f64) {
    let of = async |method: &str| {
        let metric = format!("requests_total{{method=\"{method}\"}}");
        listener.metric(&metric).await
    };
    (
        of("messages.getPeerDialogs").await,
        of("updates.getChannelDifference").await,
    )
}

#[tokio::test]
async fn posts_that_are_not_pushed_are_found_within_the_budget() {
    let world = World::start(Config {
        chats: 40,
        ..Config::default()
    })
    .await;
    world.import(world.spec()).await;
    let listener = world.listen(world.spec().env("POLL_BUDGET", BUDGET.to_string())).await;
    let channels: Vec<i64> = world
        .sim()
        .chats_of("sim-1")
        .into_iter()
        .filter(|chat| chat.kind.has_own_numbers())
        .map(|chat| chat.id)
        .collect();
    let (hot, quiet) = channels.split_at(4);
    assert!(quiet.len() >= 10, "{channels:?}");
    let unpushed = world.sim().inject(Fault::new(FaultKind::PollOnly)).unwrap();

    let (looks, differences) = requests(&listener).await;
    let began = Instant::now();
    let time = Duration::from_secs(if is_soak() { 300 } else { 25 });
    let mut posted = 0;
    let mut post = |chat| {
        world.post(chat, format!("call {}", address(5_000 + posted)));
        posted += 1;
    };
    let mut quiet_ones = quiet.iter().cycle();
    for round in 1.. {
        if began.elapsed() > time {
            break;
        }
        for &chat in hot {
            post(chat);
        }
        if round % 8 == 0 {
            post(*quiet_ones.next().unwrap());
        }
        // The pace of the posts is what is tested, nothing waits for it.
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    world.wait_for(usize::try_from(posted).unwrap(), &listener).await;
    let (looks_then, differences_then) = requests(&listener).await;
    let made = (looks_then - looks) + (differences_then - differences);
    let allowed = f64::from(BUDGET) * (began.elapsed().as_secs_f64() / 60.0 + 1.0 / 6.0) + 1.0;
    println!(
        "{posted} posts in {} channels: {made} requests of {allowed:.0}",
        channels.len()
    );
    assert!(made <= allowed, "{made} requests, {allowed} are allowed");

    let hot = hot[0];

    // What a running listener knows is shown, and its account is left alone.
    let uses = world.sim().key_uses("sim-1").len();
    let is_told = async || {
        let told = told(&world).await;
        told.get(&hot)
            .is_some_and(|hot| hot["way"] == "polled" && hot["posts"].as_u64() >= Some(20))
    };
    assert!(until(LIMIT, is_told).await, "{:?}", told(&world).await.get(&hot));
    let all = told(&world).await;
    let hot_one = &all[&hot];
    assert_eq!(hot_one["watched_by"], "sim-1");
    assert!(
        hot_one["used_by"].is_string() && hot_one["delay"]["p50_ms"].is_u64(),
        "{hot_one}"
    );
    // A median of whole seconds; it is looked at every second or two.
    let delay = hot_one["delay"]["p50_ms"].as_u64().unwrap();
    let silent: Vec<u64> = quiet.iter().filter_map(|id| all[id]["interval_ms"].as_u64()).collect();
    let median = {
        let mut sorted = silent.clone();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    };
    println!(
        "hot: {delay} ms late, looked at every {} ms; quiet: every {median} ms",
        hot_one["interval_ms"]
    );
    assert!(median > 2 * hot_one["interval_ms"].as_u64().unwrap(), "{all:?}");
    let text = chats(&world, "*", false).await;
    assert!(
        text.contains("in use by listener") && text.contains("polled, looked at every"),
        "{text}"
    );
    let check = Process::spawn(world.spec().args(["sessions", "check"])).unwrap();
    assert!(check.wait(LIMIT).await.unwrap().success(), "{}", check.log_tail());
    assert!(check.log_tail().contains("in use"), "{}", check.log_tail());
    assert_eq!(world.sim().key_uses("sim-1").len(), uses, "nobody else uses its key");

    // Pushed again, it is not polled any more.
    world.sim().heal(&unpushed);
    let is_pushed = async || {
        world.post(hot, "pushed");
        told(&world).await[&hot]["way"] == "pushed"
    };
    assert!(until(LIMIT, is_pushed).await, "{}", listener.process.log_tail());
    assert!(listener.process.stop(LIMIT).await.success());

    // With nobody there, Telegram is asked.
    let check = Process::spawn(world.spec().args(["sessions", "check"])).unwrap();
    assert!(check.wait(LIMIT).await.unwrap().success(), "{}", check.log_tail());
    assert!(check.log_tail().contains("good"), "{}", check.log_tail());
    assert!(told(&world).await[&hot]["used_by"].is_null());
}

/// An account that may not ask for places asks for differences instead.
#[tokio::test]
async fn without_looks_posts_are_found_by_differences() {
    let world = World::start(Config::default()).await;
    let listener = world.listener().await;
    let refused = FaultKind::RpcError {
        code: 400,
        message: "BOT_METHOD_INVALID".to_owned(),
        method: Some("messages.getPeerDialogs".to_owned()),
    };
    let refused = world.sim().inject(Fault::new(refused)).unwrap();
    let was_refused = async || {
        world
            .sim()
            .faults()
            .iter()
            .any(|fault| fault.id == refused && fault.hits > 0)
    };
    eventually(LIMIT, "a look is refused", was_refused).await;
    world.sim().inject(Fault::new(FaultKind::PollOnly)).unwrap();
    let channel = world
        .sim()
        .chats_of("sim-1")
        .into_iter()
        .find(|chat| chat.kind.has_own_numbers())
        .unwrap()
        .id;
    world.post(channel, format!("call {}", address(6_000)));
    world.wait_for(1, &listener).await;
    let hits: u64 = world
        .sim()
        .faults()
        .iter()
        .filter(|fault| fault.id == refused)
        .map(|fault| fault.hits)
        .sum();
    assert_eq!(hits, 1, "it is not asked again and again");
}
