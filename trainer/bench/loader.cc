#include "data/loader/loader.h"

#include <cmath>

#include "data/file/scratch_folder.h"
#include "data/hdf5/bulk_file.h"
#include "data/shard/manifest.h"
#include "data/shard/writer.h"
#include "kernels/core/cpu/crowded.h"
#include "kernels/core/hash.h"
#include "kernels/core/philox.h"
#include "trainer/bench/bench.h"
#include "trainer/bench/subject.h"
#include "trainer/bench/timing.h"
#include "trainer/step/build.h"

namespace birkhoff {
namespace {

namespace fs = std::filesystem;

constexpr int kWarmUp = 1, kTrainingSteps = 3;
constexpr int64_t kMadeTokens = int64_t{1} << 20, kLongestDocument = 2000;
constexpr char kSplit[] = "train";

// Makes a dataset of documents of 1 to kLongestDocument tokens. The logarithm of the token ids is uniform, which is
// about the distribution of words in a text (Zipf).
void make_dataset(const fs::path& directory, int64_t vocab) {
  ShardWriter writer(directory / kSplit, {vocab, "made", int64_t{4} << 20});
  const Philox random(1, 3);
  uint64_t drawn = 0;
  for (int64_t tokens = 0; tokens < kMadeTokens;) {
    std::vector<int32_t> ids(1 + random.below(drawn++, kLongestDocument));
    for (int32_t& id : ids)
      id = static_cast<int32_t>(std::pow(static_cast<double>(vocab), random.uniform(drawn++))) - 1;
    tokens += static_cast<int64_t>(ids.size());
    Sample sample;
    sample.source_bytes = 4 * static_cast<int64_t>(ids.size());
    sample.segments.push_back(Segment::text(std::move(ids)));
    writer.add(std::move(sample));
  }
  write_manifest(directory, {"made", vocab, 0, 0, {{kSplit, writer.finish()}}});
}

struct Dataset {
  fs::path directory;
  SplitManifest split;
  int64_t bytes = 0;

  explicit Dataset(const fs::path& path) : directory(path), split(read_manifest(path).split(kSplit)) {
    for (const ShardEntry& s : split.shards) bytes += static_cast<int64_t>(fs::file_size(directory / kSplit / s.file));
  }
};

// Tokens/s when every byte of the split is read and hashed.
double plain_rate(const Dataset& data) {
  std::vector<char> block(size_t{1} << 20);
  const double seconds = seconds_of([&] {
    for (const ShardEntry& s : data.split.shards) {
      const fs::path path = data.directory / kSplit / s.file;
      const int64_t bytes = static_cast<int64_t>(fs::file_size(path));
      const BulkFile file = BulkFile::open_to_read(path);
      Hasher hasher;
      for (int64_t done = 0; done < bytes;) {
        const size_t part = static_cast<size_t>(std::min(bytes - done, static_cast<int64_t>(block.size())));
        file.read(done, block.data(), part);
        hasher.update(block.data(), part);
        done += static_cast<int64_t>(part);
      }
    }
  });
  return static_cast<double>(data.split.num_tokens) / seconds;
}

LoaderOptions loader_options(const Config& c, const Dataset& data) {
  LoaderOptions o;
  o.sources = {{"bench", data.directory, 1.0}};
  o.split = kSplit;
  o.vocab_size = c.model.vocab_size;
  o.mtp_depth = static_cast<int>(c.model.mtp.depth);
  return o;
}

// Tokens/s of one thread that builds steps, measured over at least kTokens tokens.
double loader_rate(LoaderOptions options, const StepShape& shape, std::shared_ptr<const EngramAddresses> engram) {
  options.prefetch_steps = 0;
  options.engram = std::move(engram);
  Loader loader(options);
  constexpr int64_t kTokens = int64_t{1} << 17;
  int64_t tokens = 0;
  const double seconds = seconds_of([&] {
    while (tokens < kTokens) tokens += loader.next(shape).local_tokens;
  });
  return static_cast<double>(tokens) / seconds;
}

// Times of kTrainingSteps training steps whose batches come from the loader, which prepares later batches on its own
// thread meanwhile.
struct Fed {
  double step_s = 0, wait_s = 0;
};
Fed fed_step(Loader& loader, Subject& subject, const StepShape& shape) {
  const double waited = loader.wait_s();
  Fed fed;
  fed.step_s = seconds_of([&] {
    for (int i = 0; i < kTrainingSteps; ++i) subject.step(loader.next(shape));
  });
  fed.wait_s = loader.wait_s() - waited;
  return fed;
}

}  // namespace

Report bench_loader(Communicator& self, const BenchOptions& o) {
  const Config& c = o.config;
  start_watched_team(threads_of(c));
  const ScratchFolder folder(o.directory);
  if (o.data.empty()) make_dataset(folder.path(), c.model.vocab_size);
  const Dataset data(o.data.empty() ? folder.path() : o.data);
  const auto addresses = addresses_without_tokenizer(c);
  const StepShape shape{c.batch.global_batch_size, c.batch.micro_batch_size, c.batch.sequence_length};
  LoaderOptions prefetching = loader_options(c, data);
  prefetching.engram = addresses;
  Loader loader(prefetching);
  Subject subject(self, c, device_of(c));
  std::vector<double> full, bare, plain, step, over_step, over_plain, share, waited;
  for (int64_t i = 0; i < o.rounds + kWarmUp; ++i) {
    const double rate = loader_rate(loader_options(c, data), shape, addresses);
    const double without = addresses ? loader_rate(loader_options(c, data), shape, nullptr) : rate;
    const double read = plain_rate(data);
    const double trained = static_cast<double>(subject.tokens()) / subject.step().step;
    const Fed fed = fed_step(loader, subject, shape);
    if (i < kWarmUp) continue;
    full.push_back(rate);
    bare.push_back(without);
    plain.push_back(read);
    step.push_back(trained);
    over_step.push_back(rate / trained);
    over_plain.push_back(rate / read);
    share.push_back(1 - rate / without);
    waited.push_back(fed.wait_s / fed.step_s);
  }
  Report report{"loader", {}, {}, {}};
  report.add("loader_tokens_per_second", median(full), "tokens/s", "speed of one thread, including Engram addresses");
  report.add("loader_over_step", median(over_step), "", "this speed, divided by the tokens/s of a training step");
  report.add("loader_over_plain_read", median(over_plain), "",
             "this speed, divided by that of reading and hashing the same bytes");
  report.add("data_wait_share", median(waited), "", "share of the step time spent waiting for the loader");
  report.add("address_share", median(share), "", "share of the loader's time spent on Engram addresses");
  report.add("loader_tokens_per_second_without_addresses", median(bare), "tokens/s", "");
  report.add("plain_read_tokens_per_second", median(plain), "tokens/s", "");
  report.add("step_tokens_per_second", median(step), "tokens/s", "");
  report.add("bytes_per_token", static_cast<double>(data.bytes) / static_cast<double>(data.split.num_tokens), "bytes",
             "size of the shards, which are in the page cache");
  return report;
}

}  // namespace birkhoff
