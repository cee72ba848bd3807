//! A database that answers and takes nothing: its disk is full, its quota is used up, or it is
//! read-only.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tgmesh_proto::codec;
use tgmesh_stream::publish::{Limits, Outgoing, Publisher};
use tgmesh_stream::{consume, deadletter};
use tgmesh_testkit::{Scratch, eventually};

use crate::{Archiver, LONG, Place, event, outgoing, seed};

/// Publishes events whose texts do not compress.
async fn fill_bulky(place: &Place, events: std::ops::Range<u64>) {
    let mut random = StdRng::seed_from_u64(seed("bulky events"));
    let publisher = Publisher::new(&place.mesh, Limits::default());
    for n in events {
        let mut event = event(n);
        event.message.text = (0..4000).map(|_| random.random_range('!'..='~')).collect();
        let payload = Bytes::from(codec::encode(&event).unwrap());
        let message = Outgoing {
            payload,
            ..outgoing(&event)
        };
        drop(publisher.publish(message).await);
    }
    assert_eq!(publisher.drain(LONG).await, 0);
}

/// The database takes nothing more: everybody says so, and nothing is given up.
async fn told_and_held(place: &Place, archiver: &Archiver, words: &str) {
    eventually(LONG, "it says that it is held up", async || {
        !archiver.is_ready().await && archiver.metric("tgmesh_archiver_held_up").await == 1
    })
    .await;
    // Longer than the database's own health check: that it answers is not enough.
    let errors = archiver.metric("tgmesh_archiver_batch_errors_total").await;
    eventually(LONG, "it tries again", async || {
        archiver.metric("tgmesh_archiver_batch_errors_total").await > errors + 3
    })
    .await;
    let ready = archiver.get("/readyz").await.unwrap();
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains(words), "{ready}");
    assert!(ready.contains("\"nats\":\"up"), "{ready}");
    let standing = consume::standing(&place.mesh, "DETECTIONS", "archiver").await;
    let standing = standing.unwrap().unwrap();
    assert!(standing.unacked() > 0, "{standing:?}");
    assert!(Some(standing.acked) <= place.rows().await, "what is acked is a row");
    let mut shelf = deadletter::open(&place.mesh).await.unwrap();
    let letter = shelf.next().await.unwrap().map(|letter| letter.reason);
    assert_eq!(letter, None, "nothing is given up");
    let log = std::fs::read_to_string(archiver.process.log_path()).unwrap();
    assert!(
        log.contains("the database takes no rows") && log.contains(words),
        "{log}"
    );
}

async fn goes_on(place: &Place, archiver: Archiver, rows: u64) {
    place.eventually_rows(rows).await;
    archiver.ready().await;
    assert_eq!(archiver.metric("tgmesh_archiver_held_up").await, 0);
    assert_eq!(archiver.metric("tgmesh_archiver_redeliveries_total").await, 0);
    assert_eq!(place.letters().await, 0);
    assert!(archiver.stop().await.success());
}

async fn make_read_only(place: &Place) {
    place.ask("ALTER SYSTEM SET default_transaction_read_only = on").await;
    place.ask("SELECT pg_reload_conf()").await;
    eventually(LONG, "it is read-only", async || {
        place.ask("SHOW default_transaction_read_only").await == "on"
    })
    .await;
}

