#pragma once

#include "training_status.h"

#include <string>
#include <vector>

#include <sys/types.h>

namespace lathe::experiments {

/// This program once more, in a process of its own, to train one cell: what happens to it happens to that
/// cell alone. Its standard error is read here: status lines and, last, its error. It dies with the process
/// that started it, also when that is killed, and a Ctrl-C at the terminal does not reach it.
class Worker {
 public:
  /// `arguments`: what follows the program's name. Throws Error when no process can be made.
  Worker(std::string id, const std::vector<std::string>& arguments);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  const std::string& id() const { return id_; }
  /// Readable when there is something to read().
  int descriptor() const { return pipe_; }
  /// Takes in what it wrote so far. False when it has ended.
  bool read();
  const TrainingStatus& status() const { return status_; }

  void pause();
  void resume();
  /// Asks it to write a checkpoint and end.
  void interrupt();

  /// After read() gave false: empty when it trained to the end, else why not.
  std::string error() const;

 private:
  void take_line(const std::string& line);

  std::string id_;
  pid_t process_ = -1;
  int pipe_ = -1;
  int result_ = 0;  ///< of waitpid()
  std::string text_;
  std::string last_line_;
  TrainingStatus status_;
};

}  // namespace lathe::experiments
