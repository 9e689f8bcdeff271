"""Builds the compiled encoder where a C++ compiler is at hand; the package works without it."""

import sysconfig
from pathlib import Path

from setuptools import Extension, setup

# The stable ABI: one wheel serves every Python from 3.11 on. Free-threaded ones have none.
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
STABLE = [] if FREE_THREADED else [("Py_LIMITED_API", "0x030B0000")]

SOURCES = Path("loader", "encode", "cpp")

setup(
    ext_modules=[
        Extension(
            "loader.encode._native",
            sources=sorted(map(str, SOURCES.glob("*.cpp"))),
            depends=sorted(map(str, SOURCES.glob("*.h"))),
            language="c++",
            define_macros=STABLE,
            extra_compile_args=[
                *("-std=c++17", "-O3", "-g0", "-fvisibility=hidden"),
                *("-Wall", "-Wextra", "-Woverloaded-virtual"),
            ],
            py_limited_api=not FREE_THREADED,
            optional=True,
        )
    ],
    options={} if FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
