"""WebSocket clients that are not ours.

websocket_clients.py PROGRAM FOLDER     follows tasks through a kill -9 and a restart of the server
websocket_clients.py --remote URL TOKEN looks at the tasks of a server elsewhere
"""

import asyncio
import json
import random
import subprocess
import sys

import websockets
from served import Served, ask

TASKS = 6
ENDS = {"task_complete", "task_failed", "task_cancelled"}


class Server(Served):
    """`journeyman serve`, on the same port every time."""

    def __init__(self, program, folder):
        self.command = [program, "serve", "--data-dir", folder, "--json", "--log", "error"]
        self.command += ["--model-url", "sim:?latency_ms=25&wrong=20&malformed=5"]
        self.port = "0"
        self.start()

    def start(self):
        command = [*self.command, "--port", self.port]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said = json.loads(self.process.stdout.readline())
        self.url = said["url"]
        self.port = self.url.rsplit(":", 1)[1]
        return said["recovered"]


async def follow(address, expected_ends, rng, progress):
    """Everything of one task, or of all, over connections that break again and again."""
    seen, ends, after = [], 0, 0
    while ends < expected_ends:
        try:
            async with websockets.connect(f"{address}?after={after}") as socket:
                # Now and then a client goes away by itself.
                patience = rng.choice([3, 8, 10**9])
                async for message in socket:
                    event = json.loads(message)
                    assert event["v"] == 1 and event["type"] == "event", event
                    after = event["sequence"]
                    seen.append(event)
                    ends += event["kind"] in ENDS
                    progress.set()
                    patience -= 1
                    if ends == expected_ends or patience == 0:
                        break
        except (OSError, websockets.exceptions.WebSocketException):
            await asyncio.sleep(0.05)
    return seen


async def through_a_crash(program, folder):
    rng = random.Random(1)
    server = Server(program, folder)
    socket = server.url.replace("http", "ws")
    tasks = []
    for _ in range(TASKS):
        body = {"prompt": "Make a thing"}
        tasks.append(json.loads(ask(f"{server.url}/api/v1/tasks", body))["task_id"])
    moved = [asyncio.Event() for _ in range(TASKS + 2)]
    clients = [follow(f"{socket}/ws/{task}", 1, rng, moved[n]) for n, task in enumerate(tasks)]
    clients += [follow(f"{socket}/ws", TASKS, rng, moved[TASKS + n]) for n in range(2)]
    clients = [asyncio.ensure_future(client) for client in clients]
    recovered = 0
    for _ in range(2):
        # Every client has heard something of this server before it dies.
        for event in moved:
            event.clear()
        await asyncio.gather(*(asyncio.wait_for(event.wait(), 60) for event in moved))
        server.crash()
        recovered = max(recovered, await asyncio.to_thread(server.start))
    assert recovered > 0, "no task was under way when the server died"
    heard = await asyncio.wait_for(asyncio.gather(*clients), 150)
    for task, events in zip(tasks, heard):
        check(server.url, f"task={task}", events)
    for events in heard[TASKS:]:
        check(server.url, "", events)
    server.stop()
    print(f"{sum(map(len, heard))} events of {TASKS} tasks, each once and in order", file=sys.stderr)


def check(url, query, events):
    """What was heard is what is stored, to the last member, in order."""
    stored, after = [], 0
    while True:
        page = ask(f"{url}/api/v1/events?limit=1000&after={after}&{query}").splitlines()
        stored += [json.loads(line) for line in page]
        if len(page) < 1000:
            break
        after = stored[-1]["sequence"]
    heard = [{k: v for k, v in event.items() if k not in ("v", "type")} for event in events]
    assert [e["sequence"] for e in heard] == [e["sequence"] for e in stored], query
    assert heard == stored, query


async def remote(url, token):
    address = url.replace("http", "ws") + "/ws"
    async with websockets.connect(address) as socket:
        await socket.send(json.dumps({"type": "auth", "token": token}))
        first = json.loads(await asyncio.wait_for(socket.recv(), 10))
        assert first["kind"] == "task_submitted", first
    async with websockets.connect(address) as socket:
        await socket.send(json.dumps({"type": "auth", "token": "another"}))
        try:
            await asyncio.wait_for(socket.recv(), 10)
        except websockets.exceptions.ConnectionClosed as closed:
            assert closed.rcvd.code == 4401, closed
        else:
            raise AssertionError("a wrong token was taken")


if sys.argv[1] == "--remote":
    asyncio.run(remote(*sys.argv[2:]))
else:
    asyncio.run(through_a_crash(*sys.argv[1:]))
