#include "trainer/checkpoint/manifest.h"

#include <algorithm>
#include <bit>

#include <nlohmann/json.hpp>

#include "kernels/core/error.h"
#include "kernels/core/hash.h"

namespace birkhoff {
namespace {

using nlohmann::json;

json to_json(const Manifest::Entry& e) {
  json shape = json::array(), parts = json::array();
  for (int i = 0; i < e.shape.rank(); ++i) shape.push_back(e.shape[i]);
  for (const Manifest::Part& p : e.parts) {
    parts.push_back({{"file", p.file}, {"begin", p.begin}, {"count", p.count}, {"offset", p.offset}, {"xxh3", p.xxh3}});
  }
  return {{"dtype", std::string(name_of(e.dtype))}, {"shape", shape}, {"parts", parts}};
}

Manifest::Entry entry_of(const json& j) {
  Manifest::Entry e;
  e.dtype = dtype_of(j.at("dtype").get<std::string>());
  for (const json& dim : j.at("shape")) e.shape.append(dim.get<int64_t>());
  for (const json& p : j.at("parts")) {
    e.parts.push_back({p.at("file"), p.at("begin"), p.at("count"), p.at("offset"), p.at("xxh3")});
  }
  return e;
}

// A double as its bits, and as a number for readers.
json real_of(double value) { return {{"bits", hex16(std::bit_cast<uint64_t>(value))}, {"value", concat(value)}}; }
double real_from(const json& j) {
  return std::bit_cast<double>(static_cast<uint64_t>(std::stoull(j.at("bits").get<std::string>(), nullptr, 16)));
}

Manifest read_body(const json& body) {
  Manifest m;
  m.version = body.at("version");
  m.step = body.at("step");
  for (const auto& [name, value] : body.at("tensors").items()) m.tensors[name] = entry_of(value);
  for (const auto& [name, value] : body.at("reals").items()) m.reals[name] = real_from(value);
  m.integers = body.at("integers").get<std::map<std::string, int64_t>>();
  m.texts = body.at("texts").get<std::map<std::string, std::string>>();
  for (const auto& [name, value] : body.at("files").items()) m.files[name] = {value.at("bytes"), value.at("xxh3")};
  return m;
}

void check_cover(const std::string& name, Manifest::Entry& entry) {
  auto& parts = entry.parts;
  std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  int64_t next = 0;
  for (const Manifest::Part& p : parts) {
    if (p.begin != next)
      throw DataError(concat(name, ": elements from ", next, " on are ", p.begin < next ? "written twice" : "missing"));
    next += p.count;
  }
  if (next != entry.shape.count())
    throw DataError(concat(name, ": ", next, " of ", entry.shape.count(), " elements were written"));
}

std::string shown(int64_t value) { return concat(value); }
std::string shown(double value) { return concat(value, " (", hex16(std::bit_cast<uint64_t>(value)), ")"); }
std::string shown(const std::string& value) {
  return value.size() <= 60 ? concat("'", value, "'") : concat(value.size(), " bytes");
}
bool same(int64_t a, int64_t b) { return a == b; }
bool same(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }
bool same(const std::string& a, const std::string& b) { return a == b; }

// A value is one for all ranks: where they differ, one of them went astray, and no choice among them is right.
template <class T>
void check_equal(const std::map<std::string, T>& first, const std::map<std::string, T>& other, size_t writer) {
  for (const auto& [name, value] : other) {
    const auto at = first.find(name);
    if (at == first.end()) throw DataError(concat(name, ": writer ", writer, " has it, writer 0 does not"));
    if (!same(at->second, value)) {
      throw DataError(concat(name, ": writer ", writer, " has ", shown(value), ", writer 0 ", shown(at->second)));
    }
  }
  for (const auto& [name, value] : first) {
    if (!other.contains(name)) throw DataError(concat(name, ": writer 0 has it, writer ", writer, " does not"));
  }
}

void check_values(const Manifest& first, const Manifest& other, size_t writer) {
  if (other.step != first.step) {
    throw DataError(concat("the step: writer ", writer, " has ", other.step, ", writer 0 ", first.step));
  }
  check_equal(first.integers, other.integers, writer);
  check_equal(first.reals, other.reals, writer);
  check_equal(first.texts, other.texts, writer);
}

}  // namespace

std::string to_text(const Manifest& m) {
  json body{{"format", "birkhoff-checkpoint"},
            {"version", m.version},
            {"step", m.step},
            {"integers", m.integers},
            {"texts", m.texts}};
  body["tensors"] = body["reals"] = body["files"] = json::object();
  for (const auto& [name, entry] : m.tensors) body["tensors"][name] = to_json(entry);
  for (const auto& [name, value] : m.reals) body["reals"][name] = real_of(value);
  for (const auto& [name, file] : m.files) body["files"][name] = {{"bytes", file.bytes}, {"xxh3", file.xxh3}};
  const std::string text = body.dump(1);
  return json{{"xxh3", hex16(hash64(text.data(), text.size()))}, {"manifest", std::move(body)}}.dump(1) + "\n";
}

Manifest parse_manifest(const std::string& text, const std::string& path) {
  const json whole = json::parse(text, nullptr, false);
  if (whole.is_discarded() || !whole.is_object() || !whole.contains("manifest") || !whole.contains("xxh3")) {
    throw DataError(path + ": not a checkpoint manifest: the text is broken or cut off");
  }
  const json& body = whole["manifest"];
  if (!body.is_object()) throw DataError(path + ": not a checkpoint manifest: its body is no object");
  const std::string dumped = body.dump(1), found = hex16(hash64(dumped.data(), dumped.size()));
  if (whole["xxh3"] != found) {
    throw DataError(concat(path, ": the checksum is ", found, ", the file says ", whole["xxh3"].dump()));
  }
  const int64_t version =
      body.contains("version") && body["version"].is_number_integer() ? body["version"].get<int64_t>() : 0;
  if (version != Manifest::kVersion) {
    throw DataError(concat(path, ": format version ", version, "; this program reads version ", Manifest::kVersion,
                           version > Manifest::kVersion ? ". Use the newer program that wrote it" : ""));
  }
  try {
    return read_body(body);
  } catch (const std::exception& e) {
    throw DataError(concat(path, ": ", e.what()));
  }
}

Manifest join(const std::vector<Manifest>& writers) {
  Manifest all = writers.at(0);
  for (size_t i = 1; i < writers.size(); ++i) {
    check_values(writers[0], writers[i], i);
    for (const auto& [name, entry] : writers[i].tensors) {
      auto [place, added] = all.tensors.try_emplace(name, entry);
      if (added) continue;
      if (place->second.dtype != entry.dtype || !(place->second.shape == entry.shape)) {
        throw DataError(concat(name, ": writer ", i, " has ", entry.dtype, entry.shape, ", others ",
                               place->second.dtype, place->second.shape));
      }
      place->second.parts.insert(place->second.parts.end(), entry.parts.begin(), entry.parts.end());
    }
    all.files.insert(writers[i].files.begin(), writers[i].files.end());
  }
  for (auto& [name, entry] : all.tensors) check_cover(name, entry);
  return all;
}

}  // namespace birkhoff
