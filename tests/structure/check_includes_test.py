#!/usr/bin/env python3
"""check_includes.py finds what it is for. Usage: check_includes_test.py"""
import pathlib
import subprocess
import sys
import tempfile

SCRIPT = pathlib.Path(__file__).with_name("check_includes.py")
BAD = {
    "runtime/a.cpp": ("#include <lathe/core/tensor.h>", "runtime must not include core"),
    "core/b.cpp": ('#include "lathe/core/ops.h"', "write <lathe/core/ops.h>"),
    "layers/c.cpp": ("#include <oneapi/dnnl/dnnl.hpp>", "only core/kernels/onednn"),
    "include/lathe/graph/d.h": ("#include <lathe/layers/module.h>", "graph must not include layers"),
}

with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    for name, (line, _) in BAD.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(line + "\n")
    result = subprocess.run([sys.executable, SCRIPT, root], capture_output=True, text=True)
    missed = [message for _, message in BAD.values() if message not in result.stdout]
    if result.returncode != 1 or missed:
        sys.exit(f"not found: {missed}\n{result.stdout}")
print("all planted mistakes are found")
