"""Libraries that a program has closed and the agent keeps: the program sees none of it, the supervisor all."""

import contextlib
import os
import shutil

from harness import AGENT, BUILD, Skip, case, check, compile_fixture, equal, run, same_with_agent, temporary_directory
from session import Talker, session_with, until
from supervisor import CACHE_LIMIT, DLCLOSE, EVICT, FAILED, KEPT, OK, PING, REFRESH, UNLOADED

CLOSED = 1 << 7
(NOT_KEPT, NODELETE, UNIQUE_SYMBOL, TLS_DESTRUCTOR, NEEDED_BY, THREAD_INSIDE, THREAD_STARTED, SIGNAL_HANDLER, EXIT_HANDLER,
 KEY_DESTRUCTOR, FAMILY, EXCLUDED) = range(20, 32)
OPENMP, CUDA, GO, QT, PYTHON, JVM = range(1, 7)


class Keeper(Talker):
    FIXTURE = "keeper.c"

    def __init__(self, path, **variables):
        program = compile_fixture("keeper.c", "-rdynamic", libraries=["-ldl", "-pthread"])
        super().__init__(path, program=program, **variables)


def _library(source, name, *flags):
    return compile_fixture(source, "-shared", "-fPIC", "-O2", *flags, output=name, libraries=["-pthread"],
                           compiler="c++" if source.endswith(".cc") else "cc")


def _plugin(name="libmloskept.so", *flags):
    return _library("plugin.c", name, *flags)


@contextlib.contextmanager
def keeping(include="*", **variables):
    """A session with a keeper that has a control thread. Only what `include` names is kept although it has a state."""
    with session_with(Keeper, MLOS_MODULE_CACHE_INCLUDE=include, **variables) as (session, keeper):
        keeper.say("open 15 libm.so.6 n")
        until(lambda: session.segment.control_thread, keeper, "no control thread")
        yield session, keeper


def _kept(session, keeper, path, slot=0, flags="n", before_close=()):
    """Opens, calls and closes a library; its row."""
    equal(keeper.say(f"open {slot} {path} {flags}"), "ok", path)
    session.command(REFRESH)
    for line in before_close:
        keeper.say(line)
    equal(keeper.say(f"close {slot}"), "0", path)
    return session.segment.module(os.path.basename(path))


def _refused(session, row, reason, detail=0):
    before = session.segment.cache_refusals
    _, status, _, value = session.command(EVICT, row["id"])
    equal((status, value & 0xFFFFFFFF, value >> 32), (FAILED, reason, detail), "the refusal")
    after = session.segment.module(os.path.basename(row["path"]))
    equal((after["state"], after["refusal"], after["detail"]), (1, reason, detail), "what the table says")
    equal(session.segment.cache_refusals, before + 1, "counted")


def _evicted(session, keeper, row, objects=1):
    equal(session.command(EVICT, row["id"])[1:], (OK, EVICT, objects), "evicted")
    after = session.segment.module(os.path.basename(row["path"]))
    equal((after["state"], after["flags"] & CLOSED), (2, 0), "gone")
    equal(keeper.say(f"loaded {row['path']}"), "0", "seen by the program")


@case
def a_closed_library_is_kept_and_comes_back():
    path = _plugin()
    with keeping(include="") as (session, keeper):
        segment = session.segment
        check(segment.capabilities & 4, "the capability")
        equal(segment.cache_limit, 100, "the limit")
        row = _kept(session, keeper, path)
        equal((row["state"], row["flags"] & CLOSED, row["closes"]), (1, CLOSED, 1), "closed and kept")
        check(row["closed"] > row["first"], "when it was closed")
        kinds = [what for what, module, _, _ in segment.events() if module == row["id"] and what in (DLCLOSE, KEPT, UNLOADED)]
        equal(kinds, [DLCLOSE, KEPT], "events")
        for turn in range(1, 6):
            equal(keeper.say(f"open 0 {path} n"), "ok", "opened again")
            equal(keeper.say("call 0 mlos_plugin_answer"), "42", "called")
            session.command(REFRESH)
            again = segment.module("libmloskept.so")
            equal((again["id"], again["load"], again["flags"] & CLOSED), (row["id"], row["load"], 0), "the same one")
            equal(segment.cache_reopens, turn, "counted")
            equal(keeper.say("close 0"), "0", "closed again")
        # Opened and closed without a look between.
        keeper.say(f"cycles 50 {path}")
        equal(segment.cache_reopens, 55, "counted by dlclose")
        _evicted(session, keeper, segment.module("libmloskept.so"))
        equal(segment.cache_evictions, 1, "evictions")
        equal([what for what, module, _, _ in segment.events() if module == row["id"]][-1], UNLOADED, "the last event")


