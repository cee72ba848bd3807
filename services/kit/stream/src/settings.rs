//! The variables of everything that speaks NATS.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Flags and variables of the NATS connection and the streams' limits.
///
/// Every field is text, so that [`NatsArgs::read`] can report every fault in one run.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "NATS")]
pub struct NatsArgs {
    /// Servers, comma separated: `nats://host:port` or `tls://host:port`
    #[arg(
        long,
        env = "NATS_URL",
        default_value = "nats://127.0.0.1:4222",
        hide_env_values = true
    )]
    nats_url: String,
    /// Credentials file: JWT and nkey seed, or the seed alone
    #[arg(long, env = "NATS_CREDS")]
    nats_creds: Option<String>,
    /// Certificates of the authorities to trust, PEM
    #[arg(long, env = "NATS_CA")]
    nats_ca: Option<String>,
    /// Copies of each stream in a cluster: 1, 3 or 5
    #[arg(long, env = "NATS_REPLICAS", default_value = "1")]
    nats_replicas: String,
    /// How long a stream keeps a message
    #[arg(long, env = "STREAM_MAX_AGE", default_value = "7d")]
    stream_max_age: String,
    /// How many bytes DETECTIONS may hold
    #[arg(long, env = "STREAM_MAX_BYTES", default_value = "4GiB")]
    stream_max_bytes: String,
    /// Within it the stream removes repeats of an event id
    #[arg(long, env = "DUPLICATE_WINDOW", default_value = "10m")]
    duplicate_window: String,
    /// How long an account belongs to a listener that renews its lease no more
    #[arg(long, env = "LEASE_TIME", default_value = "15s")]
    lease_time: String,
}

/// Where NATS is and how large its streams may become.
#[derive(Debug, Clone)]
pub struct NatsConfig {
    /// Servers to try, in turn.
    pub servers: Vec<ServerUrl>,
    /// Credentials file.
    pub creds: Option<PathBuf>,
    /// Certificates of authorities, PEM.
    pub ca: Option<PathBuf>,
    /// Copies of each stream, 1 to 5.
    pub replicas: usize,
    /// Longest age of a message in DETECTIONS and MATCHES.
    pub max_age: Duration,
    /// Largest size of DETECTIONS in bytes.
    pub max_bytes: u64,
    /// Within it the stream removes repeats of an event id.
    pub duplicate_window: Duration,
    /// Age at which `tgmesh_leases` drops a lease that is not renewed.
    pub lease_time: Duration,
}

impl NatsConfig {
    /// The defaults, for one server.
    ///
    /// # Errors
    /// When `url` is no server address.
    pub fn new(url: &str) -> Result<Self, String> {
        Ok(Self {
            servers: servers(url)?,
            creds: None,
            ca: None,
            replicas: 1,
            max_age: Duration::from_hours(7 * 24),
            // Room for about eight million events; small enough for a small disk. nats-server
            // refuses a stream that exceeds its own store limit, which defaults to 75 % of what is free.
            max_bytes: 4 << 30,
            // Longer than any retry of a publisher that is still alive.
            duplicate_window: Duration::from_mins(10),
            // A lost pod is noticed soon; a server that restarts costs nobody a lease.
            lease_time: Duration::from_secs(15),
        })
    }
}

/// Address of a server. It may hold a password, so it prints without its user part.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(async_nats::ServerAddr);

