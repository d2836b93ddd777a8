#include "trainer/proof/whole.h"

#include <algorithm>
#include <bit>
#include <set>
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

// Sends the values to rank 0, which gets those of all ranks; the others get nothing. `counts` says how many each rank
// gives and is needed on rank 0 only.
template <class T>
std::vector<std::vector<T>> gather_on_first(Communicator& world, std::span<const T> own,
                                            const std::vector<int64_t>& counts) {
  std::vector<int64_t> in(static_cast<size_t>(world.size()), 0), out = in;
  out[0] = static_cast<int64_t>(own.size());
  if (world.rank() == 0) in = counts;
  const std::vector<T> all = all_to_all_v_on_host(world, in, own, out);
  std::vector<std::vector<T>> of_ranks;
  if (world.rank() != 0) return of_ranks;
  auto at = all.begin();
  for (const int64_t count : counts) {
    of_ranks.emplace_back(at, at + count);
    at += count;
  }
  return of_ranks;
}

// What rank 0 knows of the parts of a rank: by name, their slices.
using SlicesByName = std::map<std::string, Slice>;
std::vector<SlicesByName> gather_slices(Communicator& world, const std::map<std::string, HeldPart>& parts,
                                        std::set<std::string>& names) {
  std::string own_names;
  std::vector<int64_t> own;
  for (const auto& [name, part] : parts) {
    own_names += name + '\n';
    const std::vector<int64_t> numbers = described(part.slice);
    own.insert(own.end(), numbers.begin(), numbers.end());
  }
  const std::vector<int64_t> counts = all_gather_on_host(world, static_cast<int64_t>(own.size()));
  const std::vector<std::string> all_names = gather_texts(world, own_names);
  const auto numbers = gather_on_first(world, std::span<const int64_t>(own), counts);
  std::vector<SlicesByName> of_ranks(all_names.size());
  for (size_t rank = 0; rank < all_names.size(); ++rank) {
    SliceReader reader(numbers.empty() ? std::span<const int64_t>() : numbers[rank]);
    std::istringstream lines(all_names[rank]);
    for (std::string name; std::getline(lines, name);) {
      names.insert(name);
      if (world.rank() == 0) of_ranks[rank][name] = reader.next();
    }
  }
  return of_ranks;
}

// The parts of a rank by name. A rank may give several parts of a tensor, which become one.
std::map<std::string, HeldPart> by_name(std::vector<HeldPart> parts) {
  std::map<std::string, HeldPart> joined;
  for (HeldPart& part : parts) {
    const auto [place, added] = joined.try_emplace(part.name);
    HeldPart& to = place->second;
    if (added) {
      to = std::move(part);
      continue;
    }
    BK_ASSERT(to.slice.global == part.slice.global, part.name, " has two shapes on one rank");
    to.slice.boxes.insert(to.slice.boxes.end(), part.slice.boxes.begin(), part.slice.boxes.end());
    to.values.insert(to.values.end(), part.values.begin(), part.values.end());
  }
  return joined;
}

// One tensor while the parts arrive.
struct Growing {
  Shape shape;
  std::vector<double> values;
  std::vector<uint8_t> held;
  std::string fault;
};

void add_run(Growing& to, int rank, size_t at, std::span<const double> values) {
  for (const double value : values) {
    if (to.held[at] && !same_bits(to.values[at], value) && to.fault.empty()) {
      to.fault = concat("element ", at, " is ", to.values[at], " on one rank and ", value, " on rank ", rank);
    }
    to.held[at] = 1;
    to.values[at++] = value;
  }
}

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
    add_run(to, rank, static_cast<size_t>(first),
            values.subspan(static_cast<size_t>(local), static_cast<size_t>(count)));
  });
}

}  // namespace

Whole assemble(Communicator& world, std::vector<HeldPart> parts, Missing missing) {
  const std::map<std::string, HeldPart> own = by_name(std::move(parts));
  std::set<std::string> names;  // the same on all ranks
  const std::vector<SlicesByName> slices = gather_slices(world, own, names);
  Whole whole;
  for (const std::string& name : names) {
    std::vector<int64_t> counts;
    for (const SlicesByName& of_rank : slices) {
      const auto found = of_rank.find(name);
      counts.push_back(found == of_rank.end() ? 0 : found->second.count());
    }
    const auto mine = own.find(name);
    const std::span<const double> mine_or_none =
        mine == own.end() ? std::span<const double>() : std::span<const double>(mine->second.values);
    const auto values = gather_on_first(world, mine_or_none, counts);
    if (world.rank() != 0) continue;
    Growing tensor;
    for (size_t rank = 0; rank < slices.size(); ++rank) {
      const auto found = slices[rank].find(name);
      if (found != slices[rank].end()) add(tensor, static_cast<int>(rank), found->second, values[rank]);
    }
    const auto hole = std::find(tensor.held.begin(), tensor.held.end(), 0);
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
