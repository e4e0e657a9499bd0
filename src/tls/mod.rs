//! TLS as exeat meets it: what a ClientHello says before anything is terminated, and the certificates made where it is.

pub mod authority;
pub mod bundle;
pub mod ca;
pub mod client_hello;
pub mod constraints;
mod leaf;
pub mod make;
pub mod origin;
