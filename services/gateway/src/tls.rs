//! TLS on the port for clients: a certificate that is replaced while clients stay connected.
//!
//! The files are looked at every few seconds, because they are renewed in ways that no notification
//! survives: written in place, renamed over, or (a Kubernetes secret) reached through links that are
//! switched. A pair that cannot be used leaves the former one in force and is told once.

use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tgmesh_lifecycle::metrics::{Counter, Metrics};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{Acceptor, ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, ServerConnection};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a client may take for its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that wait inside TLS for a client that takes nothing; more wait before it, where they are
/// counted.
const MOST_BUFFERED: usize = 16 << 10;
/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where the certificate and its key are, and what is in force.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    /// Half of the cores.
    turns: Arc<Semaphore>,
    held: Arc<Held>,
}

/// How often the certificate was replaced.
#[derive(Debug, Clone)]
pub struct TlsFigures {
    /// Pairs that were put in force after the first.
    pub reloads: Counter,
    /// Pairs that could not be used.
    pub unusable: Counter,
    /// Handshakes that failed.
    pub failed_handshakes: Counter,
}

/// The pair in force. rustls asks for it at each handshake.
struct Held {
    certificate: PathBuf,
    key: PathBuf,
    now: RwLock<Arc<CertifiedKey>>,
    seen: Mutex<Seen>,
}

/// What was found in the files, as hashes.
#[derive(Debug)]
struct Seen {
    /// The pair in force, or a bad one that was told.
    settled: u64,
    /// A bad pair that was found once: the other file may be on its way.
    doubtful: Option<u64>,
}

impl TlsFigures {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            reloads: metrics.counter("tls_reloads_total", "Certificates that were replaced while running."),
            unusable: metrics.counter(
                "tls_unusable_total",
                "Changed certificates or keys that could not be used; the former pair stays in force.",
            ),
            failed_handshakes: metrics.counter("tls_failed_handshakes_total", "TLS handshakes that failed."),
        }
    }
}

impl Tls {
    /// Reads a chain of certificates, the server's own first, and its private key, both PEM.
    ///
    /// # Errors
    /// What is wrong with which file, without its content.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, String> {
        let (bytes, settled) = files(certificate, key)?;
        let held = Arc::new(Held {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            now: RwLock::new(Arc::new(pair(&bytes)?)),
            seen: Mutex::new(Seen {
                settled,
                doubtful: None,
            }),
        });
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&held) as Arc<dyn ResolvesServerCert>);
        // A WebSocket is opened over HTTP/1.1; browsers offer that alone where they want one.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Sessions are resumed by sealed tickets, so that none is remembered here.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(|error| error.to_string())?;
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Self {
            config: Arc::new(config),
            turns: Arc::new(Semaphore::new(cores.div_ceil(2))),
            held,
        })
    }

    /// Does the server's half of the handshake.
    ///
    /// # Errors
    /// When the client does not speak TLS, agrees to nothing, or takes too long.
    pub async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let handshake = async {
            let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
            let handshake = {
                // The key exchange and the signature keep a core for half a millisecond. In a storm of
                // connections they take turns, and the clients that are there have the other cores.
                // The semaphore is never closed.
                let _turn = self.turns.acquire().await;
                let bound = |connection: &mut ServerConnection| connection.set_buffer_limit(Some(MOST_BUFFERED));
                hello.into_stream_with(Arc::clone(&self.config), bound)
            };
            handshake.await
        };
        tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake)
            .await
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
    }

    /// Puts new pairs in force as they appear.
    pub async fn follow(self, figures: TlsFigures, until: CancellationToken) {
        while until
            .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
            .await
            .is_some()
        {
            let held = Arc::clone(&self.held);
            // A file can be on a network; the runtime does not wait for it.
            match tokio::task::spawn_blocking(move || held.look()).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => {
                    figures.reloads.inc();
                    tracing::info!("the TLS certificate was replaced");
                }
                Ok(Err(problem)) => {
                    figures.unusable.inc();
                    tracing::error!(
                        "the TLS certificate was changed and cannot be used; the former one stays: {problem}"
                    );
                }
                Err(error) => tracing::error!(%error, "looking for a new TLS certificate failed"),
            }
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("held", &self.held).finish_non_exhaustive()
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

impl Held {
    /// Whether there was a new pair, which is in force now. A bad one is told once, when it is still
    /// there at the next look: two files are not replaced in one moment.
    fn look(&self) -> Result<bool, String> {
        // Gone for a moment, too.
        let Ok((bytes, found)) = files(&self.certificate, &self.key) else {
            return Ok(false);
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.settled == found {
            seen.doubtful = None;
            return Ok(false);
        }
        match pair(&bytes) {
            Ok(pair) => {
                *seen = Seen {
                    settled: found,
                    doubtful: None,
                };
                *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                Ok(true)
            }
            Err(problem) if seen.doubtful == Some(found) => {
                *seen = Seen {
                    settled: found,
                    doubtful: None,
                };
                Err(problem)
            }
            Err(_) => {
                seen.doubtful = Some(found);
                Ok(false)
            }
        }
    }
}

impl ResolvesServerCert for Held {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The certificates' and the key's bytes.
type Files = (Vec<u8>, Vec<u8>);

fn files(certificate: &Path, key: &Path) -> Result<(Files, u64), String> {
    let read = |path: &Path| {
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let size = fs::metadata(path).map_err(told)?.len();
        if size > MAX_FILE_BYTES {
            return Err(format!(
                "{}: has {size} bytes, more than {MAX_FILE_BYTES}",
                path.display()
            ));
        }
        fs::read(path).map_err(told)
    };
    let files = (read(certificate)?, read(key)?);
    let mut hash = DefaultHasher::new();
    files.hash(&mut hash);
    Ok((files, hash.finish()))
}

fn pair((certificate, key): &Files) -> Result<CertifiedKey, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("TLS_CERT holds no PEM certificates: {error}"))?;
    if chain.is_empty() {
        return Err("TLS_CERT holds no PEM certificate".to_owned());
    }
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("TLS_KEY holds no PEM private key: {error}"))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
        .map_err(|error| format!("TLS_CERT and TLS_KEY are no pair that can be used: {error}"))
}
