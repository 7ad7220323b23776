import json
from http.server import BaseHTTPRequestHandler, HTTPServer

from notes.routes import route
from notes.store import Store


def handler(store):
    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            status, value = route(store, self.command, self.path, body)
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _answer

        def log_message(self, *_):
            pass

    return Handler


def serve(port):
    return HTTPServer(("127.0.0.1", port), handler(Store()))
