"""An MCP client that is not ours: Python's fastmcp, over HTTP and over standard input and output, in both
eras of the protocol: `legacy` (2025-11-25: a session, and the server asks the client's user) and 2026-07-28
(no session, and an answer says what the user is to be asked).

mcp_clients.py PROGRAM FOLDER
"""

import asyncio
import atexit
import contextlib
import itertools
import json
import logging
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

import served
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

MODEL = "sim:?latency_ms={}&wrong=0&malformed=0&questions=2"
QUICK, STEADY = MODEL.format(5), MODEL.format(60)
ERAS = {"legacy": "2025-11-25", "2026-07-28": "2026-07-28"}
BEGAN = time.monotonic()
MODERN = "2026-07-28"
TASKS = "io.modelcontextprotocol/tasks"
# The BLAKE3 hashes of `token-of-ada` and `token-of-bob`.
TOKENS = {
    "ada": "b3:c13beca17f931a053daaf12db3aba0682110094963c010fec1344545f55121a0",
    "bob": "b3:01ac5e9f83558971bc41bb185602798da2e1b7516d95bc36bbfe6ee3a73d79f4",
}


def say(words):
    print(f"  {time.monotonic() - BEGAN:4.0f} s  {words}", file=sys.stderr)


class Server(served.Served):
    """`journeyman serve`, on the same port every time."""

    port = "0"

    def __init__(self, program, folder, model=QUICK, *more):
        command = [program, "serve", "--data-dir", folder, "--json", "--log", "error", "--model-url", model]
        command += ["--port", Server.port, *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)
        said = json.loads(self.process.stdout.readline())
        self.url, self.recovered = said["url"], said["recovered"]
        self.mcp = f"{self.url}/mcp"
        Server.port = self.url.rsplit(":", 1)[1]

    def rest(self, path, body=None):
        return json.loads(served.ask(f"{self.url}/api/v1{path}", body))


class Follower:
    """A client's user, who answers questions, and what was told of progress."""

    def __init__(self):
        self.asked, self.progress, self.log = [], [], []

    async def answer(self, message, _type, params, _context):
        properties = params.requested_schema["properties"]
        self.asked += properties
        return {name: f"An answer to {name}" for name in properties}

    async def read(self, line):
        self.log.append(line.data["sequence"])

    async def heard(self, progress, _total, message):
        assert message, "progress says what happened"
        self.progress.append(progress)


async def call(client, tool, **arguments):
    return (await client.call_tool(tool, arguments)).structured_content


@contextlib.asynccontextmanager
async def connected(where, mode, follower=None):
    """Connected over HTTP to an address, or to a process that is started with these words."""
    follower = follower or Follower()
    if isinstance(where, list):
        where = StdioTransport(where[0], where[1:], keep_alive=False)
    more = {"elicitation_handler": follower.answer, "log_handler": follower.read, "timeout": 60}
    client = Client(where, mode=mode, **more)
    async with client:
        assert client.protocol_version == ERAS[mode], client.protocol_version
        yield client


async def wait(client, task, follower=None, seconds=20):
    """Waits until a task is settled, and checks what was told meanwhile."""
    for _ in range(20):
        heard = follower or Follower()
        heard.progress.clear()
        heard.log.clear()
        waited = await client.call_tool(
            "wait_for_task", {"task_id": task, "timeout_seconds": seconds}, progress_handler=heard.heard
        )
        steps = list(itertools.pairwise(heard.progress))
        # Every event that came meanwhile is told of, once and in order.
        assert all(after == before + 1 for before, after in steps), heard.progress
        waited = waited.structured_content
        if waited["is_settled"]:
            return waited["task"], heard.progress
        assert "again" in waited["next"], waited
    raise AssertionError("it is never settled")


async def events(client, task):
    """All of a task's events, by the cursor."""
    all_of_them, after = [], 0
    while True:
        page = await call(client, "get_events", task_id=task, after=after, limit=7, data=True)
        all_of_them += page["events"]
        if page["next"] is None:
            return all_of_them
        after = page["next"]


def check_events(found):
    assert [event["revision"] for event in found] == list(range(1, len(found) + 1)), "each once, in order"
    kinds = [event["kind"] for event in found]
    assert kinds[0] == "task_submitted" and kinds[-1] == "task_complete", kinds
    assert kinds.count("task_submitted") == kinds.count("task_complete") == 1, kinds
    started = [event["id"] for event in found if event["kind"] == "model_call_started"]
    ended = [event["causation_id"] for event in found if event["kind"] == "model_call_completed"]
    assert len(set(ended)) == len(ended) and set(ended) <= set(started), "an outcome is recorded once"


async def collect(client, task):
    """The files of a task that has ended, which are Python and the same as resources."""
    files = (await call(client, "get_files", task_id=task))["files"]
    sources = [file for file in files if file["path"].endswith(".py")]
    assert sources, files
    for file in files:
        assert len(file["content"].encode()) == file["bytes"], file["path"]
        [read] = await client.read_resource(f"task://{task}/files/{file['path']}")
        assert read.text == file["content"], file["path"]
    for file in sources:
        compile(file["content"], file["path"], "exec")
    return files


