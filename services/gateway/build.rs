//! Compiles the crate again when the dashboard that it embeds was built again.

use std::path::Path;

fn main() {
    // Cargo runs a script again and again whose watched path is missing; so before the dashboard
    // is built for the first time its folder is watched instead.
    for path in ["../../dashboard/dist", "../../dashboard"] {
        if Path::new(path).exists() {
            println!("cargo::rerun-if-changed={path}");
            return;
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
}
