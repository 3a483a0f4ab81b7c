#!/usr/bin/env python3
"""`lathe report` as a user runs it, right and wrong. LATHE_BIN is the folder of the programs."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

BIN = pathlib.Path(os.environ["LATHE_BIN"])


def report(*arguments, **environment):
    return subprocess.run([BIN / "lathe", "report", *map(str, arguments)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment})


def cell(base, kind, seed=0, accuracy=0.99, size=30000, ms=0.01, dataset="mnist"):
    results = {"exp_id": f"{base}_{kind}_s{seed}", "params": 1000}
    for variant, factor in (("float", 4), ("int8", 1)):
        results |= {f"{variant}_acc": accuracy, f"{variant}_bytes": factor * size, f"{variant}_median_ms": factor * ms,
                    f"{variant}_p90_ms": 1.2 * factor * ms}
    return {"config": {"base": base, "kind": kind, "seed": seed, "dataset": dataset, "epochs": 10, "batch": 128, "train_limit": 0},
            "generated_data": False, "environment": {"processor": "a processor"}, "results": results}


def write_cells(folder, *cells):
    (folder / "cells").mkdir(parents=True)
    for number, content in enumerate(cells):
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / "cells" / f"cell{number:02}.json").write_text(text)
    return folder


class Report(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lathe-report-"))

    def tearDown(self):
        shutil.rmtree(self.folder)

    def assert_one_line(self, result, code, *parts):
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        for part in parts:
            self.assertIn(part, result.stderr)

    def test_a_report_is_made_from_cells_alone_and_made_again_the_same(self):
        run = write_cells(self.folder / "a run", cell("conv", "baseline"), cell("conv", "qat", accuracy=0.98))
        first = report(run)
        self.assertEqual((first.returncode, first.stderr), (0, ""))
        self.assertIn("conv_qat_s0", first.stdout)
        pages = {name: (run / name).read_text() for name in ("report.md", "report.html", "results.csv", "results.json")}
        self.assertNotIn("http", pages["report.html"].replace("http://www.w3.org/", ""))
        report(run)
        for name, text in pages.items():
            self.assertEqual((run / name).read_text(), text, name)

    def test_it_says_which_file_to_ship(self):
        run = write_cells(self.folder / "it's", cell("conv", "baseline", accuracy=0.99), cell("dscnn", "qat", accuracy=0.96, size=2000, ms=0.02))
        self.assertIn("ship " + str(run / "models/dscnn_qat_s0.int8.lathe"), report(run, "--quiet", "--max-bytes", 5000).stdout)
        self.assertIn("ship " + str(run / "models/conv_baseline_s0.int8.lathe"), report(run, "--quiet", "--max-ms", 0.015).stdout)
        chosen = report(run, "--quiet", "--min-acc", 96).stdout
        self.assertIn("ship " + str(run / "models/dscnn_qat_s0.int8.lathe"), chosen)
        command = chosen.split("try ")[1].strip()
        shown = subprocess.run(["sh", "-c", command.replace("lathe eval", "printf '%s' ", 1).split(" --dataset")[0]], capture_output=True, text=True)
        self.assertEqual(shown.stdout, str(run / "models/dscnn_qat_s0.int8.lathe"))
        self.assert_one_line(report(run, "--quiet", "--max-bytes", 10, "--min-acc", 99.9), 1, "no file is within the limits",
                             "the smallest file has 2,000 bytes", "reaches 99.00 %")

    def test_wrong_limits_are_wrong_usage(self):
        run = write_cells(self.folder / "run", cell("conv", "baseline"))
        self.assert_one_line(report(run, "--max-bytes", "many"), 2, "--max-bytes")
        self.assert_one_line(report(run, "--min-acc", "101"), 2, "--min-acc")
        self.assert_one_line(report(run, "--max-ms=-1"), 2, "--max-ms")
        self.assert_one_line(report(run, "--out", "x"), 2, "--out is for several folders")
        self.assert_one_line(report(), 2, "folders")

    def test_folders_without_results_are_refused(self):
        self.assert_one_line(report(self.folder / "nothing"), 1, "there is no folder")
        self.assert_one_line(report(self.folder), 1, "it has no folder cells/")
        self.assert_one_line(report(write_cells(self.folder / "empty")), 1, "there is no .json file")
        self.assert_one_line(report(write_cells(self.folder / "broken", "{", "[1]")), 1, "no result in", "cell00.json")

    def test_broken_cells_are_named_and_the_others_reported(self):
        run = write_cells(self.folder / "run", "{", cell("conv", "baseline"), "{\"config\": {}, \"results\": 3}")
        result = report(run)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(result.stderr.strip().splitlines()), 2, result.stderr)
        self.assertIn("cell00.json is not JSON", result.stderr)
        self.assertIn("cell02.json: it is not a result of lathe", result.stderr)
        text = (run / "report.md").read_text()
        self.assertIn("conv_baseline_s0", text)
        self.assertIn("cell00.json is not JSON", text)

    def test_runs_are_compared_side_by_side(self):
        before = write_cells(self.folder / "before", cell("conv", "baseline", accuracy=0.98))
        after = write_cells(self.folder / "after", cell("conv", "baseline", accuracy=0.99, size=15000), cell("conv", "qat"))
        out = self.folder / "both"
        result = report(before, after, "--out", out)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("+1.00", result.stdout)
        self.assertIn("0.50x", result.stdout)
        self.assertIn("+1.00", (out / "report.md").read_text())
        self.assertIn("0.50x", (out / "report.html").read_text())
        self.assertFalse((before / "report.md").exists())
        self.assert_one_line(report(before, self.folder / "nothing"), 1, "there is no folder")

    def test_without_gnuplot_it_says_so_and_goes_on(self):
        run = write_cells(self.folder / "run", cell("conv", "baseline"))
        result = report(run, PATH=str(self.folder))
        self.assert_one_line(result, 0, "gnuplot is not installed", "figures are not drawn")
        self.assertIn("conv_baseline_s0", (run / "report.html").read_text())
        self.assertTrue((run / "figures/accuracy-size.gp").exists())
        self.assertNotIn("figures/accuracy-size.png", (run / "report.md").read_text())

    def test_one_experiment_and_hundreds_make_a_report(self):
        report_of = lambda name, cells: report(write_cells(self.folder / name, *cells))
        self.assertEqual(report_of("one", [cell("conv", "baseline")]).returncode, 0)
        many = [cell(f"base{i % 3}", f"prune-0.{i % 37:02}", seed, 0.9 + 0.0002 * i, 1000 + 50 * i, 0.01 + 0.001 * i)
                for i in range(60) for seed in range(4)]
        result = report_of("many", many)
        self.assertEqual((result.returncode, result.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main(verbosity=2)
