#!/usr/bin/env python3
"""Times a training step of configs/bench/gpt_14m.yaml in Birkhoff and in PyTorch alternately, with equally many threads.

  tests/bench/dense_torch.py [--birkhoff build/cpu/birkhoff] [--threads 2] [--rounds 5] [--steps 8] [--recipe f32|bf16] [--json]

Both run forward, backward and AdamW on 4 sequences of 256 random tokens; bf16 is autocast in PyTorch. A round runs one
process of each. The result is the median, over the rounds, of Birkhoff's tokens/s divided by PyTorch's. Without PyTorch the
exit code is 77.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LAYERS, WIDTH, HEADS, VOCABULARY, SEQUENCES, LENGTH, POSITIONS = 6, 384, 6, 8192, 4, 256, 1024
WARM_UP = 2


def peer_step(recipe, threads, steps):
    """Prints {"tokens_per_second", "parameters", "version"} of the PyTorch step."""
    import torch
    from torch import nn
    torch.set_num_threads(threads)
    torch.manual_seed(1)

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.inputs = nn.Linear(WIDTH, 3 * WIDTH)
            self.output = nn.Linear(WIDTH, WIDTH)
            hidden = torch.full((LENGTH, LENGTH), float('-inf')).triu(1)
            self.register_buffer('hidden', hidden)

        def heads(self, x):
            return x.reshape(SEQUENCES, LENGTH, HEADS, WIDTH // HEADS).transpose(1, 2)

        def forward(self, x):
            q, k, v = (self.heads(part) for part in self.inputs(x).chunk(3, dim=-1))
            if hasattr(nn.functional, 'scaled_dot_product_attention'):
                y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            else:
                scores = torch.matmul(q, k.transpose(2, 3)) * (WIDTH // HEADS) ** -0.5
                y = torch.matmul(torch.softmax(scores + self.hidden, dim=-1), v)
            return self.output(y.transpose(1, 2).reshape(SEQUENCES, LENGTH, WIDTH))

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.attention = Attention()
            self.ffn = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(approximate='tanh'), nn.Linear(4 * WIDTH, WIDTH))

        def forward(self, x):
            x = x + self.attention(self.first(x))
            return x + self.ffn(self.second(x))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(POSITIONS, WIDTH)
            nn.init.normal_(self.tokens.weight, std=0.02)
            nn.init.normal_(self.positions.weight, std=0.02)
            self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)))
            self.norm = nn.LayerNorm(WIDTH)

        def forward(self, tokens):
            x = self.tokens(tokens) + self.positions(torch.arange(LENGTH))
            return nn.functional.linear(self.norm(self.layers(x)), self.tokens.weight)

    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    times = []
    for _ in range(WARM_UP + steps):
        tokens, targets = torch.randint(VOCABULARY, (2, SEQUENCES, LENGTH))
        begin = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast('cpu', torch.bfloat16, enabled=recipe == 'bf16'):
            logits = model(tokens)
        nn.functional.cross_entropy(logits.float().reshape(-1, VOCABULARY), targets.reshape(-1)).backward()
        optimizer.step()
        times.append(time.perf_counter() - begin)
    print(json.dumps({'tokens_per_second': SEQUENCES * LENGTH / statistics.median(times[WARM_UP:]),
                      'parameters': sum(p.numel() for p in model.parameters()), 'version': torch.__version__}))


def python_with_torch():
    """This interpreter, or the system's, which finds packages installed by apt; None if neither has PyTorch."""
    for python in (sys.executable, '/usr/bin/python3'):
        probe = [python, '-c', 'import torch']
        if pathlib.Path(python).exists() and subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0:
            return python
    return None


def run(command):
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def compare(options, python, recipe):
    ours = [options.birkhoff, 'bench', 'step', '--json', '--speed-only', '--rounds', str(options.steps),
            '--config', str(ROOT / 'configs/bench/gpt_14m.yaml'), '--set', f'run.threads={options.threads}',
            '--set', f'precision.recipe={recipe}']
    theirs = [python, __file__, '--peer', recipe, '--threads', str(options.threads), '--steps', str(options.steps)]
    pairs = []
    for _ in range(options.rounds):
        pairs.append((run(ours), run(theirs)))
        a, b = (p['tokens_per_second'] for p in pairs[-1])
        print(f'{recipe}: birkhoff {a:.0f} tokens/s, torch {b:.0f}, ratio {a / b:.3f}', file=sys.stderr)
    a, b = ([p[side]['tokens_per_second'] for p in pairs] for side in (0, 1))
    return {'recipe': recipe, 'birkhoff_tokens_per_second': statistics.median(a),
            'torch_tokens_per_second': statistics.median(b),
            'birkhoff_over_torch': statistics.median(x / y for x, y in zip(a, b)),
            'torch_version': pairs[0][1]['version'], 'rounds': options.rounds}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--birkhoff', default=str(ROOT / 'build/cpu/birkhoff'))
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--steps', type=int, default=8, help='timed steps of a round, of which the median counts')
    parser.add_argument('--recipe', choices=['f32', 'bf16'], action='append', help='both if it is not given')
    parser.add_argument('--json', action='store_true')
    parser.add_argument('--peer', choices=['f32', 'bf16'], help='only the step in PyTorch, one JSON line')
    options = parser.parse_args()
    if options.peer:
        peer_step(options.peer, options.threads, options.steps)
        return 0
    python = python_with_torch()
    if python is None:
        print('SKIPPED: there is no PyTorch; install python3-torch by apt, or run this script with the python of a virtual '
              'environment that has torch')
        return 77
    results = [compare(options, python, recipe) for recipe in options.recipe or ['f32', 'bf16']]
    for r in results:
        print(json.dumps(r) if options.json else
              f"{r['recipe']:5} birkhoff {r['birkhoff_tokens_per_second']:.0f} tokens/s, torch {r['torch_version']} "
              f"{r['torch_tokens_per_second']:.0f} tokens/s, median ratio {r['birkhoff_over_torch']:.3f}")
    return 0


if __name__ == '__main__':
    sys.exit(main())
