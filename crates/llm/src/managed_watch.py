# Runs a command until it ends or standard input closes, which it does when journeyman ends, however
# it ends. Arguments: the command.
import ctypes
import os
import subprocess
import sys
import threading

PR_SET_PDEATHSIG, SIGKILL = 1, 9


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)


command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)


def end_with_journeyman():
    while os.read(0, 4096):
        pass
    command.kill()
    os._exit(0)


threading.Thread(target=end_with_journeyman, daemon=True).start()
sys.exit(command.wait())
