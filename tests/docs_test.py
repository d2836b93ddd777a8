#!/usr/bin/env python3
"""Checks the documentation against the tree: links, files, commands, shell blocks, functions, the table of ops, the
contracts of ops, the tests of faults, the how-to pages.

  tests/docs_test.py                 checks
  tests/docs_test.py --write         writes the table of docs/backends.md first
  tests/docs_test.py --compiler CXX  also compiles the code of docs/how-to/ (syntax only)
"""
import argparse
import collections
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ['kernels', 'parallel', 'data', 'trainer', 'launch', 'tests', 'configs', 'docs']
SOURCES = ['.h', '.cc', '.cu', '.cuh']
BACKENDS = ROOT / 'docs/backends.md'
HOW_TO = ROOT / 'docs/how-to'


def files(*suffixes, folders=FOLDERS):
    return sorted(p for f in folders for p in (ROOT / f).rglob('*') if p.suffix in suffixes)


def pages():
    return sorted(ROOT.glob('*.md')) + files('.md')


def name(path):
    return path.relative_to(ROOT).as_posix()


def prose(page):
    """The text without code blocks."""
    return re.sub(r'^```.*?^```', '', page.read_text(), flags=re.M | re.S)


def anchors(page):
    titles = re.findall(r'^#+ (.*)$', prose(page), re.M)
    return {re.sub(r'[^\w\- ]', '', t.lower()).replace(' ', '-') for t in titles}


def broken_links():
    for page in pages():
        for target in re.findall(r'\]\(([^)\s]+)\)', prose(page)):
            if re.match(r'[a-z]+:', target):
                continue
            path, _, anchor = target.partition('#')
            file = (page.parent / path).resolve() if path else page
            if not file.exists():
                yield f'{name(page)}: link to {target}, which does not exist'
            elif anchor and anchor not in anchors(file):
                yield f'{name(page)}: {path or name(page)} has no section #{anchor}'


def missing_files():
    """Paths in backticks name files of the tree, or tests; pages on how to add a file name new ones."""
    for page in pages():
        if page.parent == HOW_TO:
            continue
        for path in re.findall(r'`((?:%s)/[\w./-]+)`' % '|'.join(FOLDERS), prose(page)):
            exists = (ROOT / path).exists() or (ROOT / f'tests/{path}_test.cc').exists()
            if not exists and not re.search(r'NAME|FAMILY', path):
                yield f'{name(page)}: names {path}, which does not exist'


def missing_tests():
    """Names of tests, which are sentences in camel case, must occur in the sources of the tests."""
    code = '\n'.join(p.read_text() for p in files('.cc', folders=['tests']))
    for page in [p for p in pages() if p.parent != HOW_TO and p != BACKENDS]:
        for test in set(re.findall(r'\b(?:[A-Z][a-z0-9]*){4,}\b', prose(page))):
            if not test.isupper() and test not in code and not in_sources(test):
                yield f'{name(page)}: names the test {test}, which does not exist'


def in_sources(word):
    return any(re.search(r'\b%s\b' % word, p.read_text()) for p in files(*SOURCES))


def missing_pages():
    for source in files(*SOURCES, '.sh', '.cmake', '.py', '.yaml'):
        for path in re.findall(r'\bdocs/[\w./-]*\w', source.read_text()):
            if not (ROOT / path).exists():
                yield f'{name(source)}: names {path}, which does not exist'


def commands():
    """Command -> its subcommands, read from the sources of the command line."""
    found = {}
    for source in files('.cc', folders=['launch/cli']):
        text = source.read_text()
        subcommands = set(re.findall(r'\b(?:subcommand|add_report|scenario)\((?:\w+, )?\s*"([\w-]+)"', text))
        for command in re.findall(r'\.command\(\s*"([\w-]+)"', text):
            found[command] = subcommands
    return found


def unknown_commands():
    known = commands()
    for page in pages():
        if page.parent == HOW_TO:
            continue
        for command, argument in re.findall(r'\bbirkhoff ([a-z][\w-]*)(?: ([a-z][\w-]*))?(?=[\s`|)\]]|$)', shell(page)):
            if command not in known:
                yield f'{name(page)}: birkhoff {command} is not a command'
            elif known[command] and argument and argument not in known[command]:
                yield f'{name(page)}: birkhoff {command} {argument} is not a command'


def shell(page):
    """Shell blocks without comments, and single-line code in backticks that begins with the program's name."""
    text = page.read_text()
    blocks = re.findall(r'^```sh\n(.*?)^```', text, re.M | re.S)
    inline = re.findall(r'`(birkhoff [^`\n]*)`', prose(page))
    return '\n'.join(re.sub(r'(^|\s)#.*', '', line) for b in blocks + inline for line in b.splitlines())


