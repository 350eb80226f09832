#pragma once

#include "daemon/core/cached_slice.hpp"

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tayga::relay {

inline constexpr std::size_t kStickyObjectsMax = 64;             ///< per track
inline constexpr std::size_t kStickyBytesMax = 4 * 1024 * 1024;  ///< per track
inline constexpr std::size_t kStickyPlaylistVersions = 4;        ///< per path
inline constexpr std::size_t kStickyVersions = 2;                ///< per path, other kinds
inline constexpr std::size_t kStickyUnknownPath = 16;  ///< per kind: the path is in another stripe
inline constexpr std::size_t kLateJoinSegments = 4;

/// The slices of one track and one publisher epoch that are cached, by sequence, and which of their
/// objects are sticky: the newest versions of what is not a segment, which never leave by age.
///
/// Pure bookkeeping: the SliceCache decides what leaves. A relay that carries some stripes only may
/// not know an object's path (its first slice has it); such objects are kept by kind and newness.
class SliceWindow {
 public:
  SliceWindow() = default;
  SliceWindow(const SliceWindow&) = delete;
  SliceWindow& operator=(const SliceWindow&) = delete;

  /// Pre: no slice with this sequence is here.
  void insert(const SlicePtr& slice);
  void erase(const CachedSlice& slice);
  /// Forgets everything (a new publisher epoch).
  void clear();
  /// A frame of a slice that is here arrived.
  void on_bytes(const CachedSlice& slice, std::size_t bytes);

  [[nodiscard]] const SlicePtr* find(SliceSeq seq) const;
  [[nodiscard]] bool is_complete(SliceSeq seq) const;
  [[nodiscard]] bool is_sticky(ObjectId object) const;
  /// True once after sticky objects stopped being so.
  [[nodiscard]] bool take_unstuck() noexcept;
  /// Highest sequence whose header was ever here in this epoch.
  [[nodiscard]] std::optional<SliceSeq> head() const noexcept { return head_; }
  /// What is below left already and is not taken again, except sticky kinds.
  [[nodiscard]] SliceSeq floor() const noexcept { return floor_; }
  /// Lowest sequence of the newest kLateJoinSegments segment objects; one past the head without
  /// any.
  [[nodiscard]] SliceSeq late_join_start() const;
  /// False when a sequence in `(after, after + span]` up to the head is missing.
  [[nodiscard]] bool is_gapless(SliceSeq after, std::size_t span) const;
  /// Highest sequence of an object's slices that are here; nullopt when none is.
  [[nodiscard]] std::optional<SliceSeq> last_seq_of(ObjectId object) const;
  [[nodiscard]] bool empty() const noexcept { return slices_.empty(); }

  using Slices = std::map<SliceSeq, SlicePtr>;
  [[nodiscard]] const Slices& slices() const noexcept { return slices_; }
  /// The first one that is not below `seq`. Cost: none above the head.
  [[nodiscard]] Slices::const_iterator lower_bound(SliceSeq seq) const {
    return !head_ || *head_ < seq ? slices_.end() : slices_.lower_bound(seq);
  }

 private:
  struct Object {
    media::ObjectKind kind = media::ObjectKind::segment;
    std::string path;
    SliceSeq first_seq;
    SliceSeq last_seq;
    std::size_t slices = 0;
    std::size_t bytes = 0;
    bool sticky = false;
  };
  using Objects = std::map<ObjectId, Object>;
  void choose_sticky();
  Objects::iterator find_object(ObjectId object);
  /// A place in slices_; nullptr: its slice left.
  struct Recent {
    SliceSeq seq{0};
    const SlicePtr* place = nullptr;
  };
  static constexpr std::size_t kRecent = 256;

  Slices slices_;
  Objects objects_;
  Objects::iterator recent_object_ = objects_.end();  // looked up last
  std::optional<SliceSeq> head_;
  SliceSeq floor_{0};
  bool unstuck_ = false;
  // Most look-ups are for what came last: by sequence modulo kRecent, of each the highest.
  std::array<Recent, kRecent> recent_{};
};

}  // namespace tayga::relay
