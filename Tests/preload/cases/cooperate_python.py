"""The Python package under the agent, and its examples on real packages."""

import contextlib
import os
import shutil
import subprocess
import sys
import threading

from cooperate import CALLBACK_LATE, EVERYTHING, IN_USE, LONG_MS, NO_CALLBACK, SHORT_MS, reclaim, threads_of, until_reclaimed
from harness import FIXTURES, ROOT, Skip, case, check, equal, finish, start, temporary_directory
from session import Talker
from supervisor import OK, PING, RECLAIM, TRIM, Supervisor

PACKAGE = os.path.join(ROOT, "tools", "python")
PROGRAM = os.path.join(FIXTURES, "cooperates.py")
PYTHON = shutil.which("python3") or sys.executable


class Snake(Talker):
    """A Python program that answers lines, under the agent and with the package."""

    def __init__(self, path, *arguments):
        # ONNX Runtime leaves a file in the folder for temporary ones.
        self.process = start([PYTHON, "-B", *arguments], MLOS_SOCKET=path, PYTHONPATH=PACKAGE, TMPDIR=os.path.dirname(path))


@contextlib.contextmanager
def python():
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        with Snake(directory + "/s", PROGRAM) as talker:
            session = supervisor.accept_pid(talker.pid)
            session.supervisor = supervisor
            equal(talker.say("version"), "1", "the agent is there")
            yield session, talker


@case
def python_callbacks_are_asked_while_the_main_thread_waits_or_works():
    with python() as (session, talker):
        equal(talker.say("frees cache"), "True", "registered")
        equal(reclaim(session), ("freed", 7), "while it waits for a line")
        request = session.send_command(RECLAIM, EVERYTHING, LONG_MS)
        talker.say("burn")
        equal(session.result()[0::3], (request, 7), "while it works")
        equal(talker.say("asked"), "cache,cache", "asked")


@case
def a_python_callback_that_raises_is_reported_and_freed_nothing():
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        talker = Snake(directory + "/s", PROGRAM)
        session = supervisor.accept_pid(talker.pid)
        talker.say("raises broken")
        talker.say("frees good")
        equal([reclaim(session) for _ in range(4)], [("freed", 7)] * 4, "answers")
        equal(talker.say("asked"), "broken,good," * 3 + "good", "asked")
        talker.process.stdin.close()
        errors = talker.process.stderr.read().decode()
        equal((finish(talker.process), errors.count("LookupError: broken")), (0, 3), f"reported: {errors}")
        talker.process.stdout.close()
        talker.process.stderr.close()


@case
def a_python_callback_may_cancel_itself_and_is_waited_for_by_others():
    with python() as (session, talker):
        talker.say("cancels once")
        equal((reclaim(session), reclaim(session)), (("freed", 7), (NO_CALLBACK, 0)), "by itself")
        talker.say("hangs slow")
        request = session.send_command(RECLAIM, EVERYTHING, LONG_MS)
        talker.say("entered")
        # Cancelling waits without the interpreter's lock: else the callback could never return.
        other = threading.Thread(target=talker.say, args=("release",))
        other.start()
        other.join()
        talker.say("cancel slow")
        equal((session.result()[0::3], session.segment.callbacks), ((request, 7), 0), "by another")


@case
def a_python_callback_that_hangs_is_late():
    with python() as (session, talker):
        talker.say("hangs slow")
        equal(reclaim(session, milliseconds=SHORT_MS), (CALLBACK_LATE, 0), "RECLAIM")
        talker.say("release")


@case
def a_busy_region_of_python_is_seen():
    with python() as (session, talker):
        talker.say("frees cache")
        talker.say("busy")
        equal(reclaim(session), (IN_USE, 1), "busy")
        talker.say("idle")
        equal(reclaim(session), ("freed", 7), "idle")


@case
def a_unit_is_dropped_by_reclaim_and_asked_only_while_it_holds_something():
    with python() as (session, talker):
        equal(session.segment.callbacks, 0, "before it is loaded")
        talker.say("hold")
        equal((session.segment.callbacks, reclaim(session)[0], talker.say("held")), (1, "freed", "False"), "dropped")
        equal(reclaim(session), (NO_CALLBACK, 0), "nothing is left")
        talker.say("refuse")
        equal(reclaim(session)[0], "freed", "asked again after it was in use three times")


@case
def a_forked_python_child_is_asked_too():
    with python() as (session, talker):
        talker.say("frees cache")
        equal(reclaim(session), ("freed", 7), "the parent")
        child = int(talker.say("fork"))
        talker.say("churn")
        its = session.supervisor.accept_pid(child)
        equal(until_reclaimed(its, talker), ("freed", 7), "the child")
        check("mlos-reclaim" in threads_of(child), "its own thread")


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def dropped_and_reloaded(example, *packages, least_bytes):
    """Answers equal to the last bit before and after a reclaim, and memory that came back in between."""
    with temporary_directory() as scratch:
        found = subprocess.run([PYTHON, "-c", "import " + ", ".join(packages)], env={**os.environ, "TMPDIR": scratch},
                               capture_output=True, text=True)
    if found.returncode != 0:
        raise Skip(f"{PYTHON} has not all of {', '.join(packages)}: {found.stderr.strip().splitlines()[-1]}")
    script = os.path.join(PACKAGE, "examples", example)
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        made = subprocess.run([PYTHON, "-B", script, "make", directory], env={**os.environ, "PYTHONPATH": PACKAGE, "TMPDIR": directory},
                              capture_output=True, text=True)
        equal(made.returncode, 0, made.stderr)
        with Snake(directory + "/s", script, "serve", directory) as talker:
            session = supervisor.accept_pid(talker.pid)
            before = [talker.say("1"), talker.say("2")]
            loaded = resident_bytes(talker.pid)
            word, said = reclaim(session)
            equal(word, "freed", f"RECLAIM: {said}")
            reclaimed = resident_bytes(talker.pid)
            equal(session.command(TRIM)[1], OK, "TRIM")
            trimmed = resident_bytes(talker.pid)
            equal(session.command(PING)[1], OK, "PING")
            after = [talker.say("1"), talker.say("2")]
            again = resident_bytes(talker.pid)
            equal(after, before, "answers")
            print(f"     {example}: {loaded / 2**20:.1f} MiB resident, {reclaimed / 2**20:.1f} after RECLAIM (said {said / 2**20:.1f}), "
                  f"{trimmed / 2**20:.1f} after TRIM, {again / 2**20:.1f} after the next answers", flush=True)
            check(loaded - trimmed >= least_bytes, f"only {loaded - trimmed} of {least_bytes} bytes came back")


@case
def an_onnx_runtime_session_is_dropped_and_made_again():
    dropped_and_reloaded("onnx_session.py", "onnxruntime", "onnx", "numpy", least_bytes=40 << 20)


@case
def a_scikit_learn_pipeline_is_dropped_and_read_again():
    dropped_and_reloaded("sklearn_pipeline.py", "sklearn", "joblib", "numpy", least_bytes=8 << 20)


@case
def a_torch_model_is_dropped_and_made_again():
    dropped_and_reloaded("torch_model.py", "torch", "numpy", least_bytes=40 << 20)
