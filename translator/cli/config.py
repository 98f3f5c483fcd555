"""`translator config`: the settings of a run, and the list of all settings."""

from typing import Annotated

import typer

from translator.cli.arguments import split_arguments

app = typer.Typer(no_args_is_help=True)


@app.command()
def show(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="CONFIG.yaml|RUN KEY=VALUE", help="Settings file or run directory."),
    ] = None,
) -> None:
    """Print the settings that `train` would use, defaults and preset included, as YAML."""
    from translator.config import dump_config, load_config, read_run_config
    from translator.config.load import RUN_CONFIG

    path, overrides = split_arguments(arguments)
    is_run = path is not None and path.is_dir()
    if path is not None and is_run and not overrides:
        config = read_run_config(path)
    else:
        config = load_config(path / RUN_CONFIG if path is not None and is_run else path, overrides)
    typer.echo(dump_config(config), nl=False)


@app.command()
def schema(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON Schema, for editors.")] = False,
) -> None:
    """Print every setting with its type, default and meaning."""
    import json

    from translator.config.manual import describe_settings
    from translator.config.schema import Config

    if as_json:
        typer.echo(json.dumps(Config.model_json_schema(), indent=2))
    else:
        typer.echo(describe_settings(), nl=False)
