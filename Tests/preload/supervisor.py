"""A supervisor's end of the agent socket, and a reader of the segment. Layout: CInterpose/abi/include/mlos_abi.h."""

import array
import fcntl
import mmap
import os
import select
import socket
import struct

from harness import Failure, check

MAGIC, VERSION = 0x534F4C4D, 1
HELLO, WELCOME, REJECT, COMMAND, RESULT = 1, 2, 3, 4, 5
PING, REFRESH = 1, 2
TRIM, COLLECT, DROP, MERGE, CACHE_LIMIT, EVICT, RECLAIM = range(5, 12)
OK, UNSUPPORTED, FAILED = range(3)
ACTIVE, LOADER_ONLY, INERT = 1, 2, 3
REASONS = {0: "none", 1: "mixed", 6: "self-check", 7: "seccomp", 8: "descriptor", 10: "refused"}
GLIBC, JEMALLOC, TCMALLOC, MIMALLOC, OTHER = 1, 2, 3, 4, 5
BASE_ONLY, LISTED, NOT_LISTED = range(3)
DLOPEN, LOADED, DLCLOSE, UNLOADED, KEPT, FORK, EXEC, STATE = range(1, 9)

# Longest wait for an event that must come.
WAIT_SECONDS = 60


class Segment:
    """A read-only view, as the supervisor has it."""

    FIELDS = (
        "magic:Q abi_version:I header_size:I segment_size:Q slots_offset:I slot_size:I slots_capacity:I modules_offset:I "
        "module_size:I modules_capacity:I events_offset:I event_size:I events_capacity:I samples_offset:I sample_size:I "
        "samples_capacity:I strings_offset:I strings_size:I pid:I parent_pid:I start_ns:Q agent_version:32s allocator:I "
        "glibc_minor:I state:I reason:I control_thread:I slots_used:I slots_overflowed:Q modules_sequence:Q "
        "modules_epoch:Q modules_count:I strings_used:I modules_dropped:Q events_head:Q dl_adds:Q dl_subs:Q "
        "dlopen_calls:Q dlmopen_calls:Q dlclose_calls:Q forks:Q execs:Q table_updated_ns:Q wakeups:Q reconnects:Q "
        "base_allocations:Q base_frees:Q base_bytes_allocated:Q base_bytes_freed:Q base_inexact:I name_spaces:I")
    # Behind the shared slot.
    LATER_FIELDS = "capabilities:I cache_limit:I cache_reopens:Q cache_evictions:Q cache_refusals:Q callbacks:I busy_regions:I"

    def __init__(self, descriptor):
        self.size = os.fstat(descriptor).st_size
        self.map = mmap.mmap(descriptor, self.size, mmap.MAP_SHARED, mmap.PROT_READ)
        self.layout = {}
        self.overflow_offset = (self._lay_out(self.FIELDS, 0) + 7) // 8 * 8
        self._lay_out(self.LATER_FIELDS, self.overflow_offset + 64)

    def _lay_out(self, fields, offset):
        for field in fields.split():
            name, kind = field.split(":")
            size = struct.calcsize("=" + kind)
            align = 1 if kind == "32s" else size
            offset = (offset + align - 1) // align * align
            self.layout[name] = (offset, "=" + kind)
            offset += size
        return offset

    def __getattr__(self, name):
        offset, kind = self.__dict__["layout"][name]
        return struct.unpack_from(kind, self.map, offset)[0]

    def _slot(self, offset):
        return struct.unpack_from("=4Q", self.map, offset)

    def sums(self):
        """Allocations, frees, bytes allocated, bytes freed."""
        rows = [(self.base_allocations, self.base_frees, self.base_bytes_allocated, self.base_bytes_freed)]
        rows += [self._slot(self.slots_offset + 64 * i) for i in range(self.slots_used)]
        rows.append(self._slot(self.overflow_offset))
        return tuple(sum(column) for column in zip(*rows))

    def sample_states(self):
        """The state of each thread's generator of samples; 0: none was needed."""
        return [struct.unpack_from("=Q", self.map, self.slots_offset + 64 * i + 48)[0] for i in range(self.slots_used)]

    def live(self):
        """Live blocks and live bytes."""
        allocations, frees, allocated, freed = self.sums()
        return allocations - frees, allocated - freed

    def _string(self, offset, length):
        start = self.strings_offset + offset
        return bytes(self.map[start : start + length]).decode()

    def modules(self):
        """Rows of the table, read under its sequence lock."""
        while True:
            before = self.modules_sequence
            rows = []
            for i in range(self.modules_count):
                row = struct.unpack_from("=3Ii5Q2I3Q3I", self.map, self.modules_offset + self.module_size * i)
                (ident, state, flags, space, device, inode, load, start, end, opens, closes, first, last, gone,
                 path_offset, path_length, build_id) = row
                closed, refusal, detail = struct.unpack_from("=QII", self.map, self.modules_offset + self.module_size * i + 136)
                rows.append(dict(
                    id=ident, state=state, flags=flags, space=space, device=device, inode=inode, load=load, start=start, end=end,
                    opens=opens, closes=closes, first=first, last=last, gone=gone,
                    path=self._string(path_offset, path_length), build_id=build_id, closed=closed, refusal=refusal, detail=detail))
            if before % 2 == 0 and before == self.modules_sequence:
                return rows

    def module(self, name):
        found = [row for row in self.modules() if os.path.basename(row["path"]) == name]
        return found[0] if found else None

    def events(self, kind=None):
        """What the ring still holds, oldest first: (kind, module, argument, text)."""
        rows, head = [], self.events_head
        for index in range(max(0, head - self.events_capacity), head):
            offset = self.events_offset + 128 * (index % self.events_capacity)
            sequence, _, what, _, module, length, argument = struct.unpack_from("=2Q4Iq", self.map, offset)
            text = bytes(self.map[offset + 48 : offset + 48 + length]).decode(errors="replace")
            if sequence == index + 1 and kind in (None, what):
                rows.append((what, module, argument, text))
        return rows


