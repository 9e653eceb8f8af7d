"""Builds the native core: one plain shared library per instruction set, loaded with ctypes at run time.

The libraries know neither Python nor torch, so one wheel a platform serves every version of both. Without a compiler
the build goes on without them, and the package computes with numpy.

    RUBRICA_SANITIZE=1 pip install -e .     # with the address and undefined-behaviour sanitizers, for the tests
"""

import os
import platform
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

# On x86-64 the same sources three times; `kernels/native.py` loads the best one that the processor can run.
LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4") if platform.machine() in ("x86_64", "AMD64") else ("baseline",)
# No -ffast-math: results must be those of the numpy twins, NaN and infinity among them.
FLAGS = ["-std=c++17", "-O3", "-fvisibility=hidden", "-g0", "-fno-math-errno", "-ffp-contract=fast"]


def libraries() -> list[Extension]:
    """One extension per instruction set; the compiler is GCC or Clang (vector extensions), on Windows clang-cl."""
    sources, headers = (sorted(str(p) for p in Path("native").glob(pattern)) for pattern in ("*.cpp", "*.h"))
    compile_args, link_args = list(FLAGS), ["-s"] if sys.platform == "linux" else []
    if sys.platform != "win32":
        compile_args.append("-pthread")
        link_args.append("-pthread")
    if os.environ.get("RUBRICA_SANITIZE"):
        compile_args += ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        link_args += ["-fsanitize=address,undefined"]
    return [
        Extension(
            f"rubrica.kernels.librubrica-{level}",
            sources,
            depends=headers,
            extra_compile_args=[*compile_args, *([f"-march={level}"] if level != "baseline" else [])],
            extra_link_args=link_args,
            language="c++",
        )
        for level in LEVELS
    ]


class BuildLibraries(build_ext):
    """Plain shared libraries instead of Python modules, and no failure without a compiler."""

    def get_ext_filename(self, fullname: str) -> str:  # noqa: D102
        return str(Path(*fullname.split("."))) + (".dll" if sys.platform == "win32" else ".so")

    def get_export_symbols(self, ext: Extension) -> list[str]:  # noqa: D102 (no PyInit function)
        return []

    def build_extension(self, ext: Extension) -> None:  # noqa: D102
        try:
            super().build_extension(ext)
        except Exception as error:
            if os.environ.get("RUBRICA_KERNELS") == "native":
                raise
            reason = str(error).splitlines()[0]
            print(f"rubrica: no native core {ext.name.rpartition('-')[2]} ({reason}); numpy computes instead")  # noqa: T201 (pip shows it with -v)

    def copy_extensions_to_source(self) -> None:  # noqa: D102 (for `pip install -e`)
        for ext in self.extensions:
            built = Path(self.build_lib) / self.get_ext_filename(ext.name)
            if built.exists():
                self.copy_file(str(built), str(Path("src") / self.get_ext_filename(ext.name)))

    def get_outputs(self) -> list[str]:  # noqa: D102
        return [path for path in super().get_outputs() if Path(path).exists()]


class PlatformWheel(bdist_wheel):
    """The libraries depend on the platform, not on a version of Python."""

    def get_tag(self) -> tuple[str, str, str]:  # noqa: D102
        return "py3", "none", super().get_tag()[2]


setup(ext_modules=libraries(), cmdclass={"build_ext": BuildLibraries, "bdist_wheel": PlatformWheel})
