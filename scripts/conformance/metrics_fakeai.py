"""Prints the figures of our metrics beside those of FakeAI's, measured in the same run on the same machine.

The first argument is the program of our figures. FakeAI is measured through its own interface, with the same work where it has
the function; where it has not, its column says so.
"""

import contextlib
import io
import logging
import subprocess
import sys
import time

logging.disable(logging.CRITICAL)
with contextlib.redirect_stdout(io.StringIO()):
    from fakeai.cost_tracker import CostTracker
    from fakeai.error_metrics import ErrorMetricsTracker
    from fakeai.metrics import MetricsTracker
    from fakeai.streaming_metrics import StreamingMetricsTracker

MODEL, ENDPOINT = "openai/gpt-oss-20b", "/v1/chat/completions"


def rate(count, work):
    began = time.perf_counter()
    work(count)
    return f"{count / (time.perf_counter() - began):.0f}"


def milliseconds(work, times=5):
    work()
    began = time.perf_counter()
    for _ in range(times):
        work()
    return f"{(time.perf_counter() - began) / times * 1e3:.3f} ms"


def lifecycle(calls):
    """The signals of model calls: 11 of ours, and the calls by which FakeAI's server counts the same."""
    requests, errors, streams = MetricsTracker(), ErrorMetricsTracker(), StreamingMetricsTracker()

    def run(count):
        for number in range(count // 7):
            key = str(number)
            requests.track_request(ENDPOINT)
            streams.start_stream(key, MODEL, 100)
            streams.record_token(key, "x", number * 10**9)
            streams.complete_stream(key, "stop")
            requests.track_tokens(ENDPOINT, 100)
            requests.track_response(ENDPOINT, 0.1)
            errors.record_success(ENDPOINT, "ada")

    return rate(calls, run)


def tokens(count):
    streams = StreamingMetricsTracker()

    def run(count):
        for number in range(count // 512):
            key = str(number)
            streams.start_stream(key, MODEL, 100)
            for piece in range(512):
                streams.record_token(key, "x", piece * 20_000_000)
            streams.complete_stream(key, "stop")

    return rate(count, run)


def errors(count, message):
    tracker = ErrorMetricsTracker()

    def run(count):
        for number in range(count):
            tracker.record_error(ENDPOINT, 500, "internal", message(number), MODEL, "ada", str(number))

    return rate(count, run), tracker


def usage(tracker, count):
    def run(count):
        for number in range(count):
            tracker.record_usage(f"key-{number % 50}", MODEL, ENDPOINT, 1_000, 100)

    return rate(count, run)


def letters(number):
    word = "g"
    while number > 0:
        word += chr(ord("g") + number % 20)
        number //= 20
    return word


def report():
    streams = StreamingMetricsTracker()
    for number in range(1_000):
        key = str(number)
        streams.start_stream(key, MODEL, 100)
        for piece in range(200):
            streams.record_token(key, "x", time.time_ns() + piece * 20_000_000)
        streams.complete_stream(key, "stop")
    return milliseconds(streams.get_streaming_quality_report)


def scrape():
    tracker = MetricsTracker()
    endpoints = [f"/v1/e-{number}" for number in range(1_000)]
    tracker._tracked_endpoints.update(endpoints)  # it counts no others
    for endpoint in endpoints:
        tracker.track_request(endpoint)
        tracker.track_response(endpoint)  # with a latency, its page raises KeyError
    return milliseconds(tracker.get_prometheus_metrics)


def fakeai():
    """FakeAI's figures by the beginning of the row's name."""
    figures = {
        "scrape": scrape(),  # first, for the trackers are the same objects everywhere
        "lifecycle": lifecycle(70_000),
        "uncounted drops": "no queue in this release",
        "token signals": tokens(512_000),
    }
    figures["errors/s, distinct"], _ = errors(
        5_000, lambda number: f"no answer from 10.0.0.7 after {number} s, request req_{number:08x}"
    )
    figures["errors/s, each"], tracker = errors(2_000, lambda number: f"no {letters(number)} here")
    ledger = CostTracker()
    usage(ledger, 200_000)
    figures["usage records/s at 200000"] = usage(ledger, 20_000)
    figures["usage records/s at 10000000"] = "not measured: it keeps every record"
    figures["an aggregation"] = milliseconds(lambda: (ledger.get_cost_by_model(), ledger.get_summary()))
    figures["an error report"] = milliseconds(tracker.get_all_metrics)
    figures["report over"] = report()
    return figures


with contextlib.redirect_stdout(io.StringIO()):  # it prints by itself
    theirs = fakeai()
ours = subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout
for line in ours.splitlines():
    what, *rest = [cell.strip() for cell in line.strip().strip("|").split("|")]
    if what == "what":
        beside = "FakeAI"
    elif what == "---":
        beside = "---"
    else:
        beside = next((figure for start, figure in theirs.items() if what.startswith(start)), "-")
    print("|", " | ".join([what, beside, *rest]), "|", flush=True)
