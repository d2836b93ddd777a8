#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/shard/manifest.h"
#include "data/shard/writer.h"

namespace birkhoff {

inline constexpr int32_t kTestBegin = 1, kTestEnd = 2;

// Texts for a dataset of `documents` documents. Their lengths vary from 1 to 20 tokens, of which the last is kTestEnd.
// The value of every other token encodes source, document and position: 1000 + source * 100000 + document * 100 +
// position.
inline std::vector<std::vector<int32_t>> test_documents(int source, int documents) {
  std::vector<std::vector<int32_t>> all;
  for (int d = 0; d < documents; ++d) {
    std::vector<int32_t> tokens;
    for (int i = 0; i < (d * 7 + source * 3) % 20; ++i) tokens.push_back(1000 + source * 100000 + d * 100 + i);
    tokens.push_back(kTestEnd);
    all.push_back(tokens);
  }
  return all;
}

inline constexpr int64_t kTestVocab = 1000000;

inline void write_test_dataset(const std::filesystem::path& directory, const std::string& split,
                               const std::vector<std::vector<int32_t>>& documents, int64_t max_shard_bytes = 2000) {
  ShardWriter writer(directory / split, {kTestVocab, "digest", max_shard_bytes});
  for (const auto& tokens : documents) {
    Sample sample;
    sample.segments.push_back(Segment::text(tokens));
    sample.source_bytes = 10 * static_cast<int64_t>(tokens.size());
    writer.add(sample);
  }
  write_manifest(directory, {"digest", kTestVocab, kTestBegin, kTestEnd, {{split, writer.finish()}}});
}

}  // namespace birkhoff
