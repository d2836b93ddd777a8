// Lets the oracle scripts reach the tokenizer. Texts pass as JSON strings, one a line.
//   encode FILE            texts -> lists of ids
//   encode-special FILE    likewise, with the tokens of the post-processor
//   decode FILE            lists of ids -> texts
//   train FILE OPTIONS     OPTIONS: {"vocab_size", "min_frequency", "pattern", "special_tokens"}; texts -> FILE
//   keys                   texts -> their Engram keys
//   matches                lists of a pattern and texts -> the matches in each text as [begin, end] in bytes, or the
//                          message of the refusal
#include <fstream>
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include "data/tokenizer/commands.h"
#include "data/tokenizer/compression.h"
#include "data/tokenizer/regex.h"
#include "data/tokenizer/tokenizer.h"
#include "kernels/core/error.h"

namespace {

using namespace birkhoff;
using nlohmann::json;

template <class Use>
void for_each_line(Use use) {
  for (std::string line; std::getline(std::cin, line);) use(json::parse(line));
}

void train(const std::string& path, const json& options) {
  const TokenizerTraining training{options.at("vocab_size"), options.at("min_frequency"), options.at("pattern"),
                                   options.at("special_tokens")};
  TokenizerTrainer trainer(training);
  for_each_line([&](const json& text) { trainer.feed(text.get_ref<const std::string&>()); });
  std::ofstream(path) << trainer.train().to_json();
}

void convert(const std::string& command, const std::string& path) {
  const Tokenizer tokenizer = Tokenizer::load(path);
  for_each_line([&](const json& line) {
    if (command == "decode") {
      std::cout << json(tokenizer.decode(line.get<std::vector<int32_t>>()))
                       .dump(-1, ' ', true, json::error_handler_t::replace)
                << '\n';
    } else {
      const auto special = command == "encode" ? SpecialTokens::omit : SpecialTokens::keep;
      std::cout << json(tokenizer.encode(line.get_ref<const std::string&>(), special)).dump() << '\n';
    }
  });
}

json matches(const json& line) {
  json all = json::array();
  try {
    const Regex regex(line.at(0).get<std::string>());
    for (size_t i = 1; i < line.size(); ++i) {
      json found = json::array();
      regex.for_each_match(line[i].get_ref<const std::string&>(), [&found](Match match) {
        found.push_back({match.begin, match.end});
      });
      all.push_back(found);
    }
  } catch (const UserError& error) {
    return error.what();
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string command = argc > 1 ? argv[1] : "";
    if (command == "keys") {
      for_each_line(
          [](const json& text) { std::cout << json(engram_key(text.get_ref<const std::string&>())).dump() << '\n'; });
    } else if (command == "matches") {
      for_each_line([](const json& line) { std::cout << matches(line).dump() << '\n'; });
    } else if (command == "train" && argc == 4) {
      train(argv[2], json::parse(argv[3]));
    } else if (argc == 3 && (command == "encode" || command == "encode-special" || command == "decode")) {
      convert(command, argv[2]);
    } else {
      std::cerr << "usage: tokenizer_tool encode|encode-special|decode FILE, train FILE OPTIONS, keys or matches\n";
      return 2;
    }
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 2;
  }
}
