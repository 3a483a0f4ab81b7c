#!/usr/bin/env python3
"""Times lathe beside ONNX Runtime and PyTorch on the same trained weights, and prints tables (Markdown).

Batch 1 on one thread in fp32 and int8, all test images one by one, and training at batch 128 with one and two threads.
Every side reads the same images, is warmed up and timed in the same way, in its own process; the processes take turns
within one run, and the others sleep meanwhile. First the outputs are compared: fp32 scores may differ by 1e-4.

What is missing is installed: ONNX Runtime from npm (onnxruntime-node; into --cache), PyTorch, OpenBLAS, NumPy and onnx from
Debian.
"""
import argparse
import ctypes.util
import glob
import gzip
import importlib.util
import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODELS = ("tutorial", "conv", "dscnn")
NAMES = {"lathe": "lathe", "onnxruntime": "ONNX Runtime", "pytorch": "PyTorch"}
BATCH = 128
FP32_TOLERANCE = 1e-4
INT8_ACCURACY_TOLERANCE = 0.005  # each side rounds in its own way; a wrong scale costs far more


class Failure(Exception):
    """A line for the user."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="*", type=pathlib.Path,
                        help="result folders of lathe-mnist-report: the baseline checkpoint of the lowest seed is taken for "
                             "each model; a model that none has is trained for one epoch first (into --cache)")
    parser.add_argument("--models", default=",".join(MODELS), help="separated by commas (default: %(default)s)")
    parser.add_argument("--peers", default="onnxruntime,pytorch", help="separated by commas (default: %(default)s)")
    parser.add_argument("--what", default="latency,loop,training", help="separated by commas (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each side (default: %(default)s)")
    parser.add_argument("--threads", default="1,2", help="of training, separated by commas (default: %(default)s)")
    parser.add_argument("--loops", type=int, default=5, help="turns of the loop over all test images (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=500, help="timed runs in a turn, batch 1 (default: %(default)s)")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="build folder (default: %(default)s)")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(os.environ.get("LATHE_DATA", "data")),
                        help="folder that holds mnist/ (default: $LATHE_DATA, else ./data)")
    parser.add_argument("--cache", type=pathlib.Path, help="where ONNX Runtime and trainings are kept (default: %(default)s)",
                        default=pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "lathe-peers")
    parser.add_argument("--json", type=pathlib.Path, help="also write all figures to this file")
    parser.add_argument("--no-install", action="store_true", help="fail when something is missing")
    options = parser.parse_args()
    for name, known in (("models", MODELS), ("peers", list(NAMES)[1:]), ("what", ("latency", "loop", "training"))):
        chosen = [word for word in getattr(options, name).split(",") if word]
        unknown = [word for word in chosen if word not in known]
        if unknown or (not chosen and name != "peers"):
            parser.error(f"--{name}: expected some of {', '.join(known)}; got {getattr(options, name)!r}")
        setattr(options, name, chosen)
    if not all(word.isdecimal() and int(word) > 0 for word in options.threads.split(",")):
        parser.error(f"--threads: expected numbers above 0, separated by commas; got {options.threads!r}")
    options.threads = [int(word) for word in options.threads.split(",")]
    if min(options.rounds, options.loops, options.runs) < 1:
        parser.error("--rounds, --loops and --runs are 1 or more")
    return options


# --- What is needed ---------------------------------------------------------------------------------------------------

def install(command, what, instead):
    print(f"installing {what}: {' '.join(command)}", file=sys.stderr)
    if not shutil.which(command[0]):
        raise Failure(f"cannot install {what}: there is no {command[0]}; {instead}")
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        lines = (result.stderr or result.stdout).strip().splitlines()
        said = "\n".join(lines if len(lines) <= 6 else [*lines[:3], "...", *lines[-3:]])  # npm's cause comes first, apt's last
        raise Failure(f"cannot install {what}: `{' '.join(command)}` failed (is its registry reachable?); {instead}\n{said}")


def onnxruntime_library(options):
    system = f"{platform.system().lower()}/{'arm64' if platform.machine() == 'aarch64' else 'x64'}"
    pattern = str(options.cache / f"node_modules/onnxruntime-node/bin/napi-v*/{system}/libonnxruntime.so*")
    if not glob.glob(pattern) and not options.no_install:
        options.cache.mkdir(parents=True, exist_ok=True)
        # Its install script would fetch GPU libraries from elsewhere; what is needed is in the package.
        install(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--prefix", str(options.cache),
                 "onnxruntime-node"], "ONNX Runtime", "--peers pytorch goes without it")
    if not (found := sorted(glob.glob(pattern))):
        raise Failure(f"ONNX Runtime is not installed: there is no {pattern}; --peers pytorch goes without it")
    return found[0]


def ensure_python(options):
    """Goes on in an interpreter that has the modules; Debian's packages are those of /usr/bin/python3."""
    packages = {"numpy": "python3-numpy"}
    if "onnxruntime" in options.peers:
        packages["onnx"] = "python3-onnx"
    if "pytorch" in options.peers:
        packages["torch"] = "python3-torch"
    missing = [module for module in packages if importlib.util.find_spec(module) is None]
    # Debian's PyTorch multiplies matrices with plain loops unless there is a better BLAS.
    slow = "torch" in packages and ctypes.util.find_library("openblas") is None
    if not missing and not slow:
        return
    debian, mark = "/usr/bin/python3", "LATHE_PEERS_PYTHON"
    if mark in os.environ:
        raise Failure(f"{debian} has no {', '.join(missing) or 'OpenBLAS'} even after an installation")
    look = "import importlib.util, sys; sys.exit(any(importlib.util.find_spec(m) is None for m in sys.argv[1:]))"
    if slow or subprocess.run([debian, "-c", look, *packages]).returncode != 0:
        wanted = list(packages.values())
        if "torch" in packages:
            wanted.append("libopenblas0-openmp")
        command = ["apt-get", "install", "--yes", "--no-install-recommends", *wanted]
        if options.no_install:
            raise Failure(f"missing: {', '.join([*missing, *['OpenBLAS'] * slow])}; `{' '.join(command)}` installs them")
        if os.geteuid() != 0:
            command = ["sudo", "--non-interactive", *command]
        instead = "--peers chooses what to compare with"
        try:
            install(command, ", ".join(wanted), instead)
        except Failure:  # the list of packages may be old or empty
            install([*command[:command.index("apt-get")], "apt-get", "update"], "the list of Debian's packages", instead)
            install(command, ", ".join(wanted), instead)
    sys.stdout.flush()
    os.execve(debian, [debian, *sys.argv], {**os.environ, mark: "1"})


