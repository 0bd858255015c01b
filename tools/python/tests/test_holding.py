"""Units that are dropped and loaded again; time is a manual clock."""

import gc
import os
import sys
import tempfile
import threading
import unittest
import weakref

import mlos


class Thing:
    """What a unit holds."""


class Setting(unittest.TestCase):
    def setUp(self):
        self.now = 0.0
        self.loader = mlos.LazyLoader(clock=lambda: self.now, keeps_time=False)

    def unit(self, load=Thing, **options):
        return mlos.Reloadable(load, **{"name": "thing", "loader": self.loader, **options})


class Reloading(Setting):
    def test_it_is_loaded_at_its_first_use_and_once(self):
        loads = []
        unit = self.unit(lambda: loads.append(1) or Thing())
        self.assertFalse(unit.is_loaded)
        with unit.get() as first, unit.get() as second:
            self.assertIs(first, second)
        self.assertEqual((len(loads), unit.is_loaded), (1, True))

    def test_a_reclaim_drops_it_and_the_next_use_loads_it_again(self):
        unit = self.unit()
        gone = unit.use(weakref.ref)
        self.assertGreater(mlos.reclaim(), 0)
        self.assertEqual((gone(), unit.is_loaded), (None, False))
        self.assertEqual(mlos.reclaim(), 0, "nothing is registered while nothing is held")
        self.assertIsInstance(unit.use(lambda value: value), Thing)
        self.assertEqual(self.loader.figures.kinds, {"memory_pressure": 1})

    def test_it_is_not_dropped_while_it_is_used(self):
        unit = self.unit(mark_busy=False)
        with unit.get():
            self.assertEqual((mlos.reclaim(), unit.is_loaded), (0, True))
            self.assertEqual(unit.drop().obstacle, "in-use")
        self.assertGreater(mlos.reclaim(), 0)

    def test_a_use_is_a_busy_region(self):
        with self.unit().get():
            self.assertTrue(mlos.is_busy())
        self.assertFalse(mlos.is_busy())

    def test_a_reclaim_does_not_wait_for_a_load(self):
        begun, over = threading.Event(), threading.Event()

        def load():
            begun.set()
            over.wait()
            return Thing()

        unit = self.unit(load, mark_busy=False)
        thread = threading.Thread(target=lambda: unit.use(id))
        thread.start()
        begun.wait()
        self.assertEqual(unit._asked(1), 0)
        over.set()
        thread.join()
        self.assertTrue(unit.is_loaded)

    def test_what_others_hold_is_said_to_stay(self):
        unit = self.unit()
        with unit.get() as held:
            pass
        unload = unit.drop()
        self.assertEqual((unload.is_done, unload.obstacle), (False, "still-referenced"))
        del held

    def test_a_load_that_fails_leaves_nothing(self):
        attempts = []

        def load():
            attempts.append(1)
            if len(attempts) == 1:
                raise OSError("no such model")
            return Thing()

        unit = self.unit(load)
        with self.assertRaisesRegex(OSError, "no such model"):
            unit.use(id)
        self.assertEqual((unit.is_loaded, unit.is_in_use, mlos.is_busy()), (False, False, False))
        unit.use(id)

    def test_after_the_drop_its_release_is_called(self):
        called = []
        unit = self.unit(release=lambda: called.append(unit.is_loaded))
        unit.use(id)
        unit.drop()
        self.assertEqual(called, [False])

    def test_who_lets_go_of_the_unit_lets_go_of_what_it_holds(self):
        unit = self.unit()
        gone = unit.use(weakref.ref)
        del unit
        gc.collect()
        self.assertEqual((gone(), mlos.reclaim()), (None, 0))

    def test_a_forked_child_has_it_but_not_the_uses_of_other_threads(self):
        begun, over = threading.Event(), threading.Event()
        unit = self.unit(mark_busy=False)

        def work():
            with unit.get():
                begun.set()
                over.wait()

        thread = threading.Thread(target=work)
        thread.start()
        begun.wait()
        child = os.fork()
        if child == 0:
            # The thread is gone, but not what its stack holds.
            was_loaded, unload = unit.is_loaded, unit.drop()
            os._exit(0 if was_loaded and unload.obstacle == "still-referenced" and not unit.is_loaded else 1)
        status = os.waitpid(child, 0)[1]
        over.set()
        thread.join()
        self.assertEqual((status, unit.is_loaded), (0, True))


class Idle(Setting):
    def test_it_goes_after_its_strategys_time_and_not_before(self):
        for strategy, seconds in ((mlos.UnloadingStrategy.AGGRESSIVE, 300), ("BALANCED", 900), ("conservative", 1800)):
            unit = self.unit(name=str(strategy), strategy=strategy)
            unit.use(id)
            self.now += seconds - 1
            self.assertEqual((self.loader.expire(), unit.is_loaded), (1.0, True))
            self.now += 1
            self.assertEqual((self.loader.expire(), unit.is_loaded), (None, False))

    def test_a_use_begins_its_time_anew(self):
        unit = self.unit()
        unit.use(id)
        self.now = 899
        unit.use(id)
        self.now = 900
        self.assertEqual(self.loader.expire(), 899.0)
        with unit.get():
            self.now = 10_000
            self.assertIsNone(self.loader.expire(), "in use")
            self.assertTrue(unit.is_loaded)

    def test_what_must_not_be_unloaded_goes_only_by_hand(self):
        self.loader.set_user_preference_unload("thing", False)
        unit = self.unit()
        unit.use(id)
        self.now = 10_000
        self.assertEqual((self.loader.expire(), mlos.reclaim(), unit.is_loaded), (None, 0, True))
        self.assertTrue(unit.drop().is_done)
        unit.use(id)
        self.loader.set_user_preference_unload("thing", None)
        self.assertGreater(mlos.reclaim(), 0)

    def test_the_keepers_thread_drops_by_itself(self):
        dropped = threading.Event()
        loader = mlos.LazyLoader()
        loader._seconds[mlos.UnloadingStrategy.BALANCED] = 0.0
        unit = mlos.Reloadable(Thing, name="quick", loader=loader, release=lambda: dropped.set())
        unit.use(id)
        self.assertTrue(dropped.wait(60))


