//! `deploy/`: what is shipped beside the program, as it is used.

mod ci;
mod doctor;
mod gateway;
pub(crate) mod kubernetes;
mod netns;
mod sidecar;
mod transparent;
