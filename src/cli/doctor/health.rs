//! `exeat doctor --live` and `--ready`: the health check of a container that has no shell and no other program.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};

use super::wire::{self, Silence};
use crate::config::Config;
use crate::text::{plain, trouble};

/// Of a line of an answer no more is shown.
const SHOWN: usize = 500;

/// Asks the configured metrics listener for `path`, and says what it says; 1 where that is no.
pub(super) async fn ask(path: &'static str, config: &Config, within: Duration, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let address = config.metrics.context("there is no metrics listener to ask; write address = \"127.0.0.1:9464\" under [metrics]")?;
    if address.port() == 0 {
        bail!("the metrics listener lets the system choose its port; write a port under [metrics] address");
    }
    let at = here(address);
    let answer = wire::get(at, path, within).await.map_err(|silence| match silence {
        Silence::Late => anyhow!("{at} does not answer within {within:?}; see the log of `exeat serve`"),
        Silence::Error(kind) => anyhow!("{at} does not answer: {}; is `exeat serve` running with this configuration?", trouble(kind)),
    })?;
    for line in answer.body.lines() {
        writeln!(out, "{}", plain(line, SHOWN))?;
    }
    match answer.status {
        Some(200) => Ok(ExitCode::SUCCESS),
        Some(503) => Ok(ExitCode::FAILURE),
        Some(_) | None => bail!("what answers at {at} is not exeat; correct [metrics] address"),
    }
}

/// Where something that is bound to an address is reached on this machine.
pub(super) fn here(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, bound.port())
}
