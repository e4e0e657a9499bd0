//! Black-box tests: the real binary, over sockets and with real clients.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says where")]
#![expect(clippy::wildcard_enum_match_arm, reason = "the enums are other crates'")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests stand outside: they connect, block and poll as agents do")]

mod addresses;
mod admin;
mod authority;
mod browser;
mod budgets;
mod canaries;
mod cli;
mod clients;
mod conformance;
mod corpus;
mod deploy;
mod differential;
mod every_front;
mod floods;
mod forgery;
mod freeze;
mod fuzz;
mod hello;
mod hold;
mod hostile;
mod identity;
mod idle;
mod init;
mod inspect;
mod itself;
mod observability;
mod observe;
mod otlp;
mod progress;
mod readme;
mod records;
mod regression;
mod reload;
mod requests;
mod run;
mod secrets;
mod sinks;
mod suffixes;
mod support;
mod support_itself;
mod tools;
mod trace;
mod tunnel;
mod verify;
mod words;
