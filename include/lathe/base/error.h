#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

namespace lathe {

/// What a user or a file did wrong. The message says which operation, what it expected and what it was given.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws Error with the formatted message.
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

/// Throws Error with the formatted message unless `ok`. The arguments are evaluated in any case: keep them
/// cheap.
template <typename... Args>
void check(bool ok, fmt::format_string<Args...> format, Args&&... args) {
  if (!ok) [[unlikely]]
    fail(format, std::forward<Args>(args)...);
}

}  // namespace lathe
