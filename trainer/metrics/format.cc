#include "trainer/metrics/format.h"

#include <charconv>
#include <chrono>
#include <cmath>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

std::string six_digits(const Number& number) {
  if (const int64_t* whole = std::get_if<int64_t>(&number.value)) return std::to_string(*whole);
  std::ostringstream out;  // six significant digits are the default of ostream
  out << std::get<double>(number.value);
  return out.str();
}

template <class Value>
std::string digits(Value value) {
  char buffer[32];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  return {buffer, end};
}

std::string json_value(const Number& number) {
  if (const int64_t* whole = std::get_if<int64_t>(&number.value)) return digits(*whole);
  const double value = std::get<double>(number.value);
  return std::isfinite(value) ? digits(value) : "null";
}

}  // namespace

std::string log_key(const Number& number) {
  const std::string key(number.key);
  return number.label.empty() ? key : key + "." + number.label.substr(number.label.find('=') + 1);
}

double to_double(const Number& number) {
  return std::visit([](auto value) { return static_cast<double>(value); }, number.value);
}

double unix_seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string text_line(const Record& record, int64_t steps) {
  std::string line = concat(record.event == "step" ? "" : concat(record.event, " "), "step: ", record.step, "/", steps);
  for (const Number& number : record.numbers) {
    if (number.shown == Shown::everywhere) line += concat(" | ", log_key(number), ": ", six_digits(number));
  }
  return line;
}

std::string json_line(const Record& record, double unix_seconds) {
  const double milliseconds = std::round(unix_seconds * 1000) / 1000;
  std::string line =
      concat("{\"event\":\"", record.event, "\",\"step\":", record.step, ",\"time\":", digits(milliseconds));
  for (const Number& number : record.numbers) {
    if (number.shown != Shown::served) line += concat(",\"", log_key(number), "\":", json_value(number));
  }
  return line + "}";
}

}  // namespace birkhoff
