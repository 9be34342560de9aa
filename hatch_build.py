# SPDX-License-Identifier: Apache-2.0
"""Build hook: compile the kernel where there is a C compiler; without one the wheel is pure Python and slower.

CC and CFLAGS are honoured. CHATVECTOR_NO_NATIVE=1 builds without. The library is plain C called through ctypes, so one
wheel a platform serves every Python version.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = ("src/chatvector/arithmetic/kernel.c", "src/chatvector/arithmetic/compare.c")
LIBRARY = "src/chatvector/arithmetic/libkernel.so"
# No fused multiply-add: every operation is rounded once (docs/how-it-works.md, promise 2).
FLAGS = ["-O3", "-std=c11", "-fno-fast-math", "-ffp-contract=off", "-fno-math-errno", "-fPIC", "-shared"]
# Compilers before GCC 12 do not know the levels of x86-64 by name: then one version of the code for all processors.
TRIES = ([], ["-DONE_PROCESSOR"])


class NativeKernel(BuildHookInterface):
    """Adds the compiled kernel to wheels and to editable installs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile before the files are collected; failures are said, and leave a pure wheel."""
        if self.target_name != "wheel":
            return
        library = Path(self.root, LIBRARY)
        library.unlink(missing_ok=True)
        if os.environ.get("CHATVECTOR_NO_NATIVE") or not self._compile(library):
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        build_data["artifacts"].append(f"/{LIBRARY}")

    def _compile(self, library: Path) -> bool:
        named = shlex.split(os.environ.get("CC", ""))
        found = [named] if named else [[name] for name in ("cc", "gcc", "clang") if shutil.which(name)]
        if not found:
            self.app.display_warning("no C compiler: chatvector will compute with numpy alone, same bytes, slower")
            return False
        failure = ""
        for more in TRIES:
            command = [*found[0], *shlex.split(os.environ.get("CFLAGS", "")), *FLAGS, *more]
            command += [*(str(Path(self.root, source)) for source in SOURCES), "-o", str(library), "-lm"]
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False)
            except OSError as error:
                failure = str(error)
                break
            if done.returncode == 0:
                return True
            failure = done.stderr.strip()
        library.unlink(missing_ok=True)
        self.app.display_warning(f"the kernel did not compile, numpy will do the work, slower: {failure[-400:]}")
        return False
