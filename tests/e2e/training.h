#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/program.h"
#include "tests/support/temp_dir.h"
#include "trainer/checkpoint/manifest.h"

namespace birkhoff::test {

// A tokenizer and a dataset of English text, made once per process, and runs of configs/test.yaml on them.
class Training {
 public:
  static const Training& shared();

  // The command that trains into `dir` on `ranks` ranks, with additional arguments.
  std::string command(int ranks, const std::filesystem::path& dir, const std::string& arguments = "") const;
  ProgramResult train(int ranks, const std::filesystem::path& dir, const std::string& arguments = "") const;
  std::string data_arguments() const;
  const std::filesystem::path& data() const { return data_; }
  const std::filesystem::path& tokenizer() const { return tokenizer_; }
  // Settings for a held-out split whose evaluation takes seconds.
  std::string long_evaluation() const;

 private:
  Training();
  TempDir dir_;
  std::filesystem::path data_, tokenizer_, heldout_;
};

Manifest manifest_of(const std::filesystem::path& dir, int64_t step);
// The names of tensors whose bytes differ, and the kinds of values that differ.
std::vector<std::string> differences(const Manifest& a, const Manifest& b);
// The losses of all step lines, in order.
std::vector<double> losses(const std::string& output);

}  // namespace birkhoff::test
