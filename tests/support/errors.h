#pragma once

#include <doctest/doctest.h>

#include <lathe/base/error.h>

#include <string>

/// Checks that `expression` throws lathe::Error whose message contains `part`.
#define CHECK_ERROR(expression, part)                                        \
  do {                                                                       \
    std::string lathe_message = "(no error)";                                \
    try {                                                                    \
      (void)(expression);                                                    \
    } catch (const lathe::Error& error) {                                    \
      lathe_message = error.what();                                          \
    }                                                                        \
    INFO("message: ", lathe_message);                                        \
    CHECK(lathe_message.find(part) != std::string::npos);                    \
  } while (false)
