#include <algorithm>
#include <bit>
#include <optional>

#include "data/file/checked_size.h"
#include "data/file/regular_file.h"
#include "data/json/json.h"
#include "kernels/core/defects.h"
#include "kernels/core/error.h"
#include "kernels/core/hash.h"
#include "kernels/core/printable.h"
#include "trainer/checkpoint/manifest.h"

namespace birkhoff {
namespace {

constexpr char kFormat[] = "birkhoff-checkpoint";
constexpr int64_t kUnreadableVersion = -1;

DType dtype_from(const JsonView& json) {
  const std::string name = json.text();
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64, DType::i32, DType::i64, DType::u8}) {
    if (name_of(dtype) == name) return dtype;
  }
  json.refuse("one of f32, bf16, f64, i32, i64, u8");
}

Shape shape_from(const JsonView& json, DType dtype, Defects& defects) {
  const std::vector<JsonView> dims = json.elements();
  if (dims.size() > Shape::kMaxRank) json.refuse(concat("at most ", Shape::kMaxRank, " dims"));
  const size_t before = defects.count();
  Shape shape;
  for (const JsonView& dim : dims) shape.append(defects.value([&] { return dim.integer(); }));
  if (defects.count() == before && !checked_bytes(dtype, shape)) {
    json.refuse("a shape whose size in bytes fits 63 bits");
  }
  return shape;
}

// Sixteen hexadecimal digits, kept as text.
std::string checksum_from(const JsonView& json) { return hex16(json.hex64()); }

Box box_from(const JsonView& json, const Shape& shape) {
  const std::vector<JsonView> dims = json.elements();
  if (static_cast<int>(dims.size()) != shape.rank()) json.refuse(concat("a range for each dim of ", shape));
  Box box;
  for (const JsonView& dim : dims) {
    const std::vector<JsonView> ends = dim.elements();
    if (ends.size() != 2) dim.refuse("two numbers, the begin and the end of a range, [begin, end)");
    const int64_t extent = shape[box.begin.rank()], begin = ends[0].integer(0, extent);
    box.begin.append(begin);
    box.extent.append(ends[1].integer(begin, extent) - begin);
  }
  return box;
}

// Version 1 describes a part as a range of the flat tensor.
std::vector<Box> boxes_of_range(const JsonView& json, const Shape& shape) {
  const int64_t elements = shape.count();
  const int64_t begin = json.at("begin").integer(0, elements);
  return Slice::all(shape).part(begin, json.at("count").integer(0, elements - begin)).boxes;
}

std::vector<Box> boxes_from(const JsonView& json, const Shape& shape) {
  std::vector<Box> boxes;
  int64_t left = shape.count();
  for (const JsonView& each : json.elements()) {
    boxes.push_back(box_from(each, shape));
    left -= boxes.back().count();
    // Check after each box, because the sum of all counts in a hostile file could overflow.
    if (left < 0) json.refuse("boxes with no more elements than the tensor has");
  }
  return boxes;
}

// Returns nullopt if the file, the boxes or the offset of the part cannot be read. `sized`: the shape of `entry` is
// known, so the boxes can be checked against it.
std::optional<Manifest::Part> part_from(const JsonView& json, const Manifest::Entry& entry, bool sized, int64_t version,
                                        Defects& defects) {
  json.members();  // throws if this is not an object: one defect instead of one for each missing member
  const size_t before = defects.count();
  Manifest::Part part;
  part.file = defects.value([&] { return json.at("file").plain_name(); });
  const bool flat = version == 1 || (version == kUnreadableVersion && json.has("begin"));
  if (sized) {
    part.boxes = defects.value(
        [&] { return flat ? boxes_of_range(json, entry.shape) : boxes_from(json.at("boxes"), entry.shape); });
  }
  part.offset = defects.value(
      // The limit ensures that offset + bytes cannot overflow in later checks.
      [&] { return json.at("offset").integer(0, std::numeric_limits<int64_t>::max() - bytes_of(entry, part)); });
  const bool placed = defects.count() == before;
  part.xxh3 = defects.value([&] { return checksum_from(json.at("xxh3")); });
  return placed ? std::optional(part) : std::nullopt;
}

// Names appear in messages, also on a terminal, so they must not hold control characters.
void check_name(const std::string& name, const JsonView& named) {
  constexpr size_t kLongest = 1000;
  const bool is_plain = printable(name) == name && name.find_first_of("\n\t") == name.npos;
  if (is_plain && name.size() <= kLongest) return;
  throw DataError(concat(named.place(), ": a name of ", name.size(), " bytes",
                         is_plain ? "" : " with control characters", ", expected plain text of at most ", kLongest,
                         " bytes"));
}

// Calls read(name, value) for each member of the object `key` of the body, which holds the values, tensors or files by
// name.
template <class Read>
void read_members(const JsonView& body, const char* key, Defects& defects, const Read& read) {
  defects.check([&] {
    const JsonView object = body.at(key);
    for (const auto& [name, value] : object.members()) {
      defects.check([&, &name = name, &value = value] {
        check_name(name, object);
        read(name, value);
      });
    }
  });
}

// A tensor is stored under its name as a dataset in the root group of an HDF5 file, so the name must not be a path.
void check_tensor_name(const std::string& name, const JsonView& tensors) {
  if (name.empty() || name == "." || name.find('/') != name.npos || name.find('\0') != name.npos) {
    throw DataError(concat(tensors.place(), ": '", name, "' is no name of a tensor"));
  }
}