class Session:
    """One connected agent after its HELLO."""

    def __init__(self, connection):
        self.connection = connection
        packet, ancillary, _, _ = connection.recvmsg(4096, 64)
        self.frame = struct.unpack_from("=IHHII", packet)
        self.pid, self.state, self.reason, self.reconnects, self.size, self.start = struct.unpack_from("=4I2Q", packet, 16)
        descriptors = array.array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        check(len(descriptors) == 1, f"HELLO carries {len(descriptors)} descriptors")
        status = os.fstat(descriptors[0])
        self.seals = fcntl.fcntl(descriptors[0], fcntl.F_GET_SEALS)
        self.inode = status.st_ino
        self.segment = Segment(descriptors[0])
        os.close(descriptors[0])
        self.requests = 0

    def welcome(self):
        try:
            self.connection.send(struct.pack("=IHHIIII", MAGIC, VERSION, WELCOME, 24, 0, os.getpid(), 0))
        except BrokenPipeError:
            pass  # a short program has ended or exec'ed already; its segment can still be read
        return self

    def reject(self):
        self.connection.send(struct.pack("=IHHII", MAGIC, VERSION, REJECT, 16, 0))

    def send_command(self, code, *arguments):
        self.requests += 1
        padded = (arguments + (0, 0, 0, 0))[:4]
        self.connection.send(struct.pack("=IHHIIII4Q", MAGIC, VERSION, COMMAND, 56, self.requests, code, 0, *padded))
        return self.requests

    def has_result(self):
        return bool(select.select([self.connection], [], [], 0)[0])

    def result(self):
        """Waits for one RESULT: (request, status, code, value)."""
        ready, _, _ = select.select([self.connection], [], [], WAIT_SECONDS)
        check(ready, "no RESULT came")
        packet = self.connection.recv(4096)
        check(len(packet) == 40, f"RESULT of {len(packet)} bytes")
        _, _, kind, size, request, status, code, value, _ = struct.unpack("=IHHIIIIqQ", packet)
        check(kind == RESULT and size == 40, f"frame type {kind}, size {size}")
        return request, status, code, value

    def command(self, code, *arguments):
        request = self.send_command(code, *arguments)
        got = self.result()
        check(got[0] == request, f"RESULT for {got[0]}, asked {request}")
        return got

    def until_thread(self):
        """Waits for the control thread of a program that allocates: each question is answered, at first once a second."""
        for _ in range(WAIT_SECONDS):
            if self.segment.control_thread:
                return self
            self.command(PING)
        raise Failure("no control thread")

    def close(self):
        self.connection.close()


class Supervisor:
    """Listens on a socket path; a context manager."""

    def __init__(self, path, backlog=8):
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(backlog)

    def accept(self, seconds=WAIT_SECONDS):
        ready, _, _ = select.select([self.listener], [], [], seconds)
        if not ready:
            raise Failure("no agent connected")
        return Session(self.listener.accept()[0])

    def is_pending(self):
        """Whether an agent has connected that was not accepted yet."""
        return bool(select.select([self.listener], [], [], 0)[0])

    def accept_pid(self, pid):
        """The session of one process; other agents (children) are let go."""
        while True:
            session = self.accept()
            if session.pid == pid:
                return session.welcome()
            session.close()

    def stop(self):
        self.listener.close()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
