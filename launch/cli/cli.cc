#include "launch/cli/cli.h"

#include <algorithm>
#include <cstdio>

#include <CLI/CLI.hpp>

#include "kernels/core/error.h"
#include "kernels/core/nearest.h"
#include "trainer/config/number.h"

namespace birkhoff {
namespace {

SerialAction print(std::string text) {
  return [text = std::move(text)] {
    std::fputs(text.c_str(), stdout);
    return ExitCode::done;
  };
}

// An empty value usually comes from an unset shell variable. It must not be taken for an option that was left out.
std::string refuse_empty(const std::string& value) {
  return value.empty() ? "the value is empty; give one, or leave the option out" : "";
}

// Numbers are parsed like those of a config. CLI11 by itself reads 010 as eight, and a number beyond 64 bits as the
// largest one.
std::string whole_number(const std::string& text) {
  const auto value = parse_number<int64_t>(text);
  if (!value) throw CLI::ValidationError(concat("'", text, "' is no whole number of 64 bits in decimal digits"));
  return std::to_string(*value);
}
std::string real_number(const std::string& text) {
  const auto value = parse_number<double>(text);
  if (!value) throw CLI::ValidationError(concat("'", text, "' is no finite number in decimal digits, such as 0.01"));
  return shortest(*value);
}

// The innermost subcommand that the arguments name.
CLI::App* selected(CLI::App* app) {
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return app;
}

std::string path_of(const CLI::App* app) {
  return app->get_parent() ? path_of(app->get_parent()) + " " + app->get_name() : app->get_name();
}

// Finds a word that stands where a subcommand of `app` is expected but is not a subcommand.
std::string unknown_command(const CLI::App* app, const std::vector<std::string>& arguments) {
  const auto at =
      app->get_parent() ? std::find(arguments.begin(), arguments.end(), app->get_name()) + 1 : arguments.begin();
  std::vector<std::string> names;
  for (const CLI::App* command : app->get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  if (names.empty() || at >= arguments.end() || at->starts_with('-')) return "";
  const std::string name = nearest(*at, {names.begin(), names.end()});
  return concat("'", *at, "' is not a command", name.empty() ? "" : concat("; did you mean ", name, "?"));
}

bool is_option(std::string_view word) { return word.size() > 1 && word.starts_with('-') && word != "--"; }

// Finds an option that would get an unintended value. CLI11 takes the next word as the value of "--output=" (with an
// unset shell variable behind it), and "=x" as the value of "-o=x".
std::string misleading_value(const CLI::App* app, const std::vector<std::string>& arguments) {
  for (const std::string& word : arguments) {
    if (word == "--") break;
    const std::string name = word.substr(0, word.find('='));
    if (!is_option(word) || name.size() == word.size() || !app->get_option_no_throw(name)) continue;
    const std::string value = word.substr(name.size() + 1);
    if (value.empty()) return concat(word, " has no value; give one, or leave the option out");
    if (!name.starts_with("--"))
      return concat(word, ": a value follows ", name, " without '='; write ", name, " ", value);
  }
  return "";
}

// Finds a word that looks like an option but is not an option of this command. CLI11 would report a missing argument
// instead.
std::string unknown_option(const CLI::App* app, const std::vector<std::string>& arguments) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app->get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  const CLI::Option* before = nullptr;
  for (const std::string& word : arguments) {
    if (word == "--") break;
    const std::string name = word.substr(0, word.find('='));
    const bool is_value = before != nullptr && before->get_type_size_max() > 0;
    before = is_value || !is_option(word) ? nullptr : app->get_option_no_throw(word);
    if (is_value || !is_option(word) || app->get_option_no_throw(name)) continue;
    const std::string close = nearest(name, {names.begin(), names.end()});
    return concat(name, " is not an option", close.empty() ? "" : concat("; did you mean ", close, "?"));
  }
  return "";
}

// Returns a message about the mistake in the arguments that is better than CLI11's, or an empty string if there is
// none.
std::string better_message(const CLI::App* app, const std::vector<std::string>& arguments) {
  for (const auto& find_mistake : {unknown_command, misleading_value, unknown_option}) {
    const std::string message = find_mistake(app, arguments);
    if (!message.empty()) return message;
  }
  return "";
}

[[noreturn]] void refuse(const CLI::App* app, const std::string& message) {
  throw UserError(concat(message, "\nSee ", path_of(app), " --help."));
}

}  // namespace

Command& Command::positional(const std::string& name, std::string& value, const std::string& help) {
  app_->add_option(name, value, help)->required()->check(refuse_empty);
  return *this;
}
Command& Command::positional(const std::string& name, std::vector<std::string>& values, const std::string& help) {
  app_->add_option(name, values, help)->required()->check(refuse_empty);
  return *this;
}
Command& Command::option(const std::string& name, std::string& value, const std::string& help) {
  app_->add_option(name, value, help)->capture_default_str()->check(refuse_empty);
  return *this;
}
Command& Command::option(const std::string& name, int64_t& value, const std::string& help) {
  app_->add_option(name, value, help)->capture_default_str()->transform(whole_number);
  return *this;
}
Command& Command::option(const std::string& name, double& value, const std::string& help) {
  app_->add_option(name, value, help)->capture_default_str()->transform(real_number);
  return *this;
}
Command& Command::option(const std::string& name, std::vector<std::string>& values, const std::string& help) {
  app_->add_option(name, values, help)->allow_extra_args(false)->take_all();
  return *this;
}
Command& Command::choice(const std::string& name, std::string& value, const std::vector<std::string>& words,
                         const std::string& help) {
  app_->add_option(name, value, help)->check(CLI::IsMember(words))->capture_default_str();
  return *this;
}
Command& Command::flag(const std::string& name, bool& value, const std::string& help) {
  app_->add_flag(name, value, help);
  return *this;
}
Command& Command::required() {
  app_->get_options().back()->required();
  return *this;
}
Command Command::subcommand(const std::string& name, const std::string& help) {
  app_->require_subcommand(1);
  return {app_->add_subcommand(name, help), actions_};
}
void Command::run(SerialAction action) { actions_->emplace_back(app_, std::move(action)); }
void Command::run_parallel(std::function<ExitCode(Communicator& world)> action, BeforeMpi before, Prints prints) {
  actions_->emplace_back(app_, ParallelAction{std::move(action), std::move(before), prints});
}

Cli::Cli(const std::string& version)
    : app_(std::make_unique<CLI::App>("Birkhoff trains large language models across many processes.", "birkhoff")) {
  app_->require_subcommand(1);
  app_->set_version_flag("--version", "birkhoff " + version);
}
Cli::~Cli() = default;

Command Cli::command(const std::string& name, const std::string& help) {
  return {app_->add_subcommand(name, help), &actions_};
}

AnyAction Cli::parse(std::vector<std::string> arguments) {
  const std::vector<std::string> given = arguments;
  std::reverse(arguments.begin(), arguments.end());  // CLI11 expects the arguments in reverse order
  try {
    app_->parse(arguments);
  } catch (const CLI::CallForHelp&) {
    return print(selected(app_.get())->help());
  } catch (const CLI::CallForVersion& e) {
    return print(concat(e.what(), "\n"));
  } catch (const CLI::ParseError& e) {
    const CLI::App* at = selected(app_.get());
    const std::string message = better_message(at, given);
    refuse(at, message.empty() ? e.what() : message);
  }
  // CLI11 accepts these, so they must be found even if the parse succeeded.
  const std::string misleading = misleading_value(selected(app_.get()), given);
  if (!misleading.empty()) refuse(selected(app_.get()), misleading);
  for (const auto& [app, action] : actions_) {
    if (app == selected(app_.get())) return action;
  }
  throw BugError("no action for " + path_of(selected(app_.get())));
}

}  // namespace birkhoff
