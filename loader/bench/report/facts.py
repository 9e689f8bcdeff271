"""What a load ran on and with, for both kinds of page."""

from __future__ import annotations

from loader.bench.host import Host
from loader.bench.records import Environment
from loader.units import size

__all__ = ["host_facts"]


def host_facts(host: Host | Environment) -> list[tuple[str, str]]:
    """Returns names and values."""
    encoder = "compiled encoder" if host.compiled else "no compiled encoder"
    libraries = {"pyarrow": host.pyarrow, "orjson": host.orjson, "aiohttp": host.aiohttp}
    return [
        ("mstr-loader", f"{host.loader} ({encoder})"),
        ("Libraries", ", ".join(f"{name} {version}" for name, version in libraries.items())),
        ("Python", host.python),
        ("Host", host.platform),
        ("Cores", str(host.cores)),
        ("Memory", "unknown" if host.memory is None else size(host.memory)),
    ]
