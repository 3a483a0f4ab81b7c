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
}

TEST_CASE("a stage without a result has empty cells, not zeros") {
  Cell cell = {{"config", {{"base", "small_cnn"}, {"kind", "qat"}, {"seed", 0}}},
               {"results", {{"exp_id", "small_cnn_qat_s0"}, {"float_acc", 0.9876}, {"int8_bytes", 123456}}}};
  const Table table = stage_table({make_row(cell)});
  REQUIRE(table.rows.size() == 1);
  CHECK(table.rows[0] == std::vector<std::string>{"qat", "98.76", "", "", "123,456", "", "", ""});
}