def run(command, **more):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    if result.returncode != 0:
        raise Failure(f"`{' '.join(map(str, command))}` failed:\n{result.stderr.strip()}")
    return result.stdout


def checkpoint_of(model, options):
    for folder in options.results:
        if not (folder / "checkpoints").is_dir():
            raise Failure(f"{folder} is not a result folder of lathe-mnist-report: it has no checkpoints/")
    folders = [*options.results, options.cache / "trained"]
    for folder in folders:
        if found := sorted((folder / "checkpoints").glob(f"{model}_baseline_s*.safetensors")):
            return found[0]
    print(f"training {model} for one epoch", file=sys.stderr)
    run([options.build / "bin/lathe-mnist-report", "--quiet", "--bases", model, "--kinds", "baseline", "--epochs", "1", "--data",
         options.data, "--out", folders[-1]])
    return next((folders[-1] / "checkpoints").glob(f"{model}_baseline_s*.safetensors"))


def read_idx(options, name, header):
    path = options.data / "mnist" / name
    try:
        with gzip.open(path) as file:
            return file.read()[header:]
    except OSError as error:
        raise Failure(f"cannot read MNIST: {error}; `lathe data fetch mnist` gets it, --data says where it is") from error


# --- Turns ------------------------------------------------------------------------------------------------------------

