use std::io::Cursor;

use serde_json::{Value, json};

use super::pipeline::{self, Job};
use super::*;

const WIF: &str = "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm";
const EVM: &str = "0x5597Ce42b315F29e42071d231dcd0158DA35B77b";

fn output(input: impl Read + Send + 'static, format: Format) -> (String, Vec<String>) {
    let style = Style::PLAIN;
    let (mut out, mut faults) = (Vec::new(), Vec::new());
    pipeline::run(input, Job { format, style }, |answers, tally| {
        out.extend(answers);
        faults.extend(tally.faults);
        Ok(())
    })
    .unwrap();
    (String::from_utf8(out).unwrap(), faults)
}

fn answers(text: &str) -> (Vec<Value>, Vec<String>) {
    let (out, faults) = output(Cursor::new(text.to_owned()), Format::Jsonl);
    (
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        faults,
    )
}

fn explained(line: &Value) -> String {
    output(Cursor::new(line.to_string()), Format::Explain).0
}

fn addresses(answer: &Value) -> Vec<&str> {
    let found = answer["found"].as_array().unwrap();
    found.iter().map(|found| found["address"].as_str().unwrap()).collect()
}

#[test]
fn one_line_each_in_order() {
    let text = format!(
        "\u{feff}{{\"id\":7,\"text\":\"ca: {WIF}\"}}\n\n{{\"id\":\"b\",\"text\":\"gm\"}}\r\nnonsense\n{{\"id\":{{}},\"text\":\"\"}}"
    );
    let (answers, faults) = answers(&text);
    let ids: Vec<Value> = answers.iter().map(|answer| answer["id"].clone()).collect();
    assert_eq!(ids, [json!(7), json!("b"), json!(null), json!({})]);
    assert_eq!(addresses(&answers[0]), [WIF]);
    assert!(addresses(&answers[1]).is_empty());
    assert_eq!(answers[1], json!({"id": "b", "found": []}), "no other key");
    assert_eq!(faults, [answers[2]["error"].as_str().unwrap()]);
    assert!(
        faults[0].contains("line 4 ") && faults[0].contains("column 2"),
        "{faults:?}"
    );
    let keys: Vec<_> = answers[0]["found"][0].as_object().unwrap().keys().cloned().collect();
    let mut wanted = [
        "family",
        "chain",
        "address",
        "coin_type",
        "role",
        "method",
        "confidence",
        "evidence",
    ];
    wanted.sort_unstable();
    assert_eq!(keys, wanted);
}

/// More lines than one read gives, with as many searchers as there are cores: the order stays, and
/// so do the numbers of the lines.
#[test]
fn many_lines_keep_their_order() {
    let mut text = String::new();
    for n in 0..30_000 {
        let line = match n % 1000 {
            500 => "{\"id\"\n".to_owned(),
            part if part % 7 == 0 => format!("{{\"id\":{n},\"text\":\"{EVM}\"}}\n"),
            _ => format!("{{\"id\":{n},\"text\":\"gm\"}}\n"),
        };
        text += &line;
    }
    let (answers, faults) = answers(&text);
    assert_eq!(answers.len(), 30_000);
    for (n, answer) in answers.iter().enumerate() {
        if n % 1000 == 500 {
            assert!(answer["error"].is_string());
        } else {
            assert_eq!(answer["id"], n);
            assert_eq!(addresses(answer).len(), usize::from(n % 1000 % 7 == 0), "{n}");
        }
    }
    let numbers: Vec<String> = (0..30).map(|k| format!("line {} ", k * 1000 + 501)).collect();
    assert!(
        faults
            .iter()
            .zip(&numbers)
            .all(|(fault, number)| fault.starts_with(number)),
        "{faults:?}"
    );
}

/// A line that nobody can hold in memory is named and passed over, and the next one has its answer.
#[test]
fn a_line_without_end_is_passed_over() {
    let long = io::repeat(b'x').take(40 << 20);
    let rest = Cursor::new(format!("\n{{\"id\":2,\"text\":\"{EVM}\"}}\n"));
    let head = Cursor::new("{\"id\":0,\"text\":\"gm\"}\n");
    let (out, faults) = output(head.chain(long).chain(rest), Format::Jsonl);
    assert_eq!(faults, ["line 2 can't be read: it is longer than 16 MiB"]);
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["id"], addresses(&last)), (&json!(2), vec![EVM]));
    assert_eq!(out.lines().count(), 3);
}

