//! Signing in, end to end: the binary in a pseudo-terminal or on a pipe, against the simulator.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tgmesh_telegram_sim::{ChatKind, Config, Fault, FaultKind, Person};
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{Scratch, eventually};

use crate::world::{KEY, LIMIT, World, address};

/// A sign-in under test: what it is told, and what it says.
struct Login {
    process: Process,
    input: Option<std::fs::File>,
    _scratch: Scratch,
}

impl Login {
    /// The binary with its input on a pipe, or in a pseudo-terminal.
    fn begin(world: &World, args: &[&str], in_terminal: bool) -> Self {
        let scratch = Scratch::new().unwrap();
        let pipe = scratch.path().join("input");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let binary = env!("CARGO_BIN_EXE_tgmesh-listener");
        // Held open at both ends, so that nobody waits for the other.
        let mut program = vec![
            "python3",
            "-c",
            RUNNER,
            pipe.to_str().unwrap(),
            if in_terminal { "pty" } else { "pipe" },
        ];
        program.push(binary);
        program.extend(["login", "--account", "alice"]);
        program.extend(args);
        let spec = Spec::new("/usr/bin/env").args(program);
        let mut spec = spec
            .env("TELEGRAM_API_ID", "1")
            .env("TELEGRAM_API_HASH", "0123456789abcdef0123456789abcdef")
            .env("TELEGRAM_ENCRYPTION_KEY", KEY)
            .env("TELEGRAM_DC", world.data_centre.mtproto_addr.to_string())
            .env("SESSION_STORE", world.sessions());
        for name in ["TELEGRAM_BOT_TOKEN", "TELEGRAM_ACCOUNTS", "RUST_LOG"] {
            spec = spec.env_remove(name);
        }
        let process = Process::spawn(spec).unwrap();
        let input = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        Self {
            process,
            input: Some(input),
            _scratch: scratch,
        }
    }

    /// Waits until it says this, `times` times in all.
    async fn says(&self, text: &str, times: usize) {
        let said = || async {
            let log = self.process.log_tail();
            let found = log.matches(text).count() >= times;
            assert!(found || self.process.is_running(), "no {text:?} in\n{log}");
            found
        };
        let has_said = tgmesh_testkit::until(LIMIT, said).await;
        assert!(has_said, "no {text:?} in\n{}", self.process.log_tail());
    }

