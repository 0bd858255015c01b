"""How the supervisor starts in surroundings that lack something, and what it leaves behind."""

import os
import re
import resource
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

from harness import LIMIT_S, MLOS, MLOSD, ROOT, Case, environment, run, waiting


class Descriptors(Case):
    def start(self, limit: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run(
            [MLOSD, "--socket", str(self.folder / "agent.sock"), *arguments], text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))

    def test_too_few_are_refused_in_words(self) -> None:
        for limit in (4, 8, 12, 16, 20, 40, 63):
            done = self.start(limit)
            self.assertEqual(done.returncode, 1, f"{limit}: {done.stderr}")
            self.assertRegex(
                done.stderr, rf"\Amlosd: the limit of open files is {limit}, and at least 64 are needed: raise it [^\n]*\n\Z")
        self.assertEqual(os.listdir(self.folder), [])

    def test_the_least_number_will_do(self) -> None:
        self.assertIn("log.level = info", self.start(64, "--check-config").stdout)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        # The soft limit is raised to the hard one first.
        done = run(
            [MLOSD, "--socket", str(self.folder / "agent.sock"), "--check-config"], text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, hard)))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_supervisor_short_of_them_lists_what_it_can_and_says_so(self) -> None:
        watch = self.supervisor()
        hard = resource.prlimit(watch.pid, resource.RLIMIT_NOFILE, (64, 64))[1]
        self.assertGreater(hard, 64)
        programs = [self.program(watch.socket, "checkpoint('up')") for _ in range(20)]
        for program in programs:
            self.assertEqual(program.line(), "up")
        watch.await_log("cannot accept agents")
        status = watch.get("/api/v1/status")
        self.assertGreater(status["agents"], 0)
        self.assertLess(status["agents"], len(programs))
        self.assertGreater(status["counters"]["sessions_without_descriptor"], 0)

    def test_closed_standard_descriptors_are_dev_null(self) -> None:
        log = self.folder / "own.log"
        script = 'exec "$@" <&- >&- 2>&-'
        read_end, write_end = os.pipe()
        process = subprocess.Popen(
            ["sh", "-c", script, "sh", MLOSD, "--socket", str(self.folder / "agent.sock"), "--log-file", str(log), "--ready-fd",
             str(write_end)], pass_fds=[write_end], env=environment())
        self.addCleanup(waiting.finish, process, LIMIT_S)
        self.addCleanup(process.terminate)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as ready:
            self.assertEqual(ready.read(), b"1")
        folder = Path(f"/proc/{process.pid}/fd")
        self.assertEqual([os.readlink(folder / str(number)) for number in range(3)], ["/dev/null"] * 3)
        self.assertIn("ready", log.read_text())


class Units(Case):
    def test_the_documented_unit_is_one(self) -> None:
        """systemd's own check: unknown settings, wrong values, a program that is not there."""
        analyze = shutil.which("systemd-analyze")
        if not analyze:
            self.skipTest("systemd-analyze is not installed")
        page = (ROOT / "docs/operating.md").read_text()
        found = re.search(r"```ini\n(\[Unit\].*?)```", page, re.DOTALL)
        assert found
        for setting in ("Type=notify", "ExecReload=", "WatchdogSec=", "RuntimeDirectory=mlos"):
            self.assertIn(f"\n{setting}", found[1])
        (self.folder / "mlosd.service").write_text(found[1].replace("/usr/sbin/mlosd", MLOSD))
        (self.folder / "wrong.service").write_text(found[1].replace("/usr/sbin/mlosd", MLOSD).replace("WatchdogSec", "WatchDog"))

        def verdict(unit: str) -> str:
            done = run([analyze, "verify", "--man=no", "--recursive-errors=no", str(self.folder / unit)], text=True)
            return "".join(line for line in done.stderr.splitlines(keepends=True) if unit in line)

        if "WatchDog" not in verdict("wrong.service"):
            self.skipTest("systemd-analyze verify finds no mistake in a unit that has one, as in some containers")
        self.assertEqual(verdict("mlosd.service"), "")


class Words(Case):
    def test_version_names_the_program(self) -> None:
        done = run([MLOSD, "--version"], text=True)
        self.assertRegex(done.stdout, r"\Amlosd \d+\.\d+\.\d+\n\Z")

    def test_a_relative_configuration_file_is_shown_as_an_absolute_one(self) -> None:
        (self.folder / "c").mkdir()
        (self.folder / "c/m.yaml").write_text("log: {level: debug}\n")
        done = run([MLOSD, "--config", "c/m.yaml", "--check-config"], text=True, cwd=self.folder)
        self.assertIn(f"log.level = debug  # {self.folder}/c/m.yaml:1\n", done.stdout)


class Embedded(Case):
    def test_nothing_is_left_of_an_embedded_supervisor(self) -> None:
        folder = self.folder / "sockets"
        done = run([MLOS, "run", "--socket", str(folder / "agent.sock"), sys.executable, "-c", "print('ran')"], text=True)
        self.assertEqual((done.returncode, done.stdout), (0, "ran\n"), done.stderr)
        waiting.await_change(folder, "an empty folder", lambda: not os.listdir(folder), LIMIT_S)

    def test_a_log_that_is_not_its_own_is_kept(self) -> None:
        (self.folder / "mlosd.log").write_text("precious\n")
        watch = self.supervisor("--ephemeral", "--log-file", str(self.folder / "own.log"))
        self.assertEqual(watch.log.parent, self.folder)
        os.rename(watch.log, self.folder / "kept.log")
        (self.folder / "mlosd.log").write_text("precious\n")
        watch.stop()
        self.assertEqual((self.folder / "mlosd.log").read_text(), "precious\n")


if __name__ == "__main__":
    unittest.main()
