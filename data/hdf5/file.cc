#include "data/hdf5/file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include <hdf5.h>

#include "data/file/checked_size.h"
#include "data/hdf5/bulk_file.h"
#include "data/hdf5/check.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using Lock = std::scoped_lock<std::recursive_mutex>;

constexpr size_t kMaxTextBytes = size_t{64} << 10;  // largest attribute that HDF5 keeps in the object header

hid_t stored_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return H5T_IEEE_F32LE;
    case DType::bf16:
      return H5T_STD_U16LE;
    case DType::f64:
      return H5T_IEEE_F64LE;
    case DType::i32:
      return H5T_STD_I32LE;
    case DType::i64:
      return H5T_STD_I64LE;
    case DType::u8:
      return H5T_STD_U8LE;
  }
  throw BugError("no HDF5 type for this dtype");
}

DType dtype_of_stored(hid_t type, const std::string& what) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64, DType::i32, DType::i64, DType::u8})
    if (check_h5(H5Tequal(type, stored_type(dtype)), what) > 0) return dtype;
  throw DataError(concat(what, ": its type is none of f32, bf16, f64, i32, i64, u8"));
}

// Selects version 1.10 of the format, in which the superblock and the object headers carry checksums and which every
// later HDF5 can read. Disables file locks: files appear whole by rename, so they need none, and locks fail on some
// network file systems.
H5Handle access_properties(const std::string& path) {
  H5Handle properties(check_h5(H5Pcreate(H5P_FILE_ACCESS), path));
  check_h5(H5Pset_libver_bounds(properties.id(), H5F_LIBVER_V110, H5F_LIBVER_V110), path);
  check_h5(H5Pset_fclose_degree(properties.id(), H5F_CLOSE_STRONG), path);
  check_h5(H5Pset_file_locking(properties.id(), false, true), path);
  return properties;
}

H5Handle space_of(const Shape& shape, const std::string& what) {
  if (shape.rank() == 0) return H5Handle(check_h5(H5Screate(H5S_SCALAR), what));
  std::array<hsize_t, Shape::kMaxRank> dims{};
  for (int i = 0; i < shape.rank(); ++i) dims[static_cast<size_t>(i)] = static_cast<hsize_t>(shape[i]);
  return H5Handle(check_h5(H5Screate_simple(shape.rank(), dims.data(), nullptr), what));
}

Shape shape_of(hid_t space, const std::string& what) {
  const auto rank = check_h5(H5Sget_simple_extent_ndims(space), what);
  if (rank > Shape::kMaxRank) throw DataError(concat(what, ": it has ", rank, " dims, at most 5 are supported"));
  std::array<hsize_t, Shape::kMaxRank> dims{};
  check_h5(H5Sget_simple_extent_dims(space, dims.data(), nullptr), what);
  Shape shape{};
  for (size_t i = 0; i < static_cast<size_t>(rank); ++i) {
    if (dims[i] > static_cast<hsize_t>(std::numeric_limits<int64_t>::max()))
      throw DataError(concat(what, ": a dim of ", dims[i], " does not fit 63 bits"));
    shape.append(static_cast<int64_t>(dims[i]));
  }
  return shape;
}

H5Handle text_type(size_t bytes, const std::string& what) {
  H5Handle type(check_h5(H5Tcopy(H5T_C_S1), what));
  check_h5(H5Tset_size(type.id(), std::max<size_t>(bytes, 1)), what);
  check_h5(H5Tset_cset(type.id(), H5T_CSET_UTF8), what);
  check_h5(H5Tset_strpad(type.id(), H5T_STR_NULLPAD), what);
  return type;
}

void write_attribute(hid_t object, const std::string& name, hid_t type, const void* value, const std::string& what) {
  const H5Handle space(check_h5(H5Screate(H5S_SCALAR), what));
  // HDF5 cannot replace an attribute, so an old one is deleted first.
  if (check_h5(H5Aexists(object, name.c_str()), what) > 0) check_h5(H5Adelete(object, name.c_str()), what);
  const H5Handle attribute(
      check_h5(H5Acreate2(object, name.c_str(), type, space.id(), H5P_DEFAULT, H5P_DEFAULT), what));
  check_h5(H5Awrite(attribute.id(), type, value), what);
}

