"""`python -m translator`: the same program as the `translator` command, in the form that torchrun launches."""

from translator.cli.app import main

if __name__ == "__main__":
    main()
