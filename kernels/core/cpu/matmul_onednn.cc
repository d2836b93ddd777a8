#include <cstring>
#include <map>
#include <unordered_map>

#include <oneapi/dnnl/dnnl.hpp>

#include "kernels/core/cpu/convert.h"
#include "kernels/core/cpu/matmul.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/core/error.h"

namespace birkhoff::cpu {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

// oneDNN chooses the packed layout for this number of rows. Products with any other number of rows accept it too.
constexpr int64_t kNominalRows = 128;

constexpr int64_t kGrain = 16384;

const dnnl::engine& engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& stream() {
  thread_local dnnl::stream stream(engine());
  return stream;
}

memory::data_type type_of(DType dtype) {
  BK_ASSERT(dtype == DType::f32 || dtype == DType::bf16, dtype);
  return dtype == DType::bf16 ? memory::data_type::bf16 : memory::data_type::f32;
}

// By default the scratchpad belongs to the primitive, and two threads that execute it at once silently corrupt each
// other's numbers. Our own scratchpad, one per thread, is passed in instead.
dnnl::primitive_attr attributes(bool accumulate = false) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (accumulate) {
    dnnl::post_ops ops;
    ops.append_sum(1.0f);
    attr.set_post_ops(ops);
  }
  return attr;
}

// Sets the number of threads for a scope. One kind of primitive divides its work by the number of threads at its
// creation and computes wrong results when run with fewer; another (below AVX-512) divides by the number at execution.
// So both numbers are always made equal.
class Threads {
 public:
  explicit Threads(int threads) : before_(num_threads()) { set_num_threads(threads); }
  ~Threads() { set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

enum class Bias : uint8_t { none, added };

dnnl::matmul::primitive_desc describe(const Matmul& s, const memory::desc& b, Bias with = Bias::none) {
  const memory::desc a({s.M, s.K}, type_of(s.in), Tag::ab), c({s.M, s.N}, type_of(s.out), Tag::ab);
  memory::desc bias;
  if (with == Bias::added) bias = memory::desc({1, s.N}, memory::data_type::f32, Tag::ab);
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), a, b, bias, c, attributes(s.accumulate)};
#else
  return {dnnl::matmul::desc(a, b, bias, c), attributes(s.accumulate), engine()};
#endif
}

// Whether oneDNN can multiply this dtype on this processor. If it has no bf16 products, operands are still rounded to
// bf16, but then widened and multiplied in f32.
bool native(DType dtype) {
  static const bool bf16 = [] {
    try {
      describe({kNominalRows, 64, 64, DType::bf16, DType::bf16},
               memory::desc({64, 64}, memory::data_type::bf16, Tag::any));
      return true;
    } catch (const dnnl::error&) {
      return false;
    }
  }();
  return dtype == DType::f32 || bf16;
}

memory::desc packed_desc(DType dtype, int64_t K, int64_t N) {
  struct Key {
    DType dtype;
    int64_t K, N;
    auto operator<=>(const Key&) const = default;
  };
  thread_local std::map<Key, memory::desc> known;
  const Key key{dtype, K, N};
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  const Threads one(1);
  const memory::desc any({K, N}, type_of(dtype), Tag::any);
  return known[key] = describe({kNominalRows, N, K, dtype, DType::f32}, any).weights_desc();
}

// A primitive with its memory objects, whose data pointers are set at each call. It belongs to one thread.
struct MatmulEntry {
  dnnl::matmul primitive;
  memory a, b, bias, c, scratchpad;
  int64_t scratchpad_bytes;

  explicit MatmulEntry(const dnnl::matmul::primitive_desc& d)
      : primitive(d),
        a(d.src_desc(), engine(), nullptr),
        b(d.weights_desc(), engine(), nullptr),
        bias(d.bias_desc(), engine(), nullptr),
        c(d.dst_desc(), engine(), nullptr),
        scratchpad(d.scratchpad_desc(), engine(), nullptr),
        scratchpad_bytes(static_cast<int64_t>(d.scratchpad_desc().get_size())) {}
};

MatmulEntry& entry_of(const Matmul& s, Bias bias) {
  thread_local std::map<std::pair<Matmul, Bias>, MatmulEntry> known;
  const std::pair key{s, bias};
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  const Threads one(1);
  return known.emplace(key, MatmulEntry(describe(s, packed_desc(s.in, s.K, s.N), bias))).first->second;
}

// A reorder is elementwise, so the number of threads does not change its result.
struct PackEntry {
  dnnl::reorder primitive;
  memory from, to, scratchpad;
  int64_t scratchpad_bytes;

