#!/usr/bin/env python3
"""report.html in a real browser. Skipped, with the reason, where node, playwright-core or Chromium cannot be had."""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from report_test import cell, report, write_cells

PLAYWRIGHT = "playwright-core@1.49.1"


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def find_browser():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return None


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.run_folder = write_cells(FOLDER / "run", *[cell("conv", kind, seed, accuracy, size)
                                                       for kind, accuracy, size in (("baseline", 0.99, 30000), ("<b>odd</b>", 0.97, 4000), ("qat", 0.98, 900))
                                                       for seed in (0, 1)])
        made = report(cls.run_folder)
        assert made.returncode == 0, made.stderr
        result = subprocess.run(["node", pathlib.Path(__file__).with_name("page_test.mjs"), cls.run_folder / "report.html", BROWSER, FOLDER],
                                capture_output=True, text=True, timeout=200)
        assert result.returncode == 0, result.stderr
        cls.seen = json.loads(result.stdout)

    def test_it_loads_without_network_and_errors(self):
        self.assertEqual(self.seen["requests"], [])
        self.assertEqual(self.seen["problems"], [])
        self.assertEqual(self.seen["repeated"], [])

    def test_a_table_sorts_by_click_and_by_key(self):
        self.assertEqual(self.seen["before"], ["conv baseline", "conv <b>odd</b>", "conv qat"])
        self.assertEqual(self.seen["ascending"], ["conv qat", "conv <b>odd</b>", "conv baseline"])
        self.assertEqual(self.seen["descending"], ["conv baseline", "conv <b>odd</b>", "conv qat"])
        self.assertEqual(self.seen["sort"], "ascending")
        self.assertIn("sorted by int8 bytes", self.seen["said"])

    def test_a_value_reads_as_it_was_measured(self):
        self.assertEqual(self.seen["smallest"], "900")

    def test_the_guide_follows_its_limits(self):
        self.assertIn("conv_qat_s0.int8.lathe: 98.00 %, 900 bytes", self.seen["answer"].replace("\n", " "))
        self.assertIn("No file", self.seen["none"])

    def test_figures_show_values_by_key_and_pointer(self):
        if self.seen["figures"] == 0:
            self.skipTest("gnuplot is not installed")
        self.assertIn("conv", self.seen["tip"])
        self.assertTrue(self.seen["tip_hidden"])
        self.assertIn("%", self.seen["hovered"])
        self.assertIn("accuracy", self.seen["label"])

    def test_it_follows_light_and_dark_and_fits_a_phone(self):
        self.assertEqual(self.seen["light"], "rgb(255, 255, 255)")
        self.assertNotEqual(self.seen["dark"], self.seen["light"])
        self.assertEqual(self.seen["too_wide"], 0)


if __name__ == "__main__":
    BROWSER = find_browser() or skip("there is no Chromium (Debian: apt-get install chromium)")
    for tool in ("node", "npm"):
        shutil.which(tool) or skip(f"there is no {tool}")
    with tempfile.TemporaryDirectory(prefix="lathe-page-") as name:
        FOLDER = pathlib.Path(name)
        installed = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", name, PLAYWRIGHT], capture_output=True, text=True)
        if installed.returncode != 0:
            skip(f"{PLAYWRIGHT} cannot be installed: {installed.stderr.strip().splitlines()[-1:]}")
        unittest.main(verbosity=2)
