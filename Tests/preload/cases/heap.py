"""Heap profiles: what is sampled, what it costs the program's behaviour, and what ends one."""

from __future__ import annotations

import contextlib
import os
import select
import struct

from harness import AGENT, Skip, case, check, compile_fixture, equal, finish, run, start, temporary_directory
from heap_profile import (BUSY, DEADLINE, DISCONNECTED, FILTER, HEAP_START, HEAP_STOP, NO_DESCRIPTOR, NOT_COUNTING, SECCOMP,
                          STOPPED, WRONG_SEGMENT, HeapProfile)
from supervisor import OK, Supervisor

FAILED = 2


class Known:
    """The fixture, connected to a supervisor."""

    def __init__(self, path: str, supervisor: Supervisor, preload=(AGENT,), before: str | None = None, **variables: str):
        program = compile_fixture("heap_known.c", "-O2", "-fomit-frame-pointer", libraries=["-pthread"])
        self.process = start([*([before] if before else []), program], preload=preload, MLOS_SOCKET=path, **variables)
        # Kept open: the agent of the program before would connect again.
        self.first_session = supervisor.accept_pid(self.process.pid) if before else None
        self.session = supervisor.accept_pid(self.process.pid)
        # Its own table is allocated: nothing but what is asked for comes after this.
        self.say("release 0")

    @property
    def pid(self) -> int:
        return self.process.pid

    def say(self, text: str) -> str:
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().decode().strip()
        check(answer, f"the program ended at {text!r}: {self.process.poll()}")
        return answer

    def until_answered(self, profile: HeapProfile | None = None) -> tuple[int, int, int]:
        """Lets the program allocate until the agent has answered: status, code, value."""
        while not select.select([self.session.connection], [], [], 0)[0]:
            # Many small blocks: 128 allocations lie between two looks at the clock.
            self.say("threads 1 5000 16")
            if profile:
                profile.drain()
        return self.session.result()[1:]

    def begin(self, profile: HeapProfile) -> None:
        profile.start(self.session)
        equal(self.until_answered(), (OK, HEAP_START, 0), "HEAP_START")

    def stop(self, profile: HeapProfile | None = None) -> int:
        self.session.send_command(HEAP_STOP)
        status, code, value = self.until_answered(profile)
        equal((status, code), (OK, HEAP_STOP), "HEAP_STOP")
        return value

    def end(self) -> None:
        self.process.stdin.close()
        finish(self.process)
        self.process.stdout.close()
        rest = self.process.stderr.read()
        self.process.stderr.close()
        equal((self.process.returncode, rest), (0, b""), "how the program ended")


@contextlib.contextmanager
def known(preload=(AGENT,), **variables):
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        program = Known(directory + "/s", supervisor, preload, **variables)
        try:
            yield program
        except BaseException:
            program.process.kill()
            program.process.wait()
            raise
        program.end()


def open_files(pid: int) -> list[str]:
    return sorted(os.readlink(f"/proc/{pid}/fd/{number}").split(":")[0] for number in os.listdir(f"/proc/{pid}/fd"))


@case
def estimates_of_live_and_allocated_bytes_agree_with_the_truth():
    for how in ("malloc", "calloc", "realloc", "memalign"):
        with known() as program, HeapProfile() as profile:
            before = open_files(program.pid)
            program.begin(profile)
            equal(open_files(program.pid), before, "descriptors while it goes on")
            truth = 0
            for _ in range(20):
                truth += int(program.say(f"hold 10000 1000 {how}"))
                profile.drain()
            check(profile.estimate_live().agrees(truth), f"{how}: live {profile.estimate_live().bytes:.0f}, truth {truth}")
            program.say("release 150000")
            check(profile.estimate_live().agrees(truth / 4), f"{how}: a quarter: {profile.estimate_live().bytes:.0f} of {truth}")
            program.say("release 50000")
            check(len(profile.live()) <= 1, f"{how}: nothing is live: {profile.live()}")
            equal(program.stop(profile), 1, "ended")
            allocated = profile.estimate_allocated()
            exact = profile.in1 - profile.in0
            check(allocated.agrees(exact), f"{how}: allocated {allocated.bytes:.0f}, exact {exact}")
            equal((profile.ring_lost, profile.live_lost, profile.throttled, profile.end_reason), (0, 0, 0, STOPPED), "losses")
            equal(len(profile.records), profile.samples, "a record for each sample")
            check(b"mlos-heap" not in open(f"/proc/{program.pid}/maps", "rb").read(), "still mapped after the end")


