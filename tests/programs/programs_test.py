#!/usr/bin/env python3
"""The programs as a user runs them, right and wrong. LATHE_BIN is the folder of the programs."""
import csv
import gzip
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest

CPU_FLAGS = pathlib.Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
BIN = pathlib.Path(os.environ["LATHE_BIN"])
# Small enough for a test, large enough that the accuracies mean something.
GRID = ["--dataset", "synthetic-digits", "--bases", "tutorial", "--kinds", "baseline", "--epochs", "2", "--quick", "--threads", "2"]


def run(program, *arguments, **options):
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.run([BIN / program, *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=1200, **options)


def write_idx(path, dims, data, magic=None, compress=True):
    head = struct.pack(">I", 0x800 + len(dims) if magic is None else magic) + b"".join(struct.pack(">I", d) for d in dims)
    path.write_bytes(gzip.compress(head + data) if compress else head + data)


def write_tiny_mnist(folder, **changes):
    """Four small IDX files; `changes` replaces the arguments of write_idx for a file."""
    folder.mkdir(parents=True)
    for part, count in (("train", 300), ("t10k", 100)):
        files = {
            f"{part}-images-idx3-ubyte": dict(dims=[count, 28, 28], data=bytes(i % 251 for i in range(count * 784))),
            f"{part}-labels-idx1-ubyte": dict(dims=[count], data=bytes(i % 10 for i in range(count))),
        }
        for name, arguments in files.items():
            write_idx(folder / f"{name}.gz", **{**arguments, **changes.get(name, {})})


def write_bmp(path, width=28, height=28):
    rows = b"".join(bytes((x * y) % 256 for x in range(width) for _ in range(3)) for y in range(height))
    header = struct.pack("<2sIHHI", b"BM", 54 + len(rows), 0, 0, 54)
    path.write_bytes(header + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(rows), 0, 0, 0, 0) + rows)


