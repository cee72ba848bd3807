//! What a push costs the simulator: it has to be the cheaper half of every load test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use grammers_client::tl::{Serializable, functions};
use grammers_crypto::DequeBuffer;
use grammers_mtproto::mtp::{Deserialization, Encrypted, Mtp};
use grammers_mtproto::transport::{Error, Full, Transport};
use serde_json::json;
use tgmesh_testkit::process::Process;

use crate::binary::{seeded_key, spawn};

const PUSHES: usize = 200_000;
/// 50,000 pushes per core-second.
const MAX_CPU_US: f64 = 20.0;

/// A connection that asks for the state and then only counts what comes.
struct Sink {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Sink {
    fn connect(address: &str, key: [u8; 256]) -> Self {
        let mut sink = Self {
            socket: TcpStream::connect(address).unwrap(),
            buffer: Vec::new(),
        };
        sink.socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (mut mtp, mut transport) = (Encrypted::build().finish(key), Full::new());
        let request = functions::updates::GetState {}.to_bytes();
        let mut asked = false;
        loop {
            if !asked {
                let mut out = DequeBuffer::with_capacity(1_024, 64);
                // Held back while the library asks for salts of its own accord.
                asked = mtp.push(&mut out, &request).is_some();
                if mtp.finalize(&mut out).is_some() {
                    transport.pack(&mut out);
                    sink.socket.write_all(out.as_ref()).unwrap();
                }
            }
            for event in sink.events(&mut mtp, &mut transport) {
                match event {
                    Deserialization::RpcResult(_) if asked => return sink,
                    // The first packet has no salt yet and is sent again.
                    Deserialization::BadMessage(_) => asked = false,
                    _ => {}
                }
            }
        }
    }

    fn events(&mut self, mtp: &mut Encrypted, transport: &mut Full) -> Vec<Deserialization> {
        loop {
            match transport.unpack(&mut self.buffer) {
                Ok(frame) => {
                    let events = mtp.deserialize(&mut self.buffer[frame.data_range]).unwrap();
                    self.buffer.drain(..frame.next_offset);
                    return events;
                }
                Err(Error::MissingBytes) => self.fill(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn fill(&mut self) {
        let mut chunk = vec![0; 64 * 1_024];
        let read = self.socket.read(&mut chunk).unwrap();
        assert_ne!(read, 0, "closed");
        self.buffer.extend_from_slice(&chunk[..read]);
    }

    fn count(&mut self, frames: usize) {
        let mut seen = 0;
        let mut at = 0;
        while seen < frames {
            while let Some(head) = self.buffer.get(at..at + 4) {
                let len = u32::from_le_bytes(head.try_into().unwrap()) as usize;
                if self.buffer.len() < at + len {
                    break;
                }
                at += len;
                seen += 1;
            }
            self.buffer.drain(..at);
            at = 0;
            if seen < frames {
                self.fill();
            }
        }
    }
}

/// CPU time of a process so far, in microseconds (proc(5): clock ticks of 10 ms).
fn cpu_us(process: &Process) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks * 10_000.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_pushes_fifty_thousand_messages_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let (process, control, address) = spawn(dir.path(), &[]).await;
    let key = seeded_key(&control.get("/accounts").await[0]);
    let mut sink = tokio::task::spawn_blocking(move || Sink::connect(&address, key))
        .await
        .unwrap();
    let (before, begin) = (cpu_us(&process), Instant::now());
    assert_eq!(control.post("/load", json!({ "messages": PUSHES })).await.0, 200);
    tokio::task::spawn_blocking(move || sink.count(PUSHES)).await.unwrap();
    let (took, cpu) = (begin.elapsed(), cpu_us(&process) - before);
    let each = cpu / PUSHES as f64;
    println!(
        "{PUSHES} pushes in {took:?}: {:.0}/s, {each:.1} µs of CPU each, {:.0} per core-second",
        PUSHES as f64 / took.as_secs_f64(),
        1e6 / each
    );
    assert!(each < MAX_CPU_US, "{each} µs");
}
