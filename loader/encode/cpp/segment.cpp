#include "segment.h"

namespace encode {
namespace {

struct Segment {
    PyObject_HEAD
    Piece piece;
};

void dealloc(PyObject* self) {
    PyTypeObject* const type = Py_TYPE(self);
    Slabs::shared().drop(reinterpret_cast<Segment*>(self)->piece.slab);
    const auto free = reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free));
    free(self);
    Py_DECREF(type);
}

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
    const Piece& piece = reinterpret_cast<Segment*>(self)->piece;
    return PyBuffer_FillInfo(view, self, piece.begin, static_cast<Py_ssize_t>(piece.size), 1, flags);
}

PyType_Slot slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_bf_getbuffer, reinterpret_cast<void*>(get_buffer)},
    {0, nullptr},
};

PyType_Spec spec = {
    "loader.encode._native.Segment",
    sizeof(Segment),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    slots,
};

}  // namespace

PyObject* make_segment_type(PyObject* module) {
    return PyType_FromModuleAndSpec(module, &spec, nullptr);
}

PyObject* view_of_piece(PyObject* segment_type, const Piece& piece) {
    const auto type = reinterpret_cast<PyTypeObject*>(segment_type);
    const auto allocate = reinterpret_cast<allocfunc>(PyType_GetSlot(type, Py_tp_alloc));
    const Object segment(allocate(type, 0));
    if (!segment) {
        Slabs::shared().drop(piece.slab);
        return nullptr;
    }
    reinterpret_cast<Segment*>(segment.get())->piece = piece;
    return PyMemoryView_FromObject(segment.get());
}

}  // namespace encode