// Returns nullopt if the dtype or shape cannot be read, since the ranges in the parts depend on them. The rest of the
// entry is still checked, so that all its defects are listed.
std::optional<Manifest::Entry> entry_from(const JsonView& json, int64_t version, Defects& defects) {
  json.members();
  const size_t before = defects.count();
  Manifest::Entry entry;
  entry.dtype = defects.value([&] { return dtype_from(json.at("dtype")); }, DType::f64);
  entry.shape = defects.value([&] { return shape_from(json.at("shape"), entry.dtype, defects); });
  const bool sized = defects.count() == before;
  defects.check([&] {
    for (const JsonView& each : json.at("parts").elements()) {
      defects.check([&] {
        if (auto part = part_from(each, entry, sized, version, defects)) entry.parts.push_back(std::move(*part));
      });
    }
  });
  entry.whole = defects.count() == before;
  return sized ? std::optional(std::move(entry)) : std::nullopt;
}

Manifest::File file_from(const JsonView& json, Defects& defects) {
  json.members();
  Manifest::File file;
  file.bytes = defects.value([&] { return json.at("bytes").integer(); }, Manifest::File::kUnreadable);
  defects.check([&] {
    const JsonView checksum = json.at("xxh3");
    if (!checksum.text().empty()) file.xxh3 = checksum_from(checksum);
  });
  return file;
}

void read_tensors(const JsonView& body, Manifest& m, Defects& defects) {
  read_members(body, "tensors", defects, [&](const std::string& name, const JsonView& value) {
    check_tensor_name(name, body.at("tensors"));
    if (auto entry = entry_from(value, m.version, defects)) m.tensors[name] = std::move(*entry);
  });
}

// A file with a defect is kept, marked unreadable. If it were left out, each part in it would be reported as being in
// an unknown file.
void read_files(const JsonView& body, Manifest& m, Defects& defects) {
  const size_t before = defects.count();
  read_members(body, "files", defects, [&](const std::string& name, const JsonView& value) {
    if (!is_plain_name(name) || name == kManifestName) {
      throw DataError(concat(value.place(), ": expected the plain name of another file of the folder, without '/'"));
    }
    const size_t before_file = defects.count();
    m.files[name].bytes = Manifest::File::kUnreadable;
    const Manifest::File file = file_from(value, defects);
    if (defects.count() == before_file) m.files[name] = file;
  });
  // For the same reason, if the whole list could not be read, every file that a part names is added to it.
  if (defects.count() == before || !m.files.empty()) return;
  for (const auto& [name, entry] : m.tensors) {
    for (const Manifest::Part& part : entry.parts) m.files[part.file].bytes = Manifest::File::kUnreadable;
  }
}

Manifest read_body(const JsonView& body, int64_t version, Defects& defects) {
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  Manifest m;
  m.version = version;
  m.step = defects.value([&] { return body.at("step").integer(); }, Manifest::kUnreadableStep);
  read_tensors(body, m, defects);
  read_members(body, "reals", defects, [&](const std::string& name, const JsonView& value) {
    m.reals[name] = std::bit_cast<double>(value.at("bits").hex64());
  });
  read_members(body, "integers", defects,
               [&](const std::string& name, const JsonView& value) { m.integers[name] = value.integer(kMin); });
  read_members(body, "texts", defects,
               [&](const std::string& name, const JsonView& value) { m.texts[name] = value.text(); });
  read_files(body, m, defects);
  return m;
}

void check_checksum(const Json& body, const Json& expected, const std::string& path) {
  const std::string found = json_checksum(body);
  if (expected == found) return;
  throw DataError(concat(path, ": the checksum is ", found, ", the file says ", json_excerpt(expected)));
}

// Throws at once if the format or version is not supported, because the rest of such a file cannot be checked.
int64_t version_of(const JsonView& body, const std::string& path, Defects& defects) {
  const std::string format = defects.value([&] { return body.at("format").text(); }, std::string(kFormat));
  if (format != kFormat) body.at("format").refuse(concat("'", kFormat, "'"));
  const int64_t version = defects.value([&] { return body.at("version").integer(); }, kUnreadableVersion);
  if (version == kUnreadableVersion || (version >= 1 && version <= Manifest::kVersion)) return version;
  throw DataError(concat(path, ": format version ", version, "; this program reads versions 1 to ", Manifest::kVersion,
                         version > Manifest::kVersion ? ". Use the newer program that wrote it" : ""));
}

Json parse_whole(const std::string& text, const std::string& path) {
  try {
    return parse_json(text, path);
  } catch (const DataError& error) {
    const std::string why = std::string(error.what()).substr(path.size() + 2);
    throw DataError(concat(path, ": not a checkpoint manifest: the text is broken or cut off: ", why));
  }
}

}  // namespace

Manifest parse_manifest(const std::string& text, const std::string& path) {
  Defects defects;
  Manifest manifest = parse_manifest(text, path, defects);
  defects.throw_if_any(path);
  return manifest;
}

Manifest parse_manifest(const std::string& text, const std::string& path, Defects& defects) {
  const Json whole = parse_whole(text, path);
  if (!whole.is_object() || !whole.contains("manifest") || !whole.contains("xxh3")) {
    throw DataError(path + ": not a checkpoint manifest: it has no 'manifest' with a checksum 'xxh3'");
  }
  const Json& body = whole["manifest"];
  if (!body.is_object()) throw DataError(path + ": not a checkpoint manifest: its body is not an object");
  const JsonView view(body, path);
  const int64_t version = version_of(view, path, defects);
  defects.check([&] { check_checksum(body, whole["xxh3"], path); });
  return read_body(view, version, defects);
}

}  // namespace birkhoff
