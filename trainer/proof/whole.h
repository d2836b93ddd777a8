#pragma once
#include <map>
#include <string>
#include <vector>

#include "kernels/core/stream.h"
#include "parallel/comm/communicator.h"
#include "parallel/shard/state.h"

namespace birkhoff {

// What a rank holds of a logical tensor, as host values.
struct HeldPart {
  std::string name;
  Slice slice;
  std::vector<double> values;  // in the order of the slice
};

// Logical tensors of a layout, put together from the parts of all its ranks.
struct Whole {
  struct Tensor {
    Shape shape;
    std::vector<double> values;
  };
  std::map<std::string, Tensor> tensors;
  // What is wrong with the parts, one line for each tensor: two ranks hold an element with different bits, ranks give
  // different shapes, or no rank holds an element.
  std::vector<std::string> faults;
};

// Whether elements that no rank holds are a fault, or zeros, as in the gradient of a table whose other rows no token
// looked up.
enum class Missing : uint8_t { fault, zero };

// Collective. The result is on rank 0; it is empty on the others. Tensors are sent one after the other, so that besides
// the parts and the result only one tensor per rank lies in memory.
Whole assemble(Communicator& world, std::vector<HeldPart> parts, Missing missing = Missing::fault);

// Collects the tensors of a state.
class PartCollector final : public StateVisitor {
 public:
  explicit PartCollector(Stream& stream) : stream_(&stream) {}
  void replicated(const std::string& name, Tensor local, const Slice& slice, const Communicator& holders) override;
  void shard(const std::string& name, Tensor local, const Slice& slice) override;
  void integer(const std::string&, int64_t&) override {}
  void real(const std::string&, double&) override {}
  void text(const std::string&, std::string&) override {}

  std::vector<HeldPart> parts;

 private:
  Stream* stream_;
};

// The first element whose bits differ in each tensor, one line for each: "name, element 3: 0.5 against 0.25"; also
// tensors that only one of them has.
std::vector<std::string> bitwise_differences(const Whole& a, const Whole& b);

}  // namespace birkhoff
