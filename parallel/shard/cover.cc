#include "parallel/shard/cover.h"

#include <algorithm>
#include <optional>

#include "kernels/core/error.h"
#include "kernels/core/hash.h"
#include "kernels/core/philox.h"

namespace birkhoff {
namespace {

constexpr uint64_t kPrime = (uint64_t{1} << 61) - 1;
uint64_t times(uint64_t a, uint64_t b) { return static_cast<uint64_t>(static_cast<unsigned __int128>(a) * b % kPrime); }

// Assigns a random weight to each index of each dim, and to each element the product of the weights of its indices. The
// weight of a box is then a product over the dims of a sum over its indices, and each such sum is the difference of two
// random numbers that belong to the ends of the box. If each element is covered once, the boxes together weigh as much
// as the tensor. Otherwise the difference of the two is a polynomial of degree 1 in each random number that is not the
// zero polynomial, so its value is zero only by chance.
class Weights {
 public:
  // The seed is computed from the boxes, so that nobody can choose boxes to fit the random numbers.
  Weights(const Shape& shape, const std::vector<Box>& boxes) : seed_(seed_of(shape, boxes)) {}

  uint64_t of(const Box& box) const {
    uint64_t product = 1;
    for (int d = 0; d < box.begin.rank(); ++d) {
      const uint64_t begin = at(d, box.begin[d]), end = at(d, box.begin[d] + box.extent[d]);
      product = times(product, end >= begin ? end - begin : end + kPrime - begin);
    }
    return product;
  }

 private:
  static uint64_t seed_of(const Shape& shape, const std::vector<Box>& boxes) {
    Hasher hasher;
    const auto add = [&](const Shape& s) {
      for (int d = 0; d < s.rank(); ++d) {
        const int64_t n = s[d];
        hasher.update(&n, sizeof n);
      }
    };
    add(shape);
    for (const Box& box : boxes) {
      add(box.begin);
      add(box.extent);
    }
    return hasher.digest();
  }
  uint64_t at(int dim, int64_t index) const {
    return Philox(seed_, static_cast<uint64_t>(dim)).below(static_cast<uint64_t>(index), kPrime);
  }

  uint64_t seed_;
};

bool covers(const Shape& shape, const std::vector<Box>& boxes) {
  const Weights weights(shape, boxes);
  uint64_t sum = 0;
  for (const Box& box : boxes) {
    if (box.count() > 0) sum = (sum + weights.of(box)) % kPrime;
  }
  return sum == (shape.count() > 0 ? weights.of(Slice::all(shape).boxes[0]) : 0);
}

// Searches, dim by dim, for an element that no box or more than one box holds.
class Search {
 public:
  explicit Search(const Shape& shape) : shape_(shape), element_(shape) {}

  // Describes what is wrong with one element; nullopt if the search gave up.
  std::optional<std::string> run(const std::vector<Box>& boxes) {
    Boxes filled;
    for (const Box& box : boxes) {
      if (box.count() > 0) filled.push_back(&box);
    }
    return in_dim(filled, 0);
  }

 private:
  using Boxes = std::vector<const Box*>;

  // Index 0 and the begins and ends of the boxes in one dim, ascending, each once.
  static std::vector<int64_t> borders(const Boxes& boxes, int dim) {
    std::vector<int64_t> all{0};
    for (const Box* b : boxes) {
      all.push_back(b->begin[dim]);
      all.push_back(b->begin[dim] + b->extent[dim]);
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  }

  // Searches boxes that all contain the indices of element_ in the dims before `dim`. Between two neighboring borders
  // the set of boxes is constant, so one index stands for the whole interval.
  std::optional<std::string> in_dim(const Boxes& boxes, int dim) {
    if (dim == shape_.rank()) {
      if (boxes.size() == 1) return std::nullopt;
      return concat("element ", element_, boxes.empty() ? " is missing" : " is there twice");
    }
    effort_ += boxes.size() + 1;
    if (effort_ > kMaxEffort) return std::nullopt;
    Boxes sorted = boxes, here;
    std::sort(sorted.begin(), sorted.end(), [&](auto* a, auto* b) { return a->begin[dim] < b->begin[dim]; });
    size_t next = 0;
    for (const int64_t at : borders(boxes, dim)) {
      if (at == shape_[dim]) break;
      std::erase_if(here, [&](const Box* b) { return b->begin[dim] + b->extent[dim] <= at; });
      while (next < sorted.size() && sorted[next]->begin[dim] == at) here.push_back(sorted[next++]);
      element_ = element_.with(dim, at);
      effort_ += here.size();
      if (effort_ > kMaxEffort) return std::nullopt;
      if (auto found = in_dim(here, dim + 1)) return found;
    }
    return std::nullopt;
  }

  static constexpr size_t kMaxEffort = 3'000'000;  // number of boxes visited: takes well below a second
  Shape shape_, element_;
  size_t effort_ = 0;
};

// The sum of the counts, limited to one more than the number of elements of the tensor, so that it cannot overflow.
int64_t count_of(const Shape& shape, const std::vector<Box>& boxes) {
  int64_t left = shape.count();
  for (const Box& box : boxes) {
    if (box.count() > left) return shape.count() == INT64_MAX ? INT64_MAX : shape.count() + 1;
    left -= box.count();
  }
  return shape.count() - left;
}

}  // namespace

std::string find_cover_defect(const Shape& shape, const std::vector<Box>& boxes) {
  if (covers(shape, boxes)) return {};
  const std::optional<std::string> element = Search(shape).run(boxes);
  const int64_t there = count_of(shape, boxes);
  if (there < shape.count()) {
    return concat(there, " of ", shape.count(), " elements are there", element ? "; " + *element : std::string());
  }
  return element.value_or("some elements are there twice");
}

}  // namespace birkhoff
