#pragma once
#include <string>
#include <variant>
#include <vector>

namespace birkhoff {

// One number of a report; JSON has it under the same key.
struct Figure {
  std::string key;
  double value = 0;
  std::string unit, meaning;
};

// A table cell; monostate if the row has no such value.
using Cell = std::variant<std::monostate, double, std::string>;
struct ReportTable {
  std::string key;
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows;
};

// The results of one scenario.
struct Report {
  std::string scenario;
  std::vector<Figure> figures;
  std::vector<ReportTable> tables;
  std::vector<std::string> notes;

  void add(const std::string& key, double value, const std::string& unit, const std::string& meaning) {
    figures.push_back({key, value, unit, meaning});
  }
};

// For people: one line per figure, then the tables and notes.
std::string to_text(const Report& report);
// One line of JSON: an object with "scenario", the figures by key, and each table as an array of objects by column.
std::string to_json(const Report& report);

}  // namespace birkhoff