async def whole_task(where, mode):
    """A coding task from the start to its files."""
    user = Follower()
    async with connected(where, mode, user) as client:
        names = {tool.name for tool in await client.list_tools()}
        assert {"start_coding_task", "wait_for_task", "get_files"} <= names, names
        started = await call(client, "start_coding_task", prompt="Make a thing", ask=True)
        task = started["task_id"]
        view, progress = await wait(client, task, user)
        assert view["status"] == "complete", view
        assert sorted(user.asked) == (["answer"] * 2 if mode == MODERN else ["q1", "q2"]), user.asked
        answers = [question["answer"] for question in view["questions"]]
        assert all("An answer to" in answer for answer in answers), answers
        found = await events(client, task)
        check_events(found)
        assert progress and progress[-1] == len(found), (progress, len(found))
        if mode == MODERN:  # where this client asks for the log with every request
            assert len(user.log) == len(progress), (user.log, progress)
        await collect(client, task)
        uris = [str(resource.uri) for resource in await client.list_resources()]
        assert f"task://{task}" in uris, uris
        return task, len(found)


async def both_ways_at_once(server, stdio):
    """REST, MCP over HTTP and MCP over a process: the same tasks."""
    created = server.rest("/tasks", {"prompt": "Over REST"})["task_id"]
    async with connected(server.mcp, "legacy") as http, connected(stdio, MODERN) as process:
        there = (await call(http, "start_coding_task", prompt="Over HTTP"))["task_id"]
        here = (await call(process, "start_coding_task", prompt="Over a process"))["task_id"]
        for client in (http, process):
            listed = [task["task_id"] for task in (await call(client, "list_tasks"))["tasks"]]
            assert {created, there, here} <= set(listed), listed
            for task in (created, there, here):
                view, _ = await wait(client, task)
                rest = server.rest(f"/tasks/{task}")
                rest["urls"] = view["urls"]  # the way there differs
                assert view == rest, {name: (view[name], rest[name]) for name in rest if view[name] != rest[name]}
        assert await events(http, here) == await events(process, here)


async def through_a_crash(program, folder, mode, answer_over):
    """Started, asked, answered over another way, killed, restarted, finished and collected."""
    server = Server(program, folder, STEADY)
    async with connected(server.mcp, mode) as client:
        task = (await call(client, "start_coding_task", prompt="Survive", ask=True))["task_id"]
    # One that has no user to ask is told of the questions.
    client = Client(server.mcp, mode=mode, log_handler=Follower().read, timeout=60)
    async with client:
        view, _ = await wait(client, task)
        assert view["pause"] == "question", view
    await answer_over(server, task)
    try:
        async with connected(server.mcp, mode) as client:
            # Well into its work.
            page = await call(client, "get_events", task_id=task, after=0, kind="planning_complete", wait_ms=20_000)
            assert page["events"], page
            waiting = asyncio.ensure_future(call(client, "wait_for_task", task_id=task))
            await asyncio.sleep(0.3)
            server.crash()
            died = time.monotonic()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(waiting, 10)
            assert waiting.done() and time.monotonic() - died < 10, "a client of a dead server is not told"
    except Exception as error:  # closing a session of a server that is gone may fail
        assert server.process.poll() is not None, error
    server = Server(program, folder, STEADY)
    assert server.recovered >= 1, "no task was under way when the server died"
    async with connected(server.mcp, mode) as client:
        view, _ = await wait(client, task)
        assert view["status"] == "complete", view
        found = await events(client, task)
        check_events(found)
        kinds = [event["kind"] for event in found]
        assert kinds.count("user_answered") == 2, kinds
        files = await collect(client, task)
    server.stop()
    say(f"{mode}: asked, answered, killed, restarted, {len(found)} events, {len(files)} files")


async def over_rest(server, task):
    for question in server.rest(f"/tasks/{task}")["questions"]:
        server.rest(f"/tasks/{task}/interventions", {"kind": "answer", "question": question["id"], "answer": "Yes"})


async def over_another_client(server, task):
    async with connected(server.mcp, "legacy") as client:
        answers = [{"question": name, "answer": "Yes"} for name in ("q2", "q1")]
        await call(client, "answer_questions", task_id=task, answers=answers)


async def beside_a_crash(program, folder, stdio):
    """`journeyman mcp` goes on where the server is killed that it used: it takes the folder itself."""
    server = Server(program, folder, STEADY)
    user = Follower()
    async with connected(stdio, "legacy", user) as client:
        tasks = [(await call(client, "start_coding_task", prompt=f"Go on {n}"))["task_id"] for n in range(2)]
        await call(client, "get_events", task_id=tasks[0], after=0, kind="planning_complete", wait_ms=20_000)
        waiting = asyncio.ensure_future(wait(client, tasks[0], user))
        await asyncio.sleep(0.3)
        server.crash()
        view, progress = await waiting
        assert view["status"] == "complete" and progress, view
        tasks.append((await call(client, "start_coding_task", prompt="After it"))["task_id"])
        for task in tasks:
            view, _ = await wait(client, task)
            assert view["status"] == "complete", view
            check_events(await events(client, task))
    say(f"the server killed beside it: {len(tasks)} tasks, nothing lost")


