#include <lathe/base/error.h>
#include <lathe/datasets/fetch.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <system_error>

#include "part_file.h"

#include <curl/curl.h>
#include <strings.h>

namespace lathe::datasets {
namespace {

using Clock = std::chrono::steady_clock;

/// What came of one request. `problem` is empty when the part file holds all bytes.
struct Outcome {
  std::string problem;
  bool from_start =
      false;  ///< going on from a part failed: it is worth asking the same mirror for the whole file
};

/// One GET of the rest of a file into its part file.
class Transfer {
 public:
  Transfer(const RemoteFile& file, PartFile& part, const FetchOptions& options)
      : file_(file), part_(part), options_(options), start_(part.size()) {}

  Outcome run(const std::string& url) {
    static const CURLcode ready = ::curl_global_init(CURL_GLOBAL_DEFAULT);
    curl_.reset(ready == CURLE_OK ? ::curl_easy_init() : nullptr);
    check(curl_ != nullptr, "cannot download {}: libcurl does not start", file_.name);
    CURL* curl = curl_.get();
    std::array<char, CURL_ERROR_SIZE> message{};
    const std::string range = std::to_string(start_) + "-";
    ::curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    ::curl_easy_setopt(curl, CURLOPT_USERAGENT, "lathe");
    ::curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    ::curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    ::curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    ::curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
    ::curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    ::curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, static_cast<long>(options_.connect_seconds));
    ::curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    ::curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &Transfer::on_tick);
    ::curl_easy_setopt(curl, CURLOPT_XFERINFODATA, this);
    ::curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message.data());
    ::curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
    ::curl_easy_setopt(curl, CURLOPT_WRITEDATA, this);
    ::curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
    ::curl_easy_setopt(curl, CURLOPT_HEADERDATA, this);
    if (start_ > 0) ::curl_easy_setopt(curl, CURLOPT_RANGE, range.c_str());

    const CURLcode result = ::curl_easy_perform(curl);
    if (thrown_) std::rethrow_exception(thrown_);
    if (!problem_.empty()) return {problem_, from_start_};
    if (result != CURLE_OK) return {*message.data() != '\0' ? message.data() : ::curl_easy_strerror(result)};
    if (!begun_ && !begin()) return {problem_, from_start_};  // an answer without a body
    if (part_.size() < file_.bytes)
      return {fmt::format("it ended after {} of {} bytes", part_.size(), file_.bytes)};
    return {};
  }

 private:
  /// Looks at the status and the headers before the first byte is kept. False: `problem_` says why the answer
  /// is no good.
  bool begin() {
    begun_ = true;
    long status = 0;
    curl_off_t length = -1;
    ::curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
    ::curl_easy_getinfo(curl_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (status == 206 && start_ > 0) {
      if (range_start_ != start_)
        return refuse("it sends another part of the file than it was asked for", true);
    } else if (status == 200) {
      if (start_ > 0) part_.truncate();  // the server knows no ranges and sends the whole file
    } else {
      return refuse(fmt::format("HTTP status {}", status), status == 416 && start_ > 0);
    }
    if (length >= 0 && part_.size() + static_cast<std::uint64_t>(length) != file_.bytes) {
      return refuse(fmt::format("its file has {} bytes, expected {}",
                                part_.size() + static_cast<std::uint64_t>(length), file_.bytes),
                    false);
    }
    return true;
  }

  bool refuse(std::string problem, bool from_start) {
    problem_ = std::move(problem);
    from_start_ = from_start;
    return false;
  }

  bool keep(std::span<const std::byte> bytes) {
    if (!begun_ && !begin()) return false;
    if (bytes.size() > file_.bytes - part_.size()) {
      part_.truncate();
      return refuse(fmt::format("it sends more than the {} bytes expected", file_.bytes), false);
    }
    part_.append(bytes);
    last_byte_ = Clock::now();
    if (options_.progress) options_.progress(file_, part_.size());
    return true;
  }

  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    try {
      return transfer.keep(std::as_bytes(std::span(data, size * count))) ? size * count : 0;
    } catch (...) {  // must not pass through the C library
      transfer.thrown_ = std::current_exception();
      return 0;
    }
  }

  /// Called about once a second. Not CURLOPT_LOW_SPEED_TIME: it averages over seconds that are past and
  /// reacts late.
  static int on_tick(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& transfer = *static_cast<Transfer*>(self);
    const bool stalled =
        Clock::now() - transfer.last_byte_ > std::chrono::seconds(transfer.options_.stall_seconds);
    if (stalled)
      transfer.refuse(fmt::format("it sent nothing for {} seconds", transfer.options_.stall_seconds), false);
    return stalled ? 1 : 0;
  }

  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const std::string_view line(data, size * count);
    constexpr std::string_view kName = "content-range: bytes ";
    if (line.substr(0, 5) == "HTTP/") transfer.range_start_.reset();  // of a redirect's target
    if (line.size() > kName.size() && ::strncasecmp(data, kName.data(), kName.size()) == 0) {
      std::uint64_t value = 0;
      const auto parsed = std::from_chars(data + kName.size(), data + line.size(), value);
      if (parsed.ec == std::errc{}) transfer.range_start_ = value;
    }
    return line.size();
  }

  struct CloseCurl {
    void operator()(CURL* curl) const { ::curl_easy_cleanup(curl); }
  };

  const RemoteFile& file_;
  PartFile& part_;
  const FetchOptions& options_;
  const std::uint64_t start_;
  Clock::time_point last_byte_ = Clock::now();
  std::unique_ptr<CURL, CloseCurl> curl_;
  std::optional<std::uint64_t> range_start_;
  bool begun_ = false;
  bool from_start_ = false;
  std::string problem_;
  std::exception_ptr thrown_;
};

