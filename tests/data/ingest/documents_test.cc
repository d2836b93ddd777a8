#include "data/ingest/documents.h"

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string_view> split(std::string_view text, const SplitRule& rule) {
  return DocumentSplitter(rule).split(text);
}

TEST(DocumentSplitter, CutsByRuleAndLosesNoByte) {
  const std::string text = "a\nb\n\n\nc\n  \nd";
  SplitRule rule;
  EXPECT_THAT(split(text, rule), ElementsAre(text));
  rule.kind = SplitRule::Kind::blank_lines;
  EXPECT_THAT(split(text, rule), ElementsAre("a\nb\n\n\n", "c\n  \n", "d"));
  rule.min_bytes = 7;
  EXPECT_THAT(split(text, rule), ElementsAre("a\nb\n\n\nc\n  \n", "d"));
  rule = {SplitRule::Kind::regex, "^[bd]", 0, 0};
  EXPECT_THAT(split(text, rule), ElementsAre("a\n", "b\n\n\nc\n  \n", "d"));
  rule = {SplitRule::Kind::size, "", 3, 0};
  EXPECT_THAT(split(text, rule), ElementsAre("a\nb\n", "\n\nc\n", "  \n", "d"));
  EXPECT_TRUE(split("", rule).empty());
  rule = {SplitRule::Kind::regex, "[", 0, 0};
  EXPECT_THROW(split(text, rule), UserError);
}

class CorpusOfFiles : public testing::Test {
 protected:
  std::vector<std::string> read(const std::string& name) {
    options_.inputs = {(dir_ / name).string()};
    notes_.clear();
    options_.log = [this](const std::string& note) { notes_ += note + "\n"; };
    std::vector<std::string> documents;
    BadLines bad;
    Corpus(options_).read(bad, [&](std::string_view document) { documents.emplace_back(document); });
    return documents;
  }
  std::string refusal(const std::string& name) {
    try {
      read(name);
    } catch (const Error& error) {
      return error.what();
    }
    return "read: " + notes_;
  }

  TempDir dir_;
  CorpusOptions options_;
  std::string notes_;
};

TEST_F(CorpusOfFiles, TakesJsonLinesByNameInAnyCaseAndByContent) {
  const std::string lines = "\xef\xbb\xbf{\"text\": \"x\"}\r\n\r\n{\"other\": 1, \"text\": \"y\"}";
  for (const char* name : {"a.jsonl", "b.JSONL", "c.ndjson", "d.json", "e.txt", "f"}) {
    write_file(dir_ / name, lines);
    EXPECT_THAT(read(name), ElementsAre("x", "y")) << name;
    EXPECT_EQ(notes_, "read files: 1 as JSON lines (field 'text'); 2 documents, 2 bytes of text\n");
  }
  options_.format = TextFormat::text;
  EXPECT_THAT(read("a.jsonl"), ElementsAre(lines.substr(3)));
  options_.format = TextFormat::json_lines;
  write_file(dir_ / "g.txt", "text\n");
  EXPECT_THAT(refusal("g.txt"), HasSubstr("g.txt: line 1: is not JSON"));
}

TEST_F(CorpusOfFiles, ReadsProseAsText) {
  for (const char* text : {"{curly} prose\n", "[1] a reference\n", "{}\nand more", "a\xe9\xff\n", "\f\tpage\n", ""}) {
    write_file(dir_ / "a.txt", text);
    EXPECT_THAT(refusal("a.txt"), HasSubstr("read files: 1 as text")) << text;
  }
}

TEST_F(CorpusOfFiles, RefusesJsonDocuments) {
  for (const char* text : {"{\n \"text\": \"x\"\n}\n", "[\n{\"text\": \"x\"}\n]", "[{\"text\": \"x\"}]"}) {
    for (const char* name : {"a.json", "a.txt"}) {
      write_file(dir_ / name, text);
      EXPECT_THAT(refusal(name), HasSubstr(": is one JSON document; expected one object a line")) << text;
    }
  }
  write_file(dir_ / "a.json", "prose\n");
  EXPECT_THAT(refusal("a.json"), HasSubstr("is called .json and is no JSON lines"));
}

// A file of JSON that is not one object per line is not text to train on, whatever its name.
TEST_F(CorpusOfFiles, RefusesJsonThatIsNotOneObjectALine) {
  for (const char* text :
       {"{\n \"text\": \"x\"\n}\n{\n \"text\": \"}\\\"{\"\n}\n", "{\"text\": \"x\"},\n{\"text\": \"y\"},\n",
        "[\"x\", \"y\"]\n[\"z\"]\n", "{}\n{\"text\": \"x\"}\n", "[]\n[1, [2]]\n{}"}) {
    write_file(dir_ / "a.txt", text);
    EXPECT_THAT(refusal("a.txt"), HasSubstr("a.txt: is a series of JSON values; expected one object a line")) << text;
  }
  for (const char* text : {"[1] A footnote\n", "[1]\n[2]\ntext\n", "{} is empty\n", "{\n", "[1]]\n", "}\n{}\n"}) {
    write_file(dir_ / "a.txt", text);
    EXPECT_THAT(read("a.txt"), ElementsAre(text));
  }
}

