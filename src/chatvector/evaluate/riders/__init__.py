# SPDX-License-Identifier: Apache-2.0
"""What is measured on every reply of every chat task, beside the task's own marks: its language, what is wrong with it
as a text, and how it was thought. Each keeps to `chatvector.evaluate.task.Rider`."""
