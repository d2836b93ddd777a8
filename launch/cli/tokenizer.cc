#include "data/tokenizer/tokenizer.h"

#include <iostream>

#include "data/ingest/documents.h"
#include "data/tokenizer/commands.h"
#include "data/tokenizer/patterns.h"
#include "kernels/core/error.h"
#include "launch/cli/commands.h"
#include "launch/cli/text_options.h"

namespace birkhoff {
namespace {

struct TrainOptions {
  std::vector<std::string> inputs, special_tokens;
  std::string output, pattern = TokenizerTraining().pattern, json_field = "text", format = "auto";
  std::string bad = "fail";
  int64_t max_bad = 100, max_file_mib = 0;
  int64_t vocab_size = TokenizerTraining().vocab_size, min_frequency = TokenizerTraining().min_frequency;
};

// A text file is one document; in a file of JSON lines each line is one.
CorpusOptions corpus_of(const TrainOptions& options) {
  CorpusOptions corpus;
  corpus.inputs = options.inputs;
  corpus.format = format_of(options.format);
  corpus.json_field = options.json_field;
  corpus.max_file_bytes = bytes_of_mib(options.max_file_mib);
  corpus.log = print_note;
  return corpus;
}

ExitCode train(const TrainOptions& options) {
  BK_CHECK(options.vocab_size <= INT32_MAX, "--vocab-size is ", options.vocab_size, ", expected at most ", INT32_MAX);
  BK_CHECK(options.min_frequency >= 0, "--min-frequency is ", options.min_frequency, ", expected at least 0");
  TokenizerTraining training;
  training.vocab_size = static_cast<int32_t>(options.vocab_size);
  training.min_frequency = options.min_frequency;
  training.pattern = options.pattern;
  if (!options.special_tokens.empty()) training.special_tokens = options.special_tokens;
  const Corpus corpus(corpus_of(options));
  CorpusReport read;
  const auto feed = [&](const DocumentUse& use) {
    BadLines bad(value_of<BadData>(options.bad), options.max_bad);
    read = corpus.read(bad, use);
    if (bad.count() > 0) print_note(concat("left out ", bad.count(), " bad JSON lines"));
  };
  const TokenizerTrainReport report = train_tokenizer(feed, training, options.output);
  std::printf("%s: %d tokens, trained on %lld bytes of %lld documents in %lld files\n", options.output.c_str(),
              report.vocab_size, static_cast<long long>(report.bytes), static_cast<long long>(report.documents),
              static_cast<long long>(read.text_files + read.json_files));
  return ExitCode::done;
}

void add_train(Command& tokenizer) {
  auto options = std::make_shared<TrainOptions>();
  tokenizer.subcommand("train", "Train byte-level BPE on text and JSON lines, plain or packed by gzip or zstd")
      .positional("inputs", options->inputs, "files and folders")
      .option("--output,-o", options->output, "tokenizer.json to write")
      .required()
      .option("--vocab-size", options->vocab_size, "tokens, special ones and bytes included")
      .option("--min-frequency", options->min_frequency, "pairs seen less often are not merged")
      .option("--pattern", options->pattern, "how text is cut into words")
      .option("--special-token", options->special_tokens, "special token, in the order of ids (default <|endoftext|>)")
      .choice("--format", options->format, {"auto", "text", "jsonl"},
              "what all files hold; auto: by content and name of each")
      .option("--json-field", options->json_field, "text of a JSON line; a.b is b of the object a")
      .choice("--bad", options->bad, {"fail", "skip"}, "a JSON line without text ends the command, or is left out")
      .option("--max-bad", options->max_bad, "skip: lines left out above which the command ends")
      .option("--max-file-mib", options->max_file_mib, "text of one file, unpacked; 0: what the free memory holds")
      .run([options] { return with_io_errors([&] { return train(*options); }); });
}

struct CodeOptions {
  std::string tokenizer;
  bool whole = false;
};

void add_encode(Command& tokenizer) {
  auto options = std::make_shared<CodeOptions>();
  tokenizer.subcommand("encode", "Standard input as text to token ids on standard output")
      .positional("tokenizer", options->tokenizer, "tokenizer.json")
      .flag("--whole", options->whole, "the whole input is one text, not each line")
      .run([options] {
        encode_stream(Tokenizer::load(options->tokenizer), std::cin, std::cout,
                      options->whole ? EncodeBy::whole : EncodeBy::line);
        return ExitCode::done;
      });
}

void add_decode(Command& tokenizer) {
  auto options = std::make_shared<CodeOptions>();
  tokenizer.subcommand("decode", "Token ids on standard input to bytes on standard output")
      .positional("tokenizer", options->tokenizer, "tokenizer.json")
      .run([options] {
        decode_stream(Tokenizer::load(options->tokenizer), std::cin, std::cout);
        return ExitCode::done;
      });
}

}  // namespace

void add_tokenizer(Cli& cli) {
  Command tokenizer = cli.command("tokenizer", "Train and use tokenizers");
  add_train(tokenizer);
  add_encode(tokenizer);
  add_decode(tokenizer);
}

}  // namespace birkhoff
