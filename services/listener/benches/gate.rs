//! What the gate between the client library and Telegram costs: time that it adds to a small
//! message there and back, and bytes a second, against the same without it. Over loopback, with the
//! server, the gate and the client in one process.
//!
//! `cargo bench -p tgmesh-listener --bench gate [-- --short] [-- --json OUT]`

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use tgmesh_listener::gate::Gate;
use tgmesh_stream::lease::{Leases, Tenure};
use tgmesh_stream::{Mesh, NatsConfig, topology};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A post with an address, as MTProto packs it, is about so long.
const MESSAGE: usize = 400;
const CHUNK: usize = 64 << 10;
/// The kernel's unit of CPU time.
const TICKS_S: f64 = 100.0;

/// How much is measured.
#[derive(Clone, Copy)]
struct Amount {
    rounds: usize,
    bytes: usize,
}

/// What one way of the two came to.
struct Figures {
    /// There and back, in µs.
    p50: f64,
    p99: f64,
    /// From the server, MB a second.
    inward: f64,
    /// To the server.
    outward: f64,
    /// CPU seconds for a gigabyte in either direction, of client and server together.
    cpu: f64,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let json = args
        .iter()
        .position(|arg| arg == "--json")
        .and_then(|at| args.get(at + 1));
    let amount = if args.iter().any(|arg| arg == "--short") {
        Amount {
            rounds: 2_000,
            bytes: 64 << 20,
        }
    } else {
        Amount {
            rounds: 50_000,
            bytes: 1 << 30,
        }
    };
    let nats = tgmesh_testkit::nats::Server::start().await.expect("a nats-server");
    let config = NatsConfig::new(&nats.url()).expect("its address");
    let mesh = Mesh::connect(&config, "bench").await.expect("a connection");
    topology::apply(&mesh, &topology::desired(&config))
        .await
        .expect("buckets");
    let leases = Leases::open(&mesh, "bench").await.expect("the leases");
    let lease = leases.acquire("bench").await.expect("an answer").expect("a lease");
    let tenure = lease.tenure();
    let mut lease = lease;
    let stop = tokio_util::sync::CancellationToken::new();
    let until = stop.clone();
    let keeping = tokio::spawn(async move { drop(lease.keep(&until).await) });

    let server = serve().await;
    // Each twice, in turns: the first warms up.
    let mut direct = measure(server, amount).await;
    let mut gated = through(server, &tenure, amount).await;
    for _ in 0..2 {
        direct = direct.better(measure(server, amount).await);
        gated = gated.better(through(server, &tenure, amount).await);
    }
    stop.cancel();
    keeping.await.expect("the lease was kept");

    for (name, figures) in [("direct", &direct), ("gate", &gated)] {
        println!(
            "{name:>6}: there and back p50 {:.1} µs, p99 {:.1} µs; in {:.0} MB/s, out {:.0} MB/s; {:.2} CPU s/GB",
            figures.p50, figures.p99, figures.inward, figures.outward, figures.cpu
        );
    }
    let added = (gated.p50 - direct.p50) / 2.0;
    println!(
        " added: {added:.1} µs a message each way; {:.2} CPU s/GB",
        gated.cpu - direct.cpu
    );
    if let Some(path) = json {
        let object = |figures: &Figures| {
            format!(
                r#"{{"round_trip_us":{{"p50":{:.2},"p99":{:.2}}},"in_mb_per_s":{:.1},"out_mb_per_s":{:.1},"cpu_s_per_gb":{:.3}}}"#,
                figures.p50, figures.p99, figures.inward, figures.outward, figures.cpu
            )
        };
        let text = format!("{{\"direct\":{},\"gate\":{}}}\n", object(&direct), object(&gated));
        std::fs::write(path, text).expect("the file is written");
    }
}

impl Figures {
    fn better(self, other: Self) -> Self {
        Self {
            p50: self.p50.min(other.p50),
            p99: self.p99.min(other.p99),
            inward: self.inward.max(other.inward),
            outward: self.outward.max(other.outward),
            cpu: self.cpu.min(other.cpu),
        }
    }
}

/// A server that does as the first byte says: `e` sends back what comes, `s` sends as many bytes as
/// the next eight say, `r` reads as many and answers with one.
async fn serve() -> SocketAddrV4 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let Ok(SocketAddr::V4(address)) = listener.local_addr() else {
        panic!("an IPv4 address")
    };
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve_one(client));
        }
    });
    address
}

async fn serve_one(mut client: TcpStream) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut chunk = vec![0; CHUNK];
    match client.read_u8().await? {
        b'e' => loop {
            client.read_exact(&mut chunk[..MESSAGE]).await?;
            client.write_all(&chunk[..MESSAGE]).await?;
        },
        b's' => {
            let mut left = client.read_u64().await? as usize;
            while left > 0 {
                let count = left.min(CHUNK);
                client.write_all(&chunk[..count]).await?;
                left -= count;
            }
        }
        _ => {
            let mut left = client.read_u64().await? as usize;
            while left > 0 {
                left = left.saturating_sub(client.read(&mut chunk).await?);
            }
            client.write_u8(1).await?;
        }
    }
    client.shutdown().await
}

async fn through(server: SocketAddrV4, tenure: &Tenure, amount: Amount) -> Figures {
    let gate = Gate::open(server, tenure.clone(), Duration::from_secs(3))
        .await
        .expect("a gate");
    let figures = measure(gate.address(), amount).await;
    gate.close().await;
    figures
}

async fn measure(address: SocketAddrV4, amount: Amount) -> Figures {
    let mut times = rounds(address, amount.rounds).await;
    times.sort_unstable();
    let quantile = |q: f64| times[((times.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e6;
    let used = cpu_s();
    let inward = receive(address, amount.bytes).await;
    let outward = send(address, amount.bytes).await;
    let gigabytes = 2.0 * amount.bytes as f64 / 1e9;
    Figures {
        p50: quantile(0.5),
        p99: quantile(0.99),
        inward,
        outward,
        cpu: (cpu_s() - used) / gigabytes,
    }
}

async fn rounds(address: SocketAddrV4, count: usize) -> Vec<Duration> {
    let mut stream = open(address, b"e").await;
    let mut message = [7; MESSAGE];
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        stream.write_all(&message).await.expect("it is sent");
        stream.read_exact(&mut message).await.expect("it comes back");
        times.push(began.elapsed());
    }
    times
}

async fn receive(address: SocketAddrV4, bytes: usize) -> f64 {
    let mut stream = open(address, b"s").await;
    let began = Instant::now();
    stream.write_u64(bytes as u64).await.expect("it is asked for");
    let mut chunk = vec![0; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let count = stream.read(&mut chunk).await.expect("it comes");
        assert!(count > 0, "{left} bytes are missing");
        left -= count;
    }
    bytes as f64 / 1e6 / began.elapsed().as_secs_f64()
}

async fn send(address: SocketAddrV4, bytes: usize) -> f64 {
    let mut stream = open(address, b"r").await;
    let began = Instant::now();
    stream.write_u64(bytes as u64).await.expect("it is announced");
    let chunk = vec![7; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let count = left.min(CHUNK);
        stream.write_all(&chunk[..count]).await.expect("it is sent");
        left -= count;
    }
    assert_eq!(stream.read_u8().await.expect("all of it came"), 1);
    bytes as f64 / 1e6 / began.elapsed().as_secs_f64()
}

async fn open(address: SocketAddrV4, what: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("an option");
    stream.write_all(what).await.expect("it is sent");
    stream
}

/// CPU time of this process.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything.
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = fields
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_S
}
