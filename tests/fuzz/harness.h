#pragma once
// Shared by the targets. Each target passes an input to a reader. The reader may refuse it with an Error, but a
// BugError, or anything else that it throws, is a finding.
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>

#include <unistd.h>

#include "kernels/core/error.h"

// Provided by libFuzzer.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);

namespace birkhoff {

// Crashes if the condition holds and BIRKHOFF_FUZZ_PLANTED is set. A target that never finds this planted defect does
// not get past the checks of the reader. The condition must be false for all seeds.
inline void plant(bool condition) {
  static const bool planted = std::getenv("BIRKHOFF_FUZZ_PLANTED") != nullptr;
  if (!planted || !condition) return;
  std::fprintf(stderr, "planted defect\n");
  std::abort();
}

template <class Read>
void expect_no_bug(Read read) {
  try {
    read();
  } catch (const BugError&) {
    throw;  // nobody catches it, so libFuzzer reports it
  } catch (const Error&) {
  }
}

// A custom mutator for binary files with offsets: three of four mutations change bytes without moving any, since a
// shift would only break the offsets.
inline size_t mutate_in_place(uint8_t* data, size_t size, size_t most, unsigned seed) {
  if (size < 16 || seed % 4 == 0) return LLVMFuzzerMutate(data, size, most);
  std::minstd_rand random(seed);
  for (unsigned left = 1 + random() % 3; left > 0; --left) {
    uint8_t& byte = data[random() % size];
    const auto value = static_cast<uint8_t>(random());
    constexpr uint8_t kBoundaryValues[] = {0, 1, 8, 127, 255};
    switch (random() % 4) {
      case 0:
        byte = value;
        break;
      case 1:
        byte = kBoundaryValues[value % 5];
        break;
      case 2:
        byte = static_cast<uint8_t>(byte + (value % 2 == 0 ? 1 : -1));
        break;
      default:
        byte ^= static_cast<uint8_t>(1 << value % 8);
    }
  }
  return size;
}

// A custom mutator for text: half of the mutations replace a digit by a digit, or a letter by a letter, which keeps the
// syntax intact.
inline size_t mutate_text(uint8_t* data, size_t size, size_t most, unsigned seed) {
  std::minstd_rand random(seed);
  const auto of_word = [](uint8_t c) { return std::isalnum(c) != 0; };
  if (random() % 2 == 0 || std::none_of(data, data + size, of_word)) return LLVMFuzzerMutate(data, size, most);
  for (unsigned left = 1 + random() % 2; left > 0; --left) {
    uint8_t* byte = std::find_if(data + random() % size, data + size, of_word);
    if (byte == data + size) byte = std::find_if(data, data + size, of_word);
    *byte = static_cast<uint8_t>(std::isdigit(*byte) ? '0' + random() % 10 : 'a' + random() % 26);
  }
  return size;
}

// Writes inputs to a file in a folder of its own, which is removed when the process ends. If the process crashes, the
// folder stays behind in the scratch folder that tests/fuzz/run.sh chooses and removes.
class InputFile {
 public:
  explicit InputFile(const std::string& ending) {
    const char* scratch = std::getenv("BIRKHOFF_FUZZ_SCRATCH");
    folder_ = scratch ? std::filesystem::path(scratch) : std::filesystem::temp_directory_path();
    folder_ /= "birkhoff-fuzz-" + std::to_string(::getpid());
    std::filesystem::create_directories(folder_);
    path_ = folder_ / ("input" + ending);
  }
  ~InputFile() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  const std::filesystem::path& write(const void* data, size_t size) const {
    std::FILE* file = std::fopen(path_.c_str(), "wb");
    if (size > 0) std::fwrite(data, 1, size, file);
    std::fclose(file);
    return path_;
  }
  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_, path_;
};

}  // namespace birkhoff
