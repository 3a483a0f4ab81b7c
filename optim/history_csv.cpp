#include <lathe/base/io.h>
#include <lathe/optim/callbacks.h>

namespace lathe::optim {

void HistoryCsv::fit_begin(TrainState& state) {
  if (state.step == 0) lines_.clear();
}

void HistoryCsv::epoch_end(TrainState& state) {
  const std::string validation =
      state.has_validation ? fmt::format("{:.6f},{:.6f}", state.validation.loss, state.validation.accuracy)
                           : ",";
  lines_ += fmt::format("{},{},{:.6g},{:.6f},{:.6f},{},{:.1f}\n", state.epoch + 1, state.step,
                        state.optimizer.learning_rate(), state.train.loss, state.train.accuracy, validation,
                        state.images_per_second);
  write_file(path_,
             "epoch,step,learning_rate,train_loss,train_accuracy,validation_loss,validation_accuracy,"
             "images_per_second\n" +
                 lines_);
}

}  // namespace lathe::optim
