// birkhoff checkpoint inspect, verify and diff, and the example reader in docs/formats/checkpoint.md.
#include <functional>
#include <sstream>
#include <utility>

#include "tests/support/program.h"
#include "tests/trainer/checkpoint/saves.h"
#include "trainer/checkpoint/commands.h"

namespace birkhoff {
namespace {

using test::ProgramResult;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

ProgramResult checkpoint(const std::string& arguments) {
  return test::run_program(BIRKHOFF_PROGRAM " checkpoint " + arguments + " 2>&1");
}

class CheckpointCommand : public testing::Test {
 protected:
  CheckpointCommand() {
    save_once(2, dir_.path(), 10, 10);
    save_once(3, dir_.path(), 20, 10);
  }
  std::string path(int64_t step) const { return (dir_ / checkpoint_name(step)).string(); }

  const TempDir dir_;
};

TEST_F(CheckpointCommand, InspectsStepFilesClassesTensorsAndValues) {
  const ProgramResult r = checkpoint("inspect " + path(10));
  EXPECT_EQ(r.exit_code, 0) << r.output;
  // model.matrix 9107 f32, columns 6005 f32, half 33 bf16, scalar, nothing, table 1203 bf16: 6 tensors, 16349 elements.
  EXPECT_THAT(r.output, AllOf(HasSubstr("step       10\n"), testing::ContainsRegex("weights +6 +16349 +62924\n"),
                              testing::ContainsRegex("adamw.m +1 +9107 +36428\n"), testing::ContainsRegex("total +11 "),
                              testing::ContainsRegex("config.yaml +16 attachment\n")));
  EXPECT_THAT(r.output, AllOf(HasSubstr("  model.matrix f32[7, 1301] in 2 parts\n"), HasSubstr("  steps = 10000030\n"),
                              HasSubstr("  real.6 = 0.1\n")));
}

TEST_F(CheckpointCommand, VerifiesOneOrAllOfARun) {
  EXPECT_EQ(checkpoint("verify " + path(10)).output, path(10) + ": valid, step 10, 11 tensors in 4 files\n");
  const ProgramResult r = checkpoint("verify " + dir_.path().string());
  EXPECT_EQ(r.exit_code, 0);
  EXPECT_THAT(r.output, AllOf(HasSubstr("step-00000010: valid"), HasSubstr("step-00000020: valid")));
}

// A file's name must not control the terminal of whoever looks at it.
TEST_F(CheckpointCommand, ShowsControlCharactersByTheirNumbers) {
  write_file(dir_ / "step-00000010" / "stray\x1b[2J", "");
  for (const std::string& command : {"inspect " + path(10), "verify " + dir_.path().string()}) {
    const ProgramResult r = checkpoint(command);
    EXPECT_EQ(r.exit_code, 0) << r.output;
    EXPECT_THAT(r.output, AllOf(HasSubstr("stray\\x1b[2J is not part of"), Not(HasSubstr("\x1b"))));
  }
  const ProgramResult r = checkpoint("verify '/no\x1bwhere'");
  EXPECT_THAT(r.output, AllOf(HasSubstr("/no\\x1bwhere"), Not(HasSubstr("\x1b"))));
}

TEST_F(CheckpointCommand, AnInvalidCheckpointGivesCodeSixAndTheOthersAreStillVerified) {
  std::filesystem::resize_file(dir_ / "step-00000010" / "rank-00001.h5", 100);
  const ProgramResult r = checkpoint("verify " + dir_.path().string());
  EXPECT_EQ(r.exit_code, 6);
  EXPECT_THAT(r.output,
              AllOf(HasSubstr("step-00000010: NOT VALID: "), HasSubstr("rank-00001.h5: 100 bytes, expected "),
                    HasSubstr("step-00000020: valid"), HasSubstr("data error: 1 of 2 checkpoints not valid")));
  const std::vector<std::string> others{"inspect " + path(10), "diff " + path(10) + " " + path(20), "inspect /nowhere",
                                        "verify /nowhere"};
  for (const std::string& command : others) {
    EXPECT_EQ(checkpoint(command).exit_code, 6) << command;
  }
}

// Calls a function once, at the first write.
class CallingBuffer : public std::stringbuf {
 public:
  explicit CallingBuffer(std::function<void()> call) : call_(std::move(call)) {}

 protected:
  std::streamsize xsputn(const char* text, std::streamsize count) override {
    if (call_) std::exchange(call_, nullptr)();
    return std::stringbuf::xsputn(text, count);
  }

