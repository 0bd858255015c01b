"""operator new and delete: the same ones are called with and without the agent, whoever defines them and wherever."""

import os

from allocators import _installed
from harness import AGENT, BUILD, FIXTURES, case, check, compile_fixture, equal, run

PLUGIN = ("-std=c++17", "-O2", "-shared", "-fPIC", "-Wl,-rpath,$ORIGIN")
VERSIONS = "-Wl,--version-script=" + os.path.join(FIXTURES, "operators_versions.map")


def _cxx(source, *flags, output, libraries=()):
    return compile_fixture(source, *flags, output=output, compiler="c++", libraries=libraries)


def _commands():
    """Who replaces the operators, and how it comes into the process."""
    replaced = os.path.join(FIXTURES, "operators_replaced.cc")
    plain = _cxx("operators_user.cc", *PLUGIN, output="libopplain.so")
    own = _cxx("operators_user.cc", *PLUGIN, output="libopown.so", libraries=[replaced])
    symbolic = _cxx("operators_user.cc", *PLUGIN, "-Wl,-Bsymbolic", output="libopsymbolic.so", libraries=[replaced])
    versioned = _cxx("operators_user.cc", *PLUGIN, VERSIONS, output="libopversioned.so", libraries=[replaced])
    static = _cxx("operators_user.cc", *PLUGIN, "-static-libstdc++", output="libopstatic.so")
    library = _cxx("operators_replaced.cc", *PLUGIN, output="libopreplaced.so")
    needs = _cxx("operators_user.cc", *PLUGIN, output="libopneeds.so", libraries=["-Wl,--no-as-needed", library])
    host = compile_fixture("operators_host.c", output="operators-host", libraries=["-ldl"])
    program = ("-std=c++17", "-O2", "-DMLOS_WITH_MAIN", "-x", "c++", "-Wl,-rpath,$ORIGIN")
    main = _cxx("operators_user.cc", *program, output="operators-main", libraries=["-ldl"])
    main_own = _cxx("operators_user.cc", *program, output="operators-main-own", libraries=[replaced, "-ldl"])
    flat = ("-x", "none", "-Wl,--no-as-needed")
    main_linked = _cxx("operators_user.cc", *program, output="operators-main-linked", libraries=[*flat, library, "-ldl"])
    main_versioned = _cxx("operators_user.cc", *program, output="operators-main-versioned", libraries=[*flat, versioned, "-ldl"])
    libraries = (plain, own, symbolic, versioned, static, needs)
    for start in (host, main, main_own, main_linked, main_versioned):
        yield [start]
        for one in libraries:
            for way in "lgd":
                yield [start, way, one]
        for one, two in ((plain, own), (own, plain), (needs, plain), (plain, needs), (own, versioned), (static, own)):
            yield [start, "l", one, "l", two]
        yield [start, "g", library, "l", plain]
        yield [start, "g", library, "l", own]


@case
def the_same_operators_are_called():
    replaced = cells = 0
    for command in _commands():
        for variables in ({}, {"LD_BIND_NOW": "1"}):
            without = run(command, **variables)
            equal(run(command, preload=(AGENT,), **variables), without, " ".join(command))
            replaced += b"replaced: " in without[1] and b"replaced: 0" not in without[1]
            cells += 1
    check(cells >= 200 and replaced >= 60, f"{cells} cells, {replaced} with replaced operators")


@case
def the_same_operators_are_called_under_other_allocators():
    for path, _ in _installed():
        for command in _commands():
            without = run(command, preload=(path,))
            for order in ((AGENT, path), (path, AGENT)):
                equal(run(command, preload=order)[:2], without[:2], f"{order} {' '.join(command)}")
