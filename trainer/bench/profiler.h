#pragma once
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "kernels/core/stream.h"

namespace birkhoff {

// Time and FLOPs by op, as one stream runs them. On the meta device it counts FLOPs alone.
class Profiler final : public OpObserver {
 public:
  struct Row {
    int64_t calls = 0;
    double seconds = 0, flops = 0;
  };
  void begin(std::string_view op) override;
  void end() override;
  void flops(double count) override;

  // By op; an op that runs others (Muon) does not count their time twice.
  const std::map<std::string, Row, std::less<>>& rows() const { return rows_; }
  double total_flops() const;
  // Forgets what it has seen. Not within an op.
  void clear() { rows_.clear(); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Open {
    Row* row;
    Clock::time_point since;
  };
  std::map<std::string, Row, std::less<>> rows_;
  std::vector<Open> open_;
};

}  // namespace birkhoff
