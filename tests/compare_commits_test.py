#!/usr/bin/env python3
"""Tests that tests/compare_commits.py finds a changed bit in a weight, in a reported number, in the text of a description,
and a predicted memory that changed; with --predicted-memory only one that grew.

  tests/compare_commits_test.py PROGRAM

The second program is a script that runs PROGRAM and then changes its results.
"""
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
WRAPPER = '''#!/usr/bin/env python3
import json, math, pathlib, re, subprocess, sys
done = subprocess.run([{program!r}, *sys.argv[1:]], stdout=subprocess.PIPE, text=True)
said = done.stdout
run = pathlib.Path('run')
if {what!r} == 'weight' and sys.argv[1] == 'train' and (run / 'checkpoints').exists():
    folder = run / 'checkpoints/step-00000006'
    part = json.loads((folder / 'manifest.json').read_text())['manifest']['tensors']['model.head.weight']['parts'][0]
    with open(folder / part['file'], 'r+b') as f:
        f.seek(part['offset'])
        byte = f.read(1)[0]
        f.seek(part['offset'])
        f.write(bytes([byte ^ 1]))
if {what!r} == 'number' and sys.argv[1] == 'train' and (run / 'metrics.jsonl').exists():
    text = (run / 'metrics.jsonl').read_text()
    at = text.index('"grad_norm":', text.index('"step":4'))
    end = re.compile('[,}}]').search(text, at).start()
    begin = at + len('"grad_norm":')
    next_double = math.nextafter(float(text[begin:end]), math.inf)
    (run / 'metrics.jsonl').write_text(text[:begin] + repr(next_double) + text[end:])
if {what!r} == 'description' and sys.argv[1:3] == ['describe', 'model']:
    said = said.replace('total', 'Total', 1)
if {what!r} in ('more memory', 'less memory', 'any memory') and sys.argv[1:3] == ['describe', 'model']:
    factor = 1.03 if {what!r} == 'more memory' else 0.5
    said = re.sub('(activations of a microbatch +)([0-9,]+)',
                  lambda m: m[1] + format(int(factor * int(m[2].replace(',', ''))), ','), said)
sys.stdout.write(said)
sys.exit(done.returncode)
'''
SAME = '1 runs of each program and their data compared, 0 differences'
EXPECTED = {'nothing': SAME, 'less memory': SAME, 'weight': 'model.head.weight: 1 of ', 'number': 'step 4: grad_norm ',
            'description': 'describe model differs', 'more memory': 'predicted bytes, activations of a microbatch: ',
            'any memory': 'predicted bytes, activations of a microbatch: '}


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    for what, expected in EXPECTED.items():
        with tempfile.TemporaryDirectory() as folder:
            second = pathlib.Path(folder) / 'second'
            second.write_text(WRAPPER.format(program=program, what=what))
            second.chmod(0o755)
            allowed = ['--predicted-memory'] if what in ('less memory', 'more memory') else []
            run = subprocess.run([sys.executable, HERE / 'compare_commits.py', program, second, '--work', folder, '--only', 'gqa',
                                  '--ranks', '1', *allowed], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if run.returncode != (expected != SAME) or expected not in run.stdout:
                sys.exit(f'{what}: exit code {run.returncode}, expected {expected!r} in:\n{run.stdout}')
            print(f'{what}: {"no difference" if expected == SAME else "found"}')


if __name__ == '__main__':
    main()
