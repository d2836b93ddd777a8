#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "data/tokenizer/pre_tokenizer.h"

namespace birkhoff {

// A cache of the ids of short words. Each word has one slot, chosen by its hash; a new word replaces the old one. It
// takes 1.8 MB and never grows.
class WordCache {
 public:
  WordCache() : slots_(kSlots) {}

  // Appends the ids of the word and returns true if it is cached.
  bool append(std::string_view word, std::vector<int32_t>& ids) const {
    if (word.size() > kBytes) return false;
    const Slot& slot = slots_[place(word)];
    if (slot.length != word.size() || std::memcmp(slot.word.data(), word.data(), word.size()) != 0) return false;
    ids.insert(ids.end(), slot.ids.begin(), slot.ids.begin() + slot.count);
    return true;
  }

  void keep(std::string_view word, std::span<const int32_t> ids) {
    if (word.size() > kBytes || ids.size() > kIds) return;
    Slot& slot = slots_[place(word)];
    slot.length = static_cast<uint8_t>(word.size());
    slot.count = static_cast<uint8_t>(ids.size());
    std::copy(word.begin(), word.end(), slot.word.begin());
    std::copy(ids.begin(), ids.end(), slot.ids.begin());
  }

 private:
  static constexpr size_t kSlots = 1 << 15, kBytes = 22, kIds = 8;
  struct Slot {
    uint8_t length = 0, count = 0;  // length 0: unused slot
    std::array<char, kBytes> word;
    std::array<int32_t, kIds> ids;
  };
  static size_t place(std::string_view word) { return std::hash<std::string_view>{}(word) % kSlots; }

  std::vector<Slot> slots_;
};

// What a call of encode() works in. One call uses it at a time, and it is kept for later calls with its cached words.
struct EncodeWorkspace {
  WordCache cache;
  PreTokenizer::Words words;
};

// The workspaces of an object that many threads use. A call borrows one and returns it, so their number is the largest
// number of concurrent calls so far.
class WorkspacePool {
 public:
  class Lease {
   public:
    explicit Lease(WorkspacePool& pool) : pool_(pool), workspace_(pool.take()) {}
    ~Lease() { pool_.give(std::move(workspace_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    EncodeWorkspace& operator*() { return *workspace_; }

   private:
    WorkspacePool& pool_;
    std::unique_ptr<EncodeWorkspace> workspace_;
  };

 private:
  std::unique_ptr<EncodeWorkspace> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        auto workspace = std::move(free_.back());
        free_.pop_back();
        return workspace;
      }
    }
    return std::make_unique<EncodeWorkspace>();
  }

  void give(std::unique_ptr<EncodeWorkspace> workspace) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(workspace));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<EncodeWorkspace>> free_;
};

}  // namespace birkhoff
