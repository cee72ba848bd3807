//! `/api/detections`: past events, by page or as an export.

use tgmesh_lifecycle::clock;
use warp::reply::Response;

use super::answers::Events;
use super::export::{self, Export, Format};
use super::fault::Fault;
use super::filter::Asked;
use super::{Call, JSON, accept, cursor, events, params, reply};

/// Rows of a page, where nothing is said.
pub const DEFAULT_LIMIT: u64 = 100;
/// Most rows of a page.
pub const MAX_LIMIT: u64 = 1000;
/// Most rows that an export can be limited to; without a limit it has all.
pub const MAX_EXPORT: u64 = 1_000_000_000;

const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";

/// Answers.
///
/// # Errors
/// See [`Fault`].
pub async fn answer(call: &Call<'_>) -> Result<Response, Fault> {
    let form = accept::choose(call.headers, &[JSON, CSV, NDJSON]);
    let format = match form {
        Some(CSV) => Some(Format::Csv),
        Some(NDJSON) => Some(Format::Ndjson),
        Some(_) => None,
        None => {
            return Err(Fault::NotAcceptable(
                "this resource is application/json, text/csv or application/x-ndjson",
            ));
        }
    };
    let role = call.grant.rights.role;
    if format.is_some() && !role.sees_everything() {
        return Err(Fault::Forbidden("a viewer may not export"));
    }
    let mut params = call.params()?;
    let asked = Asked::read(&mut params, &call.grant.rights, clock::now_us())?;
    let before = params.read("cursor", cursor::read)?;
    let most = if format.is_some() { MAX_EXPORT } else { MAX_LIMIT };
    let limit = params.read("limit", params::number(1..=most))?;
    params.finish()?;
    let reader = call.reader()?;
    match format {
        Some(format) if call.is_head => Ok(export::head(format)),
        Some(format) => {
            let export = Export {
                asked,
                before,
                limit,
                format,
                grant: call.grant.clone(),
            };
            export::begin(call.gateway, export).await
        }
        None => {
            // At most 1,000.
            let limit = limit.unwrap_or(DEFAULT_LIMIT) as u32;
            let page = events::page(reader, &asked, role, before, limit).await?;
            Ok(reply(&Events {
                items: page.items,
                next_cursor: page.next.map(cursor::write),
            }))
        }
    }
}