class Side:
    """A process that answers requests, a line each; see serve.h."""

    def __init__(self, name, command, greets=False):
        self.name, self.command = name, [str(word) for word in command]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        self.way = self._line() if greets else ""

    def _line(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            raise Failure(f"{self.name} stopped: {self.errors.read().strip()[-2000:]}\n(`{' '.join(self.command)}`)")
        return line.strip()

    def ask(self, request):
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # why it went is read below
        return self._line()

    def times(self, count, request="time"):
        return [int(word) for word in self.ask(f"{request} {count}").split()]

    def close(self):
        self.process.kill()
        self.process.communicate()
        self.errors.close()


class Sides(dict):
    """Sides by name, ended together."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for side in self.values():
            side.close()


def turns(sides, rounds, measure):
    """name -> the answers of `measure(side)`, a list entry for each round; every other round in reverse order."""
    answers = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[::1 if number % 2 == 0 else -1]:
            answers[name].append(measure(sides[name]))
    return answers


def summary(rounds):
    """`rounds`: the times of each round. Median and 90th percentile of all; medians of the rounds for paired ratios."""
    everything = sorted(time for times in rounds for time in times)
    return {"median": statistics.median(everything), "p90": everything[min(len(everything) * 9 // 10, len(everything) - 1)],
            "count": len(everything), "rounds": [statistics.median(times) for times in rounds]}


def ratio(slow, fast):
    """Median, lowest and highest of the ratios of the rounds."""
    ratios = sorted(a / b for a, b in zip(slow["rounds"], fast["rounds"]))
    return {"median": statistics.median(ratios), "low": ratios[0], "high": ratios[-1]}


# --- Measurements -----------------------------------------------------------------------------------------------------

def inference_sides(model, options, folder, images):
    """(model, format) -> Sides for fp32 and int8."""
    import networks
    import numpy as np
    checkpoint = checkpoint_of(model, options)
    weights = networks.folded_weights(model, networks.read_checkpoint(checkpoint))
    result = {"fp32": Sides(), "int8": Sides()}
    for name, sides in result.items():
        target = folder / f"{model}.{name}.lathe"
        extra = ["--calibrate", "mnist", "--images", 1024, "--data", options.data] if name == "int8" else []
        run([options.build / "bin/lathe", "convert", checkpoint, "--to", "f32" if name == "fp32" else name, "--out", target, *extra])
        sides["lathe"] = Side(f"lathe, {model} {name}", [options.build / "bench/lathe-peer", "run", target, images])
        if "onnxruntime" in options.peers:
            target = folder / f"{model}.{name}.onnx"
            if name == "fp32":
                networks.write_onnx(model, weights, str(target))
            else:
                pixels = read_idx(options, "train-images-idx3-ubyte.gz", 16)[:1024 * 784]
                few = np.frombuffer(pixels, np.uint8).reshape(-1, 28, 28).astype(np.float32) / 255
                networks.write_onnx_int8(model, weights, networks.calibrate(model, weights, few), str(target))
            sides["onnxruntime"] = Side(f"ONNX Runtime, {model} {name}",
                                        [options.build / "bench/onnxruntime-peer", options.library, target, images])
    if "pytorch" in options.peers:
        result["fp32"]["pytorch"] = Side(f"PyTorch, {model}", [sys.executable, HERE / "torch_peer.py", "run", model, checkpoint, images],
                                         greets=True)
    return result


def agreement(model, form, sides, labels, folder):
    """Accuracy of each side, and how far its scores are from lathe's; Failure when too far."""
    import numpy as np
    scores = {}
    for name, side in sides.items():
        side.ask(f"outputs {folder / 'scores'}")
        scores[name] = np.fromfile(folder / "scores", np.float32).reshape(-1, 10)
    rows = []
    for name, theirs in scores.items():
        row = {"model": model, "format": form, "side": name, "accuracy": float((theirs.argmax(1) == labels).mean()),
               "largest_difference": float(np.abs(theirs - scores["lathe"]).max()),
               "same_class": float((theirs.argmax(1) == scores["lathe"].argmax(1)).mean())}
        rows.append(row)
        if form == "fp32" and not row["largest_difference"] <= FP32_TOLERANCE:
            raise Failure(f"{model}: the scores of {NAMES[name]} differ from lathe's by {row['largest_difference']:.2g}; at most "
                          f"{FP32_TOLERANCE:g} is expected")
        if abs(row["accuracy"] - rows[0]["accuracy"]) > INT8_ACCURACY_TOLERANCE:
            raise Failure(f"{model} {form}: accuracy {row['accuracy']:.4f} of {NAMES[name]}, {rows[0]['accuracy']:.4f} of lathe; the "
                          "networks are not the same")
    return rows


def measure_training(model, threads, options, images, labels):
    with Sides() as sides:
        sides["lathe"] = Side(f"lathe, training {model}", [options.build / "bench/lathe-peer", "train", model, threads, images, labels])
        if "pytorch" in options.peers:
            sides["pytorch"] = Side(f"PyTorch, training {model}",
                                    [sys.executable, HERE / "torch_peer.py", "train", model, threads, images, labels], greets=True)
        # One thread by its processor time: a step is long enough for others to get the core within it. Two threads wait for
        # each other, and only an idle machine shows what they do.
        request = "cpu" if threads == 1 else "time"
        counts = {side.name: max(5, min(200, round(4e8 / statistics.median(side.times(5, request))))) for side in sides.values()}
        answers = turns(sides, options.rounds, lambda side: side.times(counts[side.name], request))
    measured = {name: summary(rounds) for name, rounds in answers.items()}
    for figures in measured.values():
        figures["images_per_second"] = BATCH / figures["median"] * 1e9
    return measured


# --- Tables -----------------------------------------------------------------------------------------------------------

def amount(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def factor(ratio_of):
    return f"{ratio_of['median']:.2f} ({ratio_of['low']:.2f} to {ratio_of['high']:.2f})"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] * 2 + ["--:"] * (len(head) - 2)) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def times_table(entries, peers, unit, divisor, with_p90):
    rows = []
    for entry in entries:
        row = [f"`{entry['model']}`", entry["format"]]
        for name in ("lathe", *peers):
            side = entry["sides"].get(name)
            row.append("-" if not side else amount(side["median"] / divisor) +
                       (f" ({amount(side['p90'] / divisor)})" if with_p90 else ""))
        row += [factor(entry["ratios"][name]) if name in entry["ratios"] else "-" for name in peers]
        rows.append(row)
    head = ["model", "format", *(f"{NAMES[name]}, {unit}" for name in ("lathe", *peers)), *(f"{NAMES[name]} / lathe" for name in peers)]
    return table(head, rows)


