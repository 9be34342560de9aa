# SPDX-License-Identifier: Apache-2.0
"""The heads of licence files as they are published, and models that carry them."""

from __future__ import annotations

from pathlib import Path

from builders import Trio, trio_specs, write_trio

LLAMA2 = 'LLAMA 2 COMMUNITY LICENSE AGREEMENT\nLlama 2 Version Release Date: July 18, 2023\n\n"Agreement" means …\n'
LLAMA3 = "META LLAMA 3 COMMUNITY LICENSE AGREEMENT\n\nMeta Llama 3 Version Release Date: April 18, 2024\n"
LLAMA31 = "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nLlama 3.1 Version Release Date: July 23, 2024\n"
APACHE = "\n                                 Apache License\n                           Version 2.0, January 2004\n"
QWEN = "Qwen LICENSE AGREEMENT\n\nQwen LICENSE AGREEMENT Release Date: September 19, 2024\n"
QWEN_RESEARCH = "Qwen RESEARCH LICENSE AGREEMENT\n\nQwen RESEARCH LICENSE AGREEMENT Release Date: September 19, 2024\n"
TONGYI = "Tongyi Qianwen LICENSE AGREEMENT\n\nTongyi Qianwen Release Date: August 3, 2023\n"
LLAMA31_NOTICE = (
    "Llama 3.1 is licensed under the Llama 3.1 Community License, Copyright © Meta Platforms, Inc. All Rights Reserved."
)


def card(**metadata: str) -> str:
    """A model card that says so much and no more."""
    return "---\n" + "".join(f"{key}: {value}\n" for key, value in metadata.items()) + "---\n\n# A model\n"


def licensed_trio(folder: Path, **files: dict[str, str]) -> Trio:
    """A trio with extra files by role: `licensed_trio(tmp_path, base={"LICENSE": …})`."""
    specs = trio_specs()
    for role, extra in files.items():
        specs[role].extra_files |= extra
    return write_trio(folder, specs)
