"""MCP servers that are not ours, as tools of tasks: the reference servers `filesystem` and `everything`.

mcp_servers.py PROGRAM FOLDER NODE MODULES

FOLDER is the data folder, NODE a node executable, MODULES the node_modules that has the servers.
"""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

PATIENCE = 60
# More than the 64 KiB that are kept of an answer, less than the 1 MiB that arguments may have.
LARGE = 200_000
# What the simulated model does at once, without a plan.
STUB = 'def step(value):\n    """Adds one.\n\n    >>> step(1)\n    2\n    """\n'


def until(what, ask):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = ask()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {PATIENCE} s: {what}")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def is_listening(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


class Site:
    """`journeyman serve` with both servers, one of them twice: by its streams, and over HTTP."""

    def __init__(self, program, folder, node, modules, shared):
        def script(name):
            return str(modules / "@modelcontextprotocol" / name / "dist" / "index.js")

        self.port = free_port()
        self.node, self.everything = node, script("server-everything")
        self.remote = None
        self.start_remote()
        config = self.config = shared.parent / "config.toml"
        # A string of JSON is one of TOML.
        node_text = json.dumps(str(node))
        config.write_text(
            f"[mcp_servers.fs]\ncommand = {node_text}\n"
            f"args = {json.dumps([script('server-filesystem'), str(shared)])}\n"
            f"[mcp_servers.every]\ncommand = {node_text}\n"
            f"args = {json.dumps([self.everything, 'stdio'])}\ntimeout_ms = 1500\n"
            f'[mcp_servers.web]\nurl = "http://127.0.0.1:{self.port}/mcp"\n'
        )
        command = [program, "serve", "--data-dir", folder, "--json", "--port", "0"]
        command += ["--log", "error,rmcp=off"]
        command += ["--model-url", "sim:?latency_ms=0&wrong=0&malformed=0", "--config", str(config)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = json.loads(self.process.stdout.readline())["url"]

    def start_remote(self):
        environment = {**os.environ, "PORT": str(self.port)}
        command = [str(self.node), self.everything, "streamableHttp"]
        silent = subprocess.DEVNULL
        self.remote = subprocess.Popen(command, env=environment, stdout=silent, stderr=silent)
        until("the server over HTTP listens", lambda: is_listening(self.port))

    def kill_remote(self):
        self.remote.kill()
        self.remote.wait()

    def ask(self, path, body=None):
        """The status and the body of an answer."""
        request = urllib.request.Request(f"{self.url}/api/v1/{path}")
        request.add_header("Content-Type", "application/json")
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def get(self, path):
        status, body = self.ask(path)
        assert status == 200, (path, status, body)
        return json.loads(body)

    def submit(self, **task):
        status, body = self.ask("tasks", task)
        assert status in (201, 202), (status, body)
        return json.loads(body)["task_id"]

    def events(self, task):
        status, body = self.ask(f"events?task={task}&limit=1000")
        assert status == 200, (status, body)
        return [json.loads(line) for line in body.splitlines()]

    def stream(self, task):
        """A task's events as they come, until it ends."""
        with urllib.request.urlopen(f"{self.url}/api/v1/tasks/{task}/stream") as answer:
            for line in answer:
                if line.startswith(b"data: "):
                    event = json.loads(line.removeprefix(b"data: "))
                    yield event
                    if event["kind"] in ("task_complete", "task_failed"):
                        return

    def chain(self, task, *steps):
        steps = [{"name": name, "arguments": arguments} for name, arguments in steps]
        status, body = self.ask(f"tasks/{task}/tools", {"steps": steps})
        assert status == 200, (status, body)
        return json.loads(body)

    def call(self, task, tool, **arguments):
        return self.chain(task, (tool, arguments))["completed"][0]

    def ok(self, task, tool, **arguments):
        """The text of an answer; the call must have gone well."""
        ended = self.call(task, tool, **arguments)
        assert ended["outcome"] == "ok" and not ended["is_truncated"], (tool, ended)
        return ended["text"]

    def failed(self, task, tool, kind, **arguments):
        ended = self.call(task, tool, **arguments)
        assert (ended["outcome"], ended["kind"]) == ("failed", kind), (tool, ended)
        return ended["text"]

    def state(self, server):
        return next(one for one in self.get("tools")["servers"] if one["name"] == server)

    def ready(self, *servers):
        for server in servers:
            until(f"{server} is ready", lambda: self.state(server)["state"] == "ready")

    def process_of(self, script):
        """The process that runs a script, among those that the program started."""
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                parent = re.search(r"^PPid:\s*(\d+)", (folder / "status").read_text(), re.M)
                words = (folder / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if int(parent[1]) == self.process.pid and any(script in word for word in words):
                return int(folder.name)
        raise AssertionError(f"no process of {script}")

    def stop(self):
        children = [self.process_of("server-filesystem"), self.process_of("server-everything")]
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        assert code == 0, f"the server ended with {code}"
        # One that ended and that nobody waited for yet has no command line any more.
        lines = (pathlib.Path(f"/proc/{child}/cmdline") for child in children)
        alive = [line for line in lines if line.exists() and line.read_bytes()]
        assert not alive, "servers that it started outlived it"


def listed(site):
    """Names, states and schemas."""
    site.ready("fs", "every", "web")
    tools = {tool["name"]: tool for tool in site.get("tools")["tools"]}
    for name, required in {
        "fs.read_text_file": ["path"],
        "fs.write_file": ["path", "content"],
        "fs.list_directory": ["path"],
        "every.echo": ["message"],
        "every.get-sum": ["a", "b"],
        "web.echo": ["message"],
    }.items():
        tool = tools[name]
        assert tool["server"] == name.split(".")[0] and tool["permission"] == "external", tool
        assert tool["description"], tool
        schema = tool["input_schema"]
        assert schema["type"] == "object" and sorted(schema["required"]) == sorted(required), schema
    assert tools["fs.read_text_file"]["is_repeatable"], "its server says that it only reads"
    assert not tools["fs.edit_file"]["is_repeatable"], "nor does it claim to do it only once"
    for server in ("fs", "every", "web"):
        status = site.state(server)
        assert status["skipped"] == [] and status["restarts"] == 0, status
        assert status["tools"] == sum(tool["server"] == server for tool in tools.values()), status


def filesystem(site, task, shared):
    text = "Zäune & \"Zitate\"\nzwei\n"
    path = str(shared / "a note.txt")
    site.ok(task, "fs.write_file", path=path, content=text)
    assert pathlib.Path(path).read_text() == text
    assert site.ok(task, "fs.read_text_file", path=path) == text
    assert "a note.txt" in site.ok(task, "fs.list_directory", path=str(shared))
    edit = {"oldText": "zwei", "newText": "drei"}
    site.ok(task, "fs.edit_file", path=path, edits=[edit])
    assert "drei" in pathlib.Path(path).read_text()

    # What it says for programs is kept, and a later step takes a part of it.
    steps = [
        ("fs.read_text_file", {"path": path, "head": 1}),
        ("every.echo", {"message": {"$from": 0, "pointer": "/structured/content"}}),
    ]
    read, said = site.chain(task, *steps)["completed"]
    assert read["structured"] == {"content": read["text"]}, read
    assert said["text"] == 'Echo: Zäune & "Zitate"', said
    empty = shared / "empty.txt"
    empty.touch()
    assert site.ok(task, "fs.read_text_file", path=str(empty)) == ""

    # It guards its own folder, and we tell its reasons.
    outside = shared.parent / "outside.txt"
    outside.write_text("secret")
    (shared / "way-out").symlink_to(outside)
    for where in (outside, shared / "way-out", shared / ".." / "outside.txt"):
        refusal = site.failed(task, "fs.read_text_file", "tool", path=str(where))
        assert "secret" not in refusal and "denied" in refusal.lower(), refusal
    site.failed(task, "fs.write_file", "tool", path=str(outside), content="x")
    assert outside.read_text() == "secret"
    assert "ENOENT" in site.failed(task, "fs.read_text_file", "tool", path=str(shared / "none"))

    # What does not fit its schema does not reach it.
    for wrong in ({}, {"path": 7}, {"path": path, "head": "x"}):
        ended = site.call(task, "fs.read_text_file", **wrong)
        assert (ended["outcome"], ended["kind"]) == ("refused", "arguments"), (wrong, ended)


def everything(site, task):
    for server in ("every", "web"):
        assert site.ok(task, f"{server}.echo", message="hällo") == "Echo: hällo"
        assert "42" in site.ok(task, f"{server}.get-sum", a=40, b=2)
        weather = site.call(task, f"{server}.get-structured-content", location="Chicago")
        assert weather["structured"]["humidity"] == 82, weather
        assert json.loads(weather["text"]) == weather["structured"], weather

        # A model that reads text gets what there is of text, and hears of the rest.
        image = site.ok(task, f"{server}.get-tiny-image")
        assert "[image, image/png]" in image and "the MCP logo" in image, image
        assert "iVBOR" not in image, image
        links = site.ok(task, f"{server}.get-resource-links", count=2)
        assert links.count("[resource demo://") == 2, links
        reference = {"resourceType": "Text", "resourceId": 1}
        text = site.ok(task, f"{server}.get-resource-reference", **reference)
        assert "Resource 1: This is a plaintext resource" in text, text
        reference["resourceType"] = "Blob"
        blob = site.ok(task, f"{server}.get-resource-reference", **reference)
        assert "demo://resource/dynamic/blob/1" in blob, blob
        annotated = {"messageType": "error", "includeImage": True}
        annotated = site.ok(task, f"{server}.get-annotated-message", **annotated)
        assert annotated == "Error: Operation failed\n[image, image/png]", annotated
        data = {"name": "x.gz", "data": "data:text/plain,hello", "outputType": "resource"}
        zipped = site.ok(task, f"{server}.gzip-file-as-resource", **data)
        assert "application/gzip" in zipped, zipped

        # It tells us things while it works that nobody asked for.
        site.ok(task, f"{server}.toggle-simulated-logging")
        site.ok(task, f"{server}.toggle-simulated-logging")

        large = site.call(task, f"{server}.echo", message="x" * LARGE)
        assert large["outcome"] == "ok" and large["is_truncated"], large["outcome"]
        assert len(large["text"]) <= 64 * 1024 and "bytes left out" in large["text"]

    environment = site.ok(task, "every.get-env")
    assert "JOURNEYMAN" not in environment and '"PATH"' in environment, environment

    # It offers this only as a task of the protocol, and says so.
    if any(tool["name"] == "web.simulate-research-query" for tool in site.get("tools")["tools"]):
        site.failed(task, "web.simulate-research-query", "tool", topic="zebras")

    late = site.failed(task, "every.trigger-long-running-operation", "timed_out", duration=8, steps=4)
    assert "1.5 s" in late, late
    assert site.ok(task, "every.echo", message="still there") == "Echo: still there"
    assert "completed" in site.ok(
        task, "web.trigger-long-running-operation", duration=0.4, steps=4
    )


def leaving(site, task):
    """Whoever made a call goes away in its middle."""
    before = len(site.events(task))
    address = site.url.removeprefix("http://")
    connection = http.client.HTTPConnection(address)
    arguments = {"duration": 30, "steps": 3}
    body = {"steps": [{"name": "web.trigger-long-running-operation", "arguments": arguments}]}
    connection.request(
        "POST",
        f"/api/v1/tasks/{task}/tools",
        json.dumps(body),
        {"Content-Type": "application/json"},
    )

    def news(kind):
        return [event for event in site.events(task)[before:] if event["kind"] == kind]

    until("the call is under way", lambda: news("tool_executing"))
    connection.close()
    left = time.monotonic()
    ended = until("its end is recorded", lambda: news("tool_completed"))[0]
    assert ended["data"]["kind"] == "cancelled", ended
    assert time.monotonic() - left < 10
    assert site.ok(task, "web.echo", message="next") == "Echo: next"
    assert site.state("web")["restarts"] == 0


def chained(site, task, shared):
    """From a file of the task into the folder of another server."""
    target = shared / "copy.py"
    done = site.chain(
        task,
        ("read_file", {"path": "solution.py"}),
        ("fs.write_file", {"path": str(target), "content": {"$from": 0}}),
        ("fs.read_text_file", {"path": str(target)}),
    )
    assert done["stopped_at"] is None, done
    first, _, last = done["completed"]
    assert first["text"] == last["text"] == target.read_text()
    assert "def step" in target.read_text()

    # Half an answer is never written as if it were the whole.
    large = shared / "large.txt"
    large.write_text("y" * LARGE)
    done = site.chain(
        task,
        ("fs.read_text_file", {"path": str(large)}),
        ("fs.write_file", {"path": str(target), "content": {"$from": 0}}),
    )
    assert done["stopped_at"] == 1 and "not whole" in done["reason"], done["reason"]
    assert "def step" in target.read_text()


def agent(site, shared):
    (shared / "zebra.txt").write_text("the zebra sleeps at noon")
    uses = [
        ("fs.read_text_file", {"path": str(shared / "zebra.txt")}),
        ("fs.write_file", {"path": str(shared / "by-agent.txt"), "content": "I was here"}),
        ("every.echo", {"message": "not allowed"}),
    ]
    prompt = "Make a thing.\n" + "\n".join(
        f"Use the tool {name} with {json.dumps(arguments)}" for name, arguments in uses
    )
    task = site.submit(prompt=prompt, tools=["fs.*"])
    events = list(site.stream(task))
    assert events[-1]["kind"] == "task_complete", events[-1]

    def positions(kind):
        return [at for at, event in enumerate(events) if event["kind"] == kind]

    order = ["agent_started", "agent_step", "tool_executing", "tool_completed", "agent_completed"]
    firsts = [positions(kind)[0] for kind in order]
    assert firsts == sorted(firsts), dict(zip(order, firsts))
    assert len(positions("agent_started")) == len(positions("agent_completed"))
    offered = events[firsts[0]]["data"]["tools"]
    assert "fs.read_text_file" in offered, offered
    assert all(name.startswith("fs.") for name in offered), offered

    completed = [events[at] for at in positions("tool_completed")]
    read = next(one for one in completed if one["data"]["tool"] == "fs.read_text_file")
    assert read["data"]["text"] == "the zebra sleeps at noon", read
    assert (shared / "by-agent.txt").read_text() == "I was here"
    for one in completed:
        if one["data"]["tool"] == "every.echo":
            assert one["data"]["outcome"] == "refused", one
    asked = next(
        event
        for event in events
        if event["kind"] == "model_call_started" and event["sequence"] > read["sequence"]
    )
    context = site.get(f"tasks/{task}/context?at={asked['sequence']}")
    assert "the zebra sleeps at noon" in json.dumps(context["messages"])


def in_background(work):
    """Begins it; what it returns is given by the function that is returned."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()

    def wait():
        thread.join(PATIENCE)
        assert results, "it does not end"
        return results[0]

    return wait


def killed(site, task):
    """A server dies in the middle of a call: the call ends, the server comes back, nothing else."""
    others = {server: site.state(server)["restarts"] for server in ("fs", "web")}
    before = site.state("every")["restarts"]
    count = len(site.events(task))
    dying = in_background(
        lambda: site.call(task, "every.trigger-long-running-operation", duration=30, steps=3)
    )

    def under_way():
        return any(event["kind"] == "tool_executing" for event in site.events(task)[count:])

    until("the call is under way", under_way)
    beside = in_background(lambda: site.ok(task, "web.trigger-long-running-operation", duration=2, steps=2))
    os.kill(site.process_of("server-everything"), signal.SIGKILL)
    ended = dying()
    assert (ended["outcome"], ended["kind"]) == ("failed", "unavailable"), ended
    assert "every is gone" in ended["text"] and ended["wall_ms"] < 1500, ended
    assert "completed" in beside()
    site.ready("every")
    assert site.ok(task, "every.echo", message="back") == "Echo: back"
    assert site.state("every")["restarts"] == before + 1
    assert others == {server: site.state(server)["restarts"] for server in others}

    # The same over HTTP: its server forgets who we are, or is gone for a while.
    dying = in_background(
        lambda: site.call(task, "web.trigger-long-running-operation", duration=30, steps=3)
    )
    time.sleep(0.5)
    site.kill_remote()
    ended = dying()
    assert ended["outcome"] == "failed", ended
    assert "web" in ended["text"], ended
    assert site.ok(task, "every.echo", message="beside") == "Echo: beside"
    site.start_remote()

    def answers():
        status, body = site.ask(
            f"tasks/{task}/tools", {"steps": [{"name": "web.echo", "arguments": {"message": "again"}}]}
        )
        return status == 200 and json.loads(body)["completed"][0]["outcome"] == "ok"

    until("the server over HTTP is back", answers)

    # One that was started again between two calls knows nothing of us: one call may fail, and says why.
    site.kill_remote()
    site.start_remote()
    ended = site.call(task, "web.echo", message="who is there?")
    assert ended["outcome"] == "ok" or "web is gone" in ended["text"], ended
    until("the server over HTTP knows us", answers)


def commands(site, program, folder, task, is_served):
    """The same from the command line: by who holds the folder, or without anybody."""

    def run(*words):
        command = [program, *words, "--data-dir", folder, "--config", str(site.config), "--model-url", "sim:"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        return done.returncode, done.stdout or done.stderr

    code, said = run("tools", "--json")
    assert code == 0, said
    lines = [json.loads(line) for line in said.splitlines()]
    assert sum(line["type"] == "tool" and line["name"] == "fs.list_directory" for line in lines) == 1
    states = {line["name"]: line["state"] for line in lines if line["type"] == "server"}
    assert states == dict.fromkeys(("fs", "every", "web"), "ready"), lines
    code, said = run("doctor")
    assert code == 0 and said.count("ok  mcp ") == 3, said
    arguments = json.dumps({"a": 1, "b": 2})
    code, said = run("call", task, "every.get-sum", arguments)
    if is_served:
        assert (code, said) == (0, "The sum of 1 and 2 is 3.\n"), (code, said)
    else:
        assert code == 1 and "journeyman serve" in said, (code, said)


def resting(site):
    """A task that has its code and rests: tools are called on no task that has ended."""

    def paused():
        task = site.submit(prompt=STUB)
        if any(event["kind"] == "code_generated" for event in site.stream(task)):
            status, _ = site.ask(f"tasks/{task}/interventions", {"kind": "pause"})
            return task if status == 200 else None

    return until("a task rests with its code", paused)


def main(program, folder, node, modules):
    for package in ("server-filesystem", "server-everything"):
        about = pathlib.Path(modules, "@modelcontextprotocol", package, "package.json")
        print(package, json.loads(about.read_text())["version"], file=sys.stderr)
    with tempfile.TemporaryDirectory() as base:
        shared = pathlib.Path(base).resolve() / "shared"
        shared.mkdir()
        site = Site(program, folder, node, pathlib.Path(modules).resolve(), shared)
        try:
            listed(site)
            assert list(site.stream(site.submit(prompt=STUB)))[-1]["kind"] == "task_complete"
            task = resting(site)
            filesystem(site, task, shared)
            everything(site, task)
            leaving(site, task)
            chained(site, task, shared)
            agent(site, shared)
            killed(site, task)
            commands(site, program, folder, task, is_served=True)
            site.stop()
            commands(site, program, folder, task, is_served=False)
        finally:
            site.process.kill()
            site.kill_remote()


main(*sys.argv[1:])
