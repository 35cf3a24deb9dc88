"""The student: a 3D network whose features, of voxels or points, live in the joint image-text space."""

from clip2scene_core.student.heads import StudentHeads, StudentOutput
from clip2scene_core.student.minkunet import MinkUNet
from clip2scene_core.student.norm import use_scan_statistics
from clip2scene_core.student.spvcnn import SPVCNN

__all__ = [
    "SPVCNN",
    "MinkUNet",
    "StudentHeads",
    "StudentOutput",
    "use_scan_statistics",
]
