# SPDX-License-Identifier: Apache-2.0
"""A model that speaks, wherever it runs (`backend`): by transformers (`[local]`), behind a server, or recorded."""
