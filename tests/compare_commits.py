#!/usr/bin/env python3
"""Trains the same runs with two commits and compares everything that the runs report and save, bit by bit.

  tests/compare_commits.py OLD NEW [--work DIR] [--only TEXT] [--ranks 1,2,3] [--jobs 1] [--keep]
  tests/compare_commits.py OLD NEW --speed ROUNDS

OLD and NEW are commits, which are built under DIR (build/compare by default) and kept for the next call, or built programs.
Both programs train six clipped steps of every case below, on 1, 2 and 3 ranks. Every run must end with exit code 0, and
these results must be equal: every number of metrics.jsonl that does not measure the machine, each checkpoint, compared by
`birkhoff checkpoint diff` of NEW (weights; moments, which depend on the gradients; the position in the data; the config),
`birkhoff eval`, `birkhoff describe model`, the tokenizer, and the files of the data set. With
--predicted-memory, the memory that `describe model` predicts may be less, or at most 2 % more; where it differs it is
printed. NEW also resumes from OLD's checkpoint of step 3
and must end where OLD ended. --only TEXT takes the cases whose name contains TEXT.

--speed runs `bench step`, `bench ranks` and `bench checkpoint` and a short training run of the quickstart model with both
programs in turn, and prints the median over the rounds of NEW / OLD for speed and for peak memory.

The exit code is 0 if all cases are equal and 1 if one differs.
"""
import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
STEPS, SAVE_AT, CLIP_NORM = 6, 3, 0.05
VOCABULARY = 400
COMMON = [f'run.steps={STEPS}', 'run.threads=1', 'run.log_interval=1', f'optimizer.clip_norm={CLIP_NORM}',
          'optimizer.warmup_steps=2', f'checkpoint.interval={SAVE_AT}', f'eval.interval={SAVE_AT}', 'eval.sequences=6',
          'batch.global_batch_size=12', 'metrics.progress=never']
# The models: a config, and settings that make it small enough to train many times.
QUICKSTART = ('configs/quickstart.yaml', ['batch.sequence_length=48', 'model.num_layers=3', 'model.hidden_size=128',
                                          'model.engram.rows_per_head=1000'])
ALL_PARTS = ('configs/test.yaml', [])
GPT = ('configs/bench/gpt_14m.yaml', ['batch.sequence_length=48', 'batch.micro_batch_size=2', 'model.hidden_size=192',
                                      'model.num_layers=3', f'model.vocab_size={VOCABULARY}'])
# The lines of `describe model` that depend on how long a step keeps its tensors, and by how much they may grow.
PREDICTED = re.compile(r'  (activations of a microbatch|all) +([\d,]+)')
MOST_MEMORY = 1.02
# Keys of metrics.jsonl that measure the machine, not the run.
MEASURED = re.compile(r'time$|_seconds|_per_second|^memory_bytes|^comm_wait')


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    config: str
    settings: tuple

    def overrides(self):
        return [word for setting in (*COMMON, *self.settings) for word in ('--set', setting)]


def case(name, model, *settings):
    config, smaller = model
    return Case(name, config, (*smaller, *settings))


