"""Clients that lie, flood, stall and die: each gets a refusal that is counted, and the supervisor goes on."""

import array
import contextlib
import fcntl
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import unittest

from harness import LIMIT_S, Case, Supervisor

# As CInterpose/abi/include/mlos_abi.h; kept here by hand so that a changed layout is noticed.
MAGIC = 0x314745535F534F4C
FRAME_MAGIC = 0x534F4C4D
SLOTS, MODULES, EVENTS = 4096, 4096, 1024
SLOTS_AT = 4096
MODULES_AT = SLOTS_AT + SLOTS * 64
EVENTS_AT = MODULES_AT + MODULES * 160
STRINGS_AT = EVENTS_AT + EVENTS * 128
SIZE = STRINGS_AT + (1 << 20)
F_ADD_SEALS, SEAL_SHRINK = 1033, 2

HEADER = struct.Struct("<QIIQ" + "III" * 4 + "IIII" + "Q32sII")
# What follows the constant part: state, reason, control thread, slots used, overflowed, sequence, epoch, module count, ...
DYNAMIC = struct.Struct("<IIIIQQQIIQQQQ" + "QQQQQ" + "QQQ" + "QQQQII")


def header(**changes: int) -> bytearray:
    fields = {
        "magic": MAGIC, "version": 1, "header_size": 0, "size": SIZE,
        "slots_at": SLOTS_AT, "slot": 64, "slots": SLOTS, "modules_at": MODULES_AT, "module": 160, "modules": MODULES,
        "events_at": EVENTS_AT, "event": 128, "events": EVENTS, "samples_at": 0, "sample": 0, "samples": 0,
        "strings_at": STRINGS_AT, "strings": 1 << 20, "pid": 1, "parent": 0, "start": 1, "agent": b"test", "allocator": 1, "glibc": 36,
    }
    fields.update({k: v for k, v in changes.items() if k in fields})
    dynamic = {
        "state": 1, "reason": 0, "thread": 0, "slots_used": 0, "overflowed": 0, "sequence": 0, "epoch": 0, "count": 0, "strings_used": 0,
        "dropped": 0, "events_head": 0, "adds": 0, "subs": 0, "dlopens": 0, "dlmopens": 0, "dlcloses": 0, "forks": 0, "execs": 0,
        "updated": 0, "wakeups": 0, "reconnects": 0, "b_alloc": 0, "b_free": 0, "b_in": 0, "b_out": 0, "inexact": 0, "r": 0,
    }
    dynamic.update({k: v for k, v in changes.items() if k in dynamic})
    return bytearray(HEADER.pack(*fields.values()) + DYNAMIC.pack(*dynamic.values()))


