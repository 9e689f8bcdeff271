#include "batches.h"

#include <cstring>

namespace encode {

std::unique_ptr<Imported> Imported::from(PyObject* exporter) {
    auto imported = std::make_unique<Imported>();
    imported->capsules_ = Object(PyObject_CallMethod(exporter, "__arrow_c_array__", nullptr));
    PyObject* const pair = imported->capsules_.get();
    if (pair == nullptr) return nullptr;
    if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2) {
        PyErr_SetString(PyExc_TypeError, "__arrow_c_array__ has to return two capsules");
        return nullptr;
    }
    void* const schema = PyCapsule_GetPointer(PyTuple_GetItem(pair, 0), "arrow_schema");
    if (schema == nullptr) return nullptr;
    void* const array = PyCapsule_GetPointer(PyTuple_GetItem(pair, 1), "arrow_array");
    if (array == nullptr) return nullptr;
    imported->schema_ = static_cast<const ArrowSchema*>(schema);
    imported->array_ = static_cast<const ArrowArray*>(array);
    if (imported->schema_->release == nullptr || imported->array_->release == nullptr) {
        PyErr_SetString(PyExc_ValueError, "the Arrow array was released before it was read");
        return nullptr;
    }
    return imported;
}

bool Batches::read(PyObject* batches, PyObject* modes) {
    const Py_ssize_t columns = PySequence_Size(modes);
    for (Py_ssize_t column = 0; column < columns; ++column) {
        const Object mode(PySequence_GetItem(modes, column));
        if (!mode) return false;
        const unsigned long bits = PyLong_AsUnsignedLong(mode.get());
        if (PyErr_Occurred()) return false;
        modes_.push_back(static_cast<unsigned>(bits));
    }
    const Py_ssize_t count = PySequence_Size(batches);
    if (columns < 0 || count < 0) return false;
    for (Py_ssize_t place = 0; place < count; ++place) {
        const Object batch(PySequence_GetItem(batches, place));
        if (!batch) return false;
        auto imported = Imported::from(batch.get());
        if (imported == nullptr) return false;
        const bool is_batch = !std::strcmp(imported->schema().format, "+s") &&
                              imported->schema().n_children == columns &&
                              imported->array().n_children == columns;
        if (!is_batch) {
            PyErr_Format(PyExc_ValueError, "expected record batches of %zd columns", columns);
            return false;
        }
        batches_.push_back(std::move(imported));
    }
    texts_.resize(modes_.size());
    return true;
}

bool Batches::replace(PyObject* texts) {
    const Object items(PyMapping_Items(texts));
    if (!items) return false;
    const Py_ssize_t count = PySequence_Size(items.get());
    for (Py_ssize_t place = 0; place < count; ++place) {
        PyObject* const item = PyList_GetItem(items.get(), place);
        const size_t column = PyLong_AsSize_t(PyTuple_GetItem(item, 0));
        if (PyErr_Occurred()) return false;
        auto imported = Imported::from(PyTuple_GetItem(item, 1));
        if (imported == nullptr) return false;
        const bool fits = batches_.size() == 1 && column < texts_.size() &&
                          !std::strcmp(imported->schema().format, "u") &&
                          imported->array().length == rows(0);
        if (!fits) {
            PyErr_SetString(PyExc_ValueError, "expected the texts of a column of the only batch");
            return false;
        }
        texts_[column] = std::move(imported);
    }
    return true;
}

SourcePtr Batches::source(size_t batch, size_t column) const {
    if (texts_[column] != nullptr)
        return source_of(texts_[column]->schema(), texts_[column]->array(), WRITTEN);
    const Imported& imported = *batches_[batch];
    if (modes_[column] & FOREIGN) return nullptr;
    if (imported.array().offset != 0) return nullptr;  // nobody exports such a batch
    return source_of(*imported.schema().children[column], *imported.array().children[column],
                     modes_[column]);
}

}  // namespace encode
