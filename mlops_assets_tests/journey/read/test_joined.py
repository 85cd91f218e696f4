"""Plain files are laid end to end as they are; what they become is what each of them becomes alone."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from mlops_assets.journey.read.readers.csv import CsvReader
from mlops_assets.journey.read.readers.joined import PlainFiles
from mlops_assets.journey.read.readers.pack import Pack
from mlops_assets.use_case import UseCase

HEADER = (
    b"id;safra_abertura;cidade;estado;idade;sexo;limite_total;limite_disp;data; valor ;grupo_estabelecimento;"
    b"cidade_estabelecimento;pais_estabelecimento"
)
ROW = b"4,53E+11;201905;OSASCO;SP;37;F;4700;5605;4.12.2019; 31 ;SERVICO;SAO PAULO;BR"

LINES = st.sampled_from(
    [
        ROW,
        ROW.replace(b"OSASCO", b"RIO"),
        ROW.replace(b"SAO", b"S\xccO"),
        ROW.replace(b"SAO", "SÃO".encode()),
        ROW.replace(b"OSASCO", b'"OSASCO"'),
        ROW.replace(b"OSASCO", b"OS\rASCO"),
        ROW.replace(b"OSASCO", b"OS\0ASCO"),
        ROW + b";more",
        b"few;fields",
        b"",
        b" ",
        b'open;"quote',
        b"\r",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r\n", b"\r"])
FILES = st.lists(
    st.builds(
        lambda mark, header, end, lines, last: mark + header + end + b"".join(line + end for line in lines) + last,
        st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf"]),
        st.sampled_from([HEADER, HEADER, HEADER, HEADER.replace(b"sexo;", b"other;sexo;")]),
        ENDS,
        st.lists(LINES, max_size=4),
        st.sampled_from([b"", b"", ROW]),
    ),
    min_size=1,
    max_size=6,
)


def told(pack: Pack, file: int) -> list[object]:
    """All that a pack says of a file."""
    mine = pack.file == file
    columns = {
        name: [value for value, is_mine in zip(column.to_pylist(), mine, strict=True) if is_mine]
        for name, column in pack.columns.items()
    }
    refused = sorted((one.line or 0, one.rule, one.message, one.raw) for one in pack.refusals if one.file == file)
    return [columns, pack.line[mine].tolist(), int(pack.lines[file]), int(pack.swallowed[file]), refused]


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(files=FILES)
def test_a_file_among_others_becomes_what_it_becomes_alone(transactions: UseCase, files: list[bytes]) -> None:
    # the first is plain, so that the others are taken without a look where they are plain too
    contents = [HEADER + b"\r\n" + ROW + b"\r\n", HEADER + b"\n" + ROW + b"\n", *files]
    pack = CsvReader(transactions).read(contents, [str(number) for number in range(len(contents))])
    for number, data in enumerate(contents):
        assert told(pack, number) == told(CsvReader(transactions).read([data], ["0"]), 0)


GOOD = HEADER + b"\r\n" + ROW + b"\r\n"


@pytest.mark.parametrize(
    "data",
    [
        GOOD[:-2],
        GOOD.replace(b"SAO", "SÃO".encode()),
        GOOD.replace(b"SP", b'"SP"'),
        GOOD.replace(b"SP", b"\0"),
        HEADER + b"\r\n",
    ],
    ids=["no line end", "UTF-8", "quotes", "NUL", "no row"],
)
def test_what_needs_a_look_is_not_plain(transactions: UseCase, data: bytes) -> None:
    plain, layout = PlainFiles(transactions.files), CsvReader(transactions)._headers.layout(HEADER, "mac_roman")
    assert plain.body(GOOD) is None  # of a header that was never read
    plain.learn(GOOD, layout)
    assert plain.body(GOOD) == (layout, ROW + b"\r\n")
    assert plain.body(GOOD.replace(b"SAO", b"S\xccO")) is not None
    assert plain.body(data) is None
