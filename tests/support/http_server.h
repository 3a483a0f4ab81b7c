#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

/// What a client asked for.
struct HttpRequest {
  std::string path;
  std::optional<std::size_t> range_start;  ///< of "Range: bytes=N-"
};

/// What the server answers. Content-Length is that of the body unless told otherwise.
struct HttpResponse {
  int status = 200;
  std::string body = {};
  std::vector<std::string> headers = {};
  std::optional<std::size_t> content_length = {};  ///< what is announced; 0 bytes more or fewer may follow
  bool announce_length = true;
  bool stall = false;  ///< after the body, keep the connection open and say nothing until the server dies
};

/// An HTTP server on localhost for tests: one connection at a time, each closed after its answer.
class HttpServer {
 public:
  using Handler = std::function<HttpResponse(const HttpRequest&)>;
  explicit HttpServer(Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// "http://127.0.0.1:PORT/"
  std::string url() const;
  std::vector<HttpRequest> requests() const;

 private:
  void serve();
  void answer(int client);

  Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  mutable std::mutex mutex_;
  std::vector<HttpRequest> requests_;
  std::thread thread_;
};

/// Serves `files` (path without the leading slash), honouring ranges as real servers do; others are 404.
HttpServer::Handler serve_files(std::map<std::string, std::string> files);
