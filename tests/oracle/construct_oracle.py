#!/usr/bin/env python3
"""Checks that regular expressions and added tokens work as in PyPI's package tokenizers, for the constructs below and
random ones.

  construct_oracle.py TOKENIZER_TOOL [--freeze]

A pattern that Birkhoff refuses with a message counts as equal, unless it is in ACCEPTED: these must work. --freeze
writes the results of PyPI's tokenizers for the constructs below to constructs_frozen.json.
Exit code 77: skipped, the package could not be installed (no network, no PyPI).
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

from tokenizer_oracle import VERSION, enter_environment

FROZEN = pathlib.Path(__file__).resolve().parent / "constructs_frozen.json"
MARK = "\ue000"  # stands in place of every match

ACCEPTED = [
    r"a{1,3}+", r"a{3}?", r"a{,3}", r"a{2,}+", r"a{2}+", r"a{2,3}?", r"a{,2}+", r"a{,2}?", r"a{2}{2}", r"(ab){1,2}+",
    r"[ab]{2}?c", r"a++b", r"a*+a", r"a?+a", r"a??b", r"a{", r"a{,}", r"a{x}", r"a{1,2", r"{a}", r"a]", r"(?i)k",
    r"(?i)[k]", r"(?i)[^k]", r"(?i)[a-z]", r"(?i)i", r"(?i)\p{L}", r"a(?i)b|c", r"(a(?i)b|c)d", r"(?i)a(?-i)b",
    r"(?x)a b # c", r"a.b", r"^", r"$", r"^a", r"a$", r"\Aa", r"a\z", r"a\Z", r"\v", r"\t", r"\x41", r"\x{e9}", r"\u00e9",
    r"[]a]", r"[^]a]", r"[a-]", r"[-a]", r"[\d]", r"[\D]", r"[\s]", r"[\w]", r"[^\s\p{L}]", r"\p{^L}", r"\P{L}",
    r"\P{^L}", r"\p{Han}", r"\p{Latin}", r"\p{Lu}", r"(?=a)", r"(?!a).", r"(?<=a)b", r"(?<!a)b", r"(?>a+)b", r"a||b",
    r"(|a)", r"\s\S", r"\w\W", r"[^\P{L}]",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
]
REFUSED = [
    r"\h", r"\b", r"\B", r"\R", r"\X", r"\K", r"\N", r"(a)\1", r"[[:alpha:]]", r"[a[bc]]", r"[a-c&&b]", r"[\S]", r"(?i)ss",
    "(?i)\u00df", r"(?i)st", r"(?i)s{2}", r"(?i)s+", r"(?i)\p{Lu}", r"(?i)[\w]", r"(?m)a.b", r"(?~a)", r"(?<n>a)b", r"a+*",
    r"\pL", r"(?#c)a", r"(?i)f(?:f|x)", r"(?i)\u0073s",
]
TEXTS = [
    "a aa aaa aaaa aaaaaaa", "abab aab abc ab", "1234567", "ab\nba\n", "\n\n a\n", "xab axb a\nb", "acd abd", "K k \u212a s \u017f",
    "\u017fs \u00df ss SS \ufb01 fi ff \ufb06 st", "\u00e9\u00c9 e\u0301", "a  b\t\v\fc\r\nd", "\u65e5\u672c\u8a9e \u3072\u3089 ABC",
    "\u00aa\u00ba \u00b2\u00bd\u2460", "a b #c", "{a} a{ a{,} a{x} a{1,2 a] ]", "WE'LL don't 12ab 123abc", "I\u0130\u0131i",
    "\u203f_ \u200d x\u180ey",
]
ADDED = [
    [{"content": " ", "lstrip": True, "rstrip": True}], [{"content": " ", "rstrip": True}], [{"content": "a", "lstrip": True}],
    [{"content": "ab", "single_word": True}, {"content": "a"}], [{"content": "a", "rstrip": True}, {"content": " "}],
    [{"content": "A", "normalized": True}, {"content": "a", "normalized": False}], [{"content": "b\n"}, {"content": "\n"}],
    [{"content": "<m>", "lstrip": True, "rstrip": True, "special": True}, {"content": " ", "normalized": False}],
    [{"content": "  "}, {"content": " ", "lstrip": True}], [{"content": "\u00e9", "single_word": True, "lstrip": True}],
]
ADDED_TEXTS = ["a    b", " ", "", "a b a", "ab aab ab", "<m> a <m>  b", "A a\tA", "b\n\nb \n", " \u00e9 x\u00e9 \u3000\u00e9", "a  <m>   <m>a"]


def base():
    """A byte-level tokenizer of 256 tokens and no merges."""
    from tokenizers import pre_tokenizers
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": {c: i for i, c in enumerate(alphabet)}, "merges": []}}


def with_added(file, tokens):
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
    vocabulary, added = file["model"]["vocab"], []
    for token in tokens:
        new = len(vocabulary) + sum(t["content"] not in vocabulary for t in added)
        added.append({"id": vocabulary.get(token["content"], new), **flags, **token})
    return dict(file, added_tokens=added)


def theirs(pattern, texts):
    """Each text with a mark for every match, and the pieces it is cut into; None if `tokenizers` gives no answer."""
    from tokenizers import Regex, normalizers, pre_tokenizers
    try:
        regex = Regex(pattern)
        replace, split = normalizers.Replace(regex, MARK), pre_tokenizers.Split(regex, "isolated")
        return [[replace.normalize_str(t), [word for word, _ in split.pre_tokenize_str(t)]] for t in texts]
    except BaseException:  # also a panic, if a pattern takes Oniguruma too many steps
        return None


def ours(patterns, texts):
    lines = "".join(json.dumps([p, *texts]) + "\n" for p in patterns)
    done = subprocess.run([sys.argv[1], "matches"], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def marked(text, matches):
    raw, out, cuts, end = text.encode(), b"", [], 0
    for first, last in [*matches, [len(text.encode())] * 2]:
        out += raw[end:first]
        cuts += [raw[end:first], raw[first:last]]
        end = last
        out += MARK.encode()
    return [out.decode()[:-1], [cut.decode() for cut in cuts if cut]]


def random_pattern(rng, depth=0):
    atoms = ["a", "b", "s", "f", "t", "k", "1", " ", ".", r"\d", r"\s", r"\w", r"\S", r"\W", r"\p{L}", r"\p{Lu}", r"\P{N}",
             "[ab]", "[^a]", "[a-z0-9]", r"[^\s]", "(?:ab)", "(a|b)", "(?i:s)", "(?i:ab)", "(?=a)", "(?!b)", "(?<=a)", "^", "$",
             "\u00e9", "\u00df", "(?i)", "(?-i)", r"\v", r"\x{20}", r"\u0061", "(?>a|ab)"]
    repeats = [""] * 6 + ["*", "+", "?", "*?", "+?", "??", "++", "*+", "?+", "{2}", "{1,2}", "{1,2}+", "{2}?", "{,2}", "{1,}",
                          "{2}+", "{1,2}?", "{,1}+", "{2}{2}", "{"]
    out = ""
    for _ in range(rng.randint(1, 4)):
        atom = rng.choice(atoms)
        if depth < 2 and rng.random() < 0.15:
            atom = "(" + rng.choice(["", "?:", "?i:", "?>", "?="]) + random_pattern(rng, depth + 1) + ")"
        out += atom + rng.choice(repeats) + ("|" if rng.random() < 0.12 else "")
    return out


def compare_patterns(patterns, texts, may_refuse):
    bad = refused = 0
    for pattern, mine in zip(patterns, ours(patterns, texts)):
        expected = theirs(pattern, texts)
        refused += isinstance(mine, str)
        if isinstance(mine, str) and not may_refuse:
            bad += 1
            print("REFUSED", ascii(mine))
        if isinstance(mine, str) or expected is None:
            continue
        if [marked(text, matches) for text, matches in zip(texts, mine)] != expected:
            bad += 1
            print("DIFFERENT", ascii(pattern))
    print(f"{len(patterns)} patterns on {len(texts)} texts: {bad} different, {refused} refused")
    return bad


def compare_added(rng, count):
    from tokenizers import Tokenizer
    contents = [" ", "  ", "a", "ab", " a", "a ", "<m>", "b\n", "\n", "\u00e9", "_", "x y", "A"]
    bad, file = 0, base()
    for _ in range(count):
        tokens = [{"content": c, **{flag: rng.random() < 0.4 for flag in
                                    ("lstrip", "rstrip", "single_word", "normalized", "special")}}
                  for c in rng.sample(contents, rng.randint(1, 3))]
        tokenizer = with_added(file, tokens)
        theirs = Tokenizer.from_str(json.dumps(tokenizer))
        texts, expected = [], []
        for _ in range(40):
            text = "".join(rng.choice(contents + ["\t", "b", "\u3000"]) for _ in range(rng.randint(0, 8)))
            try:
                expected.append(theirs.encode(text).ids)
                texts.append(text)
            except BaseException:  # tokenizers panicked on this text, so there is no result to compare with
                pass
        with tempfile.NamedTemporaryFile("w", suffix=".json") as out:
            json.dump(tokenizer, out)
            out.flush()
            done = subprocess.run([sys.argv[1], "encode", out.name], input="".join(json.dumps(t) + "\n" for t in texts),
                                  capture_output=True, text=True)
        if [json.loads(line) for line in done.stdout.splitlines()] != expected:
            bad += 1
            print("DIFFERENT", ascii(tokens), done.stderr)
    print(f"{count} sets of added tokens: {bad} different")
    return bad


def freeze():
    from tokenizers import Tokenizer
    added = []
    for tokens in ADDED:
        file = with_added(base(), tokens)
        tokenizer = Tokenizer.from_str(json.dumps(file))
        added.append({"added_tokens": file["added_tokens"], "ids": [tokenizer.encode(t).ids for t in ADDED_TEXTS]})
    frozen = {"made_by": f"construct_oracle.py --freeze, tokenizers {VERSION}", "texts": TEXTS,
              "accepted": [[p, [marks for marks, _ in theirs(p, TEXTS)]] for p in ACCEPTED], "refused": REFUSED,
              "tokenizer": base(), "added_texts": ADDED_TEXTS, "added": added}
    FROZEN.write_text(json.dumps(frozen, separators=(",", ":"), ensure_ascii=True) + "\n")
    print("wrote", FROZEN, FROZEN.stat().st_size, "bytes")


def main():
    if "--freeze" in sys.argv:
        freeze()
    rng = random.Random(11)
    alphabet = "aabbssSfitk1 \n\t\u00df\u00e9K_-."
    texts = TEXTS + ["".join(rng.choice(alphabet) for _ in range(rng.randint(1, 14))) for _ in range(12)]
    bad = compare_patterns(ACCEPTED, texts, may_refuse=False)
    bad += compare_patterns(REFUSED + [random_pattern(rng) for _ in range(2000)], texts, may_refuse=True)
    bad += compare_added(rng, 150)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    if os.environ.get("BIRKHOFF_ORACLE_READY"):
        main()
    enter_environment()
