// Manifests with a correct checksum and wrong content, and names that lead to something other than a regular file:
// every command refuses them, and the loader falls back to the previous checkpoint.
#include "tests/trainer/checkpoint/hostile.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "kernels/core/hash.h"
#include "trainer/optim/spike.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST_F(Hostile, AnUnchangedManifestIsLoaded) {
  edit([](Json&) {});
  EXPECT_EQ(load_newest(2, dir_.path(), [](int64_t step) { return step; })->manifest.step, 20);
}

// Nested values that are cut off and ones that are closed properly: a parser may stop early at the former, and
// functions that walk a value recurse into the latter.
TEST_F(Hostile, DeepNestingIsRefusedByEveryCommandAndWalksBack) {
  const auto nested = [](const std::string& open, const std::string& inner, const std::string& close) {
    std::string text;
    for (int i = 0; i < 100000; ++i) text += open;
    text += inner;
    for (int i = 0; i < 100000; ++i) text += close;
    return text;
  };
  const std::string arrays = nested("[", "", "]"), objects = nested("{\"a\":", "1", "}");
  for (const std::string& text :
       {nested("[", "", ""), nested("{\"a\":", "", ""), nested("{\"xxh3\": 0, \"manifest\": {\"tensors\": [", "", ""),
        arrays, objects, "{\"xxh3\": \"0\", \"manifest\": {\"tensors\": " + objects + "}}",
        "{\"xxh3\": \"0\", \"manifest\": " + objects + "}", "{\"manifest\": {}, \"xxh3\": " + arrays + "}"}) {
    write_file(path(), text);
    EXPECT_THAT(refused_by_commands(), HasSubstr("nested deeper than 100 levels"));
    EXPECT_THAT(walked_back(), HasSubstr("nested deeper than 100 levels"));
  }
}

TEST_F(Hostile, PartsThatDoNotCoverATensorOnceWalkBack) {
  struct Case {
    std::function<void(Json& tensor, Json& body)> change;
    const char* expected;
  };
  const std::vector<Case> cases{
      {[](Json& t, Json&) { t["parts"].erase(0); }, "of 9107 elements are there"},
      {[](Json& t, Json&) { t["parts"].erase(1); }, "of 9107 elements are there"},
      {[](Json& t, Json&) { t["parts"] = Json::array(); }, "model.matrix: 0 of 9107 elements are there"},
      {[](Json& t, Json&) { t["parts"].push_back(t["parts"][1]); }, "model.matrix: element [3, 193] is there twice"},
      // The second rank's part names a row that the first rank has.
      {[](Json& t, Json&) {
         t["parts"][1]["boxes"][0] = {{2, 3}, {193, 1301}};
       },
       "element [2, 193] is there twice"},
      {[](Json& t, Json&) { t["parts"][1]["boxes"].erase(1); }, "of 9107 elements are there"},
      {[](Json& t, Json&) { t["shape"][0] = t["shape"][0].get<int64_t>() + 1; }, "9107 of 10408 elements are there"},
      {[](Json& t, Json&) { t["parts"][0]["offset"] = 1 << 30; }, "lie outside the "},
      {[](Json& t, Json&) { t["parts"][0]["file"] = "config.yaml"; }, "that is an attachment"},
      {[](Json& t, Json&) { t["parts"][0]["file"] = "rank-00002.h5"; }, "the checkpoint has no such file"},
      {[](Json&, Json& b) { b["tensors"]["adamw.m.matrix"] = b["tensors"]["model.matrix"]; }, "share bytes of rank-"},
      // Two shards of equal size are exchanged; only HDF5's metadata tells them apart.
      {[](Json&, Json& b) { std::swap(b["tensors"]["model.matrix"], b["tensors"]["adamw.m.matrix"]); }, "HDF5 finds"},
  };
  for (const Case& c : cases) {
    edit([&](Json& body) { c.change(body["tensors"]["model.matrix"], body); });
    EXPECT_THAT(walked_back(), AllOf(HasSubstr(c.expected), HasSubstr(newest().string())));  // even for a single defect
  }
}

