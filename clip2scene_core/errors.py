"""The errors that the core raises: each names the thing, what was expected and the remedy in one line."""


class Clip2SceneError(Exception):
    """Base of every error that the user can do something about; its text is one line."""


class ConfigError(Clip2SceneError):
    """A setting is unknown, has the wrong type or an impossible value."""


class DataError(Clip2SceneError):
    """A recording, cloud, image or label file does not hold what its format promises."""


class CalibrationError(Clip2SceneError):
    """A transform or camera model that is needed is missing or unusable; names both frames."""


class CheckpointError(Clip2SceneError):
    """A checkpoint file is unreadable or does not fit; names the field, expected and got."""


class MissingExtraError(Clip2SceneError):
    """An optional third-party package is not installed; names the pip extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed; install it with: pip install 'clip2scene_ros[{extra}]'"
        )
