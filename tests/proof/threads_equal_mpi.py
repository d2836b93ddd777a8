#!/usr/bin/env python3
"""Checks that ranks as threads and ranks under mpirun have the same errors in every layout, to the last bit.

  threads_equal_mpi.py THREADS.json MPI.json      files of birkhoff verify-layout --json, with the same layouts
"""

import json
import sys


def worst_errors(file: str) -> dict[str, list]:
    with open(file, encoding="utf-8") as source:
        report = json.load(source)
    if not report["complete"]:
        sys.exit(f"error: the command that wrote {file} did not end")
    return {layout["name"]: layout["worst"] for layout in report["layouts"]}


def main() -> None:
    threads, mpi = worst_errors(sys.argv[1]), worst_errors(sys.argv[2])
    if not threads or threads.keys() != mpi.keys():
        sys.exit(f"error: the layouts differ: {sorted(threads)} and {sorted(mpi)}")
    different = [name for name in threads if threads[name] != mpi[name]]
    for name in different:
        print(f"{name}: {threads[name]} on threads, {mpi[name]} under mpirun")
    errors = sum(len(worst) for worst in threads.values())
    print(f"{len(threads)} layouts with {errors} worst errors, {len(different)} layouts differ")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
