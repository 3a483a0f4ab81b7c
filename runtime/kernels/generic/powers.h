#pragma once

/// Numbers for 2^x, which the sigmoid of every instruction set takes.
namespace lathe::runtime {
namespace {

/// Beyond, e^x and its inverse would leave the range of normal numbers.
constexpr float kSigmoidLimit = 86.f;
constexpr float kLog2e = 1.44269504f;
/// 1.5 * 2^23: adding it rounds to an integer, which is then in the lowest bits.
constexpr float kRoundToInteger = 12582912.f;
/// 2^x = 1 + x * (c0 + x * (c1 + ...)) for |x| <= 1/2, within 1e-7 of it (the least largest relative error).
constexpr float kPowersOf2[] = {0.693147004f, 0.240222424f, 0.0555073358f, 0.00967151299f, 0.00132647355f};

}  // namespace
}  // namespace lathe::runtime