@case
def what_a_program_sees_of_its_libraries_is_the_same_with_the_cache():
    program = compile_fixture("opens_and_closes.c", libraries=["-ldl", "-pthread"])
    one = _library("ends.c", "libmlosends1.so", '-DNAME="one"')
    two = _library("ends.c", "libmlosends2.so", '-DNAME="two"')
    status, out, _ = same_with_agent([program, _plugin(), _library("counts.c", "libmlosstate.so"), one, two])
    equal(status, 0, "status")
    check(b"two begins" in out and b"two ends" in out and b"state: 1\nclose: 0" in out, f"the fixture itself: {out}")


@case
def destructors_of_kept_libraries_run_at_the_end_in_the_loaders_order():
    program = compile_fixture("opens_and_closes.c", libraries=["-ldl", "-pthread"])
    names = [_library("ends.c", f"libmlosends{i}.so", f'-DNAME="{name}"') for i, name in ((1, "one"), (2, "two"))]
    command = [program, _plugin(), _library("counts.c", "libmlosstate.so"), *names]
    kept = run(command, preload=(AGENT,), MLOS_MODULE_CACHE_INCLUDE="libmlosends*")[1]
    without = run(command)[1]
    # The last of each as without; it begins once, and so it ends once.
    equal(kept[kept.rindex(b"thread"):], without[without.rindex(b"thread"):].replace(b"one begins\n", b""), "the end")


@case
def a_library_with_a_state_of_its_own_is_kept_only_by_name():
    path = _library("counts.c", "libmlosstate.so")
    for include, expected in (("", ["1", "1"]), ("libmlosst?te.so", ["1", "2"]), (path, ["1", "2"]), ("*/nothing*", ["1", "1"])):
        with keeping(include=include) as (session, keeper):
            got = []
            for _ in expected:
                keeper.say(f"open 0 {path} n")
                got.append(keeper.say("call 0 state"))
                keeper.say("close 0")
            equal(got, expected, f"include {include!r}")
    with keeping(MLOS_MODULE_CACHE_EXCLUDE="*.none:libmlosstate*") as (session, keeper):
        row = _kept(session, keeper, path)
        equal(row["state"], 2, "an excluded one is not kept")
        keeper.say(f"open 0 {path} n")
        session.command(REFRESH)
        _refused(session, row, EXCLUDED)


@case
def the_limit_holds_and_nothing_is_kept_without_one():
    paths = [_plugin(f"libmloskept{i}.so") for i in range(4)]
    with keeping(include="") as (session, keeper):
        for path in paths:
            _kept(session, keeper, path)
        equal(session.command(CACHE_LIMIT, 2)[1:], (OK, CACHE_LIMIT, 100), "the limit before")
        session.command(REFRESH)
        states = [session.segment.module(os.path.basename(path))["state"] for path in paths]
        equal((states, session.segment.cache_limit), ([2, 2, 1, 1], 2), "the longest unused went")
        _kept(session, keeper, paths[0])
        states = [session.segment.module(os.path.basename(path))["state"] for path in paths]
        equal(states, [1, 2, 2, 1], "so it is at a dlclose")
        equal(session.command(EVICT, 0, 5)[1:], (OK, EVICT, 2), "the oldest, as many as there are")
        session.command(CACHE_LIMIT, 0)
        equal(_kept(session, keeper, paths[0])["state"], 2, "limit 0")
    with keeping(MLOS_MODULE_CACHE="0") as (session, keeper):
        equal(session.segment.cache_limit, 0, "MLOS_MODULE_CACHE=0")
        equal(_kept(session, keeper, paths[0])["state"], 2, "not kept")


