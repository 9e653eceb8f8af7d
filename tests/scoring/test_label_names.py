"""One name for a label, however it is written."""

import datetime
import enum
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubrica.scoring.label_names import spell


class Colour(str, enum.Enum):  # noqa: UP042 - str() of it is "Colour.RED"
    RED = "red"


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ((1, 1.0, "1", "1.0", "1.", " 1.000\n", "+1.0", np.int8(1), np.float32(1), Decimal("1.0")), "1"),
        ((0, -0.0, "-0.0", "+0.0", "0.0", np.uint64(0), np.float64(-0.0), Decimal("-0.0")), "0"),
        ((-12, -12.0, "-12", "-12.0", np.float16(-12), np.int64(-12)), "-12"),
        ((True, np.True_, "True", "TRUE", "true", "\tTrue "), "true"),
        ((False, np.False_, "False", "FALSE", "false"), "false"),
        (("Gr\u00fcn", "Gru\u0308n", "\u00a0Gr\u00fcn\u3000", np.str_("Gr\u00fcn ")), "Gr\u00fcn"),
        ((Colour.RED, "red"), "red"),
        ((0.5, "0.5", np.float64(0.5), np.float32(0.5), Decimal("0.5")), "0.5"),
        ((np.float32(0.1), 0.1), "0.1"),
        ((1e16, "1e+16"), "1e+16"),
        ((10**15, 1e15, "1000000000000000.0"), "1000000000000000"),
        ((float("inf"), np.float32("inf")), "inf"),
    ],
)
def test_one_label_has_one_name(values: tuple[object, ...], name: str) -> None:
    for value in values:
        assert (type(spell(value)), spell(value)) == (str, name), value


@pytest.mark.parametrize(
    "name", ["01", "007", "1e5", "1.50", "+1", "-0", ".0", "1.0.0", "\u0661.0", "tRUE", "yes", "nan", "None", "a  b"]
)
def test_a_name_with_more_than_one_reading_stays(name: str) -> None:
    assert spell(name) == name


def test_a_number_may_have_any_number_of_digits() -> None:
    """Python refuses to make an integer of more than 4,300 digits."""
    assert spell("9" * 5000 + ".0") == "9" * 5000
    assert spell("0" * 200_000 + "x") == "0" * 200_000 + "x"


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", " \t\u00a0", float("nan"), np.float32("nan"), Decimal("nan")),
        *(np.datetime64("NaT"), pytest.param("pandas.NA", id="NA"), pytest.param("pandas.NaT", id="NaT")),
    ],
)
def test_nothing_is_no_label(value: object) -> None:
    if isinstance(value, str) and value.startswith("pandas."):
        value = getattr(pytest.importorskip("pandas"), value.removeprefix("pandas."))
    with pytest.raises(ValueError, match=r"^no label$"):
        spell(value)


@pytest.mark.parametrize("value", [["a"], ("a",), b"a", {}, datetime.date(2020, 1, 2), Fraction(1, 2), 1j, np.zeros(1)])
def test_what_is_no_label_is_named(value: object) -> None:
    with pytest.raises(ValueError, match=r"^found .*, expected a label: a string or a number$"):
        spell(value)


@given(st.text() | st.floats(allow_nan=False) | st.integers() | st.booleans() | st.decimals(allow_nan=False))
def test_a_name_is_its_own_name(value: object) -> None:
    try:
        name = spell(value)
    except ValueError:
        assert isinstance(value, str)
        assert not value.strip()
    else:
        assert name == name.strip() == spell(name)


@given(st.integers(-(10**15), 10**15))
def test_a_column_of_pandas_with_a_gap_keeps_its_labels(value: int) -> None:
    assert spell(float(value)) == spell(str(value)) == spell(str(float(value))) == str(value)
