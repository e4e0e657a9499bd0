//! The log: for debugging, on stderr. Records are the product; destinations and agents are DEBUG or lower here.

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Crates that are as loud as is asked for: ours, those that ask for names, and the one that watches folders.
///
/// All others say what is `info` or worse: below it crates of HTTP and TLS show heads, with what is secret in them.
const AS_ASKED: [&str; 5] = ["exeat", "hickory_net", "hickory_proto", "hickory_resolver", "notify"];

const LEVELS: &str = "off, error, warn, info, debug and trace";

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `EXEAT_LOG` is no filter.
    #[error("EXEAT_LOG is not a filter: {0}; write a level such as `debug`, or `info,exeat=debug`")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A word of `EXEAT_LOG` is no level, and would be taken for the one crate to show.
    #[error("EXEAT_LOG has {word:?}, which is no level; the levels are {LEVELS}, and a crate has one after `=`, as in `info,exeat=debug`")]
    NoLevel {
        /// The word.
        word: String,
    },
    /// Another log was set up before.
    #[error("the log is set up already")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up the log of this process. `verbose` counts `-v`; the environment's `EXEAT_LOG` goes before it.
pub fn init(verbose: u8, format: LogFormat) -> Result<(), LogError> {
    let wanted = std::env::var("EXEAT_LOG").ok();
    let filter = filter(wanted.as_deref(), verbose)?;
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // It would say on stderr that stderr cannot be written, and panic when that fails too.
    let log = tracing_subscriber::fmt().log_internal_errors(false);
    let log = log.with_env_filter(filter).with_writer(io::stderr).with_ansi(colour);
    match format {
        LogFormat::Text => log.finish().with(filter_fn(|of| may_be_said(of.target(), *of.level()))).try_init()?,
        LogFormat::Json => log.json().finish().with(filter_fn(|of| may_be_said(of.target(), *of.level()))).try_init()?,
    }
    Ok(())
}

/// Whether something of that crate and level may be in the log, whatever the filter lets through.
fn may_be_said(target: &str, level: Level) -> bool {
    let of = target.split("::").next().unwrap_or_default();
    level <= Level::INFO || AS_ASKED.contains(&of)
}

fn filter(wanted: Option<&str>, verbose: u8) -> Result<EnvFilter, LogError> {
    let by_count = match verbose {
        // A folder that is replaced whole takes its watches along, which the crate that watches warns of each time.
        0 => "warn,notify::inotify=error,exeat=info",
        1 => "info,notify::inotify=error,exeat=debug",
        2 => "debug,exeat=trace",
        3.. => "trace",
    };
    let filter = wanted.filter(|wanted| !wanted.trim().is_empty()).unwrap_or(by_count);
    if let Some(word) = filter.split(',').map(str::trim).find(|word| is_no_level(word)) {
        return Err(LogError::NoLevel { word: word.to_owned() });
    }
    Ok(EnvFilter::builder().parse(filter)?)
}

/// A bare word that is neither a level nor one of the crates that are shown in full.
fn is_no_level(word: &str) -> bool {
    let bare = !word.is_empty() && !word.contains(['=', '[', ']', '{', '}', '"']);
    bare && word.parse::<LevelFilter>().is_err() && !AS_ASKED.contains(&word.split("::").next().unwrap_or_default())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_environment_goes_before_the_count_of_v() {
        let cases = [
            (None, 0, "notify::inotify=error,exeat=info,warn"),
            (Some(""), 0, "notify::inotify=error,exeat=info,warn"),
            (None, 1, "notify::inotify=error,exeat=debug,info"),
            (None, 9, "trace"),
            (Some("exeat=error"), 3, "exeat=error"),
        ];
        for (wanted, verbose, shown) in cases {
            assert_eq!(filter(wanted, verbose).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn only_known_crates_are_louder_than_info() {
        let table = [
            ("exeat::egress::gate", Level::TRACE, true),
            ("exeat", Level::DEBUG, true),
            ("hickory_resolver::name_server", Level::TRACE, true),
            ("hyper::proto::h1::io", Level::INFO, true),
            ("hyper::proto::h1::io", Level::DEBUG, false),
            ("h2::hpack::decoder", Level::TRACE, false),
            ("rustls::client::hs", Level::TRACE, false),
            ("exeatic", Level::DEBUG, false),
            ("log", Level::TRACE, false),
            ("", Level::TRACE, false),
        ];
        for (target, level, wanted) in table {
            assert_eq!(may_be_said(target, level), wanted, "{target} {level}");
        }
    }

    #[test]
    fn a_bare_word_is_a_level_or_a_crate_that_is_shown() {
        for wanted in ["debug", "WARN", "off", "5", "exeat", "exeat::front", "info,exeat=debug", "info,h2=warn", "[front{a=1}]=debug"] {
            assert!(filter(Some(wanted), 0).is_ok(), "{wanted}");
        }
        for (wanted, word) in [("debgu", "debgu"), ("info,exaet", "exaet"), ("hyper", "hyper"), ("exeat=debug, verbose", "verbose")] {
            let error = filter(Some(wanted), 0).unwrap_err().to_string();
            let levels = "which is no level; the levels are off, error, warn, info, debug and trace, and a crate has one after `=`, as in `info,exeat=debug`";
            assert_eq!(error, format!("EXEAT_LOG has {word:?}, {levels}"));
        }
    }

    #[test]
    fn a_filter_that_is_none_is_an_error_that_says_what_to_write() {
        let error = filter(Some("exeat=loud"), 0).unwrap_err().to_string();
        assert!(error.starts_with("EXEAT_LOG is not a filter: "), "{error}");
    }
}
