"""How much of the window each space gets. No Qt."""

from __future__ import annotations

from dataclasses import dataclass

#: Width in pixels that the space not in focus keeps, and its share where there is less room.
SMALLER, SHARE = 381, 0.388
#: Of the height of the right column, for the tasks below the straightened view: while that is
#: not in front, and while it is.
TASKS, TASKS_FLIPPED = 0.38, 0.31
#: What differs by more pixels than this, the user has dragged.
_DRAGGED = 8


@dataclass(frozen=True)
class Room:
    """What the straightened space has of a window.

    Attributes
    ----------
    width : float or None
        Of the width of both canvases, its canvas'; None: as it is by itself.
    tasks : float or None
        Of the height of the right column, that of the tasks below it.
    """

    width: float | None = None
    tasks: float | None = None


def canvas_width(both: int, straightened: bool, chosen: Room = Room()) -> int:
    """Return the width in pixels of the straightened canvas.

    Parameters
    ----------
    both : int
        Width of both canvases.
    straightened : bool
        Whether the straightened space is the one in front.
    """
    if chosen.width is not None:
        return round(chosen.width * both)
    smaller = min(SMALLER, round(SHARE * both))
    return both - smaller if straightened else smaller


def tasks_height(both: int, straightened: bool, chosen: Room = Room()) -> int:
    """Return the height in pixels of the tasks, of that of both docks in the right column."""
    if chosen.tasks is not None:
        return round(chosen.tasks * both)
    return round((TASKS_FLIPPED if straightened else TASKS) * both)


def what_was_chosen(
    straightened: bool, width: tuple[int, int], tasks: tuple[int, int] | None
) -> Room:
    """Return what the user has dragged.

    Parameters
    ----------
    width : (int, int)
        Of the straightened canvas, and of both.
    tasks : (int, int) or None
        Height of the tasks, and of all the column; None where they lie elsewhere.
    """
    chosen_width = chosen_tasks = None
    if abs(width[0] - canvas_width(width[1], straightened)) > _DRAGGED:
        chosen_width = width[0] / width[1]
    if tasks is not None and abs(tasks[0] - tasks_height(tasks[1], straightened)) > _DRAGGED:
        chosen_tasks = tasks[0] / tasks[1]
    return Room(chosen_width, chosen_tasks)