def print_tables(result, options):
    peers = options.peers
    if result["agreement"]:
        print("Outputs, all test images:\n")
        print(table(["model", "format", "side", "accuracy", "largest difference from lathe's scores", "same class as lathe"],
                    [[f"`{row['model']}`", row["format"], NAMES[row["side"]], f"{100 * row['accuracy']:.2f} %",
                      f"{row['largest_difference']:.1e}", f"{100 * row['same_class']:.2f} %"] for row in result["agreement"]]))
    if result["latency"]:
        print("Batch 1, one thread, median (90th percentile):\n")
        print(times_table(result["latency"], peers, "us", 1e3, True))
    if result["loop"]:
        print(f"{result['environment']['test_images']:,} images one by one, one thread, processor time, median:\n")
        print(times_table(result["loop"], peers, "ms", 1e6, False))
    if result["training"]:
        both = "pytorch" in peers
        print("Training, batch 128, Adam, images/s, median (one thread: of processor time; two: on an idle machine only):\n")
        print(table(["model", "threads", "lathe"] + ["PyTorch", "lathe / PyTorch"] * both,
                    [[f"`{entry['model']}`", str(entry["threads"]),
                      *(amount(entry["sides"][name]["images_per_second"]) for name in ["lathe"] + ["pytorch"] * both),
                      *(factor(entry["ratios"][name]) for name in ["pytorch"] * both)] for entry in result["training"]]))


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def paired(measured):
    return {name: ratio(figures, measured["lathe"]) for name, figures in measured.items() if name != "lathe"}


