//! Two pods of each service: those of a mesh, and a twin of each.

use std::collections::BTreeMap;
use std::time::Duration;

use tgmesh::mesh::{Mesh, Options, Part, Telegram};
use tgmesh::token::Claims;
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{Scratch, binary, free_port, until};

use crate::support::{START_LIMIT, state};

/// Pods of each service.
pub const OF_EACH: usize = 2;
/// What the binaries promise, and a little for a busy machine to notice it.
const TERM_LIMIT: Duration = Duration::from_secs(12);

pub struct Pods {
    pub mesh: Mesh,
    twins: BTreeMap<Part, Twin>,
    http: reqwest::Client,
    _scratch: Scratch,
}

struct Twin {
    spec: Spec,
    admin: u16,
    gateway: u16,
    process: Process,
}

impl Pods {
    /// All of them, ready.
    pub async fn start() -> Self {
        let scratch = Scratch::new().unwrap();
        let mesh = Mesh::start(Options {
            dir: state(&scratch),
            telegram: Telegram::Simulated {
                seed: 7,
                chats: 20,
                rate: 0.0,
            },
            nats: None,
            database: None,
            gateway: ([127, 0, 0, 1], 0).into(),
            env: Vec::new(),
        });
        let mesh = mesh.await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut pods = Self {
            mesh,
            twins: BTreeMap::new(),
            http,
            _scratch: scratch,
        };
        for part in [Part::Listener, Part::Archiver, Part::Gateway] {
            let twin = Twin::of(&pods.mesh, part);
            pods.ready(&twin).await;
            pods.twins.insert(part, twin);
        }
        pods
    }

    /// `host:port` of each gateway.
    pub fn gateways(&self) -> [String; OF_EACH] {
        let first = self.mesh.url().trim_start_matches("http://").to_owned();
        [first, format!("127.0.0.1:{}", self.twins[&Part::Gateway].gateway)]
    }

    pub fn token(&self) -> String {
        let signer = self.mesh.signer().unwrap();
        signer
            .sign(&Claims::operator("rolling"), Duration::from_hours(1))
            .unwrap()
    }

    /// Stops a pod as Kubernetes does, and starts it again: done when it is ready.
    pub async fn replace(&mut self, part: Part, pod: usize) {
        if pod == 0 {
            let log = self.mesh.folder().path(&format!("logs/{part}.log"));
            let (status, took) = self.mesh.terminate(part).await.unwrap();
            let log = || std::fs::read_to_string(&log).unwrap_or_default();
            assert_eq!(status.code(), Some(0), "the {part} ended so:\n{}", log());
            assert!(took <= TERM_LIMIT, "the {part} took {took:?}");
            self.mesh.start_again(part).await.unwrap();
            return;
        }
        let mut twin = self.twins.remove(&part).unwrap();
        twin.process.terminate();
        let status = twin.process.wait(TERM_LIMIT).await.unwrap();
        assert_eq!(
            status.code(),
            Some(0),
            "the {part} ended so:\n{}",
            twin.process.log_tail()
        );
        twin.process = Process::spawn(twin.spec.clone()).unwrap();
        self.ready(&twin).await;
        self.twins.insert(part, twin);
    }

    async fn ready(&self, twin: &Twin) {
        let url = format!("http://127.0.0.1:{}/readyz", twin.admin);
        let answers = async || {
            let answer = self.http.get(&url).timeout(Duration::from_secs(5)).send().await;
            !twin.process.is_running() || answer.is_ok_and(|answer| answer.status().is_success())
        };
        let ready = until(START_LIMIT, answers).await && twin.process.is_running();
        assert!(ready, "{}", twin.process.log_tail());
    }
}

impl Twin {
    /// Another pod of a service: the same variables, its own ports and name.
    fn of(mesh: &Mesh, part: Part) -> Self {
        let (admin, gateway) = (free_port(), free_port());
        let first = mesh.process(part).unwrap();
        let environment = std::fs::read(format!("/proc/{}/environ", first.pid())).unwrap();
        let environment = String::from_utf8(environment).unwrap();
        let variables = environment.split('\0').filter_map(|variable| variable.split_once('='));
        let spec = Spec::new(binary(&format!("tgmesh-{part}")))
            .envs(variables)
            .env("ADMIN_LISTEN", format!("127.0.0.1:{admin}"))
            .env("GATEWAY_LISTEN", format!("127.0.0.1:{gateway}"));
        let process = Process::spawn(spec.clone()).unwrap();
        Self {
            spec,
            admin,
            gateway,
            process,
        }
    }
}
