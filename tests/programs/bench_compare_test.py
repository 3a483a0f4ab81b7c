#!/usr/bin/env python3
"""tools/bench-compare: its arithmetic, and a comparison of two commits of a small repository. Usage: bench_compare_test.py TOOL"""
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from importlib.machinery import SourceFileLoader

TOOL = str(pathlib.Path(sys.argv.pop(1)).resolve())
sys.dont_write_bytecode = True
loader = SourceFileLoader("bench_compare", TOOL)
tool = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_compare", loader))
loader.exec_module(tool)

# Writes what Google Benchmark would: TIME nanoseconds for "a", one microsecond for "b"; sleeps when asked for "slow".
PROGRAM = r"""
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char** argv) {
  const char *path = 0, *filter = 0;
  for (int i = 1; i < argc; ++i) {
    if (!strncmp(argv[i], "--benchmark_out=", 16)) path = argv[i] + 16;
    if (!strncmp(argv[i], "--benchmark_filter=", 19)) filter = argv[i] + 19;
  }
  if (!strcmp(filter, "slow")) sleep(60);
  FILE* file = fopen(path, "w");
  if (strcmp(filter, "none"))
    fprintf(file, "{\"benchmarks\": [{\"name\": \"a\", \"run_type\": \"iteration\", \"real_time\": TIME, \"time_unit\": \"ns\"},"
            "{\"name\": \"b\", \"run_type\": \"iteration\", \"real_time\": 1, \"time_unit\": \"us\"},"
            "{\"name\": \"b_mean\", \"run_type\": \"aggregate\", \"real_time\": 1, \"time_unit\": \"us\"}]}");
  return fclose(file);
}
"""