impl ServerUrl {
    pub(crate) fn address(&self) -> async_nats::ServerAddr {
        self.0.clone()
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.0.scheme(), self.0.host(), self.0.port())
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl NatsArgs {
    /// Checks every value.
    ///
    /// # Errors
    /// Every fault: the variable's name and what is wrong with it.
    pub fn read(&self) -> Result<NatsConfig, Vec<(&'static str, String)>> {
        let mut faults = Vec::new();
        let servers = keep(&mut faults, "NATS_URL", servers(&self.nats_url));
        let creds = keep(&mut faults, "NATS_CREDS", file(self.nats_creds.as_deref()));
        let ca = keep(&mut faults, "NATS_CA", file(self.nats_ca.as_deref()));
        let replicas = keep(&mut faults, "NATS_REPLICAS", replicas(&self.nats_replicas));
        let max_age = keep(&mut faults, "STREAM_MAX_AGE", duration(&self.stream_max_age));
        let max_bytes = keep(&mut faults, "STREAM_MAX_BYTES", bytes(&self.stream_max_bytes));
        let duplicate_window = keep(&mut faults, "DUPLICATE_WINDOW", duration(&self.duplicate_window));
        let lease_time = keep(&mut faults, "LEASE_TIME", lease_time(&self.lease_time));
        if let (Some(age), Some(window)) = (max_age, duplicate_window)
            && window > age
        {
            faults.push(("DUPLICATE_WINDOW", "must not be longer than STREAM_MAX_AGE".to_owned()));
        }
        let window_and_lease = duplicate_window.zip(lease_time);
        match (servers, creds, ca, replicas, max_age, max_bytes, window_and_lease) {
            (
                Some(servers),
                Some(creds),
                Some(ca),
                Some(replicas),
                Some(max_age),
                Some(max_bytes),
                Some((duplicate_window, lease_time)),
            ) if faults.is_empty() => Ok(NatsConfig {
                servers,
                creds,
                ca,
                replicas,
                max_age,
                max_bytes,
                duplicate_window,
                lease_time,
            }),
            _ => Err(faults),
        }
    }
}

fn keep<T>(faults: &mut Vec<(&'static str, String)>, name: &'static str, value: Result<T, String>) -> Option<T> {
    value.map_err(|why| faults.push((name, why))).ok()
}

/// Parses a comma list of server addresses. No message repeats the text: it may hold a password.
fn servers(list: &str) -> Result<Vec<ServerUrl>, String> {
    let mut servers = Vec::new();
    for (n, text) in list
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .enumerate()
    {
        let fault = |why: &str| format!("server {} {why}", n + 1);
        let address: async_nats::ServerAddr = text.parse().map_err(|_| fault("is no address like nats://host:port"))?;
        if !matches!(address.scheme(), "nats" | "tls") {
            return Err(fault("has a scheme that is not nats or tls"));
        }
        if address.host().is_empty() {
            return Err(fault("has no host"));
        }
        servers.push(ServerUrl(address));
    }
    if servers.is_empty() {
        Err("names no server".to_owned())
    } else {
        Ok(servers)
    }
}

fn file(path: Option<&str>) -> Result<Option<PathBuf>, String> {
    let Some(path) = path.filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    match std::fs::File::open(path) {
        Ok(_) => Ok(Some(PathBuf::from(path))),
        Err(error) => Err(format!("couldn't open {path}: {error}")),
    }
}

fn replicas(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(n @ (1 | 3 | 5)) => Ok(n),
        _ => Err(format!("{text:?} is not 1, 3 or 5")),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    // NATS counts nanoseconds in 63 bits, which is 292 years.
    let most = Duration::from_hours(100 * 365 * 24);
    match humantime::parse_duration(text.trim()) {
        Ok(value) if (Duration::from_millis(100)..=most).contains(&value) => Ok(value),
        Ok(_) => Err(format!("{text:?} is not between 100ms and 100 years")),
        Err(_) => Err(format!("{text:?} is no duration with a unit, such as 10s, 15m or 7d")),
    }
}

/// The server looks for what is too old about once a second; a day is no lease.
fn lease_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        value if (Duration::from_secs(1)..=Duration::from_hours(1)).contains(&value) => Ok(value),
        _ => Err(format!("{text:?} is not between 1s and 1h")),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 10] = [
        ("", 1),
        ("b", 1),
        ("kb", 1_000),
        ("kib", 1 << 10),
        ("mb", 1_000_000),
        ("mib", 1 << 20),
        ("gb", 1_000_000_000),
        ("gib", 1 << 30),
        ("tb", 1_000_000_000_000),
        ("tib", 1 << 40),
    ];
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = unit.trim().to_ascii_lowercase();
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|&(_, factor)| factor);
    let value = number
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor));
    match value {
        // Less cannot hold a burst in its side streams, and more is no size for NATS.
        Some(n) if (8 << 20..=1 << 60).contains(&n) => Ok(n),
        Some(_) => Err(format!("{text:?} is not between 8MiB and 1048576TiB")),
        None => Err(format!("{text:?} is no size, such as 512MiB or 4GiB")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> NatsArgs {
        NatsArgs {
            nats_url: "nats://127.0.0.1:4222".into(),
            nats_creds: None,
            nats_ca: None,
            nats_replicas: "1".into(),
            stream_max_age: "7d".into(),
            stream_max_bytes: "4GiB".into(),
            duplicate_window: "10m".into(),
            lease_time: "15s".into(),
        }
    }

    #[test]
    fn defaults_are_valid_and_the_same_in_both_places() {
        let read = args().read().unwrap();
        let new = NatsConfig::new("nats://127.0.0.1:4222").unwrap();
        assert_eq!(format!("{read:?}"), format!("{new:?}"));
    }

    #[test]
    fn every_fault_is_reported() {
        let faults = NatsArgs {
            nats_url: "http://x, ".into(),
            nats_creds: Some("/no/such/file".into()),
            nats_ca: Some("/no/such/file".into()),
            nats_replicas: "2".into(),
            stream_max_age: "7".into(),
            stream_max_bytes: "-1".into(),
            duplicate_window: "soon".into(),
            lease_time: "2h".into(),
        }
        .read()
        .unwrap_err();
        let names: Vec<_> = faults.iter().map(|fault| fault.0).collect();
        assert_eq!(
            names,
            [
                "NATS_URL",
                "NATS_CREDS",
                "NATS_CA",
                "NATS_REPLICAS",
                "STREAM_MAX_AGE",
                "STREAM_MAX_BYTES",
                "DUPLICATE_WINDOW",
                "LEASE_TIME"
            ]
        );
    }

    #[test]
    fn window_within_age() {
        let faults = NatsArgs {
            stream_max_age: "5m".into(),
            ..args()
        }
        .read()
        .unwrap_err();
        assert_eq!(faults[0].0, "DUPLICATE_WINDOW");
    }

    #[test]
    fn passwords_never_print() {
        let config = NatsArgs {
            nats_url: "nats://ann:hunter2@a.example:4222,b.example".into(),
            ..args()
        }
        .read()
        .unwrap();
        let text = format!("{config:?}");
        assert!(!text.contains("hunter2") && !text.contains("ann"), "{text}");
        assert!(
            text.contains("nats://a.example:4222") && text.contains("nats://b.example:4222"),
            "{text}"
        );
        let faults = NatsArgs {
            nats_url: "nats://ann:hunter2@:x".into(),
            ..args()
        }
        .read()
        .unwrap_err();
        assert!(!format!("{faults:?}").contains("hunter2"), "{faults:?}");
    }
}
