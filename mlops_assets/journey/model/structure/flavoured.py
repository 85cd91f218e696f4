"""What stands for an estimator of a flavour: what it takes and says must be told, its file is looked at afterwards."""

from __future__ import annotations

from mlops_assets.journey.model.structure.parts import Part, Rule, rules

KNOWN = {"flavour", "file", "kind", "facts", "n_features_in_", "classes_"}


def _flavoured(part: Part) -> int | None:
    # here, for a flavour needs the parts of this check
    from mlops_assets.journey.model.flavours import FLAVOURS
    from mlops_assets.journey.model.flavours.flavour import KINDS
    from mlops_assets.journey.model.flavours.parts import is_file

    flavour, file = part.choice("flavour", FLAVOURS), part.get("file")
    strange = vars(part.thing).keys() - KNOWN
    part.need(not strange, f"{min(strange, default='')} is an attribute that it never has")
    if not part.thing.is_fitted:
        part.need(file == "" and not part.has("classes_"), "it was never fitted, and has a file")
        return None
    part.need(isinstance(file, str) and is_file(file), f"its file is {file!r:.80}, which is no part of a model")
    part.need(file.endswith(f".{FLAVOURS[flavour].suffix}"), f"its file is {file!r}, and it is of {flavour}")
    part.need(isinstance(part.get("facts"), dict), "facts are no table")
    part.features()
    if part.choice("kind", KINDS) == "regressor":
        part.need(not part.has("classes_"), "it is a regressor, and knows classes")
        return 1
    return part.classes()


RULES: dict[str, Rule] = rules("mlops_assets.journey.model.flavours.flavoured", _flavoured, "Flavoured")
