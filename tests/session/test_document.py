"""A session as JSON: what goes in comes out, and what is wrong is named."""

from __future__ import annotations

import copy
import dataclasses
import json
import types
import typing
from typing import Any, Literal, Union

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ouroboros.errors import UserError
from napari_ouroboros.geometry import recipe
from napari_ouroboros.session import (
    CameraEntry,
    KeyframeEntry,
    SessionDocument,
    SliceEntry,
    SourceEntry,
    SpaceEntry,
    TraceEntry,
    from_dict,
    to_dict,
)
from napari_ouroboros.session import (
    document as documents,
)
from napari_ouroboros.session.points import PointEntry
from napari_ouroboros.widgets.scene.settings import SliceSettings
from napari_ouroboros.widgets.trace.state import Keyframe

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
RECIPES = st.dictionaries(st.text(), st.integers() | FLOATS).map(lambda d: {**d, "schema": 1})
SPECIAL = {
    "url": st.sampled_from(["", "/a b/µ", "zarr://s3://b/c", "https://h:81/x|zarr3:"]),
    "label": st.integers(0, 2**64 - 1),
    "order": st.permutations(range(4)).map(tuple),
    "labels": st.just(()),
    "shape": st.tuples(*[st.integers(1, 10**6)] * 3),
    # Set for the whole document, below.
    "active": st.just(False),
    "trace": st.none(),
    "store": st.just("labels/1"),
    "features": st.just(()),
    "values": st.just(()),
    "rules": st.dictionaries(st.text(), st.booleans() | FLOATS, max_size=2),
    "recipe": RECIPES,
    "recipes": st.lists(RECIPES, min_size=3, max_size=3).map(tuple),
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Everything that a field of this type may hold."""
    origin, arms = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        fields = {n: SPECIAL[n] if n in SPECIAL else values_of(kind) for n, kind in hints.items()}
        if hint is PointEntry:
            fields["recipe"] = st.none() | st.integers(0, 2)
        return st.builds(hint, **fields)
    if origin in (Union, types.UnionType):
        return st.one_of([st.none() if arm is type(None) else values_of(arm) for arm in arms])
    if origin is Literal:
        return st.sampled_from(arms)
    if origin is tuple and arms[-1] is Ellipsis:
        return st.lists(values_of(arms[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, arms))
    return {float: FLOATS, int: st.integers(), bool: st.booleans(), str: st.text()}[hint]


@st.composite
def whole_documents(draw: st.DrawFn) -> SessionDocument:
    given = draw(values_of(SessionDocument))
    one = draw(st.integers(0, 3))
    traces = [dataclasses.replace(trace, active=i == one) for i, trace in enumerate(given.traces)]
    labels = draw(st.lists(values_of(documents.LabelsEntry), max_size=3))
    labels = [
        dataclasses.replace(entry, store=f"labels/{i}", trace=0 if traces else None)
        for i, entry in enumerate(labels)
    ]
    return dataclasses.replace(given, traces=tuple(traces), labels=tuple(labels))


@given(whole_documents())
def test_whatever_is_written_is_read(document: SessionDocument) -> None:
    assert documents.from_bytes(documents.to_bytes(document)) == document


def test_one_of_everything_is_the_same_in_json(document: SessionDocument) -> None:
    data = json.loads(documents.to_bytes(document))
    assert data["schema"] == "napari-ouroboros-session/1"
    assert from_dict(data) == document
    # Ids beyond what a float can hold.
    assert data["labels"][0]["colours"][0]["label"] == 2**64 - 1
    assert data["labels"][0]["selected"] == 2**63
    features = from_dict(data).points[0].features
    assert features[0].array().tolist() == [2**64 - 1, 2**53 + 1]
    assert features[0].array().dtype == np.uint64
    np.testing.assert_array_equal(features[1].array(), [np.inf, np.nan])
    assert features[2].array().tolist() == ["“a”", None]
    # The recipe is the very one.
    how = from_dict(data).labels[0].recipe
    assert recipe.from_dict(how).shape == document.labels[0].shape


def test_an_empty_session_is_one() -> None:
    assert from_dict({"schema": documents.SCHEMA}) == SessionDocument()


def test_numbers_of_numpy_become_plain_ones() -> None:
    points = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    mark = documents.MarkEntry(np.int64(3), tuple(np.arange(3)))  # type: ignore[arg-type]
    given = SessionDocument(
        traces=(TraceEntry("t", tuple(map(tuple, points)), tolerance_nm=np.float64(2)),),  # type: ignore[arg-type]
        marks=(mark,),
    )
    data = json.loads(documents.to_bytes(given))
    assert data["traces"][0]["points_nm"] == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert data["marks"] == [{"slice": 3, "nm": [0.0, 1.0, 2.0], "verdict": "", "comment": ""}]


def test_the_entries_have_what_a_window_has() -> None:
    def names(kind: Any) -> set[str]:
        return {field.name for field in dataclasses.fields(kind)}

    assert names(SliceEntry) == names(SliceSettings)
    assert SliceEntry() == SliceEntry(**dataclasses.asdict(SliceSettings()))
    assert names(KeyframeEntry) == names(Keyframe)


def test_what_is_missing_takes_its_default_and_what_is_unknown_is_passed_over(
    document: SessionDocument,
) -> None:
    data = to_dict(document)
    del data["marks"], data["traces"][0]["up"]
    data["later"] = data["traces"][1]["later"] = {"a": 1}
    found = from_dict(data)
    assert found.marks == ()
    assert found.traces[0] == dataclasses.replace(document.traces[0], up=None)
    assert found.traces[1] == document.traces[1]


def test_no_password_and_no_signature_is_written() -> None:
    url = "zarr://https://me:secret@host.org/a/b?X-Signature=secret"
    document = SessionDocument(sources=(SourceEntry(url),))
    text = documents.to_bytes(document).decode()
    assert "secret" not in text
    assert "host.org/a/b" in text


DAMAGED: list[tuple[str, Any, str]] = [
    ("traces.0.points_nm.1.2", "x", "traces[0].points_nm[1][2] must be a finite number; it is 'x'"),
    ("traces.0.points_nm.1.2", float("nan"), "traces[0].points_nm[1][2] must be a finite number"),
    ("traces.0.points_nm.1.2", True, "must be a finite number; it is True"),
    ("traces.0.points_nm.1.2", 10**400, "must be a finite number"),
    ("traces.0.points_nm.1", [1, 2], "traces[0].points_nm[1] must be a list of 3"),
    ("traces.0.points_nm", {}, "traces[0].points_nm must be a list; it is {}"),
    ("traces.0.closed", 1, "traces[0].closed must be true or false; it is 1"),
    ("traces.0", None, "traces[0] must be a set of fields; it is None"),
    ("traces.1.active", True, "several of its traces are the active one"),
    ("slices.mip", "best", "slices.mip must be one of 'auto'"),
    ("slices.mip", 1.5, "slices.mip must be"),
    ("slices.width", None, "slices.width must be a whole number; it is None"),
    ("labels.0.dtype", "float32", "labels[0].dtype must be one of 'uint8', 'uint16'"),
    ("labels.0.shape.0", 0, "labels[0]: the labels 'axon' have the shape (0, 20, 16)"),
    ("labels.0.colours.0.label", 2**64, "labels[0].colours[0]: 18446744073709551616 is no id"),
    ("labels.0.colours.0.label", -1, "-1 is no id"),
    ("labels.0.store", "labels/../../x", "'labels/../../x' is no place for labels"),
    ("labels.0.store", "/etc", "'/etc' is no place for labels"),
    ("labels.0.store", "labels", "'labels' is no place for labels"),
    ("points.0.points.0.recipe", 1, "points[0]: a recipe of the points 'branches' is not there"),
    ("points.0.points.0.at.2", None, "points[0].points[0].at[2] must be a finite number"),
    ("points.0.features.0.values.1", -1, "points[0].features[0]: the feature 'id' is no uint64"),
    ("points.0.features.0.values.1", "x", "points[0].features[0]: the feature 'id' is no uint64"),
    ("points.0.features.0.values", [7], "the feature 'id' has 1 values for 2 points"),
    ("points.0.features.0.type", "complex", "points[0].features[0].type must be one of 'bool'"),
    ("labels.0.store", "LABELS/nuclei", "is no place for labels"),
    ("labels.0.store", "labels/Nuclei", "several of its labels have the same store"),
    ("labels.0.recipe", {}, "the labels 'axon' have no recipe"),
    ("labels.0.recipe", [], "labels[0].recipe must be a set of fields"),
    ("labels.0.recipe", {"schema": float("inf")}, "labels[0].recipe cannot be written as JSON"),
    ("labels.0.trace", 2, "the trace of the labels 'axon' is not there"),
    ("volume.dims.order", [0, 0, 1], "volume.dims: [0, 0, 1] is no order of axes"),
    ("volume.dims.ndisplay", 4, "volume.dims.ndisplay must be one of 2, 3"),
    ("window.front", "back", "window.front must be one of 'volume', 'straightened'; it is 'back'"),
    ("marks.0.verdict", "so-so", "marks[0].verdict must be one of"),
]


@pytest.mark.parametrize(("where", "value", "says"), DAMAGED)
def test_what_is_damaged_is_named(
    document: SessionDocument, where: str, value: Any, says: str
) -> None:
    data = copy.deepcopy(to_dict(document))
    *path, last = [int(part) if part.isdigit() else part for part in where.split(".")]
    inner: Any = data
    for part in path:
        inner = inner[part]
    inner[last] = value
    with pytest.raises(UserError) as error:
        from_dict(data, "a.ouroboros")
    line = str(error.value)
    assert line.startswith("a.ouroboros is damaged: ")
    assert says in line
    assert "\n" not in line


@pytest.mark.parametrize("field", ["name", "recipe", "store", "dtype", "shape"])
def test_labels_without_what_makes_them_are_named(document: SessionDocument, field: str) -> None:
    data = to_dict(document)
    del data["labels"][1][field]
    with pytest.raises(UserError, match=rf"is damaged: it has no 'labels\[1\]\.{field}'"):
        from_dict(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "is not a session"),
        ({}, "is not a session"),
        ({"schema": "napari-ouroboros-session/2"}, "update napari-ouroboros"),
        ({"schema": None}, "update napari-ouroboros"),
    ],
)
def test_what_is_no_session_is_refused(data: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        from_dict(data, "x")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(UserError, match=r"its session\.json is no JSON"):
        documents.from_bytes(data, "x")


def test_what_cannot_be_written_is_named_before_anything_is_written() -> None:
    camera = CameraEntry((0.0, 0.0, float("inf")), 1.0)
    with pytest.raises(UserError) as error:
        to_dict(SessionDocument(volume=SpaceEntry(camera)))
    assert str(error.value) == (
        "the session cannot be written: volume.camera.centre[2] must be a finite number; it is inf"
    )
