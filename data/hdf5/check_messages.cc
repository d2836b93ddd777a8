// Checks messages of object headers, in the versions that HDF5 1.10 and later write into files of format 1.10.
#include <algorithm>

#include "data/hdf5/metadata.h"
#include "kernels/core/error.h"

namespace birkhoff::h5 {
namespace {

enum DatatypeClass : uint64_t { kFixedPoint = 0, kFloatingPoint = 1, kString = 3, kVariableLength = 9 };

// Section IV.A.2.d, floating-point numbers.
void check_real(Fields& body, uint64_t sign, uint64_t bits) {
  const uint64_t offset = body.number(2), precision = body.number(2);
  const uint64_t exponent = body.number(1), exponent_bits = body.number(1);
  const uint64_t mantissa = body.number(1), mantissa_bits = body.number(1);
  body.number(4);  // the exponent's bias
  const bool within = precision > 0 && offset + precision <= bits && sign < bits && exponent_bits > 0 &&
                      exponent + exponent_bits <= bits && mantissa_bits > 0 && mantissa + mantissa_bits <= bits;
  body.expect(within, "the fields of a number lie outside it");
}

}  // namespace

// Section IV.A.2.b.
uint64_t check_dataspace(Fields body) {
  const uint64_t version = body.number(1), rank = body.number(1), flags = body.number(1), type = body.number(1);
  body.expect(version == 2 && rank <= 32 && flags <= 1 && type <= 2, "a dataspace has an unknown form");
  body.expect((type == 1) == (rank > 0), "a dataspace of dims that its type does not have");
  uint64_t elements = type == 2 ? 0 : 1;
  bool fits = true;
  for (uint64_t i = 0; i < rank; ++i) fits = !__builtin_mul_overflow(elements, body.number(8), &elements) && fits;
  for (uint64_t i = 0; i < rank && flags == 1; ++i) body.number(8);  // maximum dims
  body.expect_end();
  if (!fits || elements > static_cast<uint64_t>(INT64_MAX)) body.refuse("its extent does not fit 63 bits");
  return elements;
}

// Section IV.A.2.d.
uint64_t check_datatype(Fields body) {
  const uint64_t kind = body.number(1), bit_field = body.number(3), size = body.number(4), bits = size * 8;
  body.expect(kind >> 4 >= 1 && kind >> 4 <= 3 && size > 0, "a datatype has an unknown form");
  switch (kind & 15) {
    case kFixedPoint: {
      const uint64_t offset = body.number(2), precision = body.number(2);
      body.expect(size <= 16 && precision > 0 && offset + precision <= bits, "the bits of a number lie outside it");
      break;
    }
    case kFloatingPoint:
      body.expect(size <= 16, "a number of more than 16 bytes");
      check_real(body, bit_field >> 8 & 255, bits);
      break;
    case kString:
      break;
    case kVariableLength:
      body.refuse("its type is of variable length: it is not a string of fixed length");
    default:
      body.refuse(concat("its type, of HDF5's class ", kind & 15,
                         ", is none of f32, bf16, f64, i32, i64, u8, nor a string of fixed length"));
  }
  body.expect_end();
  return size;
}

// Section IV.A.2.m, version 3.
void check_attribute(Fields body) {
  const uint64_t version = body.number(1), flags = body.number(1), name_bytes = body.number(2);
  const uint64_t type_bytes = body.number(2), space_bytes = body.number(2), set = body.number(1);
  body.expect(version == 3 && flags == 0 && set <= 1, "an attribute has an unknown form");
  const std::string_view name = body.text(name_bytes);
  body.expect(name.find('\0') == name_bytes - 1 && name_bytes > 1, "the name of an attribute has another length");
  const std::string what = concat(body.what(), "@", name.substr(0, name_bytes - 1));
  const uint64_t element = check_datatype({body.text(type_bytes), what});
  const uint64_t count = check_dataspace({body.text(space_bytes), what});
  // An element has at least one byte, so the first comparison keeps the product from overflowing.
  body.expect(count <= body.remaining() && element * count == body.remaining(),
              "the value of an attribute has another length");
}

// Section IV.A.2.f, versions 2 and 3.
void check_fill_value(Fields body, uint64_t element_bytes) {
  const uint64_t version = body.number(1);
  body.expect(version == 2 || version == 3, "a fill value has an unknown form");
  bool defined = false;
  if (version == 2) {
    const uint64_t allocation = body.number(1), time = body.number(1), value = body.number(1);
    body.expect(allocation >= 1 && allocation <= 3 && time <= 2 && value <= 1, "a fill value has an unknown form");
    defined = value == 1;
  } else {
    const uint64_t flags = body.number(1);
    body.expect((flags & 3) != 0 && (flags >> 2 & 3) <= 2 && flags <= 0x2f, "a fill value has an unknown form");
    defined = (flags & 0x20) != 0;
  }
  if (defined) {
    const uint64_t size = body.number(4);
    body.expect(size == 0 || size == element_bytes, "a fill value has another length than an element");
    body.text(size);
  }
  body.expect_end();
}

// Section IV.A.2.g.
Link check_link(Fields body) {
  const uint64_t version = body.number(1), flags = body.number(1), kind = flags & 8 ? body.number(1) : 0;
  body.expect(version == 1 && flags < 32, "a link has an unknown form");
  if (flags & 4) body.number(8);  // creation order
  if (flags & 16) body.expect(body.number(1) <= 1, "a link's name has an unknown form");
  Link link{std::string(body.text(body.number(size_t{1} << (flags & 3)))), kUndefined};
  body.expect(!link.name.empty() && link.name.find('\0') == link.name.npos, "a link has no name");
  if (kind == 0) {
    link.address = body.number(8);
  } else {  // a soft or external link, which H5Group refuses to open; only its form is checked
    const std::string_view target = body.text(body.number(2));
    const auto ends = static_cast<size_t>(std::count(target.begin(), target.end(), '\0'));
    const bool right = kind == 1    ? !target.empty() && ends == 0
                       : kind == 64 ? target.size() > 4 && target[0] == 0 && ends == 3 && target.back() == 0
                                    : false;
    body.expect(right, "a link has an unknown form");
  }
  body.expect_end();
  return link;
}

}  // namespace birkhoff::h5
