use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;

use super::*;
use crate::trace::{Kind, Span, TraceParent};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_full_queue_drops_and_counts() {
    let queue = Queue::new(Counts::default());
    let span = [7; 1000];
    let fits = (MAX_CHUNKS + 1) * (CHUNK / span.len());
    for _ in 0..fits + 5 {
        queue.push(&span);
    }
    assert_eq!(queue.counts.dropped.get(), 5);
    let mut taken = 0;
    for _ in 0..MAX_CHUNKS {
        let chunk = queue.next().expect("a chunk");
        assert!(chunk.bytes.len() <= CHUNK && chunk.bytes.len() == chunk.spans as usize * span.len());
        taken += chunk.spans;
    }
    // There is room again.
    queue.push(&span);
    assert_eq!(queue.counts.dropped.get(), 5);
    queue.close();
    while let Some(chunk) = queue.next() {
        taken += chunk.spans;
    }
    assert_eq!(taken as usize, fits + 1);
    queue.push(&span);
    assert_eq!(queue.counts.dropped.get(), 6, "after the end");
}

#[test]
fn what_is_left_is_counted() {
    let queue = Queue::new(Counts::default());
    queue.push(&[1; 10]);
    let chunk = Chunk {
        bytes: Vec::new(),
        spans: 3,
    };
    assert_eq!(queue.abandon(Some(chunk)), 4);
    assert_eq!(queue.counts.dropped.get(), 4);
}

/// A receiver that can be ended, and started again on its port.
struct Receiver {
    addr: SocketAddr,
    state: Arc<Said>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Said {
    spans: AtomicU64,
    /// Answered to the next request instead of 200.
    status: AtomicU64,
    /// Refused of the next request.
    refuses: AtomicU64,
    over: AtomicBool,
}

impl Receiver {
    fn start(addr: SocketAddr, state: Arc<Said>) -> Self {
        let listener = TcpListener::bind(addr).expect("a port");
        let addr = listener.local_addr().expect("an address");
        state.over.store(false, Ordering::SeqCst);
        let said = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if said.over.load(Ordering::SeqCst) {
                    return;
                }
                answer(&mut stream.expect("a connection"), &said);
            }
        });
        Self {
            addr,
            state,
            thread: Some(thread),
        }
    }

    fn stop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        // Wakes it up.
        drop(TcpStream::connect(self.addr));
        self.thread.take().expect("it runs").join().expect("no panic");
    }
}

/// One request a connection.
fn answer(stream: &mut TcpStream, said: &Said) {
    let mut request = Vec::new();
    let mut bytes = [0; 8_192];
    let body = loop {
        let read = stream.read(&mut bytes).unwrap_or(0);
        if read == 0 {
            return;
        }
        request.extend_from_slice(&bytes[..read]);
        let Some(head) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
        assert!(
            text.starts_with("post /v1/traces ") && text.contains("x-key: secret"),
            "{text}"
        );
        let length = text
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.lines().next());
        let length: usize = length.expect("a length").parse().expect("a number");
        if request.len() >= head + 4 + length {
            break request.split_off(head + 4);
        }
    };
    let spans = ExportTraceServiceRequest::decode(&body[..]).expect("protobuf");
    let scopes = spans.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    let count = scopes.map(|scope| scope.spans.len() as u64).sum::<u64>();
    let status = said.status.swap(0, Ordering::SeqCst);
    let rejected_spans = said.refuses.swap(0, Ordering::SeqCst);
    let answer = ExportTraceServiceResponse {
        partial_success: (rejected_spans > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: rejected_spans.cast_signed(),
            error_message: "too many".to_owned(),
        }),
    };
    if status == 0 {
        said.spans.fetch_add(count - rejected_spans, Ordering::SeqCst);
    }
    let (status, body) = (if status == 0 { 200 } else { status }, answer.encode_to_vec());
    let head = format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), &body].concat());
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_outage_of_the_receiver_costs_spans_and_no_more() {
    let said = Arc::<Said>::default();
    let mut receiver = Receiver::start((Ipv4Addr::LOCALHOST, 0).into(), Arc::clone(&said));
    let counts = Counts::default();
    let headers = HeaderMap::from_iter([("x-key".parse().unwrap(), HeaderValue::from_static("secret"))]);
    let url = format!("http://{}/", receiver.addr);
    let exporter = Exporter::start(&url, headers, &[("service.name", Value::Str("x"))], counts.clone()).unwrap();
    let queue = Arc::clone(&exporter.queue);
    let text = "x".repeat(250);
    let attributes = ["a", "b", "c", "d"].map(|key| (key, Value::Str(&text)));
    let mut made = 0;
    let mut push = |spans: u64| {
        for _ in 0..spans {
            let span = Span {
                attributes: &attributes,
                ..Span::new(TraceParent::unrelated(), "x", Kind::Internal, (1, 2))
            };
            encode::with_span(&span, |bytes| queue.push(bytes));
        }
        made += spans;
        made
    };
    push(1_000);
    until("the first spans come", || counts.exported.get() == 1_000);

    // Some are refused, some answers are not what they should be.
    said.refuses.store(3, Ordering::SeqCst);
    push(10);
    until("refused spans are counted", || counts.failed.get() == 3);
    said.status.store(400, Ordering::SeqCst);
    push(10);
    until("a refused request is counted", || counts.failed.get() == 13);
    said.status.store(503, Ordering::SeqCst);
    push(10);
    until("a full receiver is asked again", || counts.exported.get() == 1_017);

    receiver.stop();
    let began = Instant::now();
    let all = push(60_000);
    assert!(began.elapsed() < LIMIT, "nobody waits for a receiver that is away");
    assert!(counts.dropped.get() > 20_000, "{counts:?}");
    let held: usize = {
        let state = queue.lock();
        state.sealed.iter().map(|chunk| chunk.bytes.capacity()).sum::<usize>() + state.filling.bytes.capacity()
    };
    assert!(held <= (MAX_CHUNKS + 1) * CHUNK, "{held} bytes are held");

    let mut receiver = Receiver::start(receiver.addr, Arc::clone(&said));
    let told = || counts.exported.get() + counts.dropped.get() + counts.failed.get();
    until("everything has an end", || told() == all);
    assert_eq!(
        said.spans.load(Ordering::SeqCst),
        counts.exported.get(),
        "the loss that is counted is what is missing"
    );

    // What is left at the end of the process is sent or counted.
    receiver.stop();
    let all = push(100);
    exporter.finish();
    until("the last ones are counted", || told() == all);
}