def segment(content: bytes | bytearray, size: int = SIZE, seals: int = SEAL_SHRINK) -> int:
    descriptor = os.memfd_create("mlos", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.truncate(descriptor, size)
    os.pwrite(descriptor, content, 0)
    if seals:
        fcntl.fcntl(descriptor, F_ADD_SEALS, seals)
    return descriptor


def hello(kind: int = 1, size: int = 48, version: int = 1, magic: int = FRAME_MAGIC) -> bytes:
    return struct.pack("<IHHIIIIIIQQ", magic, version, kind, size, 0, os.getpid(), 1, 0, 0, SIZE, 1)


def connect(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made.settimeout(LIMIT_S)
    made.connect(path)
    return made


def send(connection: socket.socket, packet: bytes, descriptors: list[int]) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    connection.sendmsg([packet], rights)


def answer(connection: socket.socket) -> str:
    try:
        packet = connection.recv(4096)
    except (ConnectionResetError, BrokenPipeError):
        return "end"
    if not packet:
        return "end"
    return {2: "welcome", 3: "reject"}[struct.unpack_from("<IHH", packet)[2]]


def ends_of(connections: list[socket.socket], number: int) -> set[int]:
    """Waits until the other side has closed this many of the connections; their descriptors."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLRDHUP)
    ended: set[int] = set()
    while len(ended) < number:
        news = poll.poll(LIMIT_S * 1000)
        if not news:
            raise AssertionError(f"{len(ended)} connections ended, not {number}")
        for descriptor, _ in news:
            poll.unregister(descriptor)
            ended.add(descriptor)
    return ended


class Hostile(Case):
    def setUp(self) -> None:
        super().setUp()
        self.watch: Supervisor = self.supervisor()

    def counters(self) -> dict:
        return self.watch.get("/api/v1/status")["counters"]

    def refused(self, packet: bytes, descriptors: list[int]) -> None:
        with connect(self.watch.socket) as connection:
            send(connection, packet, descriptors)
            self.assertEqual(answer(connection), "reject")
        for descriptor in descriptors:
            os.close(descriptor)

    def test_frames_that_are_no_hello(self) -> None:
        good = hello()
        packets = [
            b"x", good[:15], good[:47], good + b"x", os.urandom(48), os.urandom(512), hello(magic=1), hello(version=9), hello(size=4),
            hello(kind=5), hello(kind=99), hello(size=0xFFFFFFFF), b"A" * 4096,
        ]
        for packet in packets:
            with self.subTest(packet=packet[:20]):
                self.refused(packet, [segment(header())])
        self.assertEqual(self.counters()["frames_refused"], len(packets))

    def test_descriptors_that_are_no_segment(self) -> None:
        read_end, write_end = os.pipe()
        os.close(write_end)
        cases = {
            "pipe": [read_end], "file": [os.open("/proc/self/exe", os.O_RDONLY)],
            "null": [os.open("/dev/null", os.O_RDONLY)], "unsealed": [segment(header(), seals=0)],
            "short": [segment(header(), size=4096)], "long": [segment(header(), size=SIZE * 2)],
            "empty": [segment(b"")], "none": [], "two": [segment(header()), segment(header())],
        }
        for name, descriptors in cases.items():
            with self.subTest(name):
                self.refused(hello(), descriptors)
        self.assertEqual(self.watch.get("/api/v1/processes")["processes"], [])

    def test_headers_that_lie_about_the_layout(self) -> None:
        for change in [
            {"magic": 1}, {"version": 2}, {"size": 1}, {"slots_at": 0}, {"slot": 0}, {"slots": 0xFFFFFFFF}, {"modules_at": 0xFFFFFFFF},
            {"module": 1}, {"modules": 0xFFFFFFFF}, {"events_at": SIZE - 1}, {"event": 0}, {"events": 0}, {"strings_at": SIZE},
            {"strings": 0xFFFFFFFF},
        ]:
            with self.subTest(change):
                self.refused(hello(), [segment(header(**change))])

    def accepted(self, content: bytes | bytearray) -> socket.socket:
        connection = connect(self.watch.socket)
        self.addCleanup(connection.close)
        descriptor = segment(content)
        send(connection, hello(), [descriptor])
        os.close(descriptor)
        self.assertEqual(answer(connection), "welcome")
        return connection

    def read_everything(self) -> None:
        me = os.getpid()
        for path in ("status", "processes", f"processes/{me}/modules", "packages", f"packages?pid={me}", "events"):
            self.watch.get(f"/api/v1/{path}")

    def test_numbers_that_lie(self) -> None:
        huge = {"slots_used": 0xFFFFFFFF, "count": 0xFFFFFFFF, "events_head": 2**64 - 1, "dropped": 2**64 - 1, "b_in": 2**64 - 1,
                "b_alloc": 2**64 - 1, "b_out": 5, "strings_used": 0xFFFFFFFF, "state": 77, "reason": 99, "dlopens": 2**64 - 1}
        for change in [huge, {"sequence": 1}, {"b_out": 2**64 - 1}, {"events_head": 3}, {"events_head": 2**63}, huge]:
            with self.subTest(change):
                connection = self.accepted(header(**change))
                self.read_everything()
                connection.close()

    def test_module_rows_that_lie(self) -> None:
        content = header(count=6)
        content += bytes(MODULES_AT - len(content))
        row = struct.Struct("<IIIiQQQQQIIQQQIII32s12x16x")
        self.assertEqual(row.size, 160)

        def module(ident: int, offset: int, length: int, start: int = 0, end: int = 0, build: int = 0, state: int = 1) -> bytes:
            return row.pack(ident, state, 0, 0, 1, 1, 0, start, end, 1, 0, 1, 1, 0, offset, length, build, b"\xff" * 32)

        content += module(1, 0xFFFFFFFF, 10) + module(2, 0, 0xFFFFFFFF) + module(3, (1 << 20) - 1, 4096)
        content += module(4, 0, 4096, build=99) + module(5, 0, 10, start=2**64 - 1, end=0) + module(6, 0, 4096, start=1, end=2**64 - 1)
        content += bytes(STRINGS_AT - len(content)) + b"\n\xff\x00" * 1365 + b"/"
        self.accepted(content)
        self.read_everything()
        answer = self.watch.get(f"/api/v1/processes/{os.getpid()}/modules")
        self.assertEqual(answer["modules_dropped"], 5)

    def test_counters_that_go_backwards_give_no_negative_figures(self) -> None:
        descriptor = segment(header(b_in=10_000, b_alloc=100))
        with connect(self.watch.socket) as connection:
            send(connection, hello(), [descriptor])
            self.assertEqual(answer(connection), "welcome")
            os.pwrite(descriptor, header(b_in=10, b_out=5_000, b_alloc=1), 0)
            row = self.watch.row(os.getpid())
            self.assertEqual(row["live_heap_bytes"], 0)
            self.assertTrue(row["allocations_per_second"] is None or row["allocations_per_second"] >= 0)
        os.close(descriptor)

    def test_random_segments(self) -> None:
        chance = random.Random(20260101)
        for _ in range(60):
            content = header(count=MODULES, slots_used=SLOTS, events_head=chance.randrange(1 << 40))
            content += chance.randbytes(SIZE - len(content))
            connection = self.accepted(content)
            self.read_everything()
            connection.close()

    def test_segment_rewritten_while_it_is_read(self) -> None:
        descriptor = segment(header(count=5))
        child = subprocess.Popen(
            [sys.executable, "-c", "import os,sys,random\nd=int(sys.argv[1])\nprint('go',flush=True)\nr=random.Random(1)\n"
             "while True: os.pwrite(d, r.randbytes(4096), 288 + r.randrange(1<<20))", str(descriptor)],
            pass_fds=[descriptor], stdout=subprocess.PIPE)
        try:
            child.stdout.readline()
            with connect(self.watch.socket) as connection:
                send(connection, hello(), [descriptor])
                self.assertEqual(answer(connection), "welcome")
                for _ in range(30):
                    self.read_everything()
        finally:
            child.kill()
            child.communicate()
            os.close(descriptor)

    def test_segment_cannot_be_truncated_under_the_reader(self) -> None:
        descriptor = segment(header())
        with connect(self.watch.socket) as connection:
            send(connection, hello(), [descriptor])
            self.assertEqual(answer(connection), "welcome")
            with self.assertRaises(PermissionError):
                os.truncate(descriptor, 0)
            self.read_everything()
        os.close(descriptor)

    def test_process_that_dies_while_it_says_hello(self) -> None:
        for moment in ("connected", "sent"):
            code = ("import sys; sys.path.insert(0, sys.argv[1])\nfrom test_hostile import *\n"
                    "c=connect(sys.argv[2])\n" + ("send(c, hello(), [segment(header())])\n" if moment == "sent" else "")
                    + "os.kill(os.getpid(), signal.SIGKILL)")
            done = subprocess.run([sys.executable, "-c", code, os.path.dirname(__file__), self.watch.socket])
            self.assertEqual(done.returncode, -signal.SIGKILL)
        # What came before has been taken when this is answered: the supervisor takes connections in their order.
        self.refused(b"junk", [])
        self.watch.await_state("nobody listed", lambda: not self.watch.get("/api/v1/processes")["processes"])

    def test_second_hello_and_results_out_of_turn(self) -> None:
        connection = self.accepted(header())
        send(connection, hello(), [])
        self.assertEqual(answer(connection), "reject")
        with connect(self.watch.socket) as early:
            early.send(struct.pack("<IHHIIIIqQ", FRAME_MAGIC, 1, 5, 40, 1, 0, 1, 0, 0))
            self.assertEqual(answer(early), "reject")

    def test_flood_of_silent_connections_leaves_room_for_agents(self) -> None:
        silent = []
        try:
            for _ in range(400):
                made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                made.setblocking(False)
                try:
                    made.connect(self.watch.socket)
                    silent.append(made)
                except OSError:
                    made.close()
            # The silent ones that were ended for it are closed by the supervisor, which counts them before.
            ended = ends_of(silent, 200)
            self.assertGreaterEqual(self.counters()["sessions_refused"], len(ended))
            # Those that are left are still there and say nothing.
            self.accepted(header())
        finally:
            for made in silent:
                made.close()
        self.accepted(header())

    def test_stream_of_sessions_leaks_no_descriptor(self) -> None:
        def descriptors(kind: str) -> int:
            """Of one kind: files of /proc that the supervisor reads come and go at any time."""
            targets = []
            for name in os.listdir(f"/proc/{self.watch.pid}/fd"):
                with contextlib.suppress(FileNotFoundError):
                    targets.append(os.readlink(f"/proc/{self.watch.pid}/fd/{name}"))
            return sum(kind in target for target in targets)

        first = self.accepted(header())
        before = {kind: descriptors(kind) for kind in ("socket:", "[pidfd]")}
        first.shutdown(socket.SHUT_WR)
        self.assertEqual(answer(first), "end")
        for index in range(300):
            connection = connect(self.watch.socket)
            descriptor = segment(header()) if index % 3 else segment(b"")
            send(connection, hello() if index % 2 else b"junk", [descriptor])
            if answer(connection) == "welcome":
                connection.shutdown(socket.SHUT_WR)
            # Answered by the end when the supervisor has closed its side.
            self.assertEqual(answer(connection), "end")
            os.close(descriptor)
            connection.close()
        # Its welcome comes after all that was done for those before; it has as many descriptors as the first one had.
        self.accepted(header())
        for kind, number in before.items():
            self.assertLessEqual(descriptors(kind), number, kind)
        # Its own is closed right after the welcome.
        self.assertLessEqual(descriptors("/memfd:"), 1)


if __name__ == "__main__":
    unittest.main()
