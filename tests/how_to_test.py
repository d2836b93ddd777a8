#!/usr/bin/env python3
"""Follows five pages of docs/how-to (PAGES) to the letter in a copy of the tree, and runs the tests that they add.

  tests/how_to_test.py BUILD COPY

Four forms are edits, everything else is explanation:
  `path`, then a block            a new file
  `path`, after `line`: a block   goes below that line ("and after `line`:" for the file named last)
  `path`, in place of `line`:     takes that line's place
  `path`: `a` becomes `b`         on one line or across a line break
The script compiles only the files that the edits touch, with the flags of BUILD, and links them with its libraries, because
building the copy would compile the whole tree again. It configures the copy and checks that the build has the targets that
the pages name.
"""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = ['add-an-op', 'add-a-layer', 'add-a-parallelism', 'add-a-setting', 'add-a-command']
BLOCK = r'\n\n```\w+\n(.*?)^```'
REFERENCES = 'kernels/elementwise/elementwise_reference.cc'
# Test that a page adds or extends -> a test that is linked with the same libraries, and the sources to compile again.
TESTS = {
    'kernels/elementwise/scale_columns': ('kernels/elementwise/bias', ['kernels/elementwise/scale_columns*.cc', REFERENCES]),
    'trainer/nn/layer_scale': ('trainer/nn/linear', ['kernels/elementwise/scale_columns*.cc', REFERENCES, 'trainer/nn/layer_scale.cc']),
    'trainer/nn/bottleneck': ('trainer/nn/expert_dispatch', ['trainer/nn/bottleneck.cc']),
    'trainer/config/reader': ('trainer/config/reader', ['trainer/config/*.cc']),
    'trainer/config/print': ('trainer/config/print', ['trainer/config/*.cc']),
    'launch/console': ('launch/console', ['launch/console.cc']),
}
COMPILED_ONLY = ['launch/cli/train.cc', 'launch/cli/hello.cc', 'launch/cli/cli.cc']


def fail(message):
    sys.exit(f'docs/how-to: {message}')


def replace(file, old, new):
    text = file.read_text()
    if text.count(old) != 1:
        fail(f'{file.name} has {text.count(old)} of: {old.strip()}')
    file.write_text(text.replace(old, new))


def apply(page, copy):
    text = (ROOT / f'docs/how-to/{page}.md').read_text()
    edits, path = 0, None
    pattern = (r'^`(?P<file>[\w./-]+)`' + BLOCK + r'|^(?:`(?P<path>[\w./-]+)`,|and) (?P<how>after|in place of) `(?P<line>[^\n]*)`:' +
               BLOCK + r'|`(?P<list>[\w./-]+)`: `(?P<old>[^`]+)` becomes\s+`(?P<new>[^`]+)`')
    for m in re.finditer(pattern, text, re.M | re.S):
        edits += 1
        if m['file']:
            (copy / m['file']).parent.mkdir(parents=True, exist_ok=True)
            (copy / m['file']).write_text(m[2])
        elif m['how']:
            path = m['path'] or path
            line, block = m['line'] + '\n', m[6]
            replace(copy / path, line, line + block if m['how'] == 'after' else block)
        else:
            replace(copy / m['list'], m['old'], m['new'])
    if edits < 3:
        fail(f'{page}: {edits} edits found; the page has changed its form')


class Compiler:
    def __init__(self, build, copy):
        self.build, self.copy, self.objects = build, copy, {}
        self.commands = {c['file']: c['command'] for c in json.loads((build / 'compile_commands.json').read_text())}

    def compile(self, source):
        """Compiles with the command of that source, or of another one in its folder."""
        if source in self.objects:
            return self.objects[source]
        original = ROOT / source
        like = str(original) if str(original) in self.commands else next(
            f for f in self.commands if pathlib.Path(f).parent == original.parent and '_simd' not in f)
        words = shlex.split(self.commands[like].replace(f'-I{ROOT}', f'-I{self.copy}'))
        target = self.copy / 'objects' / (source.replace('/', '_') + '.o')
        words[words.index('-o') + 1] = str(target)
        words[-1] = str(self.copy / source)
        self.run(words, self.build)
        self.objects[source] = target
        return target

    def link_and_run(self, name, like, sources):
        test = f'tests/{name}_test.cc'
        objects = [self.compile(s) for s in [test, *sources]]
        target = f'tests/test_{like.replace("/", "_")}'
        lines = subprocess.run(['ninja', '-t', 'commands', target], cwd=self.build, text=True, capture_output=True, check=True)
        command = lines.stdout.strip().splitlines()[-1]
        command = re.sub(r'\S+/%s_test\.cc\.o' % re.escape(like), ' '.join(map(str, objects)), command)
        program = self.copy / 'objects' / name.replace('/', '_')
        command = command.replace(f'-o {target}', f'-o {program}')
        self.run(['sh', '-c', command], self.build)
        self.run([program], self.copy, BIRKHOFF_SOURCE_DIR=str(self.copy))

    def run(self, words, where, **environment):
        run = subprocess.run(words, cwd=where, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env={**os.environ, **environment})
        if run.returncode != 0:
            fail(f'{" ".join(map(str, words))}\n{run.stdout}')


def check_targets(compiler, copy):
    compiler.run(['cmake', '--preset', 'cpu'], copy)
    for page in PAGES:
        for line in re.findall(r'^cmake --build build/cpu --target (.*)$', (copy / f'docs/how-to/{page}.md').read_text(), re.M):
            compiler.run(['ninja', '-C', 'build/cpu', '-n', *line.split()], copy)


def main():
    build, copy = (pathlib.Path(p).resolve() for p in sys.argv[1:])
    shutil.rmtree(copy, ignore_errors=True)
    for folder in ('kernels', 'parallel', 'data', 'trainer', 'launch', 'tests', 'docs', 'configs'):
        shutil.copytree(ROOT / folder, copy / folder)
    for file in filter(pathlib.Path.is_file, ROOT.iterdir()):
        shutil.copy(file, copy)
    (copy / 'objects').mkdir()
    for page in PAGES:
        apply(page, copy)
    compiler = Compiler(build, copy)
    check_targets(compiler, copy)
    reference = copy / 'docs/config.md'  # as `birkhoff describe config` would write it
    row = '| `jsonl` |'
    text = reference.read_text()
    at = text.index('\n', text.index(row)) + 1
    reference.write_text(text[:at] + '| `bar_width` | `24` | a whole number in [1, 200] | columns of the progress bar | free |\n' + text[at:])
    for name, (like, patterns) in TESTS.items():
        sources = [str(f.relative_to(copy)) for p in patterns for f in sorted(copy.glob(p))]
        compiler.link_and_run(name, like, sources)
    for source in COMPILED_ONLY:
        compiler.compile(source)
    compiler.run(['python3', 'tests/layering_test.py'], copy)
    compiler.run(['python3', 'tests/docs_test.py', '--write'], copy)
    print(f'{len(PAGES)} pages followed, {len(TESTS)} tests run')


if __name__ == '__main__':
    main()
