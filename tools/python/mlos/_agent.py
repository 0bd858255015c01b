"""The agent's five functions, as CInterpose/include/mlos_agent.h declares them; each does nothing without an agent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator

Callback = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64, ctypes.c_void_p)


class _Functions:
    """Looked up in what the process has loaded. The interpreter's lock is kept over calls that cannot wait."""

    def __init__(self) -> None:
        waits, returns_at_once = ctypes.CDLL(None), ctypes.PyDLL(None)
        self.is_there = hasattr(waits, "mlosagent_version")
        if not self.is_there:
            return
        self.version = returns_at_once.mlosagent_version
        self.version.restype = ctypes.c_uint32
        self.register = waits.mlosagent_register
        self.register.argtypes = [ctypes.c_char_p, Callback, ctypes.c_void_p]
        self.register.restype = ctypes.c_uint64
        # Waits for a callback that runs, which needs the interpreter's lock: it must be free meanwhile.
        self.unregister = waits.mlosagent_unregister
        self.unregister.argtypes = [ctypes.c_uint64]
        self.unregister.restype = None
        self.busy_begin = returns_at_once.mlosagent_busy_begin
        self.busy_end = returns_at_once.mlosagent_busy_end
        self.busy_begin.restype = self.busy_end.restype = None


_functions = _Functions()


def agent_version() -> int:
    """The version of the agent's cooperation functions; 0 when there is no agent in this process, or it is switched off."""
    return _functions.version() if _functions.is_there else 0


def register(name: str, callback: Callback, context: int) -> int:
    """The registration, 0 if the agent refused it or is not there. The caller keeps the callback alive until it ends."""
    return _functions.register(name.encode("utf-8", "replace"), callback, context) if _functions.is_there else 0


def unregister(registration: int) -> None:
    """When it returns the callback does not run; called by the callback itself it does not wait."""
    if registration:
        _functions.unregister(registration)


class _Busy:
    """Regions that are open, by thread: a forked child keeps those of the thread that forked, as the agent does."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_thread: dict[int, int] = {}

    def change(self, thread: int, by: int) -> None:
        with self.lock:
            left = self.by_thread.get(thread, 0) + by
            if left:
                self.by_thread[thread] = left
            else:
                self.by_thread.pop(thread, None)

    def after_fork(self) -> None:
        here = threading.get_ident()
        self.lock = threading.Lock()
        self.by_thread = {here: self.by_thread[here]} if here in self.by_thread else {}


_busy = _Busy()
os.register_at_fork(after_in_child=_busy.after_fork)


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """A region in which nothing is to be taken from this process: no callback is asked. Regions nest, over all threads."""
    here = threading.get_ident()
    if _functions.is_there:
        _functions.busy_begin()
    _busy.change(here, 1)
    try:
        yield
    finally:
        _busy.change(here, -1)
        if _functions.is_there:
            _functions.busy_end()


def is_busy() -> bool:
    """Whether any thread is in a busy region of this package's."""
    return bool(_busy.by_thread)


def in_main_interpreter() -> bool:
    """True too where Python cannot tell."""
    for module in ("_interpreters", "_xxsubinterpreters"):
        with contextlib.suppress(Exception):
            interpreters = __import__(module)
            current, main = interpreters.get_current(), interpreters.get_main()
            return (current[0] if isinstance(current, tuple) else current) == (main[0] if isinstance(main, tuple) else main)
    return True


Freer = Callable[[int], "int | None"]
