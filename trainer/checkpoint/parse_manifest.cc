#include <algorithm>
#include <bit>

#include "data/file/checked_size.h"
#include "data/file/regular_file.h"
#include "data/json/json.h"
#include "kernels/core/defects.h"
#include "kernels/core/error.h"
#include "kernels/core/hash.h"
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

Shape shape_from(const JsonView& json, DType dtype) {
  const std::vector<JsonView> dims = json.elements();
  if (dims.size() > Shape::kMaxRank) json.refuse(concat("at most ", Shape::kMaxRank, " dims"));
  Shape shape;
  for (const JsonView& dim : dims) shape.append(dim.integer());
  if (!checked_bytes(dtype, shape)) json.refuse("a shape whose size in bytes fits 63 bits");
  return shape;
}

// Sixteen hexadecimal digits, kept as text.
std::string checksum_from(const JsonView& json) { return hex16(json.hex64()); }

Manifest::Part part_from(const JsonView& json, const Manifest::Entry& entry, Defects& defects) {
  const int64_t elements = entry.shape.count();
  json.members();  // or one defect, not one for each member
  Manifest::Part part;
  const auto integer = [&](const char* key, int64_t max) {
    return defects.value([&] { return json.at(key).integer(0, max); });
  };
  part.file = defects.value([&] { return json.at("file").plain_name(); });
  part.begin = integer("begin", elements);
  part.count = integer("count", elements - part.begin);
  part.offset = integer("offset", std::numeric_limits<int64_t>::max() - bytes_of(entry, part));
  part.xxh3 = defects.value([&] { return checksum_from(json.at("xxh3")); });
  return part;
}

// Names are shown in messages, to a terminal too.
void check_name(const std::string& name, const JsonView& named) {
  constexpr size_t kLongest = 1000;
  const bool is_plain = std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
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

// The range of what a part says depends on dtype and shape, so that parts are looked at where both can be read.
Manifest::Entry entry_from(const JsonView& json, Defects& defects) {
  json.members();
  const size_t before = defects.count();
  Manifest::Entry entry;
  entry.dtype = defects.value([&] { return dtype_from(json.at("dtype")); }, DType::f32);
  entry.shape = defects.value([&] { return shape_from(json.at("shape"), entry.dtype); });
  if (defects.count() > before) return entry;
  for (const JsonView& part : json.at("parts").elements()) {
    defects.check([&] { entry.parts.push_back(part_from(part, entry, defects)); });
  }
  return entry;
}

Manifest::File file_from(const std::string& name, const JsonView& json, Defects& defects) {
  if (!is_plain_name(name) || name == kManifestName) {
    throw DataError(concat(json.place(), ": expected the plain name of another file of the folder, without '/'"));
  }
  Manifest::File file;
  file.bytes = defects.value([&] { return json.at("bytes").integer(); });
  const JsonView checksum = json.at("xxh3");
  if (!checksum.text().empty()) file.xxh3 = checksum_from(checksum);
  return file;
}

Manifest read_body(const JsonView& body, const std::string& path) {
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  Defects defects;
  Manifest m;
  m.step = defects.value([&] { return body.at("step").integer(); });
  read_members(body, "tensors", defects, [&](const std::string& name, const JsonView& value) {
    check_tensor_name(name, body.at("tensors"));
    m.tensors[name] = entry_from(value, defects);
  });
  read_members(body, "reals", defects, [&](const std::string& name, const JsonView& value) {
    m.reals[name] = std::bit_cast<double>(value.at("bits").hex64());
  });
  read_members(body, "integers", defects,
               [&](const std::string& name, const JsonView& value) { m.integers[name] = value.integer(kMin); });
  read_members(body, "texts", defects,
               [&](const std::string& name, const JsonView& value) { m.texts[name] = value.text(); });
  read_members(body, "files", defects, [&](const std::string& name, const JsonView& value) {
    m.files[name] = file_from(name, value, defects);
  });
  defects.throw_if_any(path);
  return m;
}

void check_checksum(const Json& body, const Json& expected, const std::string& path) {
  const std::string found = json_checksum(body);
  if (expected == found) return;
  throw DataError(concat(path, ": the checksum is ", found, ", the file says ", expected.dump()));
}

void check_version(const JsonView& body, const std::string& path) {
  const int64_t version = body.at("version").integer();
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
  const Json whole = parse_whole(text, path);
  if (!whole.is_object() || !whole.contains("manifest") || !whole.contains("xxh3")) {
    throw DataError(path + ": not a checkpoint manifest: it has no 'manifest' with a checksum 'xxh3'");
  }
  const Json& body = whole["manifest"];
  if (!body.is_object()) throw DataError(path + ": not a checkpoint manifest: its body is no object");
  check_checksum(body, whole["xxh3"], path);
  const JsonView view(body, path);
  if (const JsonView format = view.at("format"); format.text() != kFormat) format.refuse(concat("'", kFormat, "'"));
  check_version(view, path);
  return read_body(view, path);
}

}  // namespace birkhoff
