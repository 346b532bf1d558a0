"""``python -m macrid`` is the command ``macrid``."""

from macrid.cli.app import main

if __name__ == "__main__":
    main()
