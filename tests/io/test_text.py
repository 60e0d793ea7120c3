"""A table and the fields of its first line, as they stand there."""

import pytest

from histoscribe._errors import FileError
from histoscribe.io._text import parse_table

HEADERS = {
    "\tA\tB\tA": ["", "A", "B", "A"],
    '"a spot"\t"A"\t"B\tB"\t"A"': ["a spot", "A", "B\tB", "A"],
    "\t\t\t": ["", "", "", ""],
    ',A,"B,B",A': ["", "A", "B,B", "A"],
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("blank", ["", "\n", "  \n\n"])
@pytest.mark.parametrize("header", HEADERS)
def test_the_first_line_is_the_one_that_names_the_columns(header: str, blank: str, end: str) -> None:
    row = "1x2,1,2,3" if header.startswith(",") else "1x2\t1\t2\t3"
    table, fields = parse_table(f"{blank}{header}\n{row}\n".replace("\n", end), "here", index_col=0)
    assert fields == HEADERS[header]
    assert table.index.tolist() == ["1x2"]
    assert table.to_numpy().tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("text", ['"spot\tA\n1x2\t1\n', " \n", ""])
def test_what_has_no_first_line_is_an_error(text: str) -> None:
    with pytest.raises(FileError, match="here"):
        parse_table(text, "here")
