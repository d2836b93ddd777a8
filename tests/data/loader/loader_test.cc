#include "data/loader/loader.h"

#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/hdf5/bulk_file.h"
#include "data/loader/engram_addresses.h"
#include "data/shard/format.h"
#include "kernels/core/error.h"
#include "tests/support/datasets.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class LoaderTest : public testing::Test {
 protected:
  static constexpr int kDocuments[] = {90, 40};
  static constexpr StepShape kShape{12, 2, 16};

  LoaderTest() {
    for (int s = 0; s < 2; ++s) write_test_dataset(dir_ / concat("s", s), "train", test_documents(s, kDocuments[s]));
    options_.sources = {{"first", dir_ / "s0", 2}, {"second", dir_ / "s1", 1}};
    options_.vocab_size = kTestVocab;
    options_.mtp_depth = 2;
  }
  // Runs `steps` steps on all replicas, and returns the global batches, microbatch by microbatch in the order of the
  // replicas.
  std::vector<Batch> run(int replicas, int prefetch, int steps, const StepShape& shape = kShape,
                         std::optional<Cursor> from = std::nullopt, Cursor* end = nullptr) {
    std::vector<std::unique_ptr<Loader>> loaders;
    for (int r = 0; r < replicas; ++r) {
      options_.replica = r;
      options_.num_replicas = replicas;
      options_.prefetch_steps = prefetch;
      loaders.push_back(std::make_unique<Loader>(options_, from));
    }
    std::vector<Batch> batches;
    for (int step = 0; step < steps; ++step)
      for (auto& loader : loaders) {
        StepBatch got = loader->next(shape);
        EXPECT_EQ(got.cursor, loaders[0]->cursor());
        for (Batch& batch : got.microbatches) batches.push_back(std::move(batch));
      }
    if (end != nullptr) *end = loaders[0]->cursor();
    return batches;
  }
  static void expect_equal(const std::vector<Batch>& a, const std::vector<Batch>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].tokens, b[i].tokens);
      EXPECT_EQ(a[i].positions, b[i].positions);
      EXPECT_EQ(a[i].document_start, b[i].document_start);
      EXPECT_EQ(a[i].targets, b[i].targets);
      EXPECT_EQ(a[i].loss_weights, b[i].loss_weights);
      EXPECT_EQ(a[i].sample_ids, b[i].sample_ids);
    }
  }
  std::string message_of(const std::function<void()>& body) {
    try {
      body();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  TempDir dir_;
  LoaderOptions options_;
};

TEST_F(LoaderTest, EachTokenFollowsFromItsDocumentAndPosition) {
  const std::vector<std::vector<int32_t>> documents[] = {test_documents(0, 90), test_documents(1, 40)};
  for (const Batch& batch : run(1, 0, 20)) {
    size_t t = 0;
    for (const DocumentPiece& piece : batch.pieces) {
      const auto& text = documents[piece.source][static_cast<size_t>(piece.document)];
      const size_t start = t;
      for (int64_t i = 0; i < piece.length; ++i, ++t) {
        const auto p = static_cast<size_t>(piece.offset + i);
        ASSERT_EQ(batch.tokens[t], p == 0 ? kTestBegin : text[p - 1]);
        ASSERT_EQ(batch.document_start[t], static_cast<int32_t>(start));
        ASSERT_EQ(batch.positions[t], i);
        for (size_t d = 0; d < 3; ++d)
          ASSERT_EQ(batch.targets[d][t], p + d < text.size() ? text[p + d] : -1) << "depth " << d;
        ASSERT_EQ(batch.loss_weights[t], 1.0f);
      }
    }
    ASSERT_EQ(t, 32u);
    for (size_t i = 0; i < 32; ++i) ASSERT_EQ(batch.document_start[i] / 16, static_cast<int32_t>(i) / 16);
  }
}

TEST_F(LoaderTest, AnEpochScoresEveryTokenOnce) {
  options_.sources.resize(1);
  options_.mtp_depth = 0;
  int64_t tokens = 0;
  for (const auto& document : test_documents(0, 90)) tokens += static_cast<int64_t>(document.size());
  std::map<int32_t, int> seen;
  int64_t scored = 0;
  for (const Batch& batch : run(1, 0, static_cast<int>(tokens / 192)))
    for (const int32_t target : batch.targets[0]) {
      ++scored;
      if (target != kTestEnd) {
        EXPECT_EQ(++seen[target], 1) << target;
      }
    }
  EXPECT_EQ(scored, tokens / 192 * 192);
}

TEST_F(LoaderTest, QuotasOfTheMixtureAreExact) {
  std::vector<int64_t> counts(2);
  int64_t sequences = 0;
  for (const Batch& batch : run(1, 0, 15)) {
    int64_t at = 0;
    for (const DocumentPiece& piece : batch.pieces) {
      if (at % 16 == 0) {
        ++counts[static_cast<size_t>(piece.source)];
        ++sequences;
        EXPECT_NEAR(static_cast<double>(counts[0]), static_cast<double>(sequences) * 2 / 3, 1.0);
      }
      at += piece.length;
    }
  }
  EXPECT_EQ(counts[0], 120);
  EXPECT_EQ(counts[1], 60);
}

TEST_F(LoaderTest, TheGlobalBatchIsTheSameForAnyNumberOfReplicas) {
  const auto one = run(1, 0, 6);
  for (const int replicas : {2, 3, 6}) expect_equal(run(replicas, 0, 6), one);
}

TEST_F(LoaderTest, PrefetchChangesNothing) {
  const auto plain = run(2, 0, 12);
  for (const int depth : {1, 2, 5}) expect_equal(run(2, depth, 12), plain);
}

TEST_F(LoaderTest, ResumesExactlyAtOtherReplicaCounts) {
  const auto straight = run(1, 0, 10);
  Cursor cursor;
  auto head = run(3, 2, 4, kShape, std::nullopt, &cursor);
  const Cursor again = parse_cursor(to_string(cursor));
  for (const int replicas : {1, 2, 6}) {
    auto all = head;
    for (Batch& batch : run(replicas, 2, 6, kShape, again)) all.push_back(std::move(batch));
    expect_equal(all, straight);
  }
}

TEST_F(LoaderTest, AChangeOfShapeTakesUpWhereTheLastStepEnded) {
  const StepShape longer{6, 1, 40}, shapes[] = {kShape, kShape, longer, longer, kShape, longer};
  options_.prefetch_steps = 3;
  Loader ahead(options_);
  options_.prefetch_steps = 0;
  Loader plain(options_);
  for (const StepShape& shape : shapes) {
    const StepBatch a = ahead.next(shape), b = plain.next(shape);
    expect_equal(a.microbatches, b.microbatches);
    EXPECT_EQ(a.cursor, b.cursor);
    EXPECT_EQ(a.consumed_tokens, b.consumed_tokens);
  }
  EXPECT_EQ(plain.cursor().tokens, 3 * 12 * 16 + 3 * 6 * 40);
}

TEST_F(LoaderTest, CountsTokensAndTargets) {
  options_.num_replicas = 2;
  const StepBatch step = Loader(options_).next(kShape);
  EXPECT_EQ(step.local_tokens, 96);
  EXPECT_EQ(step.global_tokens, 192);
  EXPECT_EQ(step.local_targets[0], 96);
  EXPECT_LT(step.local_targets[2], step.local_targets[1]);
  EXPECT_EQ(step.consumed_sequences, 12);
}

TEST_F(LoaderTest, RefusesShapesThatDoNotDivide) {
  options_.num_replicas = 2;
  Loader loader(options_);
  EXPECT_THAT(message_of([&] { loader.next({6, 2, 16}); }), HasSubstr("make it a multiple of 4"));
  EXPECT_THROW(loader.next({0, 2, 16}), UserError);
  EXPECT_THROW(loader.next({4, 2, 0}), UserError);
}

TEST_F(LoaderTest, RefusesBadMixturesAndDatasets) {
  const auto complaint = [&](const std::function<void(LoaderOptions&)>& change) {
    LoaderOptions changed = options_;
    change(changed);
    return message_of([&] { Loader loader(changed); });
  };
  EXPECT_THAT(complaint([](auto& o) { o.sources.clear(); }), HasSubstr("empty"));
  EXPECT_THAT(complaint([](auto& o) { o.sources[1].name = "first"; }), HasSubstr("two sources"));
  EXPECT_THAT(complaint([](auto& o) { o.sources[1].weight = -1; }), HasSubstr("not negative"));
  EXPECT_THAT(complaint([](auto& o) { o.sources[1].directory = "/nowhere"; }), HasSubstr("not a dataset"));
  EXPECT_THAT(complaint([](auto& o) { o.vocab_size = 10; }), HasSubstr("does not fit the model's of 10"));
  EXPECT_THAT(complaint([](auto& o) { o.tokenizer_digest = "x"; }), HasSubstr("expected x, found digest"));
  EXPECT_THAT(complaint([](auto& o) { o.split = "test"; }), HasSubstr("no split 'test'"));
  write_test_dataset(dir_ / "none", "train", {});
  EXPECT_THAT(complaint([&](auto& o) { o.sources[1].directory = dir_ / "none"; }), HasSubstr("'second': split"));
  EXPECT_EQ(complaint([&](auto& o) { o.sources[1] = {"second", dir_ / "none", 0}; }), "no error");
}

TEST_F(LoaderTest, ACursorOfAnotherOrderIsRefusedOrBeginsANewMixture) {
  Loader before(options_);
  before.next(kShape);
  const Cursor cursor = before.cursor();
  options_.sources[1].weight = 3;
  EXPECT_THAT(message_of([&] { Loader loader(options_, cursor); }), HasSubstr("another seed, mixture or dataset"));
  options_.mixture_change = MixtureChange::restart;
  Loader after(options_, cursor);
  EXPECT_EQ(after.cursor().sequences, 12);
  EXPECT_EQ(after.cursor().mixture_start, 12);
  EXPECT_EQ(after.cursor().sources[0].ordinal, cursor.sources[0].ordinal);
  after.next({10, 1, 16});
  EXPECT_EQ(after.cursor().sources[0].sequences, 4);
  EXPECT_EQ(after.cursor().sources[1].sequences, 6);
  EXPECT_EQ(Loader(options_, after.cursor()).cursor(), after.cursor());
}

// In another order, a different document stands at the same place, usually of a different length.
TEST_F(LoaderTest, ANewMixtureOfAnotherSeedContinuesFromAnyPosition) {
  options_.mixture_change = MixtureChange::restart;
  const uint64_t first_seed = options_.seed;
  for (uint64_t other = 1; other <= 40; ++other) {
    options_.seed = first_seed;
    Loader before(options_);
    for (uint64_t i = 0; i < 1 + other % 3; ++i) before.next(kShape);
    options_.seed = first_seed + other;
    Loader after(options_, before.cursor());
    const StepBatch step = after.next(kShape);
    for (const Batch& batch : step.microbatches) {
      EXPECT_EQ(static_cast<int64_t>(batch.tokens.size()), batch.num_tokens()) << other;
    }
  }
}

TEST_F(LoaderTest, ACursorOutOfRangeIsRefused) {
  Cursor cursor = Loader(options_).cursor();
  cursor.sources[0].ordinal = 90;
  EXPECT_THAT(message_of([&] { Loader loader(options_, cursor); }), HasSubstr("document 90 of 90"));
  cursor = Loader(options_).cursor();
  cursor.sequences = 5;
  EXPECT_THAT(message_of([&] { Loader loader(options_, cursor); }), HasSubstr("gave 0 sequences"));
}

class LoaderWithABadSample : public LoaderTest {
 protected:
  LoaderWithABadSample() {
    const auto path = dir_ / "s0" / "train" / "shard-00001.h5";
    const H5Dataset tokens = H5File::open(path).root().dataset("tokens");
    std::string bytes = read_file(path);
    bytes[static_cast<size_t>(tokens.offset)] ^= 1;
    write_file(path, bytes);
  }
};

TEST_F(LoaderWithABadSample, FailsByDefaultWithPathAndSampleAndStaysFailed) {
  for (const int prefetch : {0, 2}) {
    options_.prefetch_steps = prefetch;
    Loader loader(options_);
    const auto read_all = [&] {
      for (int i = 0; i < 20; ++i) loader.next(kShape);
    };
    for (int repeat = 0; repeat < 2; ++repeat)
      EXPECT_THAT(message_of(read_all), AllOf(HasSubstr("shard-00001.h5: sample 0"), HasSubstr("checksum")));
  }
}

TEST_F(LoaderWithABadSample, SkipMasksTheSampleAndChangesNothingElseForAnyReplicas) {
  options_.bad_samples = BadData::skip;
  const auto one = run(1, 0, 10);
  expect_equal(run(3, 2, 10), one);
  int64_t masked = 0;
  for (const Batch& batch : one)
    for (const int32_t target : batch.targets[0]) masked += target < 0;
  EXPECT_GT(masked, 0);
  options_.replica = 0;
  options_.num_replicas = 1;
  Loader loader(options_);
  for (int i = 0; i < 9; ++i) loader.next(kShape);
  EXPECT_EQ(loader.next(kShape).bad_samples, 1);
}

TEST_F(LoaderWithABadSample, SkipIsCapped) {
  options_.bad_samples = BadData::skip;
  options_.max_bad_samples = 0;
  EXPECT_THAT(message_of([&] { run(1, 0, 10); }), HasSubstr("more than 0 samples could not be read"));
}

// A sample that is intact but unusable for the run is not skipped.
TEST_F(LoaderTest, SkipIsForDamageAlone) {
  options_.bad_samples = BadData::skip;
  ShardWriter writer(dir_ / "opaque" / "train", {kTestVocab, "digest", 2000});
  Sample sample;
  sample.segments = {Segment::text({1000, kTestEnd}), Segment::opaque({1, 2, 3}, {3})};
  writer.add(sample);
  write_manifest(dir_ / "opaque", {"digest", kTestVocab, kTestBegin, kTestEnd, {{"train", writer.finish()}}});
  options_.sources = {{"opaque", dir_ / "opaque", 1}};
  EXPECT_THAT(message_of([&] { Loader(options_).next(kShape); }), HasSubstr("its modality is 'opaque'"));
  std::filesystem::create_directories(dir_ / "outside" / "train");
  write_shard(dir_ / "outside" / "train" / "shard-00000.h5", {kShardVersion, kTestVocab, "digest"},
              {{{Segment::text({static_cast<int32_t>(kTestVocab), kTestEnd})}, 8}});
  DatasetManifest manifest{"digest", kTestVocab, kTestBegin, kTestEnd, {}};
  manifest.splits["train"].append({"shard-00000.h5", 1, 2, 8});
  write_manifest(dir_ / "outside", manifest);
  options_.sources = {{"outside", dir_ / "outside", 1}};
  EXPECT_THAT(message_of([&] { Loader(options_).next(kShape); }), HasSubstr("is outside the vocabulary of"));
}

TEST_F(LoaderTest, RefusesFramingTokensThatAreNoTokens) {
  const DatasetManifest good = read_manifest(dir_ / "s0");
  for (const int32_t token : {-1, static_cast<int32_t>(kTestVocab)}) {
    DatasetManifest bad = good;
    bad.end_token = token;
    write_manifest(dir_ / "s0", bad);
    EXPECT_THAT(message_of([&] { Loader loader(options_); }), HasSubstr(concat("end_token is ", token, ", expected")));
    bad = good;
    bad.begin_token = token;
    write_manifest(dir_ / "s0", bad);
    EXPECT_THAT(message_of([&] { Loader loader(options_); }),
                HasSubstr(concat("begin_token is ", token, ", expected")));
  }
}

TEST_F(LoaderTest, AShardDeletedWhileRunningIsFatalUnderEitherPolicy) {
  options_.bad_samples = BadData::skip;
  options_.prefetch_steps = 0;
  Loader loader(options_);
  loader.next({12, 1, 1});
  std::filesystem::remove_all(dir_ / "s0" / "train");
  EXPECT_THAT(message_of([&] {
                for (int i = 0; i < 20; ++i) loader.next(kShape);
              }),
              HasSubstr("no such file"));
}

TEST_F(LoaderTest, EngramAddressesAreThoseOfTheHashAndUniqueOverTheStep) {
  EngramHashSpec spec{{1, 4}, {2, 3}, {50, 60}, 2, kTestVocab / 2, 0, 0};
  std::vector<int32_t> compression(kTestVocab);
  for (size_t i = 0; i < compression.size(); ++i) compression[i] = static_cast<int32_t>(i / 2);
  const auto addresses = std::make_shared<EngramAddresses>(spec, compression);
  options_.engram = addresses;
  const StepBatch step = Loader(options_).next(kShape);
  const auto K = static_cast<size_t>(addresses->hash().num_columns());
  ASSERT_EQ(step.engram_rows.size(), 2u);
  for (size_t site = 0; site < 2; ++site) {
    const auto& unique = step.engram_rows[site];
    EXPECT_TRUE(std::is_sorted(unique.begin(), unique.end()));
    EXPECT_EQ(std::adjacent_find(unique.begin(), unique.end()), unique.end());
    std::set<int64_t> used;
    for (const Batch& batch : step.microbatches) {
      std::vector<int32_t> ids;
      for (const int32_t token : batch.tokens) ids.push_back(token / 2);
      std::vector<int64_t> rows(ids.size() * K);
      addresses->hash().row_ids(static_cast<int64_t>(site), ids, batch.document_start, rows);
      ASSERT_EQ(batch.engram_index[site].size(), rows.size());
      for (size_t i = 0; i < rows.size(); ++i)
        ASSERT_EQ(unique[static_cast<size_t>(batch.engram_index[site][i])], rows[i]);
      used.insert(rows.begin(), rows.end());
    }
    EXPECT_EQ(used.size(), unique.size());
  }
}

TEST_F(LoaderTest, RefusesACompressionThatDoesNotCoverTheVocabulary) {
  EngramHashSpec spec{{1}, {2}, {50}, 2, 10, 0, 0};
  EXPECT_THROW(EngramAddresses(spec, {10}), UserError);
  options_.engram = std::make_shared<EngramAddresses>(spec, std::vector<int32_t>{0, 1, 2});
  EXPECT_THAT(message_of([&] { Loader loader(options_); }), HasSubstr("covers 3 ids"));
}

}  // namespace
}  // namespace birkhoff
