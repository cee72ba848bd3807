//! `MONITORED_CHATS`: folders, names and invitations, joining, and what `chats` shows of it.

use std::collections::BTreeMap;

use serde_json::Value;
use tgmesh_telegram_sim::{ChatInfo, Config, Fault, FaultKind, Folder, Person};
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{eventually, until};

use crate::pods::fleet::Fleet;
use crate::world::{LIMIT, World, address};

fn folder(title: &str, chats: &[i64]) -> Folder {
    Folder {
        title: title.to_owned(),
        chats: chats.to_vec(),
        without: Vec::new(),
        broadcasts: false,
        groups: false,
    }
}

fn set_folders(world: &World, folders: Vec<Folder>) {
    let person = Person {
        folders: Some(folders),
        ..Person::default()
    };
    world.sim().change("sim-1", person).unwrap();
}

/// The two chats that no account has joined: a public one and one with an invite link.
fn strange(world: &World) -> (ChatInfo, ChatInfo) {
    let mut chats = world.sim().chats();
    chats.retain(|chat| chat.accounts.is_empty());
    let public = chats.iter().position(|chat| chat.username.is_some()).unwrap();
    let public = chats.remove(public);
    (public, chats.remove(0))
}

fn watching(world: &World, chats: &str) -> Spec {
    world.spec().env("MONITORED_CHATS", chats)
}

/// The chats of the events, with how many of each.
async fn by_chat(world: &World) -> BTreeMap<i64, usize> {
    let mut chats = BTreeMap::new();
    for event in world.events().await {
        *chats.entry(event.chat.id).or_default() += 1;
    }
    chats
}

pub fn refusal(method: &str, code: i32, message: &str) -> Fault {
    Fault::new(FaultKind::RpcError {
        code,
        message: message.to_owned(),
        method: Some(method.to_owned()),
    })
}

#[tokio::test]
async fn a_folder_is_followed_as_its_owner_changes_it() {
    let world = World::start(Config::default()).await;
    world.import(world.spec()).await;
    let own: Vec<i64> = world.sim().chats_of("sim-1").iter().map(|chat| chat.id).collect();
    let (a, b, other) = (own[0], own[2], own[3]);
    set_folders(&world, vec![folder("signals", &[a]), folder("Others", &[other])]);
    let listener = world.listen(watching(&world, "folder:Signals")).await;
    eventually(LIMIT, "the folder is read", || async {
        listener.process.log_tail().contains("folder:Signals")
    })
    .await;
    world.post(other, format!("call {}", address(900)));
    world.post(b, format!("call {}", address(901)));
    world.post(a, format!("call {}", address(902)));
    world.wait_for(1, &listener).await;
    assert_eq!(by_chat(&world).await, BTreeMap::from([(a, 1)]));

    set_folders(&world, vec![folder("Signals", &[b])]);
    let watched = || listener.process.log_tail().matches("folder:Signals").count();
    eventually(LIMIT, "the change is noticed", || async { watched() >= 2 }).await;
    world.post(a, format!("call {}", address(903)));
    world.post(b, format!("call {}", address(904)));
    world.wait_for(2, &listener).await;
    assert_eq!(by_chat(&world).await, BTreeMap::from([(a, 1), (b, 1)]));

    // What was posted while nobody looked is made up for: the chats of the folder are known at the start.
    assert!(listener.process.stop(LIMIT).await.success());
    world.post(b, format!("call {}", address(905)));
    let listener = world.listen(watching(&world, "folder:Signals")).await;
    world.wait_for(3, &listener).await;
    assert_eq!(by_chat(&world).await, BTreeMap::from([(a, 1), (b, 2)]));
}

