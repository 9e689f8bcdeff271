// Where the JSON goes: pieces of slabs, each a list of values with commas between them.
#pragma once

#include <cstddef>
#include <vector>

#include "slabs.h"
#include "text.h"

namespace encode {

// Part of a slab, which it keeps alive.
struct Piece {
    Slab* slab;
    char* begin;
    size_t size;
};

// Writes one lane after the other. Values are written with a comma behind each; the last comma of a
// piece is not part of it.
class Output {
  public:
    Output() = default;
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

    ~Output() {
        for (const Lane& lane : lanes_)
            for (const Piece& piece : lane) Slabs::shared().drop(piece.slab);
        if (slab_ != nullptr) Slabs::shared().give_back(slab_);
    }

    using Lane = std::vector<Piece>;

    // Begins the next lane and returns where its first value goes.
    char* begin_lane() {
        lanes_.emplace_back();
        if (slab_ == nullptr) return next_slab(nullptr, 0);
        begin_ = slab_->free_begin();
        return begin_;
    }

    // Makes sure that so many bytes can be written, and SLACK more be touched. What was written up
    // to `out` has to end with a comma; the return value is where to go on.
    char* room(char* out, size_t bytes) {
        if (static_cast<size_t>(limit_ - out) >= bytes) return out;
        return next_slab(out, bytes);
    }

    void end_lane(char* out) { end_piece(out); }

    // Gives the lanes away, and with them the duty to drop their slabs.
    std::vector<Lane> take_lanes() {
        std::vector<Lane> lanes;
        lanes.swap(lanes_);
        return lanes;
    }

  private:
    void end_piece(char* out) {
        if (out == begin_) return;
        Lane& lane = lanes_.back();
        lane.push_back({slab_, begin_, static_cast<size_t>(out - begin_) - 1});
        slab_->share();
        slab_->use_up_to(out);
    }

    char* next_slab(char* out, size_t bytes) {
        end_piece(out);
        Slabs& slabs = Slabs::shared();
        if (slab_ != nullptr) {
            slabs.give_back(slab_);
            slab_ = nullptr;
        }
        slab_ = slabs.take(bytes + SLACK);
        begin_ = slab_->free_begin();
        limit_ = slab_->end() - SLACK;
        return begin_;
    }

    std::vector<Lane> lanes_;
    Slab* slab_ = nullptr;
    char* begin_ = nullptr;
    char* limit_ = nullptr;
};

}  // namespace encode