def cases():
    """Every kind of residual with every recomputation, every recipe with every optimizer, and other options of a model."""
    for model_name, model in (('quickstart', QUICKSTART), ('all parts', ALL_PARTS)):
        yield case(model_name, model)
        for residual in ('plain', 'hc', 'mhc', 'mhc_single_pass'):
            for recompute in ('none', 'block', 'mhc'):
                if residual in ('plain', 'hc') and recompute == 'mhc':
                    continue  # the config allows recompute mhc only with mhc and mhc_single_pass
                yield case(f'{model_name}, residual {residual}, recompute {recompute}', model,
                           f'model.residual.type={residual}', f'model.recompute={recompute}')
            yield case(f'{model_name}, residual {residual}, reference device', model, f'model.residual.type={residual}',
                       'run.device=reference', 'precision.recipe=f32')
        for recipe in ('f32', 'bf16', 'fp8_block'):
            for optimizer in ('adamw', 'muon'):
                for table in ('balanced', 'sparse_adamw'):
                    yield case(f'{model_name}, {recipe}, {optimizer}, {table}', model, f'precision.recipe={recipe}',
                               f'optimizer.type={optimizer}', f'optimizer.engram.update={table}')
    small = ALL_PARTS
    yield case('gqa', small, 'model.attention.type=gqa', 'model.attention.num_kv_heads=2', 'model.attention.qk_norm=true',
               'model.attention.bias=true')
    yield case('query latent', small, 'model.attention.q_lora_rank=16', 'model.attention.qk_norm=true')
    yield case('yarn', small, 'model.rope={type: half, yarn: {factor: 4, original_length: 16}}')
    yield case('inner gate, groups, balance loss', small, 'model.moe.gate_position=inner', 'model.moe.num_groups=4',
               'model.moe.top_groups=2', 'model.moe.sequence_balance_loss=0.01', 'model.moe.bias_update_speed=0.01')
    yield case('softmax scores', small, 'model.moe.score_function=softmax', 'model.ffn.clamp=1')
    yield case('tied, layernorm, z-loss, two predictors', small, 'model.tie_embeddings=true', 'model.norm=layernorm',
               'model.z_loss=0.001', 'model.mtp.depth=2')
    yield case('two Engram layers without convolution', small, 'model.engram.layers=[0, 1]', 'model.engram.conv=false',
               'optimizer.engram.granularity=head')
    yield case('moments in bf16, ue8m0 scales', small, 'precision.moments=bf16', 'precision.recipe=fp8_block',
               'precision.fp8_scale=ue8m0')
    yield case('streams recomputed by one block', small, 'model.recompute=mhc', 'model.recompute_layers=1',
               'model.num_layers=4')
    yield case('ramps of batch and length', small, 'batch.micro_batch_size=2', 'batch.global_batch_size=24',
               'batch.ramp={initial_size: 12, increment: 12, steps: 4}',
               'batch.length_schedule=[{until_step: 2, sequence_length: 16}]')
    for recipe in ('f32', 'bf16', 'fp8_block'):
        for recompute in ('none', 'block'):
            yield case(f'gpt, {recipe}, recompute {recompute}', GPT, f'precision.recipe={recipe}',
                       f'model.recompute={recompute}')
    yield case('gpt, muon', GPT, 'optimizer.type=muon')
    yield case('gpt, reference device', GPT, 'run.device=reference')


