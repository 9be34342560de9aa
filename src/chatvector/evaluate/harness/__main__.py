# SPDX-License-Identifier: Apache-2.0
"""The harness's command line with our model added: `--model chatvector --model_args pretrained=MODEL`."""

from __future__ import annotations

from chatvector.evaluate.harness.library import need_harness


def main() -> None:
    """Runs the harness's command line on the arguments of this process."""
    need_harness()
    from lm_eval.__main__ import cli_evaluate

    import chatvector.evaluate.harness.adapter  # noqa: F401 (registers the model)

    cli_evaluate()


if __name__ == "__main__":
    main()