def ask(url, method, params, token, name=None, tasks=True):
    """One request of the 2026-07-28 revision, which needs no client: the extension has none yet."""
    capabilities = {"elicitation": {}} | ({"extensions": {TASKS: {}}} if tasks else {})
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "conformance", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | {"_meta": meta}}
    request = urllib.request.Request(url, json.dumps(body).encode())
    for header, value in {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": method,
        "Mcp-Name": name or params.get("name") or params.get("taskId"),
        "Authorization": f"Bearer {token}",
    }.items():
        request.add_header(header, value)
    try:
        with urllib.request.urlopen(request) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as error:
        text = error.read().decode()
    data = [line[6:] for line in text.splitlines() if line.startswith("data: {")]
    return json.loads(data[-1] if data else text)


def until(what, look, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited too long: {what}")


def protocol_tasks(program, folder, tokens):
    """The tasks extension: durable, and its principal's alone."""
    start = lambda: Server(program, folder, STEADY, "--token-file", tokens)
    ada, bob = "token-of-ada", "token-of-bob"
    server = start()
    new = {"name": "start_coding_task", "arguments": {"prompt": "As a task", "ask": True}}
    plain = ask(server.mcp, "tools/call", new | {"arguments": {"prompt": "Plain"}}, ada, tasks=False)["result"]
    assert plain["structuredContent"]["task_id"], plain  # who knows nothing of tasks gets none
    created = ask(server.mcp, "tools/call", new, ada)["result"]
    assert created["resultType"] == "task" and created["status"] == "working", created
    task = created["taskId"]

    def get(token=ada, name=task):
        return ask(server.mcp, "tasks/get", {"taskId": name}, token)

    def at(status):
        def look():
            found = get()["result"]
            return found if found["status"] == status else None
        return until(f"{status}: {get()}", look)

    asked = at("input_required")
    requests = asked["inputRequests"]
    assert sorted(requests) == ["q1", "q2"], asked
    assert all(request["method"] == "elicitation/create" for request in requests.values()), requests
    # To anybody else it does not exist.
    foreign, unknown = get(bob), get(bob, "t-nothing")
    assert foreign["error"]["message"].replace(task, "T") == unknown["error"]["message"].replace("t-nothing", "T"), foreign
    for method in ("tasks/update", "tasks/cancel"):
        params = {"taskId": task} | ({"inputResponses": {}} if method == "tasks/update" else {})
        assert "error" in ask(server.mcp, method, params, bob), method
    server.crash()
    server = start()
    assert at("input_required")["inputRequests"] == requests
    answer = lambda text: {"action": "accept", "content": {"answer": text}}
    update = {"taskId": task, "inputResponses": {"q1": answer("One")}}
    assert "result" in ask(server.mcp, "tasks/update", update, ada)
    assert list(at("input_required")["inputRequests"]) == ["q2"]
    update["inputResponses"] = {"q2": answer("Two")}
    assert "result" in ask(server.mcp, "tasks/update", update, ada)
    at("working")
    server.crash()
    server = start()
    done = at("completed")
    view = done["result"]["structuredContent"]
    assert view["status"] == "complete" and [q["answer"] for q in view["questions"]] == ["One", "Two"], done
    other = ask(server.mcp, "tools/call", new, ada)["result"]["taskId"]
    for _ in range(2):
        assert "result" in ask(server.mcp, "tasks/cancel", {"taskId": other}, ada)
    until("cancelled", lambda: get(ada, other)["result"]["status"] == "cancelled")
    assert get()["result"]["status"] == "completed"
    server.stop()
    say("tasks extension: working, input_required, killed, answered, killed, completed; cancelled")


async def main(program, folder):
    stdio = [program, "mcp", "--data-dir", folder, "--log", "error", "--model-url", QUICK]
    server = Server(program, folder)
    for mode in ERAS:
        for name, where in (("HTTP", server.mcp), ("a process", stdio)):
            task, count = await whole_task(where, mode)
            say(f"{mode} over {name}: {task}, {count} events")
    await both_ways_at_once(server, stdio)
    say("both at once see the same tasks, and those of REST")
    server.stop()
    task, count = await whole_task(stdio, "legacy")
    say(f"a process alone: {task}, {count} events")
    await through_a_crash(program, folder, "legacy", over_rest)
    await through_a_crash(program, folder, MODERN, over_another_client)
    await beside_a_crash(program, folder, [*stdio[:-1], STEADY])
    tokens = pathlib.Path(folder, "tokens.jsonl")
    lines = [{"name": name, "token_hash": hash, "role": "user"} for name, hash in TOKENS.items()]
    tokens.write_text("".join(json.dumps(line) + "\n" for line in lines))
    await asyncio.to_thread(protocol_tasks, program, folder, str(tokens))


logging.getLogger("mcp").setLevel(logging.ERROR)  # that it cannot say goodbye to a killed server
asyncio.run(main(*sys.argv[1:]))
