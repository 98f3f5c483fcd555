"""`translator serve`: a server for translation with LibreTranslate's API."""

from typing import Annotated

import typer

from translator.cli.arguments import CallSettings, EngineChoice, EngineName


def serve(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Run directories, one for each direction; SOURCE-TARGET=RUN if one does not say which.",
        ),
    ],
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 for any that is free.")] = 5000,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes, each of which loads every run.")] = 1,
    keys: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="API keys, one a line; more may be in the variable TRANSLATOR_API_KEYS."),
    ] = None,
    cors: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="Origin whose pages may call the server; repeatable.")
    ] = None,
    max_characters: Annotated[int, typer.Option(min=0, help="Characters of a request; 0 for any number.")] = 1_000_000,
    max_lines: Annotated[int, typer.Option(min=0, help="Lines of a request; 0 for any number.")] = 20_000,
    max_alternatives: Annotated[int, typer.Option(min=0, max=64, help="Translations besides the best one.")] = 8,
    requests_per_minute: Annotated[
        int, typer.Option(min=0, help="Requests of a key, or of an address; 0 for any number.")
    ] = 0,
    engine: EngineName = EngineChoice.auto,
    settings: CallSettings = None,
) -> None:
    """Translate for others over HTTP, with the API of LibreTranslate; SIGHUP takes up replaced runs."""
    from translator.config import read_call_settings, stated_machine
    from translator.serving import Limits, ServerOptions, serve

    call = read_call_settings(settings or [])
    serve(
        ServerOptions(
            tuple(runs), host, port, workers, keys, tuple(cors or ()),
            {name: getattr(call.decoding, name) for name in call.decoding.model_fields_set},
            stated_machine(call), engine.value,
            limits=Limits(
                characters=max_characters, lines=max_lines, alternatives=max_alternatives,
                requests_per_minute=requests_per_minute,
            ),
        )
    )  # fmt: skip
