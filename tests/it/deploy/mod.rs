//! `deploy/`: what is shipped beside the program, as it is used.

pub(crate) mod ci;
mod compose;
mod doctor;
mod gateway;
mod image;
pub(crate) mod kubernetes;
mod netns;
mod package;
mod shipped;
mod sidecar;
mod transparent;
mod units;
mod user;
