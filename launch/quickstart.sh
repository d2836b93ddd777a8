#!/usr/bin/env bash
# Goes from a bare machine to a trained model: installs packages, builds Birkhoff, makes a corpus of English
# definitions, and trains a tokenizer. Then trains a small model on two ranks, stops it half-way and resumes it. At the
# end, compares it on held-out text with gzip, xz and a bigram model.
#   launch/quickstart.sh [RUN] [--set section.name=value ...]
# RUN is the directory for everything but the build, by default runs/quickstart. --set overrides a setting of
# configs/quickstart.yaml. A second run keeps the text, tokenizer, dataset and checkpoints that exist. Packages are
# installed by apt (root or sudo).
source "$(dirname "$0")/shell/common.sh"

RUN=$ROOT/runs/quickstart
case ${1:-} in
  -h | --help) sed -n '2,8s/^# \?//p' "$0"; exit 0 ;;
  '' | --set) ;;
  -*) die "unknown argument '$1'; expected a directory, or --set section.name=value" ;;
  *) RUN=$1; shift ;;
esac
mkdir -p "$RUN"
RUN=$(cd "$RUN" && pwd)
CONFIG=$ROOT/configs/quickstart.yaml
BIRKHOFF=$ROOT/build/cpu/birkhoff
SETTINGS=(--set "run.dir=$RUN" --set "data.tokenizer=$RUN/tokenizer.json" --set "data.sources=[{path: '$RUN/data'}]"
  --set "eval.data=$RUN/data" "$@")

# Prints for each synset a line of its words ("foray, raid, maraud"), a line with its definition, and an empty line.
wordnet_text() {
  awk '
    function digit(c) { return index("0123456789abcdef", c) - 1 }
    /^  / { next }  # the license
    {
      words = $5
      last = 16 * digit(substr($4, 1, 1)) + digit(substr($4, 2, 1)) - 1
      for (i = 1; i <= last; ++i) words = words ", " $(5 + 2 * i)
      gsub("_", " ", words)
      gloss = substr($0, index($0, " | ") + 3)
      sub(/ +$/, "", gloss)
      print words "\n   " gloss "\n"
    }' /usr/share/wordnet/data.{noun,verb,adj,adv}
}

make_corpus() {
  [ -e "$RUN/text/wordnet.txt" ] && { echo "kept: $RUN/text"; return; }
  [ -e /usr/share/dictd/gcide.dict.dz ] && [ -e /usr/share/wordnet/data.noun ] ||
    die "the dictionaries of dict-gcide and wordnet-base are not under /usr/share/dictd and /usr/share/wordnet"
  mkdir -p "$RUN/text"
  gzip -dc </usr/share/dictd/gcide.dict.dz >"$RUN/text/gcide.txt"
  wordnet_text >"$RUN/wordnet.part"
  mv "$RUN/wordnet.part" "$RUN/text/wordnet.txt"
  wc -c "$RUN"/text/*.txt
}

train_tokenizer() {
  [ -e "$RUN/tokenizer.json" ] && { echo "kept: $RUN/tokenizer.json"; return; }
  "$BIRKHOFF" tokenizer train "$RUN/text" --vocab-size 8192 --output "$RUN/tokenizer.json"
}

# Neighboring entries are joined into documents; one document in a hundred, drawn at random, is held out.
ingest() {
  [ -e "$RUN/data/dataset.json" ] && { "$BIRKHOFF" data inspect "$RUN/data"; return; }
  rm -rf "$RUN/data"
  "$BIRKHOFF" data ingest "$RUN/text" --tokenizer "$RUN/tokenizer.json" --output "$RUN/data" \
    --split blank_lines --min-bytes 2048 --heldout 0.01 --heldout-text
}

# bits_per_byte PROGRAM ARGUMENT...: how far the program compresses the held-out text, in bits per byte.
bits_per_byte() {
  local packed text
  packed=$("$@" <"$RUN/data/heldout.txt" | wc -c)
  text=$(wc -c <"$RUN/data/heldout.txt")
  awk -v packed="$packed" -v text="$text" 'BEGIN { printf "%.4f", 8 * packed / text }'
}

train() { mpirun -n 2 "$BIRKHOFF" train "$CONFIG" "${SETTINGS[@]}"; }

# newest EVENT KEY: the value of KEY in the last record of EVENT in metrics.jsonl; nothing if there is none.
newest() {
  [ -e "$RUN/metrics.jsonl" ] || return 0
  sed -n "s/^{\"event\":\"$1\",.*\"$2\":\([0-9.e+-]*\).*/\1/p" "$RUN/metrics.jsonl" | tail -n 1
}
# setting NAME: the value of the first setting of that name, a whole number.
setting() {
  "$BIRKHOFF" describe config "$CONFIG" "${SETTINGS[@]}" | sed -n "s/^  $1: *\([0-9]*\) .*/\1/p" | sed -n 1p
}

