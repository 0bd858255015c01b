"""A program runs under the agent and is seen: processes, modules, packages, events."""

import os
import signal
import subprocess
import unittest
from pathlib import Path

from harness import AGENT, LIMIT_S, MLOS, PYTHON, Case, environment, run, waiting


def smaps_sums(pid: int) -> dict[str, int]:
    sums: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps").read_bytes().splitlines():
        name, _, rest = line.partition(b":")
        if rest.endswith(b" kB"):
            sums[name.decode()] = sums.get(name.decode(), 0) + int(rest.split()[0]) * 1024
    return sums


class Watching(Case):
    def test_program_is_listed_with_live_heap_that_moves(self) -> None:
        watch = self.supervisor()
        program = self.program(watch.socket, "keep=[]\ncheckpoint('up')\nkeep=[bytearray(1<<20) for _ in range(64)]\ncheckpoint('grown')\nkeep.clear()\ncheckpoint('freed')")
        program.line()
        before = watch.wait_for(program.pid)
        self.assertEqual(before["agent_state"], "active")
        self.assertEqual(before["allocator"], "glibc")
        program.go()
        program.line()
        grown = watch.row(program.pid)
        self.assertGreaterEqual(grown["live_heap_bytes"] - before["live_heap_bytes"], 64 << 20)
        self.assertLess(grown["live_heap_bytes"] - before["live_heap_bytes"], 66 << 20)
        program.go()
        program.line()
        freed = watch.row(program.pid)
        self.assertLess(freed["live_heap_bytes"] - before["live_heap_bytes"], 2 << 20)

    def test_live_heap_equals_the_allocators_own_walk(self) -> None:
        watch = self.supervisor()
        code = """
import ctypes
class Info(ctypes.Structure):
    _fields_ = [(n, ctypes.c_size_t) for n in 'arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost'.split()]
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
keep = [bytearray(3000 + i % 977) for i in range(20000)]
del keep[::3]
info = libc.mallinfo2()
checkpoint(info.uordblks + info.hblkhd)
"""
        program = self.program(
            watch.socket, code, PYTHONMALLOC="malloc", GLIBC_TUNABLES="glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1")
        walk = int(program.line())
        row = watch.wait_for(program.pid)
        live_blocks = row["allocations"]
        # The walk counts each chunk with its header of 8 bytes (16 when mapped alone), the agent what the program can use: they
        # agree when the difference is the headers of the live chunks, which number at most the allocations made.
        difference = walk - row["live_heap_bytes"]
        self.assertGreater(difference, 0)
        self.assertLess(difference, 16 * live_blocks)
        self.assertLess(abs(difference) / walk, 0.03, f"walk {walk}, agent {row['live_heap_bytes']}")

    def test_modules_say_what_the_file_and_the_agent_know(self) -> None:
        watch = self.supervisor()
        program = self.program(watch.socket, "import ssl\ncheckpoint('up')")
        program.line()
        watch.wait_for(program.pid)
        modules = {Path(m["path"]).name: m for m in watch.json("modules", str(program.pid))["modules"]}
        ssl = next(m for name, m in modules.items() if name.startswith("_ssl."))
        self.assertEqual(ssl["state"], "loaded")
        libcrypto = next(m for name, m in modules.items() if name.startswith("libcrypto.so"))
        self.assertIn(ssl["path"], libcrypto["needed_by"])
        self.assertGreater(libcrypto["memory"]["resident_bytes"], 0)
        libc = modules["libc.so.6"]
        identity = os.stat(libc["path"])
        self.assertEqual(libc["inode"], identity.st_ino)
        self.assertRegex(libc["build_id"], "^[0-9a-f]{40}$")
        self.assertEqual(libc["soname"], "libc.so.6")

    def test_sums_agree_with_smaps_and_packages_own_the_files(self) -> None:
        watch = self.supervisor()
        numpy = run([PYTHON, "-c", "import numpy"]).returncode == 0
        program = self.program(watch.socket, f"import ssl, json{', numpy' if numpy else ''}\ncheckpoint('up')")
        program.line()
        watch.wait_for(program.pid)
        answer = watch.json("packages", "--pid", str(program.pid))
        sums = smaps_sums(program.pid)
        whole = answer["processes"][0]
        for ours, kernels in (("resident_bytes", "Rss"), ("proportional_bytes", "Pss"), ("mapped_bytes", "Size")):
            self.assertLessEqual(abs(whole["memory"][ours] - sums[kernels]), sums[kernels] * 0.01, ours)
        in_packages = sum(p["memory"]["resident_bytes"] for p in answer["packages"])
        explained = in_packages + whole["anonymous_resident_bytes"]
        self.assertLessEqual(abs(explained - sums["Rss"]), sums["Rss"] * 0.01)
        share = whole["packaged_file_backed_resident_bytes"] / whole["file_backed_resident_bytes"]
        self.assertGreaterEqual(share, 0.95, answer)
        names = {p["name"] for p in answer["packages"]}
        if numpy:
            self.assertIn("numpy", names)
        self.assertTrue(any(n.startswith("libc6") for n in names), names)

    def test_events_tell_loads_forks_and_the_end(self) -> None:
        watch = self.supervisor()
        code = """
import os, ctypes
checkpoint('up')
import _sqlite3
child = os.fork()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
checkpoint(child)
"""
        program = self.program(watch.socket, code)
        program.line()
        watch.wait_for(program.pid)
        program.go()
        child = program.line()

        def told(events: list[dict]) -> bool:
            opened = any(e["kind"] == "dlopen" and "_sqlite3" in (e["subject"] or "") for e in events)
            forked = any(e["kind"] == "fork" and child in (e["detail"] or "") for e in events)
            return opened and forked

        watch.await_events("dlopen and fork", told, program.pid)
        program.end()
        watch.await_event(program.pid, "exited")
        self.assertIsNone(watch.row(program.pid))
        lines = watch.mlos("events", "--pid", str(program.pid)).stdout
        self.assertIn("exited", lines)

    def test_unloaded_library_is_told(self) -> None:
        watch = self.supervisor()
        source = self.folder / "plugin.c"
        source.write_text("int plugin_answer(void) { return 42; }\n")
        library = self.folder / "libplugin.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
        code = f"""
import ctypes, _ctypes
handle = _ctypes.dlopen({str(library)!r}, 2)
checkpoint('open')
_ctypes.dlclose(handle)
checkpoint('closed')
"""
        # What the agent does not keep for its return.
        program = self.program(watch.socket, code, MLOS_MODULE_CACHE="0")
        program.line()
        watch.wait_for(program.pid)
        program.go()
        program.line()
        watch.await_event(program.pid, "unloaded", str(library))
        rows = [m for m in watch.json("modules", str(program.pid))["modules"] if m["path"] == str(library)]
        self.assertEqual([m["state"] for m in rows], ["unloaded"])

    def test_library_deleted_or_replaced_after_loading_keeps_its_name_and_says_so(self) -> None:
        watch = self.supervisor()
        source = self.folder / "plugin.c"
        source.write_text("int plugin_answer(void) { return 42; }\n")
        library = self.folder / "libplugin.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
        program = self.program(watch.socket, f"import ctypes\nx=ctypes.CDLL({str(library)!r})\ncheckpoint('open')")
        program.line()
        watch.wait_for(program.pid)
        library.unlink()
        library.write_bytes(b"\x7fELF garbage")
        rows = [m for m in watch.json("modules", str(program.pid))["modules"] if m["path"] == str(library)]
        self.assertEqual([m["is_deleted"] for m in rows], [True])
        self.assertGreater(rows[0]["memory"]["resident_bytes"], 0)

    def test_path_with_newlines_and_bytes_that_are_no_text(self) -> None:
        watch = self.supervisor()
        folder = os.fsencode(self.folder) + b"/li\nb\xff"
        os.mkdir(folder)
        (self.folder / "plugin.c").write_text("int plugin_answer(void) { return 42; }\n")
        subprocess.run([b"cc", b"-shared", b"-fPIC", b"-o", folder + b"/lib.so", os.fsencode(self.folder / "plugin.c")], check=True)
        program = self.program(watch.socket, f"import ctypes,os\nx=ctypes.CDLL(os.fsdecode({folder + b'/lib.so'!r}))\ncheckpoint('open')")
        program.line()
        watch.wait_for(program.pid)
        paths = [m["path"] for m in watch.json("modules", str(program.pid))["modules"]]
        self.assertTrue(any("li\\x0ab\ufffd/lib.so" in path for path in paths), paths)
        self.assertNotIn("\n\n", watch.mlos("modules", str(program.pid)).stdout.strip())

    def test_adopted_process_without_agent(self) -> None:
        watch = self.supervisor()
        program = self.program(None, "checkpoint('up')", preload=False)
        program.line()
        self.assertEqual(watch.mlos("modules", str(program.pid), check=False).returncode, 1)
        row = watch.json("adopt", str(program.pid))
        self.assertEqual(row["process"]["source"], "adopted")
        self.assertIsNone(row["process"]["live_heap_bytes"])
        modules = watch.json("modules", str(program.pid))["modules"]
        self.assertTrue(any(m["soname"] == "libc.so.6" for m in modules))
        self.assertIsNone(modules[0]["dlopen_count"])
        program.end()
        watch.await_event(program.pid, "exited")
        self.assertIsNone(watch.row(program.pid))

    def test_adopting_nobody_is_a_clear_error(self) -> None:
        watch = self.supervisor()
        done = watch.mlos("adopt", "4194304", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no process", done.stderr)

    def test_forked_workers_are_seen(self) -> None:
        watch = self.supervisor()
        code = """
import os
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        x = [bytearray(100) for _ in range(5000)]
        os.read(0, 1)
        os._exit(0)
    children.append(child)
print(*children, flush=True)
for child in children: os.waitpid(child, 0)
"""
        program = self.program(watch.socket, code)
        children = program.line().split()
        for child in children:
            watch.await_state(f"worker {child}", lambda child=child: watch.row(int(child)), int(child))
        for _ in children:
            program.go()
        self.assertEqual(waiting.finish(program.process, LIMIT_S), 0)
        for child in children:
            watch.await_event(int(child), "exited")
            self.assertIsNone(watch.row(int(child)))


class Running(Case):
    def run_mlos(self, socket_path: str, *command: str, **options) -> subprocess.CompletedProcess[bytes]:
        return run([MLOS, "run", "--socket", socket_path, "--", *command], **options)

    def test_exit_status_and_streams_pass_through(self) -> None:
        watch = self.supervisor()
        done = self.run_mlos(watch.socket, "sh", "-c", "cat; echo err >&2; exit 37", input=b"\x00\xffbytes")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (37, b"\x00\xffbytes", b"err\n"))

    def test_death_by_signal_passes_through(self) -> None:
        watch = self.supervisor()
        done = self.run_mlos(watch.socket, "sh", "-c", "kill -TERM $$")
        self.assertEqual(done.returncode, -signal.SIGTERM)

    def test_program_not_found_and_not_executable(self) -> None:
        watch = self.supervisor()
        self.assertEqual(self.run_mlos(watch.socket, "no-such-program-here").returncode, 127)
        self.assertEqual(self.run_mlos(watch.socket, str(self.folder)).returncode, 126)

    def test_composes_with_a_preload_that_is_there(self) -> None:
        watch = self.supervisor()
        other = self.folder / "other.so"
        (self.folder / "other.c").write_text("int other;\n")
        subprocess.run(["cc", "-shared", "-o", str(other), str(self.folder / "other.c")], check=True)
        done = run([MLOS, "run", "--socket", watch.socket, "--", "sh", "-c", "cat /proc/$$/maps"], text=True,
            env=environment(LD_PRELOAD=str(other)))
        self.assertIn(AGENT, done.stdout)
        self.assertIn(str(other), done.stdout)

    def test_starts_a_supervisor_when_there_is_none_and_it_ends_afterwards(self) -> None:
        path = str(self.folder / "agent.sock")
        script = f"import subprocess,sys; sys.stdout.write(subprocess.run([{MLOS!r},'ps','--json','--socket',{path!r}],capture_output=True,text=True).stdout)"
        done = self.run_mlos(path, PYTHON, "-c", script)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"mlos.processes/1", done.stdout)
        # It is no child of this test: its end is seen by its files, which go with it.
        waiting.await_change(
            self.folder, "the supervisor's sockets and lock gone",
            lambda: not [n for n in os.listdir(self.folder) if n.endswith((".sock", ".lock"))], LIMIT_S)

    def test_output_is_the_same_without_a_supervisor(self) -> None:
        command = [PYTHON, "-c", "import os,sys; print(sorted(os.listdir('/proc/self/fd'))); sys.exit(3)"]
        plain = run(command)
        watched = run(command, env=environment(LD_PRELOAD=AGENT, MLOS_SOCKET=str(self.folder / "none.sock")))
        self.assertEqual((plain.returncode, plain.stdout, plain.stderr), (watched.returncode, watched.stdout, watched.stderr))


if __name__ == "__main__":
    unittest.main()
