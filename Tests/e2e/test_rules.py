"""Rules while the supervisor runs: shown, checked, added, turned on and off, removed, and kept over a restart."""

from __future__ import annotations

import json
import os
import subprocess
import unittest

from harness import MLOS, MLOSD, Case, Supervisor, environment, run

IDLE = "rules:\n  - name: torch-when-idle\n    when: memory.level > 99.9% and package.torch.idle > 2m\n    then: {unload: torch}\n"
FULL = "rules: [{name: full, when: memory.level > 0.01%, then: {log: full}}]\n"


class Rules(Case):
    def watch(self, file: str = "", **variables: str) -> Supervisor:
        path = self.folder / "mlos.yaml"
        path.write_text(file)
        return self.supervisor(MLOS_CONFIG=str(path), **variables)

    def mlos(self, watch: Supervisor, *arguments: str, text: str = "") -> subprocess.CompletedProcess:
        return run([MLOS, *arguments, "--socket", watch.socket], input=text.encode(), text=True)

    def add(self, watch: Supervisor, text: str) -> subprocess.CompletedProcess:
        return self.mlos(watch, "rules", "add", "-", text=text)

    def send(self, watch: Supervisor, method: str, path: str, body: object = None) -> tuple[int, dict]:
        return watch.request(method, f"/api/v1/rules{path}", b"" if body is None else json.dumps(body).encode())

    def rules(self, watch: Supervisor) -> dict[str, dict]:
        return {rule["name"]: rule for rule in watch.get("/api/v1/rules")["rules"]}

    def test_a_rule_is_added_shown_and_outlives_a_restart(self) -> None:
        watch = self.watch("rules: [{name: night, when: swap.used > 900GiB, then: collect}]\n")
        done = self.add(watch, IDLE)
        self.assertRegex(done.stdout, rf"^torch-when-idle is added \(run time, by user {os.geteuid()} at \S+Z\)\n$", done.stderr)
        listed = self.mlos(watch, "rules").stdout.splitlines()
        self.assertEqual([line.split()[0] for line in listed], ["RULE", "night", "torch-when-idle", "2"])
        self.assertIn("mlos.yaml:1", listed[1])
        shown = self.mlos(watch, "rules", "show", "torch-when-idle").stdout
        for words in ("memory.level > 0.999 and package.torch.idle > 120s", "unload torch", "never", "rules:\n"):
            self.assertIn(words, shown)
        answer = json.loads(self.mlos(watch, "rules", "--json").stdout)
        self.assertEqual(answer["schema"], "mlos.rules/1")
        self.assertIsNone(answer["problem"])
        # The text that is shown is the text that is taken.
        row = self.rules(watch)["torch-when-idle"]
        self.assertEqual((row["is_runtime"], row["is_enabled"]), (True, True))
        self.assertEqual(self.add(watch, row["text"]).returncode, 0)
        self.assertEqual(self.rules(watch)["torch-when-idle"]["condition"], row["condition"])

        changes = watch.get("/api/v1/changes?limit=10")["changes"]
        self.assertEqual(changes[0]["key"], "rules.torch-when-idle")
        self.assertEqual((changes[0]["old"], json.loads(changes[0]["new"])["name"]), (None, "torch-when-idle"))
        self.assertEqual(changes[0]["requester"]["uid"], os.geteuid())

        self.assertEqual(watch.stop(), 0)
        watch.start()
        self.assertEqual(list(self.rules(watch)), ["night", "torch-when-idle"])
        self.assertEqual(self.mlos(watch, "rules", "remove", "torch-when-idle").stdout, "torch-when-idle is removed\n")
        self.assertEqual(list(self.rules(watch)), ["night"])
        self.assertIn("rules.torch-when-idle", self.mlos(watch, "history").stdout)

    def test_a_rule_that_was_added_fires_and_says_so(self) -> None:
        watch = self.watch()
        self.assertEqual(self.add(watch, FULL).returncode, 0)
        def fired() -> dict | None:
            row = self.rules(watch)["full"]
            return row if row["firings"] else None
        row = watch.await_quietly("the rule fires", fired)
        self.assertIn(row["state"], ("fired", "cooling-down"))
        self.assertIsNotNone(row["last_fired_at"])
        self.assertIsNotNone(row["holds_since"])
        self.assertIn("full", watch.log.read_text())

    def test_what_a_rule_has_set_is_shown_as_the_rules_and_ends_with_it(self) -> None:
        watch = self.watch()
        text = "rules: [{name: full, when: memory.level > 0.01%, then: [{strategy: aggressive}, {deny: torch}]}]\n"
        self.assertEqual(self.add(watch, text).returncode, 0)
        def shown() -> dict[str, dict] | None:
            rows = {row["key"]: row for row in watch.get("/api/v1/config")["settings"]}
            return rows if rows["unloading.strategy"]["origin"] == "rule full" else None
        rows = watch.await_quietly("the rule sets", shown)
        self.assertEqual(rows["unloading.strategy"]["value"], "aggressive")
        denied = rows["unloading.packages.torch.allow_unload"]
        self.assertEqual((denied["value"], denied["origin"]), ("false", "rule full"))
        self.assertTrue(denied["summary"])
        self.assertIn("rule full", self.mlos(watch, "config", "show", "--origin").stdout)
        self.assertEqual(self.mlos(watch, "rules", "remove", "full").returncode, 0)
        rows = {row["key"]: row for row in watch.get("/api/v1/config")["settings"]}
        self.assertEqual((rows["unloading.strategy"]["value"], rows["unloading.strategy"]["origin"]), ("balanced", "default"))
        self.assertNotIn("unloading.packages.torch.allow_unload", rows)
        self.assertRegex(
            self.mlos(watch, "history").stdout,
            r"unloading.strategy  changed  aggressive to balanced  by user \d+  what rule 'full' set has ended")

    def test_a_file_is_checked_as_json(self) -> None:
        wrong = ("rules:\n- {name: a, when: memory.level > 500%, then: collect}\n"
                 "- {name: b, when: swap.used > 1, after: c, then: collect}\n"
                 "- {name: c, when: swap.used > 1, after: b, then: collect}\n")
        done = run([MLOS, "rules", "check", "-", "--json"], input=wrong.encode(), text=True)
        self.assertEqual(done.returncode, 78)
        listing = json.loads(done.stdout)
        self.assertEqual((listing["schema"], listing["rules"]), ("mlos.rules-check/1", None))
        self.assertEqual([(m["line"], m["mistake"]) for m in listing["mistakes"]], [(2, "out-of-range"), (3, "circle")])
        done = run([MLOS, "rules", "check", "-", "--json"], input=IDLE.encode(), text=True)
        self.assertEqual((done.returncode, json.loads(done.stdout)["rules"]), (0, 1))

    def test_a_rule_of_a_file_is_turned_and_not_removed(self) -> None:
        watch = self.watch(FULL)
        self.assertRegex(self.mlos(watch, "rules", "disable", "full").stdout, r"full is disabled \(.*mlos.yaml:1, disabled by user")
        self.assertEqual(self.rules(watch)["full"]["is_enabled"], False)
        watch.stop()
        watch.start()
        self.assertEqual(self.rules(watch)["full"]["is_enabled"], False)
        status, answer = self.send(watch, "DELETE", "/full")
        self.assertEqual((status, answer["error"]["code"]), (409, "conflict"))
        self.assertIn("mlos rules disable full", answer["error"]["message"])
        self.assertRegex(self.mlos(watch, "rules", "enable", "full").stdout, r"full is enabled \(\S*mlos.yaml:1\)")
        status, answer = self.send(watch, "POST", "", {"text": FULL})
        self.assertEqual((status, answer["error"]["code"]), (409, "conflict"))
        self.assertIn("mlos.yaml:1", answer["error"]["message"])

    def test_what_is_wrong_is_said_where_it_is(self) -> None:
        watch = self.watch()
        wrong = IDLE.replace("idle > 2m", "idel > 2m")
        status, answer = self.send(watch, "POST", "", {"text": wrong, "file": "torch.yaml"})
        self.assertEqual(status, 422)
        self.assertEqual(answer["error"]["details"], {"line": "3", "column": "50", "mistake": "unknown-name", "field": "when"})
        self.assertEqual(
            answer["error"]["message"], "torch.yaml:3:50: a package has no metric 'idel'; did you mean 'idle'?")
        done = self.add(watch, wrong)
        self.assertEqual(done.returncode, 78)
        self.assertIn("standard input:3:50: a package has no metric 'idel'", done.stderr)
        for text in ("{", "", "\0", "rules: 1", "log.level: debug", "rules: [{name: x, when: memory.level > nan, then: collect}]"):
            status, answer = self.send(watch, "POST", "", {"text": text})
            self.assertEqual((status, answer["error"]["code"]), (422, "invalid_request"), text)
            self.assertIn("line", answer["error"]["details"], text)
        for body in ({}, {"text": IDLE, "enabled": True}, {"enabled": "no"}):
            self.assertEqual(self.send(watch, "PUT", "/torch-when-idle", body)[0], 422, body)
        self.assertEqual(self.send(watch, "PUT", "/other", {"text": IDLE})[0], 422)
        self.assertEqual(self.send(watch, "PUT", "/torch-when-idle", {"text": IDLE})[0], 200)
        for method, path, body in (("GET", "/torch-when-idel", None), ("DELETE", "/torch-when-idel", None),
                                   ("PUT", "/torch-when-idel", {"enabled": True})):
            status, answer = self.send(watch, method, path, body)
            self.assertEqual((status, answer["error"]["details"]), (404, {"nearest": "torch-when-idle"}))
        self.assertEqual(self.mlos(watch, "rules", "show", "torch-when-idel").returncode, 1)
        self.assertEqual(self.send(watch, "POST", "/torch-when-idle", {})[0], 405)

    def test_rules_that_do_not_go_together_change_nothing(self) -> None:
        watch = self.watch()
        pair = ("rules: [{name: a, when: swap.used > 1, after: b, then: collect}, "
                "{name: b, when: swap.used > 1, then: collect}]")
        self.assertEqual(self.send(watch, "POST", "", {"text": pair})[0], 200)
        before = (watch.folder / "rules.json").read_bytes()
        circle = "rules: [{name: b, when: swap.used > 1, after: a, then: collect}]"
        status, answer = self.send(watch, "POST", "", {"text": circle})
        self.assertEqual((status, answer["error"]["code"]), (409, "conflict"))
        self.assertIn("circle", answer["error"]["message"])
        self.assertEqual(answer["error"]["details"]["field"], "after")
        status, answer = self.send(watch, "DELETE", "/b")
        self.assertEqual((status, answer["error"]["code"]), (409, "conflict"))
        self.assertIn("there is no rule 'b'", answer["error"]["message"])
        many = "rules:\n" + "".join(f"- {{name: r{n}, when: swap.used > 1, then: log}}\n" for n in range(999))
        many = many.replace("then: log", "then: collect")
        status, answer = self.send(watch, "POST", "", {"text": many})
        self.assertEqual((status, answer["error"]["code"]), (409, "limit_reached"), answer)
        self.assertEqual((watch.folder / "rules.json").read_bytes(), before)
        self.assertEqual(list(self.rules(watch)), ["b", "a"])

    def test_a_state_folder_that_takes_nothing_leaves_the_rules(self) -> None:
        watch = self.watch()
        self.assertEqual(self.add(watch, FULL).returncode, 0)
        before = (watch.folder / "rules.json").read_bytes()
        # Where the draft would be there is a folder: not even root writes there.
        (watch.folder / ".rules.json.new").mkdir()
        done = self.add(watch, IDLE)
        self.assertEqual(done.returncode, 4)
        self.assertIn("rules.json: cannot be written", done.stderr)
        self.assertEqual(list(self.rules(watch)), ["full"])
        self.assertEqual((watch.folder / "rules.json").read_bytes(), before)
        (watch.folder / ".rules.json.new").rmdir()
        self.assertEqual(self.add(watch, IDLE).returncode, 0)

    def test_the_supervisor_starts_without_rules_it_cannot_read(self) -> None:
        watch = self.watch()
        self.assertEqual(self.add(watch, FULL).returncode, 0)
        watch.stop()
        path = watch.folder / "rules.json"
        torn = path.read_bytes()[:-20]
        path.write_bytes(torn)
        watch.start()
        self.assertIn("rules that were added at run time are not in force", watch.log.read_text())
        answer = watch.get("/api/v1/rules")
        self.assertEqual(answer["rules"], [])
        self.assertIn(str(path), answer["problem"])
        self.assertIn("not in force", self.mlos(watch, "rules").stdout)
        # It is somebody's to look at: nothing is written over it.
        done = self.add(watch, IDLE)
        self.assertEqual((done.returncode, path.read_bytes()), (4, torn))
        checked = run([MLOSD, "--check-config"], text=True, env=environment(**watch.variables))
        self.assertEqual(checked.returncode, 0)
        self.assertIn("not in force", checked.stderr)
        path.unlink()
        self.assertEqual(self.add(watch, IDLE).returncode, 0)
        self.assertIsNone(watch.get("/api/v1/rules")["problem"])

    def test_rules_that_the_files_leave_alone_are_said_and_can_be_removed(self) -> None:
        watch = self.watch(FULL)
        self.assertEqual(self.add(watch, "rules: [{name: b, when: swap.used > 1, after: full, then: collect}]").returncode, 0)
        watch.stop()
        (self.folder / "mlos.yaml").write_text("")
        watch.start()
        self.assertIn("there is no rule 'full'", watch.get("/api/v1/rules")["problem"])
        self.assertEqual(self.mlos(watch, "rules", "remove", "b").returncode, 0)
        self.assertIsNone(watch.get("/api/v1/rules")["problem"])

    def test_a_file_is_checked_without_a_supervisor(self) -> None:
        path = self.folder / "torch.yaml"
        path.write_text(IDLE)
        def check() -> subprocess.CompletedProcess:
            return run([MLOS, "rules", "check", str(path)], text=True)
        self.assertEqual(check().stdout, f"{path}: 1 rule, nothing is wrong\n")
        path.write_text(IDLE.replace("unload", "unlaod"))
        done = check()
        self.assertEqual((done.returncode, done.stdout), (78, ""))
        self.assertIn(f"{path}:4:12: there is no action 'unlaod'; did you mean 'unload: ...'?", done.stderr)
        self.assertEqual(run([MLOS, "rules", "check", str(self.folder / "none")], text=True).returncode, 78)


if __name__ == "__main__":
    unittest.main()
