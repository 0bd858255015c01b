"""Cooperates with MLOS: gives memory back when the supervisor asks, and says when it must not.

Works without the agent too: then nobody asks, and what is idle is still dropped. Guide: docs/cooperating.md.

Threads: everything here may be called from any thread. A reclaim callback runs on a thread of the agent's, with the
interpreter's lock. Fork: a child has the registrations of its parent, and the uses and busy regions of the thread that forked.
Sub-interpreters: registering is refused in all but the main one, since the agent's thread can enter no other.
"""

from ._agent import agent_version, busy, is_busy
from ._figures import Unload
from ._holding import Reloadable
from ._loader import LazyLoader, UnloadingStrategy, get_lazy_loader, lazy
from ._reclaim import Registration, on_reclaim, reclaim
from ._supervisor import Supervisor, SupervisorError

__all__ = [
    "LazyLoader", "Registration", "Reloadable", "Supervisor", "SupervisorError", "Unload", "UnloadingStrategy",
    "agent_version", "busy", "get_lazy_loader", "is_busy", "lazy", "on_reclaim", "reclaim",
]