    fn answer(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    async fn ends(&self, code: i32) -> String {
        let status = self.process.wait(LIMIT).await.unwrap();
        let log = self.process.log_tail();
        assert_eq!(status.code(), Some(code), "{log}");
        log
    }
}

/// Runs a command with its input from a named pipe: as it is, or as what is typed in a terminal.
pub const RUNNER: &str = r#"
import os, pty, select, sys
path, how, command = sys.argv[1], sys.argv[2], sys.argv[3:]
if how == "pipe":
    os.dup2(os.open(path, os.O_RDWR), 0)
    os.execv(command[0], command)
child, terminal = pty.fork()
if child == 0:
    os.execv(command[0], command)
typed = os.open(path, os.O_RDWR)
while True:
    ready, _, _ = select.select([typed, terminal], [], [])
    try:
        if terminal in ready:
            shown = os.read(terminal, 65536)
            if not shown:
                break
            os.write(1, shown)
        elif typed in ready:
            os.write(terminal, os.read(typed, 65536))
    except OSError:
        break
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

/// A simulator whose first account is signed out everywhere but for its own seeded key, and a
/// stored session that is still to be signed in.
async fn world() -> World {
    let world = World::start(Config {
        accounts: 2,
        ..Config::default()
    })
    .await;
    seed(&world).await;
    world
}

/// Stores keys that nobody has signed in with as the session of alice.
async fn seed(world: &World) {
    let keys = world.sim().new_keys("alice").unwrap();
    let file: PathBuf = world.sessions().with_extension("keys");
    std::fs::write(&file, serde_json::to_vec(&[keys]).unwrap()).unwrap();
    let import = Process::spawn(local(world).arg("sessions").arg("import").arg(&file)).unwrap();
    assert!(import.wait(LIMIT).await.unwrap().success(), "{}", import.log_tail());
}

fn local(world: &World) -> Spec {
    world.spec().env("SESSION_STORE", world.sessions())
}

fn code(world: &World) -> String {
    world.sim().codes()[0].code.clone()
}

fn wrong(code: &str) -> String {
    if code == "00000" {
        "11111".to_owned()
    } else {
        "00000".to_owned()
    }
}

/// Runs a command about sessions to its end.
async fn sessions(world: &World, args: &[&str]) -> (i32, String) {
    let process = Process::spawn(local(world).arg("sessions").args(args)).unwrap();
    let status = process.wait(LIMIT).await.unwrap();
    (status.code().unwrap(), process.log_tail())
}

/// A detection comes through the account that was signed in.
async fn listens(world: &World, n: u64) {
    let listener = world.listen(local(world).env("TELEGRAM_ACCOUNTS", "alice")).await;
    world.post(world.chat(ChatKind::Channel), format!("call {}", address(n)));
    let events = world.wait_for(1, &listener).await;
    assert_eq!(events.last().unwrap().listener.account, "alice");
    assert!(listener.process.stop(LIMIT).await.success());
}

#[tokio::test]
async fn with_number_code_and_password_in_a_terminal() {
    let world = world().await;
    let person = Person {
        password: Some("correct horse".to_owned()),
        hint: Some("battery\u{1b}[2J".to_owned()),
        ..Person::default()
    };
    world.sim().change("sim-1", person).unwrap();
    let mut login = Login::begin(&world, &[], true);
    login.says("Phone number", 1).await;
    login.answer("what");
    login.says("PHONE_NUMBER_INVALID", 1).await;
    login.says("Phone number", 2).await;
    login.answer("+999 66 00001");
    login.says("Code:", 1).await;
    let first = code(&world);
    login.answer(&wrong(&first));
    login.says("look again", 1).await;
    world.sim().expire_logins();
    login.says("Code:", 2).await;
    login.answer(&first);
    login.says("A new code is on its way", 1).await;
    login.says("Code:", 3).await;
    login.answer(&code(&world));
    login.says("your hint: battery[2J", 1).await;
    login.answer("wrong donkey");
    login.says("PASSWORD_HASH_INVALID", 1).await;
    login.says("your hint", 2).await;
    login.answer("correct horse");
    let log = login.ends(0).await;
    assert!(log.contains("account alice is signed in as +99"), "{log}");
    // The number is typed in sight, the password is not; neither is told again.
    assert!(!log.contains("donkey") && !log.contains("horse"), "{log}");
    assert!(
        !log.split("signed in as").nth(1).unwrap().contains("9996600001"),
        "{log}"
    );
    listens(&world, 800).await;
    let (status, log) = sessions(&world, &["check"]).await;
    assert!(status == 0 && log.contains("alice\tgood\tSim 1"), "{log}");
}

#[tokio::test]
async fn from_a_pipe_and_in_another_data_centre() {
    let world = world().await;
    let person = Person {
        dc_id: Some(4),
        ..Person::default()
    };
    world.sim().change("sim-1", person).unwrap();
    let mut login = Login::begin(&world, &["--phone", "9996600001"], false);
    login.says("Code:", 1).await;
    login.answer(&code(&world));
    login.ends(0).await;
    let (_, log) = sessions(&world, &["list"]).await;
    assert!(log.contains("alice\t+99") && log.contains("\tDC 4\t"), "{log}");
    listens(&world, 801).await;
}

#[tokio::test]
async fn as_a_bot_with_a_token_of_the_environment_or_typed() {
    let world = world().await;
    let person = Person {
        bot_token: Some("710000000:sesame".to_owned()),
        dc_id: Some(4),
        ..Person::default()
    };
    world.sim().change("sim-1", person).unwrap();
    let mut login = Login::begin(&world, &["--bot"], true);
    login.says("Token of the bot", 1).await;
    login.answer("710000000:wrong");
    let log = login.ends(1).await;
    assert!(log.contains("@BotFather") && !log.contains(":wrong"), "{log}");
    let mut login = Login::begin(&world, &["--bot"], true);
    login.says("Token of the bot", 1).await;
    login.answer("710000000:sesame");
    let log = login.ends(0).await;
    assert!(log.contains("signed in as") && !log.contains("sesame"), "{log}");
    let (_, log) = sessions(&world, &["list"]).await;
    assert!(log.contains("alice\tbot "), "{log}");
}

#[tokio::test]
async fn with_a_code_that_another_device_reads() {
    use base64::Engine as _;
    for (dc_id, password) in [(2, None), (4, Some("correct horse"))] {
        let world = world().await;
        let person = Person {
            dc_id: Some(dc_id),
            password: password.map(str::to_owned),
            ..Person::default()
        };
        world.sim().change("sim-1", person).unwrap();
        world.sim().set_token_seconds(2);
        let mut login = Login::begin(&world, &["--qr"], true);
        login.says("tg://login?token=", 1).await;
        // A code that is over gives way to a new one.
        world.sim().set_token_seconds(60);
        login.says("tg://login?token=", 2).await;
        let log = login.process.log_tail();
        assert!(log.contains('▀') && log.contains('▄'), "{log}");
        // On a slow machine the second one is over, too, before it is read.
        eventually(LIMIT, "it is let in", || async {
            let log = login.process.log_tail();
            let link = log.rsplit("tg://login?token=").next().unwrap();
            let token = link.split_whitespace().next().unwrap();
            let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token);
            token.is_ok_and(|token| world.sim().accept_token("sim-1", &token).is_ok())
        })
        .await;
        if let Some(password) = password {
            login.says("Password of two-step verification", 1).await;
            login.answer(password);
        }
        login.ends(0).await;
        listens(&world, 802).await;
    }
}

