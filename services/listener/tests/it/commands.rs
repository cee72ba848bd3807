use std::os::unix::fs::PermissionsExt as _;

use tgmesh_telegram_sim::{ChatKind, Config};
use tgmesh_testkit::process::Process;

use crate::world::{LIMIT, World, address};

#[tokio::test]
async fn sessions_are_imported_once_and_listed_without_secrets() {
    let world = World::start(Config {
        accounts: 3,
        ..Config::default()
    })
    .await;
    let folder = world.sessions();
    for spec in [world.spec(), world.spec().env("SESSION_STORE", &folder)] {
        let first = world.import(spec.clone()).await;
        assert_eq!(first, "sim-1\timported\nsim-2\timported\nsim-3\timported\n");
        let again = world.import(spec.clone()).await;
        assert_eq!(again, "sim-1\tunchanged\nsim-2\tunchanged\nsim-3\tunchanged\n");
        let list = Process::spawn(spec.arg("sessions").arg("list")).unwrap();
        assert!(list.wait(LIMIT).await.unwrap().success());
        let log = list.log_tail();
        let names: Vec<_> = log.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(names, ["sim-1", "sim-2", "sim-3"]);
        assert!(!log.contains("710000000"), "{log}");
    }
    let auth_key = world.sim().accounts()[0].auth_key.clone();
    let plain: Vec<u8> = (0..512)
        .step_by(2)
        .map(|n| u8::from_str_radix(&auth_key[n..n + 2], 16).unwrap())
        .collect();
    let file = folder.join("sim-1.session");
    let sealed = std::fs::read(&file).unwrap();
    assert!(!sealed.windows(16).any(|window| window == &plain[..16]));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_folder_of_sessions_serves_as_well() {
    let world = World::start(Config::default()).await;
    let spec = || world.spec().env("SESSION_STORE", world.sessions());
    world.import(spec()).await;
    let listener = world.listen(spec()).await;
    let chat = world.chat(ChatKind::Supergroup);
    world.post(chat, format!("call {}", address(700)));
    world.wait_for(1, &listener).await;
    assert!(listener.process.stop(LIMIT).await.success());
    world.post(chat, format!("call {}", address(701)));
    let listener = world.listen(spec()).await;
    let events = world.wait_for(2, &listener).await;
    assert_eq!(events[1].address, address(701));
}

#[tokio::test]
async fn bad_files_are_refused_without_their_content() {
    let world = World::start(Config::default()).await;
    let scratch = tgmesh_testkit::Scratch::new().unwrap();
    let file = scratch.path().join("accounts.json");
    for content in [
        "{",
        "[{\"name\":\"hunter2\"}]",
        "[{\"name\":\"a\",\"user_id\":1,\"dc_id\":2,\"address\":\"127.0.0.1:1\",\"auth_key\":\"hunter2\"}]",
    ] {
        std::fs::write(&file, content).unwrap();
        let import = Process::spawn(world.spec().arg("sessions").arg("import").arg(&file)).unwrap();
        let status = import.wait(LIMIT).await.unwrap();
        let log = import.log_tail();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains("couldn't import") && !log.contains("hunter2"), "{log}");
    }
}

#[tokio::test]
async fn sessions_that_cannot_be_opened_say_what_to_do() {
    let world = World::start(Config {
        accounts: 3,
        ..Config::default()
    })
    .await;
    let folder = world.sessions();
    let spec = || world.spec().env("SESSION_STORE", &folder);
    world.import(spec()).await;
    let file = |name: &str| folder.join(format!("{name}.session"));
    // Another account's, and one that a full disk cut short.
    std::fs::copy(file("sim-1"), file("sim-2")).unwrap();
    let whole = std::fs::read(file("sim-3")).unwrap();
    std::fs::write(file("sim-3"), &whole[..20]).unwrap();
    for command in [&["sessions", "list"][..], &["sessions", "check"], &["chats"]] {
        let process = Process::spawn(spec().args(command)).unwrap();
        let status = process.wait(LIMIT).await.unwrap();
        let log = process.log_tail();
        let about = |name: &str, what: &str| log.lines().any(|line| line.contains(name) && line.contains(what));
        assert!(about("sim-2", "belongs to another account"), "{log}");
        assert!(about("sim-3", "was cut short"), "{log}");
        assert_eq!(log.matches("tgmesh login --again").count(), 2, "{log}");
        // What is well is shown all the same.
        assert!(log.contains("sim-1"), "{log}");
        assert_eq!(status.success(), command.contains(&"list"), "{log}");
    }
}