#[test]
fn all_that_hangs_on_a_message_is_read() {
    let link = format!("https://pump.fun/coin/{WIF}");
    for (line, method) in [
        (
            json!({"text": "🚀 chart", "entities": [{"kind": "text_url", "offset": 3, "length": 5, "url": link}]}),
            "entity",
        ),
        (json!({"text": "gm", "buttons": [{"url": link}]}), "button"),
        (json!({"text": "gm", "buttons": [{"copy": WIF}]}), "button"),
        (json!({"text": "gm", "links": [link]}), "link"),
    ] {
        let (answers, _) = answers(&line.to_string());
        assert_eq!(addresses(&answers[0]), [WIF], "{line}");
        assert_eq!(answers[0]["found"][0]["method"], method);
    }
    let (answers, _) = answers(&json!({"text": EVM.to_lowercase(), "prior": "bsc"}).to_string());
    assert_eq!(answers[0]["found"][0]["chain"], "bsc");
}

#[test]
fn reads_exports_of_telegram_desktop() {
    let button = |kind: &str, data: &str| json!([[{"type": "callback", "text": "x", "data": ""}], [{"type": kind, "text": "open", "data": data}]]);
    let messages = json!([
        {"id": 1, "type": "service", "text": ""},
        {"id": 2, "type": "message", "from": "Alice", "text": format!("ca {WIF}"), "text_entities": []},
        {"id": 3, "type": "message", "from": null, "text": ["see ", {"type": "text_link", "text": "this", "href": format!("https://pump.fun/coin/{WIF}")}, "!"]},
        {"id": 4, "type": "message", "text": "gm", "inline_bot_buttons": button("url", &format!("https://pump.fun/coin/{WIF}"))},
        {"id": 5, "type": "message", "text": "gm", "inline_bot_buttons": button("copy_text", WIF)},
        {"id": 6, "type": "message", "text": [7, {"of": "another version"}, format!("ca {WIF}")]},
    ]);
    let one = json!({"name": "a", "type": "private_group", "id": 5, "messages": messages});
    let all = json!({"about": "…", "chats": {"about": "…", "list": [one, {"name": "b", "id": 6, "messages": messages}]}, "left_chats": {"list": []}});
    for export in [serde_json::to_string_pretty(&one).unwrap(), one.to_string()] {
        let (answers, faults) = answers(&export);
        let ids: Vec<_> = answers.iter().map(|answer| answer["id"].clone()).collect();
        assert_eq!(ids, [json!(2), json!(3), json!(4), json!(5), json!(6)]);
        for answer in &answers {
            assert_eq!(addresses(answer), [WIF], "{answer}");
        }
        assert!(faults.is_empty());
    }
    let (answers, _) = answers(&serde_json::to_string_pretty(&all).unwrap());
    let ids: Vec<_> = answers.iter().map(|answer| answer["id"].as_str().unwrap()).collect();
    assert_eq!(
        ids,
        ["5:2", "5:3", "5:4", "5:5", "5:6", "6:2", "6:3", "6:4", "6:5", "6:6"]
    );
}

/// An export that ends too early: what came before has its answer, and the fault is told.
#[test]
fn half_an_export_is_a_fault() {
    let export =
        format!("{{\n \"messages\": [\n  {{\"id\": 2, \"type\": \"message\", \"text\": \"{EVM}\"}},\n  {{\"id\": 3,");
    let mut out = Vec::new();
    let job = Job {
        format: Format::Jsonl,
        style: Style::PLAIN,
    };
    let error = pipeline::run(Cursor::new(export), job, |answers, _| {
        out.extend(answers);
        Ok(())
    })
    .unwrap_err();
    assert!(format!("{error:#}").contains("line 4"), "{error:#}");
    assert!(String::from_utf8(out).unwrap().contains(EVM));
}

