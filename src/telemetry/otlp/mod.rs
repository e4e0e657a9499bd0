//! OTLP: records as log records and spans, metrics as they stand, to one collector by gRPC or HTTP (OTLP 1.7).
//!
//! What is exported is derived from the journal, so that a copy of it is always the same, and nothing is lost while no collector listens.

mod answer;
mod attributes;
mod deliver;
mod headers;
mod logs;
mod metrics;
pub mod names;
mod signal;
mod spans;
mod transport;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use uuid::Uuid;

use attributes::Attributes;

pub use deliver::{Logs, Traces};
pub use headers::{BadHeaders, read as read_headers};
pub use metrics::Push;
pub use transport::{Collector, Protocol};

/// What exports: this process, for all the slots of its state folder.
#[derive(Clone, Debug)]
pub struct Source {
    resource: Resource,
}

impl Default for Source {
    fn default() -> Self {
        let mut attributes = Attributes::default();
        attributes.text(names::SERVICE_NAME, "exeat");
        attributes.text(names::SERVICE_VERSION, env!("CARGO_PKG_VERSION"));
        attributes.text(names::SERVICE_INSTANCE_ID, Uuid::now_v7().to_string());
        Self { resource: Resource { attributes: attributes.into_inner(), ..Resource::default() } }
    }
}

impl Source {
    fn resource(&self) -> Option<Resource> {
        Some(self.resource.clone())
    }
}

fn scope() -> Option<InstrumentationScope> {
    let (name, version) = ("exeat".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    Some(InstrumentationScope { name, version, ..InstrumentationScope::default() })
}