class FileFetch {
 public:
  FileFetch(const RemoteFile& file, const std::filesystem::path& folder, const FetchOptions& options)
      : file_(file), path_(folder / file.name), options_(options) {}

  void run(std::span<const std::string> mirrors) {
    if (is_there()) return;
    PartFile part(path_.string() + ".part");
    if (part.size() > file_.bytes) part.truncate();
    if (part.size() == file_.bytes && accept(part).empty()) return;

    std::string problems;
    for (const std::string& mirror : mirrors) {
      const std::string url = mirror + (mirror.ends_with('/') ? "" : "/") + file_.name;
      const std::string problem = ask(url, part);
      if (problem.empty()) return;
      note("{}: {}", url, problem);
      problems += fmt::format("{}{}: {}", problems.empty() ? "" : "; ", url, problem);
    }
    const std::string kept = part.size() == 0
                                 ? ""
                                 : fmt::format(" ({} of {} bytes are kept in {}.part to go on from)",
                                               part.size(), file_.bytes, path_.string());
    fail("cannot download {}: {}{}", file_.name, problems.empty() ? "there is no mirror" : problems, kept);
  }

 private:
  bool is_there() const {
    std::error_code failed;
    const auto status = std::filesystem::status(path_, failed);
    if (!std::filesystem::exists(status)) return false;
    check(std::filesystem::is_regular_file(status), "cannot download to {}: it is not a regular file",
          path_.string());
    const std::uint64_t bytes = std::filesystem::file_size(path_, failed);
    if (!failed && bytes == file_.bytes && sha256_of(path_) == file_.sha256) {
      note("{} is there and whole", path_.string());
      return true;
    }
    note("{} is damaged ({}): it is downloaded again", path_.string(),
         bytes == file_.bytes ? std::string("its SHA-256 is not the expected one")
                              : fmt::format("{} bytes, expected {}", bytes, file_.bytes));
    return false;
  }

  /// One mirror, if need be twice: with the part that is there and from the start. Returns what went wrong.
  std::string ask(const std::string& url, PartFile& part) const {
    for (;;) {
      const bool had_part = part.size() > 0;
      Outcome outcome = Transfer(file_, part, options_).run(url);
      if (outcome.problem.empty()) {
        outcome.problem = accept(part);
        if (outcome.problem.empty()) return {};
        outcome.from_start = true;
      }
      if (!had_part || !outcome.from_start) return outcome.problem;
      note("{}: {}: asking for the whole file", url, outcome.problem);
      part.truncate();
    }
  }

  /// Gives a whole part file its name. Empties it when it holds other bytes, and says so.
  std::string accept(PartFile& part) const {
    const std::string digest = sha256_of(part.path());
    if (digest != file_.sha256) {
      part.truncate();
      return fmt::format("other bytes than expected (SHA-256 {}, expected {})", digest, file_.sha256);
    }
    part.rename_to(path_);
    note("{}: {} bytes, SHA-256 as expected", path_.string(), file_.bytes);
    return {};
  }

  template <typename... Args>
  void note(fmt::format_string<Args...> format, Args&&... args) const {
    if (options_.note) options_.note(fmt::format(format, std::forward<Args>(args)...));
  }

  const RemoteFile& file_;
  std::filesystem::path path_;
  const FetchOptions& options_;
};

}  // namespace

std::span<const RemoteDataset> remote_datasets() {
  static const std::array<RemoteDataset, 1> kDatasets{{
      {"mnist",
       {"https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/", "http://yann.lecun.com/exdb/mnist/"},
       {{"train-images-idx3-ubyte.gz", 9912422,
         "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"},
        {"train-labels-idx1-ubyte.gz", 28881,
         "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"},
        {"t10k-images-idx3-ubyte.gz", 1648877,
         "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"},
        {"t10k-labels-idx1-ubyte.gz", 4542,
         "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"}}},
  }};
  return kDatasets;
}

void fetch(const RemoteDataset& dataset, const std::filesystem::path& root, const FetchOptions& options) {
  const std::filesystem::path folder = root / dataset.name;
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  check(!failed, "cannot create folder {}: {}", folder.string(), failed.message());
  for (const RemoteFile& file : dataset.files) FileFetch(file, folder, options).run(dataset.mirrors);
}

}  // namespace lathe::datasets
