#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>

namespace birkhoff {

// Up to five dims, row-major: the last dim is contiguous. Rank 0 is a scalar of one element.
class Shape {
 public:
  static constexpr int kMaxRank = 5;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  // The shape of an absent tensor, that is, of an optional argument that was not given. It differs from every shape
  // with zero elements.
  static Shape absent() {
    Shape s;
    s.rank_ = -1;
    return s;
  }
  bool is_absent() const { return rank_ < 0; }

  int rank() const { return rank_; }
  int64_t operator[](int dim) const { return dims_[static_cast<size_t>(dim)]; }
  // Size of the last dim; 1 for a scalar, 0 if absent.
  int64_t back() const { return rank_ <= 0 ? 1 + rank_ : dims_[static_cast<size_t>(rank_ - 1)]; }
  // Number of elements.
  int64_t count() const {
    int64_t n = rank_ < 0 ? 0 : 1;
    for (int i = 0; i < rank_; ++i) n *= dims_[static_cast<size_t>(i)];
    return n;
  }
  // The product of all dims but the last: the number of rows when the tensor is read as a matrix.
  int64_t rows() const {
    int64_t n = rank_ < 0 ? 0 : 1;
    for (int i = 0; i + 1 < rank_; ++i) n *= dims_[static_cast<size_t>(i)];
    return n;
  }
  void append(int64_t dim);
  // This shape with the size of one dim replaced.
  Shape with(int dim, int64_t size) const;
  bool operator==(const Shape& other) const;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape);

}  // namespace birkhoff
