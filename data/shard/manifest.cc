#include "data/shard/manifest.h"

#include <fstream>
#include <utility>

#include <nlohmann/json.hpp>

#include "data/hdf5/bulk_file.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kFormat[] = "birkhoff.dataset";
constexpr char kFile[] = "dataset.json";

Json to_json(const SplitManifest& split) {
  Json json{{"samples", split.num_samples}, {"tokens", split.num_tokens}, {"source_bytes", split.source_bytes}};
  json["shards"] = Json::array();
  for (const ShardEntry& shard : split.shards)
    json["shards"].push_back({{"file", shard.file},
                              {"samples", shard.num_samples},
                              {"tokens", shard.num_tokens},
                              {"source_bytes", shard.source_bytes}});
  return json;
}

SplitManifest split_of(const Json& json, const std::string& path) {
  SplitManifest split;
  for (const Json& shard : json.at("shards"))
    for (const char* count : {"samples", "tokens", "source_bytes"})
      if (const auto value = shard.at(count).get<int64_t>(); value < 0)
        throw DataError(concat(path, ": ", shard.at("file").dump(), ": ", count, " is ", value, ", a negative number"));
  for (const Json& shard : json.at("shards"))
    split.append({shard.at("file"), shard.at("samples"), shard.at("tokens"), shard.at("source_bytes")});
  const int64_t samples = json.at("samples"), tokens = json.at("tokens"), bytes = json.at("source_bytes");
  if (samples != split.num_samples || tokens != split.num_tokens || bytes != split.source_bytes)
    throw DataError(path + ": the totals of a split are not the sums over its shards");
  return split;
}

DatasetManifest manifest_of(const Json& json, const std::string& path) {
  const std::string format = json.at("format");
  if (format != kFormat) throw DataError(concat(path, ": expected the format ", kFormat, ", found ", format));
  const int version = json.at("version");
  if (version != kDatasetVersion)
    throw DataError(concat(path, ": expected version ", kDatasetVersion, ", found version ", version));
  DatasetManifest manifest{
      json.at("tokenizer_digest"), json.at("vocab_size"), json.at("begin_token"), json.at("end_token"), {}};
  if (manifest.vocab_size <= 0)
    throw DataError(concat(path, ": vocab_size is ", manifest.vocab_size, ", expected at least 1"));
  for (const auto& item : json.at("splits").items()) manifest.splits[item.key()] = split_of(item.value(), path);
  return manifest;
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
  publish_text(directory / kFile, json.dump(1) + "\n");
}

DatasetManifest read_manifest(const std::filesystem::path& directory) {
  const std::string path = (directory / kFile).string();
  std::ifstream in(path);
  if (!in) throw DataError(path + ": no such file: this is not a dataset, or its ingestion did not finish");
  try {
    return manifest_of(Json::parse(in), path);
  } catch (const Json::exception& error) {
    throw DataError(path + ": damaged: " + error.what());
  }
}

}  // namespace birkhoff
