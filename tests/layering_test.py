#!/usr/bin/env python3
"""Checks the rules of the architecture: a folder includes only downward, no folders include one another, each
third-party library has exactly one home, no layer names a dtype, every header and source is listed in the build (so
that each header is compiled alone and no source is unused), no name of a namespace is defined twice, Args of more than
five members are filled by name, a config embeds the options of the modules, no enumeration has the values of another,
libraries neither print nor exit, and spelling is American."""
import os
import pathlib
import re
import subprocess
import sys

import rules
from definitions import definitions, duplicates

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAY = {
    'kernels': {'kernels'},
    'parallel': {'kernels', 'parallel'},
    'data': {'kernels', 'data'},
    'trainer': {'kernels', 'parallel', 'data', 'trainer'},
    'launch': {'kernels', 'parallel', 'data', 'trainer', 'launch'},
}
# Beginning of an include -> the folders that may use it.
HOME = {
    'mpi.h': ['parallel/comm/mpi'],
    'nccl.h': ['parallel/comm/nccl'],
    'hdf5.h': ['data/hdf5'],
    'libav': ['data/media'],
    'yaml-cpp/': ['trainer/config'],
    'prometheus/': ['trainer/metrics'],
    'microhttpd.h': ['trainer/metrics'],
    'dnnl': ['kernels/core/cpu'],
    'oneapi/dnnl': ['kernels/core/cpu'],
    'omp.h': ['kernels/core/cpu'],
    'immintrin.h': ['kernels'],
    'cuda_runtime': ['kernels'],
    'cuda_fp8': ['kernels'],
    'cuda_bf16': ['kernels'],
    'cublasLt': ['kernels/gemm', 'kernels/core/cuda'],
    'cudnn': ['kernels/attention'],
    'CLI/': ['launch/cli'],
    'pcre2.h': ['data/tokenizer'],
    'unicode/': ['data/tokenizer'],
    'zstd.h': ['data/ingest'],
    'zlib.h': ['data/ingest'],
    'xxhash.h': ['kernels/core'],
    'regex': ['tests'],  # std::regex overflows the stack on long lines: data/tokenizer has the project's regex engine
}
NO_DTYPES = ['trainer/nn', 'trainer/models']  # ask kernels/gemm/precision.h for them
OP = ('.h', '.cc', '_cpu.cc')
# A program contains only one file of each set, so these files may define the same names.
ALTERNATIVES = [{'kernels/core/cpu/matmul_onednn.cc', 'kernels/core/cpu/matmul_portable.cc'},
                {'data/hdf5/system_calls.cc', 'tests/support/injected_calls.cc'},
                {'trainer/checkpoint/save_point.cc', 'tests/trainer/checkpoint/injected_save_point.cc'}]
SUFFIXES = {'birkhoff_ops': OP, 'birkhoff_cuda_ops': ('_cuda.cu',), 'birkhoff_simd': ('_simd.cc',)}
# Files that exist once for a whole family.
SHARED = {'birkhoff_ops': '_reference.cc', 'birkhoff_simd': '_simd.h'}


def listed():
    """The files that the build's lists name."""
    for top in MAY:
        text = re.sub(r'#.*', '', (ROOT / top / 'CMakeLists.txt').read_text())
        for function, words in re.findall(r'(birkhoff_\w+|add_executable)\(([^()]*)\)', text):
            _, *names = words.split()
            if function in SUFFIXES:
                family = words.split()[0]
                if function in SHARED:
                    yield f'{top}/{family}/{family}{SHARED[function]}'
                yield from (f'{top}/{family}/{name}{suffix}' for name in names for suffix in SUFFIXES[function])
            elif function != 'birkhoff_library':
                yield from (f'{top}/{name}' for name in names)


def sources():
    return sorted(p for top in MAY for p in (ROOT / top).rglob('*') if p.suffix in ('.h', '.cc', '.cu', '.cuh'))


def unlisted():
    """.cuh files cannot be compiled alone by CMake, so no list has them."""
    known = set(listed())
    for path in sources():
        here = path.relative_to(ROOT).as_posix()
        if path.suffix != '.cuh' and here not in known:
            yield f'{here}: in no list of {here.split("/")[0]}/CMakeLists.txt'


