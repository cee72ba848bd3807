//! One bounded GET over HTTP or HTTPS, for a key set.
//!
//! Who answers here decides whose tokens are good. So there is no redirect to elsewhere, no proxy
//! from the environment, no cookie and no compression: a request, an answer, a limit on both time
//! and size. The TLS library and its crypto backend are those that the connection to NATS uses.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Where a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    uri: Uri,
    host: String,
    port: u16,
    tls: bool,
}

/// What came.
pub(super) struct Answer {
    pub body: Bytes,
    /// What `Cache-Control` says of its age.
    pub max_age: Option<Duration>,
}

impl Endpoint {
    /// Reads an `http://` or `https://` URL.
    ///
    /// # Errors
    /// For everything else, and for a URL with a user's name in it.
    pub fn parse(raw: &str) -> Result<Self, String> {
        let problem = || "is no http:// or https:// URL".to_owned();
        let uri: Uri = raw.parse().map_err(|_| problem())?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(problem()),
        };
        let authority = uri.authority().ok_or_else(problem)?;
        if authority.as_str().contains('@') {
            return Err("must not hold a user's name or password".to_owned());
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(problem());
        }
        Ok(Self {
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            host,
            uri,
            tls,
        })
    }

    /// Its host, for logs: a path or a query may hold a secret.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether whoever is on the way can change what comes.
    #[must_use]
    pub fn is_open_to_tampering(&self) -> bool {
        let is_loopback = self.host == "localhost"
            || self
                .host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        !self.tls && !is_loopback
    }

    /// Gets the document, of at most so many bytes.
    pub(super) async fn get(&self, most: usize) -> Result<Answer, String> {
        tokio::time::timeout(LIMIT, self.try_get(most))
            .await
            .map_err(|_| format!("did not answer within {} s", LIMIT.as_secs()))?
    }

    async fn try_get(&self, most: usize) -> Result<Answer, String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| format!("cannot be reached: {error}"))?;
        if self.tls {
            let name = ServerName::try_from(self.host.clone())
                .map_err(|_| "has a host that no certificate is for".to_owned())?;
            let connector = TlsConnector::from(trust().await?);
            let stream = connector
                .connect(name, stream)
                .await
                .map_err(|error| format!("cannot be trusted: {error}"))?;
            self.request(stream, most).await
        } else {
            self.request(stream, most).await
        }
    }

    async fn request<S>(&self, stream: S, most: usize) -> Result<Answer, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let failed = |error: hyper::Error| format!("broke off: {error}");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = self.uri.authority().map_or("", |authority| authority.as_str());
        let request = Request::get(path)
            .header(header::HOST, host)
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .header(
                header::USER_AGENT,
                concat!("tgmesh-gateway/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(failed)?;
            let status = response.status();
            if status != StatusCode::OK {
                let hint = if status.is_redirection() {
                    ", and redirects are not followed"
                } else {
                    ""
                };
                return Err(format!("answered {}{hint}", status.as_u16()));
            }
            let max_age = max_age(response.headers());
            let body = Limited::new(response.into_body(), most)
                .collect()
                .await
                .map_err(|error| format!("gave no whole answer: {error}"))?
                .to_bytes();
            Ok(Answer { body, max_age })
        };
        // The connection has to be driven while the answer is read; both end here.
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            ended = connection => {
                ended.map_err(failed)?;
                exchange.await
            }
        }
    }
}

/// The authorities that this machine trusts, read anew each time: they are replaced, too.
async fn trust() -> Result<Arc<ClientConfig>, String> {
    let read = tokio::task::spawn_blocking(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err("needs TLS, and this machine trusts no authority (see SSL_CERT_FILE)".to_owned());
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    });
    read.await.map_err(|error| error.to_string())?
}

fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = headers.get(header::CACHE_CONTROL)?.to_str().ok()?;
    directives.split(',').find_map(|directive| {
        let seconds = directive.trim().strip_prefix("max-age=")?;
        seconds.parse().ok().map(Duration::from_secs)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_others_refused() {
        let endpoint = Endpoint::parse("https://id.example/keys?tenant=1").expect("a URL");
        assert_eq!(
            (endpoint.host(), endpoint.port, endpoint.tls),
            ("id.example", 443, true)
        );
        let endpoint = Endpoint::parse("http://[::1]:8000/").expect("a URL");
        assert_eq!((endpoint.host(), endpoint.port, endpoint.tls), ("::1", 8000, false));
        assert!(!endpoint.is_open_to_tampering());
        assert!(Endpoint::parse("http://id.example").is_ok_and(|endpoint| endpoint.is_open_to_tampering()));
        for bad in [
            "",
            "keys.json",
            "ftp://x/",
            "https://",
            "https://ann:secret@x/",
            "http:///keys",
        ] {
            let refused = Endpoint::parse(bad).expect_err(bad);
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn the_age_of_an_answer_is_what_it_says() {
        let age = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, value.parse().expect("a header value"));
            max_age(&headers)
        };
        assert_eq!(
            age("public, max-age=600, must-revalidate"),
            Some(Duration::from_mins(10))
        );
        assert_eq!(age("no-store"), None);
        assert_eq!(age("max-age=-1"), None);
        assert_eq!(max_age(&HeaderMap::new()), None);
    }
}
