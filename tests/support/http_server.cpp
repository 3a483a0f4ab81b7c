#include "http_server.h"

#include <stdexcept>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

void send_all(int client, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return;  // the client left
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace

HttpServer::HttpServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || ::bind(listener_, generic, length) != 0 || ::listen(listener_, 16) != 0 ||
      ::getsockname(listener_, generic, &length) != 0) {
    throw std::runtime_error("test server: cannot listen on localhost");
  }
  port_ = ::ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

HttpServer::~HttpServer() {
  stop_ = true;
  thread_.join();
  ::close(listener_);
}

std::string HttpServer::url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }

std::vector<HttpRequest> HttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HttpServer::serve() {
  while (!stop_) {
    pollfd waiting{listener_, POLLIN, 0};
    if (::poll(&waiting, 1, 20) <= 0) continue;
    const int client = ::accept(listener_, nullptr, nullptr);
    if (client < 0) continue;
    answer(client);
    ::close(client);
  }
}

void HttpServer::answer(int client) {
  std::string head;
  while (head.find("\r\n\r\n") == std::string::npos) {
    char chunk[1024];
    const ssize_t count = ::recv(client, chunk, sizeof chunk, 0);
    if (count <= 0) return;
    head.append(chunk, static_cast<std::size_t>(count));
  }
  HttpRequest request;
  const std::size_t path = head.find('/');
  request.path = head.substr(path + 1, head.find(' ', path) - path - 1);
  const std::string_view range_header = "Range: bytes=";
  if (const std::size_t at = head.find(range_header); at != std::string::npos) {
    request.range_start = std::stoull(head.substr(at + range_header.size()));
  }
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
  }
  const HttpResponse response = handler_(request);
  std::string answer = "HTTP/1.1 " + std::to_string(response.status) + " Answer\r\nConnection: close\r\n";
  if (response.announce_length) {
    answer +=
        "Content-Length: " + std::to_string(response.content_length.value_or(response.body.size())) + "\r\n";
  }
  for (const std::string& header : response.headers) answer += header + "\r\n";
  send_all(client, answer + "\r\n" + response.body);
  while (response.stall && !stop_) ::poll(nullptr, 0, 20);
}

HttpServer::Handler serve_files(std::map<std::string, std::string> files) {
  return [files = std::move(files)](const HttpRequest& request) -> HttpResponse {
    const auto file = files.find(request.path);
    if (file == files.end()) return {.status = 404, .body = "not found"};
    const std::string& bytes = file->second;
    if (!request.range_start) return {.body = bytes};
    const std::size_t start = *request.range_start;
    const std::string total = std::to_string(bytes.size());
    if (start >= bytes.size()) return {.status = 416, .headers = {"Content-Range: bytes */" + total}};
    return {.status = 206,
            .body = bytes.substr(start),
            .headers = {"Content-Range: bytes " + std::to_string(start) + "-" +
                        std::to_string(bytes.size() - 1) + "/" + total}};
  };
}
