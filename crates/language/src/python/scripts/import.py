# Imports one module and reports whether that worked, and whether it was the one in the task's folder.
import builtins
import functools
import importlib
import unittest


def _main():
    emit = _open_channel()
    folder = os.getcwd()
    name = sys.argv.pop(1)
    sys.path.insert(0, folder)
    builtins.input = _nobody
    unittest.main = functools.partial(_not_here, folder, ())
    try:
        module = importlib.import_module(name)
        places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", [])]
        running = _left_running()
        if running:
            emit(kind="failed", error=running)
        elif any(place.startswith(folder + os.sep) for place in places):
            emit(kind="imported")
        else:
            emit(kind="failed", error=f"`{name}` is the name of a module of Python itself; use another name")
    except BaseException as error:
        emit(kind="failed", error=_shorten(_own_traceback(error, folder)))
    _end(0)


_main()
