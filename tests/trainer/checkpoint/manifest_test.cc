// join() merges the records of the writers of one checkpoint and refuses values that differ between them.
#include "trainer/checkpoint/manifest.h"

#include <gmock/gmock.h>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using testing::HasSubstr;

Manifest record() {
  Manifest m;
  m.step = 4;
  m.integers["trainer.steps"] = 4;
  m.reals["spike.mean"] = 0.1;
  m.texts["data.cursor"] = "here";
  return m;
}

std::string refusal(const Manifest& second) {
  try {
    join({record(), second});
  } catch (const DataError& e) {
    return e.what();
  }
  return "";
}

TEST(Join, TakesWritersThatAgree) {
  const Manifest m = join({record(), record(), record()});
  EXPECT_EQ(m.integers.at("trainer.steps"), 4);
  EXPECT_EQ(m.texts.at("data.cursor"), "here");
}

TEST(Join, RefusesAValueThatDiffersBetweenWriters) {
  Manifest m = record();
  m.integers["trainer.steps"] = 5;
  EXPECT_THAT(refusal(m), HasSubstr("trainer.steps: writer 1 has 5, writer 0 4"));
  m = record();
  m.texts["data.cursor"] = "there";
  EXPECT_THAT(refusal(m), HasSubstr("data.cursor: writer 1 has 'there', writer 0 'here'"));
  m = record();
  m.step = 3;
  EXPECT_THAT(refusal(m), HasSubstr("the step: writer 1 has 3, writer 0 4"));
}

TEST(Join, RefusesRealsThatDifferInOneBit) {
  Manifest m = record();
  m.reals["spike.mean"] = 0.1 + 1.4e-17;
  EXPECT_THAT(refusal(m), HasSubstr("spike.mean: writer 1 has 0.1 (3fb999999999999b)"));
  m.reals["spike.mean"] = -0.0;
  Manifest zero = record();
  zero.reals["spike.mean"] = 0.0;
  EXPECT_THROW(join({zero, m}), DataError);
}

TEST(Join, RefusesAValueThatOneWriterLacks) {
  Manifest m = record();
  m.reals["more"] = 1;
  EXPECT_THAT(refusal(m), HasSubstr("more: writer 1 has it, writer 0 does not"));
  m = record();
  m.texts.clear();
  EXPECT_THAT(refusal(m), HasSubstr("data.cursor: writer 0 has it, writer 1 does not"));
}

}  // namespace
}  // namespace birkhoff
