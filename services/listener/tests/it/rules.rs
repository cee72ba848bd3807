//! Watch rules from a file to events, and the file's changes while the listener runs.

use std::path::{Path, PathBuf};

use tgmesh_proto::id::{MatchIdParts, Matched};
use tgmesh_proto::matched::{Match, MatchKind};
use tgmesh_proto::{codec, subject};
use tgmesh_stream::{stream_state, window};
use tgmesh_telegram_sim::{Button, ChatKind, Config, Draft, Entity, EntityKind};
use tgmesh_testkit::process::Process;
use tgmesh_testkit::{Scratch, eventually};

use crate::world::{LIMIT, Listener, World, address};

const RULES: &str = r#"
[[rule]]
name = "launch"
literal = ["fair launch", "запуск"]
publish = true

[[rule]]
name = "gems"
regex = '\bgems?\b'

[[rule]]
name = "t.me link"
regex = 't\.me/launchpad'
publish = true
"#;

struct File {
    folder: Scratch,
}

impl File {
    fn holding(text: &str) -> Self {
        let file = Self {
            folder: Scratch::new().unwrap(),
        };
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("rules.toml")
    }

    /// As editors do: another file takes the name over.
    fn replace(&self, text: &str) {
        let new = self.folder.path().join("rules.toml.new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path()).unwrap();
    }
}

async fn listen(world: &World, rules: &Path) -> Listener {
    world.import(world.spec()).await;
    world.listen(world.spec().env("WATCH_RULES", rules)).await
}

/// Every match of the stream, in order.
async fn matches(world: &World) -> Vec<Match> {
    let mut window = window::read(&world.mesh, subject::MATCHES, 1, None, &[]).await.unwrap();
    let mut events = Vec::new();
    while let Some(delivery) = window.next().await.unwrap() {
        let event = codec::decode_match(&delivery.payload).unwrap();
        assert_eq!(delivery.subject, subject::matches(event.chat.id));
        for (name, value) in [
            ("Nats-Msg-Id", event.id.to_string().as_str()),
            ("tracestate", ""),
            ("Tgmesh-Schema", "1.0.0"),
            ("Content-Type", "application/msgpack"),
        ] {
            assert_eq!(delivery.header(name), Some(value));
        }
        assert!(delivery.header("traceparent").is_some());
        events.push(event);
    }
    events
}

/// Waits until the stream holds `count` matches, and gives them.
async fn wait_for(world: &World, count: usize, listener: &Listener) -> Vec<Match> {
    let enough = || async {
        let state = stream_state(&world.mesh, subject::MATCHES).await;
        state.is_ok_and(|state| state.messages >= count as u64)
    };
    let came = tgmesh_testkit::until(LIMIT, enough).await;
    let events = matches(world).await;
    assert!(
        came && events.len() == count,
        "{events:#?}\n{}",
        listener.process.log_tail()
    );
    events
}

fn rules(event: &Match) -> Vec<&str> {
    event.rules.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn rules_mark_detections_and_publish_messages_without_an_address() {
    let file = File::holding(RULES);
    let world = World::start(Config::default()).await;
    let listener = listen(&world, &file.path()).await;
    let (group, basic) = (world.chat(ChatKind::Supergroup), world.chat(ChatKind::Group));
    assert!((listener.metric("watch_rules").await - 3.0).abs() < f64::EPSILON);

    world.post(group, format!("GEM: {} fair launch", address(500)));
    let text = "Скоро ЗАПУСК, gems!";
    let posted = world.post(group, text);
    world.post(group, "just a gem");
    // Where nobody sees it: behind a word, in a button.
    let hidden = |entities, buttons| Draft {
        chat_id: basic,
        text: "press here".to_owned(),
        entities,
        buttons,
        ..Draft::default()
    };
    let url = "https://t.me/launchpad?start=1".to_owned();
    let entity = Entity {
        kind: EntityKind::TextUrl { url: url.clone() },
        offset: 0,
        length: 5,
    };
    world.sim().post(hidden(vec![entity], Vec::new())).unwrap();
    let button = Button::Url {
        text: "Fair Launch".to_owned(),
        url,
    };
    world.sim().post(hidden(Vec::new(), vec![button])).unwrap();

    let detections = world.wait_for(1, &listener).await;
    assert_eq!(detections[0].rules, ["gems", "launch"]);
    let mut events = wait_for(&world, 3, &listener).await;
    // Two chats have no common order.
    events.sort_by_key(|event| (event.chat.id, event.message.id));
    let event = &events[0];
    assert_eq!(
        (event.event, rules(event)),
        (MatchKind::RuleMatched, vec!["gems", "launch"])
    );
    assert_eq!((event.chat.id, event.message.text.as_str()), (group, text));
    assert_eq!(event.message.id, i64::from(posted.message_id));
    assert_eq!(
        (&event.site, &event.raw, &event.link, &event.chain),
        (&None, &None, &None, &None)
    );
    assert!(event.sender.is_some());
    assert_eq!(event.listener.account, "sim-1");
    assert!(event.times.received_us <= event.times.published_us);
    assert_eq!(rules(&events[1]), ["t.me link"]);
    assert_eq!(rules(&events[2]), ["launch", "t.me link"]);
    assert_eq!(events[2].chat.id, basic);
    let id = MatchIdParts {
        chat_id: basic,
        chat_kind: events[2].chat.kind,
        account: "sim-1",
        message_id: events[2].message.id,
        revision: &events[2].message.revision,
        matched: Matched::Rules(&events[2].rules),
    };
    assert_eq!(events[2].id, id.id());
    let page = listener.metrics().await;
    assert!(
        page.contains("tgmesh_listener_matches_total{event=\"rule_matched\"} 3\n"),
        "{page}"
    );
}

#[tokio::test]
async fn links_without_their_address_are_told_and_edits_tell_what_is_new() {
    let file = File::holding(RULES);
    let world = World::start(Config::default()).await;
    let listener = listen(&world, &file.path()).await;
    let chat = world.chat(ChatKind::Channel);
    let lost = |n| address(n).to_lowercase();
    let link = |n| format!("https://dexscreener.com/solana/{}", lost(n));

    let text = format!("gem {}", link(510));
    let message = world.post(chat, text.clone()).message_id;
    let events = wait_for(&world, 1, &listener).await;
    let event = &events[0];
    assert_eq!((event.event, rules(event)), (MatchKind::UnresolvedLink, vec!["gems"]));
    assert_eq!(event.site.as_deref(), Some("dexscreener.com"));
    assert_eq!(event.chain.as_deref(), Some("solana"));
    assert_eq!(
        (event.raw.as_ref(), event.link.as_ref()),
        (Some(&lost(510)), Some(&link(510)))
    );

    // Words alone; then a rule that publishes, and a second link; then nothing new again.
    world.edit(chat, message, format!("{text}!"));
    world.edit(chat, message, format!("{text} fair launch {}", link(511)));
    let told = wait_for(&world, 3, &listener).await;
    assert_eq!(
        (told[1].event, rules(&told[1])),
        (MatchKind::RuleMatched, vec!["gems", "launch"])
    );
    assert_eq!(
        (told[2].event, told[2].raw.as_ref()),
        (MatchKind::UnresolvedLink, Some(&lost(511)))
    );
    assert!(told[1].message.edit_date_ms.is_some());

    // What was told is known after a restart, too.
    assert!(listener.process.stop(LIMIT).await.success());
    let listener = world.listen(world.spec().env("WATCH_RULES", file.path())).await;
    world.edit(chat, message, format!("{text} fair launch {} soon", link(511)));
    world.sim().delete(chat, &[message]).unwrap();
    // An address besides: the rule marks it and is not published for itself.
    world.post(chat, format!("fair launch {} {}", address(512), link(513)));
    let told = wait_for(&world, 4, &listener).await;
    assert_eq!(
        (told[3].event, told[3].raw.as_ref()),
        (MatchKind::UnresolvedLink, Some(&lost(513)))
    );
    assert_eq!(world.wait_for(1, &listener).await[0].rules, ["launch"]);
    // A restart may hear of it twice, by the difference and by the socket; once it knew what it was.
    let unknown = listener.metric("unknown_deletions_total").await;
    assert!(unknown < listener.metric("deletions_total").await);
}

#[tokio::test]
async fn the_file_s_changes_are_taken_over_and_a_bad_file_is_not() {
    let file = File::holding(RULES);
    let world = World::start(Config::default()).await;
    let listener = listen(&world, &file.path()).await;
    let chat = world.chat(ChatKind::Supergroup);
    let reloads = async |count: f64, failures: f64| {
        eventually(LIMIT, "the file was looked at", || async {
            listener.metric("rule_reloads_total").await >= count
                && listener.metric("rule_reload_failures_total").await >= failures
        })
        .await;
    };
    let mut said = 0;
    let mut told_for = async |text: &str| {
        world.post(chat, text);
        said += 1;
        let events = wait_for(&world, said, &listener).await;
        rules(events.last().unwrap()).join("+")
    };
    assert_eq!(told_for("fair launch").await, "launch");
    let other = "[[rule]]\nname = 'second'\nliteral = ['airdrop', 'fair']\npublish = true\n";
    file.replace(other);
    reloads(1.0, 0.0).await;
    assert_eq!(told_for("AIRDROP").await, "second");

    file.replace("[[rule]]\nname = 'second'\nregex = 'air(drop'\npublish = true\n");
    reloads(1.0, 1.0).await;
    let log = listener.process.log_tail();
    assert!(log.contains("line 3, column 13: unclosed group"), "{log}");
    assert_eq!(told_for("a fair airdrop").await, "second");
    std::fs::remove_file(file.path()).unwrap();
    reloads(1.0, 2.0).await;
    assert_eq!(told_for("one more airdrop").await, "second");

    // As Kubernetes does with a `ConfigMap`: the name leads to a folder that is exchanged.
    let folder = file.folder.path();
    for (name, text) in [("v1", RULES), ("v2", other)] {
        std::fs::create_dir(folder.join(name)).unwrap();
        std::fs::write(folder.join(name).join("rules.toml"), text).unwrap();
    }
    let point_to = |name: &str| {
        std::os::unix::fs::symlink(name, folder.join("..data_tmp")).unwrap();
        std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    point_to("v1");
    std::os::unix::fs::symlink("..data/rules.toml", file.path()).unwrap();
    reloads(2.0, 2.0).await;
    assert_eq!(told_for("a fair launch").await, "launch");
    point_to("v2");
    reloads(3.0, 2.0).await;
    assert_eq!(told_for("fairly").await, "second");
    assert_eq!(
        listener.process.log_tail().matches("unclosed group").count(),
        1,
        "a fault is told once"
    );
}

#[tokio::test]
async fn a_bad_file_at_the_start_is_a_bad_setting() {
    let world = World::start(Config::default()).await;
    let file = File::holding("[[rule]]\nname = 'a'\nliteral = 5\nregexp = 'x'\n");
    let missing = file.folder.path().join("nothing");
    for (path, told) in [
        (
            file.path(),
            vec!["line 3, column 11: ", "line 4, column 1: unknown key \"regexp\""],
        ),
        (missing, vec!["the file cannot be read: "]),
    ] {
        let process = Process::spawn(world.spec().env("WATCH_RULES", &path)).unwrap();
        assert_eq!(process.wait(LIMIT).await.unwrap().code(), Some(64));
        let log = process.log_tail();
        for told in told {
            let line = format!("WATCH_RULES: {}: {told}", path.display());
            assert!(log.contains(&line), "{line} in\n{log}");
        }
    }
}

/// What another process told is not told again by the one that takes its account over.
#[tokio::test]
async fn a_successor_tells_no_match_again() {
    let file = File::holding(RULES);
    let world = World::start(Config::default()).await;
    world.import(world.spec()).await;
    let pod = |name: &str| world.spec().env("WATCH_RULES", file.path()).env("INSTANCE", name);
    let first = world.listen(pod("pod-1")).await;
    // It reads what was told before it starts, and here nothing was.
    let second = world.listen(pod("pod-2")).await;
    let group = world.chat(ChatKind::Supergroup);
    let posted = world.post(group, "fair launch");
    assert_eq!(wait_for(&world, 1, &first).await[0].listener.instance, "pod-1");
    assert!(first.process.stop(LIMIT).await.success());
    let has_taken = || async { second.metric("accounts").await > 0.5 };
    eventually(LIMIT, "the account is taken over", has_taken).await;
    second.ready().await;
    world.edit(group, posted.message_id, "fair launch, edited");
    // Behind the edit.
    world.post(group, "another fair launch");
    let told = wait_for(&world, 2, &second).await;
    assert_eq!(told[1].listener.instance, "pod-2");
    assert_eq!(told[1].message.text, "another fair launch");
}