@case
def a_changed_file_is_loaded_anew():
    old = _library("plugin.c", "libmlosold.so")
    new = _library("ends.c", "libmlosnew.so", '-DNAME="new"', "-Dname=mlos_plugin_answer", "-nostartfiles")
    for change in ("replace", "touch"):
        with temporary_directory() as directory, keeping() as (session, keeper):
            path = os.path.join(directory, "libmloschanging.so")
            shutil.copy(old, path)
            _kept(session, keeper, path)
            evictions = session.segment.cache_evictions
            if change == "replace":
                shutil.copy(new, path + ".new")
                os.rename(path + ".new", path)
            else:
                os.utime(path, ns=(1, 1))
            keeper.say(f"open 0 {path} n") if change == "touch" else keeper.say(f"open 0 {path} l")
            equal(session.segment.cache_evictions, evictions + 1, f"{change}: the old one is closed for good")


@case
def noload_finds_nothing_that_was_closed():
    path = _plugin()
    with temporary_directory() as directory, keeping(include="") as (session, keeper):
        other = os.path.join(directory, "other.so")
        os.symlink(path, other)
        for name, flags in ((path, "no"), (other, "no"), ("libmloskept.so", "no")):
            equal(_kept(session, keeper, path)["flags"] & CLOSED, CLOSED, "kept")
            equal((keeper.say(f"open 1 {name} {flags}"), keeper.say(f"loaded {path}")), ("none", "0"), name)
        # The same file by another name has that name.
        _kept(session, keeper, path)
        keeper.say(f"open 1 {other} n")
        equal(keeper.say(f"loaded {other}"), "1", "its new name")


@case
def a_needed_name_is_not_answered_by_a_closed_library():
    named = _plugin("libmlosnamed.so", "-Wl,-soname,libmlosnamed.so")
    other = _plugin("libmloskept.so")
    with keeping(include="") as (session, keeper):
        equal(_kept(session, keeper, named)["flags"] & CLOSED, CLOSED, "kept")
        keeper.say(f"open 1 {other} n")
        equal(keeper.say(f"loaded {named}"), "0", "gone before something else is loaded")
        equal(_kept(session, keeper, named)["flags"] & CLOSED, CLOSED, "kept")
        keeper.say(f"open 2 {other} n")
        equal(keeper.say(f"loaded {named}"), "1", "an open library is nothing new")


@case
def what_is_in_the_global_scope_is_not_kept():
    path = _plugin()
    with keeping() as (session, keeper):
        equal(_kept(session, keeper, path, flags="ng")["state"], 2, "opened with RTLD_GLOBAL")
        _kept(session, keeper, path)
        keeper.say(f"open 0 {path} ng")
        keeper.say("close 0")
        equal(keeper.say(f"loaded {path}"), "0", "promoted when it came back")


@case
def a_library_closed_once_too_often_is_gone():
    path = _plugin()
    with keeping(include="") as (session, keeper):
        _kept(session, keeper, path)
        keeper.say(f"open 0 {path} n")
        keeper.say(f"open 1 {path} n")
        keeper.say("close 0")
        equal(keeper.say("call 1 mlos_plugin_answer"), "42", "another handle")
        keeper.say("close 1")
        equal(keeper.say(f"loaded {path}"), "1", "kept")