def broken_shell():
    for page in pages():
        for block in re.findall(r'^```sh\n(.*?)^```', page.read_text(), re.M | re.S):
            run = subprocess.run(['bash', '-n'], input=block, text=True, capture_output=True)
            if run.returncode != 0:
                yield f'{name(page)}: {run.stderr.strip()}'


def unknown_functions():
    """Class::function in backticks is a function of the sources."""
    code = '\n'.join(p.read_text() for p in files(*SOURCES))
    for page in pages():
        if page.parent == HOW_TO:
            continue
        for owner, function in re.findall(r'`([A-Z]\w+)::(\w+)`', prose(page)):
            if not re.search(r'\b(class|struct) %s\b' % owner, code) or not re.search(r'\b%s\b' % function, code):
                yield f'{name(page)}: {owner}::{function} is not in the sources'


def unread_settings():
    """The limits in README name every setting that no code reads, and no other setting."""
    headers = [p for p in files('.h', folders=['trainer']) if p.parent.name == 'config' or p.name.endswith('options.h')]
    texts = '\n'.join(p.read_text() for p in headers)
    declared = {}  # name -> members that hold it
    for setting, member in re.findall(r'\bs\(\s*"(\w+)",\s*([\w.]+)', texts):
        declared.setdefault(setting, set()).add(member.rpartition('.')[2])
    code = '\n'.join(p.read_text() for p in files('.cc', '.h', folders=['trainer', 'launch', 'kernels/rope', 'kernels/engram'])
                     if p not in headers and p.name not in ('reader.cc', 'suggest.cc'))
    code = re.sub(r'\.\w+ = ', '', code)  # members of other structs that are given a value by name
    inline = '\n'.join(re.findall(r'\breturn [^;]*;', texts))
    unread = {setting for setting, members in declared.items()
              if not any(re.search(r'\.%s\b' % m, code) or re.search(r'\b%s\b' % m, inline) for m in members)}
    row = re.search(r'^\| settings \|.*$', (ROOT / 'README.md').read_text(), re.M)
    named = set(re.findall(r'`(\w+)` of `', row[0])) if row else set()
    for setting in sorted(unread ^ named):
        yield f'README.md: {setting} is ' + ('read by nothing' if setting in unread else 'read by code, but named as a limit')


def ops_table():
    """Ops by folder; those dispatched with BK_DISPATCH have a CUDA twin."""
    ops = collections.defaultdict(lambda: {'yes': [], 'no': []})
    for source in files('.cc', folders=['kernels']):
        for host, function in re.findall(r'^\s*BK_DISPATCH(_HOST)?\(\w+, (\w+),', source.read_text(), re.M):
            ops[source.parent.name]['no' if host else 'yes'].append(f'`{function}`')
    total = {kind: sum(len(o[kind]) for o in ops.values()) for kind in ('yes', 'no')}
    lines = [f'With a CUDA twin: {total["yes"]} of {total["yes"] + total["no"]}.', '',
             '| folder of `kernels/` | CUDA twin | cpu and reference only |', '|---|---|---|']
    for folder in sorted(ops):
        lines.append(f'| {folder} | {", ".join(ops[folder]["yes"]) or "-"} | {", ".join(ops[folder]["no"]) or "-"} |')
    return '\n'.join(lines)


def incomplete_contracts():
    """The header of an op has every key. Ops are the functions that are dispatched, and those that are composed of ops and
    take a struct."""
    for source in files('.cc', folders=['kernels']):
        header = source.with_suffix('.h')
        text = source.read_text()
        if source.parent.name == 'core' or not header.exists() or not re.search(r'^\s*(BK_DISPATCH|BK_CHECK)', text, re.M):
            continue
        if not re.search(r'^struct \w+Args \{', header.read_text(), re.M):
            continue
        for key in ('Shapes', 'Types', 'Aliases', 'Errors', 'Cost', 'Source'):
            if not re.search(r'^// %s:' % key, header.read_text(), re.M):
                yield f'{name(header)}: has no {key}'


# Statements that these pages must contain word for word.
STATEMENTS = {
    'docs/formats/shard.md': ['fixed-length strings of at most 64 KiB, UTF-8', 'H5T_CSET_UTF8', 'in the order of dataset.json'],
    'docs/formats/weights.md': ['before* the final norm', 'A predictor reads the state'],
    'docs/config.md': ['Relative paths start from the folder in which the program is'],
    'docs/README.md': ['formats/weights.md): order of rows in composite weights'],
}


def missing_statements():
    for page, statements in STATEMENTS.items():
        text = ' '.join((ROOT / page).read_text().split())
        for statement in statements:
            if statement not in text:
                yield f'{page}: does not say "{statement}"'


