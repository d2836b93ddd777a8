#pragma once
#include "data/loader/mixture_change.h"
#include "data/shard/bad_data.h"
#include "trainer/setting/setting.h"

namespace birkhoff {

struct SourceConfig {
  std::string path;
  double weight = 1;
  std::string name;

  void visit(SettingList& s) {
    s("path", path, "folder of shards written by birkhoff data ingest").free("the samples must be the same");
    s("weight", weight, Limits{0, 1e12}, "share of the samples, relative to the other sources; more than 0");
    s("name", name,
      "name that the order of the samples depends on, so that a folder may move; empty: last part of the path")
        .free("the source must keep its name, given or by its path");
  }
  bool operator==(const SourceConfig&) const = default;
};

struct DataConfig {
  std::string tokenizer;
  std::vector<SourceConfig> sources;
  int64_t seed = 1;
  int64_t prefetch = 2;
  BadData bad_samples = BadData::fail;
  int64_t max_bad_samples = 100;
  MixtureChange mixture_change = MixtureChange::refuse;

  void visit(SettingList& s) {
    s("tokenizer", tokenizer, "tokenizer.json the shards were made with").free("it must give the same ids");
    s.list("sources", sources, "what is read, mixed by weight");
    mark_vanishing_sources(s);
    s("seed", seed, Limits{0, kMaxInt}, "order of the samples");
    s("prefetch", prefetch, Limits{0, 1024}, "steps made ready ahead by a thread; 0: none").free();
    s("bad_samples", bad_samples,
      "a sample whose checksum is wrong stops the run (fail), or its tokens are masked, all others staying in place "
      "(skip)")
        .free();
    s.unused_if(bad_samples == BadData::fail, "bad_samples is fail", [&] {
      s("max_bad_samples", max_bad_samples, Limits{0, 1e9}, "masked samples of a rank above which the run stops")
          .free();
    });
    s("mixture_change", mixture_change,
      "a resume with other sources, weights or data.seed: refused, or quotas and order begin anew where each source of "
      "the same name stands (restart)")
        .free();
  }
  bool operator==(const DataConfig&) const = default;

 private:
  // data/loader/mixture.h rounds the share of a source down to a multiple of 2^-62, so a smaller share is 0.
  void mark_vanishing_sources(SettingList& s) const {
    double weights = 0;
    for (const SourceConfig& source : sources) weights += source.weight;
    for (size_t i = 0; i < sources.size(); ++i) {
      if (sources[i].weight < weights * 0x1p-62)
        s.mark_unused("sources[" + std::to_string(i) + "].weight",
                      "it is so small a share of all weights that the source is never read");
    }
  }
};

}  // namespace birkhoff
