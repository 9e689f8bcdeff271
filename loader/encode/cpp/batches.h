// Record batches from Python, and how their columns are to be written.
#pragma once

#include <memory>
#include <vector>

#include "abi.h"
#include "python.h"
#include "source.h"

namespace encode {

// An array that any Arrow implementation handed out. The capsules own it.
class Imported {
  public:
    // Returns nothing, with Python's error set, for what is no Arrow array.
    static std::unique_ptr<Imported> from(PyObject* exporter);

    const ArrowSchema& schema() const { return *schema_; }
    const ArrowArray& array() const { return *array_; }

  private:
    Object capsules_;
    const ArrowSchema* schema_ = nullptr;
    const ArrowArray* array_ = nullptr;
};

// The batches of one call, all with the same columns.
class Batches {
  public:
    // False with Python's error set.
    bool read(PyObject* batches, PyObject* modes);

    // Puts texts that the Python path has made in the place of columns: {column: array}.
    bool replace(PyObject* texts);

    size_t columns() const { return modes_.size(); }
    size_t count() const { return batches_.size(); }
    int64_t rows(size_t batch) const { return batches_[batch]->array().length; }

    // Returns how to write a column of a batch; null where its type takes the Python path.
    SourcePtr source(size_t batch, size_t column) const;

  private:
    std::vector<std::unique_ptr<Imported>> batches_;
    std::vector<unsigned> modes_;
    std::vector<std::unique_ptr<Imported>> texts_;  // by column
};

}  // namespace encode