@case
def each_hazard_refuses_an_eviction_while_it_holds():
    for begin, end, reason, detail in (
            ("take_signal", "give_signal", SIGNAL_HANDLER, 12), ("make_key", "delete_key", KEY_DESTRUCTOR, 0),
            ("at_exit", None, EXIT_HANDLER, 0)):
        path = _library("hazards.c", "libmloshazards.so")
        with keeping() as (session, keeper):
            row = _kept(session, keeper, path, before_close=[f"call 0 {begin}"])
            equal(row["flags"] & CLOSED, CLOSED, "kept")
            _refused(session, row, reason, detail)
            if end:
                _kept(session, keeper, path, before_close=[f"call 0 {end}"])
                _evicted(session, keeper, row)
            else:
                # Its function runs at the end.
                equal(keeper.say(f"loaded {path}"), "1", "still there")


def _other_thread(session, keeper):
    tasks = {int(tid) for tid in os.listdir(f"/proc/{keeper.pid}/task")}
    return (tasks - {keeper.pid, session.segment.control_thread}).pop()


def _is_waiting(keeper, tid):
    with open(f"/proc/{keeper.pid}/task/{tid}/syscall") as file:
        return file.read().startswith("0 ")


@case
def a_thread_inside_refuses_an_eviction():
    path = _library("hazards.c", "libmloshazards.so")
    for begin, reason in (("start 0 wait_inside", THREAD_INSIDE), ("call 0 start_thread", THREAD_STARTED)):
        with keeping() as (session, keeper):
            keeper.say(f"open 0 {path} n")
            keeper.say(begin)
            tid = _other_thread(session, keeper)
            until(lambda: _is_waiting(keeper, tid), keeper, "the thread does not wait")
            keeper.say("close 0")
            session.command(REFRESH)
            row = session.segment.module("libmloshazards.so")
            _refused(session, row, reason, tid)
            keeper.say("wake")
            until(lambda: len(os.listdir(f"/proc/{keeper.pid}/task")) == 2, keeper, "the thread does not end")
            _evicted(session, keeper, row)


@case
def what_the_loader_keeps_is_told_with_its_reason():
    for path, reason, calls in (
            (_plugin("libmlospinned.so", "-Wl,-z,nodelete"), NODELETE, []),
            (_library("unique.cc", "libmlosunique.so"), UNIQUE_SYMBOL, []),
            (_library("local.cc", "libmloslocal.so"), TLS_DESTRUCTOR, ["call 0 touch"])):
        with keeping() as (session, keeper):
            row = _kept(session, keeper, path, before_close=calls)
            _refused(session, row, reason)
            _refused(session, session.segment.module(os.path.basename(path)), reason)
    with keeping() as (session, keeper):
        row = _kept(session, keeper, _plugin(), flags="nd")
        _refused(session, row, NODELETE)
    with keeping() as (session, keeper):
        keeper.say(f"open 0 {_plugin()} n")
        session.command(REFRESH)
        _refused(session, session.segment.module("libmloskept.so"), NOT_KEPT)
        equal(session.command(EVICT, 4711)[1], FAILED, "no such module")


@case
def a_library_that_another_needs_is_not_evicted():
    needed = _plugin("libmlosneeded.so", "-Wl,-soname,libmlosneeded.so")
    needing = _library("hazards.c", "libmlosneeding.so", f"-Wl,--no-as-needed,-rpath,{BUILD}", needed)
    with keeping() as (session, keeper):
        keeper.say(f"open 1 {needing} n")
        session.command(REFRESH)
        row = _kept(session, keeper, needed)
        _refused(session, row, NEEDED_BY, session.segment.module("libmlosneeding.so")["id"])
        keeper.say("close 1")
        session.command(REFRESH)
        _evicted(session, keeper, session.segment.module("libmlosneeding.so"))
        _evicted(session, keeper, session.segment.module("libmlosneeded.so"))


@case
def families_that_do_not_survive_it_are_not_evicted():
    for name, family, flags in (
            ("libgomp-1.so", OPENMP, ()), ("libiomp5.so", OPENMP, ()), ("libcudart.so", CUDA, ()), ("libQt5Core.so", QT, ()),
            ("libjvm.so", JVM, ()), ("libmlosgo.so", GO, ("-DGO",)), ("mlospython.so", PYTHON, ("-DPYTHON",))):
        path = _library("hazards.c", f"families/{name}", *flags)
        with keeping() as (session, keeper):
            _refused(session, _kept(session, keeper, path), FAMILY, family)


