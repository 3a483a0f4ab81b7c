#include <lathe/base/error.h>
#include <lathe/optim/interrupt.h>

#include <unistd.h>
#include <array>

namespace lathe::optim {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM};

// A signal handler can reach nothing but globals; these are guarded by `alive`, so that one InterruptGuard
// uses them.
std::atomic<bool> interrupted{false};
std::atomic<int> came{0};
std::atomic<bool> alive{false};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

extern "C" void lathe_on_interrupt(int signal) {
  if (interrupted.exchange(true)) ::_exit(128 + signal);
  came = signal;
}

}  // namespace

InterruptGuard::InterruptGuard() {
  check(!alive.exchange(true), "interrupt guard: another one is alive");
  interrupted = false;
  came = 0;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction action {};
    action.sa_handler = lathe_on_interrupt;
    action.sa_flags = SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(kSignals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &action, nullptr);
  }
}

InterruptGuard::~InterruptGuard() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
  alive = false;
}

const std::atomic<bool>* InterruptGuard::flag() const { return &interrupted; }

int InterruptGuard::exit_code() const { return 128 + (came == 0 ? SIGINT : came.load()); }

}  // namespace lathe::optim
