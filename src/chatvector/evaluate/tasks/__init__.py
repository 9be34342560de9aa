# SPDX-License-Identifier: Apache-2.0
"""The tasks, one module a subject. Each is a small frozen dataclass that keeps to `chatvector.evaluate.task.Task`."""
