#include <algorithm>
#include <functional>
#include <sstream>
#include <vector>

#include "data/ingest/commands.h"
#include "data/shard/reader.h"
#include "data/shard/shard_set.h"
#include "kernels/core/defects.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

constexpr int64_t kSamplesShown = 10;

std::string inspect_dataset(const std::filesystem::path& directory) {
  const DatasetManifest manifest = read_manifest(directory);
  std::ostringstream out;
  out << "dataset " << directory.string() << "\n  tokenizer " << manifest.tokenizer_digest << ", vocabulary "
      << manifest.vocab_size << ", begin " << manifest.begin_token << ", end " << manifest.end_token << '\n';
  for (const auto& entry : manifest.splits) {
    const SplitManifest& split = entry.second;
    out << "  " << entry.first << ": " << split.num_samples << " samples, " << split.num_tokens << " tokens, "
        << split.source_bytes << " bytes of text, " << split.shards.size() << " shards\n";
  }
  return out.str();
}

std::string inspect_shard(const std::filesystem::path& path) {
  ShardReader reader(path);
  std::ostringstream out;
  out << "shard " << path.string() << "\n  tokenizer " << reader.tokenizer_digest() << ", vocabulary "
      << reader.vocab_size() << ", " << reader.num_samples() << " samples\n";
  for (int64_t i = 0; i < std::min(reader.num_samples(), kSamplesShown); ++i) {
    out << "  sample " << i << ": " << reader.num_tokens(i) << " tokens, " << reader.source_bytes(i)
        << " bytes of text:";
    for (const Segment& segment : reader.read(i).segments) out << ' ' << name_of(segment.modality) << segment.shape;
    out << '\n';
  }
  return out.str();
}

// Reads all samples of a shard, adds what is wrong to `defects`, and returns the number of intact samples. `compare`
// checks the opened shard as a whole.
int64_t read_shard(const std::filesystem::path& path, Defects& defects,
                   const std::function<std::vector<std::string>(const ShardReader&)>& compare) {
  int64_t good = 0;
  Defects in_shard;
  in_shard.check([&] {
    ShardReader reader(path);
    for (const std::string& difference : compare(reader)) in_shard.add(difference);
    for (int64_t i = 0; i < reader.num_samples(); ++i) {
      in_shard.check([&] {
        reader.read(i);
        ++good;
      });
    }
  });
  defects.append(in_shard);
  return good;
}

int64_t read_dataset(const std::filesystem::path& directory, Defects& defects) {
  Defects in_manifest;
  const DatasetManifest manifest = read_manifest(directory, in_manifest);
  defects.append(in_manifest);
  int64_t good = 0;
  for (const auto& [name, split] : manifest.splits)
    for (const ShardEntry& entry : split.shards)
      good += read_shard(directory / name / entry.file, defects,
                         [&, &entry = entry](const ShardReader& shard) { return differences(shard, entry, manifest); });
  return good;
}

// Whether the path names a folder. Throws an error that names the path if the file system cannot say.
bool is_folder(const std::filesystem::path& path) {
  return with_io_errors([&path] { return std::filesystem::is_directory(path); });
}

}  // namespace

std::string inspect_data(const std::filesystem::path& path) {
  return is_folder(path) ? inspect_dataset(path) : inspect_shard(path);
}

std::string verify_data(const std::filesystem::path& path) {
  Defects defects;
  const int64_t good = is_folder(path)
                           ? read_dataset(path, defects)
                           : read_shard(path, defects, [](const ShardReader&) { return std::vector<std::string>(); });
  if (defects.empty()) return concat(path.string(), ": all ", good, " samples are intact\n");
  throw DataError(concat(path.string(), ": ", defects.count(), (defects.count() == 1 ? " defect; " : " defects; "),
                         good, " samples are intact", defects.lines()));
}

}  // namespace birkhoff
