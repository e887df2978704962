"""A formula decided by OR-tools' CP-SAT, which takes reified linear constraints as they are: no encoding of ours."""

from __future__ import annotations

from bnnhw.verify.formula import Formula
from bnnhw.verify.properties import PropertyError


def by_cp_sat(formula: Formula, seconds: float | None) -> bool | None:
    """Is the formula satisfiable? None if CP-SAT does not know after so many seconds. It uses one thread."""
    try:
        from ortools.sat.python import cp_model
    except ImportError:
        raise PropertyError("cross-checking needs the package ortools: pip install 'bnnhw[crosscheck]'") from None
    if () in formula.clauses:
        return False
    model = cp_model.CpModel()
    variables = [model.new_bool_var("") for _ in range(formula.variables)]

    def literal(number: int) -> cp_model.LiteralT:
        variable = variables[abs(number) - 1]
        return variable if number > 0 else ~variable

    for clause in formula.clauses:
        model.add_bool_or([literal(one) for one in clause])
    for constraint in formula.constraints:
        weights = constraint.weights or (1,) * len(constraint.literals)
        total = cp_model.LinearExpr.weighted_sum([literal(one) for one in constraint.literals], weights)
        reached = model.add(total >= constraint.bound)
        if constraint.out:
            reached.only_enforce_if(literal(constraint.out))
            model.add(total < constraint.bound).only_enforce_if(literal(-constraint.out))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    if seconds is not None:
        solver.parameters.max_time_in_seconds = seconds
    status = solver.solve(model)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return True
    if status == cp_model.INFEASIBLE:
        return False
    if status == cp_model.UNKNOWN:
        return None
    raise RuntimeError(f"CP-SAT does not take the formula: {solver.status_name(status)}")
