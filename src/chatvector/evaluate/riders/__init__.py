# SPDX-License-Identifier: Apache-2.0
"""Riders: what is measured on every reply of every chat task, beside the task's own marks. They measure the language
of a reply, its faults as a text, and its thinking. Each follows `chatvector.evaluate.task.Rider`."""