def other_batch_scripts():
    """Pages may only show the script that was tested with Slurm: sbatch --wrap loses the checkpoint or the requeue."""
    script = 'launch/slurm/train.sbatch'
    shown = {}
    for page in pages():
        lines = re.findall(r'^sbatch .*$', shell(page), re.M)
        shown[name(page)] = len(lines)
        for line in lines:
            if script not in line.split() or '--wrap' in line:
                yield f'{name(page)}: "{line}" does not start {script}'
        if '--wrap' in page.read_text():
            yield f'{name(page)}: --wrap runs no script that waits for the checkpoint'
    for page in ('README.md', 'docs/exit_codes.md'):
        if not shown[page]:
            yield f'{page}: does not show how {script} is started'


# The numbered cases that must have a row and a test.
FAULTS = [1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 13, 16, 17, 18, 21, 22, 27, 28, 29]


def fault_rows():
    """Number and column `test` of each row of docs/faults.md."""
    column = None
    for line in (ROOT / 'docs/faults.md').read_text().splitlines():
        cells = [c.strip() for c in line.strip('|').split(' | ')] if line.startswith('|') else []
        if 'test' in cells:
            column = cells.index('test')
        elif cells and cells[0].isdigit():
            yield int(cells[0]), cells[column]


def named_tests(text):
    """(file, suite, test) of `file: Suite.Test`, `Suite.Test` of the file before, and `file` Test; * stands for any letters."""
    file = ''
    for named, suite, test, alone, bare in re.findall(
            r'(?:`(?:([\w/]+): )?(?:\w+/)?(\w+)\.([\w*]+)`)|`([\w]+(?:/\w+)+)`|\b((?:[A-Z]+[a-z0-9]*){3,})\b', text):
        file = named or alone or file
        if test or bare:
            yield file, suite, test or bare


def untested_faults():
    """Every case has a row in docs/faults.md, every row a test, and the tests exist."""
    text = (ROOT / 'docs/faults.md').read_text()
    short = dict(re.findall(r'^`(\w+/)` is `([\w/]+)`', text, re.M))
    rows = list(fault_rows())
    for case in sorted(set(FAULTS) - {number for number, _ in rows}):
        yield f'docs/faults.md: no row for case {case}'
    for number, cell in rows:
        tests = list(named_tests(cell))
        if not tests:
            yield f'docs/faults.md: case {number}: a row names no test'
        for file, suite, test in tests:
            for abbreviation, folder in short.items():
                file = re.sub('^' + abbreviation, folder, file)
            source = ROOT / f'tests/{file}_test.cc'
            pattern = r'^TEST\w*\(%s, %s\)' % (suite or r'\w+', test.replace('*', r'\w*'))
            if not source.exists():
                yield f'docs/faults.md: case {number}: there is no tests/{file}_test.cc'
            elif not re.search(pattern, source.read_text(), re.M):
                yield f'docs/faults.md: case {number}: {file} has no test {suite}.{test}'


def with_ops_table(text):
    return re.sub(r'(<!-- ops: begin -->\n).*?(<!-- ops: end -->)', lambda m: m[1] + ops_table() + '\n' + m[2], text, flags=re.S)


def stale_table():
    if with_ops_table(BACKENDS.read_text()) != BACKENDS.read_text():
        yield 'docs/backends.md: the table of ops is stale; run python3 tests/docs_test.py --write'


def broken_how_to(compiler):
    """A line `path` followed by a cpp block is a whole file. The files of all pages together must compile."""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        for page in sorted(HOW_TO.glob('*.md')):
            for path, code in re.findall(r'^`([\w./-]+)`\n\n```cpp\n(.*?)^```', page.read_text(), re.M | re.S):
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                (tree / path).write_text(code)
        found = sorted(tree.rglob('*.cc'))
        if len(found) < 5:
            yield f'docs/how-to: {len(found)} source files found; the pages have changed their form'
        for file in found:
            flags = ['-std=c++20', '-fsyntax-only', '-Wall', '-Wextra', '-Werror', f'-I{tree}', f'-I{ROOT}']
            run = subprocess.run([compiler, *flags, str(file)], text=True, capture_output=True)
            if run.returncode != 0:
                yield f'docs/how-to: {file.relative_to(tree)} does not compile:\n{run.stderr}'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--write', action='store_true')
    parser.add_argument('--compiler')
    options = parser.parse_args()
    if options.write:
        BACKENDS.write_text(with_ops_table(BACKENDS.read_text()))
    found = [f for check in (broken_links, missing_files, missing_tests, missing_pages, unknown_commands, broken_shell,
                               unknown_functions, unread_settings, stale_table, incomplete_contracts, untested_faults,
                               missing_statements, other_batch_scripts)
             for f in check()]
    if options.compiler:
        found += broken_how_to(options.compiler)
    print('\n'.join(found) if found else f'docs: {len(pages())} pages agree with the tree')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
