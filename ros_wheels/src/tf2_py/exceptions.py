"""What can go wrong with a transform."""


class TransformException(Exception):
    """Base of all errors about transforms."""


class ConnectivityException(TransformException):
    """Two frames are in different trees."""


class LookupException(TransformException):
    """A frame does not exist."""


class ExtrapolationException(TransformException):
    """A time lies outside what the buffer knows."""


class InvalidArgumentException(TransformException):
    """An argument has no meaning, such as an empty frame name."""


class TimeoutException(TransformException):
    """An answer did not come in time."""
