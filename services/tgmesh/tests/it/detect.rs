//! `tgmesh detect` as a person and as a pipe use it: the real binary, with and without a terminal.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tgmesh_testkit::{Scratch, binary, eventually, python, repo_root};

const EVM: &str = "0x5597Ce42b315F29e42071d231dcd0158DA35B77b";
const LIMIT: Duration = Duration::from_secs(30);

fn detect() -> Command {
    let mut command = Command::new(binary("tgmesh"));
    command
        .arg("detect")
        .env_remove("NO_COLOR")
        .env("TERM", "xterm-256color");
    command
}

fn written(scratch: &Scratch, name: &str, text: &str) -> PathBuf {
    let path = scratch.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Lines of which every tenth holds an address.
fn lines(count: usize) -> String {
    let line = |n: usize| {
        let text = if n.is_multiple_of(10) {
            format!("ca {EVM}")
        } else {
            "gm frens, what a night".to_owned()
        };
        json!({ "id": n, "text": text }).to_string() + "\n"
    };
    (0..count).map(line).collect()
}

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (
        status.code(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

/// Runs it with one output on a terminal.
fn on_terminal(which: &str, columns: u32, command: &Command, stdin: &Path) -> Value {
    let mut python = Command::new(python());
    python
        .arg(repo_root().join("services/tgmesh/tests/terminal.py"))
        .args([which, &columns.to_string()]);
    python
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(File::open(stdin).unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    let (code, out, err) = output(&mut python);
    assert_eq!(code, Some(0), "{err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn a_pipe_gets_answers_and_nothing_else() {
    let scratch = Scratch::new().unwrap();
    let file = written(&scratch, "messages.jsonl", &lines(20_000));
    let (code, out, err) = output(detect().arg(&file));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let answers: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 20_000);
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer["id"], n);
        assert_eq!(answer["found"].as_array().unwrap().len(), usize::from(n % 10 == 0));
    }
}

#[test]
fn a_broken_line_has_an_answer_a_message_and_an_exit_code() {
    let scratch = Scratch::new().unwrap();
    let file = written(
        &scratch,
        "messages.jsonl",
        &format!("{}nonsense\n{}", lines(2), lines(1)),
    );
    let (code, out, err) = output(detect().arg(&file));
    assert_eq!(code, Some(1));
    assert_eq!(out.lines().count(), 4);
    let answer: Value = serde_json::from_str(out.lines().nth(2).unwrap()).unwrap();
    assert!(answer["error"].as_str().unwrap().starts_with("line 3 "), "{answer}");
    assert!(err.starts_with("tgmesh: line 3 can't be read: "), "{err}");
    let (code, out, err) = output(detect().arg("--format=table").arg(&file));
    assert_eq!((code, out.lines().count()), (Some(1), 3), "{out}");
    assert!(err.starts_with("tgmesh: line 3 can't be read: "), "{err}");
}

#[test]
fn wrong_arguments_are_told_apart_from_failures() {
    let (code, _, err) = output(detect().arg("/nowhere/messages.jsonl"));
    assert_eq!(code, Some(1));
    assert!(err.contains("couldn't open /nowhere/messages.jsonl"), "{err}");
    let (code, _, _) = output(detect().args(["--explain", "--format", "table"]));
    assert_eq!(code, Some(64));
    let (code, _, _) = output(detect().args(["--format", "explain"]));
    assert_eq!(code, Some(64));
}

/// `tgmesh detect FILE | head -1`.
#[test]
fn a_reader_who_has_seen_enough_ends_it_quietly() {
    let scratch = Scratch::new().unwrap();
    let file = written(&scratch, "messages.jsonl", &lines(200_000));
    let mut child = detect()
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(first.contains(EVM));
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!((status.code(), stderr.len()), (Some(0), 0));
}

/// The same where the input goes on without a word: nobody waits for it.
#[tokio::test]
async fn an_open_input_does_not_hold_the_end_up() {
    let mut child = detect()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    drop(child.stdout.take());
    stdin.write_all(lines(1).as_bytes()).unwrap();
    let child = std::sync::Mutex::new(child);
    eventually(LIMIT, "it has ended", || async {
        child.lock().unwrap().try_wait().unwrap().is_some()
    })
    .await;
    let Output { status, stderr, .. } = child.into_inner().unwrap().wait_with_output().unwrap();
    assert_eq!((status.code(), stderr.len()), (Some(0), 0));
    drop(stdin);
}

/// More than it may hold goes through it.
#[test]
fn memory_does_not_grow_with_the_input() {
    const INPUT: usize = 96 << 20;
    const MOST_KIB: u64 = 64 << 10;
    let mut child = detect().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let chunk = lines(10_000);
    let writer = std::thread::spawn(move || {
        for _ in 0..INPUT / chunk.len() {
            stdin.write_all(chunk.as_bytes()).unwrap();
        }
        stdin
    });
    let mut answers = BufReader::new(child.stdout.take().unwrap());
    let mut count = 0_usize;
    let wanted = INPUT / lines(10_000).len() * 10_000;
    let mut line = Vec::new();
    while count < wanted {
        line.clear();
        assert!(answers.read_until(b'\n', &mut line).unwrap() > 0, "{count} of {wanted}");
        count += 1;
    }
    // It waits for more: the input is still open.
    let peak = peak_kib(&child);
    assert!(peak < MOST_KIB, "{peak} KiB for {INPUT} bytes");
    drop(writer.join().unwrap());
    assert!(child.wait().unwrap().success());
}

fn peak_kib(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn progress_is_shown_on_a_terminal_alone() {
    let scratch = Scratch::new().unwrap();
    let file = written(&scratch, "messages.jsonl", &format!("{}{{\n", lines(1200)));
    let out = on_terminal("stderr", 80, detect().arg(&file), Path::new("/dev/null"));
    let shown = out["terminal"].as_str().unwrap();
    for part in [
        "1,200 messages",
        "120 finds",
        "/s",
        "1 unreadable",
        "100 %",
        "line 1201",
    ] {
        assert!(shown.contains(part), "no {part:?} in {shown:?}");
    }
    assert_eq!(out["code"], 1);
    assert_eq!(out["other"].as_str().unwrap().lines().count(), 1201);
    // Standard input has no size.
    let out = on_terminal("stderr", 80, &detect(), &written(&scratch, "good.jsonl", &lines(10)));
    let shown = out["terminal"].as_str().unwrap();
    assert!(
        shown.contains("10 messages, 1 finds") && !shown.contains('%'),
        "{shown:?}"
    );
    // Answers that a person reads leave no room for it.
    let out = on_terminal("stdout", 80, detect().arg(&file), Path::new("/dev/null"));
    assert!(!out["terminal"].as_str().unwrap().contains("messages"), "{out}");
}

#[test]
fn explanations_are_coloured_where_colours_are_welcome() {
    let scratch = Scratch::new().unwrap();
    let message = json!({ "id": 1, "text": format!("\u{1b}[2J\u{202e}new: {EVM}") });
    let file = written(&scratch, "message.jsonl", &message.to_string());
    let explained = |command: &mut Command| {
        let out = on_terminal(
            "stdout",
            60,
            command.arg("--explain").arg(&file),
            Path::new("/dev/null"),
        );
        out["terminal"].as_str().unwrap().to_owned()
    };
    let page = explained(&mut detect());
    assert!(page.contains(&format!("\u{1b}[1;32m{EVM}")), "{page:?}");
    assert!(!page.contains("\u{1b}[2J") && !page.contains('\u{202e}'), "{page:?}");
    for plain in [
        explained(detect().env("NO_COLOR", "1")),
        explained(detect().env("TERM", "dumb")),
    ] {
        assert!(!plain.contains('\u{1b}') && plain.contains('^'), "{plain:?}");
        // Rows fit the terminal, so that what is underlined stands above its line.
        assert!(
            plain
                .lines()
                .filter(|line| line.contains('│'))
                .all(|line| line.chars().count() <= 60),
            "{plain}"
        );
    }
    let (code, page, err) = output(detect().arg("--explain").arg(&file));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(!page.contains('\u{1b}') && page.contains("because of eip55"), "{page}");
}

#[test]
fn a_table_has_its_head_and_its_rows() {
    let scratch = Scratch::new().unwrap();
    let file = written(&scratch, "messages.jsonl", &lines(30));
    let (code, table, _) = output(detect().args(["--format", "table"]).arg(&file));
    assert_eq!((code, table.lines().count()), (Some(0), 4), "{table}");
    assert!(
        table.starts_with("id ") && table.lines().skip(1).all(|row| row.ends_with(EVM)),
        "{table}"
    );
}

#[test]
fn an_export_is_read_from_a_file() {
    let scratch = Scratch::new().unwrap();
    let messages: Vec<Value> =
        (0..1000).map(|n| json!({ "id": n, "type": "message", "from": "Alice", "text": ["ca ", { "type": "code", "text": EVM }] })).collect();
    let export = json!({ "name": "calls", "type": "public_channel", "id": 1, "messages": messages });
    let file = written(&scratch, "result.json", &serde_json::to_string_pretty(&export).unwrap());
    let (code, out, err) = output(detect().arg(&file));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let ids: Vec<u64> = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, (0..1000).collect::<Vec<_>>());
    assert_eq!(out.matches(EVM).count(), 1000);
}
