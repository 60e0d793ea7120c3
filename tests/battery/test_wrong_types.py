"""A wrong value of any argument of any function is refused in our words, or by Python at the call; never deep inside."""

import re
import warnings
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

from histoscribe._errors import HistoscribeError

from . import material
from .call import Call
from .calls import CALLS
from .expected import WRONG_TYPES

WRONG: dict[str, Any] = {
    "an object": object(),
    "nan": float("nan"),
    "-1": -1,
    "1.5": 1.5,
    "text": "no such thing",
    "None": None,
}


def _must_fail(call: Call, name: str, value: Any) -> bool:
    """Whether no function can mean anything by this value here."""
    annotation = str(call.parameters[name].annotation)
    if type(value) is object:
        return "Any" not in annotation.replace("typing.Any, ...", "")
    if isinstance(value, float):
        number = re.search(r"float|Any|array|Array|complex", annotation)
        return not number or (value != value and "Any" not in annotation)
    return False


def faults(call: Call, name: str) -> list[str]:
    """What wrong values of a parameter lead to, where it is not what it must be."""
    found, adata = [], material.section()
    parameter = call.parameters[name]
    for what, value in WRONG.items():
        if value is parameter.default or (value == 1.5 and "float" in str(parameter.annotation)):
            continue  # not wrong here
        given = {**call.arguments(adata), name: value}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                call.function(**given)
        except HistoscribeError:
            continue
        except TypeError as error:
            if name not in str(error):
                found.append(f"{what}: {error!r:.150}")
        except Exception as error:  # noqa: BLE001 - whatever comes from inside
            found.append(f"{what}: {error!r:.150}")
        else:
            if _must_fail(call, name, value):
                found.append(f"{what}: passes")
    plt.close("all")
    return found


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_wrong_values_are_refused_in_our_words(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a wrong text may well be a path
    found = {name: faults(call, name) for name in call.parameters}
    expected = {name for name in found if (call.name, name) in WRONG_TYPES}
    assert {name: one for name, one in found.items() if one and name not in expected} == {}
    assert all(found[name] for name in expected), "one passes after all: it must leave the list"
