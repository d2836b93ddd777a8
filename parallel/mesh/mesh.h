#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// Named ways to divide the ranks. world = tp x cp x dp x pp. Experts fold over tp x cp x dp of a pipeline stage:
// that product = etp x ep x edp, where edp is derived. Engram tables fold over the same product, which `engram`
// divides.
enum class Axis : uint8_t { tp, cp, dp, pp, etp, ep, edp, engram };
inline constexpr int kNumAxes = 8;
std::string_view name_of(Axis axis);

struct MeshDegrees {
  int tp = 1, cp = 1, pp = 1, etp = 1, ep = 1, engram = 1;
  int dp = 0;  // 0: what the world leaves
};

// The place of this rank along every axis. Ranks of tp are neighbors, then cp, dp, and pp: the chattiest axes stay
// inside a node.
class Mesh {
 public:
  // Collective. UserError, with the table of what each axis needs, if the degrees do not fit the world.
  Mesh(Communicator& world, MeshDegrees degrees);

  Communicator& world() const { return *world_; }
  // The ranks that differ from this one along `axis` only.
  Communicator& along(Axis axis) const { return *groups_[static_cast<size_t>(axis)]; }
  int degree(Axis axis) const { return degrees_[static_cast<size_t>(axis)]; }
  int coordinate(Axis axis) const { return coordinates_[static_cast<size_t>(axis)]; }
  // "dp2", "tp2.pp2.ep4"; "1" for a world of one.
  std::string describe() const;

 private:
  Communicator* world_;
  std::array<int, kNumAxes> degrees_{}, coordinates_{};
  std::array<std::unique_ptr<Communicator>, kNumAxes> groups_;
};

// The same without communication. Degrees by axis, dp and edp filled in; UserError as the constructor of Mesh.
std::array<int, kNumAxes> resolve_degrees(MeshDegrees degrees, int world_size);
std::array<int, kNumAxes> coordinates_of(int rank, const std::array<int, kNumAxes>& degrees);

}  // namespace birkhoff
