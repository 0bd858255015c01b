"""Want of memory wakes the supervisor, and programs hear of it by systemd's protocol."""

from __future__ import annotations

import json
import os
import subprocess
import unittest
from pathlib import Path

from harness import LIMIT_S, MLOS, NOBODY, PYTHON, Case, Supervisor, environment, run, waiting

# The least there may be: the machine's memory must not be filled for a test.
SHORT = {
    "MLOS_UNLOADING_MEMORY_PRESSURE_TARGET": "1%", "MLOS_UNLOADING_MEMORY_PRESSURE_THRESHOLD": "5%",
    "MLOS_UNLOADING_MEMORY_PRESSURE_CRITICAL": "5%", "MLOS_UNLOADING_CHECK_INTERVAL": "1s",
}
SHORT_SHARE = 0.055
BALLAST_LIMIT = 2 << 30
MIB = 1 << 20
LIMIT_BYTES = 32 * MIB
FILE_BYTES = 96 * MIB

# A client by the protocol alone, https://systemd.io/MEMORY_PRESSURE: says where it listens, then each time it is told.
CLIENT = """
import base64, os, select, socket, stat, sys
path = os.environ.get("MEMORY_PRESSURE_WATCH")
if path is None or path == "/dev/null":
    print("no watch", flush=True)
    sys.exit()
words = base64.b64decode(os.environ.get("MEMORY_PRESSURE_WRITE", ""))
kind = os.stat(path).st_mode
if stat.S_ISSOCK(kind):
    watch = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    watch.connect(path)
    fd, event = watch.fileno(), select.POLLIN
else:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    event = select.POLLIN if stat.S_ISFIFO(kind) else select.POLLPRI
if words:
    os.write(fd, words)
print("listens on", path, flush=True)
poll = select.poll()
poll.register(fd, event)
poll.register(0, select.POLLIN)
while True:
    for ready, what in poll.poll():
        if ready == 0 or what & (select.POLLHUP | select.POLLERR):
            sys.exit()
        if event == select.POLLIN and not os.read(fd, 4096):
            sys.exit()
        print("told", flush=True)
"""

# Reads a file that is larger than what its group may hold, again and again: each page waits for another to go.
HOG = """
import os, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as procs:
    procs.write(str(os.getpid()))
file = os.open(sys.argv[2], os.O_RDONLY)
while True:
    os.lseek(file, 0, 0)
    while os.read(file, 1 << 20):
        pass
"""


