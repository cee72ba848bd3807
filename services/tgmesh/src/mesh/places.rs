//! Where the parts of a running mesh are, for tools that come later: files in its state folder.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Mesh, Part};

/// Where the servers and admin ports are, for `tgmesh doctor`.
pub(crate) const PLACES: &str = "places.json";
/// The same in the form of Prometheus' `file_sd_configs`.
const TARGETS: &str = "targets.json";

/// Addresses of a running mesh. None of them holds a secret.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Places {
    /// NATS.
    pub nats: String,
    /// Admin ports by part.
    pub admin: BTreeMap<String, String>,
}

impl Mesh {
    /// `http://127.0.0.1:<port>` of a service: `/healthz`, `/readyz`, `/metrics`.
    #[must_use]
    pub fn admin_url(&self, part: Part) -> Option<String> {
        self.admin.get(&part).map(|port| format!("http://127.0.0.1:{port}"))
    }

    /// Writes both files.
    pub(super) fn tell_places(&self) -> Result<()> {
        let services: Vec<_> = self
            .parts()
            .into_iter()
            .filter(|part| self.admin.contains_key(part))
            .collect();
        let admin = services
            .iter()
            .filter_map(|part| Some((part.to_string(), self.admin_url(*part)?)));
        // What an operator gave may hold a password: the variable says it again to whoever may know.
        let nats = if self.nats.is_some() {
            self.nats_url()
        } else {
            without_user(&self.nats_url())
        };
        let places = Places {
            nats,
            admin: admin.collect(),
        };
        let targets: Vec<_> = services
            .iter()
            .filter_map(|part| Some((part, self.admin.get(part)?)))
            .map(|(part, port)| json!({ "targets": [format!("127.0.0.1:{port}")], "labels": { "job": format!("tgmesh-{part}") } }))
            .collect();
        for (name, text) in [
            (PLACES, serde_json::to_string_pretty(&places)?),
            (TARGETS, serde_json::to_string_pretty(&targets)?),
        ] {
            let path = self.folder.path(name);
            std::fs::write(&path, text + "\n").with_context(|| format!("couldn't write {}", path.display()))?;
        }
        Ok(())
    }
}

/// A comma list of addresses without `user:password@`.
fn without_user(urls: &str) -> String {
    let bare = urls
        .split(',')
        .map(|url| match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
            (None, Some((_, host))) => host.to_owned(),
            _ => url.to_owned(),
        });
    bare.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_hold_no_password() {
        assert_eq!(
            without_user("nats://a:p@ss@h:1,tls://b:2,c:d@e:3"),
            "nats://h:1,tls://b:2,e:3"
        );
    }
}
