#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <ostream>
#include <sstream>

#include "kernels/core/bfloat16.h"
#include "trainer/checkpoint/commands.h"
#include "trainer/checkpoint/directory.h"
#include "trainer/checkpoint/elements.h"
#include "trainer/checkpoint/reader.h"

namespace birkhoff {
namespace {

namespace fs = std::filesystem;
constexpr int64_t kBlock = int64_t{1} << 20;

template <class T>
double value_at(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return static_cast<double>(value);
}

double element(DType dtype, const char* bytes) {
  switch (dtype) {
    case DType::f32:
      return value_at<float>(bytes);
    case DType::bf16:
      return value_at<bfloat16>(bytes);
    case DType::f64:
      return value_at<double>(bytes);
    case DType::i32:
      return value_at<int32_t>(bytes);
    case DType::i64:
      return value_at<int64_t>(bytes);
    case DType::u8:
      return value_at<uint8_t>(bytes);
  }
  return 0;
}

struct Distance {
  int64_t elements = 0;
  double absolute = 0, relative = 0;

  // Adds two elements whose bits differ. A NaN counts as infinitely far from a number and from a NaN with other bits.
  void add(double a, double b) {
    constexpr double kFar = std::numeric_limits<double>::infinity();
    const double far = std::abs(a - b), scale = std::max(std::abs(a), std::abs(b));
    elements += 1;
    absolute = std::max(absolute, std::isnan(far) ? kFar : far);
    relative = std::max(relative, std::isnan(far) || std::isinf(far) ? kFar : scale > 0 ? far / scale : 0);
  }
};

class Diff {
 public:
  Diff(const fs::path& a, const fs::path& b, std::ostream& out)
      : a_{a, open_checkpoint(a), OpenFiles(a)}, b_{b, open_checkpoint(b), OpenFiles(b)}, out_(out) {}

  Difference run() {
    if (a_.manifest.step != b_.manifest.step) print_change("step", a_.manifest.step, b_.manifest.step);
    values(&Manifest::integers);
    values(&Manifest::reals);
    values(&Manifest::texts);
    tensors();
    attachments();
    return found_;
  }

 private:
  struct Side {
    fs::path path;
    Manifest manifest;
    OpenFiles files;
  };

  std::ostream& line() {
    found_ = Difference::some;
    return out_;
  }
  template <class T>
  void print_change(const std::string& name, const T& a, const T& b) {
    line() << name << ": " << a << " -> " << b << '\n';
  }
  void print_change(const std::string& name, const std::string& a, const std::string& b) {
    line() << name << ": ";
    if (a.size() + b.size() <= 200) {
      out_ << '\'' << a << "' -> '" << b << "'\n";
    } else {
      out_ << a.size() << " and " << b.size() << " bytes differ\n";
    }
  }

  // Calls both(name, a, b) for each name that both sides have, and prints the names that only one side has.
  template <class Map, class Both>
  void match(const Map& a, const Map& b, Both both) {
    for (const auto& [name, value] : a) {
      const auto other = b.find(name);
      if (other == b.end()) {
        line() << name << ": only in " << a_.path.string() << '\n';
      } else {
        both(name, value, other->second);
      }
    }
    for (const auto& [name, value] : b) {
      if (!a.contains(name)) line() << name << ": only in " << b_.path.string() << '\n';
    }
  }

  template <class T>
  void values(std::map<std::string, T> Manifest::*field) {
    match(a_.manifest.*field, b_.manifest.*field, [&](const std::string& name, const T& a, const T& b) {
      // `a != a` holds only for NaN. Two NaNs count as equal, whatever their bits.
      if (a != b && !(a != a && b != b)) print_change(name, a, b);
    });
  }

  void tensors() {
    match(a_.manifest.tensors, b_.manifest.tensors,
          [&](const std::string& name, const Manifest::Entry& a, const Manifest::Entry& b) {
            if (a.dtype != b.dtype || !(a.shape == b.shape)) {
              line() << name << ": " << a.dtype << a.shape << " -> " << b.dtype << b.shape << '\n';
              return;
            }
            const Distance d = distance(a, b);
            if (d.elements == 0) return;
            line() << name << ": " << d.elements << " of " << a.shape.count() << " elements differ, by at most "
                   << d.absolute << ", relatively " << d.relative << '\n';
          });
  }

  Distance distance(const Manifest::Entry& a, const Manifest::Entry& b) {
    const size_t size = size_of(a.dtype);
    const int64_t total = a.shape.count();
    const Slice whole = Slice::all(a.shape);
    std::vector<char> x(static_cast<size_t>(std::min(total, kBlock)) * size), y(x.size());
    Distance d;
    for (int64_t begin = 0; begin < total; begin += kBlock) {
      const int64_t count = std::min(kBlock, total - begin);
      read_elements(a_.files, a, whole.part(begin, count), x.data());
      read_elements(b_.files, b, whole.part(begin, count), y.data());
      for (size_t at = 0; at < static_cast<size_t>(count) * size; at += size) {
        if (std::memcmp(&x[at], &y[at], size) != 0) d.add(element(a.dtype, &x[at]), element(a.dtype, &y[at]));
      }
    }
    return d;
  }

  void attachments() {
    using Files = std::map<std::string, Manifest::File>;
    auto attached = [](const Manifest& m) {
      Files files;
      for (const auto& [name, file] : m.files) {
        if (!file.xxh3.empty()) files[name] = file;
      }
      return files;
    };
    match(attached(a_.manifest), attached(b_.manifest),
          [&](const std::string& name, const Manifest::File& a, const Manifest::File& b) {
            if (a.xxh3 == b.xxh3) return;
            line() << name << " differs:\n";
            if (a.bytes + b.bytes < (1 << 20)) lines(name);
          });
  }

  // Prints the lines that are not in the longest common subsequence of the two files, in order, like `diff`.
  void lines(const std::string& name) {
    const std::vector<std::string> a = split(read_attachment(a_.path, name)), b = split(read_attachment(b_.path, name));
    // The table below takes 4 bytes a cell: at most 16 MB.
    if (a.size() * b.size() > 4'000'000) return;
    std::vector<std::vector<int32_t>> common(a.size() + 1, std::vector<int32_t>(b.size() + 1));
    for (size_t i = a.size(); i-- > 0;) {
      for (size_t j = b.size(); j-- > 0;) {
        common[i][j] = a[i] == b[j] ? common[i + 1][j + 1] + 1 : std::max(common[i + 1][j], common[i][j + 1]);
      }
    }
    for (size_t i = 0, j = 0; i < a.size() || j < b.size();) {
      if (i < a.size() && j < b.size() && a[i] == b[j]) {
        ++i, ++j;
      } else if (j == b.size() || (i < a.size() && common[i + 1][j] >= common[i][j + 1])) {
        out_ << "  - " << a[i++] << '\n';
      } else {
        out_ << "  + " << b[j++] << '\n';
      }
    }
  }

  static std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  Side a_, b_;
  std::ostream& out_;
  Difference found_ = Difference::none;
};

}  // namespace

Difference diff_checkpoints(const fs::path& a, const fs::path& b, std::ostream& out) { return Diff(a, b, out).run(); }

}  // namespace birkhoff
