#!/usr/bin/env python3
"""Every public header compiles alone. Usage: check_headers.py INCLUDE_DIR COMPILER [ARGUMENT...]"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys


def main():
    include, compiler = pathlib.Path(sys.argv[1]), sys.argv[2:]
    headers = sorted(include.rglob("*.h"))
    command = [*compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wno-missing-field-initializers", "-Werror",
               f"-I{include}", "-x", "c++", "-"]

    def compile_alone(header):
        text = f"#include <{header.relative_to(include)}>\n"
        result = subprocess.run(command, input=text, capture_output=True, text=True)
        return f"{header}:\n{result.stderr}" if result.returncode else ""

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = [failure for failure in pool.map(compile_alone, headers) if failure]
    print("\n".join(failures) or f"{len(headers)} headers compile alone")
    return 1 if failures or not headers else 0


if __name__ == "__main__":
    sys.exit(main())
