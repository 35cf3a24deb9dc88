"""Files of the Hugging Face hub: from its cache, else over the network, without long waits."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from clip2scene_core.errors import CheckpointError

REACHABLE_WITHIN_S = 5.0
"""The hub's own client retries for a minute before it says that there is no network."""


def hub_file(repo: str, names: Sequence[str]) -> Path:
    """The first of these files that the repository `org/name` has, as a path in the hub's cache.

    Raises CheckpointError that says what went wrong, not what to do about it: the caller knows what for.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for name in names:
        if isinstance(cached := try_to_load_from_cache(repo, name), str):
            return Path(cached)
    _check_reachable(repo)
    for name in names:
        try:
            return Path(hf_hub_download(repo, name))
        except LocalEntryNotFoundError as error:
            raise CheckpointError(first_line(error)) from error
        except EntryNotFoundError:
            continue
        except Exception as error:  # it lets through the errors of several HTTP libraries
            raise CheckpointError(first_line(error)) from error
    raise CheckpointError(f"{repo} has no {' or '.join(names)}")


def hub_folder(repo: str, patterns: Sequence[str], *, holding: str) -> Path:
    """The folder of the cache with the repository's files of these patterns, one of which is `holding`.

    Raises CheckpointError as `hub_file` does.
    """
    from huggingface_hub import snapshot_download, try_to_load_from_cache

    if not isinstance(try_to_load_from_cache(repo, holding), str):
        _check_reachable(repo)
        try:
            snapshot_download(repo, allow_patterns=list(patterns))
        except Exception as error:  # as above
            raise CheckpointError(first_line(error)) from error
    return hub_file(repo, (holding,)).parent


def file_url(repo: str, name: str) -> str:
    """Where a browser finds the file."""
    return f"https://huggingface.co/{repo}/resolve/main/{name}"


def first_line(error: Exception) -> str:
    """What an error of another library says, for a line of our own."""
    return (str(error) or type(error).__name__).strip().splitlines()[0]


def _check_reachable(repo: str) -> None:
    """Raises CheckpointError where nobody answers; any answer of the hub, also a refusal, is one."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise CheckpointError("the environment says HF_HUB_OFFLINE")
    request = urllib.request.Request(f"{constants.ENDPOINT}/{repo}", method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=REACHABLE_WITHIN_S).close()
    except urllib.error.HTTPError:
        return
    except OSError as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):  # the client has certificates of its own
            raise CheckpointError(f"{constants.ENDPOINT} cannot be reached ({reason})") from error
