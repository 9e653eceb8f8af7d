"""The plan of the house: which room may import which, what is public, and that the front doors stay light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import rubrica

PACKAGE = Path(rubrica.__file__).parent

# From the ground up: a room imports only rooms that stand before it. Files of one room may import each other, but not
# in a circle.
ROOMS = [
    "errors", "config", "files", "notebook", "progress", "kernels", "environment", "text", "scoring", "data", "models",
    "artifact", "vectors", "predict", "corpus", "networks", "learning", "export", "insight", "seminar", "scale",
    "tuning", "estimator", "fasttext", "serve", "cli", "__main__",
]  # fmt: skip
WITHOUT_TORCH = [*ROOMS[: ROOMS.index("networks")], "export", "insight", *ROOMS[ROOMS.index("scale") :]]
HEAVY = {"torch", "pyarrow", "gensim", "datasets", "sklearn", "matplotlib", "jinja2", "jaxtyping", "rich", "ray"}
HEAVY |= {"optuna", "onnx", "onnxruntime", "httptools", "prometheus_client", "uvicorn"}


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path, *, late=True):
    """Names of modules that a file imports; without `late`, only those imported with the file."""
    tree = ast.parse(path.read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    inside = {child for node in ast.walk(tree) if isinstance(node, functions) for child in ast.walk(node)}
    for node in ast.walk(tree):
        if not late and node in inside:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}: relative import"
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name.removeprefix("rubrica.") in FILES else node.module for name in names)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
ARROWS = {
    module: {name.removeprefix("rubrica.") for name in imports(path) if name.removeprefix("rubrica.") in FILES}
    for module, path in FILES.items()
}


def room_of(module):
    return module.partition(".")[0]


def test_every_module_has_its_room():
    assert {room_of(module) for module in FILES} - {""} == set(ROOMS)
    assert len(list(PACKAGE.glob("[a-z]*"))) <= 27


def test_no_room_imports_one_that_stands_after_it():
    upward = [
        f"{module} -> {target}"
        for module, targets in ARROWS.items()
        for target in targets
        if module and ROOMS.index(room_of(target) or "errors") > ROOMS.index(room_of(module))
    ]
    assert not upward


def test_no_files_import_each_other_in_a_circle():
    done = set()

    def visit(module, path):
        assert module not in path, " -> ".join([*path, module])
        if module not in done:
            for target in ARROWS[module]:
                visit(target, (*path, module))
            done.add(module)

    for module in FILES:
        visit(module, ())


def test_the_rooms_before_the_networks_never_import_torch():
    for module, path in FILES.items():
        if room_of(module) in WITHOUT_TORCH:
            names = {name.partition(".")[0] for name in imports(path)}
            assert not names & {"torch", "jaxtyping"}, module


def test_no_module_imports_an_optional_library_with_itself():
    """But for the server, which is imported late as a whole."""
    for module, path in FILES.items():
        if room_of(module) in set(WITHOUT_TORCH) - {"estimator", "serve"} and module not in (
            "cli.tables",
            "cli.finding_tables",
        ):
            names = {name.partition(".")[0] for name in imports(path, late=False)}
            assert not names & HEAVY, module


def test_public_names():
    assert set(rubrica.__all__) == {
        "Classifier", "Config", "Dataset", "Explanation", "RubricaError", "Vectors", "__version__",
        "explain", "load", "load_recipe", "load_vectors", "make_config", "read_dataset", "train", "tune",
    }  # fmt: skip
    for name in rubrica.__all__:
        assert getattr(rubrica, name) is not None
    assert rubrica.TextClassifier.__name__ in dir(rubrica)


def loaded_modules(code):
    code += "; import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_and_its_command_loads_nothing_heavy():
    assert not loaded_modules("import rubrica") & (HEAVY | {"numpy"})
    assert not loaded_modules("import rubrica.cli.main") & (HEAVY | {"numpy"})
    assert not loaded_modules("import rubrica; rubrica.load") & HEAVY


# Each was once imported on the way to an answer; together they took half as long as numpy.
NOT_FOR_AN_ANSWER = {
    "csv", "difflib", "gzip", "logging", "numpy.random", "rubrica.data.addresses", "rubrica.data.dataset",
    "rubrica.vectors.word_vectors", "socket", "tempfile", "tomllib", "urllib.request",
}  # fmt: skip

ANSWER = """
import sys, numpy
before = set(sys.modules)
sys.argv = ["rubrica", "predict", sys.argv[1]]
from rubrica.cli.main import main
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
    assert "rubrica.predict.classifier" in modules.split()
    assert not set(modules.split()) & (NOT_FOR_AN_ANSWER | HEAVY)


def test_files_and_functions_are_short():
    lengths = {module: path.read_text().count("\n") for module, path in FILES.items()}
    assert not {module: length for module, length in lengths.items() if length > 400}
    functions = {
        f"{module}.{node.name}": node.end_lineno - node.lineno + 1
        for module, path in FILES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert not {name: length for name, length in functions.items() if length > 60}


# Whether a text has one label or several is the task's matter, and what family a model is of is the family's.
TASK_QUESTIONS = re.compile(
    r"\bseveral\b|targets\.ndim|MULTI_LABEL|SINGLE_LABEL|thresholds is (not )?None"
    r"|isinstance\([^)]*(OneLabel|SeveralLabels)|problem_type [!=]="
)
FAMILY_NAMES = {"bag", "linear", "cnn", "rnn", "gru", "lstm", "mingru", "drnn"}


def code_without_texts(path):
    """A file's code with every string, and so every docstring and message, left empty."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.unparse(tree)


def test_only_the_task_knows_whether_a_text_has_one_label():
    asked = {
        f"{module}: {found[0]}"
        for module, path in FILES.items()
        if room_of(module) != "scoring"
        for found in TASK_QUESTIONS.finditer(code_without_texts(path))
    }
    assert not asked


def test_nothing_asks_for_the_name_of_a_family():
    """Beside the models, the kernels and networks that they are made of, and the experiments of the seminar."""
    asked = set()
    for module, path in FILES.items():
        if room_of(module) in ("models", "kernels", "networks", "seminar"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            compared = [*ast.walk(node)] if isinstance(node, ast.Compare | ast.Dict | ast.Match | ast.Subscript) else []
            names = {part.value for part in compared if isinstance(part, ast.Constant) and isinstance(part.value, str)}
            # A step size may fall in a line, too.
            if names & FAMILY_NAMES and "decay" not in ast.unparse(node) and "Literal" not in ast.unparse(node):
                asked.add(f"{module}: {ast.unparse(node)}")
    assert not asked
