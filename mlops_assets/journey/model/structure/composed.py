"""What is made of other estimators: what one hands on is what the next one takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlops_assets.journey.model.structure.parts import Part, Rule, passes, rules, total

CONTAINERS = ("sklearn.pipeline.Pipeline", "sklearn.pipeline.FeatureUnion")
"""Types that do not tell by an attribute of their own whether they were fitted."""


def _pairs(part: Part, name: str, length: int = 2) -> list[Any]:
    found = part.list_of(name)
    fits = all(isinstance(each, (tuple, list)) and len(each) == length and type(each[0]) is str for each in found)
    part.need(fits, f"{name} are no pairs of a name and an estimator")
    return found


def _pipeline(part: Part) -> int | None:
    columns = part.columns
    for name, step in _pairs(part, "steps"):
        if step is not None and step != "passthrough":
            columns = part.child(step, f"steps[{name}]", columns)
    return columns


def _union(part: Part) -> int | None:
    part.one_process()
    widths: list[int | None] = []
    for name, step in _pairs(part, "transformer_list"):
        if isinstance(step, str):
            part.need(step in ("drop", "passthrough"), f"transformer_list[{name}] is {step!r:.80}")
            widths.append(part.columns if step == "passthrough" else 0)
        else:
            widths.append(part.child(step, f"transformer_list[{name}]", part.columns))
    return total(widths)


def _by_column(part: Part) -> int | None:
    part.one_process()
    features = part.features()
    places = part.get("_transformer_to_input_indices")
    part.need(isinstance(places, dict), "_transformer_to_input_indices is no table")
    widths: list[int | None] = []
    for name, step, chosen in _pairs(part, "transformers_", 3):
        columns = part.see_array(
            np.asarray(places.get(name, ()), np.int64), f"the columns of {name}", None, kinds="i", within=(0, features)
        )
        if isinstance(step, str):
            part.need(step in ("drop", "passthrough"), f"transformers_[{name}] is {step!r:.80}")
            widths.append(len(columns) if step == "passthrough" else 0)
        elif len(columns):
            # by one name or number, one column is handed over as a list of texts
            alone = isinstance(chosen, (str, int, np.integer))
            widths.append(part.child(step, f"transformers_[{name}]", None if alone else len(columns)))
    return total(widths)


def _members(part: Part, columns: int | None) -> None:
    for number, member in enumerate(part.list_of("estimators_")):
        if not isinstance(member, str):
            part.child(member, f"estimators_[{number}]", columns)


def _voting(part: Part) -> int:
    classes = part.classes()
    part.choice("voting", ("soft", "hard"))
    part.child(part.get("le_"), "le_", None)
    _members(part, part.columns)
    if part.has("weights"):
        weights = part.see_array(np.asarray(part.get("weights"), np.float64), "weights", None)
        part.need((weights >= 0).all() and weights.sum() > 0, "weights are none")
    return classes


def _stacking(part: Part) -> int:
    classes = part.classes()
    _members(part, part.columns)
    methods = part.list_of("stack_method_")
    part.need(
        set(methods) <= {"predict_proba", "decision_function", "predict"}, "stack_method_ names what is no method"
    )
    part.child(part.get("final_estimator_"), "final_estimator_", None)
    return classes


def _on_frame(part: Part) -> int:
    names = part.list_of("columns")
    part.need(all(type(name) is str for name in names), "columns are no names")
    part.need(part.columns in (None, len(names)), f"it takes {len(names)} columns and is handed {part.columns}")
    part.need(set(part.get("texts")) <= set(names), "texts are no columns")
    classes = part.list_of("classes")
    distinct = all(type(number) is int and number >= 0 for number in classes) and len(set(classes)) == len(classes)
    part.need(distinct, "classes are no numbers of classes")
    part.child(part.get("estimator"), "estimator", len(names))
    known = len(np.asarray(part.thing.estimator.classes_))
    part.need(known == len(classes), f"it has numbers for {len(classes)} classes, its estimator knows {known}")
    return len(classes)


def _as_numbers(part: Part) -> int:
    return part.features()


RULES: dict[str, Rule] = {
    **rules("sklearn.pipeline", _pipeline, "Pipeline"),
    **rules("sklearn.pipeline", _union, "FeatureUnion"),
    **rules("sklearn.compose._column_transformer", _by_column, "ColumnTransformer"),
    **rules("sklearn.compose._column_transformer", passes, "_RemainderColsList"),
    **rules("sklearn.ensemble._voting", _voting, "VotingClassifier"),
    **rules("sklearn.ensemble._stacking", _stacking, "StackingClassifier"),
    **rules("sklearn.model_selection._split", passes, "StratifiedKFold", "KFold"),
    **rules("mlops_assets.encoders", _on_frame, "OnFrame"),
    **rules("mlops_assets.encoders", _as_numbers, "AsNumbers"),
}
