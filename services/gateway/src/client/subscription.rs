//! A subscription as its client's task sees it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tgmesh_lifecycle::clock;
use tgmesh_proto::frame::Filter;
use tokio::task::AbortHandle;

use crate::event::{Event, MatchEvent};
use crate::filter::{Matcher, Unique};
use crate::hub::Sub;

/// What the client's task knows about a subscription besides what the hub does.
#[derive(Debug)]
pub(super) struct Subscription {
    pub sub: Arc<Sub>,
    /// As the client asked for it, to be cut again when its rights change.
    pub asked: Filter,
    /// Everything up to here was written, or was not wanted.
    pub position: u64,
    pub live: bool,
    /// Position that the client was told last, and when.
    pub told: Option<(u64, Instant)>,
    /// Since when it has been behind for want of speed.
    pub slow_since: Option<Instant>,
    /// When it began, µs since the epoch: what was stored before is the past, not late.
    pub began_us: u64,
    matcher: Arc<Matcher>,
    /// Whether what waits may have been let pass by an earlier filter.
    refiltered: bool,
    unique: Option<Unique>,
    catch_up: Option<AbortHandle>,
}

impl Subscription {
    pub fn new(sub: Arc<Sub>, asked: Filter) -> Self {
        let matcher = sub.matcher();
        let unique = matcher.unique();
        Self {
            sub,
            asked,
            position: 0,
            live: false,
            told: None,
            slow_since: None,
            began_us: u64::try_from(clock::now_us()).unwrap_or(0),
            matcher,
            refiltered: false,
            unique,
            catch_up: None,
        }
    }

    /// The part of the filter that is not the fan-out's: text and `unique_within`; and all of it once
    /// it was changed, because what waits went by the former one.
    pub fn passes(&mut self, event: &Event) -> bool {
        (!self.refiltered || self.matcher.wants(&event.detection, &event.address_key))
            && self.matcher.text_matches(&event.detection.message.text)
            && self
                .unique
                .as_mut()
                .is_none_or(|unique| unique.pass(&event.detection, &event.address_key, event.published_us))
    }

    /// As [`Subscription::passes`], for a match; the rest of the filter may have changed since it
    /// was put in.
    pub fn passes_match(&self, event: &MatchEvent) -> bool {
        self.matcher.wants_match(&event.data) && self.matcher.text_matches(&event.data.message.text)
    }

    /// Takes over the filter that the hub has for it now. What `unique_within` remembers stays.
    pub fn refiltered(&mut self) {
        self.matcher = self.sub.matcher();
        self.refiltered = true;
    }

    /// Takes over what it remembered when it was here before.
    pub fn remembers(&mut self, unique: Unique) {
        self.unique = Some(unique);
    }

    /// Notes the task that brings it forward.
    pub fn brought_by(&mut self, task: AbortHandle) {
        self.live = false;
        self.catch_up = Some(task);
    }

    pub fn is_live_now(&mut self) {
        self.live = true;
        self.slow_since = None;
        self.catch_up = None;
    }

    pub fn slow_for(&self, now: Instant) -> Duration {
        self.slow_since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(task) = &self.catch_up {
            task.abort();
        }
    }
}
