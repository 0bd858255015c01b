"""The control API over its socket: what a client may get wrong, and what it gets for it."""

import json
import os
import socket
import sys

from harness import LIMIT_S, MLOS, MLOSD, Case, Supervisor, run


class Requests(Case):
    def test_wrong_method_is_405_with_what_the_path_takes(self) -> None:
        watch = self.supervisor()
        for method, path, allowed in [
            ("POST", "/api/v1/status", "GET, HEAD"), ("DELETE", "/api/v1/processes/1/modules", "GET, HEAD"),
            ("GET", "/api/v1/adopt", "POST"), ("OPTIONS", "/api/v1/config", "GET, HEAD"),
            ("PUT", "/api/v1/processes/1/heap", "GET, HEAD, POST"),
        ]:
            status, body = watch.request(method, path)
            self.assertEqual((status, body["error"]["code"]), (405, "method_not_allowed"), path)
            self.assertEqual(body["error"]["details"], {"allowed": allowed})
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(LIMIT_S)
            connection.connect(watch.control)
            connection.sendall(b"PUT /api/v1/events HTTP/1.1\r\nHost: mlos\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            head = b""
            while b"\r\n\r\n" not in head and (piece := connection.recv(65536)):
                head += piece
        self.assertIn(b"allow: get, head\r\n", head.lower())

    def test_unknown_and_repeated_parameters_are_422(self) -> None:
        watch = self.supervisor()
        for path, words in [
            ("/api/v1/packages?pdi=1", "unknown parameter 'pdi'; known: pid"),
            ("/api/v1/status?pid=1", "unknown parameter 'pid'; there is none here"),
            ("/api/v1/events?limit=1&limit=2", "parameter 'limit' is given more than once"),
        ]:
            status, body = watch.request("GET", path)
            self.assertEqual((status, body["error"]["code"], body["error"]["message"]), (422, "invalid_request", words))

    def test_a_body_that_ends_early_is_400(self) -> None:
        watch = self.supervisor()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(LIMIT_S)
            connection.connect(watch.control)
            connection.sendall(b"POST /api/v1/adopt HTTP/1.1\r\nHost: mlos\r\nContent-Length: 50\r\n\r\n{")
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as stream:
                self.assertEqual(stream.readline().split()[1], b"400")
        self.assertEqual(watch.get("/healthz"), {"status": "ok"})

    def test_a_path_that_is_none_is_404(self) -> None:
        status, body = self.supervisor().request("GET", "/api/v1/nothing")
        self.assertEqual((status, body["error"]["code"]), (404, "not_found"))
        self.assertEqual(body["error"]["message"], "there is nothing at /api/v1/nothing")

    def whole_answer(self, path: str, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, header fields and what follows up to the end of the connection, which the request asks for or earns."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(LIMIT_S)
            connection.connect(path)
            connection.sendall(request)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *fields = head.decode().split("\r\n")
        return int(first.split()[1]), {k.lower(): v for k, v in (field.split(": ", 1) for field in fields)}, body

    def test_head_is_answered_as_get_without_the_body(self) -> None:
        watch = self.supervisor()
        for path, status in [("/api/v1/config", 200), ("/healthz", 200), ("/api/v1/nothing", 404), ("/api/v1/adopt", 405)]:
            with self.subTest(path):
                answers = {}
                for method in ("GET", "HEAD"):
                    request = f"{method} {path} HTTP/1.1\r\nHost: mlos\r\nConnection: close\r\n\r\n".encode()
                    answers[method] = self.whole_answer(watch.control, request)
                self.assertEqual([answer[0] for answer in answers.values()], [status, status])
                self.assertEqual(answers["HEAD"][2], b"")
                self.assertEqual(answers["HEAD"][1]["content-type"], answers["GET"][1]["content-type"])
                self.assertIn("x-request-id", answers["HEAD"][1])
                if status != 405:
                    self.assertEqual(answers["HEAD"][1]["content-length"], str(len(answers["GET"][2])))

    def test_what_is_no_http_gets_an_error_with_a_body_too(self) -> None:
        watch = self.supervisor()
        for garbage in (b"\x00\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /healthz HTTP/1.1\r\nContent-Length: x\r\n\r\n"):
            with self.subTest(garbage):
                status, fields, body = self.whole_answer(watch.control, garbage)
                self.assertEqual((status, fields["content-length"]), (400, str(len(body))))
                self.assertEqual(json.loads(body)["error"]["code"], "invalid_request")

    def test_a_body_announced_as_too_large_is_refused_before_it_comes(self) -> None:
        watch = self.supervisor()
        request = b"POST /api/v1/adopt HTTP/1.1\r\nHost: mlos\r\nConnection: close\r\nContent-Length: 999999999\r\n\r\n"
        status, _, body = self.whole_answer(watch.control, request)
        self.assertEqual((status, json.loads(body)["error"]["code"]), (413, "too_large"))


class Figures(Case):
    def test_sharing_is_that_of_smaps_rollup(self) -> None:
        watch = self.supervisor()
        program = self.program(watch.socket, "data = bytearray(32 << 20)\ncheckpoint('ready')\n")
        self.assertEqual(program.line(), "ready")
        watch.wait_for(program.pid)
        # A listing within a second of the one before shows the figures of that one, when the memory was not there yet.
        row = watch.await_quietly("its memory", lambda: (row := watch.row(program.pid)) and row["private_bytes"] > 32 << 20 and row)
        with open(f"/proc/{program.pid}/smaps_rollup", encoding="ascii") as rollup:
            figures = {line.split(":")[0]: int(line.split()[1]) << 10 for line in rollup if line.endswith("kB\n")}
        for name, expected in [
            ("private_bytes", figures["Private_Clean"] + figures["Private_Dirty"]), ("proportional_bytes", figures["Pss"]),
        ]:
            self.assertAlmostEqual(row[name] / expected, 1, delta=0.02, msg=name)
        self.assertLessEqual(row["sharing_measured_at"], watch.get("/api/v1/processes")["taken_at"])

    def test_another_program_in_the_same_process_is_seen_without_an_agent(self) -> None:
        watch = self.supervisor()
        program = self.program(
            None, "checkpoint('ready')\nimport os\nos.execv(sys.executable, [sys.executable, '-c', "
            "\"print('second', flush=True); input()\"])\n", preload=False)
        self.assertEqual(program.line(), "ready")
        watch.mlos("adopt", str(program.pid))
        self.assertIn("checkpoint", watch.row(program.pid)["command_line"])
        program.go()
        self.assertEqual(program.line(), "second")
        self.assertNotIn("checkpoint", watch.row(program.pid)["command_line"])


# Says a word and allocates until it is told to go on: the agent of an idle program does not look at what it has loaded.
BUSY = """
import ctypes, _ctypes, select
def busy(word):
 print(word, flush=True)
 while not select.select([sys.stdin], [], [], 0)[0]: [bytearray(64) for _ in range(1000)]
 sys.stdin.readline()
"""


class Modules(Case):
    def loaded(self, watch: Supervisor, pid: int) -> list[dict]:
        return [m for m in watch.get(f"/api/v1/processes/{pid}/modules")["modules"] if m["state"] == "loaded"]

    def test_their_number_is_that_of_the_list(self) -> None:
        watch = self.supervisor()
        code = BUSY + "ctypes.CDLL('libresolv.so.2')\nbusy('ready')\n"
        with_agent = self.program(watch.socket, code)
        without = self.program(None, code, preload=False)
        for program in (with_agent, without):
            self.assertEqual(program.line(), "ready")
        watch.wait_for(with_agent.pid)
        watch.await_state(
            "libresolv in the table", lambda: any("libresolv" in m["path"] and m["dlopen_count"]
                                                  for m in self.loaded(watch, with_agent.pid)), with_agent.pid)
        watch.mlos("adopt", str(without.pid))
        numbers = {}
        for program in (with_agent, without):
            row = watch.row(program.pid)
            numbers[program.pid] = len(self.loaded(watch, program.pid))
            self.assertEqual(row["modules_loaded"], numbers[program.pid], row["source"])
        self.assertEqual(watch.get("/api/v1/status")["modules"], sum(numbers.values()))

    def test_an_unloaded_one_is_described_as_when_it_was_loaded(self) -> None:
        watch = self.supervisor()
        # Unloaded in the end whatever Python's ctypes holds.
        program = self.program(
            watch.socket, BUSY + "lib = ctypes.CDLL('libresolv.so.2')\nbusy('loaded')\n"
            "_ctypes.dlclose(lib._handle)\nbusy('closed')\n")
        self.assertEqual(program.line(), "loaded")
        watch.wait_for(program.pid)

        def row(state: str) -> dict | None:
            rows = watch.get(f"/api/v1/processes/{program.pid}/modules")["modules"]
            found = [m for m in rows if "libresolv" in m["path"] and m["state"] == state]
            return found[0] if found and found[0]["dlopen_count"] else None

        before = watch.await_state("libresolv loaded", lambda: row("loaded"), program.pid)
        program.go()
        self.assertEqual(program.line(), "closed")
        after = watch.await_state("libresolv unloaded", lambda: row("unloaded"), program.pid)
        same = ("path", "device", "inode", "soname", "build_id", "package", "pinned_by")
        self.assertEqual([after[name] for name in same], [before[name] for name in same])
        status = os.stat(before["path"])
        self.assertEqual(before["inode"], status.st_ino)
        devices = {m["device"] for m in self.loaded(watch, program.pid)}
        self.assertIn(after["device"], devices)

    def test_a_name_longer_than_an_event_has_room_for_is_marked(self) -> None:
        watch = self.supervisor()
        long = "/nowhere/" + "x" * 100 + ".so"
        program = self.program(
            watch.socket, f"import ctypes\nfor name in ('/nowhere/short.so', '{long}'):\n try: ctypes.CDLL(name)\n"
            " except OSError: pass\ncheckpoint('ready')\n")
        self.assertEqual(program.line(), "ready")
        watch.wait_for(program.pid)
        self.assertTrue(watch.await_event(program.pid, "dlopen", long[:72])["subject_is_cut"])
        self.assertFalse(watch.await_event(program.pid, "dlopen", "/nowhere/short.so")["subject_is_cut"])


class Reports(Case):
    def test_run_says_in_json_how_the_program_is_watched(self) -> None:
        watch = self.supervisor()
        done = watch.mlos("run", "--json", sys.executable, "-c", "import os; print(os.getpid())")
        report = json.loads(done.stderr)
        self.assertEqual(report["schema"], "mlos.run/1")
        self.assertEqual(report["pid"], int(done.stdout))
        self.assertEqual((report["is_watched"], report["reason"], report["supervisor"]), (True, None, "found"))
        self.assertEqual(report["agent_socket"], watch.socket)
        done = watch.mlos("run", "--optional", "--agent", "/nothing.so", "--json", sys.executable, "-c", "pass")
        report = json.loads(done.stderr.splitlines()[-1])
        self.assertFalse(report["is_watched"])
        self.assertIn("/nothing.so", report["reason"])

    def test_completion_as_json_is_the_script(self) -> None:
        def script(*options: str) -> str:
            done = run([MLOS, "completion", "fish", *options], text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout

        report = json.loads(script("--json"))
        self.assertEqual((report["schema"], report["shell"]), ("mlos.completion/1", "fish"))
        self.assertEqual(report["script"].strip(), script().strip())

    def test_a_full_disk_is_an_error_for_help_too(self) -> None:
        for arguments in ([MLOS, "--help"], [MLOS, "run", "--help"], [MLOS, "--version"], [MLOS, "doctor"], [MLOSD, "--help"]):
            done = run(["sh", "-c", 'exec "$@" >/dev/full', "sh", *arguments], text=True)
            self.assertNotEqual(done.returncode, 0, arguments)
            self.assertIn("No space left on device", done.stderr)
