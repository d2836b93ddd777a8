#include "parallel/mesh/mesh.h"

#include <map>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

int& at(std::array<int, kNumAxes>& values, Axis axis) { return values[static_cast<size_t>(axis)]; }
int at(const std::array<int, kNumAxes>& values, Axis axis) { return values[static_cast<size_t>(axis)]; }

std::string needs_table(const MeshDegrees& d, int world) {
  return concat("\n  axis    degree  needs", "\n  tp      ", d.tp, "       tp x cp x dp x pp = ranks (", world, ")",
                "\n  cp      ", d.cp, "\n  dp      ", d.dp, d.dp == 0 ? "       (0: what the others leave)" : "",
                "\n  pp      ", d.pp, "\n  etp     ", d.etp, "       etp x ep divides tp x cp x dp", "\n  ep      ",
                d.ep, "\n  engram  ", d.engram, "       divides tp x cp x dp");
}

using Coordinates = std::array<int, kNumAxes>;

int world_of(const Coordinates& degrees) {
  return at(degrees, Axis::tp) * at(degrees, Axis::cp) * at(degrees, Axis::dp) * at(degrees, Axis::pp);
}
int within_stage(const Coordinates& c, const Coordinates& degrees) {
  return at(c, Axis::tp) + at(degrees, Axis::tp) * (at(c, Axis::cp) + at(degrees, Axis::cp) * at(c, Axis::dp));
}

int ranks_of_ep_group(const Coordinates& degrees) { return at(degrees, Axis::ep) / at(degrees, Axis::ep_group); }

// A key that is the same for exactly those ranks that are in one group.
std::vector<int> key_of(Group group, const Coordinates& c, const Coordinates& degrees) {
  const int tp = at(c, Axis::tp), cp = at(c, Axis::cp), dp = at(c, Axis::dp), pp = at(c, Axis::pp);
  const int etp = at(c, Axis::etp), ep = at(c, Axis::ep), edp = at(c, Axis::edp);
  switch (group) {
    case Group::tp:
      return {cp, dp, pp};
    case Group::cp:
      return {tp, dp, pp};
    case Group::dp:
      return {tp, cp, pp};
    case Group::pp:
      return {tp, cp, dp};
    case Group::etp:
      return {ep, edp, pp};
    case Group::ep:
      return {etp, edp, pp};
    case Group::edp:
      return {etp, ep, pp};
    case Group::engram:  // neighbors of a stage hold the shards of one whole table
      return {within_stage(c, degrees) / at(degrees, Axis::engram), pp};
    case Group::batch:
      return {tp, pp};
    case Group::stage:
      return {pp};
    case Group::engram_holders:
      return {at(c, Axis::engram), pp};
    case Group::ep_across:
      return {ep % ranks_of_ep_group(degrees), etp, edp, pp};
    case Group::ep_within:
      return {at(c, Axis::ep_group), etp, edp, pp};
    case Group::ends:
      return {tp, cp, dp, pp + 1 == at(degrees, Axis::pp) ? 0 : pp};
    case Group::world:
      return {};
  }
  throw BugError("unknown group");
}

// The order in which groups give their name to the communicator that they share.
constexpr Group kNaming[] = {
    Group::tp,  Group::cp, Group::dp,  Group::pp,        Group::world,     Group::stage,  Group::batch,
    Group::etp, Group::ep, Group::edp, Group::ep_within, Group::ep_across, Group::engram, Group::engram_holders,
    Group::ends};
static_assert(std::size(kNaming) == kNumGroups);

// For each rank, the lowest rank of its group. Two groups have the same members on every rank if and only if these
// lists are equal.
std::vector<int> lowest_of_each(Group group, const Coordinates& degrees) {
  std::map<std::vector<int>, int> first;
  std::vector<int> lowest;
  for (int rank = 0; rank < world_of(degrees); ++rank) {
    lowest.push_back(first.emplace(key_of(group, coordinates_of(rank, degrees), degrees), rank).first->second);
  }
  return lowest;
}

constexpr Axis kShownAxes[] = {Axis::tp, Axis::cp, Axis::dp, Axis::pp, Axis::etp, Axis::ep, Axis::engram};

std::string describe_layout(const Coordinates& degrees, Dispatch dispatch) {
  std::string text;
  for (const Axis axis : kShownAxes) {
    if (at(degrees, axis) > 1) text += concat(text.empty() ? "" : ".", name_of(axis), at(degrees, axis));
  }
  if (dispatch == Dispatch::grouped) text += text.empty() ? "grouped" : ".grouped";
  return text.empty() ? "1" : text;
}

