//! Reading TLS from outside: what a ClientHello says before anything is terminated.

pub mod client_hello;