/// The first line of JSON lines may be broken too.
#[test]
fn a_broken_first_line_begins_no_export() {
    let (answers, faults) = answers(&format!("{{\"id\":1,\"text\":\"cut\n{{\"id\":2,\"text\":\"{EVM}\"}}\n"));
    assert_eq!((answers.len(), faults.len()), (2, 1));
    assert!(faults[0].starts_with("line 1 "), "{faults:?}");
    assert_eq!(addresses(&answers[1]), [EVM]);
}

#[test]
fn explains_for_people() {
    let page = explained(&json!({"id": "x", "text": format!("buy \u{1b}[31m {EVM} now")}));
    assert!(!page.contains('\u{1b}'), "{page}");
    let rows: Vec<&str> = page.lines().collect();
    let column = |row: &str, what: char| row.chars().position(|c| c == what);
    assert_eq!(rows[1], format!("  │ buy \\u{{1b}}[31m {EVM} now"));
    assert_eq!(
        rows[2].trim_start_matches("  │ ").trim_start(),
        format!("{} 1", "^".repeat(42))
    );
    assert_eq!(
        column(rows[2], '^'),
        rows[1]
            .chars()
            .collect::<String>()
            .find("0x5597")
            .map(|at| at - "│".len() + 1)
    );
    assert!(page.contains("eip55") && page.contains("% sure"), "{page}");
}

/// Wide characters and marks before a place move it by the columns they take.
#[test]
fn underlines_by_columns() {
    let page = explained(&json!({"text": format!("合约e\u{301}: {EVM}")}));
    let under = page.lines().nth(2).unwrap();
    let columns = under
        .chars()
        .skip("  │ ".chars().count())
        .take_while(|&c| c == ' ')
        .count();
    assert_eq!(columns, 2 + 2 + 1 + 2, "{page}");
}

/// What a terminal may turn around is marked where it stands.
#[test]
fn text_from_right_to_left_has_brackets() {
    let page = explained(&json!({"text": format!("عقد: {EVM} اليوم")}));
    assert!(page.contains(&format!("⟦1 {EVM}⟧")) && !page.contains('^'), "{page}");
}

#[test]
fn long_messages_are_shown_where_it_matters() {
    let text = format!("{}CA: {EVM}\n{}", "nothing\n".repeat(30), "more\n".repeat(30));
    let page = explained(&json!({"text": text}));
    assert_eq!(page.matches("nothing").count(), 1, "{page}");
    assert_eq!(page.matches('…').count(), 2, "{page}");
    assert_eq!(page.matches('^').count(), 42);
}

#[test]
fn hidden_and_lost_links_are_told() {
    let link = format!("https://etherscan.io/token/{EVM}");
    let page = explained(
        &json!({"text": "chart here", "entities": [{"kind": "text_url", "offset": 0, "length": 5, "url": link}]}),
    );
    assert!(page.contains("behind “chart”"), "{page}");
    let lost = format!("https://dexscreener.com/solana/{}", WIF.to_lowercase());
    let message = json!({"id": 1, "text": format!("chart {lost}")});
    let page = explained(&message);
    assert!(
        page.contains("can't be read back") && page.contains("dexscreener.com"),
        "{page}"
    );
    assert_eq!(page.matches('^').count(), lost.len(), "{page}");
    let (table, _) = output(Cursor::new(message.to_string()), Format::Table);
    assert!(table.contains("can't be read back") && table.contains(&lost), "{table}");
    let (answers, _) = answers(&message.to_string());
    assert_eq!(answers[0], json!({"id": 1, "found": []}));
}

#[test]
fn a_table_has_a_row_for_each_address() {
    let lines = format!(
        "{}\nnonsense\n{}\n",
        json!({"id": "a\u{1b}[2J and more than fits", "text": format!("{EVM} {WIF}")}),
        json!({"id": 2, "text": "gm"})
    );
    let (table, faults) = output(Cursor::new(lines), Format::Table);
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!((rows.len(), faults.len()), (2, 1), "{table}");
    assert!(!table.contains('\u{1b}'));
    let column = table::HEAD.find("address").unwrap();
    for (row, address) in rows.iter().zip([EVM, WIF]) {
        // The ellipsis of the id is one column and three bytes.
        assert_eq!(row.chars().skip(column).collect::<String>(), address);
    }
}
