// Sends what one rank recorded to ranks that are other processes.
#include <sstream>

#include "parallel/comm/host_values.h"
#include "trainer/proof/verify.h"

namespace birkhoff {
namespace {

using Choices = std::map<std::pair<size_t, std::string>, RoutingRecord::Choice>;

// One line for each choice: microbatch, layer, dims, and how many numbers it has of both kinds.
std::string described(const Choices& choices) {
  std::ostringstream out;
  for (const auto& [place, choice] : choices) {
    out << place.first << ' ' << place.second << ' ' << choice.shape.rank();
    for (int d = 0; d < choice.shape.rank(); ++d) out << ' ' << choice.shape[d];
    out << ' ' << choice.experts.size() << ' ' << choice.balance.size() << '\n';
  }
  return out.str();
}

std::vector<int32_t> numbers_of(const Choices& choices) {
  std::vector<int32_t> numbers;
  for (const auto& [place, choice] : choices) {
    numbers.insert(numbers.end(), choice.experts.begin(), choice.experts.end());
    numbers.insert(numbers.end(), choice.balance.begin(), choice.balance.end());
  }
  return numbers;
}

Choices read_choices(const std::string& text, std::span<const int32_t> numbers) {
  Choices choices;
  std::istringstream in(text);
  const auto take = [&](size_t count) {
    const std::vector<int32_t> taken(numbers.begin(), numbers.begin() + static_cast<std::ptrdiff_t>(count));
    numbers = numbers.subspan(count);
    return taken;
  };
  size_t microbatch = 0, experts = 0, balance = 0;
  for (std::string layer; in >> microbatch >> layer;) {
    int rank = 0;
    in >> rank;
    Shape shape{};
    for (int64_t dim = 0; rank > 0; --rank) {
      in >> dim;
      shape.append(dim);
    }
    in >> experts >> balance;
    RoutingRecord::Choice& choice = choices[{microbatch, layer}];
    choice = {shape, take(experts), {}};
    choice.balance = take(balance);
  }
  return choices;
}

void broadcast_record(Communicator& world, RoutingRecord& record) {
  const std::string text = broadcast_on_host(world, described(record.choices), 0);
  std::vector<int32_t> numbers = numbers_of(record.choices);
  numbers.resize(static_cast<size_t>(broadcast_on_host(world, static_cast<int64_t>(numbers.size()), 0)));
  broadcast_on_host(world, std::span(numbers), 0);
  if (world.rank() != 0) record.choices = read_choices(text, numbers);
}

}  // namespace

void Proof::share(Communicator& world) {
  for (Recorded& recorded : recorded_) {
    broadcast_record(world, recorded.routing);
    broadcast_record(world, recorded.evaluation);
  }
}

}  // namespace birkhoff
