# SPDX-License-Identifier: Apache-2.0
"""A seeded English and Korean micro-world; `README.md` beside this file says what it builds in.

Everything is made as a language-free tuple and rendered in both languages at once (`text.Pair`), so a document, its
translation and a code-switched mixture of them come from one call. Every sentence is made here; nothing is quoted.
"""

VERSION = "1"
"""Raised when any text that a seed produces changes: models are comparable only within one version."""