  explicit PackEntry(const dnnl::reorder::primitive_desc& d)
      : primitive(d),
        from(d.src_desc(), engine(), nullptr),
        to(d.dst_desc(), engine(), nullptr),
        scratchpad(d.scratchpad_desc(), engine(), nullptr),
        scratchpad_bytes(static_cast<int64_t>(d.scratchpad_desc().get_size())) {}
};

PackEntry& entry_of(const Packing& p) {
  thread_local std::map<std::pair<Packing, int>, PackEntry> known;
  const std::pair key{p, num_threads()};
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  const memory::desc source({p.K, p.N}, type_of(p.from), p.transposed ? Tag::ba : Tag::ab);
  const memory::desc target = packed_desc(p.to, p.K, p.N);
  const Threads same(key.second);
  const dnnl::reorder::primitive_desc description(engine(), source, engine(), target, attributes());
  return known.emplace(key, PackEntry(description)).first->second;
}

// Multiplies bf16 operands on a processor without bf16 products.
void matmul_widened(Matmul s, MatmulOperands o) {
  Scratch<float> wide(s.M * s.K), sums(s.out == DType::bf16 ? s.M * s.N : 0);
  convert(wide.data(), static_cast<const bfloat16*>(o.a), s.M * s.K);
  bfloat16* narrow = s.out == DType::bf16 ? static_cast<bfloat16*>(o.c) : nullptr;
  s.in = s.out = DType::f32;
  o.a = wide.data();
  if (narrow) o.c = sums.data();
  matmul(s, o);
  if (narrow) convert(narrow, sums.data(), s.M * s.N);
}

void pack_widened(Packing p, void* packed, const void* source) {
  Scratch<float> wide(p.K * p.N);
  Scratch<bfloat16> rounded(p.from == DType::f32 ? p.K * p.N : 0);
  parallel_for(wide.size(), kGrain, [&](int64_t begin, int64_t end) {
    const bfloat16* narrow = static_cast<const bfloat16*>(source);
    if (p.from == DType::f32) {
      convert(rounded.data() + begin, static_cast<const float*>(source) + begin, end - begin);
      narrow = rounded.data();
    }
    convert(wide.data() + begin, narrow + begin, end - begin);
  });
  p.from = p.to = DType::f32;
  pack(p, packed, wide.data());
}

// Rounds first: oneDNN reorders bf16 to bf16 more than twice as fast as it reorders and rounds in one step.
void pack_rounded(Packing p, void* packed, const void* source) {
  Scratch<bfloat16> rounded(p.K * p.N);
  parallel_for(rounded.size(), kGrain, [&](int64_t begin, int64_t end) {
    convert(rounded.data() + begin, static_cast<const float*>(source) + begin, end - begin);
  });
  p.from = DType::bf16;
  pack(p, packed, rounded.data());
}

}  // namespace

void matmul(const Matmul& s, const MatmulOperands& o) {
  if (!native(s.in)) return matmul_widened(s, o);
  MatmulEntry& e = entry_of(s, o.bias ? Bias::added : Bias::none);
  Scratch<std::byte> scratchpad(e.scratchpad_bytes);
  e.a.set_data_handle(const_cast<void*>(o.a));
  e.b.set_data_handle(const_cast<void*>(o.packed_b));
  e.c.set_data_handle(o.c);
  e.scratchpad.set_data_handle(scratchpad.data());
  const Threads one(1);
  std::unordered_map<int, memory> operands{
      {DNNL_ARG_SRC, e.a}, {DNNL_ARG_WEIGHTS, e.b}, {DNNL_ARG_DST, e.c}, {DNNL_ARG_SCRATCHPAD, e.scratchpad}};
  if (o.bias) {
    e.bias.set_data_handle(const_cast<float*>(o.bias));
    operands.emplace(DNNL_ARG_BIAS, e.bias);
  }
  e.primitive.execute(stream(), operands);
}

size_t packed_bytes(DType to, int64_t K, int64_t N) {
  return packed_desc(native(to) ? to : DType::f32, K, N).get_size();
}

void pack(const Packing& p, void* packed, const void* source) {
  if (!native(p.to)) return pack_widened(p, packed, source);
  if (p.from != p.to) return pack_rounded(p, packed, source);
  PackEntry& e = entry_of(p);
  Scratch<std::byte> scratchpad(e.scratchpad_bytes);
  e.from.set_data_handle(const_cast<void*>(source));
  e.to.set_data_handle(packed);
  e.scratchpad.set_data_handle(scratchpad.data());
  e.primitive.execute(stream(), {{DNNL_ARG_FROM, e.from}, {DNNL_ARG_TO, e.to}, {DNNL_ARG_SCRATCHPAD, e.scratchpad}});
}

}  // namespace birkhoff::cpu
