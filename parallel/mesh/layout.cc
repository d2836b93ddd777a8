#include "parallel/mesh/layout.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>

#include "kernels/core/error.h"
#include "kernels/core/nearest.h"

namespace birkhoff {
namespace {

constexpr int kMostRanks = 1'000'000;  // along one axis

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  NamedLayout read() {
    for (std::string_view rest = text_; text_ != "1";) {
      const size_t dot = rest.find('.');
      read_axis(rest.substr(0, dot));
      if (dot == std::string_view::npos) break;
      rest = rest.substr(dot + 1);
    }
    BK_CHECK(problems_.empty(), "layout '", text_, "':", problems_);
    return layout_;
  }

 private:
  void read_axis(std::string_view part) {
    if (part == name_of(Dispatch::grouped)) return read_dispatch(part);
    const size_t digits = part.find_first_of("0123456789");
    const std::string_view name = part.substr(0, digits);
    const std::string_view number = digits == std::string_view::npos ? "" : part.substr(digits);
    const auto* axis = std::find_if(std::begin(kLayoutAxes), std::end(kLayoutAxes),
                                    [name](Axis known) { return name_of(known) == name; });
    if (axis == std::end(kLayoutAxes)) return unknown(part, name, number);
    if (std::any_of(named_.begin(), named_.end(), [axis](Axis earlier) { return earlier == *axis; }))
      problem(part, "names an axis a second time");
    named_.push_back(*axis);
    int degree = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), degree);
    const bool is_number = error == std::errc{} && end == number.data() + number.size();
    if (!is_number || degree < 1 || degree > kMostRanks)
      return problem(part, concat("needs a degree from 1 to ", kMostRanks));
    layout_.axes.push_back({*axis, degree});
  }

  void read_dispatch(std::string_view part) {
    if (layout_.names_dispatch) problem(part, "stands a second time");
    layout_.dispatch = Dispatch::grouped;
    layout_.names_dispatch = true;
  }

  void unknown(std::string_view part, std::string_view name, std::string_view number) {
    std::vector<std::string_view> names;
    for (const Axis axis : kLayoutAxes) names.push_back(name_of(axis));
    names.push_back(name_of(Dispatch::grouped));
    const std::string close = nearest(name, names);
    const std::string advice = close.empty() ? "" : concat("; did you mean ", close, number, "?");
    problem(part, concat("is not an axis with its degree", advice,
                         close.empty() ? "; the axes are tp, cp, dp, pp, etp, ep and engram, as in tp2.dp4" : ""));
  }
  void problem(std::string_view part, const std::string& what) { problems_ += concat("\n  '", part, "' ", what); }

  std::string_view text_;
  NamedLayout layout_;
  std::vector<Axis> named_;
  std::string problems_;
};

constexpr int MeshDegrees::*member_of(Axis axis) {
  switch (axis) {
    case Axis::tp:
      return &MeshDegrees::tp;
    case Axis::cp:
      return &MeshDegrees::cp;
    case Axis::dp:
      return &MeshDegrees::dp;
    case Axis::pp:
      return &MeshDegrees::pp;
    case Axis::etp:
      return &MeshDegrees::etp;
    case Axis::ep:
      return &MeshDegrees::ep;
    case Axis::engram:
      return &MeshDegrees::engram;
    case Axis::edp:
    case Axis::ep_group:
      break;
  }
  throw BugError(concat(name_of(axis), " follows from the other axes"));
}

}  // namespace

std::string_view name_of(Axis axis) {
  static constexpr std::array<std::string_view, kNumAxes> kNames{"tp", "cp",  "dp",     "pp",      "etp",
                                                                 "ep", "edp", "engram", "ep_group"};
  return kNames[static_cast<size_t>(axis)];
}

int& degree_of(MeshDegrees& degrees, Axis axis) { return degrees.*member_of(axis); }
int degree_of(const MeshDegrees& degrees, Axis axis) { return degrees.*member_of(axis); }

NamedLayout read_layout(std::string_view text) { return Reader(text).read(); }

MeshDegrees parse_layout(std::string_view text) {
  const NamedLayout layout = read_layout(text);
  MeshDegrees degrees;
  for (const AxisDegree& named : layout.axes) degree_of(degrees, named.axis) = named.degree;
  degrees.dispatch = layout.dispatch;
  BK_CHECK(degrees.dispatch == Dispatch::plain || degrees.ep > 1, "layout '", text,
           "': 'grouped' is a way to reach the experts of other ranks, but ep is 1; leave it out, or give ep a degree");
  return degrees;
}

std::string layout_name(const MeshDegrees& degrees) {
  std::string name;
  for (const Axis axis : kLayoutAxes) {
    const int degree = degree_of(degrees, axis);
    if (degree > 1) name += concat(name.empty() ? "" : ".", name_of(axis), degree);
  }
  if (degrees.dispatch == Dispatch::grouped) name += name.empty() ? "grouped" : ".grouped";
  return name.empty() ? "1" : name;
}

MeshDegrees with_least_dp(MeshDegrees d) {
  if (d.dp > 0) return d;
  const int64_t shared = int64_t{1} * d.tp * d.cp, experts = int64_t{1} * d.etp * d.ep;
  int64_t dp = experts / std::gcd(experts, shared);
  if (dp <= kMostRanks) dp *= d.engram / std::gcd(int64_t{d.engram}, shared * dp);
  BK_CHECK(dp <= kMostRanks, "layout ", layout_name(d), " needs more than ", kMostRanks, " replicas");
  d.dp = static_cast<int>(dp);
  return d;
}

}  // namespace birkhoff
