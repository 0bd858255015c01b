"""A Python program in the storm: objects, threads, subprocesses, libraries by ctypes. Ends with its input."""

from __future__ import annotations

import _ctypes
import ctypes
import json
import subprocess
import sys
import threading

turns = 0
over = threading.Event()


def work() -> None:
    global turns
    while not over.is_set():
        rows = json.loads(json.dumps([{"name": f"user{i}", "tags": list(range(i % 9))} for i in range(200)]))
        if len(rows) != 200:
            raise SystemExit("rows")
        turns += 1
        if turns % 50 == 0:
            subprocess.run(["/bin/true"], check=True)
        if turns % 20 == 0:
            library = ctypes.CDLL("libanl.so.1")
            _ctypes.dlclose(library._handle)


def main() -> None:
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    print(turns, flush=True)


main()
