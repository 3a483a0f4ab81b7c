#include <lathe/graph/op.h>

#include <fmt/format.h>

namespace lathe::graph {
namespace {

std::string field_text(int value) { return std::to_string(value); }
std::string field_text(bool value) { return value ? "true" : "false"; }
std::string field_text(float value) { return fmt::format("{}", value); }
std::string field_text(Padding value) { return to_string(value); }
std::string field_text(Activation value) { return std::string(to_string(value)); }
std::string field_text(const std::vector<std::int64_t>& value) {
  std::string text = "[";
  for (std::int64_t extent : value) {
    if (text.size() > 1) text += ',';
    text += std::to_string(extent);
  }
  return text + "]";
}

}  // namespace

std::string_view to_string(Activation activation) {
  switch (activation) {
    case Activation::none:
      return "none";
    case Activation::relu:
      return "relu";
    case Activation::relu6:
      return "relu6";
    case Activation::sigmoid:
      return "sigmoid";
    case Activation::silu:
      return "silu";
  }
  return "unknown";
}

std::string to_string(Padding padding) {
  switch (padding.kind) {
    case Padding::Kind::valid:
      return "valid";
    case Padding::Kind::same:
      return "same";
    case Padding::Kind::symmetric:
      return fmt::format("symmetric({})", padding.amount);
  }
  return "unknown";
}

std::string_view name(const Op& op) {
  return std::visit([](const auto& some) { return some.kName; }, op);
}

std::string to_string(const Op& op) {
  return std::visit(
      [](const auto& some) {
        using SomeOp = std::remove_cvref_t<decltype(some)>;
        // The defaults in the same order as the fields: an op is printed as its difference from them.
        std::vector<std::string> defaults;
        const SomeOp plain{};
        for_each_field(plain,
                       [&](std::string_view, const auto& value) { defaults.push_back(field_text(value)); });
        std::string fields;
        std::size_t index = 0;
        for_each_field(some, [&](std::string_view field, const auto& value) {
          const std::string text = field_text(value);
          if (text != defaults[index++])
            fields += fmt::format("{}{}={}", fields.empty() ? "" : ", ", field, text);
        });
        return fields.empty() ? std::string(SomeOp::kName) : fmt::format("{}({})", SomeOp::kName, fields);
      },
      op);
}

bool deployable(const Op& op) {
  return std::visit(
      [](const auto& some) {
        using SomeOp = std::remove_cvref_t<decltype(some)>;
        if constexpr (std::is_same_v<SomeOp, BatchNorm>)
          return !some.training;
        else
          return !(std::is_same_v<SomeOp, Dropout> || std::is_same_v<SomeOp, CrossEntropy> ||
                   std::is_same_v<SomeOp, KlDivergence> || std::is_same_v<SomeOp, MeanSquaredError> ||
                   std::is_same_v<SomeOp, Scale> || std::is_same_v<SomeOp, Sum> ||
                   std::is_same_v<SomeOp, ApplyMask> || std::is_same_v<SomeOp, ClusterLookup> ||
                   std::is_same_v<SomeOp, FakeQuantizeWeight> || std::is_same_v<SomeOp, FakeQuantize>);
      },
      op);
}

}  // namespace lathe::graph
