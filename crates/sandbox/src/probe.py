# Attempts, from inside the sandbox, what must not work, and what must. Prints one JSON object.
# Uses only built-in modules that need no file of the environment beyond the standard library.
import json
import os
import socket
import sys

outside, port = sys.argv[1], int(sys.argv[2])
attempts = []


def attempt(what, expected, action):
    try:
        action()
        got = "possible"
    except BaseException as error:
        got = "denied" if isinstance(error, OSError) else type(error).__name__
    attempts.append({"what": what, "expected": expected, "got": got})


def write(path):
    with open(path, "w") as file:
        file.write("x")


def fork():
    child = os.fork()
    if child == 0:
        os._exit(7)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 7:
        raise ValueError


attempt("reading a file outside", "denied", lambda: open(outside + "/secret").read())
attempt("writing a file outside", "denied", lambda: write(outside + "/secret"))
attempt("creating a file outside", "denied", lambda: write(outside + "/new"))
attempt("listing a folder outside", "denied", lambda: os.listdir(outside))
attempt("reading the users of the machine", "denied", lambda: open("/etc/passwd").read())
attempt("connecting to the loopback", "denied", lambda: socket.create_connection(("127.0.0.1", port), 2))
attempt("opening a datagram socket", "denied", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
attempt("opening a local socket", "denied", lambda: socket.socket(socket.AF_UNIX))
attempt("becoming root", "denied", lambda: os.setuid(0))
attempt("writing in the task's folder", "possible", lambda: write("probe.txt"))
attempt("writing a temporary file", "possible", lambda: write(os.environ["TMPDIR"] + "/probe.txt"))
attempt("starting a process", "possible", fork)

print(json.dumps({"uid": os.getuid(), "attempts": attempts}))
