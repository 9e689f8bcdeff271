"""What TLS costs: the push over https against plain http and against a raw TLS send."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import trustme

from benchmarks.columns import CPU, MEDIAN, ROW_RATE, RUNS, SPREAD, WIRE_RATE, row_ratio, versus
from benchmarks.limits import Certificate, put, send
from benchmarks.measure import Column, Comparison, Contender, Group, Measured, Results
from benchmarks.running import push, rows_of, sink
from benchmarks.setting import Setting

__all__ = ["GROUP"]

PLAIN = "push over http, columns"
SECURE = "push over https, columns"
RAW = "raw loopback send, TLS"


@contextmanager
def _contenders(setting: Setting) -> Iterator[Sequence[Contender]]:
    file, size = setting.files.lineitem, setting.amounts.sent_bytes
    rows = rows_of(file)
    certificate = _certificate(setting.scratch)
    options = ("--tls-cert", certificate.chain, "--tls-key", certificate.key)
    with sink() as plain, sink(*options) as secure:
        trusting = ("--ca-bundle", certificate.authority)
        yield [
            Contender(PLAIN, functools.partial(push, plain.url, file, rows=rows)),
            Contender(SECURE, functools.partial(push, secure.url, file, *trusting, rows=rows)),
            Contender("one PUT over http, base64 ready", functools.partial(put, plain.url, size)),
            Contender(
                "one PUT over https, base64 ready",
                functools.partial(put, secure.url, size, certificate),
            ),
            Contender("raw loopback send", functools.partial(send, size)),
            Contender(RAW, functools.partial(send, size, certificate)),
        ]


def _certificate(directory: Path) -> Certificate:
    """Makes an authority and a certificate of 127.0.0.1."""
    made = Certificate(*(directory / name for name in ("authority.pem", "chain.pem", "key.pem")))
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(made.authority)
    for blob in own.cert_chain_pems:
        blob.write_to_path(made.chain, append=True)
    own.private_key_pem.write_to_path(made.key)
    return made


def _of_raw(one: Measured, results: Results) -> str:
    raw = results[RAW].wire_rate
    return f"{one.wire_rate / raw:.2f}" if one.wire_rate and raw else ""


GROUP = Group(
    name="tls",
    needs=("lineitem",),
    contenders=_contenders,
    columns=(
        ROW_RATE,
        WIRE_RATE,
        MEDIAN,
        SPREAD,
        CPU,
        versus("x plain push", PLAIN),
        Column("x raw TLS send, bytes", _of_raw),
        RUNS,
    ),
    comparisons=(
        Comparison(
            "whole push over TLS, against plain",
            lambda results: row_ratio(results[SECURE], results[PLAIN]),
            0.5,
            0.5,
        ),
    ),
)
