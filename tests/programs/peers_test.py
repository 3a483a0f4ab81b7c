#!/usr/bin/env python3
"""bench/peers/compare.py without the peers: its arithmetic, its turns, and what it says when something is missing.
Usage: peers_test.py COMPARE_PY"""
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(sys.argv.pop(1)).resolve()
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("compare", SCRIPT)
compare = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compare)


def run(*words, **environment):
    return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment})


class Arithmetic(unittest.TestCase):
    def test_median_and_percentile_are_of_all_rounds(self):
        figures = compare.summary([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])
        self.assertEqual(figures, {"median": 5.5, "p90": 10, "count": 10, "rounds": [3, 8]})

    def test_ratios_are_paired(self):
        # Everything is ten times slower in the second round.
        slow, fast = compare.summary([[4, 4], [40, 40], [6, 6]]), compare.summary([[2, 2], [20, 20], [2, 2]])
        self.assertEqual(compare.ratio(slow, fast), {"median": 2, "low": 2, "high": 3})

    def test_turns_alternate(self):
        order = []
        answers = compare.turns({"a": 1, "b": 2}, 3, lambda side: order.append(side) or side)
        self.assertEqual(order, [1, 2, 2, 1, 1, 2])
        self.assertEqual(answers, {"a": [1, 1, 1], "b": [2, 2, 2]})

    def test_table(self):
        side = {"median": 2500.0, "p90": 3000.0}
        entry = {"model": "conv", "format": "int8", "sides": {"lathe": side, "onnxruntime": {"median": 5000.0, "p90": 6000.0}},
                 "ratios": {"onnxruntime": {"median": 2.0, "low": 1.5, "high": 2.5}}}
        lines = compare.times_table([entry], ["onnxruntime", "pytorch"], "us", 1e3, True).splitlines()
        self.assertEqual(lines[-1], "| `conv` | int8 | 2.5 (3) | 5 (6) | - | 2.00 (1.50 to 2.50) | - |")
        self.assertEqual({line.count("|") for line in lines}, {8})


class Sides(unittest.TestCase):
    def test_a_side_that_stops_is_named_with_what_it_said(self):
        with compare.Sides() as sides:
            sides["x"] = compare.Side("the peer", [sys.executable, "-c", "import sys; input(); sys.exit('no such model')"])
            with self.assertRaisesRegex(compare.Failure, "the peer stopped: no such model"):
                sides["x"].ask("time 5")

    def test_answers(self):
        with compare.Sides() as sides:
            sides["x"] = compare.Side("x", [sys.executable, "-c", "print('hello', flush=True); print(input()[5:], 7)"], greets=True)
            self.assertEqual(sides["x"].way, "hello")
            self.assertEqual(sides["x"].times(12), [12, 7])


class Messages(unittest.TestCase):
    def test_unknown_words(self):
        for option in ("--models", "--peers", "--what", "--threads"):
            result = run(option, "nothing")
            self.assertEqual(result.returncode, 2)
            self.assertIn(f"{option}: expected", result.stderr)

    def test_what_cannot_be_installed_is_named(self):
        with self.assertRaisesRegex(compare.Failure, "cannot install X: there is no no-such-program; do without"):
            compare.install(["no-such-program"], "X", "do without")
        with self.assertRaisesRegex(compare.Failure, r"(?s)cannot install X: `sh -c .*registry reachable.*; do without\nno route"):
            compare.install(["sh", "-c", "echo no route >&2; exit 1"], "X", "do without")

    def test_onnxruntime_is_looked_for_in_the_cache(self):
        with tempfile.TemporaryDirectory() as folder:
            options = type("Options", (), {"cache": pathlib.Path(folder), "no_install": True})
            with self.assertRaisesRegex(compare.Failure, f"ONNX Runtime is not installed: there is no {folder}"):
                compare.onnxruntime_library(options)

    def test_missing_build_and_data(self):
        with tempfile.TemporaryDirectory() as folder:
            options = type("Options", (), {"build": pathlib.Path(folder), "data": pathlib.Path(folder)})
            with self.assertRaisesRegex(compare.Failure, "there is no .*lathe: build lathe first"):
                compare.compare(options, pathlib.Path(folder))
            with self.assertRaisesRegex(compare.Failure, "cannot read MNIST: .*lathe data fetch mnist"):
                compare.read_idx(options, "train-images-idx3-ubyte.gz", 16)


if __name__ == "__main__":
    unittest.main()
