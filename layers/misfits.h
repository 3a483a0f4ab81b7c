#pragma once

#include <lathe/core/tensor.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::layers {

/// "f32[3,2]"
inline std::string describe(const Tensor& tensor) {
  return fmt::format("{}{}", to_string(tensor.dtype()), to_string(tensor.shape()));
}

/// What keeps the tensors of a file from being those of a model.
struct Misfits {
  std::vector<std::string> missing, wrong, extra;

  /// Throws Error that lists all; `from` stands in front.
  void check_none(const std::string& from) const {
    check(missing.empty() && wrong.empty() && extra.empty(),
          "{}: its tensors are not those of the model{}{}{}", from, listed("missing", missing),
          listed("of a wrong shape or type", wrong), listed("that the model does not have", extra));
  }

 private:
  static constexpr std::size_t kMostListed = 12;

  /// "; 5 missing: a, b and 3 more", or nothing.
  static std::string listed(std::string_view what, const std::vector<std::string>& names) {
    if (names.empty()) return {};
    std::string text = fmt::format("; {} {}: ", names.size(), what);
    for (std::size_t i = 0; i < std::min(names.size(), kMostListed); ++i)
      text += (i == 0 ? "" : ", ") + names[i];
    if (names.size() > kMostListed) text += fmt::format(" and {} more", names.size() - kMostListed);
    return text;
  }
};

/// Files hold weights as f32 or f16.
bool is_float(const Tensor& tensor);
/// `from` f32 or f16, `to` f32, of the same size.
void copy_values(const Tensor& from, std::span<float> to);

}  // namespace lathe::layers
