// What a proof can do without: what its contradiction does not rest on, directly or through other facts ("trimming while
// checking", Heule, Hunt and Wetzler, FMCAD 2013; from antecedents, Pollitt, Fleury and Biere, SAT 2023). A step that
// rewrites a constraint rests on every literal and equality that it makes use of, so what is kept reads as it did. Without
// the rest less is known at every moment, never more: no kept step finds a constraint gone that it names.
#include <algorithm>

#include "elaboration.hpp"

namespace bnnhw::elaborator {

namespace {

// Deletions come in batches: a checker has to give up what it propagated for the lemma before.
constexpr std::size_t smallest_batch = 32;

void write_number(std::string& bytes, std::uint64_t value) {
  for (; value >= 128; value >>= 7) bytes.push_back(static_cast<char>((value & 127u) | 128u));
  bytes.push_back(static_cast<char>(value));
}

}  // namespace

std::vector<bool> needed(const Elaboration& elaboration) {
  std::vector<bool> marked(elaboration.facts.size());
  for (const std::uint32_t fact : elaboration.contradiction) marked[fact] = true;
  for (std::size_t i = marked.size(); i-- > 0;) {
    if (!marked[i]) continue;
    const Fact& fact = elaboration.facts[i];
    for (std::uint64_t k = fact.antecedents; k < fact.antecedents_end; ++k) marked[elaboration.antecedents[k]] = true;
  }
  return marked;
}

std::string trimmed(const Elaboration& elaboration, std::string_view proof) {
  if (elaboration.every_way) return std::string(proof);
  const std::vector<bool> marked = needed(elaboration);
  const std::size_t steps = elaboration.steps.size();
  std::vector<bool> kept(steps);
  std::vector<std::size_t> last_use(elaboration.facts.size());
  for (std::size_t i = 0; i < marked.size(); ++i) {
    if (!marked[i]) continue;
    const Fact& fact = elaboration.facts[i];
    if (fact.kind == Kind::lemma || fact.kind == Kind::version || fact.kind == Kind::equality) kept[fact.step] = true;
    for (std::uint64_t k = fact.antecedents; k < fact.antecedents_end; ++k) last_use[elaboration.antecedents[k]] = fact.step;
  }
  for (const std::uint32_t fact : elaboration.contradiction) last_use[fact] = steps;
  std::vector<std::vector<std::uint32_t>> ends(steps + 1);
  std::vector<std::size_t> number(marked.size());
  for (std::size_t i = 0; i < marked.size(); ++i) {
    const Fact& fact = elaboration.facts[i];
    // As short as these, lemmas are cheap to keep.
    const bool deletable = marked[i] && fact.kind == Kind::lemma && fact.literals_end - fact.literals > 2;
    if (deletable) ends[last_use[i]].push_back(static_cast<std::uint32_t>(i));
  }
  std::string bytes;
  std::size_t lemmas = 0, living = 0, fact = 0;
  std::vector<std::size_t> pending;
  for (std::size_t step = 1; step < steps; ++step) {
    if (kept[step]) {
      if (pending.size() >= std::max(smallest_batch, living / 4)) {
        for (const std::size_t one : pending) {
          bytes.push_back('d');
          write_number(bytes, lemmas - 1 - one);
        }
        living -= pending.size();
        pending.clear();
      }
      bytes.append(proof.substr(elaboration.steps[step].begin, elaboration.steps[step].end - elaboration.steps[step].begin));
    }
    for (; fact < marked.size() && elaboration.facts[fact].step <= step; ++fact) {
      if (elaboration.facts[fact].kind != Kind::lemma || !marked[fact]) continue;
      number[fact] = lemmas++;
      ++living;
    }
    for (const std::uint32_t one : ends[step]) pending.push_back(number[one]);
  }
  bytes.push_back('q');
  return bytes;
}

}  // namespace bnnhw::elaborator
