"""A server under test, as a process and over HTTP, for the clients beside this file."""

import json
import signal
import urllib.request


def ask(url, body=None, token=None):
    """The text of the answer; a `body` is posted as JSON."""
    request = urllib.request.Request(url)
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(request, data) as answer:
        return answer.read().decode()


class Served:
    """`journeyman serve`, started by a subclass as `process`."""

    def crash(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        code = self.process.wait(60)
        assert code == 0, f"the server ended with {code}"
