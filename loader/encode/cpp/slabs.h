// Memory for segments. Fresh memory costs page faults, which cost more than encoding; so it comes in
// slabs that are used again, and that share what one block leaves over with the next.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <vector>

namespace encode {

constexpr size_t SLAB_BYTES = size_t{2} << 20;  // a huge page, where the system has them

// A piece of memory that is freed when the last of its users is gone: segments, and a writer.
class Slab {
  public:
    char* free_begin() { return memory_ + used_; }
    char* end() { return memory_ + size_; }
    void use_up_to(const char* end) { used_ = static_cast<size_t>(end - memory_); }

    void share() { users_.fetch_add(1, std::memory_order_relaxed); }

  private:
    friend class Slabs;

    char* memory_ = nullptr;
    size_t size_ = 0;
    size_t used_ = 0;
    std::atomic<size_t> users_{0};
};

// All slabs of the process.
class Slabs {
  public:
    struct Count {
        size_t in_use, spare;
    };

    // Never destroyed: segments may outlive everything else at the interpreter's end.
    static Slabs& shared();

    // Returns a slab with at least so many free bytes, for one writer. Throws std::bad_alloc.
    Slab* take(size_t bytes);

    // Ends what take began; what is still free in the slab serves the next writer.
    void give_back(Slab* slab);

    // Ends one use of the slab.
    void drop(Slab* slab);

    Count count();

  private:
    Slab* allocate(size_t bytes);
    void release(Slab* slab);
    static void free_memory(Slab* slab);

    std::mutex mutex_;
    std::vector<Slab*> open_;   // partly filled, without a writer
    std::vector<Slab*> spare_;  // whole, without users
    size_t in_use_ = 0;         // of the usual size
};

}  // namespace encode
