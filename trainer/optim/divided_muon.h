#pragma once
#include <vector>

#include "kernels/optim/muon.h"
#include "parallel/shard/common_rows.h"
#include "parallel/shard/state.h"
#include "trainer/optim/matrix_owners.h"

namespace birkhoff {

// Updates by Muon the matrices of which the ranks along an axis hold parts (divided_matrices). One of these ranks keeps
// the momentum of the whole matrix. In a step it gets the gradients and values of all parts, updates the matrix as if
// it had never been divided, and returns the new values to the ranks that own the parts.
//
// The ranks along an axis work in rounds. In each round every rank updates one matrix, so that a rank never has more
// than one whole matrix in memory, besides momenta, and none waits long for the others.
class DividedMuon final {
 public:
  struct Types {
    DType moments = DType::f32, compute = DType::f32;
  };
  // Momenta, of zeros, lie in `memory`.
  DividedMuon(Arena& memory, const ParameterStore& parameters, const Types& types);
  // Collective over the groups along the axes. The gradients of the parts that this rank owns are complete.
  void step(Stream& stream, Arena& workspace, const MuonHyper& hyper);
  // Visits the momenta of each parameter as one shard: whole matrices, as parts of the logical tensor.
  void state(StateVisitor& visitor);

 private:
  using Rows = std::vector<StridedRows>;
  struct Matrix {
    Parameter* parameter = nullptr;
    Shape shape;
    // What this rank holds of the matrix, in the held tensor.
    Rows held;
    int64_t held_count = 0;
    // On the rank that updates the matrix: by rank along the axis, what it holds, in the matrix.
    std::vector<Rows> parts = {};
    std::vector<int64_t> part_counts = {};
    Tensor momentum = {};
  };
  struct Team {
    Communicator* group;
    // One after the other the matrices of each round, in the order of the ranks that update them.
    std::vector<Matrix> matrices;
  };
  struct Momentum {
    std::string name;
    Slice slice;
    Tensor whole;
  };
  void add_team(Arena& memory, const ParameterStore& parameters, Axis axis, int position, DType moments);
  static Matrix matrix_of(Parameter& parameter, const DividedMatrix& place, const std::vector<Slice>& held, int own);
  void add_momenta(Arena& memory, Team& team, const std::vector<DividedMatrix>& list, DType moments);
  void step_round(Stream& stream, Arena& workspace, const Team& team, size_t first, const MuonHyper& hyper);
  void update(Stream& stream, Arena& workspace, const Matrix& matrix, Tensor received, const MuonHyper& hyper);
  void update_whole(Stream& stream, Arena& workspace, const MuonArgs& args, size_t ranks);

  DType compute_;
  std::vector<Team> teams_;
  std::vector<Momentum> momenta_;
};

}  // namespace birkhoff