def violations():
    for path in sources():
        here = path.relative_to(ROOT).as_posix()
        top = here.split('/')[0]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if not match:
                continue
            quote, name = match.groups()
            if quote == '"':
                target = name.split('/')[0]
                if target == 'tests' or (target in MAY and target not in MAY[top]):
                    yield f'{here}:{number}: {top}/ may not include {name}'
                if target not in MAY and target != 'tests':
                    yield f'{here}:{number}: include {name} by its path from the root'
            for prefix, homes in HOME.items():
                if quote == '<' and name.startswith(prefix) and not any(here.startswith(h + '/') for h in homes):
                    yield f'{here}:{number}: {name} has its home in {", ".join(homes)}'


def named_dtypes():
    for path in sources():
        here = path.relative_to(ROOT).as_posix()
        if not any(here.startswith(folder + '/') for folder in NO_DTYPES):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if 'DType::' in line:
                yield f'{here}:{number}: a layer names no dtype; ask Precision, or take_statistic and the like of Frame'


def defined_twice():
    """Names that two files of one program define. Each x_test.cc is a program of its own, linked with all sources that are
    not tests."""
    tests = sorted(p for p in (ROOT / 'tests').rglob('*') if p.suffix in ('.h', '.cc'))
    found = {p.relative_to(ROOT).as_posix(): definitions(p.read_text(), p.relative_to(ROOT).as_posix())
             for p in sources() + tests}
    for _, *others in map(sorted, ALTERNATIVES):
        for other in others:
            del found[other]
    shared = [d for file, all_of_file in found.items() if not file.endswith('_test.cc') for d in all_of_file]
    yield from duplicates(shared)
    for file, all_of_file in found.items():
        if file.endswith('_test.cc'):
            names = {d.name for d in all_of_file}
            yield from duplicates([d for d in shared if d.name in names] + all_of_file)


def texts(paths):
    return {p.relative_to(ROOT).as_posix(): p.read_text() for p in paths}


def written_files():
    """The files that people write and read. Excludes numbers that others computed, and inputs that must keep their bytes."""
    listed_files = subprocess.run(['git', '-C', ROOT, 'ls-files'], text=True, stdout=subprocess.PIPE).stdout.splitlines()
    known = [ROOT / name for name in listed_files] or [p for p in ROOT.rglob('*') if 'build' not in p.parts]
    endings = ('.h', '.cc', '.cu', '.cuh', '.py', '.sh', '.md', '.yaml', '.txt', '.cmake')
    theirs = ('tests/cases/', 'tests/vectors/', 'tests/fuzz/', 'tests/rules', 'tests/e2e/old_dataset/')
    return [p for p in known if p.suffix in endings and p.is_file() and not p.relative_to(ROOT).as_posix().startswith(theirs)]


def not_executable():
    """Scripts that name their interpreter but cannot be run by their path, as their usage says."""
    for path in written_files():
        if path.read_text().startswith('#!') and not os.access(path, os.X_OK):
            yield f'{path.relative_to(ROOT).as_posix()}: a script that is not executable; chmod +x'


def main():
    program = texts(sources())
    tests = texts(p for p in (ROOT / 'tests').rglob('*') if p.suffix in ('.h', '.cc'))
    found = [*violations(), *rules.circles(program), *named_dtypes(), *unlisted(), *defined_twice(),
             *rules.args_by_position(program | tests), *rules.option_headers(program),
             *rules.equal_enumerations(program), *rules.printing(program), *rules.timed_assertions(tests),
             *rules.british(texts(written_files())), *not_executable()]
    print('\n'.join(found) if found else
          'layering: every include goes downward, no folders include one another, every library is at home, no layer names a '
          'dtype, every file is in the build, no name is defined twice, long Args are filled by name, a config embeds the '
          'options of modules and no enumeration stands twice, no library prints or exits, no test asserts a time, every '
          'script can be run by its name, spelling is American')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
