#include "worker.h"

#include <lathe/base/error.h>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace lathe::experiments {
namespace {

/// In the new process, until it becomes the program: only what is allowed after a fork of many threads.
[[noreturn]] void become(char* const* arguments, int errors, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // it died in between
  ::setpgid(0, 0);
  const int nothing = ::open("/dev/null", O_RDWR);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(nothing, STDOUT_FILENO);
  ::dup2(errors, STDERR_FILENO);
  ::execv("/proc/self/exe", arguments);
  ::_exit(127);
}

}  // namespace

Worker::Worker(std::string id, const std::vector<std::string>& arguments) : id_(std::move(id)) {
  std::vector<std::string> strings{"worker"};
  strings.insert(strings.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& argument : strings) pointers.push_back(argument.data());
  pointers.push_back(nullptr);

  int ends[2];
  check(::pipe2(ends, O_CLOEXEC) == 0, "cannot make a pipe: {}", std::strerror(errno));
  const pid_t parent = ::getpid();
  process_ = ::fork();
  if (process_ == 0) become(pointers.data(), ends[1], parent);
  ::close(ends[1]);
  if (process_ < 0) {
    const int reason = errno;
    ::close(ends[0]);
    fail("cannot start a process: {}", std::strerror(reason));
  }
  pipe_ = ends[0];
  ::fcntl(pipe_, F_SETFL, O_NONBLOCK);
}

Worker::~Worker() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  if (pipe_ >= 0) ::close(pipe_);
}

void Worker::take_line(const std::string& line) {
  if (const auto status = parse_status(line))
    status_ = *status;
  else if (!line.empty())
    last_line_ = line;
}

bool Worker::read() {
  char buffer[4096];
  for (;;) {
    const ssize_t count = ::read(pipe_, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return true;  // the pipe is empty until the worker writes more
    if (count == 0) break;
    text_.append(buffer, static_cast<std::size_t>(count));
    for (std::size_t end; (end = text_.find('\n')) != std::string::npos; text_.erase(0, end + 1))
      take_line(text_.substr(0, end));
  }
  take_line(text_);
  text_.clear();
  if (process_ > 0)
    while (::waitpid(process_, &result_, 0) < 0 && errno == EINTR) {
    }
  process_ = -1;
  return false;
}

void Worker::pause() {
  if (process_ > 0) ::kill(process_, SIGSTOP);
}

void Worker::resume() {
  if (process_ > 0) ::kill(process_, SIGCONT);
}

void Worker::interrupt() {
  if (process_ > 0) ::kill(process_, SIGINT);
}

std::string Worker::error() const {
  if (WIFEXITED(result_) && WEXITSTATUS(result_) == 0) return {};
  if (WIFSIGNALED(result_))
    return fmt::format("its process was ended by signal {} ({})", WTERMSIG(result_),
                       ::strsignal(WTERMSIG(result_)));
  if (last_line_.empty()) return fmt::format("its process ended with code {}", WEXITSTATUS(result_));
  const std::size_t name = last_line_.find(": ");  // of the program
  return name == std::string::npos ? last_line_ : last_line_.substr(name + 2);
}

}  // namespace lathe::experiments
