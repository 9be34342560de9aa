# SPDX-License-Identifier: Apache-2.0
"""The paper's stages, one line each: continual pre-training, supervised fine-tuning, preference tuning.

A thin layer over TRL's trainers: what is trained on which tokens, what a killed run continues from, and that the output
is an ordinary checkpoint are decided here; losses, optimizer and loop are TRL's. Comes with `[train]`.
"""
