// ONNX Runtime's side of compare.py: `onnxruntime-peer LIBRARY MODEL IMAGES`; `onnxruntime-peer LIBRARY`
// prints the version. The library is the one inside the npm package, called through its C interface:
// JavaScript in between would take longer than the small models do. The package has no headers; the functions
// that are needed stand at fixed places of a table that only ever grows.

#include "serve.h"

#include <dlfcn.h>

#include <array>
#include <cstdint>

namespace {

struct ApiBase {
  const void* const* (*get_api)(std::uint32_t version);
  const char* (*version)();
};

/// Entries of the table, and what is passed in their enumerations.
enum Entry : std::size_t {
  error_message = 2,
  create_env = 3,
  create_session = 7,
  run_session = 9,
  create_options = 10,
  set_optimization_level = 23,
  set_intra_op_threads = 24,
  set_inter_op_threads = 25,
  create_tensor_with_data = 49,
  create_cpu_memory_info = 69,
};
constexpr std::uint32_t kApiVersion = 1;
constexpr int kLogErrors = 3, kAllOptimizations = 99, kFloat = 1, kArenaAllocator = 1, kDefaultMemory = 0;

class Api {
 public:
  explicit Api(const std::string& library) {
    void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) throw std::runtime_error(dlerror());
    const auto base = reinterpret_cast<const ApiBase* (*)()>(dlsym(handle, "OrtGetApiBase"));
    if (!base) throw std::runtime_error(library + " is not ONNX Runtime");
    version_ = base()->version();
    table_ = base()->get_api(kApiVersion);
  }

  const char* version() const { return version_; }

  /// Throws what the library says when the call fails.
  template <typename... Arguments>
  void call(Entry entry, Arguments... arguments) const {
    const auto function = reinterpret_cast<void* (*)(Arguments...)>(const_cast<void*>(table_[entry]));
    if (void* status = function(arguments...))
      throw std::runtime_error(
          reinterpret_cast<const char* (*)(void*)>(const_cast<void*>(table_[error_message]))(status));
  }

  /// What an entry makes: its last argument is where to.
  template <typename... Arguments>
  void* make(Entry entry, Arguments... arguments) const {
    void* result = nullptr;
    call(entry, arguments..., &result);
    return result;
  }

 private:
  const char* version_;
  const void* const* table_;
};

void run(const Api& api, const std::string& model, const std::string& images) {
  void* const env = api.make(create_env, kLogErrors, "peer");
  void* const options = api.make(create_options);
  api.call(set_optimization_level, options, kAllOptimizations);
  api.call(set_intra_op_threads, options, 1);
  api.call(set_inter_op_threads, options, 1);
  void* const session = api.make(create_session, env, model.c_str(), options);

  // Both tensors are made once: a run neither creates nor allocates them.
  std::array<float, peers::kPixels> input{};
  std::array<float, peers::kClasses> output{};
  void* const memory = api.make(create_cpu_memory_info, kArenaAllocator, kDefaultMemory);
  const std::int64_t input_shape[] = {1, 1, 28, 28}, output_shape[] = {1, peers::kClasses};
  void* const input_value =
      api.make(create_tensor_with_data, memory, static_cast<void*>(input.data()), sizeof input,
               static_cast<const std::int64_t*>(input_shape), std::size(input_shape), kFloat);
  void* output_value =
      api.make(create_tensor_with_data, memory, static_cast<void*>(output.data()), sizeof output,
               static_cast<const std::int64_t*>(output_shape), std::size(output_shape), kFloat);
  const char* const input_name = "input";
  const char* const output_name = "output";
  const std::size_t one = 1;
  void* const no_run_options = nullptr;
  peers::serve_inference(peers::read_numbers<float>(images), input, output, [&] {
    api.call(run_session, session, no_run_options, &input_name, &input_value, one, &output_name, one,
             &output_value);
  });
}

}  // namespace

int main(int argc, char** argv) {
  return peers::guarded("onnxruntime-peer", [&] {
    if (argc != 2 && argc != 4) throw std::runtime_error("usage: onnxruntime-peer LIBRARY [MODEL IMAGES]");
    const Api api(argv[1]);
    if (argc == 2)
      std::cout << api.version() << std::endl;
    else
      run(api, argv[2], argv[3]);
  });
}
