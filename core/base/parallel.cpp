#include <lathe/base/error.h>
#include <lathe/base/parallel.h>

#include <sched.h>
#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace lathe {
namespace {

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

/// Fork and join takes 0.2 us while the workers spin and about 50 us once they sleep, so they spin for a
/// while: long enough to bridge the serial gaps of a training step, short enough to leave the core to others
/// between steps.
constexpr int kSpins = 20'000;

thread_local bool inside_parallel = false;

class Pool {
 public:
  explicit Pool(int workers) {
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this, i] { work(i + 1); });
  }

  ~Pool() {
    stop_ = true;
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  int parts() const { return static_cast<int>(threads_.size()) + 1; }

  void run(std::int64_t n, std::int64_t step, FunctionRef<void(std::int64_t, std::int64_t)> body) {
    n_ = n;
    step_ = step;
    body_ = &body;
    left_.store(static_cast<int>(threads_.size()), std::memory_order_relaxed);
    generation_.fetch_add(1);  // sequentially consistent, as is sleepers_: either side sees the other
    if (sleepers_.load() > 0) generation_.notify_all();
    part(0);
    for (int spins = 0; left_.load(std::memory_order_acquire) > 0; ++spins) {
      if (spins < kSpins)
        pause();
      else
        std::this_thread::yield();
    }
  }

 private:
  void part(int index) {
    const std::int64_t begin = std::min(n_, index * step_);
    const std::int64_t end = std::min(n_, begin + step_);
    if (begin == end) return;
    inside_parallel = true;
    (*body_)(begin, end);
    inside_parallel = false;
  }

  void work(int index) {
    for (std::uint32_t seen = 0;;) {
      for (int spins = 0; generation_.load(std::memory_order_acquire) == seen; ++spins) {
        if (spins < kSpins) {
          pause();
          continue;
        }
        sleepers_.fetch_add(1);
        generation_.wait(seen);
        sleepers_.fetch_sub(1);
      }
      seen = generation_.load(std::memory_order_acquire);
      if (stop_) return;
      part(index);
      left_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::atomic<std::uint32_t> generation_{0};
  std::atomic<int> left_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::int64_t n_ = 0;
  std::int64_t step_ = 0;
  FunctionRef<void(std::int64_t, std::int64_t)>* body_ = nullptr;
  std::vector<std::thread> threads_;
};

int available_cores() {
  cpu_set_t set;
  const int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return std::clamp(count, 1, 256);
}

/// The process-wide pool, made at the first use (documented exception to "no mutable globals").
struct Shared {
  std::mutex mutex;
  std::atomic<int> threads{available_cores()};
  std::unique_ptr<Pool> pool;
};

Shared& shared() {
  static Shared instance;
  return instance;
}

}  // namespace

int num_threads() { return shared().threads.load(std::memory_order_relaxed); }

void set_num_threads(int threads) {
  check(threads >= 1 && threads <= 256, "threads: {} is out of range, expected 1..256", threads);
  const std::lock_guard lock(shared().mutex);
  if (threads == shared().threads) return;
  shared().pool.reset();
  shared().threads = threads;
}

void parallel_for(std::int64_t n, std::int64_t grain, FunctionRef<void(std::int64_t, std::int64_t)> body) {
  if (n <= 0) return;
  grain = std::max<std::int64_t>(grain, 1);
  const std::int64_t grains = (n + grain - 1) / grain;
  const std::int64_t parts = std::min<std::int64_t>(grains, num_threads());
  if (parts <= 1 || inside_parallel) return body(0, n);
  const std::unique_lock lock(shared().mutex, std::try_to_lock);
  if (!lock) return body(0, n);
  if (!shared().pool) shared().pool = std::make_unique<Pool>(num_threads() - 1);
  shared().pool->run(n, (grains + parts - 1) / parts * grain, body);
}

}  // namespace lathe
