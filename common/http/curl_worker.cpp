#include "common/http/curl_worker.hpp"

#include "common/base/check.hpp"

#include <curl/curl.h>

#include <array>
#include <atomic>
#include <cctype>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

namespace tayga::http {
namespace {

constexpr long kRedirectsMax = 5;
constexpr std::size_t kAnswerHeadersMax = 256;
constexpr long kConnectionsKept = 16;
constexpr int kPollTimeoutMs = 60'000;  // commands wake the poll; this only bounds a lost wake-up

struct Start {
  TransferId id;
  FetchRequest request;
};
struct Cancel {
  TransferId id;
};
struct Resume {
  TransferId id;
};
using Command = std::variant<Start, Cancel, Resume>;

struct EasyDelete {
  void operator()(CURL* easy) const noexcept { curl_easy_cleanup(easy); }
};
struct ListDelete {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};

struct Transfer {
  TransferId id;
  FetchRequest request;
  const CurlWorker::Events& events;
  std::unique_ptr<CURL, EasyDelete> easy{};
  std::unique_ptr<curl_slist, ListDelete> fields{};
  std::array<char, CURL_ERROR_SIZE> error_text{};
  FetchDone done{};
  bool too_large = false;
  bool head_told = false;
};

long to_ms(Duration duration) {
  return static_cast<long>(std::chrono::ceil<std::chrono::milliseconds>(duration).count());
}

unsigned status_of(CURL* easy) {
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  return static_cast<unsigned>(status);
}

std::size_t on_body(char* data, std::size_t, std::size_t size, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  if (status_of(transfer.easy.get()) / 100 != 2) return size;
  if (transfer.done.body_size + size > transfer.request.max_bytes) {
    transfer.too_large = true;
    return CURL_WRITEFUNC_ERROR;
  }
  if (!std::exchange(transfer.head_told, true)) {
    transfer.events.on_head(transfer.id, {status_of(transfer.easy.get()), transfer.done.headers});
  }
  if (!transfer.events.on_data(transfer.id, as_bytes({data, size}))) return CURL_WRITEFUNC_PAUSE;
  transfer.done.body_size += size;
  return size;
}

std::size_t on_header_line(char* data, std::size_t, std::size_t size, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  std::string_view line{data, size};
  if (line.starts_with("HTTP/")) {  // of a redirect, an interim or the last answer
    transfer.done.headers = {};
    return size;
  }
  const auto trim = [](std::string_view text) {
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) {
      text.remove_prefix(1);
    }
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
      text.remove_suffix(1);
    }
    return text;
  };
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  if (transfer.done.headers.size() >= kAnswerHeadersMax) return 0;
  transfer.done.headers.add(std::string{trim(line.substr(0, colon))},
                            std::string{trim(line.substr(colon + 1))});
  return size;
}

HttpErrc to_errc(CURLcode code) noexcept {
  switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return HttpErrc::bad_url;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
      return HttpErrc::connect_failed;
    case CURLE_OPERATION_TIMEDOUT:
      return HttpErrc::too_slow;
    case CURLE_TOO_MANY_REDIRECTS:
      return HttpErrc::too_many_redirects;
    case CURLE_FILESIZE_EXCEEDED:
      return HttpErrc::answer_too_large;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
      return HttpErrc::tls_failed;
    default:
      return HttpErrc::protocol_failed;  // curl's list is long and grows
  }
}

bool has_control(std::string_view text) noexcept {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) return true;
  }
  return false;
}

/// False when a field could not be given to curl as one line.
bool set_fields(Transfer& transfer) {
  for (const Header& field : transfer.request.headers) {
    if (field.name.empty() || has_control(field.name) || has_control(field.value)) return false;
    // "Name;" is curl's way to send an empty value; "Name:" would remove the field.
    const std::string line =
        field.value.empty() ? field.name + ";" : field.name + ": " + field.value;
    curl_slist* const longer = curl_slist_append(transfer.fields.get(), line.c_str());
    if (longer == nullptr) return false;
    (void)transfer.fields.release();
    transfer.fields.reset(longer);
  }
  return true;
}

void set_limits(Transfer& transfer, const FetcherOptions& options) {
  CURL* const easy = transfer.easy.get();
  const FetchRequest& request = transfer.request;
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(easy, CURLOPT_MAXREDIRS, kRedirectsMax);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, to_ms(request.timeout));
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, to_ms(options.connect_timeout));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(options.low_speed_bytes_per_s));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, to_ms(options.low_speed_time) / 1000);
  curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(request.max_bytes));
}

bool set_up(Transfer& transfer, const FetcherOptions& options) {
  transfer.easy.reset(curl_easy_init());
  CURL* const easy = transfer.easy.get();
  if (easy == nullptr || !set_fields(transfer)) return false;
  set_limits(transfer, options);
  curl_easy_setopt(easy, CURLOPT_URL, transfer.request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer.fields.get());
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "tayga/" TAYGA_VERSION);
  curl_easy_setopt(easy, CURLOPT_PROXY, options.proxy.c_str());
  if (!options.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, options.ca_file.c_str());
  if (const auto& range = transfer.request.range) {
    const std::string text = range_field(*range);  // curl writes the unit itself
    curl_easy_setopt(easy, CURLOPT_RANGE, text.c_str() + text.find('=') + 1);
  }
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header_line);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer.error_text.data());
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &transfer);
  return true;
}

void fail(Transfer& transfer, HttpErrc code, std::string_view detail) {
  transfer.done.error = code;
  transfer.done.message =
      "cannot fetch " + printable_url(transfer.request.url) + ": " + transfer.done.error.message();
  if (!detail.empty()) transfer.done.message += std::string{" ("} + std::string{detail} + ")";
}

