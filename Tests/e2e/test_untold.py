"""What the agent has no occasion to tell is seen all the same."""

import unittest

from harness import Case


class Untold(Case):
    def test_the_last_library_of_a_young_process_that_then_waits_is_told(self) -> None:
        watch = self.supervisor()
        # No allocation after the load, and no thread yet: within its first 200 ms the process waits for ever.
        program = self.program(watch.socket, "import ctypes, os\nctypes.CDLL('libanl.so.1')\nos.write(1, b'up\\n')\nos.read(0, 1)")
        program.line()
        watch.await_events(
            "a load of libanl", lambda events: any(event["kind"] == "loaded" and "libanl" in event["subject"] for event in events),
            program.pid)
        module = next(row for row in watch.get(f"/api/v1/processes/{program.pid}/modules")["modules"] if "libanl" in row["path"])
        self.assertIsNotNone(module["last_loaded_at"])
        program.go()


if __name__ == "__main__":
    unittest.main()
