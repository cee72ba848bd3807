//! Settings: flags and variables in, one typed value out, every fault told in one run.
//!
//! Flags are declared as plain strings with clap (`#[arg(long, env = "NAME")]`) and converted by
//! [`Settings::read`] through [`Faults`], because clap itself stops at the first bad value.
//! Secrets have no flag: a command line can be read by every user of the machine.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use crate::trace::Sampler;

/// Exit code for bad settings (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;

/// The settings of one service.
pub trait Settings: clap::Parser {
    /// What the service is given.
    type Config: Send + 'static;

    /// The settings that every service has.
    fn common(&self) -> &CommonArgs;

    /// Converts what was typed. Returns nothing only when `faults` got an entry.
    fn read(self, faults: &mut Faults) -> Option<Self::Config>;
}

/// Settings that every service has.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Process")]
pub struct CommonArgs {
    /// Name of this process in metrics, traces and events [default: host name and process id]
    #[arg(long, env = "INSTANCE", value_name = "NAME")]
    pub instance: Option<String>,
    /// Address of the admin port: /healthz, /readyz, /metrics
    #[arg(long, env = "ADMIN_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:9090")]
    pub admin_listen: String,
    /// Address for CPU and heap profiles (`/debug/pprof/profile?seconds=`, `/debug/pprof/heap`); without it there are none
    #[arg(long, env = "PPROF_LISTEN", value_name = "ADDR")]
    pub pprof_listen: Option<String>,
    /// How log lines look: pretty or json
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT", default_value = "pretty")]
    pub log_format: String,
    /// Which log lines are written, as for tracing's `EnvFilter`
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info")]
    pub rust_log: String,
    /// OTLP receiver (HTTP/protobuf) for traces; without it nothing is exported
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otel_exporter_otlp_endpoint: Option<String>,
    /// Sampler at the root of a trace: `always_on`, `always_off`, traceidratio, or one of them behind `parentbased_`
    #[arg(
        long,
        env = "OTEL_TRACES_SAMPLER",
        value_name = "NAME",
        default_value = "parentbased_always_on"
    )]
    pub otel_traces_sampler: String,
    /// Ratio for traceidratio, 0 to 1
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", value_name = "RATIO")]
    pub otel_traces_sampler_arg: Option<String>,
    /// A message that takes so long gets its spans even where it was not sampled
    #[arg(long, env = "TRACE_SLOW", value_name = "DURATION", default_value = "1s")]
    pub trace_slow: String,
    /// Name of the service in traces [default: tgmesh-<service>]
    #[arg(long, env = "OTEL_SERVICE_NAME", value_name = "NAME")]
    pub otel_service_name: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Pretty,
    Json,
}

/// [`CommonArgs`], converted.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub instance: String,
    pub admin_listen: SocketAddr,
    pub pprof_listen: Option<SocketAddr>,
    pub log_format: LogFormat,
    pub log_filter: String,
    pub otlp_endpoint: Option<String>,
    /// What the receiver wants to see besides: may hold a key.
    pub otlp_headers: HeaderMap,
    pub sampler: Sampler,
    pub trace_slow: Duration,
    pub service_name: String,
}

impl CommonArgs {
    pub(crate) fn read(&self, service: &str, faults: &mut Faults) -> Option<Common> {
        let instance = faults.optional("INSTANCE", self.instance.as_deref(), instance_name);
        let admin_listen = faults.value("ADMIN_LISTEN", &self.admin_listen, listen_addr);
        let pprof_listen = faults.optional("PPROF_LISTEN", self.pprof_listen.as_deref(), listen_addr);
        let log_format = faults.value("LOG_FORMAT", &self.log_format, |word| match word {
            "pretty" => Ok(LogFormat::Pretty),
            "json" => Ok(LogFormat::Json),
            _ => Err("must be pretty or json".to_owned()),
        });
        let log_filter = faults.value("RUST_LOG", &self.rust_log, |filter| {
            tracing_subscriber::EnvFilter::try_new(filter)
                .map(|_| filter.to_owned())
                .map_err(|error| error.to_string())
        });
        let otlp_endpoint = faults.optional(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            self.otel_exporter_otlp_endpoint.as_deref(),
            http_url,
        );
        let argument = faults.optional(
            "OTEL_TRACES_SAMPLER_ARG",
            self.otel_traces_sampler_arg.as_deref(),
            ratio,
        );
        // As for every variable of OpenTelemetry, empty means not set.
        let sampler = faults.optional("OTEL_TRACES_SAMPLER", Some(&self.otel_traces_sampler), |name| {
            let behind = name.strip_prefix("parentbased_");
            let ratio = match behind.unwrap_or(name) {
                "always_on" => Some(1.0),
                "always_off" => Some(0.0),
                "traceidratio" => None,
                _ => {
                    return Err(
                        "must be always_on, always_off, traceidratio or one of them behind parentbased_".to_owned(),
                    );
                }
            };
            Ok((ratio, behind.is_some()))
        });
        let trace_slow = faults.value("TRACE_SLOW", &self.trace_slow, positive_duration);
        let otlp_headers = faults.secret("OTEL_EXPORTER_OTLP_HEADERS", |list| headers(list.expose_secret()));
        let service_name = faults.optional("OTEL_SERVICE_NAME", self.otel_service_name.as_deref(), text);
        Some(Common {
            instance: instance?.unwrap_or_else(default_instance),
            admin_listen: admin_listen?,
            pprof_listen: pprof_listen?,
            log_format: log_format?,
            log_filter: log_filter?,
            otlp_endpoint: otlp_endpoint?,
            otlp_headers: otlp_headers?.unwrap_or_default(),
            trace_slow: trace_slow?,
            sampler: {
                let (ratio, follows_parent) = sampler?.unwrap_or((Some(1.0), true));
                Sampler {
                    ratio: ratio.or(argument?).unwrap_or(1.0),
                    follows_parent,
                }
            },
            service_name: service_name?.unwrap_or_else(|| format!("tgmesh-{service}")),
        })
    }
}