def compare(options, folder):
    for program in ("bin/lathe", "bin/lathe-mnist-report", "bench/lathe-peer", "bench/onnxruntime-peer"):
        if not (options.build / program).is_file():
            raise Failure(f"there is no {options.build / program}: build lathe first (ninja -C {options.build}), or see --build")
    import numpy as np
    test_images = np.frombuffer(read_idx(options, "t10k-images-idx3-ubyte.gz", 16), np.uint8)
    labels = np.frombuffer(read_idx(options, "t10k-labels-idx1-ubyte.gz", 8), np.uint8)
    images, label_file = folder / "images", folder / "labels"
    (test_images.astype(np.float32) / 255).tofile(images)
    labels.astype(np.int32).tofile(label_file)
    versions = {"lathe": run([options.build / "bin/lathe", "--version"]).strip()}
    if "onnxruntime" in options.peers:
        options.library = onnxruntime_library(options)
        versions["onnxruntime"] = run([options.build / "bench/onnxruntime-peer", options.library]).strip()
    if "pytorch" in options.peers:
        import torch
        versions["pytorch"] = torch.__version__
    result = {"environment": {"processor": processor(), "cores": os.cpu_count(), "load_before": os.getloadavg()[0],
                              "test_images": len(labels), "versions": versions, "pytorch_way": {}},
              "agreement": [], "latency": [], "loop": [], "training": []}

    for model in options.models if {"latency", "loop"} & set(options.what) else []:
        for form, sides in inference_sides(model, options, folder, images).items():
            with sides:
                print(f"{model} {form}", file=sys.stderr)
                if "pytorch" in sides:
                    result["environment"]["pytorch_way"][model] = sides["pytorch"].way
                result["agreement"] += agreement(model, form, sides, labels, folder)
                for kind, rounds, measure in (("latency", options.rounds, lambda side: side.times(options.runs)),
                                              ("loop", options.loops, lambda side: [int(side.ask("loop"))])):
                    if kind in options.what:
                        measured = {name: summary(answers) for name, answers in turns(sides, rounds, measure).items()}
                        result[kind].append({"model": model, "format": form, "sides": measured, "ratios": paired(measured)})
    if "training" in options.what:
        for model in options.models:
            for threads in options.threads:
                print(f"{model}, training on {threads} threads", file=sys.stderr)
                measured = measure_training(model, threads, options, images, label_file)
                result["training"].append({"model": model, "threads": threads, "sides": measured, "ratios": paired(measured)})
    result["environment"]["load_after"] = os.getloadavg()[0]
    return result


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, interrupted)
    try:
        ensure_python(options)
        with tempfile.TemporaryDirectory(prefix="lathe-peers-") as folder:
            result = compare(options, pathlib.Path(folder))
    except Failure as failure:
        sys.exit(f"compare.py: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
    about = result["environment"]
    print(f"{about['processor']}, {about['cores']} cores, load {about['load_before']:.1f} before and {about['load_after']:.1f} after; "
          + ", ".join(f"{NAMES[name]} {version.removeprefix('lathe ')}" for name, version in about["versions"].items()) + ".")
    if about["pytorch_way"]:
        print("PyTorch ran as what was fastest: " + ", ".join(f"{model} {way}" for model, way in about["pytorch_way"].items()) + ".")
    print()
    print_tables(result, options)
    if options.json:
        partial = options.json.with_name(options.json.name + ".part")
        partial.write_text(json.dumps(result, indent=1) + "\n")
        partial.replace(options.json)


if __name__ == "__main__":
    main()
