//! The dashboard, out of the binary.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use rust_embed::{EmbeddedFile, RustEmbed};
use warp::reply::{Reply as _, Response};

/// What `npm run build` made when this crate was compiled.
#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../../dashboard/dist"]
#[allow_missing = true]
struct Dashboard;

const INDEX: &str = "index.html";

/// Nothing from elsewhere, nothing inline: chat text that slips into the page cannot run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

const MISSING: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>tgmesh</title>\
    <h1>The dashboard is not in this binary</h1>\
    <p>The gateway runs. Build the page with <code>npm ci &amp;&amp; npm run build</code> in \
    <code>dashboard/</code>, then the gateway again; <code>make run</code> does both.</p>\
    <p>Events come over the WebSocket <code>/ws</code>; figures are at \
    <code>/api/metrics/telegram-stream</code>.</p></html>";

/// The file of a path; `/` is the page. Nothing for what is not there.
#[must_use]
pub fn serve(path: &str, request: &HeaderMap) -> Option<Response> {
    let name = path.trim_start_matches('/');
    let name = if name.is_empty() { INDEX } else { name };
    let Some(file) = Dashboard::get(name) else {
        return (name == INDEX).then(|| guarded(warp::reply::html(MISSING).into_response()));
    };
    Some(guarded(answer(name, file, request)))
}

fn answer(name: &str, file: EmbeddedFile, request: &HeaderMap) -> Response {
    let hash = file.metadata.sha256_hash();
    let tag = format!(
        "\"{:032x}\"",
        u128::from_be_bytes(*hash.first_chunk().unwrap_or(&[0; 16]))
    );
    let known = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
    let mut response = if is_known {
        warp::reply::with_status(warp::reply(), StatusCode::NOT_MODIFIED).into_response()
    } else {
        http::Response::new(file.data.into_owned()).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    // Vite puts a hash of the content into the names of assets: they never change.
    let caching = if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/vnd.microsoft.icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
