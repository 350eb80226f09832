#pragma once

#include <mutex>
#include <utility>

namespace tayga::transport::workers {

/// Carries batches from one thread to another. A batch has empty(), clear() (which keeps its
/// capacity) and append(Batch&).
///
/// Batches are swapped, not copied: three of them go round between the two threads, and after a
/// while none allocates. Bounded by its user.
template <class Batch>
class BatchPipe {
 public:
  /// Producer: moves `batch` in and leaves it empty. True: the consumer knows of nothing yet and
  /// must be woken.
  [[nodiscard]] bool push(Batch& batch) {
    const std::scoped_lock lock{mutex_};
    if (waiting_.empty()) {
      std::swap(waiting_, batch);
      return !std::exchange(announced_, true);
    }
    waiting_.append(batch);
    batch.clear();
    return false;
  }

  /// Consumer, when it was woken: all that waits. Pre: `into` is empty.
  void take(Batch& into) {
    const std::scoped_lock lock{mutex_};
    std::swap(waiting_, into);
    announced_ = false;
  }

 private:
  std::mutex mutex_;  // guards what follows
  Batch waiting_;
  bool announced_ = false;  // the consumer was woken and has not come yet
};

}  // namespace tayga::transport::workers