class Program:
    """A built birkhoff, run in folders of its own. Paths are relative, so that the output of two programs can be equal."""

    def __init__(self, path, folder):
        self.path = path.resolve()
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def run(self, *arguments, ranks=0, cwd=None):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(('OMPI_', 'OMP_'))}
        environment |= {'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1'}
        launcher = ['mpirun', '-n', str(ranks), '--oversubscribe', '--bind-to', 'none'] if ranks else []
        return subprocess.run([*launcher, self.path, *map(str, arguments)], cwd=cwd or self.folder, text=True, env=environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def checked(result):
    if result.returncode != 0:
        sys.exit(f'{result.stdout}\nexit code {result.returncode} of {" ".join(map(str, result.args))}')
    return result.stdout


def build(revision, work):
    """The program of a commit. The path of a file is taken as a program."""
    if pathlib.Path(revision).is_file():
        return pathlib.Path(revision)
    commit = subprocess.run(['git', '-C', ROOT, 'rev-parse', '--verify', '--quiet', revision + '^{commit}'], text=True,
                            stdout=subprocess.PIPE).stdout.strip()
    if not commit:
        sys.exit(f'{revision} is neither a commit nor a program')
    tree = work / 'trees' / commit[:12]
    program = tree / 'build/cpu/birkhoff'
    if not program.exists():
        print(f'building {revision} ({commit[:12]}) in {tree}', flush=True)
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir(parents=True)
        archive = subprocess.run(['git', '-C', ROOT, 'archive', commit], check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(['tar', '-x', '-C', tree], input=archive, check=True)
        checked(subprocess.run(['cmake', '--preset', 'cpu', '-DBIRKHOFF_TESTS=OFF'], cwd=tree, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        checked(subprocess.run(['cmake', '--build', 'build/cpu', '--target', 'birkhoff', '-j', str(os.cpu_count())], cwd=tree,
                               text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    return program


def write_text(path):
    """Writes text that is the same at every call: each word is drawn from those that follow the word before it in the
    license."""
    words = (ROOT / 'LICENSE').read_text().split()
    followers = {}
    for i, word in enumerate(words):
        followers.setdefault(word, []).append(words[(i + 1) % len(words)])
    draw = random.Random(1)
    documents = []
    for _ in range(500):
        word, said = draw.choice(words), []
        for _ in range(draw.randrange(3, 90)):
            said.append(word)
            word = draw.choice(followers[word])
        documents.append(' '.join(said))
    path.write_text('\n\n'.join(documents) + '\n')


def make_data(program):
    write_text(program.folder / 'text.txt')
    checked(program.run('tokenizer', 'train', 'text.txt', '--vocab-size', VOCABULARY, '-o', 'tokenizer.json'))
    checked(program.run('data', 'ingest', 'text.txt', '--tokenizer', 'tokenizer.json', '-o', 'data', '--split', 'blank_lines',
                        '--heldout', '0.1'))


def data_differences(old, new):
    def contents(program):
        files = [program.folder / 'tokenizer.json', *(p for p in (program.folder / 'data').rglob('*') if p.is_file())]
        return {path.relative_to(program.folder): path.read_bytes() for path in files}
    one, other = contents(old), contents(new)
    for path in sorted(one.keys() | other.keys()):
        if one.get(path) != other.get(path):
            yield f'{path} differs'


DATA = ['--set', 'data.tokenizer=../tokenizer.json', '--set', 'data.sources=[{path: ../data}]', '--set', 'eval.data=../data']


def records(path):
    """The records of metrics.jsonl by event, without the numbers that measure the machine. A checkpoint is reported when it
    is written, which may be some steps later, so only the records of the same event have a fixed order."""
    kept = [{key: value for key, value in json.loads(line).items() if not MEASURED.search(key)}
            for line in path.read_text().splitlines()]
    return sorted(kept, key=lambda record: record['event'])


def record_differences(old, new):
    if len(old) != len(new):
        yield f'{len(old)} records against {len(new)}'
    for a, b in zip(old, new):
        for key in sorted(a.keys() | b.keys()):
            if key not in a or key not in b:
                yield f'{a.get("event")} {a.get("step")}: only one has {key}'
            elif repr(a[key]) != repr(b[key]):
                yield f'{a["event"]} {a["step"]}: {key} {a[key]!r} -> {b[key]!r}'


def clipping_faults(rows):
    """Reports steps without clipping: their results do not depend on the norm, so they would not show an error in it."""
    norms = [r['grad_norm'] for r in rows if r['event'] == 'step']
    if len(norms) != STEPS or min(norms) <= CLIP_NORM:
        yield f'the gradient norms {norms} are not those of {STEPS} clipped steps'


def checkpoint_differences(new, a, b):
    result = new.run('checkpoint', 'diff', a, b)
    if result.returncode != 0 or result.stdout != 'no difference\n':
        yield from result.stdout.strip().splitlines()[:8] or [f'checkpoint diff: exit code {result.returncode}']


def arguments_of(one):
    return [ROOT / one.config, *DATA, '--set', 'run.dir=run', *one.overrides()]


def train(program, one, ranks, folder):
    folder.mkdir()
    return program.run('train', *arguments_of(one), ranks=ranks, cwd=folder)


def evaluation(program, one, folder):
    said = program.run('eval', *arguments_of(one), cwd=folder)
    return said.returncode, said.stdout if said.returncode else records(folder / 'run/eval.jsonl')


def description(program, one, folder):
    """What `describe model` prints, without warnings about the config: the memory that it predicts in bytes, and the other
    lines."""
    said = checked(program.run('describe', 'model', *arguments_of(one), cwd=folder))
    lines = [line for line in said.splitlines() if not line.startswith('warning: ')]
    predicted = {m[1]: int(m[2].replace(',', '')) for m in map(PREDICTED.match, lines) if m}
    return predicted, [PREDICTED.sub(r'  \1', line) for line in lines]


def description_differences(old, new, memory_may_change):
    """What differs, and of the predicted memory what changed within its bound."""
    (old_bytes, old_lines), (new_bytes, new_lines) = old, new
    differences = ['describe model differs'] if old_lines != new_lines or old_bytes.keys() != new_bytes.keys() else []
    changed = []
    for what in old_bytes.keys() & new_bytes.keys():
        if old_bytes[what] != new_bytes[what]:
            more = not memory_may_change or new_bytes[what] > MOST_MEMORY * old_bytes[what]
            (differences if more else changed).append(f'predicted bytes, {what}: {old_bytes[what]:,} -> {new_bytes[what]:,}')
    return differences, sorted(changed)


def resumed(new, one, ranks, old_run, folder):
    """NEW goes on from OLD's checkpoint of step 3 and must end where OLD ended."""
    checkpoints = folder / 'run/checkpoints'
    checkpoints.mkdir(parents=True)
    name = f'step-{SAVE_AT:08}'
    shutil.copytree(old_run / 'run/checkpoints' / name, checkpoints / name)
    result = new.run('train', *arguments_of(one), ranks=ranks, cwd=folder)
    if result.returncode != 0:
        return result.stdout.strip().splitlines()[-3:]
    last = f'run/checkpoints/step-{STEPS:08}'
    return [f'resumed: {d}' for d in checkpoint_differences(new, old_run / last, folder / last)]


def compare(old, new, one, ranks, options):
    """The differences in one case on this number of ranks, and what may differ and does."""
    name = re.sub(r'\W+', '-', one.name) + f'-{ranks}'
    folders = [program.folder / name for program in (old, new)]
    extra = new.folder / (name + '-resumed')
    results = [train(program, one, ranks, folder) for program, folder in zip((old, new), folders)]
    differences = []
    if any(r.returncode for r in results):
        differences = [f'exit codes {[r.returncode for r in results]}: {results[1].stdout.strip().splitlines()[-1:]}']
    else:
        rows = [records(folder / 'run/metrics.jsonl') for folder in folders]
        differences += [*clipping_faults(rows[0]), *record_differences(*rows)]
        for step in (SAVE_AT, STEPS):
            differences += checkpoint_differences(new, *(folder / f'run/checkpoints/step-{step:08}' for folder in folders))
        evaluations = [evaluation(program, one, folder) for program, folder in zip((old, new), folders)]
        if evaluations[0] != evaluations[1] or evaluations[0][0] != 0:
            differences.append(f'eval: {evaluations[0]} -> {evaluations[1]}')
        differences += resumed(new, one, ranks, folders[0], extra)
    described, allowed = description_differences(description(old, one, folders[0]), description(new, one, folders[1]),
                                                 options.predicted_memory)
    differences += described
    if not options.keep and not differences:
        for folder in (*folders, extra):
            shutil.rmtree(folder, ignore_errors=True)
    return differences, allowed


def compare_all(old, new, options):
    for program in (old, new):
        make_data(program)
    failed = [f'data: {d}' for d in data_differences(old, new)]
    for line in failed:
        print(line)
    wanted = [(one, ranks) for one in cases() if options.only in one.name for ranks in options.ranks]
    if not wanted:
        sys.exit(f'no case has {options.only!r} in its name')
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        pending = [(one, ranks, pool.submit(compare, old, new, one, ranks, options)) for one, ranks in wanted]
        for one, ranks, result in pending:
            differences, allowed = result.result()
            name = f'{one.name}, {ranks} rank{"s" if ranks > 1 else ""}'
            print(f'{name}: {"DIFFERS" if differences else "equal"}', flush=True)
            for line in differences + allowed:
                print(f'    {line}', flush=True)
            if differences:
                failed.append(name)
    print(f'{len(wanted)} runs of each program and their data compared, {len(failed)} differences')
    for name in failed:
        print(f'  {name}')
    return 1 if failed else 0


def figures(program, scratch):
    """Speeds of one round, and peak memory in bytes."""
    def bench(scenario, *arguments, ranks=0):
        return json.loads(checked(program.run('bench', scenario, '--json', *arguments, ranks=ranks, cwd=ROOT)).splitlines()[-1])
    step = bench('step')
    ranks = bench('ranks', '--rounds', '5', ranks=2)
    checkpoint = bench('checkpoint', '--rounds', '5')
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        folder = pathlib.Path(folder)
        settings = ['run.steps=4', 'optimizer.warmup_steps=2', 'run.dir=run', 'run.log_interval=1', 'eval.sequences=6',
                    f'data.tokenizer={program.folder}/tokenizer.json', f'data.sources=[{{path: {program.folder}/data}}]',
                    f'eval.data={program.folder}/data']
        checked(program.run('train', ROOT / 'configs/quickstart.yaml', *[w for s in settings for w in ('--set', s)], cwd=folder))
        peak = max(json.loads(line).get('memory_bytes.peak', 0) for line in (folder / 'run/metrics.jsonl').read_text().splitlines())
    return {'bench step, tokens/s': step['tokens_per_second'], 'bench ranks, tokens/s': ranks['tokens_per_second'],
            'bench checkpoint, bytes/s': checkpoint['checkpoint_bytes_per_second'], 'peak memory, bytes': peak}


def measure(old, new, options):
    for program in (old, new):
        make_data(program)
    rounds = []
    for i in range(options.speed):
        pair = [old, new] if i % 2 == 0 else [new, old]
        seen = {id(program): figures(program, options.work) for program in pair}
        rounds.append((seen[id(old)], seen[id(new)]))
        print(f'round {i + 1} of {options.speed}', flush=True)
    for key in rounds[0][0]:
        ratios = [b[key] / a[key] for a, b in rounds]
        medians = [statistics.median(r[side][key] for r in rounds) for side in (0, 1)]
        print(f'{key}: OLD {medians[0]:.6g}, NEW {medians[1]:.6g}, NEW/OLD median of pairs {statistics.median(ratios):.3f} '
              f'[{min(ratios):.3f}, {max(ratios):.3f}]')
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('old')
    parser.add_argument('new')
    parser.add_argument('--work', type=pathlib.Path, default=ROOT / 'build/compare')
    parser.add_argument('--only', default='')
    parser.add_argument('--ranks', type=lambda text: [int(n) for n in text.split(',')], default=[1, 2, 3])
    parser.add_argument('--jobs', type=int, default=1, help='cases at a time')
    parser.add_argument('--keep', action='store_true', help='keep the runs of equal cases too')
    parser.add_argument('--predicted-memory', action='store_true', help='let it fall, or grow by at most 2 %%')
    parser.add_argument('--speed', type=int, default=0, metavar='ROUNDS')
    options = parser.parse_args()
    options.work = options.work.resolve()
    old, new = (Program(build(revision, options.work), options.work / name)
                for revision, name in ((options.old, 'old'), (options.new, 'new')))
    return measure(old, new, options) if options.speed else compare_all(old, new, options)


if __name__ == '__main__':
    sys.exit(main())
