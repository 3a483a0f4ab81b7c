#include "../../runtime/arena.h"

#include <lathe/base/random.h>

#include <doctest/doctest.h>

#include <algorithm>

using lathe::Rng;
using namespace lathe::runtime;

TEST_CASE("buffers that are never alive together share memory") {
  ArenaPlanner arena;
  const int a = arena.add(1000, 0, 1);
  const int b = arena.add(500, 1, 2);
  const int c = arena.add(1000, 2, 3);
  arena.place();
  CHECK(arena.offset(a) == 0);
  CHECK(arena.offset(c) == 0);
  CHECK(arena.offset(b) == 1024);
  CHECK(arena.total() == 1024 + 512);
}

TEST_CASE("a longer life keeps a buffer from being reused") {
  ArenaPlanner arena;
  const int a = arena.add(64, 0, 1);
  const int b = arena.add(64, 2, 2);
  arena.extend(a, 2);
  arena.place();
  CHECK(arena.offset(a) != arena.offset(b));
  CHECK(arena.total() == 128);
}

TEST_CASE("an arena without buffers is empty") {
  ArenaPlanner arena;
  arena.place();
  CHECK(arena.total() == 0);
  CHECK(sound(arena.buffers(), arena.total()));
}

TEST_CASE("random lifetimes are placed soundly, between the lower bound and no sharing at all") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    ArenaPlanner arena;
    const int steps = 1 + static_cast<int>(rng.below(12));
    std::vector<std::int64_t> alive(static_cast<std::size_t>(steps));
    std::int64_t sum = 0;
    for (std::uint64_t i = rng.below(30); i > 0; --i) {
      const auto bytes = static_cast<std::int64_t>(rng.below(5000));
      const int first = static_cast<int>(rng.below(static_cast<std::uint64_t>(steps)));
      const int last = first + static_cast<int>(rng.below(static_cast<std::uint64_t>(steps - first)));
      arena.add(bytes, first, last);
      for (int step = first; step <= last; ++step) alive[static_cast<std::size_t>(step)] += bytes;
      sum += (bytes + 63) / 64 * 64;
    }
    arena.place();
    CHECK(sound(arena.buffers(), arena.total()));
    CHECK(arena.total() >= *std::max_element(alive.begin(), alive.end()));
    CHECK(arena.total() <= sum);
  }
}

TEST_CASE("the verifier finds overlap, misalignment and buffers outside the arena") {
  using Buffers = std::vector<ArenaPlanner::Buffer>;
  const Buffers good = {{100, 0, 1, 0}, {100, 1, 2, 128}, {100, 2, 3, 0}};
  CHECK(sound(good, 256));
  Buffers bad = good;
  bad[1].offset = 64;
  CHECK_FALSE(sound(bad, 256));
  bad = good;
  bad[1].offset = 130;
  CHECK_FALSE(sound(bad, 256));
  CHECK_FALSE(sound(good, 192));
  bad = good;
  bad[2].first = 1;
  bad[2].last = 1;
  CHECK_FALSE(sound({bad[0], bad[2]}, 256));
  bad[0].offset = -1;
  CHECK_FALSE(sound(bad, 256));
}
