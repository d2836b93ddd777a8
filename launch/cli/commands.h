#pragma once
#include "launch/cli/cli.h"

namespace birkhoff {

// One function for each command, defined in launch/cli/NAME.cc. See docs/how-to/add-a-command.md.
void add_bench(Cli& cli);
void add_checkpoint(Cli& cli);
void add_data(Cli& cli);
void add_describe(Cli& cli);
void add_doctor(Cli& cli);
void add_eval(Cli& cli);
void add_tokenizer(Cli& cli);
void add_train(Cli& cli);
void add_verify_layout(Cli& cli);

inline constexpr void (*kCommands[])(Cli&) = {add_train,    add_eval,   add_checkpoint, add_data,         add_tokenizer,
                                              add_describe, add_doctor, add_bench,      add_verify_layout};

}  // namespace birkhoff