class Arithmetic(unittest.TestCase):
    def test_ratios_are_taken_within_a_round(self):
        # The machine is four times slower in the second round: the ratio of each round is 2 all the same.
        (row,) = tool.compare([({"a": 10.0}, {"a": 5.0}), ({"a": 40.0}, {"a": 20.0}), ({"a": 11.0}, {"a": 5.5})])
        self.assertEqual((row["ratio"], row["low"], row["high"], row["verdict"]), (2, 2, 2, "faster"))
        self.assertEqual((row["old"], row["new"]), (11, 5.5))

    def test_a_verdict_needs_every_round(self):
        (row,) = tool.compare([({"a": 10.0}, {"a": 5.0}), ({"a": 10.0}, {"a": 10.1})])
        self.assertEqual(row["verdict"], "")
        (row,) = tool.compare([({"a": 5.0}, {"a": 10.0}), ({"a": 10.0}, {"a": 10.1})])
        self.assertEqual(row["verdict"], "slower")

    def test_what_one_side_lacks_is_left_out(self):
        rows = tool.compare([({"a": 1.0, "b": 1.0}, {"a": 1.0}), ({"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 1.0})])
        self.assertEqual([row["name"] for row in rows], ["a"])

    def test_units_and_aggregates(self):
        entry = {"name": "a", "run_type": "iteration", "real_time": 3, "time_unit": "ms"}
        times = tool.times_of({"benchmarks": [entry, {**entry, "name": "mean", "run_type": "aggregate"},
                                              {**entry, "name": "broken", "error_occurred": True}]})
        self.assertEqual(times, {"a": 3e6})

    def test_amounts(self):
        self.assertEqual([tool.amount(value) for value in (0.5, 12, 1234.5, 5e6, 2e9)], ["0.5 ns", "12 ns", "1.234 us", "5 ms", "2 s"])


class Setup(unittest.TestCase):
    def test_this_repository_can_be_set_up_as_the_tool_does(self):
        root = pathlib.Path(TOOL).parent.parent
        with tempfile.TemporaryDirectory() as folder:
            result = subprocess.run(["meson", "setup", folder, str(root), *tool.SETUP], capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stdout[-2000:])
            targets = json.loads(subprocess.run(["meson", "introspect", "--targets", folder], capture_output=True, text=True).stdout)
        names = {target["name"] for target in targets}
        self.assertLessEqual({"speed-bench", "runtime-bench", "ops_bench"}, names)


class Comparison(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = pathlib.Path(temporary.name)
        self.repository = self.root / "repository"
        (self.repository / "bench").mkdir(parents=True)
        self.git("init", "--quiet")
        self.write("meson.build", "project('small', 'c')\nsubdir('bench')\n")
        self.write("meson_options.txt", "".join(f"option('{name}', type: 'feature')\n" for name in ("tests", "examples", "bench")))
        self.write("bench/meson.build", "executable('small-bench', 'small.c')\n")
        for tag, nanoseconds in (("first", 30), ("second", 20)):
            self.write("bench/small.c", PROGRAM.replace("TIME", str(nanoseconds)))
            self.git("add", "--all")
            self.git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--message", tag)
            self.git("tag", tag)

    def git(self, *words):
        return subprocess.run(["git", "-C", str(self.repository), *words], check=True, capture_output=True, text=True).stdout

    def write(self, name, text):
        (self.repository / name).write_text(text)

    def command(self, *words):
        return [sys.executable, TOOL, "--repository", str(self.repository), "--program", "small-bench", *words]

    def run_tool(self, *words):
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=240)

    def check_clean(self, folder=None):
        self.assertEqual(len(self.git("worktree", "list").splitlines()), 1)
        if folder:
            self.assertEqual(list(folder.iterdir()), [])

    @unittest.skipUnless(shutil.which("meson") and shutil.which("ninja"), "no meson or ninja")
    def test_compares_two_commits(self):
        result = self.run_tool("first", "second", "--rounds", "3", "--json", str(self.root / "out.json"))
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = {line.split()[0]: line.split() for line in result.stdout.splitlines()}
        self.assertEqual(lines["a"][1:], ["30", "ns", "20", "ns", "1.500", "1.500", "1.500", "faster"])
        self.assertEqual(lines["b"][1:], ["1", "us", "1", "us", "1.000", "1.000", "1.000"])
        rows = json.loads((self.root / "out.json").read_text())["benchmarks"]
        self.assertEqual([row["name"] for row in rows], ["a", "b"])
        self.check_clean()

        result = self.run_tool("first", "second", "--filter", "none")
        self.assertEqual(result.returncode, 1)
        self.assertIn("matches 'none'", result.stderr)
        self.assertNotIn("round 2", result.stderr)
        result = self.run_tool("first", "second", "--program", "other")
        self.assertIn("has no program other in bench/; there are: small-bench", result.stderr)
        self.check_clean()

    def test_unknown_revision(self):
        for revision in ("nothing", "--help-me", ""):
            result = self.run_tool("first", "--", revision)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(f"{revision} is not a revision of", result.stderr)
        self.check_clean()

    def test_bad_numbers(self):
        result = self.run_tool("first", "second", "--rounds", "0")
        self.assertEqual(result.returncode, 2)
        self.assertIn("--rounds", result.stderr)

    def test_nowhere_to_write(self):
        result = self.run_tool("first", "second", "--json", str(self.root / "nowhere" / "out.json"))
        self.assertEqual(result.returncode, 2)
        self.assertIn("nowhere/out.json: there is no folder", result.stderr)
        self.check_clean()

    @unittest.skipUnless(shutil.which("meson") and shutil.which("ninja"), "no meson or ninja")
    def test_interrupted(self):
        folder = self.root / "temporary"
        folder.mkdir()
        process = subprocess.Popen(self.command("first", "second", "--filter", "slow"), stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, "TMPDIR": str(folder)})
        for line in process.stderr:
            if line.startswith("round 1"):
                break
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        self.assertIn("interrupted", process.stderr.read())
        process.stderr.close()
        self.assertEqual(process.wait(timeout=60), 130)
        self.check_clean(folder)


if __name__ == "__main__":
    unittest.main()
