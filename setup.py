"""Builds the native core: one plain shared library per instruction set, loaded with ctypes at run time.

The libraries know neither Python nor torch, so one wheel a platform serves every version of both. Without a compiler
the build goes on without them, says so in one line, and the package computes with numpy.

    RUBRICA_KERNELS=native pip install .    # fails where the libraries cannot be built, as for the published wheels
    RUBRICA_KERNELS=numpy pip wheel .       # without them on purpose: one wheel for every platform
    RUBRICA_SANITIZE=1 pip install .        # with the address and undefined-behaviour sanitizers, for the tests
"""

import os
import platform
import shutil
import sys
from copy import copy
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import BaseError, CCompilerError, PlatformError

WINDOWS = sys.platform == "win32"
# On x86-64 the same sources three times; `kernels/native.py` loads the best one that the processor can run.
LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4") if platform.machine() in ("x86_64", "AMD64") else ("baseline",)
# No -ffast-math: results must be those of the numpy twins, NaN and infinity among them.
FLAGS = ["-O3", "-fvisibility=hidden", "-g0", "-fno-math-errno", "-ffp-contract=fast", "-std=c++17", "-pthread"]
# clang-cl takes Microsoft's options, and Clang's own behind /clang:.
CLANG_CL_FLAGS = ["/std:c++17", "/EHsc", "/clang:-O3", "/clang:-fno-math-errno", "/clang:-ffp-contract=fast"]
LINK_FLAGS = {"linux": ["-pthread", "-s"], "win32": []}  # elsewhere -pthread alone


def libraries() -> list[Extension]:
    """One extension per instruction set; the compiler is GCC or Clang (vector extensions), on Windows clang-cl."""
    sources = sorted(str(path) for path in Path("native").glob("*.cpp"))
    compile_args, link_args = list(CLANG_CL_FLAGS if WINDOWS else FLAGS), LINK_FLAGS.get(sys.platform, ["-pthread"])
    if os.environ.get("RUBRICA_SANITIZE"):
        compile_args += ["-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        link_args = ["-pthread", "-fsanitize=address,undefined"]
    return [
        Extension(
            f"rubrica.kernels.librubrica-{level}",
            sources,
            extra_compile_args=[*compile_args, *_march(level)],
            extra_link_args=link_args,
            language="c++",
        )
        for level in LEVELS
    ]


def _march(level: str) -> list[str]:
    if level == "baseline":
        return []
    return [f"{'/clang:' if WINDOWS else ''}-march={level}"]


class BuildLibraries(build_ext):
    """Plain shared libraries instead of Python modules, and no failure without a compiler."""

    def finalize_options(self) -> None:  # noqa: D102
        super().finalize_options()
        self.force = True  # the times of the files do not tell that the flags are others
        self.parallel = self.parallel or ((os.cpu_count() or 1) > 1 and len(LEVELS))  # each has one long file

    def run(self) -> None:  # noqa: D102
        self.failed: dict[str, Exception] = {}
        super().run()
        if not self.failed:
            return
        if os.environ.get("RUBRICA_KERNELS") == "native":
            raise next(iter(self.failed.values()))
        levels, reason = ", ".join(self.failed), str(next(iter(self.failed.values()))).splitlines()[0]
        instead = "a lesser instruction set" if len(self.failed) < len(LEVELS) else "numpy"
        print(f"rubrica: no native core for {levels} ({reason}); {instead} computes instead")  # noqa: T201 (pip shows it with -v)

    def get_ext_filename(self, fullname: str) -> str:  # noqa: D102
        return str(Path(*fullname.split("."))) + (".dll" if WINDOWS else ".so")

    def get_export_symbols(self, ext: Extension) -> list[str]:  # noqa: D102 (no PyInit function)
        return []

    def build_extension(self, ext: Extension) -> None:  # noqa: D102
        try:
            if WINDOWS:
                self._use_clang_cl()
            # The libraries are built side by side, from sources of the same names: each has its own object files.
            alone = copy(self)
            alone.build_temp = str(Path(self.build_temp, ext.name))
            super(BuildLibraries, alone).build_extension(ext)
        except (BaseError, CCompilerError, OSError) as error:
            self.failed[ext.name.removeprefix("rubrica.kernels.librubrica-")] = error
            # What an earlier build left there is of other sources.
            Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)

    def _use_clang_cl(self) -> None:
        self.compiler.initialize()  # finds Microsoft's headers and libraries
        self.compiler.cc = shutil.which("clang-cl")
        if self.compiler.cc is None:
            raise PlatformError("no clang-cl on the PATH; it comes with LLVM and with Visual Studio")

    def copy_extensions_to_source(self) -> None:  # noqa: D102 (for `pip install -e`)
        for ext in self.extensions:
            built, place = (Path(folder) / self.get_ext_filename(ext.name) for folder in (self.build_lib, "src"))
            if built.exists():
                self.copy_file(str(built), str(place))
            else:
                place.unlink(missing_ok=True)

    def get_outputs(self) -> list[str]:  # noqa: D102
        return [path for path in super().get_outputs() if Path(path).exists()]


class WithScripts(build_py):
    """The files of js/, which a browser reads, become data of the package; a checkout has them anyway."""

    def run(self) -> None:  # noqa: D102
        super().run()
        for source, target in [] if self.editable_mode else self._scripts():
            self.mkpath(str(target.parent))
            self.copy_file(str(source), str(target))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:  # noqa: D102
        built = [] if self.editable_mode else [str(target) for _, target in self._scripts()]
        return super().get_outputs(include_bytecode) + built

    def _scripts(self) -> list[tuple[Path, Path]]:
        folder = Path(self.build_lib, "rubrica", "export")
        return [(path, folder / path) for path in sorted([*Path("js").glob("*.js"), *Path("js/page").iterdir()])]


class PlatformWheel(bdist_wheel):
    """The libraries depend on the platform, not on a version of Python."""

    def get_tag(self) -> tuple[str, str, str]:  # noqa: D102
        return "py3", "none", super().get_tag()[2]


setup(
    ext_modules=[] if os.environ.get("RUBRICA_KERNELS") == "numpy" else libraries(),
    cmdclass={"build_ext": BuildLibraries, "build_py": WithScripts, "bdist_wheel": PlatformWheel},
)