class Programs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="lathe-programs-"))
        cls.out = cls.folder / "out"
        cls.report = run("lathe-mnist-report", *GRID, "--out", cls.out, "--tensorboard", cls.folder / "events")
        cls.int8 = cls.out / "models/tutorial_baseline_s0.int8.lathe"
        cls.float = cls.out / "models/tutorial_baseline_s0.float.lathe"

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def assert_one_line(self, result, code, *parts):
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        for part in parts:
            self.assertIn(part, result.stderr)

    # Right

    def test_every_program_has_help_and_version(self):
        for program in ("lathe", "lathe-mnist-report", "lathe-method-table", "lathe-cats-vs-dogs", "lathe-zoo"):
            self.assertIn("--help", run(program, "--help").stdout)
            self.assertRegex(run(program, "--version").stdout, r"^lathe \d+\.\d+\.\d+\n$")

    def test_each_training_of_the_grid_has_its_event_file(self):
        file, = (self.folder / "events/tutorial_baseline_s0").iterdir()
        self.assertRegex(file.name, r"^events\.out\.tfevents\.")
        self.assertIn(b"accuracy/validation", file.read_bytes())

    def test_the_grid_writes_all_its_files(self):
        self.assertEqual(self.report.returncode, 0, self.report.stderr)
        self.assertIn("tutorial_baseline_s0", self.report.stdout)
        self.assertIn("Generated data", self.report.stdout)
        for name in ("cells/tutorial_baseline_s0.json", "history/tutorial_baseline_s0.csv", "results.csv", "results.json", "report.md",
                     "checkpoints/tutorial_baseline_s0.safetensors"):
            self.assertTrue((self.out / name).is_file(), name)
        self.assertIn("generated", (self.out / "report.md").read_text())
        with open(self.out / "results.csv") as file:
            row, = csv.DictReader(file)
        self.assertEqual(list(row)[:8], ["exp_id", "base", "kind", "seed", "epochs", "batch", "test_acc", "params"])
        self.assertEqual(list(row)[-4:], ["acc_drop_int8", "size_ratio_int8", "checkpoint_ratio_int8", "train_seconds"])
        self.assertEqual(row["params"], "20410")
        for variant in ("float", "fp16", "dynamic", "int8", "int16x8"):
            file = self.out / f"models/tutorial_baseline_s0.{variant}.lathe"
            self.assertEqual(int(row[f"{variant}_bytes"]), file.stat().st_size)
            self.assertLess(abs(float(row[f"{variant}_acc"]) - float(row["float_acc"])), 0.02)
            self.assertRegex((self.out / "report.md").read_text(), rf"\| {variant} +\|")
        self.assertLess(int(row["fp16_bytes"]), 0.6 * int(row["float_bytes"]))
        self.assertLess(int(row["dynamic_bytes"]), 0.35 * int(row["float_bytes"]))
        self.assertEqual(int(row["int8_bytes"]), self.int8.stat().st_size)
        self.assertGreater(float(row["float_acc"]), 0.5)
        self.assertLess(abs(float(row["acc_drop_int8"])), 0.02)
        self.assertGreaterEqual(int(row["int8_runs"]), 1000)
        self.assertLessEqual(float(row["int8_min_ms"]), float(row["int8_median_ms"]))

    def test_a_finished_cell_is_not_run_again(self):
        again = run("lathe-mnist-report", *GRID, "--out", self.out)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("is there already", again.stderr)

    def test_eval_gives_the_accuracy_of_the_report(self):
        with open(self.out / "results.csv") as file:
            row, = csv.DictReader(file)
        result = json.loads(run("lathe", "eval", self.int8, "--dataset", "synthetic-digits", "--json").stdout)
        self.assertAlmostEqual(result["accuracy"], float(row["int8_acc"]), places=5)
        self.assertTrue(result["generated"])

    def test_bench_measures_layers(self):
        result = json.loads(run("lathe", "bench", self.int8, "--runs", "200", "--layers", "--json").stdout)
        self.assertEqual(result["runs"], 200)
        self.assertTrue(all(layer["kernel"] for layer in result["layers"]))
        self.assertIn("kernel", run("lathe", "bench", self.float, "--runs", "50", "--layers", "--level", "reference").stdout)
        self.assertIn("1 thread: more would not help", run("lathe", "bench", self.float, "--runs", "50", "--threads", "2").stdout)
        shared = run("lathe", "bench", self.float, "--runs", "20", "--batch", "64", "--threads", "2", "--layers").stdout
        self.assertIn("2 threads)", shared)

    def test_info_shows_models_and_files(self):
        self.assertIn("34,826 all, 34,826 trainable", run("lathe", "info", "conv").stdout)
        self.assertIn("1,506 all, 1,346 trainable", run("lathe", "info", "--model", "dscnn").stdout)
        self.assertIn("4,740,453 all, 4,697,406 trainable", run("lathe", "info", "--model", "efficientnet_b0").stdout)
        self.assertIn("conv2d", run("lathe", "info", self.int8).stdout)

    def test_info_shows_where_every_byte_goes(self):
        for file, dtype in ((self.int8, "i8"), (self.float, "f32")):
            result = run("lathe", "info", file, "--bytes")
            self.assertEqual(result.returncode, 0, result.stderr)
            table = result.stdout.split("\n\n")[0].splitlines()
            rows = [line.split() for line in table[1:] if not set(line) <= set("- ")]
            self.assertEqual(rows[-1][0], "all")
            self.assertEqual(int(rows[-1][-2]), file.stat().st_size)
            self.assertEqual(sum(int(row[-2]) for row in rows[:-1]), file.stat().st_size)
            for part in ("header", "checksum", "graph"):
                self.assertEqual(sum(row[0] == part for row in rows), 1)
            weights = next(row for row in rows if row[:2] == ["linear.weight", "elements"])
            self.assertEqual(weights[2:4], [dtype, "[10,2028]"])
            self.assertIn("20280", weights)
            self.assertIn(f"file: {file.stat().st_size} bytes; with all numbers as they are in memory: ", result.stdout)
        self.assert_one_line(run("lathe", "info", "--bytes"), 2, "--bytes needs a .lathe file")
        checkpoint = self.out / "checkpoints/tutorial_baseline_s0.safetensors"
        self.assert_one_line(run("lathe", "info", checkpoint, "--bytes"), 1, checkpoint.name, "not a lathe model file")
        self.assert_one_line(run("lathe", "info", "/nowhere/x.lathe", "--bytes"), 1, "/nowhere/x.lathe", "No such file")

    def test_a_checkpoint_converts_to_the_same_files(self):
        checkpoint = self.out / "checkpoints/tutorial_baseline_s0.safetensors"
        target = self.folder / "again.lathe"
        self.assertEqual(run("lathe", "convert", checkpoint, "--to", "f32", "-o", target).returncode, 0)
        self.assertEqual(target.read_bytes(), self.float.read_bytes())
        result = run("lathe", "convert", self.float, "--to", "int8", "--calibrate", "synthetic-digits", "--input", "u8", "-o", target)
        self.assertEqual(result.returncode, 0, result.stderr)
        accuracy = json.loads(run("lathe", "eval", target, "--dataset", "synthetic-digits", "--json").stdout)["accuracy"]
        self.assertGreater(accuracy, 0.5)

    def test_every_number_format_converts_and_runs(self):
        picture = self.folder / "picture.bmp"
        write_bmp(picture)
        for to, more in (("f16", []), ("dynamic", []), ("int8", ["--output", "u8", "--estimator", "percentile"]),
                         ("int16x8", ["--input", "u8", "--output", "u8"]), ("int16x8", ["--estimator", "percentile", "--percentage", "99.9"])):
            with self.subTest(to=to, more=more):
                target = self.folder / f"{to}.lathe"
                calibrate = ["--calibrate", "synthetic-digits"] if to.startswith("int") else []
                result = run("lathe", "convert", self.float, "--to", to, *calibrate, *more, "-o", target)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual("stays float: node 0 conv (conv2d): its weight has 108 elements, fewer than 1024" in result.stdout, to == "dynamic")
                accuracy = json.loads(run("lathe", "eval", target, "--dataset", "synthetic-digits", "--json").stdout)["accuracy"]
                self.assertGreater(accuracy, 0.5)
                self.assertIn("median", run("lathe", "bench", target, "--runs", "20").stdout)
                self.assertIn("conv2d", run("lathe", "info", target).stdout)
                self.assertIn("%", run("lathe", "predict", target, picture).stdout)

    def test_passes_combine_and_their_gain_is_in_the_file(self):
        out = self.folder / "passes"
        arguments = [argument if argument != "baseline" else "pcqat,kd" for argument in GRID]
        result = run("lathe-mnist-report", *arguments, "--out", out)
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(out / "results.csv") as file:
            rows = {row["exp_id"]: row for row in csv.DictReader(file)}
        self.assertEqual(sorted(rows), ["tutorial_kd_s0", "tutorial_prune-0.8+cluster-16+qat_s0"])
        small, student = rows["tutorial_prune-0.8+cluster-16+qat_s0"], rows["tutorial_kd_s0"]
        self.assertGreaterEqual(float(small["prunable_sparsity"]), 0.79)
        self.assertLessEqual(int(small["unique_weights"]), 16)
        self.assertLess(int(small["int8_bytes"]), int(student["int8_bytes"]) / 2)
        self.assertGreater(float(small["int8_acc"]), 0.4)
        self.assertEqual(student["unique_weights"], "")

    def test_data_list_names_what_there_is(self):
        root = self.folder / "listed"
        write_tiny_mnist(root / "my-digits")
        result = run("lathe", "data", "list", "--data", root)
        self.assertIn("my-digits", result.stdout)
        self.assertIn("synthetic-digits", result.stdout)

    def test_any_folder_with_the_four_files_is_a_data_set(self):
        root = self.folder / "other"
        write_tiny_mnist(root / "fashion-like")
        result = run("lathe-mnist-report", "--data", root, "--dataset", "fashion-like", "--bases", "dscnn", "--epochs", "1",
                     "--kinds", "baseline", "--out", self.folder / "other-out")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("Generated", result.stdout)

    def start_and_stop(self, out, arguments, number):
        """Starts the grid and sends the signal when the first history is there; returns the process's errors."""
        process = subprocess.Popen([BIN / "lathe-mnist-report", *arguments, "--out", out], stderr=subprocess.PIPE, text=True)
        deadline = time.time() + 1200
        while not list(out.glob("history/*.csv")) and time.time() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        errors = process.communicate(timeout=1200)[1]
        self.assertFalse((out / "results.csv").exists())
        return process.returncode, errors

    def test_a_stopped_or_killed_run_goes_on_to_the_same_bytes(self):
        arguments = [argument if argument != "baseline" else "qat+prune-0.5+cluster-8" for argument in GRID]
        cell = "tutorial_prune-0.5+cluster-8+qat_s0"
        whole, stopped, killed = self.folder / "whole", self.folder / "stopped", self.folder / "killed"
        self.assertEqual(run("lathe-mnist-report", *arguments, "--out", whole).returncode, 0)
        code, errors = self.start_and_stop(stopped, arguments, signal.SIGINT)
        self.assertEqual(code, 130, errors)
        self.assertIn("goes on from here", errors)
        self.assertTrue((stopped / "checkpoints/tutorial_baseline_s0.safetensors").is_file())
        code, errors = self.start_and_stop(killed, arguments, signal.SIGKILL)
        self.assertEqual(code, -signal.SIGKILL)
        for out in (stopped, killed):
            self.assertEqual(run("lathe-mnist-report", *arguments, "--out", out).returncode, 0)
            for variant in ("float", "int8"):
                name = f"models/{cell}.{variant}.lathe"
                self.assertEqual((out / name).read_bytes(), (whole / name).read_bytes())

    def test_a_cell_that_fails_is_named_and_the_others_go_on(self):
        out = self.folder / "failing"
        (out / "checkpoints").mkdir(parents=True)
        (out / "checkpoints/tutorial_qat_s0.safetensors").write_bytes(b"not a checkpoint")
        arguments = [argument if argument != "baseline" else "qat,baseline" for argument in GRID]
        result = run("lathe-mnist-report", *arguments, "--out", out)
        self.assertEqual(result.returncode, 1)
        self.assertIn("1 of 2 experiments failed; the first: tutorial_qat_s0: ", result.stderr.splitlines()[-1])
        self.assertIn("checkpoints/tutorial_qat_s0.safetensors", result.stderr.splitlines()[-1])
        with open(out / "results.csv") as file:
            self.assertEqual([row["exp_id"] for row in csv.DictReader(file)], ["tutorial_baseline_s0"])

    def test_a_dry_run_lists_what_would_be_done_and_does_nothing(self):
        out = self.folder / "dry"
        result = run("lathe-mnist-report", "--dataset", "synthetic-digits", "--bases", "tutorial", "--kinds", "pqat,kd",
                     "--dry-run", "--out", out)
        self.assertEqual(result.returncode, 0, result.stderr)
        for name in ("tutorial_baseline_s0", "conv_baseline_s0", "tutorial_prune-0.8+qat_s0", "tutorial_kd_s0", "in all"):
            self.assertIn(name, result.stdout)
        self.assertFalse(out.exists())

    def test_the_method_table_has_every_method_and_smaller_files(self):
        out = self.folder / "methods"
        arguments = ["--dataset", "synthetic-digits", "--epochs", "1", "--seeds", "0", "--optimisations", "none,prune_pqat", "--out", out]
        result = run("lathe-method-table", *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("Generated data", result.stdout)
        with open(out / "results.csv") as file:
            rows = {(row["optimisation"], row["method"]): row for row in csv.DictReader(file)}
        methods = ("checkpoint", "fp32", "fp16", "dynamic", "uint8", "int16x8")
        self.assertEqual(list(rows), [(name, method) for name in ("none", "prune_pqat") for method in methods])
        for row in rows.values():
            self.assertGreater(float(row["accuracy"]), 0.4)
            self.assertGreater(float(row["total_ms"]), 0)
        for method in methods[1:]:
            self.assertLess(float(rows["prune_pqat", method]["bytes"]), 0.5 * float(rows["none", method]["bytes"]))
        self.assertIn("larger than that of none by the same method: none", (out / "report.md").read_text())
        page = (out / "report.html").read_text()
        self.assertIn("generated", page)
        self.assertNotIn("published", page)
        self.assertEqual(len(json.loads((out / "results.json").read_text())), 2)
        self.assertTrue((out / "figures/accuracy-size.gp").is_file())
        again = run("lathe-method-table", *arguments)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("is there already", again.stderr)
        self.assert_one_line(run("lathe-method-table", "--optimisations", "prun"), 2, "no optimisation 'prun'", "prune_pqat")

    def test_the_study_on_photos_runs_on_generated_pictures_and_goes_on(self):
        out = self.folder / "photos"
        arguments = ["--dataset", "synthetic-shapes", "--model", "small_cnn", "--quick", "--kinds", "baseline,prune-0.5-dense",
                     "--quiet", "--out", out]
        result = run("lathe-cats-vs-dogs", *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("Generated data (synthetic-shapes), no photos:", result.stdout)
        with open(out / "results.csv") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([row["exp_id"] for row in rows], ["small_cnn_baseline_s0", "small_cnn_prune-0.5-dense_s0"])
        study = (out / "study.md").read_text()
        self.assertIn("generated, no photos", study)
        self.assertRegex(study, r"of 200 test photos: \d+ are wrong")
        for name in ["study.html", "figures/predictions.dat", "figures/predictions.gp"]:
            self.assertTrue((out / name).exists(), name)
        model = out / "models/small_cnn_baseline_s0.float.lathe"
        bytes_before = model.read_bytes()
        self.assertEqual(run("lathe-cats-vs-dogs", *arguments).returncode, 0)
        self.assertEqual(model.read_bytes(), bytes_before)
        self.assert_one_line(run("lathe-cats-vs-dogs", *arguments, "--epochs", "3"), 1, "was made with other settings")
        self.assert_one_line(run("lathe-cats-vs-dogs", *arguments, "--schedule", "plateau"), 1, "was made with another start")
        other = [*arguments[:-1], self.folder / "photos-plateau", "--kinds", "baseline", "--schedule", "plateau", "--rates", "features.*=0.1,classifier.*=2"]
        result = run("lathe-cats-vs-dogs", *other)
        self.assertEqual(result.returncode, 0, result.stderr)
        evaluated = run("lathe", "eval", model, "--dataset", "synthetic-shapes", "--json")
        self.assertEqual(json.loads(evaluated.stdout)["images"], 2000, evaluated.stderr)

    def test_the_zoo_measures_a_network_beside_the_published_figures(self):
        out = self.folder / "zoo"
        result = run("lathe-zoo", "--quick", "--runs", "3", "--quiet", "--out", out)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        self.assertIn("Random weights (mobilenet_v1): size and latency are those of the network, accuracy is left empty.", result.stdout)
        self.assertIn("Generated pictures (synthetic-shapes), no photos, gave the ranges.", result.stdout)
        with open(out / "zoo.csv") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([(row["model"], row["variant"]) for row in rows], [("mobilenet_v1", v) for v in ("float", "int8", "qat")])
        for row in rows:
            self.assertEqual(row["runs"], "3")
            self.assertEqual(row["accuracy"], "")
            self.assertGreater(float(row["median_ms"]), 0)
            # Our encodings make float files of random weights smaller too.
            self.assertLess(int(row["bytes"]), float(row["published_bytes"]))
            self.assertGreater(int(row["bytes"]), 0.7 * float(row["published_bytes"]))
        for row in rows[1:]:
            self.assertLess(float(row["size_ratio"]), 0.35)
        self.assertEqual(rows[1]["published_time_ratio"], "0.9032")
        self.assertEqual(rows[0]["size_ratio"], "")
        for name in ("zoo.md", "zoo.html"):
            self.assertIn("MobileNetV1 1.0, 224", (out / name).read_text())
            self.assertIn("Random weights", (out / name).read_text())

    # Wrong

    def test_wrong_usage_names_what_would_be_right(self):
        self.assert_one_line(run("lathe"), 2, "info", "eval", "bench", "convert", "data", "predict")
        self.assert_one_line(run("lathe", "train"), 2, "no command 'train'", "commands: info")
        self.assert_one_line(run("lathe", "--trian"), 2, "no option '--trian'", "commands: info")
        self.assert_one_line(run("lathe", "eval", self.int8, "--datset", "mnist"), 2, "--datset", "--dataset")
        self.assert_one_line(run("lathe-mnist-report", "--sede", "1"), 2, "--sede", "--seeds")
        self.assert_one_line(run("lathe-mnist-report", "--kinds", "prune"), 2, "--kinds: there is no kind 'prune'", "baseline")
        self.assert_one_line(run("lathe-mnist-report", "--kinds", "qat+cluster-1"), 2, "'cluster-1': 2 to 65536 clusters")
        self.assert_one_line(run("lathe-mnist-report", "--bases", "resnet"), 2, "no model 'resnet'", "dscnn")
        self.assert_one_line(run("lathe-mnist-report", "--epochs", "0"), 2, "--epochs")
        self.assert_one_line(run("lathe-mnist-report", "--threads", "many"), 2, "--threads")
        self.assert_one_line(run("lathe-cats-vs-dogs", "--model", "conv"), 2, "--model: conv takes images of [1,28,28,1], no photos")
        self.assert_one_line(run("lathe-cats-vs-dogs", "--model", "small_cnn", "--freeze", "body.*"), 2, "--freeze", "'body.*' matches no parameter")
        self.assert_one_line(run("lathe-cats-vs-dogs", "--model", "small_cnn", "--rates", "body.*=0.1"), 2, "--rates: 'body.*' matches no parameter")
        self.assert_one_line(run("lathe-cats-vs-dogs", "--rates", "features.*"), 2, "--rates: 'features.*' is no GLOB=SHARE")
        self.assert_one_line(run("lathe-cats-vs-dogs", "--schedule", "step"), 2, "--schedule", "one-cycle, plateau")
        self.assert_one_line(run("lathe-zoo", "--models", "mobilenet_v3"), 2, "--models: there is no network 'mobilenet_v3'", "resnet_v2_101")
        self.assert_one_line(run("lathe-zoo", "--variants", "int4"), 2, "--variants: there is no 'int4'; there are: float, int8, qat")
        self.assert_one_line(run("lathe-zoo", "--weights", "mobilenet_v2"), 2, "--weights: expected MODEL=FILE, given 'mobilenet_v2'")
        self.assert_one_line(run("lathe-zoo", "--models", "mobilenet_v1", "--weights", "mobilenet_v2=x"), 2, "'mobilenet_v2' is none of the networks")
        self.assert_one_line(run("lathe-zoo", "--weights", "mobilenet_v2=x,mobilenet_v2=y"), 2, "--weights: 'mobilenet_v2' is given twice")
        self.assert_one_line(run("lathe-zoo", "--runs", "0"), 2, "--runs")
        self.assert_one_line(run("lathe-cats-vs-dogs", "--kinds", "kd"), 2, "--kinds: kd needs a teacher")
        self.assert_one_line(run("lathe", "convert", self.float, "--to", "int4", "-o", "x"), 2, "int8")
        self.assert_one_line(run("lathe", "convert", self.float, "--to", "int8", "-o", "x"), 2, "--calibrate")
        self.assert_one_line(run("lathe", "convert", self.float, "--to", "f16", "--output", "u8", "-o", "x"), 2, "--output u8", "f16")
        self.assert_one_line(run("lathe", "convert", self.int8, "--to", "f16", "-o", "x"), 1, "a float graph is expected")

    def test_missing_things_are_named(self):
        self.assert_one_line(run("lathe-mnist-report", "--data", "/nowhere", "--out", self.folder / "x"), 1, "/nowhere/mnist", "data fetch mnist")
        self.assert_one_line(run("lathe", "bench", "/nowhere/model.lathe"), 1, "/nowhere/model.lathe", "No such file")
        self.assert_one_line(run("lathe-cats-vs-dogs", "--weights", "/nowhere/w.safetensors"), 1, "/nowhere/w.safetensors", "No such file")
        self.assert_one_line(run("lathe-zoo", "--weights", "mobilenet_v2=/nowhere/w.safetensors"), 1, "/nowhere/w.safetensors", "No such file")
        self.assert_one_line(run("lathe-zoo", "--dataset", "none", "--data", "/nowhere"), 1, "/nowhere/none")
        self.assert_one_line(run("lathe", "info", "cnv"), 1, "no model 'cnv'", "tutorial, conv, dscnn")
        self.assert_one_line(run("lathe", "data", "fetch", "imagenet"), 1, "imagenet", "mnist")

    def test_broken_data_files_are_named(self):
        images, labels = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
        cases = {
            "magic": ({images: dict(magic=0x12345678)}, [images, "magic"]),
            "labels": ({labels: dict(data=bytes([10] * 300))}, [labels, "10"]),
            "counts": ({labels: dict(dims=[299], data=bytes(299))}, ["300", "299"]),
            "short": ({images: dict(data=bytes(1000))}, [images]),
            "huge": ({images: dict(dims=[0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF])}, [images]),
        }
        for name, (changes, parts) in cases.items():
            with self.subTest(name):
                root = self.folder / f"broken-{name}"
                write_tiny_mnist(root / "mnist", **changes)
                self.assert_one_line(run("lathe-mnist-report", "--data", root, "--out", self.folder / "x"), 1, *parts)
        root = self.folder / "broken-gz"
        write_tiny_mnist(root / "mnist")
        file = root / "mnist" / f"{images}.gz"
        file.write_bytes(file.read_bytes()[:-200])
        self.assert_one_line(run("lathe-mnist-report", "--data", root, "--out", self.folder / "x"), 1, images)

    def test_a_cut_or_changed_model_file_is_refused(self):
        whole = self.float.read_bytes()
        broken = self.folder / "broken.lathe"
        for size in range(0, len(whole), 1024):
            broken.write_bytes(whole[:size])
            self.assert_one_line(run("lathe", "bench", broken, "--runs", "1"), 1, "broken.lathe")
        for position in (0, 5, len(whole) // 2, len(whole) - 1):
            changed = bytearray(whole)
            changed[position] ^= 0x10
            broken.write_bytes(changed)
            self.assert_one_line(run("lathe", "info", broken), 1, "broken.lathe")

    def test_settings_that_differ_from_a_finished_cell_are_an_error(self):
        result = run("lathe-mnist-report", *GRID, "--batch", "64", "--out", self.out)
        self.assert_one_line(result, 1, "other settings", "--out")
        for old in (False, True):
            if old:  # made when there was no choice of precision
                file, = (self.out / "cells").iterdir()
                cell = json.loads(file.read_text())
                self.assertEqual(cell["config"].pop("precision"), "f32")
                file.write_text(json.dumps(cell))
            self.assertEqual(run("lathe-mnist-report", *GRID, "--quiet", "--out", self.out).returncode, 0)
            result = run("lathe-mnist-report", *GRID, "--precision", "bf16", "--out", self.out)
            self.assert_one_line(result, 1, "other settings", '"precision":"bf16"')

    def test_bf16_is_refused_before_any_work_where_the_processor_has_none(self):
        out = self.folder / "bf16"
        without = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
        for arguments in (["lathe-mnist-report", *GRID], ["lathe-method-table", "--dataset", "synthetic-digits"], ["lathe-cats-vs-dogs", "--quick"]):
            result = run(*arguments, "--precision", "bf16", "--out", out, env=without)
            self.assert_one_line(result, 1, "precision bf16", "it needs AVX-512", "use f32")
            self.assertFalse(out.exists())
        self.assert_one_line(run("lathe-mnist-report", "--precision", "f16"), 2, "--precision", "bf16")

    @unittest.skipUnless("avx512vl" in CPU_FLAGS, "no bf16 without AVX-512")
    def test_a_grid_trains_in_bf16_and_says_so(self):
        out = self.folder / "in-bf16"
        result = run("lathe-mnist-report", *GRID, "--precision", "bf16", "--out", out)
        self.assertEqual(result.returncode, 0, result.stderr)
        cell = json.loads((out / "cells/tutorial_baseline_s0.json").read_text())
        self.assertEqual(cell["config"]["precision"], "bf16")
        self.assertGreater(cell["results"]["float_acc"], 0.5)
        self.assertNotEqual((out / "models/tutorial_baseline_s0.float.lathe").read_bytes(), self.float.read_bytes())
        self.assertRegex((out / "report.md").read_text(), r"precision of training \| bf16")

    def test_results_that_cannot_be_written_are_an_error(self):
        (self.folder / "file").write_text("in the way")
        self.assert_one_line(run("lathe-mnist-report", *GRID, "--quiet", "--out", self.folder / "file"), 1, "file")
        self.assert_one_line(run("lathe", "convert", self.float, "--to", "f32", "-o", self.folder / "file/x.lathe"), 1, "file/x.lathe")

    def test_a_full_disk_loses_nothing(self):
        mount = self.folder / "small"
        mount.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80k", "tmpfs", mount], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("a small file system cannot be mounted here")
        try:
            target = mount / "model.lathe"
            self.assertEqual(run("lathe", "convert", self.int8, "--to", "f32", "-o", target).returncode, 0)
            before = target.read_bytes()
            self.assert_one_line(run("lathe", "convert", self.float, "--to", "f32", "-o", target), 1, "No space left")
            self.assertEqual(target.read_bytes(), before)
            self.assertEqual([file.name for file in mount.iterdir()], ["model.lathe"])
        finally:
            subprocess.run(["umount", mount], check=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
