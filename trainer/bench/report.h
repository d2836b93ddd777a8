#pragma once
#include <string>
#include <variant>
#include <vector>

namespace birkhoff {

// One number of a report, under the key that it has in JSON too.
struct Figure {
  std::string key;
  double value = 0;
  std::string unit, meaning;
};

// Nothing where a row has no such value.
using Cell = std::variant<std::monostate, double, std::string>;
struct ReportTable {
  std::string key;
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows;
};

// What a scenario found.
struct Report {
  std::string scenario;
  std::vector<Figure> figures;
  std::vector<ReportTable> tables;
  std::vector<std::string> notes;

  void add(const std::string& key, double value, const std::string& unit, const std::string& meaning) {
    figures.push_back({key, value, unit, meaning});
  }
};

// For people: a line a figure, then tables and notes.
std::string to_text(const Report& report);
// One line: an object with the figures by key, each table as an array of objects by column, and "scenario".
std::string to_json(const Report& report);

}  // namespace birkhoff
