//! What page and API need of the rest: a place to listen at, and what is open.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::bound::bind;
use super::{App, Bound, NotBound};
use crate::egress::Tunnels;

/// The port of page and API.
const PAGE: u16 = 3129;

impl Bound {
    /// Binds the listener of page and API where the configuration has none. The note says that it is not where it is looked for.
    pub async fn with_page(&mut self) -> Result<Option<String>, NotBound> {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match bind("admin", at(PAGE)).await {
            Ok(listener) => {
                self.admin = Some(listener);
                Ok(None)
            }
            Err(error) => {
                self.admin = Some(bind("admin", at(0)).await?);
                Ok(Some(format!("{error}; the page is at another port until then")))
            }
        }
    }
}

impl App {
    /// What is open.
    pub fn tunnels(&self) -> Arc<Tunnels> {
        Arc::clone(self.gate.tunnels())
    }
}
