"""How what cooperates is linked and loaded: without the agent, before it, from a library that goes, with C++."""

import itertools
import os
import shutil
import signal
import subprocess

from cooperate import LONG_MS, NO_CALLBACK, cooperative, reclaim, until_reclaimed
from harness import AGENT, case, check, compile_fixture, equal, finish, run, start, temporary_directory
from supervisor import RECLAIM, Supervisor


@case
def a_library_that_unregisters_in_its_destructor_can_be_unloaded():
    library = compile_fixture("cooperate_library.c", "-shared", "-fPIC", output="libcooperates.so")
    with cooperative() as (session, talker):
        talker.say(f"open {library}")
        equal(reclaim(session), ("freed", 4711), "loaded")
        equal(talker.say("close"), "0", "dlclose")
        check(library not in open(f"/proc/{talker.pid}/maps").read(), "it is unmapped")
        equal(reclaim(session), (NO_CALLBACK, 0), "unloaded")


@case
def a_library_may_register_before_the_agents_constructor():
    library = compile_fixture("cooperate_library.c", "-shared", "-fPIC", output="libcooperates.so")
    program = compile_fixture("cooperates.c", "-Wl,--no-as-needed", library, f"-Wl,-rpath,{os.path.dirname(library)}",
                              output="cooperates_early", libraries=["-ldl", "-pthread"])
    with cooperative(program=program) as (session, talker):
        # Its constructors are over then: a command that comes earlier is answered by the agent's.
        equal(talker.say("version"), "1", "the agent is there")
        equal(reclaim(session), ("freed", 4711), "registered by a constructor")
    with cooperative(program=program, MLOS_AGENT_THREAD="never") as (session, talker):
        equal(until_reclaimed(session, talker), (NO_CALLBACK, 0), "but there may be no thread")


@case
def an_exception_out_of_a_callback_ends_the_program_as_it_would_any_thread():
    program = compile_fixture("cooperate_throws.cc", output="cooperate_throws", compiler="c++")
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        process = start([program], MLOS_SOCKET=directory + "/s")
        session = supervisor.accept_pid(process.pid)
        equal(process.stdout.readline(), b"1\n", "registered")
        session.send_command(RECLAIM, 1, LONG_MS)
        equal(finish(process), -signal.SIGABRT, "status")
        check(b"out of a callback" in process.stderr.read(), "terminate says what was thrown")
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


@case
def a_program_needs_nothing_to_link_with_and_finds_the_agent_however_it_is_linked():
    compilers = [("cc", ()), ("c++", ("-x", "c++"))] + [("clang", ()) for _ in (1,) if shutil.which("clang")]
    kinds = [("-fPIE", "-pie"), ("-fno-pie", "-no-pie"), ("-fno-pie", "-no-pie", "-Wl,-z,now"), ("-fPIE", "-pie", "-Wl,-z,now"),
             ("-static",)]
    for (compiler, language), kind, level in itertools.product(compilers, kinds, ("-O0", "-O2")):
        name = "alone_" + "_".join((compiler, *kind, level)).replace("-", "").replace(",", "").replace("+", "x")
        program = compile_fixture("cooperate_alone.c", *language, *kind, level, "-Wextra", "-Wno-unused-parameter", "-pedantic",
                                  output=name, compiler=compiler)
        equal(run([program]), (0, b"0 0\n", b""), f"{name} without the agent")
        expected = b"0 0\n" if "-static" in kind else b"1 1\n"
        equal(run([program], preload=(AGENT,)), (0, expected, b""), f"{name} with it")
        needed = subprocess.run(["nm", "-D", "--undefined-only", program], capture_output=True, text=True).stdout
        strong = [row for row in needed.splitlines() if "mlosagent" in row and " w " not in row]
        equal(strong, [], f"{name}: what must be there")


@case
def switched_off_the_agent_is_not_there():
    program = compile_fixture("cooperate_alone.c")
    equal(run([program], preload=(AGENT,), MLOS_AGENT_DISABLE="1"), (0, b"0 0\n", b""), "disabled")
