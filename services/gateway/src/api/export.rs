//! Exports: rows as they come from the database, page by page, into a body that is as slow as its
//! reader. No transaction is open between two pages.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use tgmesh_lifecycle::clock;
use tgmesh_store::history::Key;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use warp::reply::{Reply as _, Response};

use super::csv;
use super::events::{self, Events};
use super::fault::Fault;
use super::filter::Asked;
use crate::auth::Grant;
use crate::gateway::Gateway;
use crate::reader::Unanswered;

/// Rows of one page.
const PAGE: u32 = 500;
/// Rows of the first page, which is small, so that the first byte comes soon.
const FIRST_PAGE: u32 = 100;
/// Pages that wait for the reader.
const AHEAD: usize = 2;
/// A reader that takes no page for so long is gone.
const SLOWEST: Duration = Duration::from_mins(1);
/// How often a page is asked for again while the database is away or busy.
const TRIES: u32 = 5;

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma separated values (RFC 4180), with a header.
    Csv,
    /// A JSON text a line.
    Ndjson,
}

/// An export that breaks off ends without the mark of a whole body, which is all that can be told
/// once a body has begun.
#[derive(Debug, thiserror::Error)]
#[error("the export broke off")]
struct BrokenOff;

impl Format {
    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    fn disposition(self) -> &'static str {
        match self {
            Self::Csv => "attachment; filename=\"detections.csv\"",
            Self::Ndjson => "attachment; filename=\"detections.ndjson\"",
        }
    }

    fn begin(self) -> Vec<u8> {
        match self {
            Self::Csv => csv::header(),
            Self::Ndjson => Vec::new(),
        }
    }

    fn write(self, events: &Events, out: &mut Vec<u8>) {
        for event in &events.items {
            match self {
                Self::Csv => csv::write(event, out),
                Self::Ndjson => {
                    // Events have string keys and finite numbers: they always have a JSON form.
                    let _ = serde_json::to_writer(&mut *out, event);
                    out.push(b'\n');
                }
            }
        }
    }
}

/// What is exported to whom.
pub struct Export {
    /// The filter.
    pub asked: Asked,
    /// Where to begin.
    pub before: Option<Key>,
    /// Most rows; all where there is none.
    pub limit: Option<u64>,
    /// The form.
    pub format: Format,
    /// The rights, which may be taken back while it runs.
    pub grant: Grant,
}

/// The head of the answer, for those who want nothing else.
pub fn head(format: Format) -> Response {
    with_head(warp::reply().into_response(), format)
}

/// Begins an export. What goes wrong before the first row is a problem document.
///
/// # Errors
/// See [`Fault`].
pub async fn begin(gateway: &Arc<Gateway>, export: Export) -> Result<Response, Fault> {
    let reader = gateway.reader.as_ref().ok_or(Unanswered::Absent)?;
    let permit = reader.export()?;
    let first = export.page(gateway, export.before, FIRST_PAGE).await?;
    gateway.audit.note(
        "export",
        Some(&export.grant.subject),
        None,
        [("format", export.format.media_type().to_owned())],
    );
    let format = export.format;
    let (rows, mut taken) = mpsc::channel::<Result<Bytes, BrokenOff>>(AHEAD);
    let gateway = Arc::clone(gateway);
    let tasks = gateway.clients.clone();
    tasks.spawn(async move {
        let soft = gateway.shutdown.soft();
        let done = tokio::select! {
            done = export.run(&gateway, first, &rows, permit) => done,
            () = soft.cancelled() => Err(BrokenOff),
        };
        if let Err(broken) = done {
            let _ = tokio::time::timeout(Duration::from_secs(1), rows.send(Err(broken))).await;
        }
    });
    let body = stream::poll_fn(move |context| -> Poll<Option<Result<Bytes, BrokenOff>>> { taken.poll_recv(context) });
    Ok(with_head(warp::reply::stream(body).into_response(), format))
}

impl Export {
    async fn page(&self, gateway: &Gateway, before: Option<Key>, rows: u32) -> Result<Events, Unanswered> {
        let reader = gateway.reader.as_ref().ok_or(Unanswered::Absent)?;
        let rows = self.limit.map_or(rows, |limit| limit.min(rows.into()) as u32).max(1);
        events::page(reader, &self.asked, self.grant.rights.role, before, rows).await
    }

    async fn run(
        mut self,
        gateway: &Gateway,
        first: Events,
        rows: &mpsc::Sender<Result<Bytes, BrokenOff>>,
        _permit: OwnedSemaphorePermit,
    ) -> Result<(), BrokenOff> {
        let mut bytes = self.format.begin();
        let mut page = first;
        loop {
            self.format.write(&page, &mut bytes);
            if !bytes.is_empty() {
                let chunk = Bytes::from(std::mem::take(&mut bytes));
                let sent = tokio::time::timeout(SLOWEST, rows.send(Ok(chunk))).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return Err(BrokenOff);
                }
            }
            if let Some(left) = &mut self.limit {
                *left = left.saturating_sub(page.items.len() as u64);
                if *left == 0 {
                    return Ok(());
                }
            }
            let Some(next) = page.next else {
                return Ok(());
            };
            let now_s = clock::now_ms() / 1000;
            if self.grant.expires_at <= now_s || gateway.revocations.hold(&self.grant) {
                return Err(BrokenOff);
            }
            page = self.next_page(gateway, next).await?;
        }
    }

    /// The database may be away for a moment; the place is known, so nothing is lost or doubled.
    async fn next_page(&self, gateway: &Gateway, next: Key) -> Result<Events, BrokenOff> {
        let mut wait = Duration::from_millis(250);
        for _ in 1..TRIES {
            match self.page(gateway, Some(next), PAGE).await {
                Ok(page) => return Ok(page),
                Err(Unanswered::Busy | Unanswered::Away(_) | Unanswered::TooLong) => tokio::time::sleep(wait).await,
                Err(Unanswered::Absent | Unanswered::Refused(_)) => break,
            }
            wait *= 2;
        }
        self.page(gateway, Some(next), PAGE).await.map_err(|error| {
            tracing::warn!(%error, "an export breaks off");
            BrokenOff
        })
    }
}

fn with_head(mut response: Response, format: Format) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static(format.disposition()),
    );
    response
}