#[tokio::test]
async fn what_telegram_refuses_is_told_with_what_to_do() {
    let world = world().await;
    let flood = |method: &str, seconds| {
        Fault::new(FaultKind::FloodWait {
            seconds,
            method: Some(method.to_owned()),
        })
    };
    let number = ["--phone", "9996600001"];
    let fault = world.sim().inject(flood("auth.sendCode", 3_723)).unwrap();
    let log = Login::begin(&world, &number, false).ends(1).await;
    assert!(log.contains("wait 1 h 2 min"), "{log}");
    world.sim().heal(&fault).unwrap();
    let banned = |yes| Person {
        phone_banned: Some(yes),
        ..Person::default()
    };
    world.sim().change("sim-1", banned(true)).unwrap();
    let log = Login::begin(&world, &number, false).ends(1).await;
    assert!(
        log.contains("PHONE_NUMBER_BANNED") && log.contains("recover@telegram.org"),
        "{log}"
    );
    world.sim().change("sim-1", banned(false)).unwrap();
    let log = Login::begin(&world, &["--phone", "+1 212 5550123"], false);
    let mut login = log;
    login.says("Code:", 1).await;
    login.answer(&code(&world));
    let log = login.ends(1).await;
    assert!(log.contains("no Telegram account has this number"), "{log}");
    // Nothing was stored of all that.
    let (_, log) = sessions(&world, &["list"]).await;
    assert!(log.contains("not signed in yet"), "{log}");
}

#[tokio::test]
async fn a_session_in_place_is_kept_unless_it_is_to_be_replaced() {
    let world = world().await;
    let mut login = Login::begin(&world, &["--phone", "9996600001"], false);
    login.says("Code:", 1).await;
    login.answer(&code(&world));
    login.ends(0).await;
    let log = Login::begin(&world, &["--phone", "9996600001"], false).ends(1).await;
    assert!(
        log.contains("has a session already") && log.contains("--again"),
        "{log}"
    );
    // Revoking it asks, and then ends it on both sides.
    let (status, log) = sessions(&world, &["revoke", "alice", "--yes"]).await;
    assert!(status == 0 && log.contains("signed out at Telegram"), "{log}");
    let (_, log) = sessions(&world, &["list"]).await;
    assert_eq!(log, "");
    let (status, log) = sessions(&world, &["check", "alice"]).await;
    assert!(status == 1 && log.contains("tgmesh login --account alice"), "{log}");
}

