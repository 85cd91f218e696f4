"""Account files in the published format, and changes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

HEADER = (
    "id;safra_abertura;cidade;estado;idade;sexo;limite_total;limite_disp;data; valor ;"
    "grupo_estabelecimento;cidade_estabelecimento;pais_estabelecimento"
)
ROW = "4,53E+11;201405;CAMPO LIMPO PAULISTA  ;SP ;37;F;4700;5605;4.12.2019;31,90;SERVIÇO;SAO PAULO;BR"
WriteDay = Callable[..., Path]


def account_file(rows: Sequence[str] = (ROW,), header: str = HEADER, end: str = "\r\n") -> bytes:
    """An account file in the published format: Mac Roman, CRLF."""
    return end.join([header, *rows, ""]).encode("mac_roman")


def changed(row: str = ROW, **fields: str) -> str:
    """A row with other values in some fields, named as in the header without blanks."""
    names = [name.strip() for name in HEADER.split(";")]
    values = row.split(";")
    for name, value in fields.items():
        values[names.index(name)] = value
    return ";".join(values)
