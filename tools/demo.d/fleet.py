"""Ten servers of which two are busy: who they are, whether they fit into the machine, and the clients of the busy ones."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import session
from session import Failure, Program, Server, waiting

# Those with the same program map the same libraries, as workers do; the scorer's are its own. The first two are busy.
KINDS = ["embeddings", "classifier", "scorer", *["classifier", "embeddings"] * 3, "classifier"]
BUSY = 2
FEWEST = 4  # two busy, two idle: less shows nothing
# Measured, with something to spare: private 90 to 170 MiB, resident 145 to 205.
SERVER_BYTES = 220 << 20
RESERVE = 1 << 30  # for everybody else
REQUESTS = 12  # different ones to each server
# A steady load, not a full one: well below what two cores do.
PER_SECOND = {"embeddings": 24.0, "classifier": 10.0}


def fitting(available: int, hog: int) -> int:
    """How many servers fit into so many bytes beside the hog; none where that would be too few to show anything."""
    count = min(len(KINDS), max(0, available - hog - RESERVE) // SERVER_BYTES)
    return count if count >= FEWEST else 0


@contextlib.contextmanager
def running(
    count: int, prefix: list[str], models: Path, directory: Path, told: Callable[[int, Server], None]
) -> Iterator[list[Server]]:
    """So many servers, two started at a time; stopped when the block ends, and killed if it ends by an error."""
    programs = {program.name: program for program in session.programs(REQUESTS)}
    begun: dict[int, Server] = {}

    def begin(place: int) -> None:
        begun[place] = session.start(programs[KINDS[place]], prefix, models, directory, f"{place + 1}")
        told(place, begun[place])

    pool = concurrent.futures.ThreadPoolExecutor(2)
    try:
        for one in concurrent.futures.as_completed([pool.submit(begin, place) for place in range(count)]):
            one.result()
        yield [begun[place] for place in range(count)]
    except BaseException:
        # Those that are just starting are waited for, so that none is missed.
        pool.shutdown(cancel_futures=True)
        session.kill(list(begun.values()))
        raise
    pool.shutdown()
    for server in begun.values():
        session.stop(server)


def ask_again(server: Server) -> Server:
    """All requests once more, with times and hash of their own."""
    again = Server(server.program, server.process, server.pid, server.port, server.start_seconds)
    session.ask_everything(again)
    return again


@dataclass
class Stretch:
    """A number of answers of one busy server, one after the other."""

    milliseconds: list[float]

    def percentile(self, share: float) -> float:
        """The smallest time that so many of the answers did not exceed."""
        ordered = sorted(self.milliseconds)
        return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


@dataclass
class Load:
    """A client that asks one server steadily, and holds each answer against the first one to the same request."""

    server: Server
    per_second: float
    milliseconds: list[float] = field(default_factory=list)
    different: int = 0  # answers that were not the bytes they were before
    problem: str = ""
    bodies: dict[int, bytes] = field(default_factory=dict)
    _grown: threading.Condition = field(default_factory=threading.Condition)

    def stretch(self, count: int, begin: int) -> Stretch:
        """`count` answers from the one with number `begin` on, waited for until they are there."""
        with self._grown:
            self._grown.wait_for(lambda: self.problem or len(self.milliseconds) >= begin + count)
            if self.problem:
                raise Failure(f"{self.server.program.name} under load: {self.problem}")
            return Stretch(self.milliseconds[begin : begin + count])

    def hash(self) -> str:
        """Of the answers to all requests, as `ask_everything` makes it."""
        return hashlib.sha256(b"".join(self.bodies[number] for number in sorted(self.bodies))).hexdigest()

    def ask(self, ending: int) -> None:
        """Until the pipe `ending` is closed at its other end; a client's thread runs it."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
            with contextlib.closing(connection):
                due = time.monotonic()
                while not waiting.readable([ending], due - time.monotonic()):
                    self._ask_once(connection, len(self.milliseconds) % len(self.server.program.requests))
                    # A request that took longer than its turn is not made up for: the load stays a steady one.
                    due = max(due + 1 / self.per_second, time.monotonic())
        except Exception as problem:  # whoever waits for a stretch has to hear of it
            self._end(f"{type(problem).__name__}: {problem}")
        else:
            self._end("the load has ended")

    def _end(self, problem: str) -> None:
        with self._grown:
            self.problem = problem
            self._grown.notify_all()

    def _ask_once(self, connection: http.client.HTTPConnection, number: int) -> None:
        body = json.dumps(self.server.program.requests[number])
        began = time.perf_counter()
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        took = (time.perf_counter() - began) * 1000
        if response.status != 200:
            raise Failure(f"answered {response.status}: {answer[:300]!r}")
        with self._grown:
            self.different += self.bodies.setdefault(number, answer) != answer
            self.milliseconds.append(took)
            self._grown.notify_all()


@contextlib.contextmanager
def loaded(busy: list[Server]) -> Iterator[list[Load]]:
    """Clients that ask these servers while the block runs."""
    loads = [Load(server, PER_SECOND[server.program.name]) for server in busy]
    ending, end = os.pipe()
    threads = [threading.Thread(target=load.ask, args=[ending]) for load in loads]
    try:
        for thread in threads:
            thread.start()
        yield loads
    finally:
        os.close(end)
        for thread in threads:
            if thread.ident:
                thread.join()
        os.close(ending)


def answers_in(loads: list[Load], seconds: float) -> list[int]:
    """How many answers each of the loads has in so many seconds: stretches are of equal numbers, not of equal times."""
    return [round(load.per_second * seconds) for load in loads]
