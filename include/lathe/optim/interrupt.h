#pragma once

#include <atomic>

#include <signal.h>

namespace lathe::optim {

/// While it lives, SIGINT (Ctrl-C) and SIGTERM set a flag for Trainer::Options::interrupt instead of ending
/// the process. A second signal ends it at once, with 128 + its number (130 for SIGINT). A signal that was
/// ignored before stays ignored. One at a time; for main() of a program:
///
///   const optim::InterruptGuard guard;
///   const auto result = optim::Trainer(model, optimizer, {.checkpoint = path, .interrupt =
///   guard.flag()}).fit(train); if (result.interrupted) return guard.exit_code();
class InterruptGuard {
 public:
  /// Throws Error when another one lives.
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  const std::atomic<bool>* flag() const;
  /// 128 + the number of the signal that came; 130 before one came.
  int exit_code() const;

 private:
  struct sigaction before_[2];
};

}  // namespace lathe::optim
