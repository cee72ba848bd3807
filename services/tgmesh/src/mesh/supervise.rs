//! Starting parts again that end by themselves.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::{Duration, Instant};

use futures_util::future::select_all;

use super::{Mesh, Part};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A part that has run this long gets the first pause again.
const STEADY: Duration = Duration::from_mins(1);

struct Patient {
    due: Instant,
    pause: Duration,
    started: Instant,
}

impl Mesh {
    /// Starts again, after growing pauses, every part that ends without being told to. Never
    /// returns. `say` gets a line for people each time.
    pub async fn supervise(&mut self, say: impl Fn(&str)) {
        let mut patients: BTreeMap<Part, Patient> = BTreeMap::new();
        loop {
            for part in self.missing() {
                let now = Instant::now();
                let patient = patients.entry(part).or_insert(Patient {
                    due: now,
                    pause: FIRST_PAUSE,
                    started: now,
                });
                if patient.due <= patient.started {
                    if now - patient.started > STEADY {
                        patient.pause = FIRST_PAUSE;
                    }
                    patient.due = now + patient.pause;
                    say(&format!(
                        "the {part} ended by itself; starting it again in {:.1} s (see {})",
                        patient.pause.as_secs_f64(),
                        self.log_of(part)
                    ));
                }
            }
            let due = patients.iter().filter(|(_, patient)| patient.due > patient.started);
            let next = due
                .min_by_key(|(_, patient)| patient.due)
                .map(|(part, patient)| (*part, patient.due));
            let wake = async {
                match next {
                    Some((_, due)) => tokio::time::sleep_until(due.into()).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = self.some_end() => continue,
                () = wake => {}
            }
            let Some((part, _)) = next else { continue };
            let result = self.launch_again(part).await;
            if let Some(patient) = patients.get_mut(&part) {
                patient.pause = (patient.pause * 2).min(LONGEST_PAUSE);
                patient.started = Instant::now();
                patient.due = patient.started;
            }
            match result {
                Ok(()) => say(&format!("started the {part} again")),
                Err(error) => say(&format!("couldn't start the {part} again: {error:#}")),
            }
        }
    }

    /// Parts that should run and do not.
    fn missing(&self) -> Vec<Part> {
        let parts = self.parts().into_iter();
        parts
            .filter(|part| !self.ended.contains(part) && self.process(*part).is_none())
            .collect()
    }

    /// Resolves when one of the running parts ends.
    async fn some_end(&self) {
        let running = self.parts().into_iter().filter_map(|part| self.process(part));
        let ends: Vec<_> = running.map(|process| Box::pin(process.ended())).collect();
        if ends.is_empty() {
            pending::<()>().await;
        }
        select_all(ends).await;
    }

    fn log_of(&self, part: Part) -> String {
        let path = match part {
            Part::Nats => "nats/nats.log".to_owned(),
            Part::Postgres => "postgres/postgres.log".to_owned(),
            _ => format!("logs/{part}.log"),
        };
        self.folder.path(&path).display().to_string()
    }
}
