#include "trainer/metrics/prometheus.h"

#include <mutex>
#include <set>
#include <sstream>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "kernels/core/error.h"
#include "trainer/metrics/format.h"
#include "trainer/metrics/page_server.h"

namespace birkhoff {
namespace {

using prometheus::Histogram;

// Bucket boundaries that double from a millisecond to over an hour.
Histogram::BucketBoundaries duration_buckets() {
  Histogram::BucketBoundaries buckets;
  for (double seconds = 1e-3; seconds < 5000; seconds *= 2) buckets.push_back(seconds);
  return buckets;
}

prometheus::Labels labels_of(const Number& number) {
  prometheus::Labels labels;
  std::istringstream parts(number.label);
  for (std::string part; std::getline(parts, part, ',');) {
    const size_t equals = part.find('=');
    BK_ASSERT(equals != std::string::npos, number.label);
    labels[part.substr(0, equals)] = part.substr(equals + 1);
  }
  return labels;
}

// Passes messages from the server's thread to the thread that publishes, because only the latter may call Warn. Each
// message is passed once, and at most kMost in all, since clients can cause as many as they like.
class Messages {
 public:
  void add(const std::string& message) {
    const std::lock_guard lock(mutex_);
    if (seen_.size() < kMost && seen_.insert(message).second) pending_.push_back(message);
  }
  std::vector<std::string> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(pending_, {});
  }

 private:
  static constexpr size_t kMost = 20;
  std::mutex mutex_;
  std::set<std::string> seen_;
  std::vector<std::string> pending_;
};

class ServedRegistry final : public PrometheusSink {
 public:
  ServedRegistry(int port, const std::map<std::string, std::string>& build_info, const Warn& warn) : warn_(warn) {
    prometheus::BuildGauge().Name("birkhoff_build_info").Register(*registry_).Add(build_info).Set(1);
    PageServerOptions options;
    options.port = port;
    options.page = [registry = registry_] { return prometheus::TextSerializer().Serialize(registry->Collect()); };
    options.log = [this](const std::string& message) { messages_.add(message); };
    server_ = serve_page(std::move(options));
  }

  int port() const override { return server_->port(); }

  void publish(const Record& record) override {
    const std::string prefix = record.event == "step" ? "birkhoff_" : concat("birkhoff_", record.event, "_");
    for (const Number& number : record.numbers) serve(prefix + std::string(number.key), number);
    for (const std::string& message : messages_.take())
      warn_(concat("serving Prometheus on 127.0.0.1:", port(), ": ", message));
  }

 private:
  // Registering a name again returns the existing family.
  void serve(const std::string& name, const Number& number) {
    const double value = to_double(number);
    switch (number.kind) {
      case MetricKind::gauge:
        prometheus::BuildGauge().Name(name).Register(*registry_).Add(labels_of(number)).Set(value);
        break;
      case MetricKind::counter: {
        prometheus::Counter& counter =
            prometheus::BuildCounter().Name(name).Register(*registry_).Add(labels_of(number));
        // Records carry the total, but a Prometheus counter can only be incremented.
        if (value > counter.Value()) counter.Increment(value - counter.Value());
        break;
      }
      case MetricKind::histogram:
        prometheus::BuildHistogram()
            .Name(name)
            .Register(*registry_)
            .Add(labels_of(number), duration_buckets())
            .Observe(value);
        break;
      case MetricKind::log_only:
        break;
    }
  }

  Warn warn_;
  Messages messages_;
  std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  std::unique_ptr<PageServer> server_;  // last, so that it is destroyed first: its thread uses the other members
};

}  // namespace

std::unique_ptr<PrometheusSink> open_prometheus(int port, const std::map<std::string, std::string>& build_info,
                                                const Warn& warn) {
  try {
    return std::make_unique<ServedRegistry>(port, build_info, warn);
  } catch (const std::exception& e) {
    warn(concat("cannot serve Prometheus on 127.0.0.1:", port, ": ", e.what(),
                "; the run goes on without, choose another metrics.prometheus_port"));
    return nullptr;
  }
}

}  // namespace birkhoff
