#include "gnuplot.h"

#include "words.h"

#include <lathe/base/error.h>
#include <lathe/base/io.h>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>

namespace lathe::experiments {
namespace {

/// Runs gnuplot in a folder with its messages in a file. The exit code, or -1 when it cannot be started.
int run_gnuplot(const std::filesystem::path& folder, const char* argument, const char* messages) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, messages, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  const char* arguments[] = {"gnuplot", argument, nullptr};
  pid_t child = 0;
  const int failure =
      posix_spawnp(&child, "gnuplot", &actions, nullptr, const_cast<char* const*>(arguments), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) return -1;
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// What every figure begins with. The script draws the same twice: it loads itself for the second format.
std::string whole_script(const Figure& figure) {
  using namespace palette;
  const std::string file = quote_gnuplot(figure.name + ".gp");
  return fmt::format(
             "# gnuplot {0}.gp makes {0}.png and {0}.svg out of {0}.dat\n"
             "if (!exists('format')) format = 'png'\n"
             "reset\n"
             "set encoding utf8\n"
             "if (format eq 'png') set terminal pngcairo noenhanced size {1},{2} font 'DejaVu Sans,16.5' "
             "linewidth 2 "
             "pointscale 2 background '{3}'\n"
             "if (format eq 'svg') set terminal svg noenhanced mouse size {4},{5} font 'DejaVu Sans,11' "
             "background '{3}'\n"
             "small = format eq 'png' ? ',14' : ',9.3'\n"
             "tiny = format eq 'png' ? ',11' : ',7.3'\n"
             "set output {6} . format\n"
             "set datafile separator \"\\t\"\n"
             "set border 3 lc rgb '{7}'\n"
             "set tics nomirror out scale 0.5 tc rgb '{8}'\n"
             "set grid back lt 1 lw 0.7 lc rgb '{9}'\n"
             "set key tc rgb '{8}'\n"
             "set xlabel tc rgb '{8}'\nset ylabel tc rgb '{8}'\nset title tc rgb '{8}'\n"
             "data = {10}\n",
             figure.name, 2 * figure.width, 2 * figure.height, kPaper, figure.width, figure.height,
             quote_gnuplot(figure.name + "."), kMuted, kInk, kLine, quote_gnuplot(figure.name + ".dat")) +
         figure.script +
         fmt::format("unset output\nif (format eq 'png') format = 'svg'; load {0}; else undefine format\n",
                     file);
}

}  // namespace

bool has_gnuplot() {
  static const bool kThere = run_gnuplot("/", "--version", "/dev/null") == 0;
  return kThere;
}

Drawing draw(const Figure& figure, const std::filesystem::path& folder, bool gnuplot) {
  write_file(folder / (figure.name + ".dat"), figure.data);
  write_file(folder / (figure.name + ".gp"), whole_script(figure));
  if (!gnuplot) return {.svg = {}, .error = "gnuplot is not installed"};
  const std::filesystem::path messages = folder / (figure.name + ".log");
  const int code = run_gnuplot(folder, (figure.name + ".gp").c_str(), (figure.name + ".log").c_str());
  std::string said = text_of(messages);
  std::error_code ignored;
  std::filesystem::remove(messages, ignored);
  const std::filesystem::path svg = folder / (figure.name + ".svg");
  if (code != 0 || !std::filesystem::exists(svg)) {
    for (char& c : said)
      if (c == '\n') c = ' ';
    return {.svg = {},
            .error = fmt::format("gnuplot: {}", said.empty() ? fmt::format("exit code {}", code) : said)};
  }
  const std::string clean = clean_svg(text_of(svg));
  write_file(svg, clean);
  return {.svg = inline_svg(clean, figure.name, figure.caption), .error = {}};
}

const char* series_color(std::size_t index) { return palette::kSeries[index % std::size(palette::kSeries)]; }

std::string data_text(std::string_view text) {
  std::string result;
  for (char c : text) {
    if (c == '"' || c == '\'')
      result += "’";
    else
      result += c == '\\' ? '/' : static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return result;
}

}  // namespace lathe::experiments
