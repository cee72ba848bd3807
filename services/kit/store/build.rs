//! The migrations are compiled in; a changed file must compile them in again.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
