#!/usr/bin/env python3
"""Compares the tokenizer with Hugging Face `tokenizers`.

  tokenizer_oracle.py TOOL            trains and encodes with both and compares; TOOL is the test program tokenizer_tool
  tokenizer_oracle.py TOOL --freeze   also writes tokenizer_frozen.json, which tokenizer_frozen_test.cc checks

Makes a scratch virtual environment with the PyPI package. Exit codes: 0 equal, 1 different, 77 skipped (no PyPI).
Code points that Python's Unicode tables do not know are excepted and counted: the two libraries' tables differ there.
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

VERSION = "0.23.3"
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FROZEN = HERE / "tokenizer_frozen.json"


def enter_environment():
    """Runs this script again where `tokenizers` can be imported, or exits with 77."""
    with tempfile.TemporaryDirectory(prefix="birkhoff-oracle-") as scratch:
        for command in ([sys.executable, "-m", "venv", scratch],
                        [f"{scratch}/bin/pip", "install", "-q", "--disable-pip-version-check", f"tokenizers=={VERSION}"]):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
                print("SKIPPED:", " ".join(command[-2:]), "failed:", *reason)
                sys.exit(77)
        environment = dict(os.environ, BIRKHOFF_ORACLE_READY="1")
        sys.exit(subprocess.run([f"{scratch}/bin/python", *sys.argv], env=environment).returncode)


SAMPLES = [
    "", " ", "Hello, world!", "  two  spaces ", "I'm can't WE'LL they'd 'Sx", "tabs\tand\r\n\r\nlines\n\n\n  end  ",
    "1234567 3.14159 \u00bd\u2460\u0663\u0664", "na\u00efve caf\u00e9 e\u0301 \u00c5ngstr\u00f6m \ufb01 \uff21\uff22",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3068\u4e2d\u6587\u6df7\u5408 mixed",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \ud55c\uad6d\uc5b4",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f600!", "a\u00a0b\u3000c\u2028d\u0085e\u180ef",
    "def f(x): return x**2 + y[0] # _under_score", "<|endoftext|>x <s> y</s>  <pad>\n",
    "the<mid>license word<one> <one>, <left>a  <left> b <right>  c", "\x00\x01\x7f", "http://a.b/c?d=e&f=%20",
]


def styles():
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, processors
    from tokenizers import pre_tokenizers as pre

    patterns = {name: json.loads(trained_by_us([], name, 256, [])[0])["pre_tokenizer"] for name in
                ("gpt2", "llama3", "deepseek")}

    def frame(pre_tokenizer, bos, eos):
        tokenizer = Tokenizer(models.BPE(vocab={}, merges=[]))
        base = json.loads(tokenizer.to_str())
        base["pre_tokenizer"] = pre_tokenizer
        tokenizer = Tokenizer.from_str(json.dumps(base))
        tokenizer.decoder = decoders.ByteLevel()
        train(tokenizer, corpus(), 330, list(dict.fromkeys([bos, eos])))
        return tokenizer

    gpt2 = frame(patterns["gpt2"], "<|endoftext|>", "<|endoftext|>")
    gpt2.post_processor = processors.ByteLevel(trim_offsets=False)

    llama3 = frame(patterns["llama3"], "<|begin_of_text|>", "<|end_of_text|>")
    llama3.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)])])
    llama3 = changed(llama3, lambda file: file["model"].update(ignore_merges=True))

    bos, eos = "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>"
    deepseek = frame(patterns["deepseek"], bos, eos)
    deepseek.normalizer = normalizers.Sequence([])
    deepseek.post_processor = processors.ByteLevel(trim_offsets=False)
    deepseek.add_tokens([AddedToken("<mid>", normalized=True), AddedToken("<think>", normalized=False)])

    other = frame({"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, "<s>", "</s>")
    other.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex("[ \t]+"), " "),
                                             normalizers.Lowercase()])
    other.pre_tokenizer = pre.Sequence([
        pre.Digits(individual_digits=True), pre.Split(Regex(r"[^\w\s]"), "merged_with_previous"),
        pre.ByteLevel(add_prefix_space=True, use_regex=False)])
    other.add_tokens([AddedToken("<one>", single_word=True), AddedToken("<left>", lstrip=True),
                      AddedToken("<right>", rstrip=True, normalized=False), AddedToken("license", single_word=True)])
    return {"gpt2": gpt2, "llama3": llama3, "deepseek": deepseek, "other": other}


def changed(tokenizer, change):
    from tokenizers import Tokenizer
    file = json.loads(tokenizer.to_str())
    change(file)
    return Tokenizer.from_str(json.dumps(file))


def corpus():
    return [(ROOT / "LICENSE").read_text()] + SAMPLES


def train(tokenizer, texts, size, special):
    from tokenizers import pre_tokenizers, trainers
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, min_frequency=2, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))


def tool(arguments, lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([sys.argv[1], *arguments], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"tokenizer_tool {arguments[0]}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def trained_by_us(texts, pattern, size, special):
    with tempfile.TemporaryDirectory() as scratch:
        path = f"{scratch}/tokenizer.json"
        tool(["train", path, json.dumps({"vocab_size": size, "min_frequency": 2, "pattern": pattern,
                                         "special_tokens": special})], texts)
        return pathlib.Path(path).read_text(), path


def random_texts(count, known_since=unicodedata):
    rng = random.Random(20)
    ranges = [(0x20, 0x7f), (0, 0x250), (0x300, 0x370), (0x370, 0x600), (0x900, 0xa00), (0x2000, 0x2100),
              (0x3000, 0x3100), (0x4e00, 0x9fa6), (0xac00, 0xd7a4), (0xfb00, 0xfb07), (0x1f300, 0x1f700)]
    known = [[chr(c) for c in range(*r) if known_since.category(chr(c)) != "Cn"] for r in ranges]
    known = [characters for characters in known if characters]
    glue = [" ", "  ", "\n", "\r\n", "'s", "'LL", "12", "the", ", ", "<mid>", "<one>", " <left> ", "<pad>"]
    return ["".join(rng.choice(glue) if rng.random() < 0.3 else rng.choice(rng.choice(known))
                    for _ in range(rng.randrange(1, 60))) for _ in range(count)]


class Comparison:
    def __init__(self):
        self.differences = 0

    def equal(self, what, ours, theirs, inputs):
        bad = [(a, b, i) for i, a, b in zip(inputs, ours, theirs) if a != b]
        if len(ours) != len(theirs):
            bad.append((len(ours), len(theirs), "results"))
        print(f"{'DIFFERENT' if bad else 'equal':9} {what}: {len(theirs) - len(bad)} of {len(theirs)}", flush=True)
        for case in bad[:3]:
            print("   ", ascii(case)[:600])
        self.differences += len(bad)

    def encoding(self, what, tokenizer, texts):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(tokenizer.to_str())
            file.flush()
            ids = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
            self.equal(f"{what}, ids", tool(["encode", file.name], texts), ids, texts)
            special = [e.ids for e in tokenizer.encode_batch(texts)]
            self.equal(f"{what}, ids with special", tool(["encode-special", file.name], texts), special, texts)
            decoded = [tokenizer.decode(i, skip_special_tokens=False) for i in ids]
            self.equal(f"{what}, texts", tool(["decode", file.name], ids), decoded, texts)


def compare_training(comparison):
    from tokenizers import Tokenizer
    texts = [p.read_text() for folder in ("kernels", "data", "tests") for p in sorted((ROOT / folder).rglob("*.[ch]*"))
             if p.suffix in (".h", ".cc")] + corpus() + random_texts(300)
    for pattern in ("gpt2", "llama3", "deepseek"):
        text, _ = trained_by_us(texts, pattern, 3000, ["<|endoftext|>", "<pad>"])
        ours = Tokenizer.from_str(text)
        theirs = changed(ours, lambda file: (file.update(added_tokens=[]), file["model"].update(vocab={}, merges=[])))
        train(theirs, texts, 3000, ["<|endoftext|>", "<pad>"])
        models = [json.loads(t.to_str())["model"] for t in (ours, theirs)]
        comparison.equal(f"training {pattern}, merges", models[0]["merges"], models[1]["merges"], models[1]["merges"])
        comparison.equal(f"training {pattern}, vocabulary", [models[0]["vocab"]], [models[1]["vocab"]], [""])
        comparison.encoding(f"trained here, {pattern}", ours, texts + random_texts(1000))


def every_pair_of_bytes(tokenizer):
    """A copy of `tokenizer` in which any two bytes of a word may merge, so that the ids show where words are cut."""
    from tokenizers import pre_tokenizers
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [(a, b) for a in alphabet for b in alphabet]
    random.Random(7).shuffle(pairs)
    tokens = alphabet + [a + b for a, b in pairs]

    def change(file):
        file["added_tokens"], file["post_processor"] = [], None
        file["model"].update(vocab={t: i for i, t in enumerate(tokens)}, merges=pairs)
    return changed(tokenizer, change)


def sweep_code_points(comparison, name, tokenizer):
    tokenizer = every_pair_of_bytes(tokenizer)
    points = [c for c in [*range(0x32400), *range(0xe0000, 0xe01f0)] if not 0xd800 <= c < 0xe000]
    texts = ["'{0} ({0}xy) \t{0}. \u4e00{0}1{0}{0}\n{0}{0}".format(chr(c)) for c in points]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(tokenizer.to_str())
        file.flush()
        ours = tool(["encode", file.name], texts)
    theirs = [e.ids for e in tokenizer.encode_batch(texts)]
    excepted = [c for c, a, b in zip(points, ours, theirs) if a != b and unicodedata.category(chr(c)) == "Cn"]
    kept = [i for i, c in enumerate(points) if unicodedata.category(chr(c)) != "Cn"]
    comparison.equal(f"all code points, {name}", [ours[i] for i in kept], [theirs[i] for i in kept],
                     [texts[i] for i in kept])
    print(f"          excepted, not in Unicode {unicodedata.unidata_version}: {len(excepted)}:", *spans(excepted))


def spans(points):
    out = []
    for c in points:
        if out and out[-1][1] >= c - 0x400:  # coarse: what lies between may be known
            out[-1][1] = c
        else:
            out.append([c, c])
    return [f"{a:x}-{b:x}" if a != b else f"{a:x}" for a, b in out]


def freeze(tokenizers):
    texts = SAMPLES + random_texts(8, unicodedata.ucd_3_2_0)
    frozen = {"made_by": f"tokenizer_oracle.py --freeze, tokenizers {VERSION}", "training_texts": SAMPLES, "styles": []}
    for name, tokenizer in tokenizers.items():
        cases = []
        for text in texts:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            special = tokenizer.encode(text).ids
            cases.append({"text": text, "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                          **({"special_ids": special} if special != ids else {})})
        frozen["styles"].append({"name": name, "tokenizer": json.loads(tokenizer.to_str()), "cases": cases})
    FROZEN.write_text(json.dumps(frozen, separators=(",", ":"), ensure_ascii=False) + "\n")
    print("wrote", FROZEN, FROZEN.stat().st_size, "bytes")


def main():
    tokenizers = styles()
    if "--freeze" in sys.argv:
        freeze(tokenizers)
    comparison = Comparison()
    for name, tokenizer in tokenizers.items():
        # The tables of normal forms of `tokenizers` are those of an old Unicode.
        known_since = unicodedata.ucd_3_2_0 if name == "other" else unicodedata
        comparison.encoding(f"style {name}", tokenizer, corpus() + random_texts(2000, known_since))
    compare_training(comparison)
    for name in ("gpt2", "llama3", "deepseek"):
        sweep_code_points(comparison, name, tokenizers[name])
    sys.exit(1 if comparison.differences else 0)


if __name__ == "__main__":
    if os.environ.get("BIRKHOFF_ORACLE_READY"):
        main()
    enter_environment()
