//! `deploy/`: what is shipped beside the program, as it is used.

mod doctor;
mod gateway;
mod netns;
mod sidecar;
mod transparent;
mod user;
