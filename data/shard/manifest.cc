#include "data/shard/manifest.h"

#include <limits>
#include <set>
#include <utility>

#include "data/file/regular_file.h"
#include "data/hdf5/bulk_file.h"
#include "data/json/json.h"
#include "kernels/core/defects.h"
#include "kernels/core/error.h"
#include "kernels/core/hash.h"
#include "kernels/core/printable.h"

namespace birkhoff {
namespace {

constexpr char kFormat[] = "birkhoff.dataset";
constexpr char kFile[] = "dataset.json";
constexpr char kChecksum[] = "xxh3";             // key of the checksum over all other members
constexpr int64_t kMaxBytes = int64_t{1} << 28;  // enough for more than a million shards

Json to_json(const ShardEntry& shard) {
  Json json{{"file", shard.file},
            {"samples", shard.num_samples},
            {"tokens", shard.num_tokens},
            {"source_bytes", shard.source_bytes}};
  if (shard.index_checksum) json["index_checksum"] = hex16(*shard.index_checksum);
  return json;
}

Json to_json(const SplitManifest& split) {
  Json json{{"samples", split.num_samples}, {"tokens", split.num_tokens}, {"source_bytes", split.source_bytes}};
  json["shards"] = Json::array();
  for (const ShardEntry& shard : split.shards) json["shards"].push_back(to_json(shard));
  return json;
}

// Reads the count `key`. It is limited so that its sum with `sum`, the total over the shards before it, does not
// overflow.
int64_t count_from(const JsonView& json, const char* key, int64_t sum, Defects& defects) {
  return defects.value([&] { return json.at(key).integer(0, std::numeric_limits<int64_t>::max() - sum); });
}

ShardEntry entry_from(const JsonView& json, const SplitManifest& before, Defects& defects) {
  json.members();  // throws if this is not an object: one defect instead of one per missing member
  ShardEntry entry;
  entry.file = defects.value([&] { return json.at("file").plain_name(); });
  entry.num_samples = count_from(json, "samples", before.num_samples, defects);
  entry.num_tokens = count_from(json, "tokens", before.num_tokens, defects);
  entry.source_bytes = count_from(json, "source_bytes", before.source_bytes, defects);
  defects.check([&] {
    if (json.has("index_checksum")) entry.index_checksum = json.at("index_checksum").hex64();
  });
  return entry;
}

// Reads the entries of all shards whose file name is readable.
void read_shards(const JsonView& json, SplitManifest& split, Defects& defects) {
  std::set<std::string> files;
  for (const JsonView& shard : json.elements()) {
    defects.check([&] {
      const size_t before = defects.count();
      ShardEntry entry = entry_from(shard, split, defects);
      const bool is_duplicate = !entry.file.empty() && !files.insert(entry.file).second;
      if (is_duplicate) shard.at("file").refuse("a file that no shard before it has");
      entry.whole = defects.count() == before;
      if (!entry.file.empty()) split.append(std::move(entry));
    });
  }
}

SplitManifest split_from(const JsonView& json, Defects& defects) {
  json.members();
  const size_t before = defects.count();
  SplitManifest split;
  defects.check([&] { read_shards(json.at("shards"), split, defects); });
  const int64_t samples = count_from(json, "samples", 0, defects), tokens = count_from(json, "tokens", 0, defects),
                bytes = count_from(json, "source_bytes", 0, defects);
  const bool differ = samples != split.num_samples || tokens != split.num_tokens || bytes != split.source_bytes;
  // If an entry is defective, its totals cannot be checked, and a second message about them would not help.
  if (differ && defects.count() == before) {
    defects.add(json.place() + ": the totals of a split are not the sums over its shards");
  }
  return split;
}

// Reads a token id. `vocab_size` is 0 if it could not be read; then only the sign is checked.
int32_t token_from(const JsonView& json, int64_t vocab_size) {
  const int64_t token = json.integer(std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
  if (vocab_size == 0 && token < 0) json.refuse("one of its vocabulary");
  if (vocab_size > 0 && (token < 0 || token >= vocab_size)) {
    json.refuse(concat("one of its vocabulary of ", vocab_size));
  }
  return static_cast<int32_t>(token);
}

void check_checksum(const JsonView& json) {
  if (!json.has(kChecksum)) return;
  Json body = json.value();
  body.erase(kChecksum);
  const std::string found = json_checksum(body);
  if (json.at(kChecksum).text() == found) return;
  throw DataError(concat(json.place(), ": its checksum is ", found, ", the file says ",
                         json_excerpt(json.value()[kChecksum]),
                         ": it was edited or damaged. Restore it, or ingest the data again"));
}

std::map<std::string, SplitManifest> splits_from(const JsonView& json, Defects& defects) {
  std::map<std::string, SplitManifest> splits;
  if (json.members().empty()) json.refuse("at least one split");
  for (const auto& [name, split] : json.members()) {
    defects.check([&, &name = name, &split = split] {
      const bool shows = printable(name) == name && name.find_first_of("\n\t") == name.npos;
      if (!shows || !is_plain_name(name)) {
        throw DataError(
            concat(json.place(), ": ", json_excerpt(name), " is no name of a split, which is that of a folder"));
      }
      splits[name] = split_from(split, defects);
    });
  }
  return splits;
}

// Checks format and version. If they differ, it throws and nothing else in the file is checked.
void check_kind(const JsonView& json, Defects& defects) {
  json.members();
  const std::string format = defects.value([&] { return json.at("format").text(); }, std::string(kFormat));
  if (format != kFormat) json.at("format").refuse(concat("'", kFormat, "'"));
  const int64_t version = defects.value([&] { return json.at("version").integer(); }, int64_t{kDatasetVersion});
  if (version == kDatasetVersion) return;
  throw DataError(concat(json.place(), ": expected version ", kDatasetVersion, ", found version ", version));
}

DatasetManifest manifest_from(const JsonView& json, Defects& defects) {
  check_kind(json, defects);
  defects.check([&] { check_checksum(json); });
  DatasetManifest m;
  m.tokenizer_digest = defects.value([&] {
    const JsonView digest = json.at("tokenizer_digest");
    if (digest.text().empty()) digest.refuse("the digest of a tokenizer");
    return digest.text();
  });
  m.vocab_size = defects.value([&] { return json.at("vocab_size").integer(1, std::numeric_limits<int32_t>::max()); });
  m.begin_token = defects.value([&] { return token_from(json.at("begin_token"), m.vocab_size); });
  m.end_token = defects.value([&] { return token_from(json.at("end_token"), m.vocab_size); });
  defects.check([&] { m.splits = splits_from(json.at("splits"), defects); });
  return m;
}

std::string read_text(const std::string& path) {
  try {
    return read_regular_file(path, kMaxBytes);
  } catch (const IoError& error) {
    // Ingestion writes dataset.json last, so if it is missing, the ingestion probably did not finish.
    if (error.code() != ENOENT && error.code() != ENOTDIR) throw;
    throw DataError(path + ": no such file: this is not a dataset, or its ingestion did not finish");
  }
}

}  // namespace

void SplitManifest::append(ShardEntry entry) {
  num_samples += entry.num_samples;
  num_tokens += entry.num_tokens;
  source_bytes += entry.source_bytes;
  shards.push_back(std::move(entry));
}

const SplitManifest& DatasetManifest::split(const std::string& name) const {
  const auto found = splits.find(name);
  if (found != splits.end()) return found->second;
  std::string known;
  for (const auto& entry : splits) known += (known.empty() ? "" : ", ") + entry.first;
  throw DataError(concat("the dataset has no split '", name, "'; it has ", known.empty() ? "none" : known));
}

void write_manifest(const std::filesystem::path& directory, const DatasetManifest& manifest) {
  Json json{{"format", kFormat},
            {"version", kDatasetVersion},
            {"tokenizer_digest", manifest.tokenizer_digest},
            {"vocab_size", manifest.vocab_size},
            {"begin_token", manifest.begin_token},
            {"end_token", manifest.end_token},
            {"splits", Json::object()}};
  for (const auto& entry : manifest.splits) json["splits"][entry.first] = to_json(entry.second);
  json[kChecksum] = json_checksum(json);
  publish_text(directory / kFile, json.dump(1) + "\n");
}

DatasetManifest read_manifest(const std::filesystem::path& directory) {
  Defects defects;
  DatasetManifest manifest = read_manifest(directory, defects);
  defects.throw_if_any((directory / kFile).string());
  return manifest;
}

DatasetManifest read_manifest(const std::filesystem::path& directory, Defects& defects) {
  const std::string path = (directory / kFile).string();
  return parse_dataset_manifest(read_text(path), path, defects);
}

DatasetManifest parse_dataset_manifest(const std::string& text, const std::string& path, Defects& defects) {
  Json json;
  try {
    json = parse_json(text, path);
  } catch (const DataError& error) {
    // Inserts "damaged" after the path, with which the message begins.
    throw DataError(path + ": damaged" + std::string(error.what()).substr(path.size()));
  }
  return manifest_from(JsonView(json, path), defects);
}

}  // namespace birkhoff
