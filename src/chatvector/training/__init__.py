# SPDX-License-Identifier: Apache-2.0
"""The paper's stages of training: continual pre-training, supervised fine-tuning, preference tuning.

A thin layer over TRL's trainers. Losses, optimizer and loop are TRL's. This package decides which tokens are trained
on, what a killed run continues from, and that the output is an ordinary checkpoint. Needs `[train]`.
"""
