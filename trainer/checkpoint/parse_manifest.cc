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

// `elements`: of the tensor, in units of `element_bytes`. Nothing where its place cannot be read.
std::optional<Manifest::Part> part_from(const JsonView& json, int64_t elements, int64_t element_bytes,
                                        Defects& defects) {
  json.members();  // or one defect, not one for each member
  const size_t before = defects.count();
  Manifest::Part part;
  const auto integer = [&](const char* key, int64_t max) {
    return defects.value([&] { return json.at(key).integer(0, max); });
  };
  part.file = defects.value([&] { return json.at("file").plain_name(); });
  part.begin = integer("begin", elements);
  part.count = integer("count", elements - part.begin);
  part.offset = integer("offset", std::numeric_limits<int64_t>::max() - part.count * element_bytes);
  const bool placed = defects.count() == before;
  part.xxh3 = defects.value([&] { return checksum_from(json.at("xxh3")); });
  return placed ? std::optional(part) : std::nullopt;
}

// Names are shown in messages, to a terminal too.
void check_name(const std::string& name, const JsonView& named) {
  constexpr size_t kLongest = 1000;
  const bool is_plain = printable(name) == name && name.find_first_of("\n\t") == name.npos;
  if (is_plain && name.size() <= kLongest) return;
  throw DataError(concat(named.place(), ": a name of ", name.size(), " bytes",
                         is_plain ? "" : " with control characters", ", expected plain text of at most ", kLongest,
                         " bytes"));
}

// Has each member of the object `key` of the body read, whose names are those of values, tensors or files.
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

// A tensor is a dataset of its name in the root group of a file, so that the name must not be a path.
void check_tensor_name(const std::string& name, const JsonView& tensors) {
  if (name.empty() || name == "." || name.find('/') != name.npos || name.find('\0') != name.npos) {
    throw DataError(concat(tensors.place(), ": '", name, "' is no name of a tensor"));
  }
}

// The range of what a part says depends on dtype and shape. Nothing where one of them cannot be read; the parts are
// looked at all the same, as those of the largest tensor.
std::optional<Manifest::Entry> entry_from(const JsonView& json, Defects& defects) {
  json.members();
  const size_t before = defects.count();
  Manifest::Entry entry;
  entry.dtype = defects.value([&] { return dtype_from(json.at("dtype")); }, DType::f64);
  entry.shape = defects.value([&] { return shape_from(json.at("shape"), entry.dtype, defects); });
  const auto element_bytes = static_cast<int64_t>(size_of(entry.dtype));
  const bool sized = defects.count() == before;
  const int64_t elements = sized ? entry.shape.count() : std::numeric_limits<int64_t>::max() / element_bytes;
  defects.check([&] {
    for (const JsonView& each : json.at("parts").elements()) {
      defects.check([&] {
        if (const auto part = part_from(each, elements, element_bytes, defects)) entry.parts.push_back(*part);
      });
    }
  });
  entry.whole = defects.count() == before;
  return sized ? std::optional(entry) : std::nullopt;
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
    if (auto entry = entry_from(value, defects)) m.tensors[name] = std::move(*entry);
  });
}

// A file of which something cannot be read is kept as an unreadable one, so that it is not told of each of its parts
// that the checkpoint has no such file.
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
  if (defects.count() == before || !m.files.empty()) return;
  for (const auto& [name, entry] : m.tensors) {
    for (const Manifest::Part& part : entry.parts) m.files[part.file].bytes = Manifest::File::kUnreadable;
  }
}

Manifest read_body(const JsonView& body, Defects& defects) {
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  Manifest m;
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

// What else a file of another format or version holds is not judged.
void check_kind(const JsonView& body, const std::string& path, Defects& defects) {
  const std::string format = defects.value([&] { return body.at("format").text(); }, std::string(kFormat));
  if (format != kFormat) body.at("format").refuse(concat("'", kFormat, "'"));
  const int64_t version = defects.value([&] { return body.at("version").integer(); }, Manifest::kVersion);
  if (version == Manifest::kVersion) return;
  throw DataError(concat(path, ": format version ", version, "; this program reads version ", Manifest::kVersion,
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
  if (!body.is_object()) throw DataError(path + ": not a checkpoint manifest: its body is no object");
  const JsonView view(body, path);
  check_kind(view, path, defects);
  defects.check([&] { check_checksum(body, whole["xxh3"], path); });
  return read_body(view, defects);
}

}  // namespace birkhoff
