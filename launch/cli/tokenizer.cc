#include "data/tokenizer/tokenizer.h"

#include <cstdio>
#include <iostream>

#include "data/ingest/documents.h"
#include "data/tokenizer/commands.h"
#include "data/tokenizer/patterns.h"
#include "kernels/core/error.h"
#include "launch/cli/commands.h"

namespace birkhoff {
namespace {

struct TrainOptions {
  std::vector<std::string> inputs, special_tokens;
  std::string output, pattern = TokenizerTraining().pattern, json_field = "text";
  int64_t vocab_size = TokenizerTraining().vocab_size, min_frequency = TokenizerTraining().min_frequency;
};

// A file is one document, a file of JSON lines one a line; compressed files are unpacked.
DocumentReader reader_of(const std::string& json_field) {
  return [json_field](const std::string& path, const DocumentUse& use) {
    read_documents(path, SplitRule{}, json_field, use);
  };
}

ExitCode train(const TrainOptions& options) {
  BK_CHECK(options.vocab_size <= INT32_MAX, "--vocab-size is ", options.vocab_size, ", expected at most ", INT32_MAX);
  TokenizerTraining training;
  training.vocab_size = static_cast<int32_t>(options.vocab_size);
  training.min_frequency = options.min_frequency;
  training.pattern = options.pattern;
  if (!options.special_tokens.empty()) training.special_tokens = options.special_tokens;
  const TokenizerTrainReport report =
      train_tokenizer(options.inputs, reader_of(options.json_field), training, options.output);
  std::printf("%s: %d tokens, trained on %lld bytes of %lld documents in %lld files\n", options.output.c_str(),
              report.vocab_size, static_cast<long long>(report.bytes), static_cast<long long>(report.documents),
              static_cast<long long>(report.files));
  return ExitCode::done;
}

void add_train(Command& tokenizer) {
  auto options = std::make_shared<TrainOptions>();
  tokenizer.subcommand("train", "Train byte-level BPE on text, JSON lines and their .gz and .zst")
      .positional("inputs", options->inputs, "files and folders")
      .option("--output,-o", options->output, "tokenizer.json to write")
      .required()
      .option("--vocab-size", options->vocab_size, "tokens, special ones and bytes included")
      .option("--min-frequency", options->min_frequency, "pairs seen less often are not merged")
      .option("--pattern", options->pattern, "how text is cut into words")
      .option("--special-token", options->special_tokens, "special token, in the order of ids (default <|endoftext|>)")
      .option("--json-field", options->json_field, "text of a JSON line")
      .run([options] { return train(*options); });
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
