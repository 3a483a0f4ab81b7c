#include "support/errors.h"

#include <lathe/core/tensor.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

using namespace lathe;

TEST_CASE("copies share their elements, clones and sources do not") {
  Tensor x = Tensor::from({1, 2, 3, 4}, {2, 2});
  Tensor same = x;
  Tensor other = x.clone();
  x.mutable_span<float>()[0] = 9;
  CHECK(same.span<float>()[0] == 9);
  CHECK(other.span<float>()[0] == 1);
  CHECK(same.is(x));
  CHECK_FALSE(other.is(x));
}

TEST_CASE("a view has the elements under another shape") {
  Tensor x = Tensor::from({1, 2, 3, 4, 5, 6}, {2, 3});
  Tensor y = x.view({3, 2});
  y.mutable_span<float>()[5] = 7;
  CHECK(y.shape() == Shape{3, 2});
  CHECK(x.span<float>()[5] == 7);
  CHECK_FALSE(y.is(x));
  CHECK_ERROR(x.view({4, 2}), "view: shape [4,2] holds 8 elements, the tensor [2,3] has 6");
}

TEST_CASE("elements are aligned, also in tensors without any") {
  for (std::int64_t size : {0, 1, 63, 64, 65, 1000, 5000, 100'000, 700'000, 1'000'000}) {
    Tensor x = Tensor::zeros({size});
    const auto address = reinterpret_cast<std::uintptr_t>(x.mutable_span<float>().data());
    CHECK(address % 64 == 0);
    if (size * 4 > 2 << 20) CHECK(address % (2 << 20) == 0);
    CHECK(std::ranges::all_of(x.span<float>(), [](float value) { return value == 0; }));
  }
}

TEST_CASE("constructors fill") {
  const Tensor filled = Tensor::full({3, 5}, 2.5f);
  for (float value : filled.span<float>()) CHECK(value == 2.5f);
  const std::vector<std::int8_t> codes = {-1, 2};
  const Tensor x = Tensor::from(std::span<const std::int8_t>(codes), {2});
  CHECK(x.dtype() == Dtype::i8);
  CHECK(x.bytes() == 2);
  CHECK(Tensor::from({4}, {}).item() == 4);
}

TEST_CASE("mistakes are reported with shapes and types") {
  const Tensor x = Tensor::from({1, 2}, {2});
  CHECK_ERROR(Tensor::from({1, 2, 3}, {2, 2}), "3 elements given, shape [2,2] holds 4");
  CHECK_ERROR(x.span<std::int32_t>(), "elements read as i32, but they are f32 (shape [2])");
  CHECK_ERROR(x.item(), "item: expected a tensor with one element, given shape [2]");
  const Tensor none;
  CHECK_FALSE(none);
  CHECK_ERROR(none.shape(), "empty handle");
  CHECK_ERROR(none.span<float>(), "empty handle");
  CHECK_ERROR(none.clone(), "empty handle");
  CHECK_ERROR(none.detach(), "empty handle");
  CHECK_ERROR(Tensor::empty({std::int64_t{1} << 50}), "cannot allocate");
}

TEST_CASE("a tensor prints its type, shape and first elements") {
  CHECK(to_string(Tensor::from({1, 2, 3.5f, 4}, {2, 2})) == "f32[2,2] {1, 2, 3.5, 4}");
  CHECK(to_string(Tensor::zeros({100}, Dtype::i8)) ==
        "i8[100] {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...}");
  CHECK(to_string(Tensor()) == "empty");
}

TEST_CASE("freed memory is used again before the system is asked") {
  release_cached_memory();
  CHECK(memory_stats().cached_bytes == 0);
  const std::int64_t used = memory_stats().used_bytes;
  const auto step = [] {
    std::vector<Tensor> tensors;
    for (std::int64_t size = 1; size < 4'000'000; size = size * 3 + 1)
      tensors.push_back(Tensor::empty({size}));
  };
  step();
  const MemoryStats first = memory_stats();
  CHECK(first.used_bytes == used);
  CHECK(first.cached_bytes > 4'000'000);
  for (int round = 0; round < 3; ++round) step();
  CHECK(memory_stats().system_allocations == first.system_allocations);
  CHECK(memory_stats().cached_bytes == first.cached_bytes);
  release_cached_memory();
  CHECK(memory_stats().cached_bytes == 0);
  step();
  CHECK(memory_stats().system_allocations > first.system_allocations);
}

TEST_CASE("a block wastes at most a quarter of what is asked for, or 63 bytes") {
  for (std::int64_t size = 1; size < 3'000'000; size += 1 + size / 7) {
    const std::int64_t before = memory_stats().used_bytes;
    const Tensor x = Tensor::empty({size}, Dtype::i8);
    const std::int64_t taken = memory_stats().used_bytes - before;
    CHECK(taken >= size);
    CHECK(taken <= std::max(size + 63, size + size / 4));
  }
}

TEST_CASE("threads may make, share and drop tensors at the same time") {
  const std::int64_t used = memory_stats().used_bytes;
  {
    const Tensor shared = Tensor::full({1000}, 3);
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        for (int round = 0; round < 500; ++round) {
          const Tensor copy = shared;
          Tensor own = Tensor::full({1 + round * 7 % 900}, static_cast<float>(t));
          const Tensor clone = own.clone();
          for (float value : clone.span<float>()) wrong += value != static_cast<float>(t);
          wrong += copy.span<float>()[999] != 3;
        }
      });
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
  }
  CHECK(memory_stats().used_bytes == used);
}