class Pressure(Case):
    def client(self, command: list[str], **options) -> waiting.Lines:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=options.pop("env", None) or environment(), **options)

        def end() -> None:
            assert process.stdin and process.stdout and process.stderr
            process.stdin.close()
            waiting.finish(process, LIMIT_S)
            process.stdout.close()
            process.stderr.close()

        self.addCleanup(end)
        assert process.stdout
        return waiting.Lines(process.stdout.fileno())

    def run_client(self, watch: Supervisor, *options: str, **more) -> waiting.Lines:
        return self.client([MLOS, "run", "--socket", watch.socket, *options, "--", PYTHON, "-c", CLIENT], **more)

    def test_status_names_the_triggers_or_why_there_is_none(self) -> None:
        watch = self.supervisor()
        pressure = watch.json("status")["pressure"]
        machine, group = pressure["triggers"]
        self.assertEqual((machine["source"], machine["path"]), ("machine", "/proc/pressure/memory"))
        text = watch.mlos("status").stdout
        if machine["state"] == "armed":
            self.assertIn(machine["trigger"], ("some 50000 500000", "some 200000 2000000"))
            self.assertIn("told by /proc/pressure/memory", " ".join(text.split()))
        else:
            self.assertTrue(machine["problem"])
            self.assertIn("looked at every 1 min", " ".join(text.split()))
        if group["state"] != "armed":
            self.assertTrue(group["problem"])
        self.assertEqual(pressure["bell"]["path"], str(self.folder / "memory.sock"))

    def ballast(self) -> None:
        """Has so much of the machine's memory in use that it is short by SHORT."""
        sizes = {line.split()[0]: int(line.split()[1]) << 10 for line in Path("/proc/meminfo").read_text().splitlines()}
        missing = int(sizes["MemTotal:"] * SHORT_SHARE) - (sizes["MemTotal:"] - sizes["MemAvailable:"])
        if missing <= 0:
            return
        if missing > min(BALLAST_LIMIT, sizes["MemAvailable:"] // 4):
            self.skipTest(f"{missing >> 20} MiB would have to be filled to make memory short")
        program = self.program(None, f"held = b'x' * {missing}\ncheckpoint('held')\n", preload=False)
        self.assertEqual(program.line(), "held")

    def test_a_program_that_knows_the_protocol_is_told(self) -> None:
        self.ballast()
        watch = self.supervisor(**SHORT)
        lines = self.run_client(watch)
        self.assertEqual(lines.next("the client", LIMIT_S), f"listens on {self.folder}/memory.sock")
        # By the settings memory is short: the next look tells.
        self.assertEqual(lines.next("word of pressure", LIMIT_S), "told")
        self.assertEqual(lines.next("more of it", LIMIT_S), "told")
        bell = watch.get("/api/v1/status")["pressure"]["bell"]
        self.assertGreaterEqual(bell["rings"], 2)
        self.assertEqual((bell["clients"], bell["refused"]), (1, 0))
        self.assertIn("memory is short", watch.mlos("status").stdout)

    def test_what_the_service_manager_said_and_what_the_user_wants_stays(self) -> None:
        watch = self.supervisor()
        show = ["--", "sh", "-c", "echo \"[$MEMORY_PRESSURE_WATCH|$MEMORY_PRESSURE_WRITE]\""]
        command = [MLOS, "run", "--socket", watch.socket]
        self.assertEqual(run([*command, *show], text=True).stdout, f"[{self.folder}/memory.sock|]\n")
        self.assertEqual(run([*command, "--no-pressure-watch", *show], text=True).stdout, "[|]\n")
        given = environment(MEMORY_PRESSURE_WATCH="/dev/null", MEMORY_PRESSURE_WRITE="eA==")
        self.assertEqual(run([*command, *show], text=True, env=given).stdout, "[/dev/null|eA==]\n")

    def test_without_a_supervisor_the_kernels_file_serves(self) -> None:
        done = run(
            [MLOS, "run", "--no-embedded", "--socket", str(self.folder / "agent.sock"), "--json", "--", "true"], text=True)
        path = json.loads(done.stderr)["pressure_watch"]
        if path is None:
            self.skipTest("no file of the kernel takes a trigger from this user")
        self.assertTrue(path.endswith("memory.pressure") or path == "/proc/pressure/memory", path)
        lines = self.client(
            [MLOS, "run", "--no-embedded", "--socket", str(self.folder / "agent.sock"), "--", PYTHON, "-c", CLIENT])
        self.assertEqual(lines.next("the client", LIMIT_S), f"listens on {path}")

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to be another user")
    @unittest.skipUnless(os.access("/usr/bin/python3", os.X_OK), "needs a Python that any user may run")
    def test_the_socket_of_a_users_supervisor_is_that_users(self) -> None:
        watch = self.supervisor()
        self.folder.chmod(0o755)
        done = run(["/usr/bin/python3", "-c", CLIENT], text=True,
                   env=environment(MEMORY_PRESSURE_WATCH=str(self.folder / "memory.sock")), **NOBODY)
        self.assertIn("PermissionError", done.stderr)
        self.assertEqual(watch.get("/api/v1/status")["pressure"]["bell"]["refused"], 0)


def limited_group() -> tuple[Path, str] | None:
    """A folder in which a control group with a limit can be made, and the name of its limit; v1 or v2."""
    for folder, name in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        if os.access(folder, os.W_OK) and Path(folder, "cgroup.procs").exists():
            if name == "memory.limit_in_bytes" or "memory" in Path(folder, "cgroup.subtree_control").read_text().split():
                return Path(folder), name
    return None


class Stalls(Case):
    """Real stalls of programs that may hold 32 MiB; and that without any, in the same process, nobody wakes up."""

    def hog(self) -> None:
        place = limited_group()
        if place is None:
            self.skipTest("no control group with a limit can be made here")
        folder, limit = place
        group = folder / f"mlos-e2e-{os.getpid()}"
        group.mkdir()
        self.addCleanup(group.rmdir)
        (group / limit).write_text(str(LIMIT_BYTES))
        file = self.folder / "large"
        with file.open("wb") as made:
            for _ in range(FILE_BYTES // MIB):
                made.write(os.urandom(4096) * (MIB // 4096))
            made.flush()
            os.fsync(made.fileno())
            os.posix_fadvise(made.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for _ in range(4):
            process = subprocess.Popen([PYTHON, "-c", HOG, str(group), str(file)], env=environment())

            def end(process: subprocess.Popen = process) -> None:
                process.kill()
                waiting.finish(process, LIMIT_S)

            self.addCleanup(end)

    def test_stalls_wake_the_supervisor_long_before_the_next_look(self) -> None:
        watch = self.supervisor(**SHORT | {"MLOS_UNLOADING_CHECK_INTERVAL": "1h"})
        if watch.get("/api/v1/status")["pressure"]["triggers"][0]["state"] != "armed":
            self.skipTest("the kernel takes no trigger: " + str(watch.json("status")["pressure"]["triggers"][0]["problem"]))
        self.hog()

        def woken() -> dict | None:
            pressure = watch.get("/api/v1/status")["pressure"]
            return pressure if pressure["decisions"] else None

        pressure = watch.await_quietly("a decision for an event", woken)
        self.assertGreater(pressure["events"], 0)
        self.assertIsNotNone(pressure["last_event_at"])
        self.assertLess(pressure["slowest_decision_milliseconds"], 1000)
        watch.await_log("pressure event to decision")

    def test_calm_wakes_nobody(self) -> None:
        watch = self.supervisor()

        def switches() -> dict[str, str]:
            found = {}
            for task in Path(f"/proc/{watch.pid}/task").iterdir():
                name = (task / "comm").read_text().strip()
                if name.startswith("pressure"):
                    found[name] = next(x for x in (task / "status").read_text().splitlines() if x.startswith("voluntary"))
            return found

        before = switches()
        self.assertEqual(sorted(before), ["pressure", "pressure-bell"])
        events = watch.get("/api/v1/status")["pressure"]["events"]
        for _ in range(30):
            watch.events(wait=0.1, after=2**63)
        if watch.get("/api/v1/status")["pressure"]["events"] != events:
            self.skipTest("the machine was short of memory meanwhile")
        self.assertEqual(switches(), before)


if __name__ == "__main__":
    unittest.main()
