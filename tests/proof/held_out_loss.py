#!/usr/bin/env python3
"""Trains the model of the quickstart for 200 steps in its own recipe, on one rank and at tp2.dp2.ep2, and compares the
losses of all held-out tokens. Rounding makes the runs drift apart, so they must only agree within 0.5 %.

  held_out_loss.py BIRKHOFF QUICKSTART FOLDER     QUICKSTART has the tokenizer and dataset; FOLDER is made anew
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

STEPS = 200
ALLOWED = 0.005
LEAST_TOKENS = 100_000
ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(ranks: int, birkhoff: str, command: str, settings: list[str], *options: str) -> str:
    line = ["mpirun", "-n", str(ranks), "--oversubscribe", "--bind-to", "none", birkhoff, command]
    line += ["configs/quickstart.yaml", *options]
    for setting in settings:
        line += ["--set", setting]
    result = subprocess.run(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{result.stdout}\nerror: {' '.join(line)} ended with {result.returncode}")
    return result.stdout


def held_out(birkhoff: str, quickstart: str, folder: pathlib.Path, ranks: int, *layout: str) -> tuple[float, int]:
    settings = [f"run.dir={folder}", f"run.steps={STEPS}", "eval.interval=0", "eval.sequences=0",
                f"data.tokenizer={quickstart}/tokenizer.json", f"data.sources=[{{path: '{quickstart}/data'}}]",
                f"eval.data={quickstart}/data"]
    run(ranks, birkhoff, "train", settings, *layout)
    output = run(2, birkhoff, "eval", settings)
    loss, tokens = re.search(r"\bloss: (\S+)", output), re.search(r"\btokens: (\d+)", output)
    if not loss or not tokens:
        sys.exit(f"{output}\nerror: the evaluation printed no loss and number of tokens")
    return float(loss[1]), int(tokens[1])


def main() -> None:
    birkhoff, quickstart, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    one, tokens = held_out(birkhoff, quickstart, folder / "one", 1)
    print(f"one rank:     {one:.5f} nats per token, of {tokens} held-out tokens", flush=True)
    four, _ = held_out(birkhoff, quickstart, folder / "four", 4, "--layout", "tp2.dp2.ep2")
    apart = abs(four - one) / one
    print(f"tp2.dp2.ep2:  {four:.5f}; {100 * apart:.3f} % apart, {100 * ALLOWED} % are allowed")
    shutil.rmtree(folder)  # the checkpoints
    sys.exit(0 if apart <= ALLOWED and tokens >= LEAST_TOKENS else 1)


if __name__ == "__main__":
    main()
