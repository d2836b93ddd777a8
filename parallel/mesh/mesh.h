#pragma once
#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/enum_names.h"
#include "parallel/comm/communicator.h"
#include "parallel/comm/layout_names.h"

namespace birkhoff {

// The axes along which the ranks are divided. world = tp x cp x dp x pp. Experts fold over the tp x cp x dp ranks of a
// pipeline stage: that product equals etp x ep x edp, where edp is derived. Engram tables fold over the same product,
// which `engram` must divide. `ep_group` numbers runs of neighboring ranks of ep, for the grouped dispatch.
enum class Axis : uint8_t { tp, cp, dp, pp, etp, ep, edp, engram, ep_group };
inline constexpr int kNumAxes = 9;
std::string_view name_of(Axis axis);

// The groups of ranks that a run needs, named by their purpose. Each holds this rank and all ranks that differ from it
// only along the given axes.
enum class Group : uint8_t {
  tp,
  cp,
  dp,
  pp,
  etp,
  ep,
  edp,             // gradients of experts
  engram,          // the ranks that together hold one table (tables are divided over `stage` so far)
  batch,           // dp x cp: data, the normalizer of the loss, gradients of parameters that tp divides
  stage,           // tp x cp x dp: gradients of parameters that every rank holds, loads of experts, rows of tables
  engram_holders,  // the ranks of a stage that hold the same shard of a table
  ep_across,       // the ranks of ep at one place of their group of ranks, one in each (dispatch in two steps)
  ep_within,       // the ranks of one such group
  ends,            // the first and the last stage of a pipeline, which both hold the embedding; else this rank alone
  world,           // all: agreement, the decision to stop, checkpoints
};
inline constexpr int kNumGroups = 15;
std::string_view name_of(Group group);
// The ranks along an axis. BugError for ep_group.
Group group_along(Axis axis);

// How tokens reach the ranks of their experts: a copy for each expert, or one for each group of ranks.
enum class Dispatch : uint8_t { plain, grouped };
inline EnumNames names_of(Dispatch) {
  static constexpr std::string_view names[] = {"plain", "grouped"};
  return names;
}

struct MeshDegrees {
  int tp = 1, cp = 1, pp = 1, etp = 1, ep = 1, engram = 1;
  int dp = 0;  // 0: computed from the number of ranks and the other degrees
  Dispatch dispatch = Dispatch::plain;
  int ep_groups = 1;  // runs of neighboring ranks of ep, of equal length
};

// A rank's coordinate along every axis, and the number of ranks along it.
struct Place {
  std::array<int, kNumAxes> degrees{}, coordinates{};

  int degree(Axis axis) const { return degrees[static_cast<size_t>(axis)]; }
  int coordinate(Axis axis) const { return coordinates[static_cast<size_t>(axis)]; }
  // The same place with another coordinate along one axis, as far as the division of tensors depends on it.
  Place with(Axis axis, int coordinate) const {
    Place other = *this;
    other.coordinates[static_cast<size_t>(axis)] = coordinate;
    return other;
  }
};

// The groups that this rank is in. Neighboring ranks differ in tp first, then cp, dp and pp, so that the axes with the
// most traffic stay within a host. That needs a world in which the ranks of a host are consecutive, as in MpiWorld.
class Mesh {
 public:
  // Collective. UserError, with a table of what each axis requires, if the degrees do not fit the world.
  Mesh(Communicator& world, MeshDegrees degrees);
  // The mesh as one of `num_ranks` ranks sees it, without communication: `make` makes the groups, given their names and
  // members, `rank` among them. Errors as above.
  using MakeGroup = std::function<std::unique_ptr<Communicator>(const std::string& name, std::vector<int> members)>;
  Mesh(int num_ranks, int rank, MeshDegrees degrees, const MakeGroup& make);

  // Groups that have the same members on every rank share one communicator and so one transport. It is named after the
  // first of them in the order tp, cp, dp, pp, world, stage, batch, etp, ep, edp, ep_within, ep_across, engram,
  // engram_holders, ends: the axes whose product is the world, then the groups of the most ranks.
  Communicator& group(Group group) const { return *groups_[static_cast<size_t>(group)]; }
  Communicator& world() const { return group(Group::world); }
  const Place& place() const { return place_; }
  Dispatch dispatch() const { return dispatch_; }
  int degree(Axis axis) const { return place_.degree(axis); }
  int coordinate(Axis axis) const { return place_.coordinate(axis); }
  // "dp2", "tp2.pp2.ep4"; "1" for a world of one.
  std::string describe() const;
  // The layout, and the coordinates of every rank of the world along the axes that have several ranks.
  LayoutNames names() const;

 private:
  // `make` is given a group and, for each rank, the lowest rank of its group. `world` may be null; then `make` makes
  // it.
  using Make = std::function<std::unique_ptr<Communicator>(Group group, const std::vector<int>& lowest)>;
  void make_groups(Communicator* world, const Make& make);

  Place place_;
  Dispatch dispatch_;
  std::vector<std::unique_ptr<Communicator>> owned_;
  std::array<Communicator*, kNumGroups> groups_{};
};

// The same without communication. Returns the degrees by axis, with dp and edp filled in. UserError as in the
// constructor of Mesh.
std::array<int, kNumAxes> resolve_degrees(MeshDegrees degrees, int world_size);
std::array<int, kNumAxes> coordinates_of(int rank, const std::array<int, kNumAxes>& degrees);
// "rank 5 (tp 1, dp 2, ep 1)": what messages call a rank of the world, with its coordinates along the axes that have
// several ranks.
std::string describe_rank(int rank, const std::array<int, kNumAxes>& degrees);
// The names of a layout without communication. UserError as in the constructor of Mesh.
LayoutNames names_of_layout(MeshDegrees degrees, int world_size);
// The ranks of the group that contains `rank`, in the order of the group.
std::vector<int> members_of(Group group, int rank, const std::array<int, kNumAxes>& degrees);

}  // namespace birkhoff
