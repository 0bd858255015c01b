"""pip installs the package from the tree, without a network and without setuptools."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@unittest.skipUnless(importlib.util.find_spec("pip"), "this Python has no pip")
class Install(unittest.TestCase):
    def test_it_is_installed_from_the_tree_and_leaves_nothing_there(self):
        before = sorted(os.listdir(PACKAGE))
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-cache-dir", "--target", folder, PACKAGE],
                capture_output=True, text=True, env={**os.environ, "TMPDIR": folder})
            self.assertEqual(done.returncode, 0, done.stderr)
            program = "import mlos; print(mlos.__file__, mlos.reclaim())"
            asked = subprocess.run([sys.executable, "-B", "-c", program], capture_output=True, text=True, cwd=folder,
                                   env={**os.environ, "PYTHONPATH": folder})
            self.assertEqual(asked.stdout, f"{folder}/mlos/__init__.py 0\n", asked.stderr)
            self.assertTrue(os.path.exists(f"{folder}/mlos/py.typed"))
        self.assertEqual(sorted(os.listdir(PACKAGE)), before)
