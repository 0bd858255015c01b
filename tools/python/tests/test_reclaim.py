"""Callbacks and busy regions in a process without an agent."""

import os
import sys
import threading
import unittest

import mlos
from mlos import _reclaim


class Callbacks(unittest.TestCase):
    def test_without_an_agent_everything_is_there_and_nobody_asks(self):
        self.assertEqual(mlos.agent_version(), 0)
        with mlos.on_reclaim(lambda wanted: 1) as registration:
            self.assertFalse(registration.is_active)

    def test_they_are_asked_in_order_until_enough_was_freed(self):
        asked = []

        def freeing(name, count):
            return lambda wanted: (asked.append((name, wanted)), count)[1]

        with mlos.on_reclaim(freeing("one", 100)), mlos.on_reclaim(freeing("two", 20)), mlos.on_reclaim(freeing("three", 3)):
            self.assertEqual(mlos.reclaim(110), 120)
        self.assertEqual(asked, [("one", 110), ("two", 10)])
        self.assertEqual(mlos.reclaim(), 0, "cancelled at the end")

    def test_one_that_raises_is_reported_and_has_freed_nothing(self):
        reported = []
        hook, sys.unraisablehook = sys.unraisablehook, lambda args: reported.append(args.exc_value)
        try:
            def fails(wanted):
                raise LookupError("the cache is broken")

            with mlos.on_reclaim(fails) as registration:
                self.assertEqual(mlos.reclaim(), 0)
        finally:
            sys.unraisablehook = hook
        self.assertEqual([str(error) for error in reported], ["the cache is broken"])
        self.assertEqual((registration.calls, registration.errors, registration.freed_bytes), (1, 1, 0))

    def test_what_it_returns_is_held_within_what_can_be(self):
        for returned, freed in ((None, 0), (-5, 0), (True, 1), (1 << 70, _reclaim.LARGEST)):
            with mlos.on_reclaim(lambda wanted, returned=returned: returned):
                self.assertEqual(mlos.reclaim(), freed)

    def test_as_a_decorator_it_leaves_the_function_as_it_is(self):
        @mlos.on_reclaim(name="decorated")
        def shrink(wanted):
            return 7

        self.assertEqual((shrink(1), mlos.reclaim(), shrink.registration.name), (7, 7, "decorated"))
        shrink.registration.cancel()
        shrink.registration.cancel()
        self.assertEqual(mlos.reclaim(), 0)

    def test_there_is_a_limit_that_is_said(self):
        held = [mlos.on_reclaim(lambda wanted: 0) for _ in range(_reclaim.LIMIT)]
        with self.assertRaisesRegex(RuntimeError, "64 reclaim callbacks.*cancel one"):
            mlos.on_reclaim(lambda wanted: 0)
        for one in held:
            one.cancel()

    def test_what_is_no_function_is_refused(self):
        with self.assertRaisesRegex(TypeError, "function of the bytes wanted, not int"):
            mlos.on_reclaim(3)


    def test_it_is_refused_in_a_sub_interpreter(self):
        try:
            import _xxsubinterpreters as interpreters
        except ImportError:
            self.skipTest("this Python has no module _xxsubinterpreters")
        reading, writing = os.pipe()
        inside = interpreters.create()
        # Where ctypes refuses to be imported there, so does the package.
        interpreters.run_string(inside, f"""if True:
            import os, sys
            sys.path[:0] = {sys.path!r}
            try:
                import mlos
                mlos.on_reclaim(lambda wanted: 1)
                word = b"registered"
            except (ImportError, RuntimeError) as error:
                word = b"refused"
            os.write({writing}, word)
            """)
        interpreters.destroy(inside)
        os.close(writing)
        self.assertEqual(os.read(reading, 100), b"refused")
        os.close(reading)


class Busy(unittest.TestCase):
    def test_regions_nest_and_nobody_is_asked_meanwhile(self):
        with mlos.on_reclaim(lambda wanted: 7):
            with mlos.busy():
                with mlos.busy():
                    self.assertTrue(mlos.is_busy())
                self.assertEqual((mlos.is_busy(), mlos.reclaim()), (True, 0))
            self.assertEqual((mlos.is_busy(), mlos.reclaim()), (False, 7))

    def test_another_threads_region_counts(self):
        begun, over = threading.Event(), threading.Event()

        def work():
            with mlos.busy():
                begun.set()
                over.wait()

        thread = threading.Thread(target=work)
        thread.start()
        begun.wait()
        self.assertTrue(mlos.is_busy())
        over.set()
        thread.join()
        self.assertFalse(mlos.is_busy())

    def test_a_region_ends_when_its_block_raises(self):
        with self.assertRaises(KeyError), mlos.busy():
            raise KeyError
        self.assertFalse(mlos.is_busy())

    def test_a_forked_child_has_the_regions_of_its_thread(self):
        begun, over = threading.Event(), threading.Event()

        def work():
            with mlos.busy():
                begun.set()
                over.wait()

        thread = threading.Thread(target=work)
        thread.start()
        begun.wait()
        statuses = []
        for inside in (False, True):
            reading, writing = os.pipe()
            with mlos.busy() if inside else mlos.on_reclaim(lambda wanted: 0):
                child = os.fork()
                if child == 0:
                    os.write(writing, bytes([mlos.is_busy()]))
                    os._exit(0)
            os.close(writing)
            statuses.append(os.read(reading, 1))
            os.close(reading)
            os.waitpid(child, 0)
        over.set()
        thread.join()
        self.assertEqual(statuses, [b"\0", b"\1"])
