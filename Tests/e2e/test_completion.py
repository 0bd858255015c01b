"""The completion scripts in the shells they are for: what is typed, Tab, what then stands there."""

from __future__ import annotations

import os
import shutil
import unittest

from harness import BUILD, MLOS, Case, environment, run
from tmux import MISSING, PROMPT, Terminal


class CompletionCase(Case):
    shell = ""

    def setUp(self) -> None:
        super().setUp()
        self.script = self.folder / f"completion.{self.shell}"
        self.script.write_text(run([MLOS, "completion", self.shell], text=True).stdout)
        tools = self.folder / "tools"
        tools.mkdir()
        program = tools / "unlikely-program"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        (self.folder / "unlikely-data").write_text("")
        self.variables = {"PATH": f"{tools}:{BUILD}:/usr/bin:/bin", "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder)}
        watch = self.supervisor()
        self.watched = self.program(watch.socket, "checkpoint('up')")
        self.watched.line()
        self.unwatched = self.program(None, "checkpoint('up')", preload=False)
        self.unwatched.line()

    def expected(self) -> list[tuple[str, str]]:
        """What is typed, and what it becomes; the blank at the end tells that it was one of those offered."""
        watched, unwatched = self.watched.pid, self.unwatched.pid
        return [
            ("mlos pack", "mlos packages "),
            ("mlos run unlikely-p", "mlos run unlikely-program "),
            ("mlos run -- unlikely-p", "mlos run -- unlikely-program "),
            ("mlos run --keep-alive unlikely-p", "mlos run --keep-alive unlikely-program "),
            ("mlos run unlikely-program unlikely-d", "mlos run unlikely-program unlikely-data "),
            ("mlos help eve", "mlos help events "),
            ("mlos ps --sort pri", "mlos ps --sort private "),
            ("mlos ps --sort=pri", "mlos ps --sort=private "),
            ("mlos heap --by=al", "mlos heap --by=allocated "),
            ("mlos events --kind=unl", "mlos events --kind=unloaded "),
            (f"mlos modules {watched}", f"mlos modules {watched} "),
            (f"mlos heap {watched}", f"mlos heap {watched} "),
            (f"mlos packages --pid {watched}", f"mlos packages --pid {watched} "),
            (f"mlos packages --pid={watched}", f"mlos packages --pid={watched} "),
            (f"mlos top --pid {watched}", f"mlos top --pid {watched} "),
            (f"mlos events --pid {watched}", f"mlos events --pid {watched} "),
            (f"mlos adopt {unwatched}", f"mlos adopt {unwatched} "),
        ]

    def type_all(self, *prepare: str) -> None:
        terminal = Terminal(self.folder, 100, 30, **self.variables)
        self.addCleanup(terminal.close)
        for line in (f"cd {self.folder}", *prepare):
            terminal.run(line)
        for number, (typed, wanted) in enumerate(self.expected()):
            with self.subTest(typed):
                terminal.run(f'clear; echo cleared-""{number + 1000}')
                # Keys that come before the prompt would not be the shell's.
                terminal.await_screen(
                    "a fresh prompt",
                    lambda lines: lines[0] == f"cleared-{number + 1000}" and lines[1].startswith(PROMPT))
                terminal.type(typed)
                terminal.press("Tab")
                # Only after the blank, if there is one, does the next word begin.
                terminal.type("next")
                terminal.await_screen(
                    f"{wanted}next", lambda lines: any(line.startswith(f"{PROMPT} {wanted}next") for line in lines))
            terminal.press("C-u")


@unittest.skipIf(MISSING, MISSING)
class Bash(CompletionCase):
    shell = "bash"

    def test_completes(self) -> None:
        self.type_all(f"source {self.script}")

    def test_completes_where_words_are_not_split_at_equals(self) -> None:
        self.type_all(f"source {self.script}", "COMP_WORDBREAKS=${COMP_WORDBREAKS//=}")


@unittest.skipIf(MISSING, MISSING)
@unittest.skipUnless(shutil.which("zsh"), "needs zsh: apt-get install zsh")
class Zsh(CompletionCase):
    shell = "zsh"

    def test_completes(self) -> None:
        (self.folder / ".zshrc").write_text(
            f"PS1='{PROMPT} '\nautoload -Uz compinit\ncompinit -D -u\nsource {self.script}\necho started\n")
        self.type_all("exec zsh -d")


@unittest.skipIf(MISSING, MISSING)
@unittest.skipUnless(shutil.which("fish"), "needs fish: apt-get install fish")
class Fish(CompletionCase):
    shell = "fish"

    def test_completes(self) -> None:
        (self.folder / "rc.fish").write_text(
            f"function fish_prompt; echo -n '{PROMPT} '; end\nset -g fish_greeting\nset -g fish_autosuggestion_enabled 0\n"
            f"source {self.script}\n")
        self.type_all(f"exec fish --no-config --init-command='source {self.folder}/rc.fish'".replace("'", '"'))


class Loading(Case):
    def test_scripts_are_read_without_a_word(self) -> None:
        for shell in ("bash", "zsh", "fish"):
            if not shutil.which(shell):
                print(f"not read by {shell}: apt-get install {shell}")
                continue
            script = self.folder / f"completion.{shell}"
            script.write_text(run([MLOS, "completion", shell], text=True).stdout)
            prepare = "autoload -Uz compinit; compinit -D -u; " if shell == "zsh" else ""
            done = run([shell, "-c", f"{prepare}source {script}"], text=True,
                env=environment(HOME=str(self.folder), XDG_RUNTIME_DIR=str(self.folder)))
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""), shell)


if __name__ == "__main__":
    unittest.main()
