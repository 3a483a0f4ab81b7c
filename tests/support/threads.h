#pragma once

#include <lathe/base/parallel.h>

/// num_threads() as wanted while the object lives, whatever the machine has.
class Threads {
 public:
  explicit Threads(int threads) : before_(lathe::num_threads()) { lathe::set_num_threads(threads); }
  ~Threads() { lathe::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};