 private:
  std::function<void()> call_;
};

TEST_F(CheckpointCommand, ACheckpointThatItsRunRemovesMeanwhileIsLeftOut) {
  save_once(1, dir_.path(), 30, 10);
  CallingBuffer buffer([&] { std::filesystem::remove_all(path(20)); });
  std::ostream out(&buffer);
  verify_checkpoints(dir_.path(), out);
  EXPECT_EQ(buffer.str(), path(10) + ": valid, step 10, 11 tensors in 4 files\n" + path(30) +
                              ": valid, step 30, 11 tensors in 3 files\n");
}

TEST_F(CheckpointCommand, OneBitIsFound) {
  const Manifest::Part part = open_checkpoint(path(10)).tensors.at("model.table").parts.at(1);
  const auto file = dir_ / "step-00000010" / part.file;
  std::string bytes = read_file(file);
  bytes.at(static_cast<size_t>(part.offset)) ^= 1;
  write_file(file, bytes);
  const ProgramResult r = checkpoint("verify " + path(10));
  EXPECT_EQ(r.exit_code, 6);
  EXPECT_THAT(r.output,
              HasSubstr(concat("model.table in ", file.string(), " at byte ", part.offset, ": the checksum is ")));
}

TEST_F(CheckpointCommand, EqualStateOfAnotherLayoutDiffersInTheStepAlone) {
  EXPECT_EQ(checkpoint("diff " + path(10) + " " + path(10)).output, "no difference\n");
  EXPECT_EQ(checkpoint("diff " + path(10) + " " + path(20)).output, "step: 10 -> 20\n");
}

void save_values(const std::filesystem::path& directory, int64_t step, float second, const std::string& config) {
  run_ranks(1, [&](Communicator& comm) {
    std::vector<float> x{1, second, 3};
    int64_t steps = step;
    double rate = 0.5 / static_cast<double>(step);
    CheckpointWriter writer(comm, Device{}, {directory, 9, false});
    auto state = [&](StateVisitor& v) {
      v.replicated("model.x", {x.data(), DType::f32, {3}}, Slice::all({3}), comm);
      v.replicated(step == 1 ? "model.old" : "model.new", {x.data(), DType::f32, {1}}, Slice::all({1}), comm);
      v.integer("steps", steps);
      v.real("rate", rate);
    };
    writer.begin(step, state, {{"config.yaml", config}});
    EXPECT_TRUE(writer.finish()->saved);
  });
}

TEST_F(CheckpointCommand, TellsWhatDiffersAndByHowMuch) {
  const TempDir dir;
  save_values(dir.path(), 1, 2, "a: 1\nb: 2\nc: 3\n");
  save_values(dir.path(), 2, 2.5, "a: 1\nb: 5\nc: 3\n");
  const ProgramResult r =
      checkpoint("diff " + (dir / "step-00000001").string() + " " + (dir / "step-00000002").string());
  EXPECT_EQ(r.exit_code, 0);
  EXPECT_THAT(r.output, AllOf(HasSubstr("steps: 1 -> 2\n"), HasSubstr("rate: 0.5 -> 0.25\n"),
                              HasSubstr("model.x: 1 of 3 elements differ, by at most 0.5, relatively 0.2\n"),
                              HasSubstr("model.old: only in "), HasSubstr("model.new: only in "),
                              HasSubstr("config.yaml differs:\n  - b: 2\n  + b: 5\n")));
  EXPECT_THAT(r.output, Not(HasSubstr("a: 1")));
}

// The python3 of the path, or the system's, for which the package manager installs h5py; empty if neither has h5py.
std::string python_with_h5py() {
  for (const std::string python : {"python3", "/usr/bin/python3"}) {
    if (test::run_program(python + " -c 'import h5py' 2>/dev/null").exit_code == 0) return python;
  }
  return {};
}

// Runs the code block of docs/formats/checkpoint.md as it stands.
TEST_F(CheckpointCommand, TheDocumentedReaderReadsIt) {
  const std::string python = python_with_h5py();
  if (python.empty()) GTEST_SKIP() << "neither python3 nor /usr/bin/python3 has h5py";
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  const std::string text = read_file(std::filesystem::path(source ? source : ".") / "docs/formats/checkpoint.md");
  const size_t begin = text.find("```python\n") + 10;
  ASSERT_LT(begin, text.size());
  const std::string script = text.substr(begin, text.find("```", begin) - begin) +
                             "\nimport zlib\nfor n in ('model.matrix', 'adamw.v.pair', 'model.half', 'counts'):\n"
                             "    t = read(sys.argv[1], n)\n    print(n, t.dtype, t.shape, zlib.crc32(t.tobytes()))\n";
  write_file(dir_ / "read.py", script);
  std::string outputs[2];
  for (int i = 0; i < 2; ++i) {
    const ProgramResult r =
        test::run_program(python + " " + (dir_ / "read.py").string() + " " + path(10 + 10 * i) + " 2>&1");
    EXPECT_EQ(r.exit_code, 0) << r.output;
    outputs[i] = r.output;
  }
  EXPECT_THAT(outputs[0], AllOf(HasSubstr("model.matrix float32 (7, 1301)"), HasSubstr("model.half uint16 (33,)"),
                                HasSubstr("counts int64 (5, 3, 3)")));
  EXPECT_EQ(outputs[0], outputs[1]) << "two layouts of equal state";
}

}  // namespace
}  // namespace birkhoff
