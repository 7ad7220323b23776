# Stands before each of our scripts: a way to report that the code under test does not have.
# The secret was in a file that is gone before any of that code is loaded; lines without it do not count.
import sys

# `-c` puts the current folder first, and a module there must not stand in for one that we need.
sys.path.pop(0)

import json
import os


def _open_channel():
    secret_file = sys.argv.pop(1)
    with open(secret_file, encoding="ascii") as file:
        secret = file.read()
    os.unlink(secret_file)
    descriptor = os.dup(2)
    write, dumps = os.write, json.dumps

    def emit(**report):
        data = ("\n" + secret + " " + dumps(report) + "\n").encode()
        while data:
            data = data[write(descriptor, data) :]

    return emit


def _end(code, flush=sys.stdout.flush, end=os._exit):
    # Not `sys.exit`: what the code registered or left running has no say any more.
    try:
        flush()
    finally:
        end(code)


def _shorten(text, lines_max=40, characters_max=2000):
    lines = [line.rstrip() for line in str(text).strip().splitlines() if line.strip()]
    if len(lines) > lines_max:
        half = lines_max // 2
        lines = lines[:half] + ["[...]"] + lines[-half:]
    text = "\n".join(lines)
    if len(text) > characters_max:
        half = characters_max // 2
        text = text[:half] + "\n[...]\n" + text[-half:]
    return text


def _own_traceback(error, folder):
    # The frames of the code under test only: those of importlib or of the runner help nobody.
    import traceback

    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(folder + os.sep)
    ]
    lines = []
    for frame in frames[-5:]:
        lines.append(f"{os.path.relpath(frame.filename, folder)}:{frame.lineno}: in {frame.name}")
        if frame.line:
            lines.append("    " + frame.line)
    lines += "".join(traceback.format_exception_only(type(error), error)).replace(folder + os.sep, "").splitlines()
    if isinstance(error, SystemExit) and any(frame.name == "<module>" for frame in frames):
        lines.append(f"The program is ended while the file is loaded; {_MAIN_ONLY}.")
    return "\n".join(lines)


def _left_running(counts=lambda function: True):
    # What would keep a program from its end that imports the code, in words. A pool's threads end with the program.
    import threading

    for thread in threading.enumerate():
        target = getattr(thread, "_target", None)
        is_pools = getattr(target, "__module__", None) == "concurrent.futures.thread"
        if thread is threading.main_thread() or thread.daemon or is_pools or not counts(target or type(thread).run):
            continue
        thread.join(1)
        if thread.is_alive():
            named = getattr(target, "__qualname__", thread.name)
            return f"importing it leaves a thread running ({named}), and no program that imports it ends; {_MAIN_ONLY}"
    return None


_MAIN_ONLY = "do that only below `if __name__ == '__main__':`"


def _nobody(prompt=""):
    __tracebackhide__ = True
    place = "in what runs below `if __name__ == '__main__':`"
    raise EOFError(f"input({prompt!r}) was called and nobody is there to answer; ask only {place}")


def _not_here(folder, own, *args, **kwargs):
    # In the stead of what runs tests: a test file that would run its own is run anyway. Code that does so while it is
    # loaded would end every program that imports it.
    __tracebackhide__ = True
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if frame.f_code.co_name == "<module>" and file.startswith(folder + os.sep) and file not in own:
            raise RuntimeError(f"{os.path.relpath(file, folder)} runs tests while it is loaded; {_MAIN_ONLY}")
        frame = frame.f_back
    return 0
