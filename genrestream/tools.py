"""Where lies what `make setup` fetched, servers and weights, beside the virtual environment."""

import os
import sys
from pathlib import Path


def tools_dir() -> Path:
    """The folder of all that was fetched: `GENRESTREAM_TOOLS`, else `.uv` beside the environment in use."""
    given = os.environ.get("GENRESTREAM_TOOLS")
    return Path(given).absolute() if given else Path(sys.prefix).parent / ".uv"


def servers_dir() -> Path:
    """The folder of the servers that come as Python wheels."""
    return tools_dir() / "servers"
