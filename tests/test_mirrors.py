"""Every module of a room has a test file of its name, or is tested by another file for a reason that is given here.

`jensen/ROOM/NAME.py` is tested by `tests/ROOM/test_NAME.py`. Where there is no such file, `ELSEWHERE` gives the reason
and the file, and that file uses a public name of the module, or of one that is built on it.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE, TESTS = ROOT / "jensen", ROOT / "tests"

# reason -> {test file: modules that it tests}
ELSEWHERE: dict[str, dict[str, str]] = {
    "one contract holds for all members of a kind, which are its cases": {
        "contracts/test_families.py": """families/base families/channels families/continuous families/discrete
            families/gaussian""",
        "contracts/test_conditionals.py": """distributions/channels distributions/discretized
            distributions/independent_events""",
        "contracts/test_draws.py": "models/guide",
        "contracts/test_games.py": "families/implicit",
        "contracts/test_senseless.py": "core/validation",
        "distributions/test_distributions.py": "distributions/chained distributions/tails distributions/unit",
        "families/test_circular.py": "distributions/circular",
        "families/test_columns.py": "distributions/per_column",
        "families/test_gaussian_mixtures.py": "distributions/feature_mixture",
        "families/test_integers.py": "distributions/integers",
        "families/test_levelled.py": "distributions/levels",
        "estimators/test_hiding.py": "estimators/other_input",
        "estimators/test_surrogates.py": "estimators/reparameterized estimators/score",
        "flows/test_flows.py": "flows/affine flows/base flows/planar flows/spline",
        "nets/test_nets.py": "nets/convolutional nets/dense nets/experts nets/planes",
        "objectives/test_objectives.py": "objectives/base objectives/bounds",
        "objectives/test_terms.py": "objectives/aggregate objectives/rates",
        "recipes/test_every.py": """recipes/adversarial recipes/autoencoders recipes/denoising recipes/discrete
            recipes/ladders recipes/missing recipes/priors recipes/regularized""",
        "recipes/test_base.py": "recipes/bounds recipes/individual",
        "recipes/test_likelihoods.py": "families/counts families/support",
    },
    "it is one half of a pair, and an identity holds for the pair": {
        "estimators/test_by_group.py": "estimators/enumeration families/grouped",
        "estimators/test_wake_sleep.py": "objectives/wake_sleep recipes/wakesleep",
        "evaluate/test_exact.py": "guides/exact guides/shared",
        "evaluate/test_quadrature.py": "estimators/quadrature",
        "evaluate/test_tightness.py": "distributions/numbers evaluate/strata",
        "flows/test_flows.py": "distributions/flowed distributions/moments guides/flowing",
        "guides/test_guides.py": "distributions/point guides/amortized",
        "guides/test_hamiltonian.py": "distributions/hamiltonian",
        "guides/test_labelled.py": "distributions/clamped guides/structured objectives/labels",
        "models/test_autoregressive.py": "families/mixture families/product nets/causal nets/masked",
        "models/test_ladder.py": "models/walks",
        "models/test_codebooks.py": """analysis/codebook distributions/coded distributions/onehots families/onehots
            guides/quantized objectives/codes""",
        "objectives/test_adversarial.py": "nets/critic",
        "recipes/test_counts.py": "nets/counts",
        "runs/test_old_runs.py": "nets/append_context",
    },
    "it is a step of a larger whole, and the tests see what the whole does": {
        "analysis/test_calibration.py": "analysis/uniformity",
        "analysis/test_disentanglement.py": "data/factors",
        "analysis/test_doctor.py": "analysis/collapse analysis/examination",
        "analysis/test_doctor_decoders.py": "analysis/outputs",
        "analysis/test_doctor_statistics.py": "analysis/memorisation analysis/two_sample",
        "analysis/test_imputation.py": "analysis/gibbs analysis/weighted_points",
        "cli/test_doctor.py": "analysis/findings",
        "cli/test_evaluate.py": "cli/evaluation_lines",
        "cli/test_verify.py": "runs/verify",
        "data/test_arrays.py": "data/formats data/sources",
        "data/test_bombs.py": "data/matlab",
        "data/test_agreement.py": "data/dataset",
        "data/test_image_rows.py": "data/image_worker",
        "data/test_column_kinds.py": "data/number_kinds data/scales",
        "data/test_mixed.py": "data/table_description data/table_files data/typed_frames",
        "data/test_preparation.py": "data/conversions",
        "data/test_schema_files.py": "data/hints",
        "data/test_tables.py": "data/label_numbers",
        "data/test_dataframes.py": "data/table_building",
        "data/test_streams.py": "data/column_statistics data/file_rows data/hashed_split",
        "recipes/test_labels.py": "runs/classify",
        "cli/test_progress.py": "runs/training_line",
        "notebook/test_cards.py": "notebook/card",
        "report/test_evidence.py": "report/facts report/summary",
        "report/test_holes.py": "report/images report/tables",
        "report/test_page.py": "report/key_numbers report/latents report/panels",
        "report/test_mixed.py": """report/column_pictures report/missing_cells report/mixed_rows report/pair_pictures
            report/row_checks report/table_findings report/table_schema""",
        "report/test_look.py": "plot/shades",
        "report/test_names.py": "plot/names",
        "report/test_pictures.py": "plot/style report/figures report/grids",
        "runs/test_compare.py": "evaluate/quantity runs/paired",
        "runs/test_composition.py": "runs/players runs/save",
        "runs/test_evaluation.py": "runs/evaluate",
        "runs/test_fidelity.py": "analysis/features report/fidelity",
        "runs/test_represent.py": "report/representation",
        "runs/test_resume.py": "runs/init_from runs/job storage/run_folder storage/training_state",
        "runs/test_run.py": "runs/checkpoint_bounds runs/data",
        "recipes/test_columns.py": "recipes/marginals",
        "runs/test_mixed_runs.py": "recipes/tables runs/default_recipe runs/prepared_parts",
        "runs/test_mixed_joint.py": "runs/result_frames",
        "runs/test_predict.py": "runs/predicted_values",
        "runs/test_sample.py": "runs/condition runs/run_joint",
        "runs/test_score.py": "runs/row_scorer runs/row_scores",
        "runs/test_table_completion.py": "runs/table_results",
        "cli/test_impute_tables.py": "runs/run_rows",
        "cli/test_table_pieces.py": "runs/completion_pieces runs/pieces",
        "runs/test_group.py": "runs/train_group runs/train_stack",
        "runs/test_train.py": "core/errors runs/calls runs/sources runs/spec runs/training_data",
        "runs/test_streamed_data.py": "data/shards",
        "sklearn/test_latent_model.py": "sklearn/inputs sklearn/parameters sklearn/turns",
        "sklearn/test_opening.py": "sklearn/base sklearn/folders sklearn/saving",
        "training/test_programs.py": "training/program",
        "training/test_lockstep.py": "training/stack",
        "training/test_loop.py": """training/callbacks training/events training/measurement training/plan
            training/running_measures training/setup training/step training/trainer""",
        "training/test_recovery.py": """training/anchors training/fault_diagnosis training/fault_inspector
            training/fault_search training/fault_trace training/history""",
        "training/test_resume.py": "training/snapshot",
    },
    "it hands the words of a user to the package, and is tested from the command line to what is printed": {
        "analysis/test_calibration.py": "cli/calibrate",
        "cli/test_catalogue.py": "cli/option_texts",
        "cli/test_completion_scripts.py": "cli/completion",
        "cli/test_evaluate_annealed.py": "runs/sandwich",
        "cli/test_expression.py": "cli/differential",
        "cli/test_denoising.py": "report/denoising",
        "cli/test_rate_distortion.py": "report/rate_distortion runs/rate_distortion",
        "cli/test_stopping.py": "cli/resume cli/signals",
        "cli/test_score.py": "cli/named_columns",
        "cli/test_impute_tables.py": "cli/table_imputations cli/targets",
        "cli/test_train.py": "cli/options cli/recipe_help",
        "cli/test_train_flags.py": "cli/flags runs/data_options runs/training_options",
        "cli/test_writing.py": "cli/tables",
        "cli/test_verbs.py": "cli/app cli/data cli/encode cli/grids cli/recipes cli/reconstruct",
        "runs/test_fidelity.py": "cli/fidelity",
        "runs/test_represent.py": "cli/represent",
    },
    "it holds names alone, or memory alone, and no number": {
        "storage/test_weights.py": "core/version",
    },
}

TABLE = [
    (module, file) for files in ELSEWHERE.values() for file, modules in files.items() for module in modules.split()
]
MODULES = sorted(str(p.relative_to(PACKAGE).with_suffix("")) for p in PACKAGE.glob("*/*.py") if p.stem != "__init__")


def mirror(module: str) -> str:
    room, _, name = module.partition("/")
    return f"{room}/test_{name}.py"


@cache
def tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))


@cache
def public(module: str) -> frozenset[str]:
    """Return the names in `__all__`, and the names of recipes and verbs as users write them."""
    names: set[str] = set()
    for node in tree(module).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            names |= set(ast.literal_eval(node.value))
    return frozenset(names | {name.replace("_", "-") for name in names})


@cache
def imported(module: str) -> frozenset[str]:
    """Return the modules of the package that a module imports, packages left out."""
    room = module.partition("/")[0]
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.level in (1, 2):
            above = [room] if node.level == 1 else []
            path = "/".join([*above, *(node.module or "").split(".")]).rstrip("/")
            found |= {path, *(f"{path}/{alias.name}" for alias in node.names)}
    return frozenset(found & set(MODULES))


def built_on(module: str) -> set[str]:
    """Return a module, the modules of its room that are built on it, and those of other rooms that import it."""
    users, new, room = {module}, {module}, module.partition("/")[0]
    while new:
        new = {m for m in MODULES if m not in users and m.startswith(f"{room}/") and imported(m) & new}
        users |= new
    return users | {m for m in MODULES if module in imported(m)}


@cache
def words(file: str) -> frozenset[str]:
    return frozenset(re.findall(r"[A-Za-z_][\w-]*", (TESTS / file).read_text(encoding="utf-8")))


@pytest.mark.parametrize("room", sorted({m.partition("/")[0] for m in MODULES}))
def test_every_module_has_its_tests(room):
    elsewhere = {module for module, _ in TABLE}
    modules = [m for m in MODULES if m.startswith(f"{room}/")]
    assert [m for m in modules if m not in elsewhere and not (TESTS / mirror(m)).exists()] == []


def test_the_table_names_what_there_is_and_nothing_that_has_a_mirror():
    assert [module for module, _ in TABLE if module not in MODULES] == []
    assert [module for module, _ in TABLE if (TESTS / mirror(module)).exists()] == []
    assert [file for _, file in TABLE if not (TESTS / file).exists()] == []
    assert len({module for module, _ in TABLE}) == len(TABLE)


def test_a_file_that_stands_for_others_uses_them():
    def is_used(module: str, file: str) -> bool:
        return any(public(m) & words(file) for m in built_on(module))

    assert [(module, file) for module, file in TABLE if not is_used(module, file)] == []


def test_a_test_file_without_a_mirror_says_what_it_is_about():
    mirrors = {mirror(module) for module in MODULES}
    files = {str(p.relative_to(TESTS)): p for p in TESTS.glob("*/test_*.py")}
    others = [file for file in files if file not in mirrors]
    assert [f for f in others if not ast.get_docstring(ast.parse(files[f].read_text(encoding="utf-8")))] == []
