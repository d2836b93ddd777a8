#include <cstring>
#include <map>

#include <oneapi/dnnl/dnnl.hpp>

#include "kernels/core/cpu/matmul.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/core/error.h"

namespace birkhoff::cpu {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

// Rows that the packed layout is chosen for. Any other number of rows accepts it too.
constexpr int64_t kNominalRows = 128;

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

// The default scratchpad belongs to the primitive: two threads that execute it at once corrupt each other's numbers
// without a sign. A scratchpad of the user is passed in, here one a thread.
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

// A primitive divides its work by the number of threads at its creation and is wrong when it runs with fewer, or, of
// another kind (below AVX-512), by that at its execution: all are made to agree.
class Threads {
 public:
  explicit Threads(int threads) : before_(num_threads()) { set_num_threads(threads); }
  ~Threads() { set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

dnnl::matmul::primitive_desc describe(const Matmul& s, const memory::desc& b) {
  const memory::desc a({s.M, s.K}, type_of(s.in), Tag::ab), c({s.M, s.N}, type_of(s.out), Tag::ab);
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), a, b, c, attributes(s.accumulate)};
#else
  return {dnnl::matmul::desc(a, b, c), attributes(s.accumulate), engine()};
#endif
}

// Whether the processor has products of bf16; if not, they are computed in f32 from rounded operands.
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

// A primitive with its memory objects, whose data pointers are set anew at each call. Belongs to one thread.
struct MatmulEntry {
  dnnl::matmul primitive;
  memory a, b, c, scratchpad;
  int64_t scratchpad_bytes;

  explicit MatmulEntry(const dnnl::matmul::primitive_desc& d)
      : primitive(d),
        a(d.src_desc(), engine(), nullptr),
        b(d.weights_desc(), engine(), nullptr),
        c(d.dst_desc(), engine(), nullptr),
        scratchpad(d.scratchpad_desc(), engine(), nullptr),
        scratchpad_bytes(static_cast<int64_t>(d.scratchpad_desc().get_size())) {}
};

MatmulEntry& entry_of(const Matmul& s) {
  thread_local std::map<Matmul, MatmulEntry> known;
  const auto found = known.find(s);
  if (found != known.end()) return found->second;
  const Threads one(1);
  return known.emplace(s, MatmulEntry(describe(s, packed_desc(s.in, s.K, s.N)))).first->second;
}

// A reorder is elementwise, so threads do not change its result.
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

float rounded(float value) { return bfloat16(value); }

// bf16 operands on a processor without products of bf16.
void matmul_widened(Matmul s, void* c, const void* a, const void* packed_b) {
  Scratch<float> wide(s.M * s.K), sums(s.out == DType::bf16 ? s.M * s.N : 0);
  std::copy_n(static_cast<const bfloat16*>(a), s.M * s.K, wide.data());
  const bool narrow = s.out == DType::bf16;
  s.in = s.out = DType::f32;
  matmul(s, narrow ? sums.data() : c, wide.data(), packed_b);
  for (int64_t i = 0; narrow && i < s.M * s.N; ++i) static_cast<bfloat16*>(c)[i] = bfloat16(sums[i]);
}

void pack_widened(Packing p, void* packed, const void* source) {
  Scratch<float> wide(p.K * p.N);
  parallel_for(wide.size(), 16384, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      wide[i] = p.from == DType::bf16 ? static_cast<const bfloat16*>(source)[i]
                                      : rounded(static_cast<const float*>(source)[i]);
    }
  });
  p.from = p.to = DType::f32;
  pack(p, packed, wide.data());
}

}  // namespace

void matmul(const Matmul& s, void* c, const void* a, const void* packed_b) {
  if (!native(s.in)) return matmul_widened(s, c, a, packed_b);
  MatmulEntry& e = entry_of(s);
  Scratch<std::byte> scratchpad(e.scratchpad_bytes);
  e.a.set_data_handle(const_cast<void*>(a));
  e.b.set_data_handle(const_cast<void*>(packed_b));
  e.c.set_data_handle(c);
  e.scratchpad.set_data_handle(scratchpad.data());
  const Threads one(1);
  e.primitive.execute(
      stream(),
      {{DNNL_ARG_SRC, e.a}, {DNNL_ARG_WEIGHTS, e.b}, {DNNL_ARG_DST, e.c}, {DNNL_ARG_SCRATCHPAD, e.scratchpad}});
}

size_t packed_bytes(DType to, int64_t K, int64_t N) {
  return packed_desc(native(to) ? to : DType::f32, K, N).get_size();
}

void pack(const Packing& p, void* packed, const void* source) {
  if (!native(p.to)) return pack_widened(p, packed, source);
  PackEntry& e = entry_of(p);
  Scratch<std::byte> scratchpad(e.scratchpad_bytes);
  e.from.set_data_handle(const_cast<void*>(source));
  e.to.set_data_handle(packed);
  e.scratchpad.set_data_handle(scratchpad.data());
  e.primitive.execute(stream(), {{DNNL_ARG_FROM, e.from}, {DNNL_ARG_TO, e.to}, {DNNL_ARG_SCRATCHPAD, e.scratchpad}});
}

}  // namespace birkhoff::cpu
