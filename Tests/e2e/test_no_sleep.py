"""The rule of tools/check that no test sleeps: each disguise is found, and waiting for an event is let through."""

import unittest

import harness  # noqa: F401  puts tools/lib on the path

import check_no_sleep

CAUGHT = {
    "a.py": [
        "time.sleep(1)",  # sleeps: example
        "subprocess.run(['sleep', '5'])",  # sleeps: example
        "subprocess.run('true; sleep 5', shell=True)",  # sleeps: example
        "select.select([], [], [], 0.1)",
        "select.select((), (), (), limit)",
        "select.select([pipe], [], [], 0.05)",
        "select.epoll().poll(1)",
        "pause = select.epoll()\nwhile not done():\n    pause.poll(0.01)",
        "pause = select.poll()\npause.poll(1000)",
        "with selectors.DefaultSelector() as pause:\n    pause.select(1)",
        "threading.Event().wait(1)",
        "never = threading.Event()\nnever.wait(1)",
        "signal.sigtimedwait([], 1)",
        "process.wait(60)",
        "process.wait(timeout=60)",
        "process.communicate(timeout=60)",
        "subprocess.run(command, timeout=60)",
        "while not done():\n    pass",
        "while not done(): continue",
    ],
    "a.sh": [
        "sleep 1",  # sleeps: example
        "cd x && sleep 0.1",  # sleeps: example
        "while ! test -e file; do sleep $pause; done",  # sleeps: example
        "until [[ -e file ]]; do :; done",
        "read -t 1 -r line",
        "timeout 5 tail -f /dev/null",
        "tail -f --pid=1 log",
    ],
    "a.c": [
        "usleep(10);", "nanosleep(&time, NULL);", "poll(NULL, 0, 10);", "ppoll(NULL, 0, &t, NULL);",
        "select(0, NULL, NULL, NULL, &t);",
        "while (!flag);", "while (!flag) {}", "while (!flag) sched_yield();",
    ],
    "a.swift": [
        "try await Task.sleep(for: .seconds(1))",  # sleeps: example
        "poll(nil, 0, 10)", "while await !ready { await Task.yield() }", "semaphore.wait(timeout: .now() + 1)",
    ],
}
LET_THROUGH = {
    "a.py": [
        "process.wait()", "process.communicate()", "subprocess.run(command)", "select.select([pipe], [], [], 60)",
        "select.select([sys.stdin], [], [], 0)", "poll = select.poll()\npoll.register(pipe)\npoll.poll(60000)",
        "done = threading.Event()\nstart(done.set())\ndone.wait(60)", "while connection.recv(65536):\n    pass",
        "while line := pipe.readline():\n    pass", "# it sleeps for a while", "connection.settimeout(60)",
    ],
    "a.sh": ["wait $pid", "read -r line", "timeout 60 program", "tail -n 5 log", "# no sleep 5 here", "echo asleep"],
    "a.c": ["poll(&check, 1, 1000);", "} while (again);", "while (read(0, &c, 1) == 1);", "/* never sleeps */"],
    "a.swift": ["await task.value", "poll(&check, 1, 0)"],
}


class NoSleep(unittest.TestCase):
    def test_every_disguise_is_found(self) -> None:
        for path, examples in CAUGHT.items():
            for text in examples:
                with self.subTest(path=path, text=text):
                    self.assertTrue(list(check_no_sleep.findings(path, text)))

    def test_waiting_for_an_event_is_let_through(self) -> None:
        for path, examples in LET_THROUGH.items():
            for text in examples:
                with self.subTest(path=path, text=text):
                    self.assertEqual(list(check_no_sleep.findings(path, text)), [])

    def test_files_of_scripts_are_known_by_their_first_line(self) -> None:
        self.assertTrue(list(check_no_sleep.findings("tools/x", "#!/usr/bin/env bash\nread -t 1 line\n")))
        self.assertTrue(list(check_no_sleep.findings("Tests/x/run", "#!/usr/bin/env python3\nprocess.wait(1)\n")))


if __name__ == "__main__":
    unittest.main()
