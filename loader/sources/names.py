"""What file names tell: the format, the table, whether a file is a writer's leftover."""

from __future__ import annotations

import os
from typing import Final

from loader.sources.base import Format

__all__ = ["KNOWN", "TABLE_FORMATS", "format_of", "hidden", "stem"]

_COMPRESSED: Final = (".gz", ".bz2", ".zst")
_EXTENSIONS: Final[dict[str, Format]] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    **{text + packed: "csv" for text in (".csv", ".tsv") for packed in ("", *_COMPRESSED)},
}
KNOWN: Final = ", ".join(extension for extension in _EXTENSIONS if extension.count(".") == 1)
"""The known extensions, for messages."""

# Their directories also hold the files of older versions: listing them would load dead rows.
TABLE_FORMATS: Final = {"_delta_log": "a Delta Lake", ".hoodie": "a Hudi"}
"""Names in the directories of table formats, and whose they are."""


def format_of(path: str) -> Format | None:
    """Returns the format that the extension of a file stands for."""
    extension = _extension(path)
    return _EXTENSIONS[extension] if extension else None


def stem(path: str) -> str:
    """Returns the name without directories and without a known extension."""
    name = os.path.basename(path.rstrip(os.sep)) or path  # noqa: PTH119 - str paths throughout
    return name[: len(name) - len(_extension(name))] or name


def hidden(path: str) -> bool:
    """Whether directories and globs leave a file or directory out."""
    # "_year=2024" is a partition, not a writer's leftover.
    name = os.path.basename(path)  # noqa: PTH119 - str paths throughout
    return name.startswith((".", "_")) and "=" not in name


def _extension(path: str) -> str:
    """Returns the known extension of a file, in lower case, or nothing."""
    name = path.lower()
    return max((end for end in _EXTENSIONS if name.endswith(end)), key=len, default="")
