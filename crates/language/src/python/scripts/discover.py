# Says where the interpreter lives: every folder or file it must be able to read to run.
import json
import os
import sys
import sysconfig

places = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]
places += [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]

# The executable may be reached over several links, each of which has to exist inside.
link = sys.executable
for _ in range(16):
    places.append(link)
    if not os.path.islink(link):
        break
    link = os.path.join(os.path.dirname(link), os.readlink(link))
library = sysconfig.get_config_var("LDLIBRARY")
folder = sysconfig.get_config_var("LIBDIR")
if library and folder and library.endswith(".so"):
    places.append(os.path.join(folder, library))

# Mounted by the system's own rules.
system = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
readable = []
for place in [*places, *map(os.path.realpath, filter(None, places))]:
    if not place or not os.path.exists(place) or place in ("/", os.path.expanduser("~")):
        continue
    place = os.path.normpath(place)
    inside = [*system, *readable]
    if not any(place == other or place.startswith(other + os.sep) for other in inside):
        readable.append(place)

version = ".".join(map(str, sys.version_info[:3]))
print(json.dumps({"executable": sys.executable, "version": version, "readable": readable}))
