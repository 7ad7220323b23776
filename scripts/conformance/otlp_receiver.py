"""A receiver of OTLP over HTTP, made of OpenTelemetry's own messages, that checks what a server exports.

otlp_receiver.py serve FOLDER: keeps each request in FOLDER, and writes its port to FOLDER/port. The first two requests with
spans are answered with 503, as a collector that is overloaded does.
otlp_receiver.py check FOLDER TIMINGS: compares all spans with the timings of tasks, which are the lines of a file.
"""

import collections
import http.server
import json
import pathlib
import sys

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

PATHS = {"/v1/traces": traces.ExportTraceServiceRequest, "/v1/metrics": metrics.ExportMetricsServiceRequest}
# Words of the prompt.
SECRET = "Twice n."
CALL = {
    "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.request.max_tokens",
    "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.response.finish_reasons",
}


def serve(folder):
    seen = collections.Counter()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            message = PATHS[self.path]()
            message.ParseFromString(body)  # an error where it is none
            seen[self.path] += 1
            is_known = self.headers["x-scope"] == "team"
            is_busy = self.path == "/v1/traces" and seen[self.path] <= 2
            if is_known and not is_busy:
                name = f"{self.path.rsplit('/', 1)[1]}-{seen[self.path]:06}"
                (folder / name).write_bytes(body)
            self.send_response(503 if is_busy else 200 if is_known else 401)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    (folder / "port.new").write_text(str(server.server_port))
    (folder / "port.new").rename(folder / "port")
    server.serve_forever()


def plain(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    return getattr(value, kind)


def attributes(message):
    return {one.key: plain(one.value) for one in message.attributes}


def check(folder, timings):
    spans = collections.defaultdict(dict)
    for path in sorted(folder.glob("traces-*")):
        body = path.read_bytes()
        assert SECRET.encode() not in body, f"{path}: a prompt was exported"
        message = traces.ExportTraceServiceRequest.FromString(body)
        for resource in message.resource_spans:
            about = attributes(resource.resource)
            assert about["service.name"] == "journeyman" and about["service.version"], about
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                trace, own = span.trace_id.hex(), span.span_id.hex()
                assert len(trace) == 32 and len(own) == 16, span
                # A process that is killed between an export and the note of it exports the same again.
                assert spans[trace].get(own, span) == span, f"span {own} was exported twice, and differs"
                assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano, span
                spans[trace][own] = span
    total = calls = 0
    for timing in map(json.loads, timings.read_text().splitlines()):
        trace, found = timing["trace_id"], spans.pop(timing["trace_id"], {})
        parent = (timing["traceparent"] or "").split("-")
        if parent[-1] == "00":
            assert not found, f"{trace} is not sampled"
            continue
        expected = {span["span_id"]: span for span in timing["spans"]}
        assert set(found) == set(expected), f"{trace}: {len(found)} spans, not {len(expected)}"
        for own, span in found.items():
            total += 1
            ours, told = expected[own], attributes(span)
            assert span.parent_span_id.hex() == (ours["parent_span_id"] or ""), ours
            for name, value in ours["attributes"].items():
                assert told[name] == value, (name, told[name], value)
            if ours["name"] == "task":
                assert ours["parent_span_id"] == (parent[2] if len(parent) == 4 else None), ours
            else:
                assert ours["parent_span_id"] in expected, f"{ours['name']} has no parent"
            assert (span.status.code == 2) == (ours["error"] is not None), ours
            if told.get("gen_ai.operation.name") == "chat" and ours["error"] is None:
                calls += 1
                assert CALL <= set(told), f"missing: {CALL - set(told)}"
                assert span.name == f"chat {told['gen_ai.request.model']}" and span.kind == span.SPAN_KIND_CLIENT, span
    assert not spans, f"unknown traces: {list(spans)}"
    assert total and calls, (total, calls)

    last = sorted(folder.glob("metrics-*"))[-1]
    message = metrics.ExportMetricsServiceRequest.FromString(last.read_bytes())
    found = {one.name: one for one in message.resource_metrics[0].scope_metrics[0].metrics}
    for name, kind in {
        "gen_ai.client.operation.duration": "histogram", "gen_ai.client.token.usage": "histogram",
        "gen_ai.client.operation.time_to_first_chunk": "histogram", "journeyman_tasks_running": "gauge",
        "journeyman_work_events": "sum", "journeyman_otlp_spans": "sum",
    }.items():
        assert found[name].WhichOneof("data") == kind, found.get(name)
    for point in found["gen_ai.client.token.usage"].histogram.data_points:
        assert sum(point.bucket_counts) == point.count and len(point.bucket_counts) == len(point.explicit_bounds) + 1
        assert {"gen_ai.token.type", "gen_ai.provider.name", "gen_ai.request.model"} <= set(attributes(point)), point
    print(f"{total} spans, {calls} of them model calls, and {len(found)} metrics are what the server says")


folder = pathlib.Path(sys.argv[2])
serve(folder) if sys.argv[1] == "serve" else check(folder, pathlib.Path(sys.argv[3]))
