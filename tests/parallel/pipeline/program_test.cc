#include "parallel/pipeline/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using testing::HasSubstr;
using Kind = Action::Kind;

std::string text_of(const Program& program) {
  std::string text;
  for (const Action& action : program.actions) text += to_text(action) + ' ';
  return text;
}

// Parses a program such as "F0.0 B0.0" (see to_text).
Program program_of(int chunks, int microbatches, const std::string& text) {
  Program program{chunks, microbatches, {}};
  for (size_t at = 0; at + 3 < text.size(); at += 5) {
    const auto kind = static_cast<Kind>(std::string("FBIW").find(text[at]));
    program.actions.push_back({kind, text[at + 1] - '0', text[at + 3] - '0'});
  }
  return program;
}

std::string defect_of(int chunks, int microbatches, const std::string& text) {
  try {
    check_program(program_of(chunks, microbatches, text));
  } catch (const BugError& error) {
    return error.what();
  }
  return "none";
}

TEST(Program, OfOneStageNeedsOneFrame) {
  EXPECT_EQ(text_of(sequential_program(1, 2)), "F0.0 B0.0 F0.1 B0.1 ");
  EXPECT_EQ(text_of(sequential_program(1, 0)), "");
  EXPECT_EQ(text_of(forward_program(2, 2)), "F0.0 F1.0 F0.1 F1.1 ");
  check_program(sequential_program(1, 3));
  check_program(forward_program(3, 2));
}

TEST(Program, MayPutOffTheGradientsOfWeights) {
  EXPECT_EQ(defect_of(2, 2, "F0.0 F1.0 F0.1 F1.1 I1.0 I0.0 W1.0 B1.1 W0.0 B0.1"), "none");
}

TEST(Program, ThatCannotBeCarriedOutIsRefused) {
  EXPECT_THAT(defect_of(1, 1, "B0.0 F0.0"), HasSubstr("B0.0 comes before its forward"));
  EXPECT_THAT(defect_of(2, 1, "F1.0 F0.0"), HasSubstr("F1.0 comes before the forward of the chunk before"));
  EXPECT_THAT(defect_of(2, 1, "F0.0 F1.0 I0.0"), HasSubstr("I0.0 comes before the backward of the chunk after"));
  EXPECT_THAT(defect_of(1, 1, "F0.0 W0.0 I0.0"), HasSubstr("W0.0 comes before its backward to the input"));
  EXPECT_THAT(defect_of(1, 2, "F0.1 F0.0"), HasSubstr("F0.1 is out of order: microbatch 0 is the next"));
  EXPECT_THAT(defect_of(1, 1, "F0.0 F0.0"), HasSubstr("F0.0 is out of order: microbatch 1 is the next"));
  EXPECT_THAT(defect_of(1, 2, "F0.0 F0.1 B0.1"), HasSubstr("B0.1 is out of order"));
  EXPECT_THAT(defect_of(1, 2, "F0.0 F0.1 I0.0 I0.1 W0.1"), HasSubstr("W0.1 is out of order"));
  EXPECT_THAT(defect_of(1, 1, "F0.0 I0.0"), HasSubstr("chunk 0 lacks the W of microbatch 0"));
  EXPECT_THAT(defect_of(2, 1, "F0.0 F1.0 B1.0"), HasSubstr("chunk 0 lacks the backward of microbatch 0"));
  EXPECT_THAT(defect_of(1, 2, "F0.0 F0.1 B0.0"), HasSubstr("chunk 0 lacks the backward of microbatch 1"));
  EXPECT_THAT(defect_of(2, 1, "F0.0"), HasSubstr("chunk 1 lacks the F of microbatch 0"));
  EXPECT_THAT(defect_of(1, 1, "F1.0"), HasSubstr("F1.0: there is no such chunk"));
  EXPECT_THAT(defect_of(1, 1, "F0.1"), HasSubstr("F0.1: no such microbatch"));
}

}  // namespace
}  // namespace birkhoff