// The newest checkpoint is chosen by the names of folders, so a copy under the name of another step must not be taken.
TEST_F(Hostile, AFolderNamedForAnotherStepThanItsManifestWalksBack) {
  edit([](Json& body) { body["step"] = 19; });
  const char* expected = "its manifest is of step 19, its name of step 20. Give it the name of its step, step-00000019";
  EXPECT_THAT(walked_back(), HasSubstr(expected));
  EXPECT_THAT(refused_by_commands(), HasSubstr(expected));
  std::filesystem::rename(newest(), dir_ / "kept");
  EXPECT_EQ(open_checkpoint(dir_ / "kept").step, 19) << "a name without a step is accepted";
}

// A checkpoint of many ranks has more files than a process may hold open.
TEST_F(Hostile, ManyFilesNeedFewDescriptors) {
  edit([&](Json& body) {
    for (int i = 0; i < 100; ++i) {
      const std::string name = concat("attachment", i);
      write_file(newest() / name, name);
      body["files"][name] = {{"bytes", name.size()}, {"xxh3", hex16(hash64(name.data(), name.size()))}};
    }
  });
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{64, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  EXPECT_NO_THROW(verify_checkpoint(newest()));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

// Otherwise a run would resume from the previous checkpoint and set this one aside.
TEST_F(Hostile, ALimitOfThisProcessIsNoDamage) {
#ifdef BIRKHOFF_SANITIZED
  GTEST_SKIP() << "the sanitizer needs a file descriptor to look at an exception";
#endif
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{3, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::string message = message_of<UserError>([&] { verify_checkpoint(newest()); });
  const std::string walked = message_of<std::runtime_error>([&] { walked_back(); });
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_THAT(message, HasSubstr("cannot open for reading: Too many open files; raise the limit of open files"));
  EXPECT_THAT(walked, HasSubstr("Too many open files"));
}

TEST_F(Hostile, ValuesThatTheRunDoesNotKnowAreRefused) {
  edit([](Json& body) {
    body["integers"]["model.matrix"] = 1;
    body["reals"]["strange"] = {{"bits", "3ff0000000000000"}};
    body["texts"]["other"] = "";
  });
  EXPECT_THAT(message_of<DataError>([&] { walked_back(); }),
              AllOf(HasSubstr("model.matrix is not a value of this run"), HasSubstr("strange is not a value"),
                    HasSubstr("other is not a value")));
}

TEST_F(Hostile, EveryNumberAndNameIsCheckedForTypeSignAndRange) {
  const auto set = [](const char* pointer, Json value) {
    return [=](Json& body) { body[Json::json_pointer(pointer)] = value; };
  };
  const std::string tensor = "/tensors/model.matrix", part = tensor + "/parts/0";
  struct Case {
    std::string pointer;
    Json value;
    const char* expected;
  };
  const int64_t huge = int64_t{1} << 62;
  const std::vector<Case> cases{
      {"/format", "birkhoff.shard", "format is \"birkhoff.shard\", expected 'birkhoff-checkpoint'"},
      {"/version", uint64_t{1} << 63, "version is 9223372036854775808, expected a whole number"},
      {"/version", "1", "version is \"1\", expected a whole number"},
      {"/step", -1, "step is -1, expected a whole number from 0"},
      {"/step", 1.0, "step is 1.0, expected a whole number"},
      {"/step", UINT64_MAX, "expected a whole number"},
      {"/tensors", Json::array(), "tensors is [], expected an object"},
      {tensor + "/dtype", "f16", "dtype is \"f16\", expected one of f32, bf16"},
      {tensor + "/shape", {1, 1, 1, 1, 1, 1}, "expected at most 5 dims"},
      {tensor + "/shape", {huge, huge}, "expected a shape whose size in bytes fits 63 bits"},
      {tensor + "/shape", {-2, -3}, "shape[0] is -2"},
      {tensor + "/shape", "7", "expected an array"},
      {part + "/boxes", 1, "parts[0].boxes is 1, expected an array"},
      {part + "/boxes/0", Json::array(), "parts[0].boxes[0] is [], expected a range for each dim of [7, 1301]"},
      {part + "/boxes/0/0", {0}, "parts[0].boxes[0][0] is [0], expected two numbers, the begin and the end of a range"},
      {part + "/boxes/0/0/0", -1, "parts[0].boxes[0][0][0] is -1"},
      {part + "/boxes/0/0/0", huge, "parts[0].boxes[0][0][0] is 4611686018427387904"},
      {part + "/boxes/0/1/1", 1302, "parts[0].boxes[0][1][1] is 1302"},
      {part + "/boxes/0/1", {7, 3}, "parts[0].boxes[0][1][1] is 3, expected a whole number from 7 to 1301"},
      {part + "/boxes",
       {{{0, 7}, {0, 1301}}, {{0, 1}, {0, 1}}},
       "expected boxes with no more elements than the tensor"},
      {part + "/offset", -8, "parts[0].offset is -8"},
      {part + "/offset", INT64_MAX, "parts[0].offset is"},
      {part + "/file", "../step-00000010/rank-00000.h5", "expected the plain name of a file"},
      {part + "/file", "..", "expected the plain name of a file"},
      {part + "/xxh3", "", "expected 16 hexadecimal digits"},
      {"/tensors/a~1b", {{"dtype", "u8"}, {"shape", {0}}, {"parts", Json::array()}}, "'a/b' is no name of a tensor"},
      {"/tensors/a\x1b[2J", 1, "tensors: a name of 5 bytes with control characters, expected plain text"},
      {"/texts/" + std::string(5000, 'x'), "", "texts: a name of 5000 bytes, expected plain text of at most 1000"},
      {"/reals/r", {{"bits", "1"}}, "reals.r.bits is \"1\", expected 16 hexadecimal digits"},
      {"/integers/i", 0.5, "integers.i is 0.5, expected a whole number"},
      {"/integers/i", UINT64_MAX, "integers.i is 18446744073709551615"},
      {"/texts/t", 1, "texts.t is 1, expected a string"},
      {"/files/config.yaml/bytes", -1, "files.config.yaml.bytes is -1"},
      {"/files/config.yaml/xxh3", "0", "expected 16 hexadecimal digits"},
      {"/files/~1etc~1passwd", {{"bytes", 1}, {"xxh3", ""}}, "expected the plain name of another file"},
      {"/files/manifest.json", {{"bytes", 1}, {"xxh3", ""}}, "expected the plain name of another file"},
  };
  for (const Case& c : cases) {
    edit(set(c.pointer.c_str(), c.value));
    EXPECT_THAT(walked_back(), AllOf(HasSubstr(path().string() + ": "), HasSubstr(c.expected))) << c.pointer;
  }
  for (const char* key : {"format", "step", "tensors", "integers", "reals", "texts", "files"}) {
    edit([&](Json& body) { body.erase(key); });
    EXPECT_THAT(walked_back(), HasSubstr(concat("has no '", key, "'")));
  }
}

// In version 1 parts are flat ranges.
TEST_F(Hostile, AManifestOfVersionOneIsReadAndCheckedAlike) {
  const auto to_version_one = [](Json& body) {
    body["version"] = 1;
    for (Json& tensor : body["tensors"]) {
      int64_t begin = 0;
      for (Json& part : tensor["parts"]) {
        int64_t count = 0;
        for (const Json& box : part["boxes"]) {
          int64_t elements = 1;
          for (const Json& range : box) elements *= range[1].get<int64_t>() - range[0].get<int64_t>();
          count += elements;
        }
        part["begin"] = begin;
        part["count"] = count;
        part.erase("boxes");
        begin += count;
      }
    }
  };
  edit(to_version_one);
  EXPECT_EQ(verify_checkpoint(newest()).step, 20);
  for (const auto& [key, value, expected] : {std::tuple{"begin", Json(-1), "parts[0].begin is -1"},
                                             {"count", Json(int64_t{1} << 62), "parts[0].count is 46"},
                                             {"count", Json(-4), "parts[0].count is -4"},
                                             {"begin", Json("0"), "parts[0].begin is \"0\""}}) {
    edit([&, &key = key, &value = value](Json& body) {
      to_version_one(body);
      body["tensors"]["model.matrix"]["parts"][0][key] = value;
    });
    EXPECT_THAT(walked_back(), HasSubstr(expected));
  }
  edit([&](Json& body) {
    to_version_one(body);
    body["tensors"]["model.matrix"]["parts"].erase(1);
  });
  EXPECT_THAT(walked_back(), HasSubstr("of 9107 elements are there; element ["));
}

TEST_F(Hostile, AKeyGivenTwiceWalksBack) {
  std::string text = good_;
  const size_t at = text.find("\"step\":");
  write_file(path(), text.insert(at, "\"step\": 20,\n"));
  EXPECT_THAT(walked_back(), HasSubstr("has the key 'step' twice"));
}

TEST_F(Hostile, ReadingEndsWhateverKindOfFileANameLeadsTo) {
  for (const char* name : {"manifest.json", "rank-00001.h5", "config.yaml"}) {
    const auto file = newest() / name, kept = dir_ / "kept";
    std::filesystem::rename(file, kept);
    ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
    EXPECT_THAT(walked_back(), HasSubstr(file.string() + ": is a pipe, expected a regular file"));
    EXPECT_THAT(refused_by_commands(), HasSubstr("is a pipe"));
    std::filesystem::remove(file);
    std::filesystem::create_directory(file);
    EXPECT_THAT(walked_back(), HasSubstr(file.string() + ": is a folder, expected a regular file"));
    std::filesystem::remove(file);
    std::filesystem::create_symlink("/dev/zero", file);
    EXPECT_THAT(walked_back(), HasSubstr(file.string() + ": is a device, expected a regular file"));
    std::filesystem::remove(file);
    std::filesystem::create_symlink(kept, file);
    EXPECT_EQ(load_newest(2, dir_.path(), [](int64_t step) { return step; })->manifest.step, 20) << name;
    std::filesystem::remove(file);
    std::filesystem::rename(kept, file);
  }
}

// A visitor that supplies given integers, as a checkpoint would.
class Given final : public StateVisitor {
 public:
  explicit Given(std::map<std::string, int64_t> integers) : integers_(std::move(integers)) {}
  void replicated(const std::string&, Tensor, const Slice&, const Communicator&) override {}
  void shard(const std::string&, Tensor, const Slice&) override {}
  void integer(const std::string& name, int64_t& value) override { value = integers_.at(name); }
  void real(const std::string&, double&) override {}
  void text(const std::string&, std::string&) override {}

 private:
  std::map<std::string, int64_t> integers_;
};

TEST(Counts, OutOfRangeAreRefusedBeforeTheyAreUsed) {
  const auto refusal = [](int64_t count, int64_t next) {
    SpikeDetector detector(SpikeOptions{});
    Given given({{"spike.count", count}, {"spike.next", next}});
    return message_of<DataError>([&] { detector.state(given); });
  };
  EXPECT_EQ(refusal(-1, 0), "spike.count is -1, expected a number from 0 to 100000");
  EXPECT_EQ(refusal(int64_t{1} << 60, 0), "spike.count is 1152921504606846976, expected a number from 0 to 100000");
  EXPECT_EQ(refusal(3, 3), "spike.next is 3, expected a number from 0 to 2");
  EXPECT_EQ(refusal(3, -1), "spike.next is -1, expected a number from 0 to 2");
}

}  // namespace
}  // namespace birkhoff