/// Every fault in the settings, one line each.
#[derive(Debug, Default)]
pub struct Faults {
    found: Vec<(String, String)>,
}

impl Faults {
    /// Notes a fault of the named variable.
    pub fn add(&mut self, name: &str, problem: impl Into<String>) {
        self.found.push((name.to_owned(), problem.into()));
    }

    /// Converts a value that is always there.
    pub fn value<T>(&mut self, name: &str, raw: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        parse(raw.trim())
            .map_err(|problem| self.add(name, format!("{raw:?} {problem}")))
            .ok()
    }

    /// Converts a value that may be absent; an empty one counts as absent. The outer `None` is a
    /// fault.
    pub fn optional<T>(
        &mut self,
        name: &str,
        raw: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        match raw.filter(|raw| !raw.trim().is_empty()) {
            Some(raw) => self.value(name, raw, parse).map(Some),
            None => Some(None),
        }
    }

    /// Converts a value that must be there.
    pub fn required<T>(
        &mut self,
        name: &str,
        raw: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.optional(name, raw, parse)?;
        if value.is_none() {
            self.add(name, "is required");
        }
        value
    }

    /// Converts a secret from the variable `name` or from the file that `<name>_FILE` names; a
    /// trailing line break in the file is not part of it. The problem that `parse` returns must
    /// not repeat the secret. The outer `None` is a fault.
    pub fn secret<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&SecretString) -> Result<T, String>,
    ) -> Option<Option<T>> {
        let file = format!("{name}_FILE");
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let secret = match (set(name), set(&file)) {
            (Some(_), Some(_)) => {
                self.add(name, format!("and {file} are both set"));
                return None;
            }
            (Some(value), None) => SecretString::from(value),
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(content) => SecretString::from(content.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => {
                    self.add(&file, format!("{path:?} cannot be read: {error}"));
                    return None;
                }
            },
            (None, None) => return Some(None),
        };
        parse(&secret).map_err(|problem| self.add(name, problem)).ok().map(Some)
    }

    /// As [`Faults::secret`], for one that must be there.
    pub fn required_secret<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&SecretString) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.secret(name, parse)?;
        if value.is_none() {
            self.add(name, format!("is required (or {name}_FILE)"));
        }
        value
    }

    /// Takes over the faults that another crate found in its own settings.
    pub fn absorb<T>(&mut self, result: Result<T, Vec<(&'static str, String)>>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(faults) => {
                self.found
                    .extend(faults.into_iter().map(|(name, problem)| (name.to_owned(), problem)));
                None
            }
        }
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// One line a fault, in the order they were found: `NAME: problem`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.found.iter().map(|(name, problem)| format!("{name}: {problem}"))
    }
}

/// A duration with its unit: `10s`, `500ms`, `30d`.
///
/// # Errors
/// For a number without a unit, and whatever else is no duration.
pub fn duration(raw: &str) -> Result<Duration, String> {
    humantime::parse_duration(raw).map_err(|_| "is no duration with a unit, such as 500ms, 10s or 30d".to_owned())
}

/// A duration above zero.
///
/// # Errors
/// As [`duration`], and for zero.
pub fn positive_duration(raw: &str) -> Result<Duration, String> {
    let value = duration(raw)?;
    if value.is_zero() {
        Err("must be more than zero".to_owned())
    } else {
        Ok(value)
    }
}