H5Handle open_attribute(hid_t object, const std::string& name, const std::string& what) {
  if (check_h5(H5Aexists(object, name.c_str()), what) == 0) throw DataError(what + " is missing");
  return H5Handle(check_h5(H5Aopen(object, name.c_str(), H5P_DEFAULT), what));
}

void check_single(const H5Handle& attribute, const std::string& what) {
  const H5Handle space(check_h5(H5Aget_space(attribute.id()), what));
  if (H5Sget_simple_extent_npoints(space.id()) != 1) throw DataError(what + " is not a single value");
}

// Reads a scalar attribute that must have exactly this type, because a conversion by HDF5 would clip a number that does
// not fit.
void read_number(hid_t object, const std::string& name, hid_t type, void* value, const std::string& what) {
  const H5Handle attribute = open_attribute(object, name, what);
  const H5Handle stored(check_h5(H5Aget_type(attribute.id()), what));
  if (check_h5(H5Tequal(stored.id(), type), what) <= 0)
    throw DataError(concat(what, " has the wrong type, expected a ",
                           H5Tget_class(type) == H5T_INTEGER ? "64-bit signed integer" : "64-bit float",
                           ", little-endian"));
  check_single(attribute, what);
  check_h5(H5Aread(attribute.id(), type, value), what);
}

// Only hard links are accepted. Soft and external links lead to names or files that the author of this file chose,
// possibly outside it.
void check_hard_link(hid_t group, const std::string& name, const std::string& what) {
  if (check_h5(H5Lexists(group, name.c_str(), H5P_DEFAULT), what) <= 0) throw DataError(what + " is missing");
  H5L_info_t link{};
  check_h5(H5Lget_info(group, name.c_str(), &link, H5P_DEFAULT), what);
  if (link.type == H5L_TYPE_HARD) return;
  const char* kind = link.type == H5L_TYPE_EXTERNAL ? "an external"
                     : link.type == H5L_TYPE_SOFT   ? "a soft"
                                                    : "a user-defined";
  throw DataError(concat(what, " is ", kind, " link, expected an object of this file itself"));
}

// Throws unless the declared extent lies within the file. Called before a caller allocates memory for it.
void check_extent(hid_t set, const H5Dataset& dataset, const std::string& what) {
  const auto bytes = checked_bytes(dataset.dtype, dataset.shape);
  if (!bytes) throw DataError(concat(what, ": its extent ", dataset.shape, " does not fit 63 bits"));
  const H5Handle file(check_h5(H5Iget_file_id(set), what));
  hsize_t size = 0;
  check_h5(H5Fget_filesize(file.id(), &size), what);
  const auto end = static_cast<int64_t>(std::min<hsize_t>(size, std::numeric_limits<int64_t>::max()));
  if (dataset.offset >= 0 && *bytes <= end && dataset.offset <= end - *bytes) return;
  throw DataError(concat(what, ": its ", *bytes, " bytes at byte ", dataset.offset, " lie outside the ", end,
                         " bytes of the file"));
}

herr_t collect_name(hid_t, const char* name, const H5L_info_t*, void* names) {
  static_cast<std::vector<std::string>*>(names)->push_back(name);
  return 0;
}

// Creation properties for a file, group or dataset without time stamps, so that equal content gives equal files.
H5Handle timeless(hid_t property_class, const std::string& what) {
  H5Handle properties(check_h5(H5Pcreate(property_class), what));
  check_h5(H5Pset_obj_track_times(properties.id(), false), what);
  return properties;
}

}  // namespace

H5File H5File::create(const std::filesystem::path& path) {
  BulkFile::create(path);  // refuses a symbolic link, which HDF5 would follow
  const Lock lock(hdf5_mutex());
  silence_h5();
  const std::string what = path.string() + ": cannot create";
  const H5Handle access = access_properties(what);
  return create_at(path, access, path);
}

