//! `deploy/`: what is shipped beside the program, as it is used.

pub(crate) mod ci;
pub(crate) mod kubernetes;