@case
def other_allocators_are_sampled_alike():
    for library in ("libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2.0"):
        path = f"/usr/lib/x86_64-linux-gnu/{library}"
        if not os.path.exists(path):
            raise Skip(f"{library} is not installed")
        with known(preload=(AGENT, path)) as process, HeapProfile() as profile:
            process.begin(profile)
            truth = 0
            for _ in range(10):
                truth += int(process.say("hold 10000 1000 malloc"))
                profile.drain()
            check(profile.estimate_live().agrees(truth), f"{library}: {profile.estimate_live().bytes:.0f}, truth {truth}")
            process.say("release 100000")
            check(len(profile.live()) <= 1, f"{library}: nothing is live")
            process.stop()


@case
def a_sample_carries_the_registers_and_the_stack_of_its_moment():
    with known() as program, HeapProfile() as profile:
        program.begin(profile)
        addresses = [int(word, 16) for word in program.say("stack 67108864").split()[1:]]
        big = [row for row in profile.drain() if row["size"] >= 67108864]
        equal(len(big), 1, "one sample of 64 MiB")
        sample = big[0]
        maps = [line.split() for line in open(f"/proc/{program.pid}/maps")]

        def inside(address: int, part: str) -> bool:
            spans = [row[0].split("-") for row in maps if row[-1].endswith(part)]
            return any(int(low, 16) <= address < int(high, 16) for low, high in spans)

        check(inside(sample["pc"], "libmlosagent.so") and inside(sample["sp"], "[stack]"), "pc and sp")
        words = struct.unpack(f"={len(sample['stack']) // 8}Q", sample["stack"][: len(sample["stack"]) // 8 * 8])
        # The callers of innermost: the same return addresses, on the way up.
        places = [words.index(address) for address in addresses[1:4]]
        equal(places, sorted(places), f"return addresses {addresses} in the copy")
        high = [int(row[0].split("-")[1], 16) for row in maps if row[-1] == "[stack]"][0]
        equal(len(sample["stack"]), min(32768, high - sample["sp"]), "the copy ends with the stack or its limit")
        # What lies above the frames hardly changes: the copy begins where it says.
        with open(f"/proc/{program.pid}/mem", "rb", buffering=0) as memory:
            memory.seek(sample["sp"])
            now = memory.read(len(words) * 8)
        then = [(word, old) for word, old in zip(words, struct.unpack(f"={len(now) // 8}Q", now))][places[-1] + 1:]
        told = [word == old for word, old in then if word or old]
        check(len(told) > 20 and sum(told) > 0.9 * len(told), f"{sum(told)} of {len(told)} words above the frames are at their place")
        program.stop()


@case
def threads_count_down_each_for_itself():
    with known() as program, HeapProfile(mean=1 << 20) as profile:
        program.begin(profile)
        for _ in range(40):
            program.say("threads 16 10000 512")
            profile.drain()
        program.stop(profile)
        allocated, exact = profile.estimate_allocated(), profile.in1 - profile.in0
        equal(profile.ring_lost, 0, "lost")
        check(exact > 16 * 40 * 10000 * 512, f"exact {exact}")
        check(allocated.agrees(exact), f"{allocated.bytes:.0f}, exact {exact}")
        check(len({row["tid"] for row in profile.records}) >= 16, "threads")
        # The same work, sampled at other moments by each.
        states = [state for state in program.session.segment.sample_states() if state]
        equal(len(set(states)), len(states), "threads that draw the same")


@case
def a_thread_that_allocates_little_makes_no_sample():
    with known() as program, HeapProfile(mean=1 << 30) as profile:
        program.begin(profile)
        for _ in range(10):
            program.say("threads 16 100 64")
        # A megabyte is allocated, a thousandth of the mean: three samples come once in 10^9 runs.
        check(profile.samples <= 2, f"{profile.samples} samples")
        program.stop()


@case
def the_rate_is_held_and_the_estimate_stays_true():
    with known() as program, HeapProfile(mean=4096, rate=1000) as profile:
        program.begin(profile)
        for _ in range(10):
            program.say("threads 4 200000 1000")
            profile.drain()
        program.stop()
        profile.drain()
        seconds = (profile.ended_ns - profile.started_ns) / 1e9
        taken = profile.samples - profile.throttled
        check(taken <= 1000 * (seconds + 0.2), f"{taken} samples in {seconds:.2f} s")
        check(profile.doublings_max > 0, "the mean was never doubled")
        # What was cut off or lost is missing in the records and told apart.
        missing = profile.throttled + profile.ring_lost
        check(len(profile.records) == profile.samples - missing, "counts")


@case
def a_full_ring_is_counted_and_the_program_goes_on():
    with known() as program, HeapProfile(mean=4096) as profile:
        program.begin(profile)
        truth = int(program.say("hold 20000 1000 malloc"))
        equal(profile.ring_lost, profile.samples - 256, "lost")
        check(profile.estimate_live().agrees(truth), "the live table does not depend on the ring")
        program.stop()


@case
def a_forked_child_leaves_the_profile_alone():
    with known() as program, HeapProfile() as profile:
        program.begin(profile)
        program.say("hold 10000 1000 malloc")
        live, samples = sorted(profile.live()), profile.samples
        equal(program.say("fork"), "0", "the child's status")
        equal(sorted(profile.live()), live, "live samples of the parent")
        check(profile.samples <= samples + 1, f"{profile.samples - samples} samples came from the child")
        program.stop()


@case
def what_cannot_begin_says_why():
    with known() as program, HeapProfile() as profile, HeapProfile(seal=False) as open_ended:
        profile.start(program.session, -1)
        equal(program.until_answered(), (FAILED, HEAP_START, NO_DESCRIPTOR), "no descriptor")
        open_ended.start(program.session)
        equal(program.until_answered(), (FAILED, HEAP_START, WRONG_SEGMENT), "not sealed")
        with open(__file__, "rb") as file:
            profile.start(program.session, file.fileno())
            equal(program.until_answered(), (FAILED, HEAP_START, WRONG_SEGMENT), "no memfd")
        with HeapProfile(mean=0) as wrong:
            wrong.start(program.session)
            equal(program.until_answered(), (FAILED, HEAP_START, WRONG_SEGMENT), "a mean of 0")
        program.begin(profile)
        with HeapProfile() as second:
            second.start(program.session)
            equal(program.until_answered(), (FAILED, HEAP_START, BUSY), "a second one")
        equal((program.stop(), program.stop()), (1, 0), "ended once")
        with HeapProfile() as again:
            program.begin(again)
            program.say("hold 1000 10000 malloc")
            check(again.samples > 10, "samples of the one after")
            program.stop()


@case
def time_and_the_supervisors_end_end_it():
    with known() as program, HeapProfile(seconds=0) as profile:
        program.begin(profile)
        program.say("hold 1000 10000 malloc")
        equal((profile.state, profile.end_reason, profile.samples), (2, DEADLINE, 0), "after its time")
        equal(program.stop(), 0, "it had ended")
    with known() as program, HeapProfile() as profile:
        program.begin(profile)
        program.session.connection.close()
        while profile.state != 2:
            program.say("threads 1 5000 16")
        equal(profile.end_reason, DISCONNECTED, "reason")


@case
def a_filter_ends_it_and_none_begins_behind_one():
    with known() as program, HeapProfile() as profile, HeapProfile() as second:
        program.begin(profile)
        program.say("hold 1000 10000 malloc")
        status = program.say("filter")
        if status != "0":
            raise Skip(f"seccomp filters are not available here: errno {status}")
        equal((profile.state, profile.end_reason), (2, FILTER), "ended")
        samples = profile.samples
        program.say("hold 1000 10000 malloc")
        equal(profile.samples, samples, "samples after it")


@case
def none_begins_behind_a_filter_of_the_parents():
    filtering = compile_fixture("inherits_filter.c")
    if run([filtering, "/bin/true"])[0] == 77:
        raise Skip("seccomp filters are not available here")
    with known(before=filtering) as program, HeapProfile() as profile:
        profile.start(program.session)
        equal(program.until_answered(), (FAILED, HEAP_START, SECCOMP), "behind the filter")
        equal(profile.samples, 0, "samples")


@case
def a_process_that_is_not_counted_has_no_profile():
    jemalloc = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
    if not os.path.exists(jemalloc):
        raise Skip("libjemalloc2 is not installed")
    with known(preload=(jemalloc, AGENT)) as program, HeapProfile() as profile:
        equal(program.session.state, 2, "loader only")
        profile.start(program.session)
        # Nothing is counted, so nothing ticks; the command waits for the next dlopen.
        check(not select.select([program.session.connection], [], [], 0)[0], "answered")
