"""Programs of others behave as they do without the agent."""

import os
import shutil

from harness import AGENT, FIXTURES, Skip, case, check, compile_fixture, equal, run, same_with_agent, temporary_directory
from supervisor import Supervisor


@case
def exit_statuses_are_the_same():
    equal(same_with_agent(["/bin/true"])[0], 0, "true")
    equal(same_with_agent(["/bin/false"])[0], 1, "false")
    crash = compile_fixture("crash.c")
    equal(same_with_agent([crash, "segv"])[0], -11, "SIGSEGV")
    equal(same_with_agent([crash, "kill"])[0], -9, "SIGKILL")
    equal(same_with_agent([crash, "exit", "42"])[0], 42, "exit(42)")
    same_with_agent([crash, "abort"])


@case
def a_program_whose_main_thread_ends_first_still_ends():
    program = compile_fixture("main_thread_exits.c", libraries=["-pthread"])
    equal(same_with_agent([program])[1], b"worker done\n", "output")


@case
def shells_and_compilers_give_the_same_output():
    same_with_agent(["bash", "-c", "for i in $(seq 20); do echo $i | cat; done; (exit 3); echo $?; f=$(date +%Y); echo ${#f}"])
    same_with_agent(["git", "--no-pager", "log", "-n", "3", "--stat"], cwd=FIXTURES)
    with temporary_directory() as directory:
        objects = []
        for name, preload in (("without", ()), ("with", (AGENT,))):
            path = os.path.join(directory, "out.o")
            status = run(["gcc", "-O2", "-c", os.path.join(FIXTURES, "crash.c"), "-o", path], preload=preload)
            equal(status[0], 0, f"gcc {name} the agent")
            objects.append(open(path, "rb").read())
        check(objects[0] == objects[1], "gcc wrote different objects")


@case
def python_imports_the_same():
    text = "import ssl, ctypes, sqlite3, json; print(sqlite3.connect(':memory:').execute('select 6*7').fetchone(), ctypes.CDLL(None).abs(-3))"
    same_with_agent(["python3", "-c", text])
    if run(["python3", "-c", "import numpy"])[0] != 0:
        raise Skip("numpy is not installed")
    same_with_agent(["python3", "-c", "import numpy as n; print(n.linalg.det(n.arange(16.).reshape(4,4)+n.eye(4)))"])


@case
def pythons_own_tests_pass():
    if run(["python3", "-c", "import test.test_ctypes, test.test_threading"])[0] != 0:
        raise Skip("this Python has no test suite")
    for name in ("test_ctypes", "test_thread", "test_fork1", "test_posix"):
        with temporary_directory() as directory:
            # No sockets of the machine, no network.
            command = ["python3", "-m", "test", "-q", "-u", "none", name]
            without = run(command, cwd=directory)
            with_agent = run(command, preload=(AGENT,), cwd=directory)
            equal(with_agent[0], without[0], f"{name}: {with_agent[1][-2000:]}")


@case
def a_sanitized_program_is_left_alone():
    program = compile_fixture("sanitized.c", "-fsanitize=address", "-O1")
    for what in ("clean", "overflow"):
        without = run([program, what], ASAN_OPTIONS="detect_leaks=0")
        with_agent = run([program, what], preload=(AGENT,), ASAN_OPTIONS="detect_leaks=0")
        equal(with_agent[:2], without[:2], what)
        equal(b"heap-buffer-overflow" in with_agent[2], what == "overflow", "report")
    thread = compile_fixture("sanitized.c", "-fsanitize=thread", "-O1", output="sanitized-thread")
    # Its runtime refuses some kernels' address layouts; then it does so in both runs.
    same_with_agent([thread, "clean"])


@case
def valgrind_reports_what_it_reports_without():
    if not shutil.which("valgrind"):
        raise Skip("valgrind is not installed")
    program = compile_fixture("sanitized.c", "-O0", output="valgrind-target")
    command = ["valgrind", "-q", "--error-exitcode=9", program]
    equal(run(command + ["clean"], preload=(AGENT,)), (0, b"clean\n", b""), "clean program")
    equal(run(command + ["overflow"], preload=(AGENT,))[0], 9, "overflow is found")
    callgrind = ["valgrind", "-q", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, "clean"]
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        agents = []
        for ignore in (None, "1"):
            got = run(callgrind, preload=(AGENT,), MLOS_SOCKET=directory + "/s", MLOS_AGENT_IGNORE_VALGRIND=ignore)
            equal(got[:2], (0, b"clean\n"), f"callgrind, {ignore}")
            # valgrind cannot duplicate a mapping, so its program's agent connects and gives up before HELLO.
            agents.append(sum(1 for _ in iter(supervisor.is_pending, False) if supervisor.listener.accept()))
        equal(agents[1], agents[0] + 1, "agents that connected: valgrind's own, and its program's")


@case
def switched_off_it_does_nothing():
    without = run(["python3", "-c", "import os; print(sorted(os.listdir('/proc/self/task')).__len__())"])
    equal(run(["python3", "-c", "import os; print(sorted(os.listdir('/proc/self/task')).__len__())"],
              preload=(AGENT,), MLOS_AGENT_DISABLE="1"), without, "disabled")
