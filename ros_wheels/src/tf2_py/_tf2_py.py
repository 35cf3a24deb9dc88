"""The same under the name of the distribution's extension module, which some code imports from."""

from tf2_py import *  # noqa: F403
