#include "orchestrator/rpc/outbox.hpp"

#include "common/base/check.hpp"

#include <algorithm>
#include <utility>

namespace tayga::orch {
namespace {

struct SubjectOf {
  std::string operator()(const Welcome&) const { return "w"; }
  std::string operator()(const IssuedAssignment& a) const {
    return "a" + std::string{as_text(a.target.stream.view())};
  }
  // An offer and its withdrawal are two states of one thing.
  std::string operator()(const PublishOffer& o) const { return "p" + o.stream_name; }
  std::string operator()(const PublishWithdrawal& w) const { return "p" + w.stream_name; }
  std::string operator()(const JoinRefusal& r) const { return "j" + r.stream_name; }
  std::string operator()(const DrainNotice&) const { return "d"; }
  std::string operator()(const BanNotice&) const { return "b"; }
  std::string operator()(const ReceiptAnswers&) const { return {}; }
};

bool is_answer(const OrchestratorEvent& event) {
  return std::holds_alternative<ReceiptAnswers>(event);
}

}  // namespace

Outbox::Entry& Outbox::entry(std::uint64_t number) {
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), number,
                                   [](const Entry& e, std::uint64_t n) { return e.number < n; });
  TAYGA_CHECK(at != entries_.end() && at->number == number);
  return *at;
}

void Outbox::drop_oldest_answer() {
  const auto oldest = std::find_if(entries_.begin(), entries_.end(),
                                   [](const Entry& e) { return is_answer(e.event); });
  TAYGA_CHECK(oldest != entries_.end());
  entries_.erase(oldest);
  --receipts_;
}

Outbox::Pushed Outbox::push(OrchestratorEvent event) {
  std::string subject = std::visit(SubjectOf{}, event);
  if (const auto known = by_subject_.find(subject); known != by_subject_.end()) {
    entry(known->second).event = std::move(event);
    return Pushed::replaced;
  }
  Pushed outcome = Pushed::queued;
  if (is_answer(event) && receipts_ >= limits_.receipts_max) {
    drop_oldest_answer();
    outcome = Pushed::dropped_oldest;
  }
  if (entries_.size() >= limits_.entries_max) return Pushed::overflow;
  if (is_answer(event)) ++receipts_;
  if (!subject.empty()) by_subject_.emplace(subject, next_number_);
  entries_.push_back({next_number_++, std::move(subject), std::move(event)});
  return outcome;
}

std::optional<OrchestratorEvent> Outbox::pop() {
  if (entries_.empty()) return std::nullopt;
  Entry front = std::move(entries_.front());
  entries_.pop_front();
  if (!front.subject.empty()) by_subject_.erase(front.subject);
  if (is_answer(front.event)) --receipts_;
  return std::move(front.event);
}

}  // namespace tayga::orch
