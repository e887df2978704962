// The `.knf` text of a formula, read straight into a solver: no object per literal between the file and the clause
// store. The format is explained in formula.py, whose reader this one mirrors word for word, errors included; that one
// builds a value that can be evaluated and written, this one is for asking questions fast.
#pragma once

#include <string_view>

#include "solver.hpp"

namespace bnnhw::solver {

// The solver must be fresh: the text's variables become its variables 1, 2, .... Clauses are added before linear
// constraints, so that units have shortened every constraint when it comes in. Throws std::invalid_argument with the
// line's number, and then has not touched the solver, if the text is malformed.
void read_formula(std::string_view text, Solver& solver);

}  // namespace bnnhw::solver
