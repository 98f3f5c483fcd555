"""`python -m translator`: the same program as the `translator` command.

It is also what the workers of several devices run: torchrun as `-m translator`, our own launcher as a file.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Unless told not to (`-P`), Python puts the working directory, or that of this file, first on the path. A file
    # there with the name of a library must not be taken for it: a `yaml.py` next to a corpus, one of our own rooms.
    if not sys.flags.safe_path:
        del sys.path[0]
    # As a file, in a clone that is not installed, there is no other way to the package. Libraries come first.
    if not __package__:
        sys.path.append(str(Path(__file__).resolve().parents[1]))

    from translator.cli.app import main

    main()
