"""`mlos top` without a terminal: frames and JSON for pipes, and what it says where it cannot do what was asked."""

from __future__ import annotations

import json
import signal
import subprocess
import unittest
from collections.abc import Iterator

from harness import MLOS, Supervisor, environment
from test_top import TopCase


def printed(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """`mlos top` without a terminal."""
    values = options.pop("env", environment())
    return subprocess.run(
        [MLOS, "top", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=values, **options)


class Printed(TopCase):
    def objects(self, watch: Supervisor, *arguments: str) -> Iterator[dict]:
        """What --batch --json prints, as it does."""
        command = [MLOS, "top", "--batch", "--json", "--interval", "0.2", "--socket", watch.socket, *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
            self.addCleanup(process.kill)
            assert process.stdout
            for line in process.stdout:
                yield json.loads(line)

    def test_once_without_a_terminal_is_text_alone(self) -> None:
        watch, program = self.watched()
        done = printed("--once", "--interval", "0.2", "--socket", watch.socket)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 5, lines)
        self.assertRegex(lines[0], r"^1 process  by resident  every 0.2 s  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
        self.assertRegex(lines[3], r"^ +PID .*RESIDENT")
        self.assertRegex(lines[4], rf"^ *{program.pid} ")
        self.assertNotIn("\x1b", done.stdout)

    def test_batch_ends_after_its_count(self) -> None:
        watch, _ = self.watched()
        done = printed(
            "--batch", "--count", "3", "--interval", "0.2", "--packages", "--filter", "libc6", "--socket", watch.socket)
        self.assertEqual(done.returncode, 0)
        frames = done.stdout.split("\n\n")
        self.assertEqual(len(frames), 3)
        for frame in frames:
            self.assertRegex(frame, r"^1 of \d+ packages  by resident  with \"libc6\"")
            self.assertRegex(frame.splitlines()[4], "^libc6 ")

    def test_json_one_object_a_line_with_rates(self) -> None:
        watch, program = self.watched("checkpoint('up')\nkeep = bytearray(64 << 20)\ncheckpoint('grown')")
        grew = 0.0
        for number, report in enumerate(self.objects(watch)):
            self.assertEqual(report["schema"], "mlos.top/1")
            row = next(row for row in report["processes"] if row["pid"] == program.pid)
            self.assertGreaterEqual(row["processor_percent"], 0)
            grew += row["live_heap_bytes_per_second"] * report["elapsed_seconds"]
            if number == 0:
                program.go()
            if grew > 60 << 20:
                break
        self.assertLess(grew, 80 << 20)

    def test_supervisor_that_comes_back_while_it_prints(self) -> None:
        watch, program = self.watched()
        reports = self.objects(watch)
        first = next(reports)
        watch.stop(signal.SIGKILL)
        watch.start()
        later = next(report for report in reports if report["supervisor"]["pid"] == watch.pid)
        self.assertEqual(first["processes"][0]["pid"], program.pid)
        self.assertNotEqual(first["supervisor"]["pid"], later["supervisor"]["pid"])

    def test_reader_that_goes_away_and_signals(self) -> None:
        watch, _ = self.watched()
        command = [MLOS, "top", "--batch", "--interval", "60", "--socket", watch.socket]
        done = subprocess.run(
            f"{MLOS} top --batch --interval 0.2 --socket {watch.socket} | head -n 1; echo $" + "{PIPESTATUS[0]}",
            shell=True, executable="/bin/bash", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment())
        self.assertRegex(done.stdout, r"^1 process.*\n0\n$")
        self.assertEqual(done.stderr, "")
        # Also while nothing is to be printed for a minute.
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
            self.addCleanup(process.kill)
            assert process.stdout
            process.stdout.close()
            self.assertEqual(process.wait(), 0)
        command[command.index("60")] = "0.2"
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
            self.addCleanup(process.kill)
            assert process.stdout
            process.stdout.readline()
            process.terminate()
            self.assertEqual(process.wait(), -signal.SIGTERM)

    def test_errors(self) -> None:
        watch, _ = self.watched()
        for arguments, status, words in [
            ((), 64, "standard output is not a terminal"),
            (("--once", "--pid", "4194304"), 1, "process 4194304 is not watched"),
            (("--once", "--interval", "0.1"), 64, "--interval"),
            (("--packages", "--once", "--sort", "heap"), 64, "packages cannot be sorted by heap"),
            (("--json",), 64, "--json needs --once or --batch"),
        ]:
            done = printed(*arguments, "--socket", watch.socket)
            self.assertEqual((done.returncode, done.stdout), (status, ""), arguments)
            self.assertIn(words, done.stderr)
        watch.stop()
        done = printed("--once", "--socket", watch.socket)
        self.assertEqual(done.returncode, 3)
        self.assertIn("mlosd", done.stderr)


if __name__ == "__main__":
    unittest.main()