@case
def a_library_that_brought_such_a_one_is_not_evicted_either():
    runtime = _plugin("libgomp-brought.so", "-Wl,-soname,libgomp-brought.so")
    path = _library("hazards.c", "libmlosbringing.so", f"-Wl,--no-as-needed,-rpath,{BUILD}", runtime)
    with keeping() as (session, keeper):
        _refused(session, _kept(session, keeper, path), FAMILY, OPENMP)


@case
def a_forked_child_goes_on_with_what_is_kept():
    path = _plugin()
    with keeping(include="") as (session, keeper):
        row = _kept(session, keeper, path)
        equal(keeper.say(f"fork 0 {path}"), "0", "the child")
        equal(keeper.say(f"cycles 10 {path}") == "failed", False, "the parent")
        _evicted(session, keeper, row)


@case
def without_a_thread_an_eviction_waits_for_a_tick():
    path = _plugin()
    with session_with(Keeper, MLOS_AGENT_THREAD="never") as (session, keeper):
        keeper.say(f"open 0 {path} n")
        keeper.say("close 0")
        until(lambda: (session.segment.module("libmloskept.so") or {"flags": 0})["flags"] & CLOSED, keeper, "not kept")
        session.send_command(EVICT, session.segment.module("libmloskept.so")["id"])
        until(session.has_result, keeper, "no answer")
        equal(session.result()[1:], (OK, EVICT, 1), "evicted")


@case
def cycles_of_open_close_and_evict_end_well():
    """MLOS_TEST_FULL: a million cycles over the fixtures; otherwise some thousands."""
    paths = [_plugin(f"libmloskept{i}.so") for i in range(3)] + [
        _library("hazards.c", "libmloshazards.so"), _library("local.cc", "libmloslocal.so"),
        _library("unique.cc", "libmlosunique.so"), _library("hazards.c", "families/libmlosgo.so", "-DGO")]
    cycles, turns = (1000, 143) if os.environ.get("MLOS_TEST_FULL") else (20, 40)
    with keeping() as (session, keeper):
        done = 0
        for _ in range(turns):
            for path in paths:
                check(keeper.say(f"cycles {cycles} {path}") != "failed", path)
                done += cycles
                session.command(EVICT, 0, 1)
                row = session.segment.module(os.path.basename(path))
                if row:
                    session.command(EVICT, row["id"])
        check(session.segment.cache_evictions > turns, "evictions")
        check(session.segment.cache_reopens > done // 2, f"{session.segment.cache_reopens} of {done} reopened")
        equal(session.command(PING)[1], OK, "still there")


@case
def a_return_is_much_faster_than_a_load():
    """A real library: the first that is there."""
    for name in ("libicui18n.so.72", "libicui18n.so.70", "libicui18n.so.74", "libxml2.so.2"):
        path = os.path.realpath(f"/usr/lib/{os.uname().machine}-linux-gnu/{name}")
        if os.path.exists(path):
            break
    else:
        raise Skip("no large library here")
    seconds = {}
    for limit, times in (("0", 5), ("100", 50)):
        with Keeper("/nonexistent", MLOS_MODULE_CACHE=limit, MLOS_MODULE_CACHE_INCLUDE="*") as keeper:
            keeper.say(f"cycles 1 {path}")
            seconds[limit] = sorted(float(keeper.say(f"cycles 1 {path}").split()[0]) for _ in range(times))[times // 2]
    # A hundred times where nothing else runs; half of that must hold on any machine.
    check(seconds["0"] >= 50 * seconds["100"], f"{name}: {seconds['0'] * 1e6:.1f} us cold, {seconds['100'] * 1e6:.1f} us kept")
    print(f"     {name}: {seconds['0'] * 1e6:.0f} us loaded anew, {seconds['100'] * 1e6:.1f} us kept (medians)")
