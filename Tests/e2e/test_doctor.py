"""`mlos doctor` says what this very machine lacks: compared with what the kernel says to the test itself."""

import json
import os
import signal
import unittest
from pathlib import Path

from harness import MLOS, Case, run


class Doctor(Case):
    def findings(self) -> dict[str, dict]:
        done = run([MLOS, "doctor", "--json", "--socket", str(self.folder / "agent.sock")], text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["schema"], "mlos.doctor/1")
        return {finding["id"]: finding for finding in answer["findings"]}

    def test_controllers_on_v1_are_named_with_the_remedy(self) -> None:
        # Hierarchy 0 is v2: a controller with another number is bound to v1.
        rows = [line.split() for line in Path("/proc/cgroups").read_text().splitlines() if not line.startswith("#")]
        bound = {row[0] for row in rows if row[1] != "0" and row[3] == "1"} & {"cpu", "memory", "pids", "cpuset"}
        finding = self.findings()["cgroup-v2"]
        if bound:
            self.assertEqual(finding["verdict"], "limited")
            for controller in bound:
                self.assertIn(controller, finding["found"])
            self.assertIn("cgroup_no_v1", finding["remedy"])
            self.assertIn("quotas", finding["consequence"])
        else:
            self.assertNotIn("v1", finding["found"])

    def test_missing_swap_is_named_with_the_remedy(self) -> None:
        swaps = Path("/proc/swaps").read_text().splitlines()[1:]
        finding = self.findings()["swap"]
        if swaps:
            self.assertEqual(finding["verdict"], "works")
        else:
            self.assertEqual(finding["verdict"], "limited")
            self.assertIn("swapon", finding["remedy"])

    def test_what_does_not_work_says_what_follows(self) -> None:
        for name, finding in self.findings().items():
            with self.subTest(name):
                self.assertTrue(finding["found"])
                if finding["verdict"] in ("limited", "missing"):
                    self.assertTrue(finding["consequence"])


class Running(Case):
    def finding(self, socket: str) -> dict:
        done = run([MLOS, "doctor", "--json", "--socket", socket], text=True)
        return next(finding for finding in json.loads(done.stdout)["findings"] if finding["id"] == "supervisor")

    def test_supervisor_works_only_when_it_answers(self) -> None:
        watch = self.supervisor()
        self.assertEqual(self.finding(watch.socket)["verdict"], "works")
        # Stopped, it listens all the same: the kernel takes connections for it.
        os.kill(watch.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, watch.pid, signal.SIGCONT)
        finding = self.finding(watch.socket)
        self.assertEqual(finding["verdict"], "limited")
        self.assertIn("did not answer within 2", finding["found"])


if __name__ == "__main__":
    unittest.main()
