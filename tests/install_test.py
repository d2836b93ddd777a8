#!/usr/bin/env python3
"""Installs the build, moves the tree elsewhere, and uses it there.

  tests/install_test.py CMAKE BUILD
"""
import pathlib
import subprocess
import sys
import tempfile

FILES = ['LICENSE', 'README.md', 'configs/quickstart.yaml', 'configs/deepseek_v3.yaml', 'docs/README.md', 'docs/config.md',
         'docs/formats/checkpoint.md', 'launch/slurm/train.sbatch']


def output(*command, cwd):
    run = subprocess.run(command, cwd=cwd, text=True, capture_output=True, env={'PATH': '/usr/bin:/bin'})
    if run.returncode != 0:
        sys.exit(f'{" ".join(map(str, command))}: exit code {run.returncode}\n{run.stdout}{run.stderr}')
    return run.stdout


def main():
    cmake, build = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        first, moved = pathlib.Path(folder, 'first'), pathlib.Path(folder, 'moved')
        subprocess.run([cmake, '--install', build, '--prefix', first], check=True, stdout=subprocess.DEVNULL)
        first.rename(moved)
        program, share = moved / 'bin/birkhoff', moved / 'share/birkhoff'
        missing = [f for f in FILES if not (share / f).is_file()]
        if missing:
            sys.exit(f'not installed under {share}: {", ".join(missing)}')
        text = output(program, 'describe', 'model', share / 'configs/deepseek_v3.yaml', cwd=folder)
        if '671,026,419,200' not in text.replace('_', ','):
            sys.exit(f'not the parameters of DeepSeek-V3:\n{text}')
        if output(program, 'describe', 'config', cwd=folder) not in (share / 'docs/config.md').read_text():
            sys.exit('docs/config.md is not what the installed program describes')
        sources = str(pathlib.Path(__file__).resolve().parent.parent)
        if sources in output('readelf', '-d', program, cwd=folder):
            sys.exit(f'{program} looks for libraries under {sources}')
    print('installed, moved and used')


if __name__ == '__main__':
    main()
