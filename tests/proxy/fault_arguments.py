"""Arguments for the faults that need some."""

from __future__ import annotations

from typing import Any

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "error": (1100,),
    "slow": (200_000,),
    "delay": (0.03,),
    "merge_frames": (0.02,),
    "delay_message": ("any", 0.03),
    "drop_message": ("positionEnd",),
    "duplicate_message": ("any",),
    "mute": ("reqPositions",),
}
