//! The detector as its callers see it.

mod alloc;
mod cases;
mod fuzz;
mod labelled;
mod linear;
mod make;
mod properties;
mod secrets;