# Starts the run and, at half of its steps, asks it to write a checkpoint and stop, as a batch system would.
train_first_half() {
  local half=$(($(setting steps) / 2)) asked='' status=0 pid step
  rm -f "$RUN/metrics.jsonl"
  (exec mpirun -n 2 "$BIRKHOFF" train "$CONFIG" "${SETTINGS[@]}") &
  pid=$!
  trap 'kill $pid 2>/dev/null' EXIT
  while kill -0 $pid 2>/dev/null; do
    sleep 1
    step=$(newest step step)
    if [ -z "$asked" ] && [ "${step:-0}" -ge "$half" ]; then
      kill -USR1 $pid || true
      asked=yes
    fi
  done
  wait $pid || status=$?
  trap - EXIT
  [ $status = 75 ] || die "the first half ended with exit code $status, expected 75: stopped on request" 1
  ls -d "$RUN"/checkpoints/step-* >/dev/null || die "the first half left no checkpoint" 1
  echo "stopped as asked: exit code 75, which mpirun reports above, and a checkpoint"
}

# If this script has just trained the first half, the second half must resume from its checkpoint.
train_second_half() {
  train | tee "$RUN/second_half.log"
  [ -z "$FIRST_HALF" ] || grep -q '^resumed from' "$RUN/second_half.log" ||
    die "the second half did not resume from the first" 1
}

# field LINE NAME: the number that follows "NAME: ".
field() { sed -n "s/.*$2: \([0-9.]*\).*/\1/p" <<<"$1"; }
row() { printf '%-46s %12s %16s\n' "$@"; }
below() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a < b) }'; }

stage "packages: tools to build with, and the dictionaries the model learns from"
install_packages "${BUILD_PACKAGES[@]}" "${CORPUS_PACKAGES[@]}"

stage "build: the program birkhoff, into build/cpu"
installed libgtest-dev && installed libgmock-dev || TESTS=OFF
configure_and_build cpu birkhoff

stage "corpus: two dictionaries as text, into $RUN/text"
make_corpus

stage "tokenizer: 8192 tokens of byte-level BPE"
train_tokenizer

stage "shards: the text as tokens, one document in a hundred held out"
ingest

stage "baselines: gzip -9, xz -9 and bigram models of the training tokens"
GZIP=$(bits_per_byte gzip -9)
XZ=$(bits_per_byte xz -9)
BIGRAM_ALL=$("$BIRKHOFF" data bigram "$RUN/data")
echo "gzip -9: $GZIP bits per byte; xz -9: $XZ; $BIGRAM_ALL"

stage "training, first half: two ranks, until they are asked to stop"
FIRST_HALF=''
if ls -d "$RUN"/checkpoints/step-* >/dev/null 2>&1; then
  echo "kept: $RUN/checkpoints (remove it to train anew)"
else
  FIRST_HALF=yes
  train_first_half
fi

stage "training, second half: the same command again, from the checkpoint to the end"
train_second_half

stage "evaluation: every held-out token once, and the bigram model of the very tokens that the run has read"
MODEL=$(mpirun -n 2 "$BIRKHOFF" eval "$CONFIG" "${SETTINGS[@]}" --set eval.sequences=0 | grep bits_per_byte)
LENGTH=$(setting sequence_length)
SEQUENCES=$(($(newest step tokens_total) / LENGTH))
BIGRAM=$("$BIRKHOFF" data bigram "$RUN/data" --sequences "$SEQUENCES" --sequence-length "$LENGTH")
echo "$MODEL"
echo "$BIGRAM"

print_stages
printf '\n'
row "of the same held-out text" "nats/token" "bits per byte"
row "gzip -9" - "$GZIP"
row "xz -9" - "$XZ"
row "bigram model of the tokens the run has read" "$(field "$BIGRAM" loss)" "$(field "$BIGRAM" bits_per_byte)"
row "bigram model of all training tokens" "$(field "$BIGRAM_ALL" loss)" "$(field "$BIGRAM_ALL" bits_per_byte)"
# eval prints all digits
row "this model" "$(printf %.5f "$(field "$MODEL" loss)")" "$(printf %.5f "$(field "$MODEL" bits_per_byte)")"

for baseline in "$XZ" "$(field "$BIGRAM" bits_per_byte)"; do
  below "$(field "$MODEL" bits_per_byte)" "$baseline" || die "the model is not below $baseline bits per byte" 1
done

cat <<END

Next:
  build/cpu/birkhoff describe config configs/quickstart.yaml       every setting, and where it came from
  build/cpu/birkhoff describe model configs/quickstart.yaml --set data.tokenizer=$RUN/tokenizer.json
  build/cpu/birkhoff checkpoint inspect $(ls -d "$RUN"/checkpoints/step-* | tail -n 1)
  build/cpu/birkhoff data ingest YOUR_TEXT --tokenizer $RUN/tokenizer.json --heldout 0.01 --output YOUR_DATA
  mpirun -n 2 --bind-to none build/cpu/birkhoff train configs/quickstart.yaml --set run.dir=runs/mine \\
    --set data.tokenizer=$RUN/tokenizer.json --set "data.sources=[{path: YOUR_DATA}]" --set eval.data=YOUR_DATA
docs/how-to/train-on-your-text.md says more about training on your own text; launch/test.sh builds and runs the tests.
END
