# Runs a command until it ends or standard input closes, which it does when its supervisor ends,
# however it ends. Arguments: the command.
import ctypes
import os
import subprocess
import sys
import threading

PR_SET_PDEATHSIG, SIGKILL = 1, 9


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)


command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)


def end_with_supervisor():
    while os.read(0, 4096):
        pass
    # Whoever waits for it below sees it end.
    command.kill()


threading.Thread(target=end_with_supervisor, daemon=True).start()
sys.exit(command.wait())
