#!/usr/bin/env python3
"""Fails on an #include against the direction of dependencies, on an include form that is not <lathe/...>, and on oneDNN outside
its folder. Usage: check_includes.py SOURCE_ROOT"""
import pathlib
import re
import sys

# What each layer may include, itself aside.
ALLOWED = {
    "base": set(),
    "graph": {"base"},
    "core": {"base", "graph"},
    "layers": {"base", "graph", "core"},
    "datasets": {"base", "graph", "core"},
    "optim": {"base", "graph", "core", "layers", "datasets"},
    "compress": {"base", "graph", "core", "layers", "datasets", "optim"},
    "runtime": {"base", "graph"},
}
LAYERS = set(ALLOWED)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def layer_of(path):
    """The layer a file belongs to, or None for programs, tests and the like, which may include everything."""
    parts = path.parts
    if parts[:2] == ("include", "lathe"):
        return parts[2] if len(parts) > 3 else None
    if parts[:2] == ("core", "base"):
        return "base"
    return parts[0] if parts[0] in LAYERS else None


def problems(root, path):
    layer = layer_of(path)
    for number, line in enumerate((root / path).read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, target = match.groups()
        where = f"{path}:{number}"
        if quote == '"' and target.startswith("lathe/"):
            yield f'{where}: write <{target}>, not "{target}"'
        if quote == '"' and path.parts[0] == "include":
            yield f"{where}: a public header includes a private one: {target}"
        if "dnnl" in target and path.parts[:3] != ("core", "kernels", "onednn"):
            yield f"{where}: only core/kernels/onednn may include oneDNN"
        if layer is None or not target.startswith("lathe/"):
            continue
        used = target.split("/")[1]
        if used in LAYERS and used != layer and used not in ALLOWED[layer]:
            yield f"{where}: {layer} must not include {used} ({target})"
        if target == "lathe/lathe.h":
            yield f"{where}: the umbrella header is for users"


def main():
    root = pathlib.Path(sys.argv[1])
    folders = sorted(LAYERS - {"base"}) + ["include", "experiments", "bin", "examples", "tests", "bench"]
    files = [file.relative_to(root) for folder in folders for file in sorted((root / folder).rglob("*")) if file.suffix in (".h", ".cpp")]
    found = [problem for file in files for problem in problems(root, file)]
    print("\n".join(found) or f"{len(files)} files, every include in the right direction")
    return 1 if found or len(files) < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