/// A size in bytes, with or without a unit: `1048576`, `512MiB`, `4GB`.
///
/// # Errors
/// For what is no size, or too large for 64 bits.
pub fn bytes(raw: &str) -> Result<u64, String> {
    let problem = || "is no size, such as 1048576, 512MiB or 4GB".to_owned();
    let digits = raw.find(|c: char| !c.is_ascii_digit()).unwrap_or(raw.len());
    let (number, unit) = raw.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(problem()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(problem)
}

/// A whole number within a range.
pub fn count(range: std::ops::RangeInclusive<u64>) -> impl FnOnce(&str) -> Result<u64, String> {
    move |raw| match raw.parse::<u64>() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!(
            "must be a whole number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

/// A number from 0 to 1.
///
/// # Errors
/// For everything else.
pub fn ratio(raw: &str) -> Result<f64, String> {
    raw.parse::<f64>()
        .ok()
        .filter(|number| (0.0..=1.0).contains(number))
        .ok_or_else(|| "must be a number from 0 to 1".to_owned())
}

/// An address to listen on: `127.0.0.1:8080`, `[::1]:0`.
///
/// # Errors
/// For a host name, or a missing port.
pub fn listen_addr(raw: &str) -> Result<SocketAddr, String> {
    raw.parse()
        .map_err(|_| "is no address with a port, such as 127.0.0.1:8080".to_owned())
}

/// A path.
///
/// # Errors
/// Never; the file is looked at when it is used.
pub fn path(raw: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(raw))
}

/// Any text.
///
/// # Errors
/// Never.
pub fn text(raw: &str) -> Result<String, String> {
    Ok(raw.to_owned())
}

/// A comma list; spaces around entries and empty entries are dropped.
pub fn list<T>(entry: impl Fn(&str) -> Result<T, String>) -> impl FnOnce(&str) -> Result<Vec<T>, String> {
    move |raw| {
        let entries = raw.split(',').map(str::trim).filter(|part| !part.is_empty());
        entries
            .map(|part| entry(part).map_err(|problem| format!("holds {part:?}, which {problem}")))
            .collect()
    }
}

/// An `http://` or `https://` URL.
///
/// # Errors
/// For another scheme or none.
pub fn http_url(raw: &str) -> Result<String, String> {
    let rest = raw.strip_prefix("http://").or_else(|| raw.strip_prefix("https://"));
    match rest {
        Some(host) if !host.is_empty() && !raw.contains(char::is_whitespace) => Ok(raw.to_owned()),
        _ => Err("is no http:// or https:// URL".to_owned()),
    }
}

/// `name=value,name=value`, as the specification of OpenTelemetry writes them. The problem repeats
/// no value.
fn headers(list: &str) -> Result<HeaderMap, String> {
    let mut found = HeaderMap::new();
    for pair in list.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let problem = || "holds an entry that is no name=value".to_owned();
        let (name, value) = pair.split_once('=').ok_or_else(problem)?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| problem())?;
        let mut value = HeaderValue::try_from(value.trim()).map_err(|_| problem())?;
        value.set_sensitive(true);
        found.append(name, value);
    }
    Ok(found)
}

fn instance_name(raw: &str) -> Result<String, String> {
    let fits = raw.len() <= 128 && raw.chars().all(|c| c.is_ascii_graphic());
    if fits {
        Ok(raw.to_owned())
    } else {
        Err("must be at most 128 visible ASCII characters".to_owned())
    }
}

fn default_instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "localhost" } else { host };
    format!("{host}-{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30d"), Ok(Duration::from_hours(30 * 24)));
        for bad in ["", "10", "s", "-1s", "ten seconds"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(positive_duration("0s").is_err());
    }

    #[test]
    fn sizes_take_both_kinds_of_units() {
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("512MiB"), Ok(512 << 20));
        assert_eq!(bytes("4 GB"), Ok(4_000_000_000));
        for bad in ["", "GiB", "1.5G", "-1", "1XB", "99999999999TiB"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_fault_is_told_and_no_secret_is() {
        let mut faults = Faults::default();
        assert_eq!(faults.value("A", "x", count(1..=9)), None);
        assert_eq!(faults.required::<u64>("B", None, count(1..=9)), None);
        assert_eq!(faults.optional("C", Some(" "), count(1..=9)), Some(None));
        assert_eq!(faults.absorb::<()>(Err(vec![("D", "is odd".to_owned())])), None);
        let lines: Vec<_> = faults.lines().collect();
        assert_eq!(
            lines,
            [
                "A: \"x\" must be a whole number from 1 to 9",
                "B: is required",
                "D: is odd"
            ]
        );
    }

    proptest! {
        #[test]
        fn parsers_take_any_text(raw in ".{0,40}") {
            let _ = (duration(&raw), bytes(&raw), count(0..=5)(&raw), ratio(&raw), listen_addr(&raw), http_url(&raw));
            let _ = list(text)(&raw);
        }
    }
}
