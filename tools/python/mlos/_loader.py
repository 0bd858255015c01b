"""The loader: which units there are, by which strategy they go, what came of it."""

from __future__ import annotations

import contextlib
import enum
import gc
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from . import _figures
from ._holding import Reloadable
from ._packages import LazyPackage
from ._supervisor import Supervisor, SupervisorError, package_key


class UnloadingStrategy(str, enum.Enum):
    """How long a unit may be idle: 5, 15 and 30 minutes, or what the supervisor's settings say."""

    AGGRESSIVE = "aggressive"
    BALANCED = "balanced"
    CONSERVATIVE = "conservative"


DEFAULT_SECONDS = {UnloadingStrategy.AGGRESSIVE: 300.0, UnloadingStrategy.BALANCED: 900.0, UnloadingStrategy.CONSERVATIVE: 1800.0}


def _strategy(value: object) -> UnloadingStrategy:
    try:
        return UnloadingStrategy(str(getattr(value, "value", value)).lower())
    except ValueError:
        known = ", ".join(one.value for one in UnloadingStrategy)
        raise ValueError(f"there is no strategy {value!r}; there are {known}") from None


def _seconds(text: str) -> float:
    """A duration as the supervisor writes it."""
    for unit, factor in (("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)):
        if text.endswith(unit):
            return float(text[: -len(unit)]) * factor
    return float(text)


class LazyLoader:
    """Keeps the units. One a process is enough: `get_lazy_loader()`.

    supervisor: settings are told to it and taken from it; None: the loader decides by itself.
    clock: seconds that only grow; tests bring their own, and call `expire`.
    """

    def __init__(
        self, supervisor: Supervisor | None = None, clock: Callable[[], float] = time.monotonic, keeps_time: bool = True
    ) -> None:
        self.clock = clock
        self.figures = _figures.Figures()
        self.supervisor = supervisor
        self.enabled = True
        self.default_strategy = UnloadingStrategy.BALANCED
        self._seconds = dict(DEFAULT_SECONDS)
        self._units: weakref.WeakSet[Reloadable] = weakref.WeakSet()
        self._packages: dict[str, LazyPackage] = {}
        self._strategies: dict[str, UnloadingStrategy] = {}
        self._preferences: dict[str, bool] = {}
        self._began = clock()
        self._keeps_time = keeps_time
        self._keeper: threading.Thread | None = None
        self._changed = threading.Condition()
        self._wakes_at: float | None = None
        self._take_settings()

    def _take_settings(self) -> None:
        if not self.supervisor:
            return
        try:
            settings = self.supervisor.settings()
        except (OSError, SupervisorError):
            # Not there, or another version: what is here does without.
            return
        self.enabled = str(settings.get("unloading.enabled", "true")).lower() != "false"
        with contextlib.suppress(ValueError):
            self.default_strategy = _strategy(settings.get("unloading.strategy", "balanced"))
        for strategy in UnloadingStrategy:
            with contextlib.suppress(ValueError, KeyError):
                self._seconds[strategy] = _seconds(str(settings[f"unloading.{strategy.value}_timeout"]))

    # Units

    def _add(self, unit: Reloadable, strategy: object) -> None:
        if strategy is not None:
            self._strategies[unit.name] = _strategy(strategy)
        self._units.add(unit)

    def lazy(
        self, name: str, *, strategy: object = None, release: Callable[[], object] | None = None
    ) -> Any:
        """A stand-in for the package that imports it when an attribute is first used. One a name.

        release: empties its caches when it is dropped, for packages that stay loaded: torch.cuda.empty_cache.
        """
        unit = self._packages.get(name)
        if unit is None:
            unit = self._packages[name] = LazyPackage(name, strategy=strategy, release=release, loader=self)
        elif strategy is not None:
            self._strategies[name] = _strategy(strategy)
        return unit.proxy

    def unload(self, name: str) -> list[_figures.Unload]:
        """Drops every unit of this name now, in use or not permitted excepted."""
        found = [unit for unit in list(self._units) if unit.name == name]
        if not found:
            known = ", ".join(sorted({unit.name for unit in list(self._units)})) or "none"
            raise KeyError(f"nothing here is called {name!r}; there are: {known}")
        return [unit.drop() for unit in found]

    # Settings

    def set_unloading_strategy(self, package: str, strategy: object) -> None:
        """How long the package, or the `Reloadable` of that name, may be idle; the supervisor is told too, if it is there.

        Raises ValueError for an unknown strategy, SupervisorError when the supervisor refuses.
        """
        chosen = _strategy(strategy)
        self._strategies[package] = chosen
        self._tell(package_key(package, "strategy"), chosen.value)
        self._used()

    def set_user_preference_unload(self, package: str, allow: bool | None) -> None:
        """False: it is dropped only by hand; True and None: by its strategy and when memory is wanted."""
        if allow is None:
            self._preferences.pop(package, None)
        else:
            self._preferences[package] = bool(allow)
        self._tell(package_key(package, "allow_unload"), None if allow is None else str(bool(allow)).lower())
        self._used()

    def _tell(self, key: str, value: str | None) -> None:
        if self.supervisor:
            # Gone since: what was set here holds here all the same.
            with contextlib.suppress(OSError):
                self.supervisor.set(key, value)

    def _preference(self, name: str) -> bool | None:
        return self._preferences.get(name)

    def _timeout(self, name: str) -> float | None:
        if not self.enabled:
            return None
        return self._seconds[self._strategies.get(name, self.default_strategy)]

    # Idle units

    def expire(self, now: float | None = None) -> float | None:
        """Drops what has been idle long enough; returns the seconds until the next is, None if nothing waits for that."""
        now = self.clock() if now is None else now
        following: list[float] = []
        for unit in list(self._units):
            left = unit._due(now)
            if left is not None and left <= 0:
                strategy = self._strategies.get(unit.name, self.default_strategy)
                unit.drop(f"Usage pattern unloading ({strategy.value})", kind="usage_pattern")
                # What stays is asked again after another such time, not at once.
                unit.last_used = now
                left = unit._due(now)
            if left is not None:
                following.append(left)
        return min(following, default=None)

    def _used(self, unit: Reloadable | None = None) -> None:
        """A unit's time begins anew, or settings changed: the keeper must not sleep past what is next."""
        if not self._keeps_time or not self.enabled:
            return
        with self._changed:
            at = self.clock() + self._timeout(unit.name) if unit else None
            if self._keeper and self._keeper.is_alive() and at is not None and self._wakes_at is not None and self._wakes_at <= at:
                return
            if self._keeper is None or not self._keeper.is_alive():
                self._keeper = threading.Thread(target=self._keep, name="mlos-idle", daemon=True)
                self._keeper.start()
            self._wakes_at = self.clock()
            self._changed.notify()

    def _keep(self) -> None:
        while True:
            with self._changed:
                # From now on a use says when it wants to be looked at, and is seen below.
                self._wakes_at = None
            left = self.expire()
            with self._changed:
                if self._wakes_at is None:
                    self._wakes_at = None if left is None else self.clock() + left
                    self._changed.wait(left)

    # Figures

    def get_unloading_metrics(self) -> dict[str, Any]:
        """Counted here; `supervisor` is what the supervisor counted for all processes, None if it is not there."""
        totals = None
        if self.supervisor:
            with contextlib.suppress(OSError, SupervisorError):
                totals = self.supervisor.totals()
        return self.figures.metrics() | {"supervisor": totals}

    def get_unloading_performance_impact_analysis(self) -> dict[str, Any]:
        """What unloading brought and cost. Scores are None before the first attempt."""
        units, figures = list(self._units), self.figures
        megabyte = 1 << 20
        return {
            "total_packages": len(units),
            "loaded_packages": sum(unit.is_loaded for unit in units),
            "unloaded_packages": sum(not unit.is_loaded for unit in units),
            "total_memory_freed_mb": figures.freed_bytes / megabyte,
            "average_memory_per_package_mb": figures.freed_bytes / megabyte / len(units) if units else None,
            "total_unload_time_seconds": figures.seconds,
            "average_unload_time_seconds": figures.seconds / figures.total if figures.total else None,
            **figures.efficiency(),
            "recommendations": _figures.recommendations(figures, self.clock() - self._began),
        }

    def get_packages(self) -> dict[str, Any]:
        """All units, by name."""
        rows = {}
        for unit in sorted(list(self._units), key=lambda one: one.name):
            rows[unit.name] = {
                "name": unit.name, "is_loaded": unit.is_loaded,
                "unloading_strategy": self._strategies.get(unit.name, self.default_strategy).value,
                "user_preference_unload": self._preference(unit.name),
                "last_used": None if unit.last_used is None else time.time() - (self.clock() - unit.last_used),
                "unload_attempt_count": unit.figures.total, "unload_failure_count": unit.figures.failed,
                "unloading_metrics": unit.figures.short(),
            }
        return {"packages": rows, "total_packages": len(rows), "loaded_packages": sum(row["is_loaded"] for row in rows.values())}

    def force_garbage_collection(self) -> dict[str, Any]:
        """Python's collector, now; what is resident before and after."""
        before = _figures.resident_bytes()
        collected = gc.collect()
        after = _figures.resident_bytes()
        return {"memory_before": before, "memory_after": after, "memory_freed": max(before - after, 0),
                "objects_collected": collected, "garbage_collection_time": time.time()}

    def _after_fork(self) -> None:
        self._keeper = None
        self._changed = threading.Condition()


_loader: LazyLoader | None = None
_lock = threading.Lock()


def get_lazy_loader() -> LazyLoader:
    """This process's loader, which talks to the supervisor if that was there when it was first asked for."""
    global _loader
    with _lock:
        if _loader is None:
            _loader = LazyLoader(Supervisor.find())
        return _loader


def lazy(name: str, *, strategy: object = None, release: Callable[[], object] | None = None) -> Any:
    """`get_lazy_loader().lazy`: torch = mlos.lazy("torch", strategy=mlos.UnloadingStrategy.AGGRESSIVE)"""
    return get_lazy_loader().lazy(name, strategy=strategy, release=release)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    if _loader:
        _loader._after_fork()


os.register_at_fork(after_in_child=_after_fork)
