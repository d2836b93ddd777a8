#include "parallel/mesh/mesh.h"

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

constexpr std::array<std::string_view, kNumAxes> kNames{"tp", "cp", "dp", "pp", "etp", "ep", "edp", "engram"};

int& at(std::array<int, kNumAxes>& values, Axis axis) { return values[static_cast<size_t>(axis)]; }
int at(const std::array<int, kNumAxes>& values, Axis axis) { return values[static_cast<size_t>(axis)]; }

std::string needs_table(const MeshDegrees& d, int world) {
  return concat("\n  axis    degree  needs", "\n  tp      ", d.tp, "       tp x cp x dp x pp = ranks (", world, ")",
                "\n  cp      ", d.cp, "\n  dp      ", d.dp, d.dp == 0 ? "       (0: what the others leave)" : "",
                "\n  pp      ", d.pp, "\n  etp     ", d.etp, "       etp x ep divides tp x cp x dp", "\n  ep      ",
                d.ep, "\n  engram  ", d.engram, "       divides tp x cp x dp");
}

// Ranks that differ along `axis` only have the same color.
struct Place {
  int color, key;
};
Place place_of(Axis axis, const std::array<int, kNumAxes>& c, const std::array<int, kNumAxes>& n) {
  const int tp = at(n, Axis::tp), cp = at(n, Axis::cp), dp = at(n, Axis::dp);
  const int stage_size = tp * cp * dp, stage = at(c, Axis::pp);
  const int within = at(c, Axis::tp) + tp * (at(c, Axis::cp) + cp * at(c, Axis::dp));
  // Within a stage: `stride` apart, `degree` of them.
  const auto strided = [&](int stride, int degree) {
    const int block = within / (stride * degree), offset = within % stride;
    return Place{(stage * stage_size + block) * stage_size + offset, within};
  };
  switch (axis) {
    case Axis::tp:
      return strided(1, tp);
    case Axis::cp:
      return strided(tp, cp);
    case Axis::dp:
      return strided(tp * cp, dp);
    case Axis::pp:
      return {within, stage};
    case Axis::etp:
      return strided(1, at(n, Axis::etp));
    case Axis::ep:
      return strided(at(n, Axis::etp), at(n, Axis::ep));
    case Axis::edp:
      return strided(at(n, Axis::etp) * at(n, Axis::ep), at(n, Axis::edp));
    case Axis::engram:
      return strided(1, at(n, Axis::engram));
  }
  return {0, 0};
}

}  // namespace

std::string_view name_of(Axis axis) { return kNames[static_cast<size_t>(axis)]; }

std::array<int, kNumAxes> resolve_degrees(MeshDegrees d, int world) {
  const std::string table = needs_table(d, world);
  for (const int degree : {d.tp, d.cp, d.pp, d.etp, d.ep, d.engram}) {
    BK_CHECK(degree >= 1, "a parallel degree must be at least 1:", table);
  }
  const int others = d.tp * d.cp * d.pp;
  if (d.dp == 0 && world % others == 0) d.dp = world / others;
  BK_CHECK(d.dp >= 1 && others * d.dp == world, "the parallel degrees do not fit ", world, " ranks:", table);
  const int stage = d.tp * d.cp * d.dp;
  BK_CHECK(stage % (d.etp * d.ep) == 0, "etp x ep does not divide the ", stage, " ranks of a stage:", table);
  BK_CHECK(stage % d.engram == 0, "engram does not divide the ", stage, " ranks of a stage:", table);
  return {d.tp, d.cp, d.dp, d.pp, d.etp, d.ep, stage / (d.etp * d.ep), d.engram};
}

std::array<int, kNumAxes> coordinates_of(int rank, const std::array<int, kNumAxes>& n) {
  std::array<int, kNumAxes> c{};
  int rest = rank;
  for (const Axis axis : {Axis::tp, Axis::cp, Axis::dp, Axis::pp}) {
    at(c, axis) = rest % at(n, axis);
    rest /= at(n, axis);
  }
  const int within = rank % (at(n, Axis::tp) * at(n, Axis::cp) * at(n, Axis::dp));
  at(c, Axis::etp) = within % at(n, Axis::etp);
  at(c, Axis::ep) = within / at(n, Axis::etp) % at(n, Axis::ep);
  at(c, Axis::edp) = within / at(n, Axis::etp) / at(n, Axis::ep);
  at(c, Axis::engram) = within % at(n, Axis::engram);
  return c;
}

Mesh::Mesh(Communicator& world, MeshDegrees degrees)
    : world_(&world),
      degrees_(resolve_degrees(degrees, world.size())),
      coordinates_(coordinates_of(world.rank(), degrees_)) {
  for (int a = 0; a < kNumAxes; ++a) {
    const auto axis = static_cast<Axis>(a);
    const Place place = place_of(axis, coordinates_, degrees_);
    groups_[static_cast<size_t>(a)] = world.split(place.color, place.key, std::string(name_of(axis)));
    BK_ASSERT(along(axis).size() == degree(axis) && along(axis).rank() == coordinate(axis), "axis ", name_of(axis));
  }
}

std::string Mesh::describe() const {
  std::string text;
  for (const Axis axis : {Axis::tp, Axis::cp, Axis::dp, Axis::pp, Axis::etp, Axis::ep, Axis::engram}) {
    if (degree(axis) > 1) text += concat(text.empty() ? "" : ".", name_of(axis), degree(axis));
  }
  return text.empty() ? "1" : text;
}

}  // namespace birkhoff
