#include "data/tokenizer/trainer.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "data/tokenizer/bpe.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/merge_learner.h"
#include "data/tokenizer/patterns.h"
#include "data/tokenizer/pre_tokenizer.h"
#include "data/tokenizer/unicode.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using OrderedJson = nlohmann::ordered_json;

// Ids of the bytes: after the special tokens, in the order of their characters.
std::array<int32_t, 256> byte_ids(int32_t first) {
  std::array<uint8_t, 256> order;
  for (int b = 0; b < 256; ++b) order[b] = static_cast<uint8_t>(b);
  // Comparing UTF-8 strings compares their code points.
  std::sort(order.begin(), order.end(),
            [](uint8_t a, uint8_t b) { return byte_characters()[a] < byte_characters()[b]; });
  std::array<int32_t, 256> ids;
  for (int i = 0; i < 256; ++i) ids[order[i]] = first + i;
  return ids;
}

OrderedJson file_frame(const TokenizerTraining& options) {
  OrderedJson added = OrderedJson::array();
  for (size_t i = 0; i < options.special_tokens.size(); ++i) {
    added.push_back({{"id", i},
                     {"content", options.special_tokens[i]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const OrderedJson byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  return {{"version", "1.0"},          {"truncation", nullptr}, {"padding", nullptr},
          {"added_tokens", added},     {"normalizer", nullptr}, {"pre_tokenizer", pre_tokenizer_json(options.pattern)},
          {"post_processor", nullptr}, {"decoder", byte_level}};
}

OrderedJson model_json(const std::vector<std::string>& tokens, const std::vector<LearnedMerge>& merges) {
  OrderedJson vocabulary = OrderedJson::object();
  // Inserted directly: the ordered map searches all keys on every insertion, and these are known to differ.
  auto& members = vocabulary.get_ref<OrderedJson::object_t&>();
  for (size_t id = 0; id < tokens.size(); ++id) members.emplace_back(tokens[id], id);
  OrderedJson list = OrderedJson::array();
  for (const LearnedMerge& merge : merges) list.push_back(tokens[merge.left] + " " + tokens[merge.right]);
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", std::move(vocabulary)},
          {"merges", std::move(list)}};
}

}  // namespace

struct TokenizerTrainer::Counts {
  PreTokenizer pre_tokenizer;
  PreTokenizer::Words words;
  std::unordered_map<std::string, int64_t, StringHash, std::equal_to<>> counts;
};

TokenizerTrainer::TokenizerTrainer(TokenizerTraining options)
    : counts_(std::make_unique<Counts>()), options_(std::move(options)) {
  counts_->pre_tokenizer = PreTokenizer::from_json(pre_tokenizer_json(options_.pattern));
  const auto& special = options_.special_tokens;
  BK_CHECK(options_.vocab_size >= static_cast<int32_t>(special.size()) + 256, "a vocabulary of ", options_.vocab_size,
           " does not hold the 256 bytes and ", special.size(), " special tokens; ask for at least ",
           special.size() + 256);
  for (auto token = special.begin(); token != special.end(); ++token) {
    const auto bytes = from_byte_level(*token);
    BK_CHECK(!token->empty() && !(bytes && bytes->size() == 1), "'", *token,
             "' cannot be a special token: it is empty or a byte of the alphabet");
    BK_CHECK(is_utf8(*token), "a special token is not UTF-8, as the text of a tokenizer.json must be");
    BK_CHECK(std::find(special.begin(), token, *token) == token, "the special token ", *token, " is given twice");
  }
}

TokenizerTrainer::~TokenizerTrainer() = default;

void TokenizerTrainer::feed(std::string_view text) {
  counts_->pre_tokenizer.split(text, counts_->words);
  for (const std::string_view word : counts_->words.views) {
    const auto found = counts_->counts.find(word);
    if (found != counts_->counts.end()) {
      ++found->second;
    } else {
      counts_->counts.emplace(word, 1);
    }
  }
}

Tokenizer TokenizerTrainer::train() const {
  std::vector<std::string> tokens = options_.special_tokens;
  const auto ids = byte_ids(static_cast<int32_t>(tokens.size()));
  tokens.resize(tokens.size() + 256);
  for (int b = 0; b < 256; ++b) tokens[ids[b]] = byte_characters()[b];

  MergeLearner learner(std::move(tokens));
  for (const auto& [word, count] : counts_->counts) {
    std::vector<int32_t> symbols;
    for (const char b : word) symbols.push_back(ids[static_cast<uint8_t>(b)]);
    learner.add_word(std::move(symbols), count);
  }
  learner.learn(options_.vocab_size, options_.min_frequency);

  OrderedJson file = file_frame(options_);
  file["model"] = model_json(learner.tokens(), learner.merges());
  return Tokenizer::parse(file.dump(1, ' '));
}

}  // namespace birkhoff
