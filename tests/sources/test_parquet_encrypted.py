"""Encrypted files are refused: with plain footers, pyarrow would end the process instead."""

from __future__ import annotations

import base64
import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.parquet import encryption

from loader.errors import SourceUnreadable
from loader.sources.parquet import ParquetSource


class Kms(encryption.KmsClient):
    """Wraps keys by writing them down."""

    def __init__(self, _config: encryption.KmsConnectionConfig) -> None:
        super().__init__()

    def wrap_key(self, key_bytes, _master_key_identifier):
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key, _master_key_identifier):
        return base64.b64decode(wrapped_key)


@pytest.mark.parametrize("plain_footer", [True, False])
def test_encrypted_columns_are_refused(tmp_path, plain_footer):
    table = pa.table({"open": [1, 2], "secret": [3, 4]})
    path = tmp_path / "t.parquet"
    properties = encryption.CryptoFactory(Kms).file_encryption_properties(
        encryption.KmsConnectionConfig(),
        encryption.EncryptionConfiguration(
            footer_key="footer",
            column_keys={"column": ["secret"]},
            plaintext_footer=plain_footer,
            cache_lifetime=dt.timedelta(minutes=1),
        ),
    )
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    with pytest.raises(
        SourceUnreadable, match=r"t\.parquet (has encrypted|cannot be read.*encryp)"
    ):
        ParquetSource([str(path)])
