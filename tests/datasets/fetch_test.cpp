#include <doctest/doctest.h>

#include <lathe/base/error.h>
#include <lathe/datasets/fetch.h>

#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include <fcntl.h>

#include "support/errors.h"
#include "support/http_server.h"
#include "support/temporary_folder.h"

using namespace lathe;
using namespace lathe::datasets;

namespace {

const std::string kContent = [] {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += std::to_string(i * i) + "\n";
  return text;
}();
// sha256sum of the numbers above.
const std::string kDigest = "7dbca1c8d11fa2f3c39b8a63e32e055d135df2e545d60aa6488f4b3c0ee7d996";

std::string other_content() {
  std::string text = kContent;
  text[text.size() / 2] = 'x';
  return text;
}

std::string get(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void put(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// Downloads numbers.txt into a new folder.
struct Download {
  Download() {
    ::setenv("no_proxy", "127.0.0.1", 1);  // a proxy of the machine knows nothing of this server
    std::filesystem::create_directories(folder / "set");
  }

  void run(std::vector<std::string> mirrors) {
    const RemoteDataset dataset{"set", std::move(mirrors), {{"numbers.txt", kContent.size(), kDigest}}};
    FetchOptions options{.stall_seconds = 1};
    options.progress = [this](const RemoteFile& file, std::uint64_t bytes) {
      CHECK(file.name == "numbers.txt");
      progress.push_back(bytes);
    };
    options.note = [this](std::string_view line) { (notes += line) += '\n'; };
    fetch(dataset, folder.path(), options);
  }
  bool noted(const std::string& part) const { return notes.find(part) != std::string::npos; }
  void check_whole() const {
    CHECK(get(final) == kContent);
    CHECK_FALSE(std::filesystem::exists(part));
  }

  TemporaryFolder folder;
  std::filesystem::path final = folder / "set/numbers.txt";
  std::filesystem::path part = folder / "set/numbers.txt.part";
  std::vector<std::uint64_t> progress;
  std::string notes;
};

HttpServer::Handler good() { return serve_files({{"numbers.txt", kContent}}); }

/// A port nobody listens on.
std::string dead_mirror() {
  const HttpServer server(good());
  return server.url();
}

}  // namespace

TEST_CASE("fetch: a file arrives under its name, with progress") {
  const HttpServer server(good());
  Download download;
  download.run({server.url()});
  download.check_whole();
  REQUIRE_FALSE(download.progress.empty());
  CHECK(download.progress.back() == kContent.size());
  CHECK(download.noted("SHA-256 as expected"));
  CHECK(server.requests().size() == 1);
}

TEST_CASE("fetch: a whole file is kept without a request, a damaged one is reported and replaced") {
  const HttpServer server(good());
  Download download;
  put(download.final, kContent);
  download.run({server.url()});
  CHECK(server.requests().empty());
  CHECK(download.noted("numbers.txt is there and whole"));

  put(download.final, other_content());
  download.run({server.url()});
  CHECK(
      download.noted("numbers.txt is damaged (its SHA-256 is not the expected one): it is downloaded again"));
  download.check_whole();

  put(download.final, "short");
  download.run({server.url()});
  CHECK(download.noted("is damaged (5 bytes, expected"));
  download.check_whole();
}

TEST_CASE("fetch: goes on from a part with a range request") {
  const HttpServer server(good());
  Download download;
  put(download.part, kContent.substr(0, 5000));
  download.run({server.url()});
  download.check_whole();
  REQUIRE(server.requests().size() == 1);
  CHECK(server.requests()[0].range_start == 5000);
  CHECK(download.progress.front() > 5000);
}

TEST_CASE("fetch: a part that is whole needs no request, one that is too long or wrong is dropped") {
  const HttpServer server(good());
  {
    Download download;
    put(download.part, kContent);
    download.run({server.url()});
    download.check_whole();
    CHECK(server.requests().empty());
  }
  for (const std::string& part : {kContent + "more", other_content()}) {
    Download download;
    put(download.part, part);
    download.run({server.url()});
    download.check_whole();
  }
  CHECK(server.requests().size() == 2);
  CHECK_FALSE(server.requests()[0].range_start.has_value());
}

TEST_CASE("fetch: a wrong part is noticed at the end and the whole file asked for") {
  const HttpServer server(good());
  Download download;
  put(download.part, "rubbish");
  download.run({server.url()});
  download.check_whole();
  REQUIRE(server.requests().size() == 2);
  CHECK(server.requests()[0].range_start == 7);
  CHECK_FALSE(server.requests()[1].range_start.has_value());
}

TEST_CASE("fetch: a server that ignores ranges sends the whole file instead") {
  const HttpServer server([](const HttpRequest&) -> HttpResponse { return {.body = kContent}; });
  Download download;
  put(download.part, kContent.substr(0, 5000));
  download.run({server.url()});
  download.check_whole();
  CHECK(server.requests().size() == 1);
}

TEST_CASE("fetch: a server that sends another range or refuses it is asked for the whole file") {
  const HttpServer shifted([](const HttpRequest& request) -> HttpResponse {
    if (!request.range_start) return {.body = kContent};
    return {.status = 206, .body = kContent.substr(100), .headers = {"Content-Range: bytes 100-9/10"}};
  });
  const HttpServer refusing([](const HttpRequest& request) -> HttpResponse {
    if (!request.range_start) return {.body = kContent};
    return {.status = 416};
  });
  for (const HttpServer* server : {&shifted, &refusing}) {
    Download download;
    put(download.part, kContent.substr(0, 5000));
    download.run({server->url()});
    download.check_whole();
    CHECK(server->requests().size() == 2);
  }
}

TEST_CASE("fetch: a mirror with other bytes is passed over") {
  const HttpServer wrong(serve_files({{"numbers.txt", other_content()}}));
  const HttpServer right(good());
  Download download;
  download.run({wrong.url(), right.url()});
  download.check_whole();
  CHECK(download.noted("other bytes than expected (SHA-256 "));
  REQUIRE(right.requests().size() == 1);
  CHECK_FALSE(right.requests()[0].range_start.has_value());
}

TEST_CASE("fetch: what a mirror sent before it broke off is gone on from at the next") {
  const HttpServer broken([](const HttpRequest&) -> HttpResponse {
    return {.body = kContent.substr(0, 7000), .content_length = kContent.size()};
  });
  const HttpServer right(good());
  Download download;
  download.run({broken.url(), right.url()});
  download.check_whole();
  REQUIRE(right.requests().size() == 1);
  CHECK(right.requests()[0].range_start == 7000);
}

TEST_CASE("fetch: a download that broke off everywhere keeps its part for the next time") {
  const auto broken = [](const HttpRequest& request) -> HttpResponse {
    if (request.range_start) return {.status = 503};
    return {.body = kContent.substr(0, 7000), .announce_length = false};
  };
  Download download;
  {
    const HttpServer server(broken);
    CHECK_ERROR(download.run({server.url()}), "it ended after 7000 of ");
    CHECK_ERROR(download.run({server.url()}), "HTTP status 503 (7000 of ");
  }
  CHECK(get(download.part) == kContent.substr(0, 7000));
  CHECK_FALSE(std::filesystem::exists(download.final));
  const HttpServer server(good());
  download.run({server.url()});
  download.check_whole();
  CHECK(server.requests()[0].range_start == 7000);
}

TEST_CASE("fetch: a file of another length is refused before it is read") {
  for (const std::string& body :
       {kContent + "x", kContent.substr(1), std::string("<html>sorry</html>"), std::string()}) {
    const HttpServer server([&](const HttpRequest&) -> HttpResponse { return {.body = body}; });
    Download download;
    CHECK_ERROR(download.run({server.url()}),
                "its file has " + std::to_string(body.size()) + " bytes, expected ");
    CHECK(download.progress.empty());
    CHECK_FALSE(std::filesystem::exists(download.part));
  }
}

TEST_CASE("fetch: more bytes than expected are not stored") {
  const HttpServer server([](const HttpRequest&) -> HttpResponse {
    return {.body = kContent + std::string(1 << 20, 'x'), .announce_length = false};
  });
  Download download;
  CHECK_ERROR(download.run({server.url()}), "it sends more than the ");
  for (const std::uint64_t bytes : download.progress) CHECK(bytes <= kContent.size());
  CHECK_FALSE(std::filesystem::exists(download.part));
}

TEST_CASE("fetch: redirects are followed, but only to http and https and not for ever") {
  const HttpServer target(good());
  const HttpServer redirect([&](const HttpRequest& request) -> HttpResponse {
    return {.status = 302, .body = "moved", .headers = {"Location: " + target.url() + request.path}};
  });
  Download download;
  download.run({redirect.url()});
  download.check_whole();

  const HttpServer local([&](const HttpRequest&) -> HttpResponse {
    return {.status = 302, .headers = {"Location: file://" + download.final.string()}};
  });
  Download from_file;
  CHECK_ERROR(from_file.run({local.url()}), "Protocol \"file\" not supported or disabled");
  CHECK_ERROR(from_file.run({"file:///etc/"}), "Protocol \"file\" not supported or disabled");

  const HttpServer loop([](const HttpRequest&) -> HttpResponse {
    return {.status = 302, .headers = {"Location: /numbers.txt"}};
  });
  CHECK_ERROR(from_file.run({loop.url()}), "Maximum (5) redirects followed");
}

TEST_CASE("fetch: a mirror that stops sending is passed over") {
  const HttpServer stalling([](const HttpRequest&) -> HttpResponse {
    return {.body = kContent.substr(0, 3000), .content_length = kContent.size(), .stall = true};
  });
  const HttpServer right(good());
  Download download;
  download.run({stalling.url(), right.url()});
  download.check_whole();
  CHECK(download.noted("it sent nothing for 1 seconds"));
}

TEST_CASE("fetch: when every mirror fails the error lists what each said") {
  const HttpServer missing(serve_files({}));
  const HttpServer wrong(serve_files({{"numbers.txt", other_content()}}));
  const std::string dead = dead_mirror();
  Download download;
  for (const std::string& part :
       {std::string("cannot download numbers.txt: "), missing.url() + "numbers.txt: HTTP status 404; ",
        wrong.url() + "numbers.txt: other bytes than expected", dead + "numbers.txt: Failed to connect"}) {
    CHECK_ERROR(download.run({missing.url(), wrong.url(), dead}), part);
  }
  CHECK_ERROR(download.run({"not a url"}), "URL");
  CHECK_ERROR(download.run({}), "there is no mirror");
  CHECK_FALSE(std::filesystem::exists(download.final));
  CHECK_FALSE(std::filesystem::exists(download.part));
}

TEST_CASE("fetch: places that cannot be written are one error") {
  const HttpServer server(good());
  Download download;
  std::filesystem::create_directories(download.final);
  CHECK_ERROR(download.run({server.url()}), "numbers.txt: it is not a regular file");
  std::filesystem::remove(download.final);
  std::filesystem::create_directories(download.part);
  CHECK_ERROR(download.run({server.url()}), "numbers.txt.part: Is a directory");
  std::filesystem::remove(download.part);

  const int other = ::open(download.part.c_str(), O_CREAT | O_RDWR, 0600);
  REQUIRE(::flock(other, LOCK_EX) == 0);
  CHECK_ERROR(download.run({server.url()}), "numbers.txt.part: another process downloads it");
  ::close(other);

  const RemoteDataset dataset{"set", {server.url()}, {{"numbers.txt", kContent.size(), kDigest}}};
  put(download.folder / "file", "");
  CHECK_ERROR(fetch(dataset, download.folder / "file"), "cannot create folder ");
}

TEST_CASE("fetch: a full disk is one clear error and no mirror is blamed") {
  const HttpServer server(good());
  Download download;
  std::filesystem::create_symlink("/dev/full", download.part);
  CHECK_ERROR(download.run({server.url(), server.url()}), "numbers.txt.part: No space left on device");
  CHECK(server.requests().size() == 1);
}

TEST_CASE("fetch: what progress throws ends the download and keeps the part") {
  const HttpServer server(good());
  Download download;
  const RemoteDataset dataset{"set", {server.url()}, {{"numbers.txt", kContent.size(), kDigest}}};
  FetchOptions options;
  options.progress = [](const RemoteFile&, std::uint64_t) { fail("interrupted"); };
  CHECK_ERROR(fetch(dataset, download.folder.path(), options), "interrupted");
  CHECK(std::filesystem::file_size(download.part) > 0);
}

TEST_CASE("fetch: the data sets offered have complete descriptions") {
  REQUIRE_FALSE(remote_datasets().empty());
  CHECK(remote_datasets()[0].name == "mnist");
  for (const RemoteDataset& dataset : remote_datasets()) {
    CHECK(dataset.mirrors.size() >= 2);
    for (const std::string& mirror : dataset.mirrors) CHECK(mirror.ends_with('/'));
    std::set<std::string> digests;
    for (const RemoteFile& file : dataset.files) {
      CHECK(file.bytes > 0);
      CHECK(file.sha256.size() == 64);
      CHECK(file.sha256.find_first_not_of("0123456789abcdef") == std::string::npos);
      digests.insert(file.sha256);
    }
    CHECK(digests.size() == dataset.files.size());
  }
}
