#pragma once
#include <map>

#include "trainer/metrics/metrics.h"

namespace birkhoff {

// Serves the published numbers at http://127.0.0.1:PORT/metrics, together with birkhoff_build_info, which has the given
// labels.
class PrometheusSink : public MetricSink {
 public:
  virtual int port() const = 0;
};

// Port 0 takes any free port. If the server cannot start, warns with the number of the port and returns null.
std::unique_ptr<PrometheusSink> open_prometheus(int port, const std::map<std::string, std::string>& build_info,
                                                const Warn& warn);

}  // namespace birkhoff