void finish(Transfer& transfer, CURLcode code) {
  CURL* const easy = transfer.easy.get();
  transfer.done.status = status_of(easy);
  const char* url = nullptr;
  curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
  transfer.done.url = url != nullptr ? url : transfer.request.url;
  if (code == CURLE_OK) return;
  if (transfer.too_large) {
    return fail(transfer, HttpErrc::answer_too_large,
                "more than " + std::to_string(transfer.request.max_bytes) + " bytes");
  }
  const char* const detail =
      transfer.error_text.front() != '\0' ? transfer.error_text.data() : curl_easy_strerror(code);
  fail(transfer, to_errc(code), detail);
}

bool is_fetchable(std::string_view url) noexcept {
  return (equal_ignoring_case(url.substr(0, 7), "http://") ||
          equal_ignoring_case(url.substr(0, 8), "https://")) &&
         !has_control(url) && url.find(' ') == std::string_view::npos;
}

CURLM* make_multi() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  CURLM* const multi = curl_multi_init();
  TAYGA_CHECK(multi != nullptr);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, kConnectionsKept);
  return multi;
}

}  // namespace

struct CurlWorker::Impl {
  Impl(FetcherOptions opts, Events ev)
      : options{std::move(opts)}, events{std::move(ev)}, multi{make_multi()} {}
  ~Impl() { curl_multi_cleanup(multi); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void push(Command command);
  void run();
  void obey(Command command);
  void begin(Start start);
  void begin_waiting();
  void end(std::map<TransferId, std::unique_ptr<Transfer>>::iterator transfer);
  void collect();

  const FetcherOptions options;
  const Events events;
  CURLM* const multi;
  std::mutex mutex;  // guards commands
  std::vector<Command> commands;
  std::atomic<bool> stopping{false};

  // Only the worker's thread touches these.
  std::map<TransferId, std::unique_ptr<Transfer>> running;
  std::deque<Start> waiting;  // bounded by Fetcher's queued_max

  std::thread thread;
};

void CurlWorker::Impl::push(Command command) {
  {
    const std::scoped_lock lock{mutex};
    commands.push_back(std::move(command));
  }
  curl_multi_wakeup(multi);
}

void CurlWorker::Impl::run() {
  while (!stopping) {
    std::vector<Command> taken;
    {
      const std::scoped_lock lock{mutex};
      taken.swap(commands);
    }
    for (Command& command : taken) obey(std::move(command));
    begin_waiting();
    int count = 0;
    curl_multi_perform(multi, &count);
    collect();
    if (!waiting.empty() && running.size() < options.transfers_max) continue;
    curl_multi_poll(multi, nullptr, 0, kPollTimeoutMs, nullptr);
  }
  while (!running.empty()) end(running.begin());
}

void CurlWorker::Impl::obey(Command command) {
  if (auto* start = std::get_if<Start>(&command)) {
    waiting.push_back(std::move(*start));
  } else if (const auto* cancel = std::get_if<Cancel>(&command)) {
    std::erase_if(waiting, [&](const Start& s) { return s.id == cancel->id; });
    if (const auto found = running.find(cancel->id); found != running.end()) end(found);
  } else if (const auto* resume = std::get_if<Resume>(&command)) {
    const auto found = running.find(resume->id);
    if (found != running.end()) curl_easy_pause(found->second->easy.get(), CURLPAUSE_CONT);
  }
}

void CurlWorker::Impl::begin_waiting() {
  while (!waiting.empty() && running.size() < options.transfers_max) {
    Start next = std::move(waiting.front());
    waiting.pop_front();
    begin(std::move(next));
  }
}

void CurlWorker::Impl::begin(Start start) {
  auto transfer = std::make_unique<Transfer>(Transfer{start.id, std::move(start.request), events});
  const bool fetchable = is_fetchable(transfer->request.url);
  if (!fetchable || !set_up(*transfer, options)) {
    fail(*transfer, fetchable ? HttpErrc::invalid_answer : HttpErrc::bad_url, "");
    return events.on_done(start.id, std::move(transfer->done));
  }
  curl_multi_add_handle(multi, transfer->easy.get());
  running.emplace(start.id, std::move(transfer));
}

void CurlWorker::Impl::end(std::map<TransferId, std::unique_ptr<Transfer>>::iterator transfer) {
  curl_multi_remove_handle(multi, transfer->second->easy.get());
  running.erase(transfer);
}

void CurlWorker::Impl::collect() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    char* context = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &context);
    auto& transfer = *reinterpret_cast<Transfer*>(context);
    finish(transfer, code);
    const TransferId id = transfer.id;
    FetchDone done = std::move(transfer.done);
    end(running.find(id));
    events.on_done(id, std::move(done));
  }
}

CurlWorker::CurlWorker(FetcherOptions options, Events events)
    : impl_{std::make_unique<Impl>(std::move(options), std::move(events))} {
  impl_->thread = std::thread{[impl = impl_.get()] { impl->run(); }};
}

CurlWorker::~CurlWorker() {
  impl_->stopping = true;
  curl_multi_wakeup(impl_->multi);
  impl_->thread.join();
}

void CurlWorker::start(TransferId id, FetchRequest request) {
  impl_->push(Start{id, std::move(request)});
}

void CurlWorker::cancel(TransferId id) {
  impl_->push(Cancel{id});
}

void CurlWorker::resume(TransferId id) {
  impl_->push(Resume{id});
}

}  // namespace tayga::http
