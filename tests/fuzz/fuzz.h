#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

/// What a fuzzer calls with each input; also called by the driver in driver.cpp.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace fuzz {

/// Each target has some well-formed inputs to start from.
std::vector<std::vector<std::byte>> seeds();

/// Ends the program, as fuzzers want it, when something that must hold does not.
inline void require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

}  // namespace fuzz
