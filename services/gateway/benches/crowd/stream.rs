//! A client's connection, bare or with TLS around it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

/// How connections are made.
#[derive(Clone)]
pub struct Dialer(Option<TlsConnector>);

impl Dialer {
    /// With TLS if there is a certificate to trust.
    pub fn new(certificate: Option<&Path>) -> Result<Self> {
        let Some(path) = certificate else {
            return Ok(Self(None));
        };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(path).context("a certificate")?)?;
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Some(TlsConnector::from(Arc::new(config)))))
    }

    pub async fn dress(&self, stream: TcpStream) -> Result<Box<dyn Bytes>> {
        match &self.0 {
            None => Ok(Box::new(stream)),
            Some(tls) => {
                let stream = tls.connect(ServerName::try_from("127.0.0.1")?, stream).await?;
                Ok(Box::new(stream))
            }
        }
    }
}