#[tokio::test]
async fn chats_are_joined_once_by_one_account_and_found_again_without_asking() {
    let world = World::start(Config {
        accounts: 2,
        ..Config::default()
    })
    .await;
    world.import(world.spec()).await;
    let (public, private) = strange(&world);
    let list = format!(
        "https://t.me/{},https://t.me/+{}",
        public.username.as_ref().unwrap(),
        private.invite.as_ref().unwrap()
    );
    let listener = world.listen(watching(&world, &list)).await;
    let members = |chat: &ChatInfo| {
        let chats = world.sim().chats();
        chats.iter().find(|other| other.id == chat.id).unwrap().accounts.len()
    };
    eventually(LIMIT, "both are joined", || async {
        members(&public) > 0 && members(&private) > 0
    })
    .await;
    world.post(public.id, format!("call {}", address(910)));
    world.post(private.id, format!("call {}", address(911)));
    world.wait_for(2, &listener).await;
    eventually(LIMIT, "no entry is missing", || async {
        listener.metric("chats_missing").await < 0.5
    })
    .await;
    assert_eq!((members(&public), members(&private)), (1, 1));
    assert!(!listener.process.log_tail().contains(private.invite.as_ref().unwrap()));
    assert!(listener.process.stop(LIMIT).await.success());

    let asked = [
        "contacts.resolveUsername",
        "messages.checkChatInvite",
        "channels.joinChannel",
    ];
    let faults = asked.map(|method| world.sim().inject(refusal(method, 400, "ASKED_AGAIN")).unwrap());
    let listener = world.listen(watching(&world, &list)).await;
    world.post(public.id, format!("call {}", address(912)));
    world.post(private.id, format!("call {}", address(913)));
    world.wait_for(4, &listener).await;
    for fault in faults {
        assert_eq!(world.sim().heal(&fault).unwrap().hits, 0);
    }
}

#[tokio::test]
async fn what_could_not_be_joined_is_told_with_the_reason() {
    let world = World::start(Config::default()).await;
    world.import(world.spec()).await;
    let (public, private) = strange(&world);
    let (name, invite) = (public.username.unwrap(), private.invite.unwrap());
    let many = refusal("channels.joinChannel", 400, "CHANNELS_TOO_MUCH");
    let many = world.sim().inject(many).unwrap();
    let asked = refusal("messages.importChatInvite", 400, "INVITE_REQUEST_SENT");
    world.sim().inject(asked).unwrap();
    let list = format!("@{name},+{invite},t.me/joinchat/AAAAAAAAAAAA,@nobody_has_this,folder:None,-1001");
    let listener = world.listen(watching(&world, &list)).await;
    let told = [
        "CHANNELS_TOO_MUCH",
        "INVITE_REQUEST_SENT",
        "INVITE_HASH_EXPIRED",
        "USERNAME_NOT_OCCUPIED",
        "no folder with this name",
        "an id alone opens none",
    ];
    eventually(LIMIT, "each is told", || async {
        let log = listener.process.log_tail();
        told.iter().all(|reason| log.contains(reason))
    })
    .await;
    assert_eq!(listener.metric("chats_missing").await as u32, 6);
    // Refused for good is not asked again and again.
    assert_eq!(world.sim().heal(&many).unwrap().hits, 1);
    assert!(listener.process.stop(LIMIT).await.success());

    let own = world.sim().chats_of("sim-1");
    let list = format!("{list},{}", own[0].id);
    let (text, lines) = (chats(&world, &list, false).await, chats(&world, &list, true).await);
    for reason in told {
        assert!(
            text.contains(reason) && lines.contains(reason),
            "{reason} in\n{text}{lines}"
        );
    }
    assert!(
        !text.contains(&invite) && text.contains(&format!("missing\t@{name}\t")),
        "{text}"
    );
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let watched: Vec<_> = lines.iter().filter(|line| line["watched"] == true).collect();
    assert!(watched.len() == 1 && watched[0]["id"] == own[0].id, "{watched:?}");
    assert_eq!(lines.iter().filter(|line| line["id"].is_i64()).count(), own.len());
}

