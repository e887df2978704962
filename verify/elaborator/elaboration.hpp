// A proof with what each of its steps rests on: trimming and the exports to other checkers' formats read it. Facts are
// numbered as they are found, so that what a fact rests on has smaller numbers ("antecedents", Cruz-Filipe, Heule, Hunt,
// Kaufmann and Schneider-Kamp, "Efficient certified RAT verification", CADE 2017). Nothing here is trusted: what comes of
// it is checked again, by the checker of certificates or by somebody else's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formula.hpp"

namespace bnnhw::elaborator {

using checker::Formula;
using checker::Linear;
using checker::Literal;
using checker::ProofBytes;
using checker::Term;

enum class Kind : std::uint8_t {
  input,     // a clause of the formula: `about` is its place
  version,   // a constraint as it reads from now on: `about` is its place
  unit,      // a literal that propagation fixes for good
  lemma,     // a clause that the proof adds
  equality,  // two literals that constraints make equal: `about` and `other` are the places of these
  implied,   // a clause that one version alone implies
};

struct Fact {
  Kind kind;
  std::uint32_t step;   // of the proof; 0 before the first
  std::uint32_t about;
  // Ranges of Elaboration::literals and Elaboration::antecedents. A version's literals are pairs, of a literal of the
  // constraint as the formula has it and what stands for it now: 0 true, 1 false, or another literal. An equality's are
  // the two, then such pairs if `about` and `other` have one sum; where `about` alone decides it, `other` is the same.
  std::uint64_t literals, literals_end;
  std::uint64_t antecedents, antecedents_end;
  std::uint32_t other = 0;
};

struct Step {
  char letter;
  // Of the proof without its budget steps.
  std::size_t begin, end;
};

struct Elaboration {
  // From 1: step 0 is the formula.
  std::vector<Step> steps;
  std::vector<Fact> facts;
  std::vector<Literal> literals;
  // In the order in which they propagate; the last one meets the conflict.
  std::vector<std::uint32_t> antecedents;
  // The contradiction rests on these, unless the proof ends with every way to meet a constraint: that is not followed.
  std::vector<std::uint32_t> contradiction;
  bool every_way = false;
};

// Follows the proof up to the contradiction. with_clauses: a constraint takes part through implied clauses of its own.
// Throws std::invalid_argument where a step does not hold.
Elaboration elaborate(const Formula& formula, ProofBytes proof, bool with_clauses);

// By fact: does the contradiction rest on it?
std::vector<bool> needed(const Elaboration& elaboration);

// The steps that the contradiction rests on, and deletions of lemmas after their last use; all steps if it is not followed.
std::string trimmed(const Elaboration& elaboration, std::string_view proof);

}  // namespace bnnhw::elaborator
