"""fork, vfork, spawn, exec and raw clones."""

import os

from harness import AGENT, case, check, compile_fixture, equal, run, same_with_agent, start, temporary_directory
from supervisor import EXEC, FORK, Supervisor


@case
def a_fork_storm_under_allocating_threads_ends_the_same():
    program = compile_fixture("fork_storm.c", libraries=["-pthread"])
    status, output, _ = same_with_agent([program, "16", "200"])
    equal((status, output), (0, b"200 children\n"), "output")


@case
def every_way_to_make_a_child_works():
    program = compile_fixture("children.c")
    for way in ("fork", "_Fork", "vfork", "posix_spawn", "posix_spawnp", "execl", "execlp", "execle", "execv", "execvp", "execvpe",
                "execve", "fexecve", "raw-fork", "raw-clone", "clone", "clone-vm", "nested", "system", "popen"):
        status, output, _ = same_with_agent([program, way], text=way)
        check(status == 0 and b"child" in output, f"{way}: {status} {output}")


@case
def a_forked_child_reports_its_own_heap_under_its_own_segment():
    program = compile_fixture("child_heap.c")
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        for way in ("fork", "_Fork", "raw"):
            process = start([program, way], MLOS_SOCKET=directory + "/s")
            parent = supervisor.accept_pid(process.pid)
            child_pid = int(process.stdout.readline())
            child = supervisor.accept_pid(child_pid)
            process.stdout.readline()
            check(child.inode != parent.inode, "a segment of its own")
            equal((child.segment.pid, child.segment.parent_pid), (child_pid, process.pid), "pids")
            # The child has freed one of the parent's thousand blocks and holds one hundred of its own.
            equal(child.segment.live()[0] - parent.segment.live()[0], 100 - 1, f"{way}: live blocks")
            equal(child.segment.base_inexact, 0, "one thread: exact")
            equal([argument for _, _, argument, _ in parent.segment.events(FORK)], [child_pid], "FORK event")
            equal(parent.segment.forks, 1, "forks")
            modules = [[row["path"] for row in each.segment.modules()] for each in (parent, child)]
            equal(modules[1], modules[0], "modules")
            process.communicate(b"\n\n")
            equal(process.returncode, 0, "status")
            parent.close()
            child.close()


@case
def exec_with_a_preload_of_its_own_keeps_the_agent():
    program = compile_fixture("exec_preload.c")
    other = compile_fixture("plugin.c", "-shared", "-fPIC", output="libother.so")
    for way in ("execve", "spawn", "environ", "vfork"):
        status, output, _ = run([program, way, other], preload=(AGENT,))
        equal((status, output.decode()), (0, f"{AGENT}:{other}\n"), f"{way}, agent first")
        status, output, _ = run([program, way, other], preload=(other, AGENT))
        equal((status, output.decode()), (0, f"{other}:{AGENT}\n"), f"{way}, agent last")
        # Emptied on purpose: stays empty. Named already: stays as it is.
        equal(run([program, way, "-"], preload=(AGENT,))[1], b"none\n", f"{way}, clean environment")
        equal(run([program, way, f"{other}:{AGENT}"], preload=(AGENT,))[1].decode(), f"{other}:{AGENT}\n", f"{way}, there already")


@case
def exec_is_an_event():
    program = compile_fixture("exec_preload.c")
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        process = start([program, "execve", "-"], MLOS_SOCKET=directory + "/s")
        session = supervisor.accept_pid(process.pid)
        process.communicate()
        equal([text for _, _, _, text in session.segment.events(EXEC)], ["/bin/sh"], "EXEC")
