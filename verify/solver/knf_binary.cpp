// The solver as a program of its own: reads a `.knf` file, answers as SAT competitions do ("s", "v" and "c" lines, exit
// code 10 or 20). `bnnhw solve` is what users run; this is for comparisons with solvers that are programs too, where
// starting Python, or forking it, would be most of the time that an easy query takes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "formula_reader.hpp"
#include "limits.hpp"
#include "solver.hpp"

namespace {

using bnnhw::solver::Limits;
using bnnhw::solver::Solver;
using bnnhw::solver::Status;

constexpr int satisfiable_code = 10;
constexpr int unsatisfiable_code = 20;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw std::invalid_argument("cannot be opened");
  std::string text(static_cast<std::size_t>(file.tellg()), '\0');
  file.seekg(0);
  if (!file.read(text.data(), static_cast<std::streamsize>(text.size()))) throw std::invalid_argument("cannot be read");
  return text;
}

std::string model_line(const Solver& solver) {
  std::string line = "v";
  for (std::size_t variable = 1; variable < solver.model().size(); ++variable) {
    line += solver.model()[variable] != 0 ? " " : " -";
    line += std::to_string(variable);
  }
  return line + " 0\n";
}

int run(const std::string& path, std::uint64_t seed) {
  Solver solver(seed);
  bnnhw::solver::read_formula(read_file(path), solver);
  const bool satisfiable = solver.solve({}, Limits{}).status == Status::satisfiable;
  std::cout << "c conflicts " << solver.statistics().conflicts << '\n'
            << (satisfiable ? "s SATISFIABLE\n" + model_line(solver) : "s UNSATISFIABLE\n");
  return satisfiable ? satisfiable_code : unsatisfiable_code;
}

}  // namespace

int main(int count, char** words) {
  if (count != 2 && count != 3) {
    std::cerr << "usage: bnnhw-knf FILE.knf [SEED]\n";
    return 2;
  }
  try {
    return run(words[1], count == 3 ? std::stoull(words[2]) : 0);
  } catch (const std::exception& error) {
    std::cerr << words[1] << ": " << error.what() << '\n';
    return 1;
  }
}
