//! The log: for debugging, on stderr. Records are the product; destinations and agents are DEBUG or lower here.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

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
    #[error("EXEAT_LOG is not a filter: {0}; write a level such as `debug`, or `exeat=debug,hyper=info`")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
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
        LogFormat::Text => log.finish().try_init()?,
        LogFormat::Json => log.json().finish().try_init()?,
    }
    Ok(())
}

fn filter(wanted: Option<&str>, verbose: u8) -> Result<EnvFilter, LogError> {
    let by_count = match verbose {
        // A folder that is replaced whole takes its watches along, which the crate that watches warns of each time.
        0 => "warn,notify::inotify=error,exeat=info",
        1 => "info,notify::inotify=error,exeat=debug",
        2 => "debug,exeat=trace",
        3.. => "trace",
    };
    Ok(EnvFilter::builder().parse(wanted.filter(|wanted| !wanted.trim().is_empty()).unwrap_or(by_count))?)
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
    fn a_filter_that_is_none_is_an_error_that_says_what_to_write() {
        let error = filter(Some("exeat=loud"), 0).unwrap_err().to_string();
        assert!(error.starts_with("EXEAT_LOG is not a filter: "), "{error}");
    }
}
