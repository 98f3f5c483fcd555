"""A server for translation whose API is LibreTranslate's, so that existing clients and plug-ins work with it.

`server.py: serve` is the front door. Open `app.py` first: its routes; `batcher.py` joins requests into batches.
FastAPI and uvicorn come with the extra `serve` and are imported when they are needed.
"""

from translator.serving.options import Limits, ServerOptions
from translator.serving.server import serve

__all__ = ["Limits", "ServerOptions", "serve"]
