"""Runs the command line: ``python -m loader`` is ``mstr-loader``."""

from loader.cli.main import main

if __name__ == "__main__":
    main()
