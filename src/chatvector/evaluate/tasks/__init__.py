# SPDX-License-Identifier: Apache-2.0
"""The tasks, one module per subject. Each is a small frozen dataclass that follows `chatvector.evaluate.task.Task`."""
