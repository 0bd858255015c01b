"""What was unloaded and what came of it, counted. The names are those of the seed's API; what is not known is None."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import Any

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Of this process, from /proc."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * _PAGE


@dataclass(frozen=True)
class Unload:
    """What came of one attempt. `freed_bytes` is how much less was resident right after it: an allocator may hold the rest."""

    name: str
    reason: str
    is_done: bool
    freed_bytes: int = 0
    seconds: float = 0.0
    obstacle: str | None = None
    """Why it was not done, or what stayed: not-loaded, in-use, user-preference, still-referenced, extension-module."""


@dataclass
class Figures:
    """Sums over attempts, of one unit or of all."""

    total: int = 0
    successful: int = 0
    failed: int = 0
    freed_bytes: int = 0
    seconds: float = 0.0
    last_at: float | None = None
    reasons: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    loads: int = 0
    load_seconds: float = 0.0
    lock: Any = field(default_factory=threading.Lock, repr=False, compare=False)

    def loaded(self, seconds: float) -> None:
        with self.lock:
            self.loads += 1
            self.load_seconds += seconds

    def unloaded(self, unload: Unload, kind: str, at: float) -> None:
        with self.lock:
            self.total += 1
            self.successful += unload.is_done
            self.failed += not unload.is_done
            self.freed_bytes += unload.freed_bytes
            self.seconds += unload.seconds
            self.last_at = at
            self.reasons[unload.reason] = self.reasons.get(unload.reason, 0) + 1
            self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def short(self) -> dict[str, Any]:
        """The fields of one package."""
        return {
            "total_unloads": self.total, "successful_unloads": self.successful, "failed_unloads": self.failed,
            "total_memory_freed": self.freed_bytes,
            "average_memory_freed_per_unload": self.freed_bytes // self.total if self.total else None,
            "unload_success_rate": self.successful / self.total if self.total else None,
            "last_unload_time": self.last_at,
        }

    def metrics(self) -> dict[str, Any]:
        return self.short() | {
            "total_unload_time": self.seconds,
            "average_unload_time": self.seconds / self.total if self.total else None,
            "unload_reasons": dict(self.reasons),
            "performance_impact_score": self.efficiency()["performance_impact_score"],
            **{f"{kind}_unloads": self.kinds.get(kind, 0)
               for kind in ("memory_pressure", "usage_pattern", "user_preference", "adaptive")},
        }

    def efficiency(self) -> dict[str, float | None]:
        """Shares of 0 to 1, None before the first attempt. time: of the attempts' and reloads' seconds, those that were not
        spent on reloading what had been unloaded; memory: attempts' bytes beside what the process holds now."""
        if not self.total:
            return dict.fromkeys(("memory_efficiency", "time_efficiency", "success_efficiency", "performance_impact_score"))
        reloads = max(self.loads - 1, 0)
        reload_seconds = self.load_seconds / self.loads * reloads if self.loads else 0.0
        spent = self.seconds + reload_seconds
        shares = {
            "memory_efficiency": self.freed_bytes / max(self.freed_bytes + resident_bytes(), 1),
            "time_efficiency": 1 - reload_seconds / spent if spent else 1.0,
            "success_efficiency": self.successful / self.total,
        }
        return {**shares, "performance_impact_score": sum(shares.values()) / 3}


def recommendations(figures: Figures, seconds: float) -> list[dict[str, str]]:
    """The seed's rules. Frequent: more than six attempts a minute over `seconds`, the age of the loader."""
    found = []
    if figures.total and figures.successful / figures.total < 0.8:
        found.append({"type": "warning", "message": "Low unload success rate", "priority": "high",
                      "suggestion": "Review who else holds what is unloaded, and the order of unloading"})
    if figures.successful and figures.freed_bytes / figures.successful < 1 << 20:
        found.append({"type": "info", "message": "Low memory savings per unload", "priority": "low",
                      "suggestion": "Leave out what is small, or let the supervisor trim the allocator afterwards"})
    if figures.total > 6 * max(seconds / 60, 1):
        found.append({"type": "info", "message": "High unload frequency detected", "priority": "medium",
                      "suggestion": "Consider using more conservative unloading strategy"})
    return found
