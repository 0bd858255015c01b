"""Heap profiles end to end: who allocated what is known, so what is shown can be held to it."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import time
import unittest
import xml.etree.ElementTree

from harness import LIMIT_S, run
from heap_case import HeapCase

MIB = 1 << 20


def messages(data: bytes) -> list[tuple[int, int | bytes]]:
    """Fields of one message of Protocol Buffers, as its encoding page describes them."""
    fields: list[tuple[int, int | bytes]] = []
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(data):
        tag = varint()
        if tag & 7 == 0:
            fields.append((tag >> 3, varint()))
        else:
            assert tag & 7 == 2, f"wire type {tag & 7}"
            length = varint()
            fields.append((tag >> 3, data[position : position + length]))
            position += length
    return fields


def packed(data: bytes) -> list[int]:
    # A packed list looks like the values of fields without their tags.
    values, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            values.append(value)
            value = shift = 0
    return values


class HeapProfiles(HeapCase):
    def names(self, answer: dict, stack: dict) -> list[str]:
        return [answer["frames"][index]["function"] for index in stack["frames"]]

    def test_known_chains_of_calls_and_amounts_come_out(self) -> None:
        supervisor = self.supervisor()
        program = self.known(supervisor)
        command = self.begin(supervisor, program.pid, "--seconds", "600", "--json", "--flamegraph", "g.svg", "--pprof", "p.pb.gz")
        self.sampling(supervisor, program.pid)
        # 64 MiB at once are sampled for certain; the frames have no frame pointers, and one is of a size known at run time.
        program.say(f"stack {64 * MIB}")
        program.say("hold 20000 4096 malloc")
        command.send_signal(signal.SIGINT)
        status, out, error = self.finish(command)
        self.assertEqual((status, error), (0, "mlos: the profile is partial: stopped on request\n"))
        answer = json.loads(out)
        big = [stack for stack in answer["stacks"] if stack["live"]["bytes"] >= 64 * MIB and "innermost" in self.names(answer, stack)]
        self.assertEqual(len(big), 1, answer["sampling"])
        self.assertEqual(self.names(answer, big[0])[:4], ["innermost", "middle", "outermost", "main"])
        self.assertEqual((self.names(answer, big[0])[-1], big[0]["is_complete"]), ("_start", True))
        self.assertLess(abs(big[0]["live"]["bytes"] - 64 * MIB), 8192)
        # 80 MiB in small blocks: five deviations of some 150 samples are 41 %.
        rest = answer["total"]["live"]["bytes"] - big[0]["live"]["bytes"]
        self.assertLess(abs(rest / (20000 * 4104) - 1), 0.45)
        self.assertTrue(answer["is_partial"])
        exact, estimate = answer["exact"]["allocated_bytes"], answer["total"]["allocated"]
        self.assertGreater(exact, 140 * MIB)
        spread = estimate["high_bytes"] - estimate["low_bytes"]
        self.assertLess(abs(estimate["bytes"] - exact), 3 * spread)
        self.check_pprof(answer)
        self.check_svg()

    def check_pprof(self, answer: dict) -> None:
        fields = messages(gzip.decompress((self.folder / "p.pb.gz").read_bytes()))
        strings = [bytes(value).decode() for number, value in fields if number == 6]
        types = [messages(value) for number, value in fields if number == 1]
        self.assertEqual(strings[0], "")
        self.assertEqual(
            [strings[dict(each)[1]] for each in types], ["inuse_objects", "inuse_space", "alloc_objects", "alloc_space"])
        functions = {dict(messages(value))[1]: messages(value) for number, value in fields if number == 5}
        locations = {dict(messages(value))[1]: messages(value) for number, value in fields if number == 4}
        samples = [messages(value) for number, value in fields if number == 2]
        self.assertEqual(len(samples), len(answer["stacks"]))
        for sample, stack in zip(samples, answer["stacks"]):
            parts = dict(sample)
            chain = []
            for location in packed(parts[1]):
                line = dict(messages(dict(locations[location])[4]))
                chain.append(strings[dict(functions[line[1]])[2]])
            shown = [answer["frames"][index]["function"] for index in stack["frames"]]
            self.assertEqual([a for a, b in zip(chain, shown) if b], [b for b in shown if b])
            live, allocated = stack["live"], stack["allocated"]
            self.assertEqual(packed(parts[2]), [live["objects"], live["bytes"], allocated["objects"], allocated["bytes"]])

    @unittest.skipUnless(shutil.which("go"), "needs Go's own pprof: apt-get install golang-go (too large to be installed for one test)")
    def test_pprof_opens_the_file(self) -> None:
        supervisor = self.supervisor()
        program = self.known(supervisor)
        file = self.folder / "p.pb.gz"
        done = supervisor.mlos("heap", str(program.pid), "--seconds", "1", "--json", "--pprof", str(file))
        answer = json.loads(done.stdout)
        told = run(["go", "tool", "pprof", "-sample_index=alloc_space", "-unit=B", "-top", str(file)], text=True,
                   env=os.environ | {"HOME": str(self.folder), "PPROF_TMPDIR": str(self.folder)})
        self.assertEqual(told.returncode, 0, told.stderr)
        total = re.search(r"Total samples = (\d+)B", told.stdout)
        self.assertIsNotNone(total, told.stdout)
        stacks = sum(stack["allocated"]["bytes"] for stack in answer["stacks"])
        self.assertEqual(int(total[1]), round(stacks), told.stdout)
        self.assertRegex(told.stdout, r"(?m) churn$")

    def check_svg(self) -> None:
        root = xml.etree.ElementTree.parse(self.folder / "g.svg").getroot()
        space = "{http://www.w3.org/2000/svg}"
        titles = [title.text or "" for title in root.iter(space + "title")]
        for name in ("innermost", "middle", "outermost", "main"):
            self.assertTrue(any(title.startswith(name + " (") for title in titles), name)
        width = float(root.get("width", "0"))
        for box in root.iter(space + "rect"):
            if box.get("x"):
                self.assertLessEqual(float(box.get("x", "0")) + float(box.get("width", "0")), width)

    def test_a_table_for_people(self) -> None:
        supervisor = self.supervisor()
        program = self.known(supervisor)
        done = supervisor.mlos("heap", str(program.pid), "--seconds", "0.5")
        lines = done.stdout.splitlines()
        self.assertTrue(lines[0].startswith("PACKAGE"), done.stdout)
        self.assertIn(f"heap_known ({program.pid}), ", done.stdout)
        self.assertIn("samples, one every 512 KiB on average", done.stdout)

    def test_an_unknown_package_is_named_with_those_there_are(self) -> None:
        supervisor = self.supervisor()
        program = self.known(supervisor)
        done = supervisor.mlos("heap", str(program.pid), "--seconds", "0.5", "--package", "nonsuch", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no sample of process", done.stderr)
        self.assertIn("packages with samples: ", done.stderr)

    def test_what_cannot_be_profiled_says_why(self) -> None:
        supervisor = self.supervisor()
        program = self.known(supervisor)
        plain = self.program(None, "checkpoint('here')", preload=False)
        self.assertEqual(plain.line(), "here")
        supervisor.mlos("adopt", str(plain.pid))
        cases = [
            ((str(plain.pid),), 1, "runs without the agent"), (("4000000",), 1, "is not watched"),
            ((str(program.pid), "--seconds", "0"), 64, "--seconds must be above 0"),
            ((str(program.pid), "--seconds", "1e9"), 64, "at most 3600"),
            ((str(program.pid), "--seconds", "x"), 64, "invalid"),
            ((str(program.pid), "--flamegraph", "/nonexistent/x.svg"), 1, "cannot write /nonexistent/x.svg: No such file"),
        ]
        for arguments, status, words in cases:
            done = supervisor.mlos("heap", *arguments, check=False)
            self.assertEqual(done.returncode, status, f"{arguments}: {done.stderr}")
            self.assertIn(words, done.stderr)
        for body, words in [({"seconds": 0}, "seconds"), ({"seconds": 1e9}, "seconds"), ({}, "seconds"),
                            ({"seconds": 1, "mean_bytes": 1}, "mean_bytes")]:
            status, answer = supervisor.request("POST", f"/api/v1/processes/{program.pid}/heap", json.dumps(body).encode())
            self.assertEqual((status, answer["error"]["code"]), (422, "invalid_request"), f"{body}")
            self.assertIn(words, answer["error"]["message"])

    def test_two_at_once_are_one_too_many(self) -> None:
        supervisor = self.supervisor()
        program = self.known(supervisor)
        first = self.begin(supervisor, program.pid, "--seconds", "600")
        self.sampling(supervisor, program.pid)
        second = supervisor.mlos("heap", str(program.pid), "--pprof", str(self.folder / "no.pb.gz"), check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn("is under way already", second.stderr)
        self.assertFalse((self.folder / "no.pb.gz").exists())
        first.send_signal(signal.SIGINT)
        self.assertEqual(self.finish(first)[0], 0)
        # And afterwards there may be one.
        supervisor.mlos("heap", str(program.pid), "--seconds", "0.2")

    def test_a_client_that_is_killed_makes_room_for_the_next(self) -> None:
        supervisor = self.supervisor()
        program = self.known(supervisor)
        first = self.begin(supervisor, program.pid, "--seconds", "600", "--flamegraph", "killed.svg")
        self.sampling(supervisor, program.pid)
        first.kill()
        self.finish(first)
        self.assertFalse((self.folder / "killed.svg").exists())
        supervisor.await_quietly(
            "the profile has ended", lambda: supervisor.request("GET", f"/api/v1/processes/{program.pid}/heap")[0] == 409)
        supervisor.mlos("heap", str(program.pid), "--seconds", "0.2")

    def test_files_that_cannot_be_written_take_nothing_else_with_them(self) -> None:
        supervisor = self.supervisor()
        program = self.known(supervisor)
        whole, pid = self.folder / "whole.pb.gz", str(program.pid)
        done = supervisor.mlos(
            "heap", pid, "--seconds", "0.5", "--flamegraph", "/dev/full", "--pprof", str(whole), check=False)
        self.assertEqual((done.returncode, done.stderr), (1, "mlos: cannot write /dev/full: No space left on device\n"))
        self.assertIn("samples, one every", done.stdout)
        self.assertTrue(gzip.decompress(whole.read_bytes()))
        same = supervisor.mlos("heap", pid, "--flamegraph", str(whole), "--pprof", str(whole), check=False)
        self.assertEqual(same.returncode, 64, same.stderr)
        # A reader that goes away takes no file along.
        piped = self.folder / "piped.svg"
        abandoned = self.begin(supervisor, program.pid, "--seconds", "0.5", "--flamegraph", str(piped))
        assert abandoned.stdout
        abandoned.stdout.close()
        self.finish(abandoned)
        self.assertTrue(piped.read_text().endswith("</svg>\n"))
        # The name stays a link, whether something is written or not.
        link, target = self.folder / "link.svg", self.folder / "target.svg"
        link.symlink_to(target)
        supervisor.mlos("heap", pid, "--seconds", "0.2", "--package", "nonsuch", "--flamegraph", str(link), check=False)
        self.assertTrue(link.is_symlink())
        supervisor.mlos("heap", pid, "--seconds", "0.5", "--flamegraph", str(link))
        self.assertTrue(link.is_symlink() and target.read_text().endswith("</svg>\n"))

    def test_the_end_of_the_process_gives_what_there_was(self) -> None:
        supervisor = self.supervisor()
        for what, words in (("kill", "the process ended"), ("exec", "executed another program")):
            program = self.known(supervisor)
            command = self.begin(supervisor, program.pid, "--seconds", "600", "--json")
            self.sampling(supervisor, program.pid)
            program.say(f"stack {64 * MIB}")
            # Until that sample was taken out and named.
            supervisor.await_quietly("a sample", lambda: supervisor.get(f"/api/v1/processes/{program.pid}/heap")["samples"] > 0)
            program.ending.set()
            program.thread.join(LIMIT_S)
            if what == "kill":
                program.process.kill()
            else:
                assert program.process.stdin
                program.process.stdin.write("exec\n")
                program.process.stdin.flush()
            status, out, error = self.finish(command)
            self.assertEqual(status, 0, error)
            self.assertIn(words, error)
            answer = json.loads(out)
            self.assertTrue(any("innermost" in self.names(answer, stack) for stack in answer["stacks"]), out[:2000])

    def test_a_stopped_process_and_an_idle_one_are_told_apart(self) -> None:
        supervisor = self.supervisor()
        stopped = self.known(supervisor, busy=False)
        os.kill(stopped.pid, signal.SIGSTOP)
        done = supervisor.mlos("heap", str(stopped.pid), "--seconds", "1", check=False)
        self.assertIn("the process is stopped", done.stderr)
        os.kill(stopped.pid, signal.SIGCONT)
        idle = self.known(supervisor, busy=False)
        rare = self.known(supervisor, busy=False)
        commands = [self.begin(supervisor, program.pid, "--seconds", "1") for program in (idle, rare)]
        supervisor.await_quietly(
            "it was asked for", lambda: supervisor.request("GET", f"/api/v1/processes/{rare.pid}/heap")[0] == 200)
        rare.say("hold 10 1000 malloc")
        told = [self.finish(command)[2] for command in commands]
        self.assertIn("it waits for the program to allocate", told[0])
        self.assertIn("looks at every 128th allocation of a thread only", told[1])

    def test_few_large_allocations_are_enough_to_begin(self) -> None:
        supervisor = self.supervisor()
        program = self.known(supervisor, busy=False)
        command = self.begin(supervisor, program.pid, "--seconds", "60", "--json")

        allocations = []

        def has_begun() -> bool:
            allocations.append(program.say("hold 1 100000 malloc"))
            status, answer = supervisor.request("GET", f"/api/v1/processes/{program.pid}/heap")
            return status == 200 and answer["samples"] > 0

        supervisor.await_quietly("a sample of blocks of 100 kB", has_begun)
        # Looking at every 128th would begin later.
        self.assertLess(len(allocations), 100)
        command.send_signal(signal.SIGINT)
        status, out, error = self.finish(command)
        self.assertEqual(status, 0, error)
        self.assertGreater(json.loads(out)["total"]["allocated"]["samples"], 0)

    def test_a_filter_in_the_middle_ends_it(self) -> None:
        supervisor = self.supervisor()
        program = self.known(supervisor)
        command = self.begin(supervisor, program.pid, "--seconds", "600")
        self.sampling(supervisor, program.pid)
        if program.say("filter") != "0":
            self.skipTest("seccomp filters are not available here")
        command.send_signal(signal.SIGINT)
        status, _, error = self.finish(command)
        self.assertEqual(status, 0)
        self.assertIn("seccomp filter", error)
        again = supervisor.mlos("heap", str(program.pid), "--seconds", "1", check=False)
        self.assertTrue("seccomp" in again.stderr or "not connected" in again.stderr, again.stderr)

    def test_the_end_of_the_supervisor_answers_who_waits(self) -> None:
        supervisor = self.supervisor()
        program = self.known(supervisor)
        command = self.begin(supervisor, program.pid, "--seconds", "600")
        self.sampling(supervisor, program.pid)
        began = time.monotonic()
        supervisor.stop()
        status, _, error = self.finish(command)
        self.assertLess(time.monotonic() - began, 30)
        self.assertIn("the supervisor was asked to end", error)
        self.assertEqual(status, 0)
        # The program goes on without a profile.
        self.assertEqual(program.say("release 0"), "ok")


if __name__ == "__main__":
    unittest.main()
