"""A receiver of webhooks that verifies them with a library that is not ours, through kill -9.

webhook_receiver.py PROGRAM FOLDER
"""

import http.server
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

from served import Served, ask
from standardwebhooks import Webhook, WebhookVerificationError

CRASHES = 4
KINDS = ["task_submitted", "task_started", "planning_complete", "module_complete", "task_complete"]
KINDS += ["task_failed", "task_cancelled"]
ENDS = {"task_complete", "task_failed", "task_cancelled"}
# Two secrets, as during a rotation: a receiver that knows either of them verifies a message.
OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
OTHER = "whsec_" + "A" * 32


class Receiver(http.server.ThreadingHTTPServer):
    """Verifies what it gets, and answers 500 to some of it."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.rng = random.Random(1)
        self.accepted = []
        self.seen = 0
        self.wrong = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/hook?of=ci"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.server.lock:
            self.server.seen += 1
            try:
                told = [Webhook(secret).verify(body, headers) for secret in (OLD, NEW)]
                assert told[0] == told[1] == json.loads(body)
                self.refused_by_others(body, headers)
            except Exception as error:
                self.server.wrong.append(f"{error!r}: {headers} {body!r}")
            is_taken = self.server.rng.random() < 0.8
            if is_taken:
                self.server.accepted.append((headers["webhook-id"], json.loads(body)))
        self.send_response(204 if is_taken else 500)
        self.end_headers()

    @staticmethod
    def refused_by_others(body, headers):
        for secret, text in [(OTHER, body), (OLD, body + b" ")]:
            try:
                Webhook(secret).verify(text, headers)
            except WebhookVerificationError:
                continue
            raise AssertionError("the signature does not depend on the secret and the body")

    def log_message(self, *_):
        pass


class Server(Served):
    """`journeyman serve` with a webhook."""

    def __init__(self, program, folder, url):
        config = pathlib.Path(folder) / "config.toml"
        config.write_text(
            'webhook_networks = "127.0.0.0/8"\n[webhooks.ci]\nurl = "env:CI_URL"\nsecret = "env:CI_SECRETS"\n'
            f"events = {json.dumps(KINDS)}\n"
        )
        self.command = [program, "serve", "--data-dir", folder, "--json", "--log", "off", "--port", "0"]
        self.command += ["--config", str(config), "--model-url", "sim:?latency_ms=10&wrong=0&malformed=0"]
        self.environment = {**os.environ, "CI_URL": url, "CI_SECRETS": f"{NEW} {OLD}"}
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, text=True, env=self.environment
        )
        self.url = json.loads(self.process.stdout.readline())["url"]

    def ask(self, path, body=None):
        return ask(self.url + path, body)


def until(what, condition):
    limit = time.monotonic() + 150
    while not condition():
        assert time.monotonic() < limit, f"it took too long until {what}"
        time.sleep(0.05)


def main(program, folder):
    receiver = Receiver()
    server = Server(program, folder, receiver.url())
    for _ in range(CRASHES):
        before = receiver.seen
        server.ask("/api/v1/tasks", {"prompt": "Make a thing"})
        until("a message came", lambda: receiver.seen > before)
        server.crash()
        server.start()
    server.ask("/api/v1/tasks", {"prompt": "Make a thing"})

    def events():
        lines = server.ask("/api/v1/events?limit=1000").splitlines()
        return [json.loads(line) for line in lines]

    until("all tasks ended", lambda: sum(event["kind"] in ENDS for event in events()) > CRASHES)
    expected = {event["id"]: event for event in events() if event["kind"] in KINDS}
    until("everything is told", lambda: {name for name, _ in receiver.accepted} == set(expected))
    hook = next(hook for hook in json.loads(server.ask("/api/v1/hooks"))["hooks"] if hook["hook"] == "ci")
    assert (hook["dead"], hook["state"]) == (0, "ok"), hook
    server.stop()

    assert not receiver.wrong, receiver.wrong
    first = {}
    for name, message in receiver.accepted:
        event = expected[name]
        data = message["data"]
        assert message["type"] == event["kind"] and message["timestamp"] == event["occurred_at"], message
        assert (data["task_id"], data["sequence"]) == (event["task_id"], event["sequence"]), message
        of_task = first.setdefault(data["task_id"], [])
        if data["sequence"] not in of_task:
            of_task.append(data["sequence"])
    for task, sequences in first.items():
        assert sequences == sorted(sequences), f"{task}: {sequences}"
    print(
        f"{len(expected)} messages of {len(first)} tasks through {CRASHES} crashes: each at least once, in order per"
        f" task, {receiver.seen} requests verified",
        file=sys.stderr,
    )


main(*sys.argv[1:])
