"""What can be dropped and loaded again."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import _agent, _figures
from ._reclaim import on_reclaim

if TYPE_CHECKING:
    from ._loader import LazyLoader

T = TypeVar("T")
_ABSENT: Any = object()
_units: weakref.WeakSet[Reloadable] = weakref.WeakSet()


class Reloadable(Generic[T]):
    """Something that `load` makes, dropped when it is idle or the supervisor asks, and made again at its next use.

        model = mlos.Reloadable(lambda: onnxruntime.InferenceSession(path), name="classifier")

        def answer(inputs):
            with model.get() as session:
                return session.run(None, inputs)

    It is never dropped while it is used. It is gone only when nobody else holds it: keep no name bound to it after the
    block (a function's end unbinds its own), or use `model.use(lambda session: session.run(None, inputs))`.

    load: called without arguments, by one thread at a time; what it raises reaches the user, and nothing is held then.
    strategy: see `LazyLoader.set_unloading_strategy`. release: called after the drop, to empty caches outside (torch.cuda's).
    mark_busy: whether a use is a busy region of the whole process too, so that no other callback is asked meanwhile.
    """

    def __init__(
        self, load: Callable[[], T], *, name: str | None = None, strategy: object = None,
        release: Callable[[], object] | None = None, mark_busy: bool = True, loader: LazyLoader | None = None,
    ) -> None:
        if not callable(load):
            raise TypeError(f"Reloadable needs a function that loads, not {type(load).__name__}: write `lambda: ...` around it")
        if loader is None:
            from ._loader import get_lazy_loader

            loader = get_lazy_loader()
        self.name = name or getattr(load, "__name__", "reloadable")
        self.figures = _figures.Figures()
        self.last_used: float | None = None
        self._load, self._release, self._mark_busy = load, release, mark_busy
        self._loader = loader
        self._lock = threading.RLock()
        self._value: Any = _ABSENT
        self._users: dict[int, int] = {}
        self._size = 0
        self._registration: weakref.finalize | None = None
        self._was_refused = False
        _units.add(self)
        loader._add(self, strategy)

    @property
    def is_loaded(self) -> bool:
        return self._value is not _ABSENT

    @property
    def is_in_use(self) -> bool:
        return bool(self._users)

    @contextlib.contextmanager
    def get(self) -> Iterator[T]:
        """A use of it: `with model.get() as value`. Loads it if it is not there."""
        here = threading.get_ident()
        with contextlib.ExitStack() as stack:
            if self._mark_busy:
                stack.enter_context(_agent.busy())
            with self._lock:
                if self._value is _ABSENT:
                    self._bring()
                self._users[here] = self._users.get(here, 0) + 1
                value = self._value
            try:
                yield value
            finally:
                del value
                self._end_use(here)

    def use(self, function: Callable[[T], Any]) -> Any:
        """What the function returns for it; a use that leaves no name behind."""
        with self.get() as value:
            try:
                return function(value)
            finally:
                del value

    def _bring(self) -> None:
        before, began = _figures.resident_bytes(), time.perf_counter()
        self._value = self._load()
        seconds = time.perf_counter() - began
        self._size = max(_figures.resident_bytes() - before, 0)
        for figures in (self.figures, self._loader.figures):
            figures.loaded(seconds)
        self._register()

    def _register(self) -> None:
        """Only while there is something to free: who frees nothing three times is not asked any more."""
        self._was_refused = False
        # Weakly: who lets go of the whole lets go of what it holds.
        method = weakref.WeakMethod(self._asked)

        def ask(wanted: int) -> int:
            asked = method()
            return asked(wanted) if asked else 0

        with contextlib.suppress(RuntimeError):
            self._registration = weakref.finalize(self, on_reclaim(ask, name=self.name).cancel)

    def _unregister(self) -> None:
        registration, self._registration = self._registration, None
        if registration:
            registration()

    def _end_use(self, thread: int) -> None:
        with self._lock:
            self.last_used = self._loader.clock()
            left = self._users.get(thread, 0) - 1
            if left > 0:
                self._users[thread] = left
            else:
                self._users.pop(thread, None)
            if not self._users and self._was_refused and self.is_loaded:
                self._unregister()
                self._register()
        self._loader._used(self)

    def _asked(self, wanted: int) -> int:
        unload = self.drop("Memory pressure unloading (reclaim)", kind="memory_pressure", wait=False)
        if not unload.is_done:
            self._was_refused = True
            return 0
        # What it took when it was loaded: the allocator may give it back later, when it is trimmed.
        return max(unload.freed_bytes, self._size, 1)

    def drop(self, reason: str = "Manual unloading", *, kind: str = "manual", wait: bool = True) -> _figures.Unload:
        """Drops it unless it is used. Says what came of it; never raises for what it could not do.

        wait: for a load that is under way, else that counts as a use.
        """
        if not self._lock.acquire(blocking=wait):
            return self._told(_figures.Unload(self.name, reason, False, obstacle="in-use"), kind)
        try:
            obstacle = self._obstacle(kind)
            if obstacle:
                return self._told(_figures.Unload(self.name, reason, False, obstacle=obstacle), kind)
            before, began = _figures.resident_bytes(), time.perf_counter()
            stays = self._let_go()
            freed = max(before - _figures.resident_bytes(), 0)
            unload = _figures.Unload(self.name, reason, stays is None, freed, time.perf_counter() - began, stays)
        finally:
            self._lock.release()
        # Not under the lock: it waits for the callback, and that may want it. What the callback finds is not loaded.
        if not self.is_loaded:
            self._unregister()
        return self._told(unload, kind)

    def _obstacle(self, kind: str) -> str | None:
        if not self.is_loaded:
            return "not-loaded"
        if self._users:
            return "in-use"
        return "user-preference" if kind != "manual" and self._loader._preference(self.name) is False else None

    def _let_go(self) -> str | None:
        """What stays, if anything."""
        try:
            alive = weakref.ref(self._value)
        except TypeError:
            alive = None
        self._value = _ABSENT
        gc.collect()
        if self._release:
            self._release()
        return "still-referenced" if alive is not None and alive() is not None else None

    def _told(self, unload: _figures.Unload, kind: str) -> _figures.Unload:
        # Nothing was tried where there was nothing.
        if unload.obstacle != "not-loaded":
            for figures in (self.figures, self._loader.figures):
                figures.unloaded(unload, kind, time.time())
        return unload

    def _due(self, now: float) -> float | None:
        """Seconds until it has been idle long enough; None: it is not to be dropped for that."""
        timeout = self._loader._timeout(self.name)
        if not self.is_loaded or self._users or timeout is None or self._loader._preference(self.name) is False:
            return None
        return (self.last_used if self.last_used is not None else now) + timeout - now

    def _after_fork(self) -> None:
        """Others' uses ended with their threads; a load of theirs did not come to its end."""
        here = threading.get_ident()
        self._lock = threading.RLock()
        self._users = {here: self._users[here]} if here in self._users else {}

    def __repr__(self) -> str:
        state = "in use" if self._users else "loaded" if self.is_loaded else "not loaded"
        return f"<{type(self).__name__} {self.name!r}, {state}>"


def _after_fork() -> None:
    for unit in list(_units):
        unit._after_fork()


os.register_at_fork(after_in_child=_after_fork)
