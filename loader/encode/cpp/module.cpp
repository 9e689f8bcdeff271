// The module loader.encode._native: see _native.pyi for what its functions promise.
#include <cstring>
#include <exception>
#include <new>

#include "batches.h"
#include "segment.h"
#include "widths.h"
#include "writer.h"

namespace encode {
namespace {

struct State {
    PyObject* segment_type;
};

PyObject* segment_type_of(PyObject* module) {
    return static_cast<State*>(PyModule_GetState(module))->segment_type;
}

// Turns what C++ throws into Python's exceptions.
template <class Function>
PyObject* guarded(Function function) {
    try {
        return function();
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
        return nullptr;
    }
}

// Returns the lane's pieces as a tuple of memoryviews. Takes the pieces over, also when it fails.
PyObject* views_of(PyObject* module, const Output::Lane& lane) {
    Object views(PyTuple_New(static_cast<Py_ssize_t>(lane.size())));
    for (size_t place = 0; place < lane.size(); ++place) {
        if (!views) {
            Slabs::shared().drop(lane[place].slab);
            continue;
        }
        PyObject* const view = view_of_piece(segment_type_of(module), lane[place]);
        if (view == nullptr || PyTuple_SetItem(views.get(), static_cast<Py_ssize_t>(place), view))
            views = Object();
    }
    return views.release();
}

// A column's outcome.
struct Written {
    bool done = false;
    uint64_t lost = 0;
};

// Writes a column of all batches. What was written of one that is refused stays in its lane.
Written write_lane(const Batches& batches, size_t column, Output& output) {
    Written written;
    char* out = output.begin_lane();
    for (size_t batch = 0; batch < batches.count(); ++batch) {
        const SourcePtr source = batches.source(batch, column);
        if (source == nullptr) return written;
        out = write_column(*source, batches.rows(batch), output, out);
        if (out == nullptr) return written;
        written.lost += source->lost();
    }
    output.end_lane(out);
    written.done = true;
    return written;
}

PyObject* columns_result(PyObject* module, const std::vector<Output::Lane>& lanes,
                         const std::vector<Written>& written) {
    Object result(PyList_New(static_cast<Py_ssize_t>(lanes.size())));
    for (size_t column = 0; column < lanes.size(); ++column) {
        Object views(views_of(module, lanes[column]));
        if (!views || !result) {
            result = Object();
            continue;
        }
        PyObject* item = nullptr;
        if (written[column].done) {
            item = Py_BuildValue("(NK)", views.release(),
                                 static_cast<unsigned long long>(written[column].lost));
        } else {
            item = Py_NewRef(Py_None);
        }
        if (item == nullptr || PyList_SetItem(result.get(), static_cast<Py_ssize_t>(column), item))
            result = Object();
    }
    return result.release();
}

PyObject* write_columns(PyObject* module, PyObject* arguments) {
    PyObject* given = nullptr;
    PyObject* modes = nullptr;
    if (!PyArg_ParseTuple(arguments, "OO:columns", &given, &modes)) return nullptr;
    return guarded([&]() -> PyObject* {
        Batches batches;
        if (!batches.read(given, modes)) return nullptr;
        Output output;
        std::vector<Written> written(batches.columns());
        {
            const Unlocked unlocked;
            for (size_t column = 0; column < written.size(); ++column)
                written[column] = write_lane(batches, column, output);
        }
        return columns_result(module, output.take_lanes(), written);
    });
}

bool read_frame(PyObject* openings, PyObject* closing, size_t columns, RowFrame& frame) {
    const auto read = [](PyObject* bytes, std::string& text) {
        char* from = nullptr;
        Py_ssize_t size = 0;
        if (PyBytes_AsStringAndSize(bytes, &from, &size)) return false;
        text.assign(from, static_cast<size_t>(size));
        return true;
    };
    const Py_ssize_t count = PySequence_Size(openings);
    if (count < 0) return false;
    if (static_cast<size_t>(count) != columns) {
        PyErr_SetString(PyExc_ValueError, "expected one opening for each column");
        return false;
    }
    frame.openings.resize(columns);
    for (Py_ssize_t place = 0; place < count; ++place) {
        const Object opening(PySequence_GetItem(openings, place));
        std::string& text = frame.openings[static_cast<size_t>(place)];
        if (!opening || !read(opening.get(), text)) return false;
        if (text.empty()) {
            PyErr_SetString(PyExc_ValueError, "an opening has at least one byte");
            return false;
        }
    }
    return read(closing, frame.closing);
}

// What became of rows: written, or for the Python path because of these columns.
struct WrittenRows {
    std::vector<size_t> foreign;
    std::vector<uint64_t> lost;
};

WrittenRows write_batches(const Batches& batches, const RowFrame& frame, Output& output) {
    WrittenRows written;
    written.lost.resize(batches.columns());
    char* out = output.begin_lane();
    for (size_t batch = 0; batch < batches.count(); ++batch) {
        std::vector<SourcePtr> sources;
        for (size_t column = 0; column < batches.columns(); ++column) {
            sources.push_back(batches.source(batch, column));
            if (sources.back() == nullptr) written.foreign.push_back(column);
        }
        if (!written.foreign.empty()) return written;
        size_t refused = 0;
        out = write_rows(sources, batches.rows(batch), frame, output, out, refused);
        if (out == nullptr) {
            written.foreign.push_back(refused);
            return written;
        }
        for (size_t column = 0; column < sources.size(); ++column)
            written.lost[column] += sources[column]->lost();
    }
    output.end_lane(out);
    return written;
}

template <class Number>
PyObject* list_of(const std::vector<Number>& numbers) {
    Object list(PyList_New(static_cast<Py_ssize_t>(numbers.size())));
    if (!list) return nullptr;
    for (size_t place = 0; place < numbers.size(); ++place) {
        PyObject* const number = PyLong_FromUnsignedLongLong(numbers[place]);
        if (number == nullptr || PyList_SetItem(list.get(), static_cast<Py_ssize_t>(place), number))
            return nullptr;
    }
    return list.release();
}

PyObject* write_rows_of(PyObject* module, PyObject* arguments) {
    PyObject *given = nullptr, *modes = nullptr, *openings = nullptr, *closing = nullptr;
    PyObject* texts = nullptr;
    if (!PyArg_ParseTuple(arguments, "OOOOO:rows", &given, &modes, &openings, &closing, &texts))
        return nullptr;
    return guarded([&]() -> PyObject* {
        Batches batches;
        RowFrame frame;
        if (!batches.read(given, modes) || !batches.replace(texts) ||
            !read_frame(openings, closing, batches.columns(), frame))
            return nullptr;
        Output output;
        WrittenRows written;
        {
            const Unlocked unlocked;
            written = write_batches(batches, frame, output);
        }
        if (!written.foreign.empty()) return list_of(written.foreign);
        Object views(views_of(module, output.take_lanes()[0]));
        Object lost(list_of(written.lost));
        if (!views || !lost) return nullptr;
        return Py_BuildValue("(NN)", views.release(), lost.release());
    });
}

PyObject* tell_widths_of(PyObject*, PyObject* batch) {
    return guarded([&]() -> PyObject* {
        const auto imported = Imported::from(batch);
        if (imported == nullptr) return nullptr;
        const ArrowArray& array = imported->array();
        if (std::strcmp(imported->schema().format, "+s") != 0) {
            PyErr_SetString(PyExc_ValueError, "expected a record batch");
            return nullptr;
        }
        constexpr auto width = static_cast<Py_ssize_t>(sizeof(int64_t));
        Object bytes(PyByteArray_FromStringAndSize(nullptr, array.length * width));
        if (!bytes) return nullptr;
        auto* const widths = reinterpret_cast<int64_t*>(PyByteArray_AsString(bytes.get()));
        std::vector<size_t> others;
        bool told = array.offset == 0;  // nobody exports another batch
        if (told) {
            const Unlocked unlocked;
            told = tell_widths(imported->schema(), array, widths, others);
        }
        if (!told) return Py_NewRef(Py_None);
        Object places(list_of(others));
        if (!places) return nullptr;
        return Py_BuildValue("(NN)", bytes.release(), places.release());
    });
}

PyObject* count_slabs(PyObject*, PyObject*) {
    const Slabs::Count count = Slabs::shared().count();
    return Py_BuildValue("(nn)", static_cast<Py_ssize_t>(count.in_use),
                         static_cast<Py_ssize_t>(count.spare));
}

PyMethodDef methods[] = {
    {"columns", write_columns, METH_VARARGS, nullptr},
    {"rows", write_rows_of, METH_VARARGS, nullptr},
    {"widths", tell_widths_of, METH_O, nullptr},
    {"slabs", count_slabs, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

int execute(PyObject* module) {
    State* const state = static_cast<State*>(PyModule_GetState(module));
    state->segment_type = make_segment_type(module);
    return state->segment_type == nullptr ? -1 : 0;
}

int traverse(PyObject* module, visitproc visit, void* arg) {
    Py_VISIT(static_cast<State*>(PyModule_GetState(module))->segment_type);
    return 0;
}

int clear(PyObject* module) {
    Py_CLEAR(static_cast<State*>(PyModule_GetState(module))->segment_type);
    return 0;
}

PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(execute)},
    {0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_native", nullptr, sizeof(State), methods, slots, traverse, clear,
    nullptr,
};

}  // namespace
}  // namespace encode

PyMODINIT_FUNC PyInit__native() {
    return PyModuleDef_Init(&encode::definition);
}
