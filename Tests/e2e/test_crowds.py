"""Crowds and those who do not answer: thousands of connections, readers that do not read, targets that are stopped."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import unittest
from pathlib import Path

from harness import AGENT, LIMIT_S, Case, Supervisor, environment, waiting

CROWD = 10_000
MIB = 1 << 20

WAITS_FOR_ITS_CHILD = """
#include <unistd.h>
int main(void) {
  char byte;
  if (vfork() == 0) {
    if (write(1, "in\\n", 3) == 3 && read(0, &byte, 1) >= 0)
      _exit(0);
    _exit(1);
  }
  return 0;
}
"""


BUSY = """
import threading
told = threading.Event()
print("up", flush=True)
threading.Thread(target=lambda: (sys.stdin.readline(), told.set())).start()
while not told.is_set():
    bytearray(5000)
"""


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def crowd(path: str, kind: int) -> list[socket.socket]:
    """As many connections as are let in of CROWD that ask."""
    held = []
    for _ in range(CROWD):
        made = socket.socket(socket.AF_UNIX, kind)
        made.setblocking(False)
        try:
            made.connect(path)
            held.append(made)
        except OSError:
            made.close()
    return held


def ask_when_there_is_room(supervisor: Supervisor) -> bytes:
    """Connects however long the queue is: connect(2) waits for a place in it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(None)
        connection.connect(supervisor.control)
        connection.settimeout(LIMIT_S)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: mlos\r\nConnection: close\r\n\r\n")
        return connection.recv(65536)


class Crowds(Case):
    def setUp(self) -> None:
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < CROWD + 100:
            self.skipTest(f"this user may open {hard} files, not {CROWD + 100}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

    def test_ten_thousand_connections_of_agents(self) -> None:
        watch = self.supervisor()
        before = resident(watch.pid)
        held = crowd(watch.socket, socket.SOCK_SEQPACKET)
        try:
            # The control API goes on, and an agent gets in between those that say nothing.
            self.assertEqual(watch.get("/healthz"), {"status": "ok"})
            # One that does something: an idle one that was turned away is found within a minute.
            program = self.program(watch.socket, BUSY)
            program.line()
            watch.wait_for(program.pid)
            self.assertGreater(watch.get("/api/v1/status")["counters"]["sessions_refused"], 1000)
            self.assertLess(resident(watch.pid) - before, 32 * MIB)
        finally:
            for made in held:
                made.close()
        program.go()

    def test_ten_thousand_connections_to_the_control_socket(self) -> None:
        watch = self.supervisor()
        before = resident(watch.pid)
        held = crowd(watch.control, socket.SOCK_STREAM)
        try:
            self.assertLess(len(held), 2_000)
            # Nobody else gets in now, but the agents do not notice.
            program = self.program(watch.socket, "checkpoint('up')")
            program.line()
            self.assertLess(resident(watch.pid) - before, 32 * MIB)
        finally:
            for made in held:
                made.close()
        self.assertIn(b"200 OK", ask_when_there_is_room(watch))
        self.assertEqual(watch.wait_for(program.pid)["agent_state"], "active")
        program.go()

    def test_readers_that_do_not_read_hold_up_nobody(self) -> None:
        watch = self.supervisor()
        program = self.program(watch.socket, "import json, socket, sqlite3\ncheckpoint('up')")
        program.line()
        watch.wait_for(program.pid)
        path = f"/api/v1/processes/{program.pid}/modules"
        size = len(str(watch.get(path)))
        before = resident(watch.pid)
        request = f"GET {path} HTTP/1.1\r\nHost: mlos\r\n\r\n".encode()
        slow = []
        try:
            for _ in range(100):
                made = socket.socket(socket.AF_UNIX)
                made.connect(watch.control)
                # More answers than any buffer takes.
                made.sendall(request * 200)
                slow.append(made)
            self.assertEqual(watch.get("/healthz"), {"status": "ok"})
            self.assertEqual(watch.row(program.pid)["pid"], program.pid)
            # Each may have some answers in the works, not all that it asked for.
            self.assertLess(resident(watch.pid) - before, 100 * 20 * size + 32 * MIB)
            self.assertGreater(len(slow[0].recv(1000)), 0)
        finally:
            for made in slow:
                made.close()
        self.assertEqual(watch.get("/healthz"), {"status": "ok"})
        program.go()


class Silent(Case):
    def test_a_stopped_target_is_listed_with_all_it_has(self) -> None:
        watch = self.supervisor()
        program = self.program(watch.socket, "import zlib\ncheckpoint('up')")
        program.line()
        watch.wait_for(program.pid)
        os.kill(program.pid, signal.SIGSTOP)
        try:
            os.waitid(os.P_PID, program.pid, os.WSTOPPED | os.WNOWAIT)
            self.assertEqual(watch.row(program.pid)["agent_state"], "active")
            self.assertTrue(watch.get(f"/api/v1/processes/{program.pid}/modules")["modules"])
            self.assertTrue(watch.get(f"/api/v1/packages?pid={program.pid}")["packages"])
        finally:
            os.kill(program.pid, signal.SIGCONT)
        program.go()

    def test_a_target_in_uninterruptible_sleep_is_listed(self) -> None:
        watch = self.supervisor()
        source, binary = self.folder / "vfork.c", self.folder / "vfork"
        source.write_text(WAITS_FOR_ITS_CHILD)
        subprocess.run(["cc", "-o", binary, source], check=True)
        process = subprocess.Popen([binary], env=environment(LD_PRELOAD=AGENT, MLOS_SOCKET=watch.socket), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        try:
            self.assertEqual(process.stdout.readline(), b"in\n")
            # Until its child is gone the parent sleeps in vfork(2), which no signal but SIGKILL ends.
            self.assertEqual(Path(f"/proc/{process.pid}/stat").read_text().rsplit(") ", 1)[1][0], "D")
            watch.mlos("adopt", str(process.pid))
            self.assertEqual(watch.row(process.pid)["pid"], process.pid)
            self.assertTrue(watch.get(f"/api/v1/processes/{process.pid}/modules")["modules"])
        finally:
            process.stdin.close()
            waiting.finish(process, LIMIT_S)

    def test_a_flood_of_events_is_told_or_counted(self) -> None:
        watch = self.supervisor()
        calls = 20_000
        code = f"""
import ctypes, _ctypes
def flood():
    for _ in range({calls}):
        _ctypes.dlclose(ctypes.CDLL('libanl.so.1')._handle)
checkpoint('up')
flood()
checkpoint('done')
"""
        program = self.program(watch.socket, code)
        program.line()
        watch.wait_for(program.pid)
        dropped = watch.get("/api/v1/status")["counters"]["events_dropped"]
        after = watch.events()["next"]
        program.go()
        told = lost = 0
        done = False
        while not done or page["events"]:
            # Everything that was there when the program said that it had done is told by the time of one empty page.
            done = done or bool(waiting.readable([program.process.stdout.fileno()], 0))
            page = watch.events(program.pid, after)
            after = page["next"]
            lost += page["lost"]
            told += len(page["events"])
        program.line()
        counted = watch.get("/api/v1/status")["counters"]["events_dropped"] - dropped
        self.assertGreaterEqual(told + lost + counted, 2 * calls)
        program.go()


if __name__ == "__main__":
    unittest.main()
