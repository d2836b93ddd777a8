#include <cstdio>
#include <map>

#include "data/baseline/bigram.h"
#include "data/ingest/commands.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "kernels/core/printable.h"
#include "launch/cli/commands.h"
#include "launch/cli/text_options.h"

namespace birkhoff {
namespace {

struct IngestArguments {
  std::vector<std::string> inputs;
  std::string tokenizer, output, split = "whole", split_regex, format = "auto", bad = "fail";
  int64_t split_bytes = 1 << 20, min_bytes = 0, seed = 1, max_shard_mib = 64, threads = 0;
  double heldout = 0;
  bool heldout_text = false;
  std::string json_field = IngestOptions().json_field;
  int64_t max_bad = IngestOptions().max_bad_lines, max_file_mib = 0;
};

SplitRule split_of(const IngestArguments& a) {
  static const std::map<std::string, SplitRule::Kind> kinds = {{"whole", SplitRule::Kind::whole},
                                                               {"blank_lines", SplitRule::Kind::blank_lines},
                                                               {"regex", SplitRule::Kind::regex},
                                                               {"size", SplitRule::Kind::size}};
  const IngestArguments unset;
  BK_CHECK((a.split == "regex") == !a.split_regex.empty(), "--split regex and --split-regex need each other");
  BK_CHECK(a.split == "size" || a.split_bytes == unset.split_bytes, "--split-bytes is for --split size; --split is ",
           a.split);
  BK_CHECK(a.split_bytes >= 1, "--split-bytes is ", a.split_bytes, ", expected at least 1");
  BK_CHECK(a.min_bytes >= 0, "--min-bytes is ", a.min_bytes, ", expected at least 0");
  BK_CHECK(a.min_bytes == 0 || a.split == "blank_lines" || a.split == "regex",
           "--min-bytes is for --split blank_lines and --split regex; --split is ", a.split);
  SplitRule rule;
  rule.kind = kinds.at(a.split);
  rule.regex = a.split_regex;
  rule.bytes = a.split_bytes;
  rule.min_bytes = a.min_bytes;
  return rule;
}

ExitCode ingest_files(const IngestArguments& a) {
  BK_CHECK(a.max_shard_mib >= 1 && a.max_shard_mib <= 1 << 20, "--max-shard-mib is ", a.max_shard_mib,
           ", expected 1 to 1048576");
  BK_CHECK(a.seed >= 0, "--seed is ", a.seed, ", expected at least 0");
  BK_CHECK(a.threads >= 0 && a.threads <= 4096, "--threads is ", a.threads, ", expected 0 (all cores) to 4096");
  BK_CHECK(a.max_bad >= 0, "--max-bad is ", a.max_bad, ", expected at least 0");
  IngestOptions options;
  options.inputs.assign(a.inputs.begin(), a.inputs.end());
  options.tokenizer = a.tokenizer;
  options.output = a.output;
  options.split = split_of(a);
  options.json_field = a.json_field;
  options.format = format_of(a.format);
  options.bad_lines = value_of<BadData>(a.bad);
  options.max_bad_lines = a.max_bad;
  options.max_file_bytes = bytes_of_mib(a.max_file_mib);
  options.log = print_note;
  options.heldout_fraction = a.heldout;
  options.seed = static_cast<uint64_t>(a.seed);
  options.max_shard_bytes = a.max_shard_mib << 20;
  options.write_heldout_text = a.heldout_text;
  options.num_threads = a.threads ? static_cast<int>(a.threads) : num_threads();
  ingest(options);
  std::fputs(printable(inspect_data(options.output)).c_str(), stdout);
  return ExitCode::done;
}

void add_ingest(Command& data) {
  auto a = std::make_shared<IngestArguments>();
  data.subcommand("ingest", "Turn text and JSON lines, plain or packed by gzip or zstd, into shards of tokens")
      .positional("inputs", a->inputs, "files and folders")
      .option("--tokenizer", a->tokenizer, "tokenizer.json")
      .required()
      .option("--output,-o", a->output, "folder of the dataset, which must not hold one yet")
      .required()
      .choice("--split", a->split, {"whole", "blank_lines", "regex", "size"}, "how a text file becomes documents")
      .option("--split-bytes", a->split_bytes, "size: a document ends at the first line end after so many bytes")
      .option("--min-bytes", a->min_bytes, "blank_lines, regex: join neighbors up to so many bytes")
      .option("--split-regex", a->split_regex, "regex: a line in which it is found begins a document; Perl's syntax")
      .choice("--format", a->format, {"auto", "text", "jsonl"},
              "what all files hold; auto: by content and name of each")
      .option("--json-field", a->json_field, "text of a JSON line; a.b is b of the object a")
      .choice("--bad", a->bad, {"fail", "skip"}, "a JSON line without text ends the command, or is left out and listed")
      .option("--max-bad", a->max_bad, "skip: lines left out above which the command ends")
      .option("--max-file-mib", a->max_file_mib, "text of one file, unpacked; 0: what the free memory holds")
      .option("--heldout", a->heldout, "share of the documents kept for evaluation, such as 0.01")
      .flag("--heldout-text", a->heldout_text, "also write the held-out documents as heldout.txt")
      .option("--seed", a->seed, "chooses the held-out documents")
      .option("--max-shard-mib", a->max_shard_mib, "size of a shard")
      .option("--threads", a->threads, "threads that tokenize; 0: all cores")
      .run([a] { return ingest_files(*a); });
}

// Adds a command that prints the report of a function about a path.
void add_report(Command& data, const std::string& name, const std::string& help,
                std::string (*report)(const std::filesystem::path&)) {
  auto path = std::make_shared<std::string>();
  data.subcommand(name, help).positional("path", *path, "dataset folder or shard").run([path, report] {
    std::fputs(printable(report(*path)).c_str(), stdout);
    return ExitCode::done;
  });
}

struct BigramArguments {
  std::string dataset;
  int64_t sequences = 0, sequence_length = 0, seed = 1;
};

// Uses the wording of `birkhoff eval`, so that one script can read both.
ExitCode print_bigram(const BigramArguments& a) {
  BK_CHECK(a.sequences >= 0 && a.seed >= 0, "--sequences and --seed must not be negative");
  const BigramScore s = score_bigram({a.dataset, a.sequences, a.sequence_length, static_cast<uint64_t>(a.seed)});
  std::printf("bigram of %lld tokens | loss: %.5f nats/token | bits_per_byte: %.5f | tokens: %lld | bytes: %lld\n",
              static_cast<long long>(s.train_tokens), s.loss, s.bits_per_byte, static_cast<long long>(s.tokens),
              static_cast<long long>(s.source_bytes));
  return ExitCode::done;
}

void add_bigram(Command& data) {
  auto a = std::make_shared<BigramArguments>();
  data.subcommand("bigram", "Held-out loss of an interpolated bigram model, a baseline")
      .positional("dataset", a->dataset, "dataset folder")
      .option("--sequences", a->sequences, "learn from the first sequences a run reads; 0: from the whole split")
      .option("--sequence-length", a->sequence_length, "batch.sequence_length of that run")
      .option("--seed", a->seed, "data.seed of that run")
      .run([a] { return print_bigram(*a); });
}

}  // namespace

void add_data(Cli& cli) {
  Command data = cli.command("data", "Make and check training data");
  add_ingest(data);
  add_report(data, "inspect", "Print splits, shards and counts", inspect_data);
  add_report(data, "verify", "Read every sample and check it", verify_data);
  add_bigram(data);
}

}  // namespace birkhoff
