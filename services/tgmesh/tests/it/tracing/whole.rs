//! What makes a trace whole.

use std::collections::HashSet;

use super::client::Told;
use super::collector::Span;

const PUBLISH: &str = "publish tgmesh.v1.detections.{chat}.{family}";
const PROCESS: &str = "process tgmesh.v1.detections.{chat}.{family}";
const BATCH: &str = "batch tgmesh.v1.detections.{chat}.{family}";
const INSERT: &str = "INSERT detections";
const MESSAGE_ID: &str = "messaging.message.id";

/// Whether the client closes the trace.
#[derive(Clone, Copy, PartialEq)]
pub enum Rendered {
    Once,
    No,
}

/// What is wrong with the trace of a message.
pub fn check(told: &Told, spans: &[Span], rendered: Rendered) -> Result<(), String> {
    let fault = |text: &str| Err(format!("{} in trace {}: {text}", told.id, told.trace()));
    let trace: Vec<_> = spans.iter().filter(|span| span.trace == told.trace()).collect();
    let named = |name: &str| {
        trace
            .iter()
            .filter(|span| span.name == name)
            .copied()
            .collect::<Vec<_>>()
    };
    let within = |inner: &Span, outer: &Span| outer.start <= inner.start && inner.end <= outer.end;

    let [receive] = named("receive")[..] else {
        return fault("not one receive");
    };
    let [detect] = named("detect")[..] else {
        return fault("not one detect");
    };
    let published: Vec<_> = named(PUBLISH)
        .into_iter()
        .filter(|span| span.attributes[MESSAGE_ID] == *told.id)
        .collect();
    let [publish] = published[..] else {
        return fault("not one publish");
    };
    if !receive.parent.is_empty() || detect.parent != receive.span || publish.parent != receive.span {
        return fault("the listener's spans are not under receive");
    }
    if !within(detect, receive) || !within(publish, receive) || publish.start < detect.end {
        return fault("the listener's times do not add up");
    }
    let kinds = [&receive.kind, &detect.kind, &publish.kind];
    if kinds != ["SPAN_KIND_CLIENT", "SPAN_KIND_INTERNAL", "SPAN_KIND_PRODUCER"] || publish.service != "tgmesh-listener"
    {
        return fault("kinds or services of the listener's spans");
    }

    let processed: Vec<_> = named(PROCESS)
        .into_iter()
        .filter(|span| span.parent == publish.span)
        .collect();
    if processed.is_empty() {
        return fault("no process under publish");
    }
    for process in &processed {
        let inserted: Vec<_> = named(INSERT)
            .into_iter()
            .filter(|span| span.parent == process.span)
            .collect();
        let [insert] = inserted[..] else {
            return fault("not one insert under process");
        };
        // One host, one clock: a message is handled after it was published and before it was stored.
        if !within(insert, process) || process.start < publish.start || process.kind != "SPAN_KIND_CONSUMER" {
            return fault("the archiver's times or kinds do not add up");
        }
        if insert.attributes["db.system.name"] != "postgresql" || insert.kind != "SPAN_KIND_CLIENT" {
            return fault("insert is no statement");
        }
        if rendered == Rendered::Once {
            let is_of = |batch: &&Span| {
                process
                    .links
                    .iter()
                    .any(|link| link.span == batch.span && link.trace == batch.trace)
            };
            let Some(batch) = spans.iter().filter(|span| span.name == BATCH).find(is_of) else {
                return fault("process is linked to no batch");
            };
            let is_back = batch
                .links
                .iter()
                .any(|link| link.span == process.span && link.trace == process.trace);
            if !is_back || batch.dropped_links > 0 || batch.trace == process.trace {
                return fault("the batch is not linked to process");
            }
            if !within(insert, batch) {
                return fault("the batch's times do not add up");
            }
        }
    }

    let fanned: Vec<_> = named("fan-out")
        .into_iter()
        .filter(|span| span.parent == publish.span)
        .collect();
    let [fan_out] = fanned[..] else {
        return fault("not one fan-out under publish");
    };
    if fan_out.start < publish.start || fan_out.kind != "SPAN_KIND_CONSUMER" {
        return fault("the gateway's times or kinds do not add up");
    }
    let painted: Vec<_> = named("rendered")
        .into_iter()
        .filter(|span| span.parent == fan_out.span)
        .collect();
    match (rendered, &painted[..]) {
        (Rendered::No, []) => {}
        (Rendered::Once, [painted]) => {
            if painted.attributes["tgmesh.clock"] != "client" || painted.start < fan_out.start {
                return fault("the client's times do not add up");
            }
        }
        _ => return fault("rendered as often as it should not be"),
    }
    if trace.iter().any(|span| span.status != 0 || span.end < span.start) {
        return fault("a hop failed");
    }
    Ok(())
}

/// Every span is there once.
pub fn assert_no_doubles(spans: &[Span]) {
    let mut seen = HashSet::new();
    for span in spans {
        assert!(seen.insert((&span.trace, &span.span)), "twice: {span:?}");
    }
}

/// Whether a message was delivered to the archiver more than once.
pub fn was_redelivered(told: &Told, spans: &[Span]) -> bool {
    spans.iter().any(|span| {
        span.trace == told.trace() && span.name == PROCESS && span.attributes.contains_key("tgmesh.deliveries")
    })
}
