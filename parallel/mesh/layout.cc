#include "parallel/mesh/layout.h"

#include <charconv>
#include <set>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

struct AxisDegree {
  std::string_view name;
  int MeshDegrees::*degree;
};
// In the order in which a layout is printed. edp follows from the others, so it cannot be given.
constexpr AxisDegree kAxes[] = {{"tp", &MeshDegrees::tp},        {"cp", &MeshDegrees::cp},   {"dp", &MeshDegrees::dp},
                                {"pp", &MeshDegrees::pp},        {"etp", &MeshDegrees::etp}, {"ep", &MeshDegrees::ep},
                                {"engram", &MeshDegrees::engram}};

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  MeshDegrees read() {
    for (std::string_view rest = text_; text_ != "1";) {
      const size_t dot = rest.find('.');
      read_axis(rest.substr(0, dot));
      if (dot == std::string_view::npos) break;
      rest = rest.substr(dot + 1);
    }
    BK_CHECK(problems_.empty(), "layout '", text_, "':", problems_);
    return degrees_;
  }

 private:
  void read_axis(std::string_view part) {
    const size_t digits = part.find_first_of("0123456789");
    const std::string_view name = part.substr(0, digits);
    const std::string_view number = digits == std::string_view::npos ? "" : part.substr(digits);
    const AxisDegree* axis = nullptr;
    for (const AxisDegree& known : kAxes) {
      if (known.name == name) axis = &known;
    }
    if (axis == nullptr) {
      problem(part, "is not an axis with its degree; the axes are tp, cp, dp, pp, etp, ep and engram, as in tp2.dp4");
      return;
    }
    if (!named_.insert(name).second) problem(part, "names an axis a second time");
    int degree = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), degree);
    const bool is_number = error == std::errc{} && end == number.data() + number.size();
    if (!is_number || degree < 1 || degree > 1'000'000) {
      problem(part, "needs a degree from 1 to 1000000");
      return;
    }
    degrees_.*axis->degree = degree;
  }
  void problem(std::string_view part, std::string_view what) { problems_ += concat("\n  '", part, "' ", what); }

  std::string_view text_;
  MeshDegrees degrees_;
  std::set<std::string_view> named_;
  std::string problems_;
};

}  // namespace

MeshDegrees parse_layout(std::string_view text) { return Reader(text).read(); }

std::string layout_name(const MeshDegrees& degrees) {
  std::string name;
  for (const AxisDegree& axis : kAxes) {
    if (const int degree = degrees.*axis.degree; degree > 1) name += concat(name.empty() ? "" : ".", axis.name, degree);
  }
  return name.empty() ? "1" : name;
}

}  // namespace birkhoff