class Packages(Setting):
    def setUp(self):
        super().setUp()
        self.folder = tempfile.TemporaryDirectory()
        with open(os.path.join(self.folder.name, "lazily.py"), "w") as module:
            module.write("TABLE = list(range(1000))\nimport helper_of_lazily\n")
        with open(os.path.join(self.folder.name, "helper_of_lazily.py"), "w"):
            pass
        sys.path.insert(0, self.folder.name)

    def tearDown(self):
        sys.path.remove(self.folder.name)
        for name in ("lazily", "helper_of_lazily"):
            sys.modules.pop(name, None)
        self.folder.cleanup()

    def test_it_is_imported_at_the_first_attribute(self):
        lazily = self.loader.lazy("lazily", strategy="aggressive")
        self.assertNotIn("lazily", sys.modules)
        self.assertEqual(len(lazily.TABLE), 1000)
        self.assertIn("TABLE", dir(lazily))
        lazily.TABLE = [1]
        self.assertEqual(sys.modules["lazily"].TABLE, [1])
        self.assertIs(self.loader.lazy("lazily"), lazily)

    def test_python_alone_goes_and_comes_back(self):
        lazily = self.loader.lazy("lazily")
        self.assertTrue(lazily.TABLE)
        [unload] = self.loader.unload("lazily")
        self.assertEqual((unload.is_done, "lazily" in sys.modules), (True, False))
        self.assertTrue(lazily.TABLE)

    def test_what_another_imported_stays(self):
        import lazily as imported  # noqa: F401

        lazily = self.loader.lazy("lazily")
        self.assertTrue(lazily.TABLE)
        self.assertEqual(self.loader.unload("lazily")[0].obstacle, "still-referenced")
        self.assertIs(sys.modules["lazily"], imported)

    def test_extension_modules_stay_and_say_so_but_their_caches_are_released(self):
        released = []
        package = self.loader.lazy("_json", release=lambda: released.append(1))
        dir(package)
        if not getattr(sys.modules["_json"].__spec__, "origin", "built-in").endswith(".so"):
            self.skipTest("this Python has its modules built in")
        [unload] = self.loader.unload("_json")
        self.assertEqual((unload.obstacle, released, "_json" in sys.modules), ("extension-module", [1], True))

    def test_a_package_that_is_missing_raises_at_its_first_use(self):
        missing = self.loader.lazy("no_such_package_anywhere")
        with self.assertRaises(ModuleNotFoundError):
            missing.anything  # noqa: B018

    def test_an_unknown_name_is_said_with_the_known_ones(self):
        self.loader.lazy("lazily")
        with self.assertRaisesRegex(KeyError, "nothing here is called 'lazy'; there are: lazily"):
            self.loader.unload("lazy")


class Figures(Setting):
    def test_what_is_not_known_is_none_and_a_count_is_0(self):
        metrics = self.loader.get_unloading_metrics()
        self.assertEqual((metrics["total_unloads"], metrics["unload_success_rate"], metrics["supervisor"]), (0, None, None))
        self.assertIsNone(self.loader.get_unloading_performance_impact_analysis()["performance_impact_score"])

    def test_the_names_are_those_of_the_seed(self):
        unit = self.unit()
        unit.use(id)
        unit.drop()
        with unit.get():
            unit.drop()
        metrics = self.loader.get_unloading_metrics()
        self.assertEqual((metrics["total_unloads"], metrics["failed_unloads"], metrics["unload_success_rate"]), (2, 1, 0.5))
        self.assertEqual(metrics["unload_reasons"], {"Manual unloading": 2})
        self.assertEqual(set(metrics), {
            "total_unloads", "successful_unloads", "failed_unloads", "total_memory_freed", "average_memory_freed_per_unload",
            "total_unload_time", "average_unload_time", "unload_success_rate", "last_unload_time", "unload_reasons",
            "performance_impact_score", "memory_pressure_unloads", "usage_pattern_unloads", "user_preference_unloads",
            "adaptive_unloads", "supervisor"})
        analysis = self.loader.get_unloading_performance_impact_analysis()
        self.assertEqual((analysis["total_packages"], analysis["loaded_packages"]), (1, 1))
        self.assertTrue(0 <= analysis["performance_impact_score"] <= 1)
        self.assertIn("Low unload success rate", [row["message"] for row in analysis["recommendations"]])
        row = self.loader.get_packages()["packages"]["thing"]
        self.assertEqual((row["unloading_strategy"], row["unload_attempt_count"]), ("balanced", 2))

    def test_an_unknown_strategy_is_refused_with_the_known_ones(self):
        with self.assertRaisesRegex(ValueError, "no strategy 'fast'; there are aggressive, balanced, conservative"):
            self.loader.set_unloading_strategy("thing", "fast")
