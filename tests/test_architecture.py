"""The plan of the house: who may import whom, what is public, and that the front doors stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import rubrica

PACKAGE = Path(rubrica.__file__).parent

# Ground floor first; a module may import modules that stand before it: of lower floors, or earlier on its own.
FLOORS = [
    [
        "errors",
        "cache",
        "progress",
        "config",
        "metrics",
        "calibration",
        "thresholds",
        "quantization",
        "tensor_file",
        "tokenizer",
        "kernels",
        "kernels.native",
        "kernels.tokens",
        "kernels.rows",
        "kernels.recurrent",
        "kernels.learn",
        "kernels.bag",
        "kernels.runs",
        "kernels.mingru",
        "kernels.windows",
        "kernels.linear",
    ],
    [
        "vocab",
        "batching",
        "mini_news",
        "large_files",
        "stored_texts",
        "csv_lines",
        "data_files",
        "data_hub",
        "data_labels",
        "data",
    ],
    ["vectors_files", "vectors_hub", "vectors"],
    ["held_out", "corpus", "own_words", "overview", "model_card", "artifact", "report", "environment", "tables"],
    ["forward", "linear", "runtime", "answers", "onnx_layers", "onnx_graph", "export"],
    [
        "masking",
        "pooling",
        "embedding",
        "bptt",
        "cells",
        "mingru",
        "models.cnn",
        "models.kim",
        "models.drnn",
        "models.rnn",
        "models",
    ],
    [
        "history",
        "budget",
        "calibration",
        "bag",
        "linear_training",
        "freezing",
        "device_split",
        "loop",
        "network",
        "parts",
        "training",
        "seminar",
        "ladder",
    ],
    ["estimator", "cli_data", "cli", "__main__"],
]
ORDER = {module: place for place, module in enumerate(module for floor in FLOORS for module in floor)}
NO_TORCH = {module for floor in FLOORS[:5] for module in floor} | {
    "history",
    "calibration",
    "bag",
    "linear_training",
    "budget",
    "parts",
    "training",
    "estimator",
    "cli",
    "__main__",
}
HEAVY = {"torch", "pyarrow", "gensim", "datasets", "sklearn", "matplotlib", "jinja2", "jaxtyping", "rich"}
HEAVY |= {"onnx", "onnxruntime"}


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path, *, late):
    """Names of modules that a file imports; without `late`, only those imported with the file."""
    tree = ast.parse(path.read_text())
    inside = {child for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for child in ast.walk(node)}
    for node in ast.walk(tree):
        if not late and node in inside:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}: relative import"
            yield from (
                f"{node.module}.{alias.name}" if node.module == "rubrica" else node.module for alias in node.names
            )


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def test_every_module_has_its_place():
    assert set(FILES) - {""} == set(ORDER)


def test_modules_import_downwards_only():
    upwards = [
        f"{module} -> {target}"
        for module, path in FILES.items()
        if module
        for target in (name.removeprefix("rubrica.") for name in imports(path, late=True) if "rubrica." in name)
        if target in ORDER and ORDER[target] >= ORDER[module]
    ]
    assert not upwards


def test_the_floors_below_the_networks_never_import_torch():
    for module in NO_TORCH:
        names = {name.partition(".")[0] for name in imports(FILES[module], late=True)}
        assert not names & {"torch", "jaxtyping"}, module


def test_no_module_imports_an_optional_library_with_itself():
    for module in NO_TORCH - {"tables", "estimator"}:
        names = {name.partition(".")[0] for name in imports(FILES[module], late=False)}
        assert not names & HEAVY, module


def test_public_names():
    assert rubrica.__all__ == ["load", "train", "Classifier", "Config", "load_recipe", "RubricaError", "__version__"]
    for name in rubrica.__all__:
        assert getattr(rubrica, name) is not None
    assert rubrica.TextClassifier.__name__ in dir(rubrica)


def loaded_modules(code):
    code += "; import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_and_its_command_loads_nothing_heavy():
    assert not loaded_modules("import rubrica") & (HEAVY | {"numpy"})
    assert not loaded_modules("import rubrica.cli") & (HEAVY | {"numpy"})
    assert not loaded_modules("import rubrica; rubrica.load") & HEAVY


# Each was once imported on the way to an answer; together they took half as long as numpy.
NOT_FOR_AN_ANSWER = {
    "csv", "difflib", "gzip", "logging", "numpy.random", "rubrica.data", "rubrica.vectors", "tempfile", "tomllib",
    "urllib.request",
}  # fmt: skip

ANSWER = """
import sys, numpy
before = set(sys.modules)
sys.argv = ["rubrica", "predict", sys.argv[1]]
from rubrica.cli import main
main()
print(*sorted(set(sys.modules) - before))
"""


def test_an_answer_imports_no_more_than_it_needs():
    model = Path(__file__).parent / "data" / "artifact-v1"
    command = [sys.executable, "-c", ANSWER, model]
    answer, modules = subprocess.run(
        command, input="a text\n", capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "label" in answer
    assert "rubrica.runtime" in modules.split()
    assert not set(modules.split()) & (NOT_FOR_AN_ANSWER | HEAVY)


def test_no_file_is_longer_than_400_lines():
    lengths = {module: path.read_text().count("\n") for module, path in FILES.items()}
    assert not {module: length for module, length in lengths.items() if length > 400}
