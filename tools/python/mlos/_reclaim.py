"""Reclaim callbacks: what the supervisor's RECLAIM asks, in order of registration."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import threading
from collections.abc import Callable
from typing import Any

from . import _agent

LARGEST = (1 << 64) - 1
# The agent's limit, kept here too so that what is registered without an agent is refused as it would be with one.
LIMIT = 64

# Re-entrant: the collector may run a finalizer that cancels, while it is held.
_lock = threading.RLock()
_registrations: dict[int, Registration] = {}
_keys = itertools.count(1)


class _Raiser:
    """Hands an exception to sys.unraisablehook: its arguments' type cannot be made, the interpreter makes them for __del__."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __del__(self) -> None:
        raise self.error


class Registration:
    """One callback that may be asked to free memory, until `cancel`. As a context manager it is cancelled at the end."""

    def __init__(self, callback: _agent.Freer, name: str) -> None:
        self.name = name
        self.calls = 0
        self.errors = 0
        self.freed_bytes = 0
        self._callback = callback
        self._key = next(_keys)
        with _lock:
            if len(_registrations) >= LIMIT:
                raise RuntimeError(f"{LIMIT} reclaim callbacks are registered already: cancel one, or serve several caches by one")
            _registrations[self._key] = self
        self._number = _agent.register(name, _entry, self._key)

    @property
    def is_active(self) -> bool:
        """Whether an agent will ask it; without one only `mlos.reclaim` does."""
        return self._number != 0

    def _asked(self, wanted: int) -> int:
        self.calls += 1
        try:
            freed = self._callback(wanted) or 0
            freed = min(max(int(freed), 0), LARGEST)
        except BaseException as error:
            self.errors += 1
            raiser = _Raiser(error)
            del raiser
            return 0
        self.freed_bytes += freed
        return freed

    def cancel(self) -> None:
        """Ends it. Waits for the callback if it runs, unless called by it: hold no lock that it waits for."""
        with _lock:
            _registrations.pop(self._key, None)
            number, self._number = self._number, 0
        _agent.unregister(number)

    def __enter__(self) -> Registration:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<mlos.Registration {self.name!r}, asked {self.calls} times, freed {self.freed_bytes} bytes>"


def _dispatch(wanted: int, key: int) -> int:
    registration = _registrations.get(key)
    return registration._asked(wanted) if registration else 0


# One for all, for good: a callback that cancels itself must not free the code that is about to return.
_entry = _agent.Callback(_dispatch)


def on_reclaim(callback: _agent.Freer | None = None, *, name: str | None = None) -> Any:
    """Registers a callback that frees memory: it is told how many bytes are wanted and returns how many it freed.

    `on_reclaim(function)` returns the `Registration`; `with on_reclaim(function): ...` cancels it at the end; `@on_reclaim`
    and `@on_reclaim(name=...)` leave the function as it is, with the registration in its attribute `registration`.

    A callback that raises is reported by sys.unraisablehook and has freed 0. One that is late or frees nothing three times
    in a row is not asked any more by the agent: cancel, and register again when there is something to free.
    """
    if not _agent.in_main_interpreter():
        raise RuntimeError("reclaim callbacks can only be registered in the main interpreter: the agent's thread enters no other")
    if callback is None:
        return _decorator(name)
    if not callable(callback):
        raise TypeError(f"on_reclaim needs a function of the bytes wanted, not {type(callback).__name__}")
    return Registration(callback, name or getattr(callback, "__name__", "python"))


def _decorator(name: str | None) -> Callable[[_agent.Freer], _agent.Freer]:
    def register(function: _agent.Freer) -> _agent.Freer:
        function.registration = on_reclaim(function, name=name)  # type: ignore[attr-defined]
        return function

    return register


def reclaim(wanted: int = LARGEST) -> int:
    """Asks this process's callbacks as the agent would, until they freed what is wanted; returns what they say they freed."""
    freed = 0
    with _lock:
        registered = list(_registrations.values())
    for registration in registered:
        if freed >= wanted or _agent.is_busy():
            break
        freed += registration._asked(wanted - freed)
    return freed


def _cancel_all() -> None:
    """Before the interpreter ends: the agent's thread could not enter it any more."""
    with _lock:
        registered = list(_registrations.values())
    for registration in registered:
        with contextlib.suppress(Exception):
            registration.cancel()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()


atexit.register(_cancel_all)
os.register_at_fork(after_in_child=_after_fork)
