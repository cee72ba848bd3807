//! From specifications to stream configurations, and from what is to what should be.

use std::time::Duration;

use async_nats::jetstream::stream::{Compression, Config, DiscardPolicy, Info, RetentionPolicy, StorageType};
use tgmesh_proto::subject;

use super::epoch::{EPOCH_KEY, new_epoch};
use super::{BucketSpec, Change, StreamSpec, Topology};

const SET_PREFIX: &str = "tgmesh.set.";

/// A stream, or the stream under a bucket, as it should be.
pub(super) struct Part {
    what: String,
    pub(super) config: Config,
    /// Whether it has an epoch: readers come back to it with a sequence.
    pub(super) epoch: bool,
}

pub(super) struct Plan {
    pub(super) changes: Vec<Change>,
    /// What to write; nothing when all is as it should be.
    pub(super) config: Option<Config>,
}

pub(super) fn parts(topology: &Topology) -> Vec<Part> {
    let streams = topology.streams.iter().map(stream_part);
    streams.chain(topology.buckets.iter().map(bucket_part)).collect()
}

fn stream_part(spec: &StreamSpec) -> Part {
    Part {
        what: format!("stream {}", spec.name),
        epoch: true,
        config: Config {
            name: spec.name.to_owned(),
            subjects: vec![spec.subject.to_owned()],
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            discard: DiscardPolicy::Old,
            compression: Some(Compression::S2),
            max_age: spec.max_age.unwrap_or_default(),
            max_bytes: i64::try_from(spec.max_bytes).unwrap_or(i64::MAX),
            max_messages: -1,
            max_messages_per_subject: -1,
            max_consumers: -1,
            duplicate_window: spec.duplicate_window,
            num_replicas: spec.replicas,
            deny_delete: spec.append_only,
            deny_purge: spec.append_only,
            allow_direct: true,
            ..Config::default()
        },
    }
}

/// The stream under a bucket, as the NATS clients lay it out (nats ADR-8).
fn bucket_part(spec: &BucketSpec) -> Part {
    let max_age = spec.max_age.unwrap_or_default();
    let two_minutes = Duration::from_mins(2);
    Part {
        what: format!("bucket {}", spec.name),
        epoch: false,
        config: Config {
            name: format!("KV_{}", spec.name),
            subjects: vec![format!("$KV.{}.>", spec.name)],
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            max_age,
            max_bytes: -1,
            max_messages: -1,
            max_messages_per_subject: 1,
            max_consumers: -1,
            // The window may not be longer than the age.
            duplicate_window: if max_age.is_zero() {
                two_minutes
            } else {
                max_age.min(two_minutes)
            },
            num_replicas: spec.replicas,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            ..Config::default()
        },
    }
}

impl Part {
    pub(super) fn plan(&self, found: Option<&Info>) -> Plan {
        let Some(info) = found else {
            let mut config = self.config.clone();
            for field in fields(&config) {
                config.metadata.insert(set_key(field.name), field.value.to_string());
            }
            if self.epoch {
                config.metadata.insert(EPOCH_KEY.to_owned(), new_epoch());
            }
            return Plan {
                changes: vec![Change::Create {
                    what: self.what.clone(),
                }],
                config: Some(config),
            };
        };
        let mut plan = Plan {
            changes: Vec::new(),
            config: None,
        };
        let mut config = info.config.clone();
        for subject in &self.config.subjects {
            // The one thing a stream cannot be without; subjects that an operator added stay.
            if !config.subjects.contains(subject) {
                plan.changes.push(Change::Update {
                    what: self.what.clone(),
                    field: "subjects",
                    from: config.subjects.join(","),
                    to: format!("and {subject}"),
                });
                config.subjects.push(subject.clone());
            }
        }
        for (is, asked) in fields(&info.config).into_iter().zip(fields(&self.config)) {
            if is.value == asked.value {
                continue;
            }
            let set = info.config.metadata.get(&set_key(is.name));
            let kept = |why| Change::Keep {
                what: self.what.clone(),
                field: is.name,
                is: (is.show)(is.value),
                asked: (asked.show)(asked.value),
                why,
            };
            if set.is_none_or(|set| *set != is.value.to_string()) {
                plan.changes.push(kept("an operator set it"));
            } else if asked.value < is.value && !is.may_fall {
                plan.changes
                    .push(kept("a limit is never made smaller here: use the nats tool"));
            } else {
                (asked.put)(&mut config, asked.value);
                config.metadata.insert(set_key(asked.name), asked.value.to_string());
                plan.changes.push(Change::Update {
                    what: self.what.clone(),
                    field: is.name,
                    from: (is.show)(is.value),
                    to: (asked.show)(asked.value),
                });
            }
        }
        if plan
            .changes
            .iter()
            .any(|change| matches!(change, Change::Update { .. }))
        {
            plan.config = Some(config);
        }
        plan
    }
}

fn set_key(field: &str) -> String {
    format!("{SET_PREFIX}{field}")
}

/// A setting as a number whose size can be compared; "no limit" is the largest.
struct Field {
    name: &'static str,
    value: i128,
    /// Whether a smaller value takes nothing away.
    may_fall: bool,
    show: fn(i128) -> String,
    put: fn(&mut Config, i128),
}

const NO_LIMIT: i128 = i128::MAX;

fn fields(config: &Config) -> [Field; 5] {
    [
        Field {
            name: "max_age",
            value: if config.max_age.is_zero() {
                NO_LIMIT
            } else {
                config.max_age.as_nanos() as i128
            },
            // A lease that ends sooner loses nothing that is stored.
            may_fall: config.name == format!("KV_{}", subject::LEASES),
            show: show_age,
            put: |config, value| {
                config.max_age = if value == NO_LIMIT {
                    Duration::ZERO
                } else {
                    nanos(value)
                }
            },
        },
        Field {
            name: "max_bytes",
            value: if config.max_bytes <= 0 {
                NO_LIMIT
            } else {
                i128::from(config.max_bytes)
            },
            may_fall: false,
            show: |value| {
                if value == NO_LIMIT {
                    "no limit".to_owned()
                } else {
                    format!("{value} bytes")
                }
            },
            put: |config, value| config.max_bytes = if value == NO_LIMIT { -1 } else { value as i64 },
        },
        Field {
            name: "duplicate_window",
            value: config.duplicate_window.as_nanos() as i128,
            may_fall: config.name == format!("KV_{}", subject::LEASES),
            show: show_age,
            put: |config, value| config.duplicate_window = nanos(value),
        },
        Field {
            name: "replicas",
            value: config.num_replicas as i128,
            may_fall: false,
            show: |value| value.to_string(),
            put: |config, value| config.num_replicas = value as usize,
        },
        Field {
            name: "append_only",
            value: i128::from(config.deny_delete && config.deny_purge),
            may_fall: false,
            show: |value| (value == 1).to_string(),
            put: |config, value| {
                config.deny_delete |= value == 1;
                config.deny_purge |= value == 1;
            },
        },
    ]
}

fn nanos(value: i128) -> Duration {
    Duration::from_nanos(u64::try_from(value).unwrap_or(u64::MAX))
}

fn show_age(value: i128) -> String {
    if value == NO_LIMIT {
        "no limit".to_owned()
    } else {
        format!("{:?}", nanos(value))
    }
}
