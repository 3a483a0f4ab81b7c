#include <lathe/optim/interrupt.h>
#include <support/errors.h>

#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

using namespace lathe::optim;

namespace {

/// The wait status of a child process that runs `body` and then exits with 0.
template <typename Body>
int status_of_child(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGINT, SIG_DFL);  // the test program has handlers of its own
    std::signal(SIGTERM, SIG_DFL);
    body();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

}  // namespace

TEST_CASE("the first signal sets the flag and the process goes on") {
  for (const int signal : {SIGINT, SIGTERM}) {
    const InterruptGuard guard;
    CHECK(!*guard.flag());
    CHECK(guard.exit_code() == 130);
    std::raise(signal);
    CHECK(*guard.flag());
    CHECK(guard.exit_code() == 128 + signal);
  }
  const InterruptGuard later;
  CHECK(!*later.flag());
}

TEST_CASE("the second signal ends the process at once") {
  const int interrupted = status_of_child([] {
    const InterruptGuard guard;
    std::raise(SIGTERM);
    std::raise(SIGINT);
  });
  CHECK(WIFEXITED(interrupted));
  CHECK(WEXITSTATUS(interrupted) == 130);
}

TEST_CASE("after the guard a signal does what it did before") {
  const int status = status_of_child([] {
    { const InterruptGuard guard; }
    std::raise(SIGINT);
  });
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGINT);
}

TEST_CASE("a signal that was ignored stays ignored") {
  const int status = status_of_child([] {
    std::signal(SIGINT, SIG_IGN);
    const InterruptGuard guard;
    std::raise(SIGINT);
    std::raise(SIGINT);
    if (*guard.flag()) ::_exit(1);
  });
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("there is one guard at a time") {
  const InterruptGuard guard;
  CHECK_ERROR(InterruptGuard(), "another one is alive");
}
