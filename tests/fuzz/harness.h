#pragma once
// What the targets share. Each gives an input to a reader; an Error is what a reader may answer, but for a BugError.
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

// Of libFuzzer.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);

namespace birkhoff {

// A crash where BIRKHOFF_FUZZ_PLANTED is set and the condition holds: a target that never meets it does not reach what
// stands behind the reader's checks. The condition is false for all seeds.
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
    throw;  // not caught by anybody: libFuzzer reports it
  } catch (const Error&) {
  }
}

// What a custom mutator of files full of offsets does: three of four mutations keep every byte in its place.
inline size_t mutate_in_place(uint8_t* data, size_t size, size_t most, unsigned seed) {
  if (size < 16 || seed % 4 == 0) return LLVMFuzzerMutate(data, size, most);
  std::minstd_rand random(seed);
  for (unsigned left = 1 + random() % 3; left > 0; --left) {
    uint8_t& byte = data[random() % size];
    const auto value = static_cast<uint8_t>(random());
    constexpr uint8_t kTelling[] = {0, 1, 8, 127, 255};
    switch (random() % 4) {
      case 0:
        byte = value;
        break;
      case 1:
        byte = kTelling[value % 5];
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

// The same for text: half of the mutations put a digit in the place of a digit, or a letter in that of a letter.
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

// Writes an input to a file in a folder of its own, which is removed when the process ends. A process that crashes
// leaves it to tests/fuzz/run.sh, which names the folder that it lies in.
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
