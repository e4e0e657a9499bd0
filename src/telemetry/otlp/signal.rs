//! The three signals of OTLP: where each goes, and what its answer says.

use std::future::Future;

use opentelemetry_proto::tonic::collector::{logs, metrics, trace};
use prost::Message;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::answer::Taken;

/// Of an answer no more is decoded.
const LONGEST_ANSWER: usize = 64 << 10;

/// What is exported.
pub(super) trait Signal: Message + Clone + Default + 'static {
    /// What the collector answers.
    type Answer: Message + Default;
    /// The path behind the collector's own.
    const PATH: &'static str;

    /// Exports by gRPC.
    fn call(channel: Channel, request: Request<Self>) -> impl Future<Output = Result<Response<Self::Answer>, Status>> + Send;

    /// What of it was taken.
    fn taken(answer: Self::Answer) -> Taken;
}

fn partly(rejected: i64, message: &str) -> Taken {
    Taken { rejected: u64::try_from(rejected).unwrap_or(0), words: message.to_owned() }
}

impl Signal for logs::v1::ExportLogsServiceRequest {
    type Answer = logs::v1::ExportLogsServiceResponse;
    const PATH: &'static str = "/v1/logs";

    async fn call(channel: Channel, request: Request<Self>) -> Result<Response<Self::Answer>, Status> {
        let mut client = logs::v1::logs_service_client::LogsServiceClient::new(channel).max_decoding_message_size(LONGEST_ANSWER);
        client.export(request).await
    }

    fn taken(answer: Self::Answer) -> Taken {
        answer.partial_success.map_or_else(Taken::default, |partial| partly(partial.rejected_log_records, &partial.error_message))
    }
}

impl Signal for trace::v1::ExportTraceServiceRequest {
    type Answer = trace::v1::ExportTraceServiceResponse;
    const PATH: &'static str = "/v1/traces";

    async fn call(channel: Channel, request: Request<Self>) -> Result<Response<Self::Answer>, Status> {
        let mut client = trace::v1::trace_service_client::TraceServiceClient::new(channel).max_decoding_message_size(LONGEST_ANSWER);
        client.export(request).await
    }

    fn taken(answer: Self::Answer) -> Taken {
        answer.partial_success.map_or_else(Taken::default, |partial| partly(partial.rejected_spans, &partial.error_message))
    }
}

impl Signal for metrics::v1::ExportMetricsServiceRequest {
    type Answer = metrics::v1::ExportMetricsServiceResponse;
    const PATH: &'static str = "/v1/metrics";

    async fn call(channel: Channel, request: Request<Self>) -> Result<Response<Self::Answer>, Status> {
        let mut client = metrics::v1::metrics_service_client::MetricsServiceClient::new(channel).max_decoding_message_size(LONGEST_ANSWER);
        client.export(request).await
    }

    fn taken(answer: Self::Answer) -> Taken {
        answer.partial_success.map_or_else(Taken::default, |partial| partly(partial.rejected_data_points, &partial.error_message))
    }
}
