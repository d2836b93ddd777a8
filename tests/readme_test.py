#!/usr/bin/env python3
"""Runs the blocks of README's section "Your own data" unchanged, in a folder of their own, with a built program.

  tests/readme_test.py BUILD SCRATCH
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What the output must contain, in this order.
EXPECTED = [r'\n *type: *muon', r'parameters', r'\ndone: 50 steps', r'\nresumed from .*step-00000050', r'\ndone: 100 steps',
            r'bits_per_byte', r'671,026,419,200', r'\nkernels:']


def blocks():
    section = re.search(r'^## Your own data$(.*?)^## ', (ROOT / 'README.md').read_text(), re.M | re.S)[1]
    found = re.findall(r'^```sh\n(.*?)^```', section, re.M | re.S)
    return [b for b in found if not b.startswith('sbatch')]


def main():
    build, scratch = (pathlib.Path(p).resolve() for p in sys.argv[1:])
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / 'build/cpu').mkdir(parents=True)
    (scratch / 'build/cpu/birkhoff').symlink_to(build / 'birkhoff')
    for folder in ('configs', 'docs'):
        shutil.copytree(ROOT / folder, scratch / folder)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(('OMPI_', 'OMP_'))}
    environment['OMPI_MCA_rmaps_base_oversubscribe'] = '1'
    script = scratch / 'blocks.sh'
    script.write_text('set -ex\n' + '\n'.join(blocks()))
    run = subprocess.run(['bash', script], stdin=subprocess.DEVNULL, text=True, cwd=scratch, env=environment, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
    if run.returncode != 0:
        sys.exit(f'{run.stdout}\nexit code {run.returncode}')
    rest = run.stdout
    for pattern in EXPECTED:
        found = re.search(pattern, rest)
        if not found:
            sys.exit(f'{run.stdout}\nexpected "{pattern}", after what was found of {EXPECTED}')
        rest = rest[found.end():]
    print(f'{len(blocks())} blocks ran as they stand')


if __name__ == '__main__':
    main()
