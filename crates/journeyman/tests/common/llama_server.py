#!/usr/bin/env python3
# Stands in for llama.cpp's server in tests: the same options and routes, and no model. It notes each of
# its lives in the file `lives` beside itself, and does what other files beside it say:
#   broken         it says so and ends at once
#   taken          (once) another process takes its port before it can
#   loading        it still loads its model
#   silent PID     the life PID answers nothing any more
#   stalled PID    the life PID works on a request without progress
#   busy           it works on a request, slowly, and notes in `asked` how often it is asked for that
import argparse
import json
import os
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = os.path.dirname(os.path.abspath(__file__))
PID = str(os.getpid())


def read(name):
    try:
        with open(os.path.join(HERE, name)) as file:
            return file.read().strip()
    except FileNotFoundError:
        return None


parser = argparse.ArgumentParser()
for name in ["host", "port", "model", "ctx-size", "parallel", "threads", "alias", "batch-size", "ubatch-size"]:
    parser.add_argument("--" + name)
parser.add_argument("--metrics", action="store_true")
parser.add_argument("--embeddings", action="store_true")
options = parser.parse_args()
with open(os.path.join(HERE, "lives"), "a") as file:
    life = {**vars(options), "pid": os.getpid(), "environment": sorted(os.environ)}
    file.write(json.dumps(life) + "\n")

if read("broken") is not None:
    sys.exit("the weights are spoiled")
if read("taken") is not None:
    os.remove(os.path.join(HERE, "taken"))
    thief = socket.socket()
    thief.bind(("127.0.0.1", int(options.port)))
    thief.listen()
    if os.fork() == 0:
        # Until the next life has begun.
        while len(read("lives").splitlines()) < 2:
            time.sleep(0.01)
        os._exit(0)
    sys.exit("the port is in use")

counters = {"tokens_predicted_total": 0, "n_decode_total": 0, "requests_processing": 0}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, body, kind="application/json", status=200):
        body = body if isinstance(body, str) else json.dumps(body)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def keep_silent(self):
        while read("silent") == PID:
            time.sleep(0.05)

    def do_GET(self):
        self.keep_silent()
        if self.path == "/metrics":
            shown = dict(counters)
            if read("stalled") == PID or read("busy") is not None:
                shown["requests_processing"] = 1
            if read("busy") is not None:
                counters["n_decode_total"] += 1
                with open(os.path.join(HERE, "asked"), "a") as file:
                    file.write(".")
            lines = [f"llamacpp:{name} {value}\n" for name, value in shown.items()]
            self.send("".join(lines), "text/plain")
        elif read("loading") is not None:
            self.send({"error": {"message": "Loading model"}}, status=503)
        elif self.path == "/health":
            self.send({"status": "ok"})
        elif self.path == "/props":
            window = int(options.ctx_size) // int(options.parallel)
            self.send({"default_generation_settings": {"n_ctx": window}})
        elif self.path == "/v1/models":
            self.send({"data": [{"id": options.alias}]})
        else:
            self.send({}, status=404)

    def do_POST(self):
        self.keep_silent()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/apply-template":
            self.send({"prompt": "one two"})
        elif self.path == "/tokenize":
            self.send({"tokens": [1, 2]})
        elif self.path == "/v1/embeddings" and options.embeddings:
            # Whatever is about a report is similar to what is about an account.
            about = [any(word in text for word in ["report", "account"]) for text in json.loads(body)["input"]]
            vectors = [[1, 0.1] if is_about else [0.1, 1] for is_about in about]
            self.send({"data": [{"index": at, "embedding": one} for at, one in enumerate(vectors)]})
        else:
            counters["tokens_predicted_total"] += 1
            counters["n_decode_total"] += 1
            piece = {"choices": [{"delta": {"content": PID}, "finish_reason": "stop"}]}
            self.send(f"data: {json.dumps(piece)}\n\ndata: [DONE]\n\n", "text/event-stream")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = False


Server((options.host, int(options.port)), Handler).serve_forever()
