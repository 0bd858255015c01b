"""`mlos run` and `mlos doctor` of an ordinary user, with root's supervisor and without."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import BUILD, LIMIT_S, NOBODY, Case, Supervisor, environment, run, waiting


@unittest.skipUnless(os.geteuid() == 0, "needs root to become another user")
class OrdinaryUser(Case):
    @classmethod
    def setUpClass(cls) -> None:
        # The checkout may lie where other users cannot go.
        cls.binaries = tempfile.mkdtemp(prefix="mlos-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.binaries)
        os.chmod(cls.binaries, 0o755)
        for name in ("mlos", "mlosd", "libmlosagent.so"):
            shutil.copy(BUILD / name, cls.binaries)
        cls.mlos = f"{cls.binaries}/mlos"

    def system_service(self) -> Supervisor:
        folder = Path(tempfile.mkdtemp(prefix="mlos-e2e-", dir="/run"))
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        watch = Supervisor(folder / "made")
        self.addCleanup(watch.stop)
        return watch

    def finding(self, name: str, *options: str, **variables: str) -> dict:
        done = run([self.mlos, "doctor", "--json", *options], text=True, env=environment(**variables), **NOBODY)
        self.assertEqual(done.returncode, 0, done.stderr)
        return next(finding for finding in json.loads(done.stdout)["findings"] if finding["id"] == name)

    def test_runs_under_roots_supervisor(self) -> None:
        watch = self.system_service()
        for options in ([], ["--no-embedded"]):
            with self.subTest(options=options):
                command = [
                    self.mlos, "run", "--json", "--socket", watch.socket, *options, "--", "sh", "-c", "echo $$; read line"]
                with subprocess.Popen(
                        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
                        **NOBODY) as program:
                    assert program.stdin and program.stdout and program.stderr
                    told = json.loads(waiting.Lines(program.stderr.fileno()).next("how it is watched", LIMIT_S))
                    self.assertEqual((told["is_watched"], told["supervisor"]), (True, "found"))
                    row = watch.wait_for(int(waiting.Lines(program.stdout.fileno()).next("its PID", LIMIT_S)))
                    self.assertEqual((row["name"], row["user"]), ("sh", NOBODY["user"]))
                    program.stdin.close()
                    self.assertEqual(waiting.finish(program, LIMIT_S), 1)
        self.assertEqual(watch.get("/api/v1/status")["counters"]["sessions_refused"], 0)

    def test_doctor_tells_that_roots_supervisor_watches_and_is_not_to_be_asked(self) -> None:
        finding = self.finding("supervisor", "--socket", self.system_service().socket)
        self.assertEqual(finding["verdict"], "limited")
        self.assertIn("programs are watched", finding["consequence"])

    def test_doctor_names_the_directory_the_supervisor_will_use(self) -> None:
        # As docs/reference/configuration.md has it.
        user = NOBODY["user"]
        directory = f"/run/user/{user}/mlos" if Path(f"/run/user/{user}").exists() else f"/tmp/mlos-{user}"
        finding = self.finding("runtime-directory", HOME="/nonexistent")
        self.assertEqual(finding["verdict"], "works", finding)
        self.assertIn(directory, finding["found"])


if __name__ == "__main__":
    unittest.main()