/// A name that was found is kept, although its chat could not be joined.
#[tokio::test]
async fn a_name_is_looked_up_once_for_all_starts() {
    let world = World::start(Config::default()).await;
    world.import(world.spec()).await;
    let (public, _) = strange(&world);
    let list = format!("@{}", public.username.unwrap());
    let asked = FaultKind::Delay {
        ms: 1,
        method: Some("contacts.resolveUsername".to_owned()),
    };
    let asked = world.sim().inject(Fault::new(asked)).unwrap();
    let full = refusal("channels.joinChannel", 400, "CHANNELS_TOO_MUCH");
    let full = world.sim().inject(full).unwrap();
    let hits = |id: &str| {
        let faults = world.sim().faults();
        faults.iter().find(|fault| fault.id == id).unwrap().hits
    };
    for start in 1..=2 {
        let listener = world.listen(watching(&world, &list)).await;
        eventually(LIMIT, "it tries to join", || async { hits(&full) == start }).await;
        assert!(listener.process.stop(LIMIT).await.success());
    }
    assert_eq!(hits(&asked), 1);
    world.sim().heal(&full).unwrap();
    let listener = world.listen(watching(&world, &list)).await;
    eventually(LIMIT, "it is joined", || async {
        let chats = world.sim().chats();
        chats
            .iter()
            .any(|chat| chat.id == public.id && !chat.accounts.is_empty())
    })
    .await;
    assert_eq!(hits(&asked), 1);
    assert!(listener.process.stop(LIMIT).await.success());
}

/// One account for each pod: what one has joined the other one need not, and what one cannot join
/// is the other one's turn.
#[tokio::test]
async fn accounts_of_two_pods_join_each_chat_once() {
    let world = World::start(Config {
        accounts: 2,
        ..Config::default()
    })
    .await;
    let mut fleet = Fleet::on(world).await;
    let (public, private) = strange(&fleet.world);
    let list = format!("@{},+{}", public.username.unwrap(), private.invite.unwrap());
    // One account cannot join the one, and the other account not the other one.
    let full = refusal("channels.joinChannel", 400, "CHANNELS_TOO_MUCH").account("sim-1");
    let expired = refusal("messages.importChatInvite", 400, "CHANNELS_TOO_MUCH").account("sim-2");
    let (full, expired) = (
        fleet.world.sim().inject(full).unwrap(),
        fleet.world.sim().inject(expired).unwrap(),
    );
    let joins = ["channels.joinChannel", "messages.importChatInvite"].map(|method| {
        let delay = FaultKind::Delay {
            ms: 300,
            method: Some(method.to_owned()),
        };
        fleet.world.sim().inject(Fault::new(delay)).unwrap()
    });
    for _ in 0..2 {
        fleet.spawn_with(1, |spec| spec.env("MONITORED_CHATS", &list));
    }
    fleet.every_account_is_held().await;
    let members = |id: i64| {
        let chats = fleet.world.sim().chats();
        chats.into_iter().find(|chat| chat.id == id).unwrap().accounts
    };
    let joined = until(LIMIT, async || {
        !members(public.id).is_empty() && !members(private.id).is_empty()
    })
    .await;
    let logs = || {
        fleet
            .pods
            .iter()
            .map(|pod| pod.listener.process.log_tail())
            .collect::<String>()
    };
    assert!(joined, "{}", logs());
    for pod in &fleet.pods {
        let knows = async || pod.listener.metric("chats_missing").await < 0.5;
        assert!(until(LIMIT, knows).await, "{}", pod.listener.process.log_tail());
    }
    assert_eq!(
        (members(public.id), members(private.id)),
        (vec!["sim-2".to_owned()], vec!["sim-1".to_owned()])
    );
    // Each account tries each chat once at the most, and nobody what was joined already.
    let hits = |id: &str| {
        let faults = fleet.world.sim().faults();
        faults.iter().find(|fault| fault.id == id).unwrap().hits
    };
    let [by_name, by_invite] = joins;
    assert_eq!(hits(&by_name), hits(&full) + 1);
    assert_eq!(hits(&by_invite), hits(&expired) + 1);
    assert!(hits(&full) <= 1 && hits(&expired) <= 1, "{}", logs());
}

pub async fn chats(world: &World, list: &str, as_json: bool) -> String {
    let spec = watching(world, list).arg("chats").args(["--account", "sim-1"]);
    let spec = if as_json { spec.arg("--json") } else { spec };
    let process = Process::spawn(spec).unwrap();
    let status = process.wait(LIMIT).await.unwrap();
    let log = process.log_tail();
    assert!(status.success(), "{log}");
    log
}
