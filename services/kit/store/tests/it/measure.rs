//! What rows cost, printed (`cargo test --release -p tgmesh-store --test it measure -- --nocapture
//! --ignored`). The server's CPU time per row says more than rows per second on a machine that
//! does other things too.

use std::time::{Duration, Instant};

use tgmesh_store::detections::Row;
use tgmesh_store::{DbConfig, Store};
use tgmesh_testkit::postgres::Server;

use crate::{NOW_US, event, place};

const ROWS: u64 = 100_000;
const BATCH: u64 = 1000;

/// Rows as a mesh sees them: 50 chats, each address in several, half with a sender.
fn rows(from: u64) -> Vec<Row> {
    (from..from + BATCH)
        .map(|n| {
            let mut event = event(n);
            // Ids are hashes, and so are addresses.
            let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut id = [0; 16];
            id[..8].copy_from_slice(&mixed.to_be_bytes());
            id[8..].copy_from_slice(&n.to_be_bytes());
            event.id = tgmesh_proto::id::EventId::from_bytes(id);
            event.address = format!(
                "0x{:040x}",
                u128::from(n / 4).wrapping_mul(0x1234_5678_9abc_def1_2345_6789)
            );
            event.raw.clone_from(&event.address);
            event.chat.id -= (n % 50) as i64;
            event.seen_before = None;
            event.message.forward_from = None;
            event.message.edit_date_ms = None;
            event.message.date_ms = (NOW_US / 1000) as i64 - 86_400_000 + (n / 100) as i64 * 1000;
            if n % 2 == 0 {
                event.sender = None;
            }
            Row::new(event, place(n), NOW_US).unwrap()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, best alone on a quiet machine"]
async fn what_a_row_costs() {
    let server = Server::start().await.unwrap();
    let pid = server.process().unwrap().pid();
    let variants = [
        ("as it is", ""),
        ("without the chat's index", "DROP INDEX detections_chat"),
        ("without the address's index", "DROP INDEX detections_address"),
        ("without the sender's index", "DROP INDEX detections_sender"),
        ("without the transaction's index", "DROP INDEX detections_archived"),
        (
            "without any but the key",
            "DROP INDEX detections_chat; DROP INDEX detections_address; DROP INDEX detections_sender; \
             DROP INDEX detections_archived",
        ),
    ];
    for (name, change) in variants {
        let database = server.database().await.unwrap();
        let store = Store::connect(&DbConfig::parse(database.url()).unwrap(), 1)
            .await
            .unwrap();
        store.migrate().await.unwrap();
        if !change.is_empty() {
            database.query(change).await.unwrap();
        }
        let batches: Vec<Vec<Row>> = (0..ROWS / BATCH).map(|n| rows(n * BATCH)).collect();
        let (began, cpu) = (Instant::now(), cpu_us(pid));
        for batch in &batches {
            store.detections().insert_batch(batch).await.unwrap();
        }
        let took = began.elapsed();
        // A process that ends is added to its parent.
        let cpu = cpu_us(pid) - cpu;
        let size = database
            .query("SELECT sum(pg_relation_size(oid)), (SELECT sum(pg_relation_size(indexrelid)) FROM pg_index WHERE indrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'detections'::regclass)) FROM pg_class WHERE oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'detections'::regclass)")
            .await
            .unwrap();
        let sizes: Vec<f64> = size
            .split('|')
            .map(|bytes| bytes.parse::<f64>().unwrap() / ROWS as f64)
            .collect();
        println!(
            "{name}: {:.0} rows/s, {:.1} us of the server's CPU a row, {:.0} B a row in the table, {:.0} B in indexes",
            ROWS as f64 / took.as_secs_f64(),
            cpu as f64 / ROWS as f64,
            sizes[0],
            sizes[1]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, best alone on a quiet machine"]
async fn what_counting_a_row_costs() {
    let server = Server::start().await.unwrap();
    let pid = server.process().unwrap().pid();
    let database = server.database().await.unwrap();
    let store = Store::connect(&DbConfig::parse(database.url()).unwrap(), 1)
        .await
        .unwrap();
    store.migrate().await.unwrap();
    for n in 0..ROWS / BATCH {
        store.detections().insert_batch(&rows(n * BATCH)).await.unwrap();
    }
    let (began, cpu) = (Instant::now(), cpu_us(pid));
    let mut longest = Duration::ZERO;
    let mut counted = 0;
    while counted < ROWS {
        let step = Instant::now();
        counted += store.roll_up(10_000).await.unwrap().map_or(0, |step| step.rows);
        longest = longest.max(step.elapsed());
    }
    println!(
        "counting: {:.0} rows/s, {:.1} us of the server's CPU a row, longest step {} ms",
        counted as f64 / began.elapsed().as_secs_f64(),
        (cpu_us(pid) - cpu) as f64 / counted as f64,
        longest.as_millis()
    );
    let began = Instant::now();
    for n in 0..100_u64 {
        let address = rows(n * BATCH)[0].event().address.clone();
        assert_eq!(store.addresses().first_seen(&address, None).await.unwrap().len(), 1);
    }
    println!(
        "first seen: {:.2} ms each, with the making of rows",
        began.elapsed().as_secs_f64() * 10.0
    );
}

/// CPU time of a server's processes, in microseconds.
fn cpu_us(server: u32) -> u64 {
    let mut ticks = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // After the name, which may hold blanks: state, parent, …; utime and stime are 14 and 15.
        let Some((head, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |n: usize| fields[n].parse::<u64>().unwrap_or(0);
        if head.split(' ').next() == Some(&server.to_string()) {
            ticks += number(13) + number(14);
        } else if fields[1] == server.to_string() {
            ticks += number(11) + number(12);
        }
    }
    ticks * 10_000
}
