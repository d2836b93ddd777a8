#include "trainer/optim/matrix_owners.h"

#include <algorithm>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

// The place of a rank in the group over which a gradient is summed.
int position_of(GradientSum sum, int rank, const std::array<int, kNumAxes>& degrees) {
  const auto degree = [&](Axis axis) { return degrees[static_cast<size_t>(axis)]; };
  const int tp = degree(Axis::tp), replicas = degree(Axis::cp) * degree(Axis::dp);
  switch (sum) {
    case GradientSum::stage:
      return rank % (tp * replicas);
    case GradientSum::batch:
      return rank / tp % replicas;
    case GradientSum::edp:
      return coordinates_of(rank, degrees)[static_cast<size_t>(Axis::edp)];
  }
  throw BugError("unknown sum of gradients");
}

}  // namespace

// Ten Newton-Schulz iterations of 4 s^2 l + 2 s^3 FLOPs each, where s is the shorter side and l the longer one. The
// update of one element by AdamW takes about as long as 200 of these FLOPs.
double muon_cost(const Shape& matrix) {
  const auto s = static_cast<double>(std::min(matrix[0], matrix[1]));
  const auto l = static_cast<double>(std::max(matrix[0], matrix[1]));
  return 10 * (4 * s * s * l + 2 * s * s * s) / 200;
}

std::vector<DividedMatrix> divided_matrices(const ParameterStore& parameters, Axis axis, int position) {
  std::vector<std::pair<double, DividedMatrix>> found;
  for (size_t entry = 0; entry < parameters.entries().size(); ++entry) {
    if (parameters.divided_over(entry) != axis) continue;
    const std::vector<MatrixPlace> all = matrices_of(*parameters.entries()[entry].parameter);
    const ParameterStore::MatrixRange owned = parameters.matrices_by_owner(entry).at(static_cast<size_t>(position));
    for (int64_t m = owned.begin; m < owned.end; ++m) {
      const MatrixPlace& place = all[static_cast<size_t>(m)];
      found.push_back({muon_cost(place.shape()), {entry, m, place, 0}});
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<DividedMatrix> matrices;
  const int ranks = parameters.mesh().degree(axis);
  for (const auto& [cost, matrix] : found) {
    matrices.push_back(matrix);
    matrices.back().rank = static_cast<int>((matrices.size() - 1) % static_cast<size_t>(ranks));
  }
  return matrices;
}

MatrixOwners::MatrixOwners(const ParameterStore& parameters) : parameters_(&parameters) {
  std::map<Axis, int> positions;  // their number, by axis
  for (size_t entry = 0; entry < parameters.entries().size(); ++entry) {
    const std::optional<Axis> axis = parameters.divided_over(entry);
    if (axis) positions[*axis] = static_cast<int>(parameters.matrices_by_owner(entry).size());
  }
  for (const auto& [axis, count] : positions) {
    for (int position = 0; position < count; ++position) {
      for (const DividedMatrix& m : divided_matrices(parameters, axis, position)) {
        divided_[m.entry].insert({position, m.rank});
      }
    }
  }
}

// Ranks of other pipeline stages hold other parameters.
std::set<int> MatrixOwners::of(size_t entry) const {
  const Mesh& mesh = parameters_->mesh();
  const auto& degrees = mesh.place().degrees;
  const GradientSum sum = parameters_->entries()[entry].parameter->gradient_sum();
  const std::optional<Axis> axis = parameters_->divided_over(entry);
  const auto owned = parameters_->matrices_by_owner(entry);
  std::set<int> ranks;
  for (const int rank : members_of(Group::stage, mesh.world().rank(), degrees)) {
    const int position = position_of(sum, rank, degrees);
    const bool updates =
        axis ? divided_.at(entry).contains({position, coordinates_of(rank, degrees)[static_cast<size_t>(*axis)]})
             : owned[static_cast<size_t>(position)].begin < owned[static_cast<size_t>(position)].end;
    if (updates) ranks.insert(rank);
  }
  return ranks;
}

}  // namespace birkhoff