// "tp 1, dp 0"
std::string describe_coordinates(int rank, const Coordinates& degrees) {
  const Coordinates coordinates = coordinates_of(rank, degrees);
  std::string text;
  for (const Axis axis : kShownAxes) {
    if (at(degrees, axis) > 1) text += concat(text.empty() ? "" : ", ", name_of(axis), " ", at(coordinates, axis));
  }
  return text;
}

LayoutNames names_of(const Coordinates& degrees, Dispatch dispatch) {
  LayoutNames names{describe_layout(degrees, dispatch), {}};
  for (int rank = 0; rank < world_of(degrees); ++rank) names.coordinates.push_back(describe_coordinates(rank, degrees));
  return names;
}

}  // namespace

std::string_view name_of(Group group) {
  static constexpr std::array<std::string_view, kNumGroups> kGroups{
      "tp",        "cp",        "dp",   "pp",   "etp", "ep", "edp", "engram", "batch", "stage", "engram_holders",
      "ep_across", "ep_within", "ends", "world"};
  return kGroups[static_cast<size_t>(group)];
}

// Both enumerations begin with the axes, in the same order.
Group group_along(Axis axis) {
  BK_ASSERT(axis <= Axis::engram, name_of(axis), " is not an axis with a group of its own");
  return static_cast<Group>(axis);
}

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
  BK_ASSERT(d.ep_groups >= 1 && d.ep % d.ep_groups == 0, "ep ", d.ep, " has ", d.ep_groups, " groups of ranks");
  return {d.tp, d.cp, d.dp, d.pp, d.etp, d.ep, stage / (d.etp * d.ep), d.engram, d.ep_groups};
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
  at(c, Axis::ep_group) = at(c, Axis::ep) / ranks_of_ep_group(n);
  return c;
}

std::vector<int> members_of(Group group, int rank, const Coordinates& degrees) {
  const std::vector<int> key = key_of(group, coordinates_of(rank, degrees), degrees);
  std::vector<int> members;
  for (int other = 0; other < world_of(degrees); ++other) {
    if (key_of(group, coordinates_of(other, degrees), degrees) == key) members.push_back(other);
  }
  return members;
}

Mesh::Mesh(Communicator& world, MeshDegrees degrees)
    : place_{resolve_degrees(degrees, world.size()), {}}, dispatch_(degrees.dispatch) {
  place_.coordinates = coordinates_of(world.rank(), place_.degrees);
  make_groups(&world, [&world](Group group, const std::vector<int>& lowest) {
    const int color = lowest[static_cast<size_t>(world.rank())];
    return world.split(color, world.rank(), std::string(name_of(group)));
  });
}

Mesh::Mesh(int num_ranks, int rank, MeshDegrees degrees, const MakeGroup& make)
    : place_{resolve_degrees(degrees, num_ranks), {}}, dispatch_(degrees.dispatch) {
  place_.coordinates = coordinates_of(rank, place_.degrees);
  make_groups(nullptr, [&](Group group, const std::vector<int>&) {
    return make(std::string(name_of(group)), members_of(group, rank, place_.degrees));
  });
}

void Mesh::make_groups(Communicator* world, const Make& make) {
  std::map<std::vector<int>, Communicator*> made;
  for (const Group group : kNaming) {
    const std::vector<int> lowest = lowest_of_each(group, place_.degrees);
    Communicator*& shared = made[lowest];
    // Every rank computes the same lists, so all ranks make the groups in the same order.
    if (shared == nullptr && group == Group::world) shared = world;
    if (shared == nullptr) {
      owned_.push_back(make(group, lowest));
      shared = owned_.back().get();
    }
    groups_[static_cast<size_t>(group)] = shared;
  }
}

std::string Mesh::describe() const { return describe_layout(place_.degrees, dispatch_); }

LayoutNames Mesh::names() const { return names_of(place_.degrees, dispatch_); }

LayoutNames names_of_layout(MeshDegrees degrees, int world_size) {
  return names_of(resolve_degrees(degrees, world_size), degrees.dispatch);
}

std::string describe_rank(int rank, const Coordinates& degrees) {
  const std::string coordinates = describe_coordinates(rank, degrees);
  return concat("rank ", rank, coordinates.empty() ? "" : concat(" (", coordinates, ")"));
}

}  // namespace birkhoff
