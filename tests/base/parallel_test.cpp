#include "support/errors.h"
#include "support/threads.h"

#include <lathe/base/parallel.h>

#include <thread>
#include <vector>

using namespace lathe;

TEST_CASE("every index is visited once, whatever the number of threads") {
  for (int threads : {1, 2, 5}) {
    const Threads scope(threads);
    for (std::int64_t n : {0, 1, 7, 64, 1000}) {
      std::vector<int> visits(static_cast<std::size_t>(n));
      parallel_for(n, 3, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
      });
      for (int count : visits) CHECK(count == 1);
    }
  }
}

TEST_CASE("parts begin at multiples of the grain") {
  const Threads scope(2);
  parallel_for(100, 16, [&](std::int64_t begin, std::int64_t) { CHECK(begin % 16 == 0); });
}

TEST_CASE("nested and concurrent calls run and finish") {
  const Threads scope(3);
  std::vector<int> sums(8);
  std::vector<std::thread> callers;
  for (std::size_t c = 0; c < sums.size(); ++c)
    callers.emplace_back([&sums, c] {
      for (int round = 0; round < 200; ++round) {
        std::vector<int> hits(64);
        parallel_for(8, 1, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i)
            parallel_for(8, 1, [&, i](std::int64_t b, std::int64_t e) {
              for (std::int64_t j = b; j < e; ++j) hits[static_cast<std::size_t>(i * 8 + j)] = 1;
            });
        });
        for (int hit : hits) sums[c] += hit;
      }
    });
  for (std::thread& caller : callers) caller.join();
  for (int sum : sums) CHECK(sum == 200 * 64);
}

TEST_CASE("workers that fell asleep wake up again") {
  const Threads scope(2);
  for (int round = 0; round < 5; ++round) {
    std::vector<int> hits(2);
    parallel_for(2, 1, [&](std::int64_t b, std::int64_t e) {
      for (; b < e; ++b) hits[static_cast<std::size_t>(b)] = 1;
    });
    CHECK(hits == std::vector<int>{1, 1});
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

TEST_CASE("an impossible number of threads is refused") {
  CHECK_ERROR(set_num_threads(0), "0 is out of range, expected 1..256");
}