// HDF5's default driver opens a symbolic link, such as the path of a descriptor in /proc, only if the link leads to a
// name; an anonymous file has none. The stdio driver opens it and produces the same bytes.
H5File H5File::create(const MemoryFile& memory) {
  const Lock lock(hdf5_mutex());
  silence_h5();
  const std::string what = "a file in memory";
  const H5Handle access = access_properties(what);
  check_h5(H5Pset_fapl_stdio(access.id()), what);
  return create_at(memory.descriptor_path(), access, what);
}

H5File H5File::create_at(const std::filesystem::path& opened, const H5Handle& access, std::filesystem::path path) {
  const std::string what = path.string() + ": cannot create";
  const H5Handle creation = timeless(H5P_FILE_CREATE, what);
  errno = 0;
  const hid_t file = H5Fcreate(opened.c_str(), H5F_ACC_TRUNC, creation.id(), access.id());
  if (file < 0 && (errno == EMFILE || errno == ENFILE)) {  // HDF5's own message says only that it cannot open
    throw IoError(concat(what, ": ", std::strerror(errno), "; raise the limit of open files (ulimit -n)"), errno);
  }
  return {H5Handle(check_h5(file, what)), std::move(path)};
}

H5File H5File::open(const std::filesystem::path& path) {
  check_h5_size(path);
  check_h5_headers(path);
  const Lock lock(hdf5_mutex());
  silence_h5();
  const std::string what = path.string() + ": damaged";
  const H5Handle access = access_properties(what);
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.id());
  if (file < 0) check_h5_size(path);  // if the file was removed or truncated meanwhile, say that instead of "damaged"
  return {H5Handle(check_h5(file, what)), path};
}

H5Group H5File::root() const {
  const Lock lock(hdf5_mutex());
  const std::string what = path_.string();
  return {H5Handle(check_h5(H5Gopen2(handle_.id(), "/", H5P_DEFAULT), what)), what};
}

void H5File::close() {
  const Lock lock(hdf5_mutex());
  const H5Handle closing = std::move(handle_);
  check_h5(H5Fflush(closing.id(), H5F_SCOPE_LOCAL), path_.string() + ": cannot write metadata");
}

H5Group H5Group::create_group(const std::string& name) const {
  const Lock lock(hdf5_mutex());
  const std::string what = path_ + "/" + name;
  const H5Handle creation = timeless(H5P_GROUP_CREATE, what);
  return {H5Handle(check_h5(H5Gcreate2(handle_.id(), name.c_str(), H5P_DEFAULT, creation.id(), H5P_DEFAULT), what)),
          what};
}

H5Group H5Group::group(const std::string& name) const {
  const Lock lock(hdf5_mutex());
  const std::string what = path_ + "/" + name;
  check_hard_link(handle_.id(), name, what);
  return {H5Handle(check_h5(H5Gopen2(handle_.id(), name.c_str(), H5P_DEFAULT), what)), what};
}

H5Dataset H5Group::create_dataset(const std::string& name, DType dtype, const Shape& shape) const {
  const Lock lock(hdf5_mutex());
  const std::string what = path_ + "/" + name;
  const H5Handle space = space_of(shape, what), properties = timeless(H5P_DATASET_CREATE, what);
  check_h5(H5Pset_layout(properties.id(), H5D_CONTIGUOUS), what);
  // The bytes must have an address at once, and writing fill values would be wasted: BulkFile writes every element.
  check_h5(H5Pset_alloc_time(properties.id(), H5D_ALLOC_TIME_EARLY), what);
  check_h5(H5Pset_fill_time(properties.id(), H5D_FILL_TIME_NEVER), what);
  const H5Handle set(check_h5(
      H5Dcreate2(handle_.id(), name.c_str(), stored_type(dtype), space.id(), H5P_DEFAULT, properties.id(), H5P_DEFAULT),
      what));
  if (dtype == DType::bf16) {
    const H5Handle type = text_type(4, what);
    write_attribute(set.id(), "dtype", type.id(), "bf16", what);
  }
  return dataset(name);
}

