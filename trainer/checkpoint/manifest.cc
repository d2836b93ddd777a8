#include "trainer/checkpoint/manifest.h"

#include <bit>

#include "data/json/json.h"
#include "kernels/core/error.h"
#include "kernels/core/hash.h"
#include "trainer/checkpoint/layout.h"

namespace birkhoff {
namespace {

// Returns an array with one pair [begin, end) for each dim.
Json to_json(const Box& box) {
  Json dims = Json::array();
  for (int d = 0; d < box.begin.rank(); ++d) {
    dims.push_back(Json::array({box.begin[d], box.begin[d] + box.extent[d]}));
  }
  return dims;
}

Json to_json(const Manifest::Entry& e) {
  Json shape = Json::array(), parts = Json::array();
  for (int i = 0; i < e.shape.rank(); ++i) shape.push_back(e.shape[i]);
  for (const Manifest::Part& p : e.parts) {
    Json boxes = Json::array();
    for (const Box& box : p.boxes) boxes.push_back(to_json(box));
    parts.push_back({{"file", p.file}, {"boxes", boxes}, {"offset", p.offset}, {"xxh3", p.xxh3}});
  }
  return {{"dtype", std::string(name_of(e.dtype))}, {"shape", shape}, {"parts", parts}};
}

// Writes a double as its bits, and as a decimal number for human readers.
Json real_of(double value) { return {{"bits", hex16(std::bit_cast<uint64_t>(value))}, {"value", concat(value)}}; }

std::string shown(int64_t value) { return concat(value); }
std::string shown(double value) { return concat(value, " (", hex16(std::bit_cast<uint64_t>(value)), ")"); }
std::string shown(const std::string& value) {
  return value.size() <= 60 ? concat("'", value, "'") : concat(value.size(), " bytes");
}
bool same(int64_t a, int64_t b) { return a == b; }
bool same(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }
bool same(const std::string& a, const std::string& b) { return a == b; }

// Values must be equal on all ranks. If two ranks differ, at least one of them is wrong, and nothing shows which one.
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

int64_t Manifest::Part::count() const {
  int64_t sum = 0;
  for (const Box& box : boxes) sum += box.count();
  return sum;
}

std::string to_text(const Manifest& m) {
  Json body{{"format", "birkhoff-checkpoint"},
            {"version", Manifest::kVersion},
            {"step", m.step},
            {"integers", m.integers},
            {"texts", m.texts}};
  body["tensors"] = body["reals"] = body["files"] = Json::object();
  for (const auto& [name, entry] : m.tensors) body["tensors"][name] = to_json(entry);
  for (const auto& [name, value] : m.reals) body["reals"][name] = real_of(value);
  for (const auto& [name, file] : m.files) body["files"][name] = {{"bytes", file.bytes}, {"xxh3", file.xxh3}};
  return Json{{"xxh3", json_checksum(body)}, {"manifest", body}}.dump(1) + "\n";
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
  check_layout(all);
  return all;
}

}  // namespace birkhoff
