#include "data/ingest/inputs.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "kernels/core/error.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

class Inputs : public testing::Test {
 protected:
  // The files found, as paths relative to the folder of the test.
  std::vector<std::string> find(const std::vector<std::string>& names, const fs::path& output = {}) {
    std::vector<std::string> paths, found;
    for (const std::string& name : names) paths.push_back((dir_ / name).string());
    notes_.clear();
    for (const fs::path& file :
         find_inputs(paths, output, [this](const std::string& note) { notes_ += note + "\n"; })) {
      found.push_back(file.lexically_normal().lexically_relative(dir_.path()).string());
    }
    return found;
  }
  std::string refusal(const std::vector<std::string>& names) {
    try {
      find(names);
    } catch (const Error& error) {
      return error.what();
    }
    return "found";
  }

  TempDir dir_;
  std::string notes_;
};

TEST_F(Inputs, AreTheFilesOfFoldersInOrder) {
  for (const char* name : {"in/b", "in/a/z", "in/a-b", "c"}) write_file(dir_ / name, name);
  EXPECT_THAT(find({"c", "in"}), ElementsAre("c", "in/a-b", "in/a/z", "in/b"));
  EXPECT_THAT(find({"in/./a/.."}), ElementsAre("in/a-b", "in/a/z", "in/b"));
  EXPECT_EQ(notes_, "");
}

TEST_F(Inputs, ReportWhatIsSkipped) {
  for (const char* name : {"in/a", "in/.git/b", "in/.c", "in/new/d"}) write_file(dir_ / name, name);
  write_file(dir_ / "in/data/dataset.json", "{\"format\": \"birkhoff.dataset\"}");
  write_file(dir_ / "in/data/train/shard-00000.h5", "tokens");
  fs::create_directory_symlink("..", dir_ / "in/up");
  fs::create_symlink("nowhere", dir_ / "in/gone");
  fs::create_symlink("loop", dir_ / "in/loop");
  fs::create_symlink("a", dir_ / "in/same");
  ::mkfifo((dir_ / "in/pipe").c_str(), 0600);
  EXPECT_THAT(find({"in"}, dir_ / "in/new"), ElementsAre("in/a"));
  for (const char* note :
       {"and 1 more: its name is hidden", "in/data: it is a dataset", "in/up: it is a symbolic link to",
        "and 1 more: it is a symbolic link that leads to no file", "in/same: the same file",
        "in/pipe: it is neither a file nor a folder", "in/new: it is the folder of the output"}) {
    EXPECT_THAT(notes_, HasSubstr(note));
  }
}

TEST_F(Inputs, AreReadOnceHoweverTheyAreNamed) {
  write_file(dir_ / "in/a", "a");
  EXPECT_THAT(find({"in/a", "in/../in/a", "in"}), ElementsAre("in/a"));
  EXPECT_THAT(notes_, HasSubstr("and 1 more: the same file was named before; it is read once"));
}

TEST_F(Inputs, NameThePathThatTheFileSystemRefuses) {
  write_file(dir_ / "a", "a");
  write_file(dir_ / "data/dataset.json", "{\"format\": \"birkhoff.dataset\"}");
  fs::create_symlink("self", dir_ / "self");
  EXPECT_THAT(refusal({"nowhere"}), HasSubstr("there is no file or folder "));
  EXPECT_THAT(refusal({"a/b"}), HasSubstr("a/b: cannot look at it: Not a directory"));
  EXPECT_THAT(refusal({"self"}), HasSubstr("self: cannot look at it: Too many levels of symbolic links"));
  EXPECT_THAT(refusal({std::string(300, 'x')}), HasSubstr("File name too long"));
  ::mkfifo((dir_ / "pipe").c_str(), 0600);
  EXPECT_THAT(refusal({"pipe"}), HasSubstr("pipe: is a pipe, expected a file or a folder. Files compressed by gzip"));
  EXPECT_THROW(find_inputs({""}, {}, nullptr), UserError);
  EXPECT_THAT(refusal({"data"}), HasSubstr("data is a dataset that birkhoff data ingest made"));
}

TEST(Shown, SpellsWhatATerminalCannotShow) { EXPECT_EQ(shown("a b\n\xff\xc3\xa4"), "a b\\x0a\\xff\u00e4"); }

}  // namespace
}  // namespace birkhoff