H5Dataset H5Group::dataset(const std::string& name) const {
  const Lock lock(hdf5_mutex());
  const std::string what = path_ + "/" + name;
  check_hard_link(handle_.id(), name, what);
  const H5Handle set(check_h5(H5Dopen2(handle_.id(), name.c_str(), H5P_DEFAULT), what));
  const H5Handle properties(check_h5(H5Dget_create_plist(set.id()), what));
  if (H5Pget_layout(properties.id()) != H5D_CONTIGUOUS) throw DataError(what + ": its layout is not contiguous");
  if (check_h5(H5Pget_external_count(properties.id()), what) > 0)
    throw DataError(what + ": its bytes lie in another file, expected them in this one");
  const H5Handle type(check_h5(H5Dget_type(set.id()), what)), space(check_h5(H5Dget_space(set.id()), what));
  H5Dataset result{name, dtype_of_stored(type.id(), what), shape_of(space.id(), what), 0};
  const haddr_t offset = H5Dget_offset(set.id());
  // The dataset has no bytes in the file, which is right only if it has no elements.
  if (offset == HADDR_UNDEF) {
    H5Eclear2(H5E_DEFAULT);
    if (checked_bytes(result.dtype, result.shape) != 0) throw DataError(what + ": its bytes were never allocated");
  } else {
    result.offset = static_cast<int64_t>(offset);
  }
  check_extent(set.id(), result, what);
  return result;
}

bool H5Group::has(const std::string& name) const {
  const Lock lock(hdf5_mutex());
  return check_h5(H5Lexists(handle_.id(), name.c_str(), H5P_DEFAULT), path_ + "/" + name) > 0;
}

std::vector<std::string> H5Group::names() const {
  const Lock lock(hdf5_mutex());
  std::vector<std::string> names;
  check_h5(H5Literate(handle_.id(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, collect_name, &names), path_);
  std::sort(names.begin(), names.end());
  return names;
}

void H5Group::set(const std::string& attribute, int64_t value) const {
  const Lock lock(hdf5_mutex());
  write_attribute(handle_.id(), attribute, H5T_STD_I64LE, &value, path_ + "@" + attribute);
}

void H5Group::set(const std::string& attribute, double value) const {
  const Lock lock(hdf5_mutex());
  write_attribute(handle_.id(), attribute, H5T_IEEE_F64LE, &value, path_ + "@" + attribute);
}

void H5Group::set(const std::string& attribute, const std::string& value) const {
  const Lock lock(hdf5_mutex());
  const std::string what = path_ + "@" + attribute;
  const H5Handle type = text_type(value.size(), what);
  write_attribute(handle_.id(), attribute, type.id(), value.c_str(), what);
}

bool H5Group::has_attribute(const std::string& attribute) const {
  const Lock lock(hdf5_mutex());
  return check_h5(H5Aexists(handle_.id(), attribute.c_str()), path_ + "@" + attribute) > 0;
}

int64_t H5Group::integer(const std::string& attribute) const {
  const Lock lock(hdf5_mutex());
  int64_t value = 0;
  read_number(handle_.id(), attribute, H5T_STD_I64LE, &value, path_ + "@" + attribute);
  return value;
}

double H5Group::real(const std::string& attribute) const {
  const Lock lock(hdf5_mutex());
  double value = 0;
  read_number(handle_.id(), attribute, H5T_IEEE_F64LE, &value, path_ + "@" + attribute);
  return value;
}

std::string H5Group::text(const std::string& attribute) const {
  const Lock lock(hdf5_mutex());
  const std::string what = path_ + "@" + attribute;
  const H5Handle opened = open_attribute(handle_.id(), attribute, what);
  const H5Handle stored(check_h5(H5Aget_type(opened.id()), what));
  if (H5Tget_class(stored.id()) != H5T_STRING || H5Tis_variable_str(stored.id()) != 0)
    throw DataError(what + " is not a string of fixed length");
  check_single(opened, what);
  const size_t bytes = H5Tget_size(stored.id());
  if (bytes == 0 || bytes > kMaxTextBytes)
    throw DataError(concat(what, " is a string of ", bytes, " bytes, expected 1 to ", kMaxTextBytes));
  std::string value(bytes, '\0');
  const H5Handle type = text_type(bytes, what);
  check_h5(H5Aread(opened.id(), type.id(), value.data()), what);
  value.resize(value.find_last_not_of('\0') + 1);
  return value;
}

}  // namespace birkhoff
