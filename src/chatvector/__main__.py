# SPDX-License-Identifier: Apache-2.0
"""`python -m chatvector` is `chatvector`."""

from chatvector.cli.main import main

if __name__ == "__main__":
    main()
