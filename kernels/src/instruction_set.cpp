#include "instruction_set.hpp"

#include <atomic>

#include "byte_tiles.hpp"

namespace bnnhw::kernels {

namespace {

std::vector<const InstructionSet*> detect() {
  std::vector<const InstructionSet*> found;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx2") &&
                      __builtin_cpu_supports("popcnt");
  if (avx512 && amx_unit() != nullptr) found.push_back(amx_lanes());
  if (avx512 && vnni_unit() != nullptr) found.push_back(vnni_lanes());
  if (avx512) found.push_back(avx512_lanes());
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt")) found.push_back(avx2_lanes());
  if (__builtin_cpu_supports("popcnt")) found.push_back(popcnt_lanes());
#endif
  found.push_back(portable_lanes());
  return found;
}

std::atomic<const InstructionSet*>& selection() {
  static std::atomic<const InstructionSet*> selected{available_instruction_sets().front()};
  return selected;
}

}  // namespace

const std::vector<const InstructionSet*>& available_instruction_sets() {
  static const std::vector<const InstructionSet*> sets = detect();
  return sets;
}

const InstructionSet& selected_instruction_set() { return *selection().load(); }

bool select_instruction_set(std::string_view name) {
  for (const InstructionSet* set : available_instruction_sets()) {
    if (name == set->name) {
      selection().store(set);
      return true;
    }
  }
  return false;
}

}  // namespace bnnhw::kernels