/// An archiver cannot even make its tables: it says so and waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_is_waited_for_at_start() {
    let place = Place::new().await;
    make_read_only(&place).await;
    let archiver = place.archiver();
    eventually(LONG, "it says that it waits", async || {
        std::fs::read_to_string(archiver.process.log_path())
            .is_ok_and(|log| log.contains("couldn't migrate the database, waiting") && log.contains("read-only"))
    })
    .await;
    assert!(archiver.process.is_running() && !archiver.is_ready().await);
    place.ask("ALTER SYSTEM RESET default_transaction_read_only").await;
    place.ask("SELECT pg_reload_conf()").await;
    crate::fill(&place.mesh, 0..500).await;
    place.eventually_rows(500).await;
    archiver.ready().await;
    assert!(archiver.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_is_waited_for() {
    let place = Place::new().await;
    let archiver = place.archiver();
    crate::fill(&place.mesh, 0..500).await;
    place.eventually_rows(500).await;
    archiver.ready().await;
    make_read_only(&place).await;
    crate::fill(&place.mesh, 500..2000).await;
    told_and_held(&place, &archiver, "read-only").await;
    place.ask("ALTER SYSTEM RESET default_transaction_read_only").await;
    place.ask("SELECT pg_reload_conf()").await;
    goes_on(&place, archiver, 2000).await;
}

/// The kernel refuses to let a file grow: what a quota on the database's files does. It can be set
/// by whoever owns the processes, root or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_is_waited_for() {
    let place = Place::new().await;
    let archiver = place.archiver();
    crate::fill(&place.mesh, 0..500).await;
    place.eventually_rows(500).await;
    archiver.ready().await;
    // A segment of the database's log is 16 MiB and must fit.
    limit_files(&place, "17000000");
    fill_bulky(&place, 500..6000).await;
    told_and_held(&place, &archiver, "could not extend file").await;
    limit_files(&place, "unlimited");
    goes_on(&place, archiver, 6000).await;
}

/// For the server and all its children, and so for those to come.
fn limit_files(place: &Place, bytes: &str) {
    let server = place.postgres.process().unwrap().pid();
    let owner = std::fs::metadata(format!("/proc/{server}")).unwrap();
    let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap();
    let pids = children.split_whitespace().map(str::to_owned);
    for pid in pids.chain([server.to_string()]) {
        // The soft limit alone: raising the hard one again takes root.
        let mut set = Command::new("prlimit");
        set.args(["--pid", &pid, &format!("--fsize={bytes}:")]);
        // Its owner may, and root may become its owner.
        let set = set.uid(owner.uid()).gid(owner.gid()).output();
        let set = set.expect("util-linux's prlimit");
        // A child may have ended meanwhile.
        let gone = !Path::new(&format!("/proc/{pid}")).exists();
        assert!(set.status.success() || gone, "{}", String::from_utf8_lossy(&set.stderr));
    }
}

/// A file system of its own in memory, gone with this value. Mounting takes root.
struct Disk {
    scratch: Scratch,
}

impl Disk {
    fn mount(mb: u32) -> Option<Self> {
        let scratch = Scratch::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mb}m"), "tgmesh-test"])
            .arg(scratch.path())
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Self { scratch })
    }

    fn path(&self) -> PathBuf {
        self.scratch.path().to_path_buf()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.scratch.path()).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_waited_for() {
    let Some(disk) = Disk::mount(64) else {
        println!("not run: no file system can be mounted here; the quota's test shows the same");
        return;
    };
    let place = Place::new().await;
    let owner = std::fs::metadata(format!("/proc/{}", place.postgres.process().unwrap().pid())).unwrap();
    let folder = disk.path().join("tables");
    std::fs::create_dir(&folder).unwrap();
    for path in [disk.path(), folder.clone()] {
        std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![1; 48 << 20]).unwrap();
    let space = format!("CREATE TABLESPACE small LOCATION '{}'", folder.display());
    place.postgres.query("tgmesh", &space).await.unwrap();
    // Partitions are made with the rights of the tables' owner.
    let granted = "GRANT CREATE ON TABLESPACE small TO PUBLIC";
    place.postgres.query("tgmesh", granted).await.unwrap();
    let used = "ALTER DATABASE tgmesh SET default_tablespace = small";
    place.postgres.query("tgmesh", used).await.unwrap();

    let archiver = place.archiver();
    crate::fill(&place.mesh, 0..500).await;
    place.eventually_rows(500).await;
    archiver.ready().await;
    fill_bulky(&place, 500..5000).await;
    told_and_held(&place, &archiver, "No space left on device").await;
    // What an operator does.
    std::fs::remove_file(&ballast).unwrap();
    goes_on(&place, archiver, 5000).await;
}
