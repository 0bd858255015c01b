"""What `mlos` does at its edges: closed streams, empty values, programs that are not ELF files, profiles of idle processes."""

from __future__ import annotations

import json
import subprocess
import unittest

from harness import LIMIT_S, MLOS, Case, environment, run, waiting


class Edges(Case):
    def test_closed_standard_output_is_an_error(self) -> None:
        watch = self.supervisor()
        for command in ("ps", "status", "events", "doctor", "config show", "completion bash", "--version", "ps --help"):
            with self.subTest(command):
                done = run(
                    ["sh", "-c", f"exec {MLOS} {command} >&-"], text=True, env=environment(MLOS_SOCKET=watch.socket))
                self.assertEqual((done.returncode, done.stderr), (5, "mlos: cannot write: standard output is closed\n"))
        # The other two may be closed: what is asked for is printed.
        done = run(
            ["sh", "-c", f"exec {MLOS} status --json <&- 2>&-"], text=True, env=environment(MLOS_SOCKET=watch.socket))
        self.assertEqual((done.returncode, json.loads(done.stdout)["pid"]), (0, watch.pid))

    def test_program_finds_closed_what_was_closed(self) -> None:
        watch = self.supervisor()
        look = "for n in 0 1 2; do [ -e /proc/$$/fd/$n ] && s=${s}o || s=${s}c; done; [ $s = ccc ]"
        done = run(
            ["sh", "-c", f"exec {MLOS} run --socket {watch.socket} -- sh -c '{look}' <&- >&- 2>&-"], text=True)
        self.assertEqual(done.returncode, 0)

    def test_executable_text_without_an_interpreter_is_watched(self) -> None:
        watch = self.supervisor()
        script = self.folder / "plain"
        script.write_text("echo $$; read line\n")
        script.chmod(0o755)
        with subprocess.Popen(
                [MLOS, "run", "--socket", watch.socket, "--json", "--", str(script)], env=environment(), stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            pid = int(process.stdout.readline())
            # It stays until it is seen: of one that has ended meanwhile there is nothing to see.
            watch.await_event(pid, "attached")
            process.stdin.write("\n")
            process.stdin.close()
            told = json.loads(process.stderr.read())
            self.assertEqual(waiting.finish(process, LIMIT_S), 0)
        self.assertEqual((told["pid"], told["is_watched"], told["reason"]), (pid, True, None))

    def test_empty_values_are_named(self) -> None:
        for option in ("--socket", "--config"):
            done = run([MLOS, "ps", option, ""], text=True)
            self.assertEqual((done.returncode, done.stderr), (64, f"mlos: {option} is empty\n"))

    def test_limit_of_nothing_is_refused_everywhere(self) -> None:
        for command in (["ps"], ["modules", "1"], ["packages"], ["events"], ["heap", "1"], ["top", "--once"]):
            with self.subTest(command[0]):
                done = run([MLOS, *command, "--limit", "0"], text=True)
                self.assertEqual(done.returncode, 64)
                self.assertIn("--limit must be at least 1, not 0", done.stderr)

    def test_heap_of_an_idle_process_is_not_nothing(self) -> None:
        watch = self.supervisor()
        # However slowly it starts it gets no control thread, which would answer at once.
        program = self.program(watch.socket, "checkpoint('up')", MLOS_AGENT_THREAD="never")
        program.line()
        watch.wait_for(program.pid)
        graph = self.folder / "graph.svg"
        done = watch.mlos("heap", str(program.pid), "--seconds", "1", "--flamegraph", str(graph), check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(f"nothing was measured in process {program.pid}", done.stderr)
        self.assertIn("the agent did not begin", done.stderr)
        self.assertFalse(graph.exists())


if __name__ == "__main__":
    unittest.main()
