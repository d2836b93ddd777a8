#include "tests/e2e/training.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>
#include <unordered_map>

#include <gtest/gtest.h>

#include "data/ingest/commands.h"
#include "data/tokenizer/commands.h"
#include "kernels/core/error.h"
#include "trainer/checkpoint/directory.h"

namespace birkhoff::test {
namespace {

std::string source_dir() {
  const char* dir = std::getenv("BIRKHOFF_SOURCE_DIR");
  return dir ? dir : ".";
}

// English text that is the same in every build: each document is a random walk over the word pairs of the license.
void write_texts(const std::filesystem::path& file, int documents, int words) {
  std::ifstream in(source_dir() + "/LICENSE");
  const std::vector<std::string> said{std::istream_iterator<std::string>(in), {}};
  ASSERT_GT(said.size(), 1000u) << "no LICENSE in " << source_dir();
  std::unordered_map<std::string, std::vector<std::string>> followers;
  for (size_t i = 0; i < said.size(); ++i) followers[said[i]].push_back(said[(i + 1) % said.size()]);
  std::mt19937 random(1);
  std::ofstream out(file);
  for (int d = 0; d < documents; ++d) {
    std::string word = said[random() % said.size()];
    for (int w = 0; w < words; ++w) {
      out << word << ((w + 1) % 12 == 0 ? '\n' : ' ');
      const std::vector<std::string>& next = followers.at(word);
      word = next[random() % next.size()];
    }
    out << "\n\n";
  }
}

}  // namespace

const Training& Training::shared() {
  static const Training training;
  return training;
}

Training::Training() : data_(dir_ / "data"), tokenizer_(dir_ / "tokenizer.json"), heldout_(dir_ / "heldout") {
  write_texts(dir_ / "texts.txt", 500, 46);
  const std::vector<std::string> inputs{dir_ / "texts.txt"};
  SplitRule rule;
  rule.kind = SplitRule::Kind::blank_lines;
  rule.min_bytes = 200;
  TokenizerTraining options;
  options.vocab_size = 400;
  CorpusOptions corpus;
  corpus.inputs = inputs;
  corpus.split = rule;
  const auto feed = [&](const DocumentUse& use) {
    BadLines bad;
    Corpus(corpus).read(bad, use);
  };
  train_tokenizer(feed, options, tokenizer_.string());
  IngestOptions ingestion;
  ingestion.inputs = inputs;
  ingestion.tokenizer = tokenizer_.string();
  ingestion.output = data_;
  ingestion.split = rule;
  ingestion.heldout_fraction = 0.1;
  ingest(ingestion);
  ingestion.output = heldout_;
  ingestion.heldout_fraction = 0.9;
  for (int copy = 1; copy < 4; ++copy) {
    ingestion.inputs.push_back((dir_ / ("texts" + std::to_string(copy) + ".txt")).string());
    std::filesystem::copy_file(dir_ / "texts.txt", ingestion.inputs.back());
  }
  ingest(ingestion);
}

std::string Training::long_evaluation() const { return " --set eval.sequences=0 --set eval.data=" + heldout_.string(); }

std::string Training::data_arguments() const {
  return " --set data.tokenizer=" + tokenizer_.string() + " --set 'data.sources=[{path: " + data_.string() +
         "}]' --set eval.data=" + data_.string();
}

std::string Training::command(int ranks, const std::filesystem::path& dir, const std::string& arguments) const {
  return mpirun(ranks) + BIRKHOFF_PROGRAM + " train " + source_dir() + "/configs/test.yaml" + data_arguments() +
         " --set run.dir=" + dir.string() + " " + arguments;
}

ProgramResult Training::train(int ranks, const std::filesystem::path& dir, const std::string& arguments) const {
  return run_program(command(ranks, dir, arguments));
}

Manifest manifest_of(const std::filesystem::path& dir, int64_t step) {
  return verify_checkpoint(dir / "checkpoints" / checkpoint_name(step));
}

std::vector<std::string> differences(const Manifest& a, const Manifest& b) {
  std::vector<std::string> names;
  for (const auto& [name, entry] : a.tensors) {
    const auto other = b.tensors.find(name);
    bool same = other != b.tensors.end() && other->second.parts.size() == entry.parts.size();
    for (size_t p = 0; same && p < entry.parts.size(); ++p) same = entry.parts[p].xxh3 == other->second.parts[p].xxh3;
    if (!same) names.push_back(name);
  }
  if (a.tensors.size() != b.tensors.size()) names.push_back("the number of tensors");
  if (a.integers != b.integers) names.push_back("integers");
  if (a.reals != b.reals) names.push_back("reals");
  if (a.texts != b.texts) names.push_back("texts");
  return names;
}

std::vector<double> losses(const std::string& output) {
  std::vector<double> values;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    const size_t at = line.find("| loss: ");
    if (line.starts_with("step: ") && at != std::string::npos) values.push_back(std::stod(line.substr(at + 8)));
  }
  return values;
}

}  // namespace birkhoff::test
