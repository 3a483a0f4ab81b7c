#pragma once

#include <lathe/layers/module.h>

#include <functional>

namespace lathe::layers::detail {

/// Sees every module's output on this thread while it lives, innermost modules first.
class ForwardObserver {
 public:
  explicit ForwardObserver(std::function<void(const Module&, const Tensor&)> see);
  ~ForwardObserver();
  ForwardObserver(const ForwardObserver&) = delete;
  ForwardObserver& operator=(const ForwardObserver&) = delete;

  /// Is there one on this thread?
  static bool watching();
  static void report(const Module& module, const Tensor& output);

 private:
  std::function<void(const Module&, const Tensor&)> see_;
  ForwardObserver* before_;
};

}  // namespace lathe::layers::detail
