# Serves one model with llama.cpp's own server until standard input closes, which it does when
# its supervisor ends, however it ends. Arguments: weights, port, window of a slot, slots, threads, name,
# and what it is for: answers or embeddings.
import os
import sys
import threading
import time


def end_with_supervisor():
    while os.read(0, 4096):
        pass
    os._exit(0)


threading.Thread(target=end_with_supervisor, daemon=True).start()

import xllamacpp

weights, port, window, slots, threads, name, purpose = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = weights
params.hostnames = ["127.0.0.1"]
params.port = int(port)
params.n_parallel = int(slots)
params.n_ctx = int(window) * int(slots)
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
params.endpoint_metrics = True
if purpose == "embeddings":
    params.embedding = True
    # A text is read in one step, or not at all.
    params.n_batch = params.n_ubatch = int(window)
params.model_alias = {name}
server = xllamacpp.Server(params)
while True:
    time.sleep(3600)
