"""What the user is told when what was kept does not fit any more: settings, the journal, values that look like options."""

from __future__ import annotations

import unittest

from harness import MLOS, Case, run


class Told(Case):
    def mlos(self, socket: str, *words: str) -> tuple[int, str]:
        done = run([MLOS, *words, "--socket", socket], text=True)
        return done.returncode, done.stdout + done.stderr

    def test_a_negative_value_is_refused_as_a_value(self) -> None:
        watch = self.supervisor()
        for value in ("-5", "-1h", "-.5"):
            status, text = self.mlos(watch.socket, "config", "set", "unloading.balanced_timeout", value)
            self.assertEqual(status, 64, text)
            self.assertIn("must be", text)
        self.assertNotIn("-5", self.mlos(watch.socket, "config", "show")[1])

    def test_settings_that_do_not_fit_the_file_any_more_keep_nobody_from_starting(self) -> None:
        file = self.folder / "mlos.yaml"
        file.write_text("unloading: {conservative_timeout: 30m}\n")
        watch = self.supervisor("--config", str(file))
        self.assertEqual(self.mlos(watch.socket, "config", "set", "unloading.balanced_timeout", "20m")[0], 0)
        watch.stop()
        file.write_text("unloading: {conservative_timeout: 18m}\n")
        watch.start()
        log = watch.log.read_text()
        self.assertIn("not in force", log)
        self.assertIn("settings.json", log)
        self.assertRegex(self.mlos(watch.socket, "config", "show")[1], r"unloading.balanced_timeout +900s")
        status, text = self.mlos(watch.socket, "config", "unset", "unloading.balanced_timeout")
        self.assertEqual(status, 0, text)
        watch.stop()
        before = watch.log.read_text().count("not in force")
        watch.start()
        self.assertEqual(watch.log.read_text().count("not in force"), before, "mended")

    def test_a_damaged_journal_is_told_of_in_the_log_and_in_history(self) -> None:
        watch = self.supervisor()
        watch.stop()
        journal = self.folder / "journal.db"
        content = bytearray(journal.read_bytes())
        content[100:4096] = b"\xff" * 3996
        journal.write_bytes(content)
        watch.start()
        self.assertIn("set aside", watch.log.read_text())
        status, text = self.mlos(watch.socket, "history")
        self.assertEqual(status, 0, text)
        self.assertIn("damaged", text)
        notices = watch.get("/api/v1/notices")["notices"]
        self.assertEqual([notice["kind"] for notice in notices], ["replaced"])

    def test_why_of_a_process_that_does_not_hold_it_is_not_found(self) -> None:
        watch = self.supervisor()
        program = self.program(watch.socket, "checkpoint('up')")
        self.assertEqual(program.line(), "up")
        watch.wait_for(program.pid)
        status, text = self.mlos(watch.socket, "why", "libc6", "--pid", "1")
        self.assertEqual(status, 1, text)
        self.assertIn("it is in", text)


if __name__ == "__main__":
    unittest.main()
