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
    from translator.runtime.console import print_result

    path, overrides = split_arguments(arguments)
    if path is not None and path.is_dir() and not overrides:
        # A run can be looked at without the one that it started from, and may have been moved.
        config = read_run_config(path).model_copy(update={"run": str(path)})
    else:
        config = load_config(path, overrides)
    print_result(dump_config(config), end="")


@app.command()
def schema(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON Schema, for editors.")] = False,
) -> None:
    """Print every setting with its type, default and meaning."""
    import json

    from translator.config.manual import describe_settings
    from translator.config.schema import Config
    from translator.runtime.console import print_result

    if as_json:
        print_result(json.dumps(Config.model_json_schema(), indent=2))
    else:
        print_result(describe_settings(), end="")
