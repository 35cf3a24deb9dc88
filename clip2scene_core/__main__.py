"""`python -m clip2scene_core` is the command `clip2scene`."""

from clip2scene_core.cli import main

if __name__ == "__main__":
    main()