#[tokio::test]
async fn sessions_that_telegram_has_ended_are_told_apart() {
    let world = world().await;
    world.import(local(&world)).await;
    let ended = |name: &str| Fault {
        account: Some("sim-1".to_owned()),
        ..Fault::new(FaultKind::SignedOut {
            message: name.to_owned(),
        })
    };
    for (name, advice) in [
        ("SESSION_REVOKED", "from another device"),
        ("AUTH_KEY_UNREGISTERED", "does not know the session"),
        ("USER_DEACTIVATED", "was deleted"),
    ] {
        let fault = world.sim().inject(ended(name)).unwrap();
        let (status, log) = sessions(&world, &["check", "sim-1", "sim-2"]).await;
        assert!(
            status == 1 && log.contains("sim-1\tNOT GOOD") && log.contains(advice),
            "{log}"
        );
        assert!(log.contains("sim-2\tgood\tSim 2"), "{log}");
        world.sim().heal(&fault).unwrap();
    }
    let person = Person {
        banned: Some(true),
        ..Person::default()
    };
    world.sim().change("sim-1", person).unwrap();
    let (_, log) = sessions(&world, &["check"]).await;
    assert!(
        log.contains("USER_DEACTIVATED_BAN") && log.contains("alice\tNOT GOOD\tnobody is signed in"),
        "{log}"
    );
}

#[tokio::test]
async fn sessions_are_sealed_anew_with_the_first_key() {
    let world = world().await;
    world.import(world.spec()).await;
    let new = "ff".repeat(32);
    let run = async |key: &str, args: &[&str]| {
        let spec = world.spec().env("TELEGRAM_ENCRYPTION_KEY", key);
        let process = Process::spawn(spec.arg("sessions").args(args)).unwrap();
        let status = process.wait(LIMIT).await.unwrap();
        (status.code().unwrap(), process.log_tail())
    };
    let (status, log) = run(&new, &["reseal"]).await;
    assert!(
        status == 1 && log.contains("sim-1\tFAILED") && log.contains("put that key behind the first"),
        "{log}"
    );
    let both = format!("{new},{KEY}");
    assert_eq!(
        run(&both, &["reseal"]).await,
        (0, "sim-1\tresealed\nsim-2\tresealed\n".to_owned())
    );
    assert_eq!(
        run(&both, &["reseal"]).await,
        (0, "sim-1\tunchanged\nsim-2\tunchanged\n".to_owned())
    );
    let (_, log) = run(&new, &["list"]).await;
    assert!(
        log.contains("sim-1\t71•••••00") && !log.contains("cannot be opened"),
        "{log}"
    );
    let (_, log) = run(KEY, &["list"]).await;
    assert!(log.contains("sim-1\tit was sealed with key"), "{log}");
}

#[tokio::test]
async fn a_listener_waits_until_its_account_is_signed_in() {
    let world = world().await;
    let listener = crate::world::Listener::start(local(&world).env("TELEGRAM_ACCOUNTS", "alice"));
    eventually(LIMIT, "it says so", || async {
        listener.process.log_tail().contains("tgmesh login")
    })
    .await;
    let mut login = Login::begin(&world, &["--phone", "9996600001"], false);
    login.says("Code:", 1).await;
    login.answer(&code(&world));
    login.ends(0).await;
    listener.ready().await;
    assert!(listener.process.stop(LIMIT).await.success());
}

/// Every piece that makes a command incomplete, in one run.
#[tokio::test]
async fn missing_settings_are_told_with_where_to_get_them() {
    let login = Command::new(env!("CARGO_BIN_EXE_tgmesh-listener"))
        .args(["login"])
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let log = String::from_utf8(login.stderr).unwrap();
    assert_eq!(login.status.code(), Some(64), "{log}");
    for (name, what) in [
        ("TELEGRAM_API_ID", "my.telegram.org"),
        ("TELEGRAM_API_HASH", "my.telegram.org"),
        ("TELEGRAM_ENCRYPTION_KEY", "is required"),
        ("--account", "a name of your choice"),
    ] {
        assert!(
            log.lines().any(|line| line.contains(name) && line.contains(what)),
            "{name} in\n{log}"
        );
    }
}
