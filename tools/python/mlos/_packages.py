"""Packages that are imported at the first use of an attribute."""

from __future__ import annotations

import gc
import importlib
import importlib.machinery
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._holding import Reloadable

if TYPE_CHECKING:
    from ._loader import LazyLoader

_EXTENSIONS = tuple(importlib.machinery.EXTENSION_SUFFIXES)


class LazyPackage(Reloadable[types.ModuleType]):
    """A package behind a proxy. Dropping it leaves extension modules in place, since CPython cannot unload them, and with
    them the whole package; a package of Python alone goes from sys.modules too, if it came there by this proxy."""

    def __init__(
        self, name: str, *, strategy: object = None, release: Callable[[], object] | None = None, loader: LazyLoader | None = None
    ) -> None:
        self._is_ours = False
        super().__init__(self._import, name=name, strategy=strategy, release=release, mark_busy=False, loader=loader)
        self.proxy = _Proxy(self)

    def _import(self) -> types.ModuleType:
        self._is_ours = self.name not in sys.modules
        return importlib.import_module(self.name)

    def _parts(self) -> list[str]:
        return [name for name in list(sys.modules) if name == self.name or name.startswith(self.name + ".")]

    def _has_extension(self) -> bool:
        specs = (getattr(sys.modules.get(name), "__spec__", None) for name in self._parts())
        return any(str(getattr(spec, "origin", None) or "").endswith(_EXTENSIONS) for spec in specs)

    def _let_go(self) -> str | None:
        if self._has_extension() or not self._is_ours:
            # It stays loaded, also for this proxy; its garbage and its caches can go all the same.
            gc.collect()
            if self._release:
                self._release()
            return "extension-module" if self._has_extension() else "still-referenced"
        for name in self._parts():
            sys.modules.pop(name, None)
        return super()._let_go()


class _Proxy(types.ModuleType):
    """Looks like the module. What is set on it is set on the module."""

    def __init__(self, unit: LazyPackage) -> None:
        super().__init__(unit.name)
        object.__setattr__(self, "_mlos_unit", unit)

    def __getattr__(self, name: str) -> Any:
        unit = object.__getattribute__(self, "_mlos_unit")
        with unit.get() as module:
            return getattr(module, name)

    def __setattr__(self, name: str, value: Any) -> None:
        unit = object.__getattribute__(self, "_mlos_unit")
        with unit.get() as module:
            setattr(module, name, value)

    def __dir__(self) -> list[str]:
        unit = object.__getattribute__(self, "_mlos_unit")
        with unit.get() as module:
            return dir(module)

    def __repr__(self) -> str:
        unit = object.__getattribute__(self, "_mlos_unit")
        return f"<lazy module {unit.name!r}, {'loaded' if unit.is_loaded else 'not loaded'}>"
