"""The runs of a server: loading them, and replacing them while it runs."""

import gc
import threading
from collections.abc import Sequence
from pathlib import Path

from translator.errors import ConfigError, TranslatorError
from translator.runtime.console import say
from translator.serving.directions import Directions
from translator.serving.metrics import Metrics
from translator.serving.options import ServerOptions
from translator.serving.served_model import ServedModel


class Models:
    """The models of a server; replaced as a whole, so that a request that keeps its `directions` sees all or none."""

    def __init__(self, options: ServerOptions, metrics: Metrics) -> None:
        """Load all runs; raises what loading them raises, and `ConfigError` if two have the same direction."""
        self._options, self._metrics = options, metrics
        self._reloading = threading.Lock()
        self.directions = Directions(self._load())
        _spare_collections()

    @property
    def models(self) -> Sequence[ServedModel]:
        """The models that are served now."""
        return self.directions.models

    def _load(self) -> list[ServedModel]:
        loaded: list[ServedModel] = []
        taken: dict[tuple[str, str], Path] = {}
        try:
            for run in self._options.runs:
                model = ServedModel(run, self._options, self._metrics)
                loaded.append(model)
                for target in model.targets:
                    other = taken.setdefault((model.source, target), model.run)
                    if other is not model.run:
                        raise ConfigError(
                            [f"run: {other} and {model.run} both translate from {model.source} into {target}; leave "
                             "one out"]
                        )  # fmt: skip
        except BaseException:
            for model in loaded:
                model.batcher.stop()
            raise
        return loaded

    def reload(self) -> list[str]:
        """Load all runs again and take them up; return the names of those that changed.

        If one cannot be loaded, all stay as they are and its error is raised.
        """
        with self._reloading:
            try:
                loaded = self._load()
            except TranslatorError:
                self._metrics.count_reload(successful=False)
                raise
            digests = {model.information["digest"] for model in self.models}
            changed = [model.run.name for model in loaded if model.information["digest"] not in digests]
            old, self.directions = self.models, Directions(loaded)
            # Requests that have found an old model and not queued their lines yet try again with the new one.
            for model in old:
                model.batcher.stop()
            del old, model
            _spare_collections()
            self._metrics.count_reload(successful=True)
            say(f"reloaded; changed: {', '.join(changed) or 'nothing'}")
            return changed

    def stop(self) -> None:
        """Let all threads end after what is queued."""
        for model in self.models:
            model.batcher.stop()


def _spare_collections() -> None:
    """Let the garbage collector pass over all objects that exist now, and delete what it finds before.

    There are half a million of them, which live as long as the models. Looking at each again and again took a third of
    the CPU time of the thread that reads requests and writes answers (with the 0.85 M sample model and 64 clients).
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
