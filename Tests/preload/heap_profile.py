"""A supervisor's end of a heap profile, and what its samples say. Layout: CInterpose/abi/include/mlos_heap.h."""

from __future__ import annotations

import array
import fcntl
import math
import mmap
import os
import socket
import struct
import time

from harness import check
from supervisor import COMMAND, MAGIC, VERSION, Session

HEAP_START, HEAP_STOP = 3, 4
NOT_COUNTING, SECCOMP, NO_DESCRIPTOR, WRONG_SEGMENT, NO_MEMORY, BUSY = range(1, 7)
STOPPED, DEADLINE, FILTER, GAVE_UP, DISCONNECTED = range(1, 6)
HEAP_MAGIC, HEAP_VERSION = 0x315041454853534F, 1
LIVE_OFFSET, LIVE_CAPACITY = 4096, 65536
RING_OFFSET, RING_CAPACITY, RECORD_BYTES = LIVE_OFFSET + LIVE_CAPACITY * 32, 256, 32936
SEGMENT_BYTES = (RING_OFFSET + RING_CAPACITY * RECORD_BYTES + 4095) // 4096 * 4096
HEADER = struct.Struct("=Q2IQ6I2Q4I2Q4Q4Q4Q2IQ")
NAMES = ("magic version header_size segment_size live_offset live_size live_capacity ring_offset record_size ring_capacity mean "
         "deadline_ns rate reserved0 state end_reason started_ns ended_ns a0 f0 in0 out0 a1 f1 in1 out1 samples throttled "
         "ring_lost live_lost doublings doublings_max ring_head").split()
F_ADD_SEALS, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL = 1033, 2, 4, 1


class Estimate:
    """Horvitz-Thompson: each sample stands for 1/p of its kind; the variance estimate of Poisson sampling."""

    def __init__(self, samples: list[tuple[int, int]]):
        self.count = self.bytes = self.variance = 0.0
        for size, mean in samples:
            p = -math.expm1(-size / mean)
            self.count += 1 / p
            self.bytes += size / p
            self.variance += size * size * (1 - p) / (p * p)

    def agrees(self, truth: float) -> bool:
        # Five standard deviations: one false alarm in two million.
        return abs(self.bytes - truth) <= 5 * math.sqrt(self.variance) + 1


class HeapProfile:
    """One profile segment, made and read as mlosd does."""

    def __init__(self, mean: int = 65536, rate: int = 1000000, seconds: float = 600, seal: bool = True):
        self.descriptor = os.memfd_create("mlos-heap", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, SEGMENT_BYTES)
        if seal:
            fcntl.fcntl(self.descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
        self.map = mmap.mmap(self.descriptor, SEGMENT_BYTES)
        deadline = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + int(seconds * 1e9)
        HEADER.pack_into(
            self.map, 0, HEAP_MAGIC, HEAP_VERSION, HEADER.size, SEGMENT_BYTES, LIVE_OFFSET, 32, LIVE_CAPACITY, RING_OFFSET,
            RECORD_BYTES, RING_CAPACITY, mean, deadline, rate, 0, *([0] * 19))
        for index in range(RING_CAPACITY):
            struct.pack_into("=Q", self.map, RING_OFFSET + index * RECORD_BYTES, index)
        self.next = 0
        self.records: list[dict] = []

    def start(self, session: Session, descriptor: int | None = None) -> None:
        """Sends HEAP_START; the answer is the caller's to wait for."""
        session.requests += 1
        packet = struct.pack("=IHHIIII4Q", MAGIC, VERSION, COMMAND, 56, session.requests, HEAP_START, 0, 0, 0, 0, 0)
        number = self.descriptor if descriptor is None else descriptor
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [number]))] if number >= 0 else []
        session.connection.sendmsg([packet], rights)

    def __getattr__(self, name: str) -> int:
        if name not in NAMES:
            raise AttributeError(name)
        return HEADER.unpack_from(self.map, 0)[NAMES.index(name)]

    def drain(self) -> list[dict]:
        """Takes what is ready, frees its places, and returns all records so far."""
        while True:
            offset = RING_OFFSET + self.next % RING_CAPACITY * RECORD_BYTES
            sequence, ident, size, mean, when, tid, stack, pc, sp, *saved = struct.unpack_from("=5Q2I14Q", self.map, offset)
            if sequence != self.next + 1:
                return self.records
            check(stack <= 32768, "stack longer than its place")
            self.records.append(dict(
                id=ident, size=size, mean=mean, when=when, tid=tid, pc=pc, sp=sp, saved=saved,
                stack=bytes(self.map[offset + 168 : offset + 168 + stack])))
            struct.pack_into("=Q", self.map, offset, self.next + RING_CAPACITY)
            self.next += 1

    def live(self) -> list[tuple[int, int, int, int]]:
        """Address, id, size, mean of every live sample."""
        rows = [struct.unpack_from("=4Q", self.map, LIVE_OFFSET + 32 * i) for i in range(LIVE_CAPACITY)]
        return [row for row in rows if row[0] > 1]

    def estimate_live(self) -> Estimate:
        return Estimate([(size, mean) for _, _, size, mean in self.live()])

    def estimate_allocated(self) -> Estimate:
        return Estimate([(row["size"], row["mean"]) for row in self.drain()])

    def close(self) -> None:
        self.map.close()
        os.close(self.descriptor)

    def __enter__(self) -> HeapProfile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