// The input is a part of a JSON lines file, as `split -b` makes it.
TEST_F(CorpusOfFiles, ReadsAPieceOfJsonLinesAsJsonLines) {
  write_file(dir_ / "xab", "xt\": \"x\"}\n{\"text\": \"y\"}\n\n{\"text\": \"z\"}\n{\"te");
  EXPECT_THAT(refusal("xab"), HasSubstr("xab: line 1: is not JSON: column 1"));
  for (const char* text : {"An object:\n{\"a\": 1}\n", "Two:\n{\"a\": 1}\n{\"a\": 1}\nand prose\nagain\n"}) {
    write_file(dir_ / "a.txt", text);
    EXPECT_THAT(read("a.txt"), ElementsAre(text));
  }
}

TEST_F(CorpusOfFiles, NamesFormatsThatConsistOfAsciiCharacters) {
  write_file(dir_ / "jis.txt", "\x1b$B4A;z\x1b(B\n");
  EXPECT_THAT(refusal("jis.txt"), HasSubstr("jis.txt: holds text in ISO-2022; convert it with iconv"));
  write_file(dir_ / "c.txt", "070701" + std::string(104, '0') + "a.txt\n");
  EXPECT_THAT(refusal("c.txt"), HasSubstr("c.txt: a cpio archive"));
  write_file(dir_ / "number.txt", "0707011234 is a number\n");
  EXPECT_EQ(read("number.txt").size(), 1u);
}

TEST_F(CorpusOfFiles, ListsTheFilesThatAreNoTextBeforeItReadsAny) {
  using std::string_literals::operator""s;
  write_file(dir_ / "in/a.txt", "text");
  write_file(dir_ / "in/b.png", "\x89PNG\r\n\x1a\n");
  write_file(dir_ / "in/c.txt",
             "\xfd"
             "7zXZ\0\0"s);
  const std::string message = refusal("in");
  EXPECT_THAT(message, HasSubstr("2 files hold no text:"));
  EXPECT_THAT(message, HasSubstr("b.png: a PNG picture"));
  EXPECT_THAT(message, HasSubstr("c.txt: data compressed by xz"));
  options_.format = TextFormat::text;
  EXPECT_EQ(read("in").size(), 3u);
}

TEST_F(CorpusOfFiles, NamesEncodingsAndBinaryContents) {
  using std::string_literals::operator""s;
  const std::pair<std::string, const char*> contents[] = {{"\xff\xfe"
                                                           "a\0b\0"s,
                                                           "text in UTF-16"},
                                                          {"\xfe\xff\0a\0b"s, "text in UTF-16"},
                                                          {"a\0b\0c\0d\0"s, "text in UTF-16"},
                                                          {"\xff\xfe\0\0a\0\0\0"s, "text in UTF-32"},
                                                          {"text\0with zeros"s, "1 of 15 bytes are zero"},
                                                          {"\x01\x02\x03\x04", "are control characters"}};
  for (const auto& [bytes, name] : contents) {
    write_file(dir_ / "a.txt", bytes);
    EXPECT_THAT(refusal("a.txt"), HasSubstr(name));
  }
}

TEST_F(CorpusOfFiles, SaysWhichTextIsNotUtf8) {
  for (const char* name : {"in/a.txt", "in/b.txt"}) write_file(dir_ / name, "caf\xe9\n");
  write_file(dir_ / "in/c.txt", "caf\xc3\xa9\n");
  EXPECT_EQ(read("in").size(), 3u);
  EXPECT_THAT(notes_, HasSubstr("in/a.txt and 1 more; convert text of another encoding with iconv"));
  read("in/c.txt");
  EXPECT_THAT(notes_, testing::Not(HasSubstr("UTF-8")));
}

// A line is parsed without its line feed, which would change the parser's message, and a user whose file is prose is
// pointed to --format text.
TEST_F(CorpusOfFiles, NamesColumnAndRemedyOfABadJsonLine) {
  write_file(dir_ / "a.txt", "{\"a\" is how this prose begins}\nand goes on\n");
  EXPECT_THAT(refusal("a.txt"), HasSubstr("--format text takes the file as it stands"));
  write_file(dir_ / "a.jsonl", "{\"text\": \"x\n");
  EXPECT_THAT(refusal("a.jsonl"), HasSubstr("missing closing quote"));
}

TEST_F(CorpusOfFiles, NamesAFileThatVanishes) {
  write_file(dir_ / "a.txt", "text");
  options_.inputs = {(dir_ / "a.txt").string()};
  const Corpus corpus(options_);
  std::filesystem::remove(dir_ / "a.txt");
  BadLines bad;
  try {
    corpus.read(bad, [](std::string_view) {});
    FAIL() << "no error";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("a.txt: no such file"));
  }
}

TEST_F(CorpusOfFiles, NamesFileAndLineOfARegexWithoutEnd) {
  options_.split = {SplitRule::Kind::regex, "(a+)+$", 0, 0};
  write_file(dir_ / "a.txt", "x\n" + std::string(5000, 'a') + "b\n");
  EXPECT_THAT(refusal("a.txt"), HasSubstr("a.txt: line 2: the regex (a+)+$ fails on a text of 5001 bytes"));
}

}  // namespace
}  // namespace birkhoff
