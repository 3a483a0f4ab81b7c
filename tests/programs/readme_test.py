#!/usr/bin/env python3
"""The program in README.md is examples/train.cpp, and it runs. Usage: readme_test.py SOURCE_ROOT PROGRAM"""
import pathlib
import re
import subprocess
import sys
import tempfile

root, program = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
shown = re.search(r"```cpp\n(.*?)```", (root / "README.md").read_text(), re.DOTALL).group(1)
if shown != (root / "examples/train.cpp").read_text():
    sys.exit("README.md does not show examples/train.cpp")
with tempfile.TemporaryDirectory() as folder:
    result = subprocess.run([program], cwd=folder, capture_output=True, text=True, timeout=240)
    accuracy = re.search(r"test accuracy ([\d.]+) %", result.stdout)
    if result.returncode != 0 or not accuracy or float(accuracy.group(1)) < 80:
        sys.exit(f"exit code {result.returncode}\n{result.stdout}{result.stderr}")
    if not (pathlib.Path(folder) / "tutorial.lathe").is_file():
        sys.exit("no model file was written")
print(result.stdout)
