"""Written before any model saw the prompt; never shown to one."""
import io
import json

import pytest
from notes.routes import route
from notes.server import handler, serve
from notes.store import Store


def test_ids_are_not_used_again():
    store = Store()
    assert store.add("a") == 1
    store.delete(1)
    assert store.add("b") == 2
    assert store.all() == {2: "b"}


@pytest.mark.parametrize("text", ["", "  "])
def test_empty_notes_are_refused(text):
    with pytest.raises(ValueError):
        Store().add(text)


def test_unknown_ids():
    with pytest.raises(KeyError):
        Store().get(1)
    with pytest.raises(KeyError):
        Store().delete(1)


def test_adding_and_reading():
    store = Store()
    assert route(store, "POST", "/notes", '{"text": "milk"}') == (201, {"id": 1})
    assert route(store, "GET", "/notes/1", "") == (200, {"id": 1, "text": "milk"})
    assert route(store, "GET", "/notes", "") == (200, [{"id": 1, "text": "milk"}])


def test_deleting():
    store = Store()
    store.add("milk")
    assert route(store, "DELETE", "/notes/1", "") == (200, {})
    assert route(store, "GET", "/notes/1", "")[0] == 404


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"text": " "}', '{"text": 3}'])
def test_wrong_bodies(body):
    status, answer = route(Store(), "POST", "/notes", body)
    assert status == 400 and "error" in answer


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/notes/7", 404), ("GET", "/notes/x", 404), ("GET", "/", 404), ("GET", "/other", 404), ("PUT", "/notes", 405), ("POST", "/notes/1", 405)],
)
def test_what_is_not_there(method, path, status):
    found, answer = route(Store(), method, path, "")
    assert found == status and "error" in answer


class Connection:
    """What a client sent, and what it is sent: a socket is not there where this runs."""

    def __init__(self, method, path, body=b""):
        head = f"{method} {path} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        self.received = io.BytesIO(head.encode() + body)
        self.sent = b""

    def makefile(self, mode, *_):
        return self.received

    def sendall(self, data):
        self.sent += bytes(data)


def ask(store, *request):
    connection = Connection(*request)
    handler(store)(connection, ("127.0.0.1", 9), None)
    head, _, body = connection.sent.partition(b"\r\n\r\n")
    first, *headers = head.decode().split("\r\n")
    assert any(line.lower().replace(" ", "").startswith("content-type:application/json") for line in headers)
    return int(first.split()[1]), json.loads(body)


def test_over_http():
    store = Store()
    assert ask(store, "POST", "/notes", b'{"text": "milk"}') == (201, {"id": 1})
    assert ask(store, "GET", "/notes") == (200, [{"id": 1, "text": "milk"}])
    assert ask(store, "DELETE", "/notes/1") == (200, {})
    assert ask(store, "GET", "/notes") == (200, [])


def test_errors_over_http():
    assert ask(Store(), "GET", "/notes/9")[0] == 404
    assert ask(Store(), "POST", "/notes", b"{")[0] == 400


def test_there_is_a_server():
    assert callable(serve)
