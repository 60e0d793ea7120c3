"""Whatever a parser is given: a sound value or an error of ours, at once."""

import pytest

from ..marks import weekly
from . import parsers_io, parsers_nn, parsers_values
from .tally import LIMIT_S, Parser, tally

PARSERS = (*parsers_io.PARSERS, *parsers_nn.PARSERS, *parsers_values.PARSERS)
_QUICK, _FEW, _MANY = 30, 60, 150
_MOST_MB = 600


@pytest.mark.parametrize("quick", [True, *weekly(False)])
@pytest.mark.parametrize("parser", PARSERS, ids=[parser.name for parser in PARSERS])
def test_it_returns_something_sound_or_refuses(parser: Parser, quick: bool) -> None:
    parser_of_networks = parser in parsers_nn.PARSERS
    found = tally(parser, _QUICK if quick else _FEW if parser_of_networks else _MANY)
    assert found.others == []
    assert found.valid > 0
    assert found.refused > 0
    assert found.slowest_s < LIMIT_S, found.slowest
    assert found.grown_mb < _MOST_MB
