#include "trainer/proof/whole.h"

#include <bit>
#include <sstream>

#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/host_values.h"

namespace birkhoff {
namespace {

bool same_bits(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }

// The numbers that describe a slice, and the reverse.
void append(std::vector<int64_t>& out, const Shape& shape) {
  for (int d = 0; d < shape.rank(); ++d) out.push_back(shape[d]);
}
std::vector<int64_t> described(const Slice& slice) {
  std::vector<int64_t> out{static_cast<int64_t>(slice.global.rank()), static_cast<int64_t>(slice.boxes.size())};
  append(out, slice.global);
  for (const Box& box : slice.boxes) {
    append(out, box.begin);
    append(out, box.extent);
  }
  return out;
}

class SliceReader {
 public:
  explicit SliceReader(std::span<const int64_t> numbers) : numbers_(numbers) {}
  Slice next() {
    const int64_t rank = number(), boxes = number();
    Slice slice{shape(rank), {}};
    for (int64_t b = 0; b < boxes; ++b) {
      const Shape begin = shape(rank);
      slice.boxes.push_back({begin, shape(rank)});
    }
    return slice;
  }

 private:
  int64_t number() {
    const int64_t first = numbers_.front();
    numbers_ = numbers_.subspan(1);
    return first;
  }
  Shape shape(int64_t rank) {
    Shape dims{};
    for (int64_t d = 0; d < rank; ++d) dims.append(number());
    return dims;
  }
  std::span<const int64_t> numbers_;
};

template <class T>
std::vector<std::vector<T>> gather(Communicator& world, const std::vector<T>& own) {
  const std::vector<int64_t> counts = all_gather_on_host(world, static_cast<int64_t>(own.size()));
  const std::vector<T> all = all_gather_v_on_host(world, std::span<const T>(own), counts);
  std::vector<std::vector<T>> of_ranks;
  auto at = all.begin();
  for (const int64_t count : counts) {
    of_ranks.emplace_back(at, at + count);
    at += count;
  }
  return of_ranks;
}

// One tensor while the parts arrive.
struct Growing {
  Shape shape;
  std::vector<double> values;
  std::vector<bool> held;
  std::string fault;
};

void add(Growing& to, int rank, const Slice& slice, std::span<const double> values) {
  if (to.held.empty()) {
    to.shape = slice.global;
    to.values.resize(static_cast<size_t>(slice.global.count()));
    to.held.resize(to.values.size());
  }
  if (to.shape != slice.global) {
    to.fault = concat("rank ", rank, " has the shape ", slice.global, ", others ", to.shape);
    return;
  }
  slice.for_each_run([&](int64_t first, int64_t local, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<size_t>(first + i);
      const double value = values[static_cast<size_t>(local + i)];
      if (to.held[at] && !same_bits(to.values[at], value) && to.fault.empty()) {
        to.fault = concat("element ", at, " is ", to.values[at], " on one rank and ", value, " on rank ", rank);
      }
      to.held[at] = true;
      to.values[at] = value;
    }
  });
}

}  // namespace

Whole assemble(Communicator& world, const std::vector<HeldPart>& parts, Missing missing) {
  std::string names;
  std::vector<int64_t> slices;
  std::vector<double> values;
  for (const HeldPart& part : parts) {
    names += part.name + '\n';
    const std::vector<int64_t> numbers = described(part.slice);
    slices.insert(slices.end(), numbers.begin(), numbers.end());
    values.insert(values.end(), part.values.begin(), part.values.end());
  }
  const std::vector<std::string> all_names = gather_texts(world, names);
  const auto all_slices = gather(world, slices);
  const auto all_values = gather(world, values);

  std::map<std::string, Growing> growing;
  for (size_t rank = 0; rank < all_names.size(); ++rank) {
    SliceReader reader(all_slices[rank]);
    std::span<const double> rest = all_values[rank];
    std::istringstream lines(all_names[rank]);
    for (std::string name; std::getline(lines, name);) {
      const Slice slice = reader.next();
      const auto count = static_cast<size_t>(slice.count());
      add(growing[name], static_cast<int>(rank), slice, rest.first(count));
      rest = rest.subspan(count);
    }
  }
  Whole whole;
  for (auto& [name, tensor] : growing) {
    const auto hole = std::find(tensor.held.begin(), tensor.held.end(), false);
    if (missing == Missing::fault && hole != tensor.held.end() && tensor.fault.empty()) {
      tensor.fault = concat("no rank holds element ", hole - tensor.held.begin());
    }
    if (!tensor.fault.empty()) whole.faults.push_back(name + ": " + tensor.fault);
    whole.tensors[name] = {tensor.shape, std::move(tensor.values)};
  }
  return whole;
}

void PartCollector::replicated(const std::string& name, Tensor local, const Slice& slice, const Communicator&) {
  shard(name, local, slice);
}
void PartCollector::shard(const std::string& name, Tensor local, const Slice& slice) {
  parts.push_back({name, slice, read_values(*stream_, local)});
}

std::vector<std::string> bitwise_differences(const Whole& a, const Whole& b) {
  std::vector<std::string> lines;
  for (const auto& [name, tensor] : a.tensors) {
    const auto found = b.tensors.find(name);
    if (found == b.tensors.end() || found->second.shape != tensor.shape) {
      lines.push_back(name + ": the other has no such tensor of this shape");
      continue;
    }
    const std::vector<double>&x = tensor.values, &y = found->second.values;
    const auto [at, other] = std::mismatch(x.begin(), x.end(), y.begin(), same_bits);
    if (at != x.end()) lines.push_back(concat(name, ", element ", at - x.begin(), ": ", *at, " against ", *other));
  }
  for (const auto& [name, tensor] : b.tensors) {
    if (!a.tensors.contains(name)) lines.push_back(name + ": only the other has it");
  }
  return lines;
}

}  // namespace birkhoff
