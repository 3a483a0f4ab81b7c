#include "photo_tables.h"

#include <lathe/layers/models.h>

#include <doctest/doctest.h>

using namespace lathe;
using namespace lathe::experiments;

TEST_CASE("the published totals of the photo study are reproduced by counting") {
  const auto model = layers::find_model("efficientnet_b0").make();
  const PublishedTotals totals = published_totals(*model);
  CHECK(totals.base == 4'740'453);
  CHECK(totals.pruned_dense == 5'428'715);
  CHECK(totals.clustered == 9'203'973);
  CHECK(totals.quantized_dense == 4'740'470);
}

TEST_CASE("a stage without a result has empty cells, not zeros") {
  Cell cell = {{"config", {{"base", "small_cnn"}, {"kind", "qat"}, {"seed", 0}}},
               {"results", {{"exp_id", "small_cnn_qat_s0"}, {"float_acc", 0.9876}, {"int8_bytes", 123456}}}};
  const Table table = stage_table({make_row(cell)});
  REQUIRE(table.rows.size() == 1);
  CHECK(table.rows[0] == std::vector<std::string>{"qat", "98.76", "", "", "123,456", "", "", ""});
}

TEST_CASE("every variant of a stage has a row, measured against the fp32 baseline") {
  const auto row = [](const char* kind, double bytes) {
    return make_row({{"config", {{"base", "small_cnn"}, {"kind", kind}, {"seed", 0}, {"batch", 16}}},
                     {"results",
                      {{"exp_id", kind},
                       {"float_acc", 0.5},
                       {"float_bytes", 2 * bytes},
                       {"int8_acc", 0.5},
                       {"int8_bytes", bytes},
                       {"int8_arena_bytes", 4096}}},
                     {"training_tensor_bytes", 1e6}});
  };
  const std::vector<Row> rows = {row("baseline", 1000), row("qat", 500)};
  const Table variants = variant_table(rows);
  REQUIRE(variants.rows.size() == 4);
  CHECK(variants.rows[3] == std::vector<std::string>{"qat", "int8", "50.00", "500", "4.00", "", "", "4,096"});
  CHECK(memory_table(rows).rows[0] == std::vector<std::string>{"baseline", "16", "1,000,000"});
}
