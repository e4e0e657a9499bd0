"""A receiver of OTLP for the tests, by gRPC or HTTP: writes what it gets to a file, one JSON object a line, before it says that it has it.

collector.py PROTOCOL PORT FILE MODE [IDENTITY]
  PROTOCOL  grpc or http
  PORT      where it listens on 127.0.0.1; 0 is any. The first line on standard output says which.
  MODE      takes      takes everything
            partial    takes everything, and says that one item of each kind was rejected
            silent     takes the request and never answers
            busy       asks to be left alone for a second, three times; then takes everything
            garbage    answers what is no OTLP
            refuses    says that the data is invalid
  IDENTITY  a folder of cert.pem and key.pem: gRPC by TLS
"""

import json
import os
import socket
import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

PROTOCOL, PORT, FILE, MODE = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
IDENTITY = sys.argv[5] if len(sys.argv) > 5 else None
LOCK = threading.Lock()
BUSY = [3]

SIGNALS = {
    "/v1/logs": (logs_service_pb2.ExportLogsServiceRequest, logs_service_pb2.ExportLogsServiceResponse, "rejected_log_records"),
    "/v1/traces": (trace_service_pb2.ExportTraceServiceRequest, trace_service_pb2.ExportTraceServiceResponse, "rejected_spans"),
    "/v1/metrics": (metrics_service_pb2.ExportMetricsServiceRequest, metrics_service_pb2.ExportMetricsServiceResponse, "rejected_data_points"),
}


def value(any_value):
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(item) for item in any_value.array_value.values]
    return getattr(any_value, kind) if kind else None


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


def logs(request):
    for group in request.resource_logs:
        for scope in group.scope_logs:
            for log in scope.log_records:
                yield {
                    "signal": "log", "resource": attributes(group.resource.attributes), "event": log.event_name, "body": value(log.body),
                    "severity": log.severity_text, "time": log.time_unix_nano, "attributes": attributes(log.attributes),
                    "trace": log.trace_id.hex(), "span": log.span_id.hex(),
                }


def spans(request):
    for group in request.resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                yield {
                    "signal": "span", "resource": attributes(group.resource.attributes), "name": span.name, "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(), "parent": span.parent_span_id.hex(), "kind": span.kind, "start": span.start_time_unix_nano,
                    "end": span.end_time_unix_nano, "status": span.status.code, "attributes": attributes(span.attributes),
                    "links": [[link.trace_id.hex(), link.span_id.hex()] for link in span.links],
                }


def metrics(request):
    for group in request.resource_metrics:
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                points = [
                    {"attributes": attributes(point.attributes), "start": point.start_time_unix_nano,
                     "value": point.count if kind == "histogram" else point.as_double}
                    for point in getattr(metric, kind).data_points
                ]
                yield {"signal": "metric", "name": metric.name, "kind": kind, "unit": metric.unit, "points": points}


def keep(request, headers):
    read = {"ExportLogsServiceRequest": logs, "ExportTraceServiceRequest": spans, "ExportMetricsServiceRequest": metrics}
    lines = "".join(json.dumps({**item, "key": headers.get("x-key")}) + "\n" for item in read[type(request).__name__](request))
    with LOCK, open(FILE, "a", encoding="utf-8") as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def is_busy():
    with LOCK:
        BUSY[0] -= 1
        return MODE == "busy" and BUSY[0] >= 0


def response(path):
    _, answer, field = SIGNALS[path]
    if MODE != "partial":
        return answer()
    answer = answer()
    setattr(answer.partial_success, field, 1)
    answer.partial_success.error_message = "one is too old"
    return answer


def grpc_servicer(base, path):
    class Servicer(base):
        def Export(self, request, context):
            if MODE == "silent":
                threading.Event().wait()
            if MODE == "refuses":
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not what I want")
            if is_busy():
                # google.rpc.Status {details: [Any {RetryInfo {retry_delay {seconds: 1}}}]}
                url = b"type.googleapis.com/google.rpc.RetryInfo"
                info = b"\x0a\x02\x08\x01"
                any_value = b"\x0a" + bytes([len(url)]) + url + b"\x12" + bytes([len(info)]) + info
                context.set_trailing_metadata((("grpc-status-details-bin", b"\x1a" + bytes([len(any_value)]) + any_value),))
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")
            keep(request, dict(context.invocation_metadata()))
            return response(path)

    return Servicer()


def serve_grpc():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=[("grpc.so_reuseport", 0)])
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(grpc_servicer(logs_service_pb2_grpc.LogsServiceServicer, "/v1/logs"), server)
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(grpc_servicer(trace_service_pb2_grpc.TraceServiceServicer, "/v1/traces"), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(
        grpc_servicer(metrics_service_pb2_grpc.MetricsServiceServicer, "/v1/metrics"), server
    )
    if IDENTITY:
        key, chain = (open(os.path.join(IDENTITY, name), "rb").read() for name in ("key.pem", "cert.pem"))
        port = server.add_secure_port(f"127.0.0.1:{PORT}", grpc.ssl_server_credentials([(key, chain)]))
    else:
        port = server.add_insecure_port(f"127.0.0.1:{PORT}")
    server.start()
    print(f"listening {port}", flush=True)
    server.wait_for_termination()


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        content = self.rfile.read(int(self.headers["content-length"]))
        if MODE == "silent":
            threading.Event().wait()
        if MODE == "refuses":
            return self.say(400, b"not what I want")
        if is_busy():
            return self.say(503, b"", {"retry-after": "1"})
        assert self.headers["content-type"] == "application/x-protobuf"
        request = SIGNALS[self.path.removeprefix("/base")][0].FromString(content)
        keep(request, {name.lower(): text for name, text in self.headers.items()})
        return self.say(200, response(self.path.removeprefix("/base")).SerializeToString())

    def say(self, status, content, headers=None):
        self.send_response(status)
        for name, text in {"content-type": "application/x-protobuf", "content-length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def serve_http():
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Http)
    print(f"listening {server.server_address[1]}", flush=True)
    server.serve_forever()


def serve_garbage():
    says = b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n<html>hi</html>" if PROTOCOL == "http" else b"\x00\x01\x02 no HTTP/2 at all\r\n" * 50
    listener = socket.create_server(("127.0.0.1", PORT))
    print(f"listening {listener.getsockname()[1]}", flush=True)

    def answer(stream):
        stream.recv(1 << 20)
        stream.sendall(says)
        while stream.recv(1 << 20):
            pass

    while True:
        stream, _ = listener.accept()
        threading.Thread(target=answer, args=(stream,), daemon=True).start()


{"garbage": serve_garbage}.get(MODE, {"grpc": serve_grpc, "http": serve_http}[PROTOCOL])()
