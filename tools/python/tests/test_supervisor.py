"""The loader and a real supervisor; and what happens when there is none, or none that answers."""

import contextlib
import os
import socket
import subprocess
import tempfile
import threading
import unittest

import mlos
import waiting
from mlos import _supervisor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
DAEMON = os.path.join(ROOT, "build", "mlosd")
LIMIT_SECONDS = 60


@contextlib.contextmanager
def supervisor():
    """One of its own, and its client."""
    # Short: the path of a Unix socket is at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="mp.") as folder:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLOS_")}
        environment |= {"MLOS_JOURNAL_PATH": f"{folder}/journal.db", "XDG_STATE_HOME": folder, "STATE_DIRECTORY": folder,
                        "XDG_CONFIG_HOME": folder}
        reading, writing = os.pipe()
        with open(f"{folder}/log", "wb") as log:
            daemon = subprocess.Popen([DAEMON, "--socket", f"{folder}/agent.sock", "--ready-fd", str(writing)],
                                      pass_fds=[writing], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        os.close(writing)
        try:
            assert waiting.readable([reading], LIMIT_SECONDS) and os.read(reading, 1) == b"1", "mlosd is not ready"
            yield mlos.Supervisor(f"{folder}/control.sock")
        finally:
            os.close(reading)
            daemon.terminate()
            waiting.finish(daemon, LIMIT_SECONDS)


@unittest.skipUnless(os.path.exists(DAEMON), "there is no build/mlosd: tools/build makes it")
class WithSupervisor(unittest.TestCase):
    def test_settings_are_taken_from_it_and_told_to_it(self):
        with supervisor() as client:
            client.set("unloading.strategy", "aggressive")
            client.set("unloading.aggressive_timeout", "90s")
            loader = mlos.LazyLoader(client, keeps_time=False)
            self.assertEqual((loader.default_strategy, loader._timeout("any")), (mlos.UnloadingStrategy.AGGRESSIVE, 90.0))
            loader.set_unloading_strategy("torch", mlos.UnloadingStrategy.CONSERVATIVE)
            loader.set_user_preference_unload("zope.interface", False)
            settings = client.settings()
            self.assertEqual(settings["unloading.packages.torch.strategy"], "conservative")
            self.assertIn(settings['unloading.packages."zope.interface".allow_unload'], (False, "false"))
            loader.set_user_preference_unload("zope.interface", None)
            loader.set_user_preference_unload("zope.interface", None)
            self.assertNotIn('unloading.packages."zope.interface".allow_unload', client.settings())

    def test_its_totals_stand_beside_the_loaders_own(self):
        with supervisor() as client:
            metrics = mlos.LazyLoader(client, keeps_time=False).get_unloading_metrics()
            self.assertEqual((metrics["supervisor"]["schema"], metrics["total_unloads"]), ("mlos.totals/1", 0))
            self.assertEqual(client.status()["schema"], "mlos.status/1")

    def test_a_refusal_says_what_may_be_written(self):
        with supervisor() as client, self.assertRaises(mlos.SupervisorError) as caught:
            client.set("unloading.strategy", "fastest")
        self.assertEqual((caught.exception.status, caught.exception.code), (422, "invalid_request"))
        self.assertIn("fastest", str(caught.exception))


class Without(unittest.TestCase):
    def test_one_that_has_gone_is_done_without(self):
        loader = mlos.LazyLoader(mlos.Supervisor("/nonexistent/control.sock"), keeps_time=False)
        loader.set_unloading_strategy("torch", "aggressive")
        self.assertEqual(loader._timeout("torch"), 300.0)
        self.assertIsNone(loader.get_unloading_metrics()["supervisor"])

    def test_what_is_no_supervisor_is_said_to_be_none(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{folder}/control.sock")
            listener.listen(1)

            def answer():
                connection = listener.accept()[0]
                connection.recv(4096)
                connection.sendall(b"SSH-2.0-whatever\r\n\r\n")
                connection.close()

            thread = threading.Thread(target=answer)
            thread.start()
            with self.assertRaisesRegex(OSError, "is no supervisor"):
                mlos.Supervisor(f"{folder}/control.sock").status()
            thread.join()

    def test_its_socket_is_looked_for_where_the_command_line_looks(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
            before = os.environ.get("MLOS_SOCKET")
            os.environ["MLOS_SOCKET"] = f"{folder}/agent.sock"
            try:
                self.assertIsNone(mlos.Supervisor.find())
                listener.bind(f"{folder}/control.sock")
                self.assertEqual(mlos.Supervisor.find().path, f"{folder}/control.sock")
            finally:
                os.environ.pop("MLOS_SOCKET")
                if before is not None:
                    os.environ["MLOS_SOCKET"] = before

    def test_durations_are_read_as_it_writes_them(self):
        from mlos._loader import _seconds

        self.assertEqual([_seconds(text) for text in ("500ms", "60s", "5m", "2h", "1d", "90")], [0.5, 60, 300, 7200, 86400, 90])

    def test_a_packages_name_with_dots_is_in_quotes(self):
        self.assertEqual(_supervisor.package_key("torch", "strategy"), "unloading.packages.torch.strategy")
        self.assertEqual(_supervisor.package_key("a.b", "class"), 'unloading.packages."a.b".class')
