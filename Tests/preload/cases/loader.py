"""dlopen resolves exactly as without the agent."""

import os
import subprocess

from harness import AGENT, BUILD, case, check, compile_fixture, equal, run


def _build(optimization, tag):
    """A program and a caller library whose RPATH or RUNPATH alone finds the plugin."""
    directory = os.path.join(BUILD, f"loader{optimization}-{tag}")
    os.makedirs(os.path.join(directory, "plugins"), exist_ok=True)
    relative = os.path.relpath(directory, BUILD)
    dtags = "-Wl,--disable-new-dtags" if tag == "rpath" else "-Wl,--enable-new-dtags"
    compile_fixture("plugin.c", "-shared", "-fPIC", optimization, output=f"{relative}/plugins/libmlosplugin.so")
    compile_fixture("caller.c", "-shared", "-fPIC", optimization, "-Wl,-rpath,$ORIGIN/plugins", dtags,
                    output=f"{relative}/libmloscaller.so", libraries=["-ldl"])
    program = compile_fixture("matrix.c", optimization, output=f"{relative}/matrix", libraries=["-ldl"])
    return directory, program


@case
def the_dlopen_matrix_is_the_same():
    cells = 0
    for optimization in ("-O0", "-O2"):
        for tag in ("rpath", "runpath"):
            directory, program = _build(optimization, tag)
            for way in ("bare", "absolute", "origin", "noload", "deepbind", "dlmopen", "loaded-noload"):
                without = run([program, directory, way])
                with_agent = run([program, directory, way], preload=(AGENT,))
                equal(with_agent, without, f"{optimization} {tag} {way}")
                expected = b"not found" if way == "noload" else b"found"
                check(without[1].startswith(expected), f"{optimization} {tag} {way}: the fixture itself gave {without}")
                cells += 1
    check(cells == 28, "cells")


@case
def a_wrapper_that_returns_would_be_noticed():
    """The matrix is worth something: an ordinary interposer breaks it."""
    wrapper = compile_fixture("naive_wrapper.c", "-shared", "-fPIC", "-O0", output="libnaive.so", libraries=["-ldl"])
    directory, program = _build("-O2", "runpath")
    check(run([program, directory, "bare"])[1] != run([program, directory, "bare"], preload=(wrapper,))[1],
          "the naive wrapper went unnoticed")
