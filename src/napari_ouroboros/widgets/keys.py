"""Every key of ours in one place: none is one of napari's own, whatever layer is active.

Keys of both spaces are bound on both ViewerModels; those of the trace on its layer.
"""

from __future__ import annotations

FLIP = "G"
NEXT_SLICE = "."
PREVIOUS_SLICE = ","
NEXT_SUSPICIOUS = "K"
PREVIOUS_SUSPICIOUS = "J"
MARK_GOOD = "Shift-Q"
MARK_BAD = "Q"
CENTRE_HERE = "H"
UP_SIDE_HERE = "U"
COPY_POSITION = "Shift-C"
GO_TO_POSITION = "Shift-G"

#: On the trace layer only.
INSERT_POINT = "I"
WALK_ALONG = "W"

#: On the trace layer, and in the straightened view.
UNDO = "Control-Z"
REDO = "Control-Shift-Z"

#: What the keys are for, for tooltips, the docs and the tests.
TITLES = {
    FLIP: "flip between the volume and the straightened view",
    NEXT_SLICE: "next slice",
    PREVIOUS_SLICE: "previous slice",
    NEXT_SUSPICIOUS: "next suspicious slice",
    PREVIOUS_SUSPICIOUS: "previous suspicious slice",
    MARK_GOOD: "mark the shown slice as good; once more: take the mark away",
    MARK_BAD: "mark the shown slice as bad; once more: take the mark away",
    CENTRE_HERE: "put the centre of the slice under the cursor (straightened view)",
    UP_SIDE_HERE: "make the side under the cursor the up side (straightened view)",
    COPY_POSITION: "copy the position under the cursor",
    GO_TO_POSITION: "go to the position in the clipboard",
    INSERT_POINT: "insert a point on the curve nearest to the cursor",
    WALK_ALONG: "walk on along the trace from its tip",
    UNDO: "undo the last change of the trace",
    REDO: "redo it",
}
