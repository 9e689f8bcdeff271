#include "slabs.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace encode {
namespace {

#if defined(__SANITIZE_ADDRESS__)
// Of memory from malloc the sanitizer sees who writes beyond its end.
void* map_slab() { return std::malloc(SLAB_BYTES); }
void unmap_slab(void* memory) { std::free(memory); }
#else
// Straight from the system: slabs in malloc's heap would keep what lies between them. Twice as much
// is asked for, and what is not needed to begin at a huge page given back.
void* map_slab() {
    void* mapped = mmap(nullptr, 2 * SLAB_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    char* const whole = static_cast<char*>(mapped);
    const size_t before = -reinterpret_cast<uintptr_t>(whole) % SLAB_BYTES;
    char* const slab = whole + before;
    if (before != 0) munmap(whole, before);
    if (before != SLAB_BYTES) munmap(slab + SLAB_BYTES, SLAB_BYTES - before);
#if defined(MADV_HUGEPAGE)
    madvise(slab, SLAB_BYTES, MADV_HUGEPAGE);  // a hint: it may fail
#endif
    return slab;
}
void unmap_slab(void* memory) { munmap(memory, SLAB_BYTES); }
#endif

// Less than this left over is not worth a segment of its own.
constexpr size_t LEAST_LEFT = 64 << 10;

// As many slabs are kept as are in use, and a few more: a load that goes on finds the memory of the
// chunk that was sent, and one that ends leaves little behind.
constexpr size_t SPARE_BEYOND_USE = 8;
constexpr size_t MOST_SPARE = 128;
constexpr size_t MOST_OPEN = 8;

}  // namespace

Slabs& Slabs::shared() {
    static Slabs& slabs = *new Slabs;
    return slabs;
}

Slab* Slabs::take(size_t bytes) {
    {
        const std::lock_guard<std::mutex> locked(mutex_);
        for (size_t place = open_.size(); place-- > 0;) {
            Slab* slab = open_[place];
            if (slab->users_.load(std::memory_order_acquire) == 1) slab->used_ = 0;
            if (slab->size_ - slab->used_ < bytes) continue;
            open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(place));
            return slab;
        }
        if (bytes <= SLAB_BYTES && !spare_.empty()) {
            Slab* slab = spare_.back();
            spare_.pop_back();
            ++in_use_;
            slab->users_.store(1, std::memory_order_relaxed);
            return slab;
        }
    }
    Slab* slab = allocate(bytes);
    if (slab->size_ == SLAB_BYTES) {
        const std::lock_guard<std::mutex> locked(mutex_);
        ++in_use_;
        // So that giving back never has to allocate.
        spare_.reserve(in_use_ < MOST_SPARE ? in_use_ + 1 : MOST_SPARE);
        open_.reserve(MOST_OPEN);
    }
    return slab;
}

void Slabs::give_back(Slab* slab) {
    Slab* dropped = slab;
    if (slab->size_ == SLAB_BYTES && slab->size_ - slab->used_ >= LEAST_LEFT) {
        const std::lock_guard<std::mutex> locked(mutex_);
        if (open_.size() < MOST_OPEN) {
            open_.push_back(slab);
            dropped = nullptr;
        }
    }
    if (dropped != nullptr) drop(dropped);
}

void Slabs::drop(Slab* slab) {
    if (slab->users_.fetch_sub(1, std::memory_order_acq_rel) == 1) release(slab);
}

Slabs::Count Slabs::count() {
    const std::lock_guard<std::mutex> locked(mutex_);
    return {in_use_, spare_.size()};
}

Slab* Slabs::allocate(size_t bytes) {
    auto slab = std::make_unique<Slab>();
    const bool usual = bytes <= SLAB_BYTES;
    slab->size_ = usual ? SLAB_BYTES : bytes;  // never both the same
    void* memory = usual ? map_slab() : std::malloc(bytes);
    if (memory == nullptr) throw std::bad_alloc();
    slab->memory_ = static_cast<char*>(memory);
    slab->users_.store(1, std::memory_order_relaxed);
    return slab.release();
}

void Slabs::release(Slab* slab) {
    if (slab->size_ != SLAB_BYTES) return free_memory(slab);
    Slab* freed[2] = {slab, nullptr};  // two at most: what is kept shrinks with what is in use
    {
        const std::lock_guard<std::mutex> locked(mutex_);
        --in_use_;
        const size_t wanted = in_use_ + SPARE_BEYOND_USE;
        const size_t most = wanted < MOST_SPARE ? wanted : MOST_SPARE;
        if (spare_.size() < most && spare_.size() < spare_.capacity()) {
            slab->used_ = 0;
            spare_.push_back(slab);
            freed[0] = nullptr;
        } else if (spare_.size() > most) {
            freed[1] = spare_.back();
            spare_.pop_back();
        }
    }
    for (Slab* each : freed)
        if (each != nullptr) free_memory(each);
}

void Slabs::free_memory(Slab* slab) {
    if (slab->size_ == SLAB_BYTES) {
        unmap_slab(slab->memory_);
    } else {
        std::free(slab->memory_);
    }
    delete slab;
}

}  // namespace encode
