"""What the records of measurements have to hold for the pages that show them."""

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

from pipeline.models.records import Finite, Found, Measured, Schema, Sha256, Share
from pipeline.models.spec import CLASSES

Curve = Annotated[list[Finite], Field(min_length=2)]
Counts = Annotated[list[NonNegativeInt], Field(min_length=1)]
Class = Annotated[str, Field(pattern=f"^({'|'.join(CLASSES)})$")]
SourceAndClass = Annotated[str, Field(pattern=f"^[^/]+/({'|'.join(CLASSES)})$")]


class _Record(Schema):
    """On which part of the split, with which U-Net, and of which weights, if of one model."""

    part: str
    unet_sha256: Sha256


class _OfModel(_Record):
    weights_sha256: Sha256
    n: NonNegativeInt


def _same_length(*series: list[Any]) -> None:
    if len({*map(len, series)}) != 1:
        raise ValueError("the series of a curve are equally long")


class _Roc(Schema):
    fpr: Curve
    tpr: Curve
    low: Curve
    high: Curve

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _same_length(self.fpr, self.tpr, self.low, self.high)
        return self


class _PrecisionRecall(Schema):
    recall: Curve
    precision: Curve
    low: Curve
    high: Curve
    prevalence: Share

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _same_length(self.recall, self.precision, self.low, self.high)
        return self


class _Confusion(Schema):
    threshold: Curve
    tp: Counts
    fn: Counts
    fp: Counts
    tn: Counts

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _same_length(self.threshold, self.tp, self.fn, self.fp, self.tn)
        counts = zip(self.tp, self.fn, self.fp, self.tn, strict=True)
        if not all(a + b and c + d for a, b, c, d in counts):
            raise ValueError("there are images with and without COVID")
        return self


class _Curves(Schema):
    roc: _Roc
    precision_recall: _PrecisionRecall
    confusion: _Confusion


class _Point(Schema):
    threshold: Share
    sensitivity: Measured
    specificity: Measured


class _Bin(Schema):
    mean: Finite
    share: Found


class _Reliability(Schema):
    ece: Finite
    brier: Finite
    diagram: list[_Bin]


class _Calibration(Schema):
    slope: Finite
    intercept: Finite
    prevalence: Share
    before: _Reliability
    after: _Reliability


class _FourClasses(Schema):
    counts: Annotated[dict[Class, dict[Class, NonNegativeInt]], Field(min_length=1)]
    accuracy: Found

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len({frozenset(row) for row in self.counts.values()}) != 1:
            raise ValueError("the rows of a table have the same columns")
        return self


class _Called(Schema):
    called_covid: Found


class _Masks(Schema):
    n: NonNegativeInt
    dice: Measured
    iou: Measured
    accuracy: Measured


class _FoundMasks(_Masks):
    dice: Found
    accuracy: Found


class _Rates(Schema):
    n: NonNegativeInt
    auc: Measured
    sensitivity: Measured
    specificity: Measured


class _Siim(_Rates):
    patients: NonNegativeInt
    called_covid: dict[str, Measured] = Field(default_factory=dict)


class _Shenzhen(Schema):
    called_covid: dict[str, Measured] = Field(default_factory=dict)


class _Contradictory(Schema):
    called_covid: Measured


class _Elsewhere(Schema):
    siim: _Siim | None = None
    shenzhen: _Shenzhen | None = None
    adults: _Rates | None = None
    contradictory: _Contradictory | None = None


class _Answers(Schema):
    likely: Found
    unlikely: Found
    uncertain: Found
    wrong: Measured
    kept: bool | None


class _Limits(Schema):
    rate: Share


class _Triage(Schema):
    limits: _Limits
    groups: dict[str, _Answers]


class Scores(_OfModel):
    """``<model>.test.json``: all scores of one model."""

    threshold: Share
    auc: Found
    accuracy: Found
    sensitivity: Found
    specificity: Found
    curves: _Curves
    operating_points: dict[str, _Point]
    calibration: _Calibration
    classes: _FourClasses | None = None
    by_source: dict[SourceAndClass, _Called]
    elsewhere: _Elsewhere | None = None
    triage: _Triage | None = None
    segmentation: _FoundMasks
    segmentation_by_class: dict[Class, _Masks]
    segmentation_as_database: _Masks
    segmentation_by_set: dict[str, _Masks]


class _Method(Schema):
    infection_over_chance: Measured | None = None
    pointing_game: Found
    energy_in_lungs: Found
    deletion: Found
    insertion: Found
    randomised_weights: Found | None
    deletion_curve: Curve
    insertion_curve: Curve


class Heatmaps(_OfModel):
    """``<model>.heatmaps.json``."""

    n_curves: NonNegativeInt
    cells: PositiveInt
    infected_share_of_lungs: Found
    gradient_reaches: Found
    better_than_random: Measured | None = None
    methods: dict[str, _Method]


class _Variant(Schema):
    auc: Measured
    change: Found
    flipped: Found


class _FoundVariant(_Variant):
    auc: Found


class _Variants(Schema):
    model_config = ConfigDict(strict=True, frozen=True, extra="allow")

    full: _FoundVariant
    background_only: _FoundVariant
    mask_shape: _FoundVariant
    lungs_black: _FoundVariant
    __pydantic_extra__: dict[str, _Variant]


class Lungs(_OfModel):
    """``<model>.lungs.json``: scores of what is left when something is taken away."""

    variants: _Variants


class _Changed(Schema):
    auc: Measured
    flipped: Measured


class _ChangedHere(_Changed):
    mask_dice: Found


class _Siims(Schema):
    changes: dict[str, _Changed]


class Changes(_OfModel):
    """``<model>.changes.json``: scores of changed copies."""

    changes: dict[str, _ChangedHere]
    siim: _Siims | None = None


class _Settings(Schema):
    size: NonNegativeInt
    epochs: NonNegativeInt
    images_per_epoch: NonNegativeInt


class _LeftOut(Schema):
    test_images: NonNegativeInt
    judged: NonNegativeInt
    unseen: Measured
    control: Measured


class Sources(_Record):
    """``<model>.sources.json``: models trained without a source."""

    settings: _Settings
    sources: dict[str, _LeftOut]


class _Judged(Schema):
    auc: Measured
    sensitivity: Found
    specificity: Found
    accuracy: Found


class Together(_Record):
    """``together.json``: two models on the same images."""

    weights_sha256: dict[str, Sha256]
    n: NonNegativeInt
    agree: Measured
    both_positive: Measured
    both_negative: Measured
    apart: dict[str, Measured]
    together: _Judged
    alone: dict[str, _Judged]


class _Total(Schema):
    films: Found
    pictures: Found


class _Refused(Schema):
    refused: Found
    named: Found | None
    reasons: dict[str, int]


class Gate(_Record):
    """``gate.json``: what the quality check refuses."""

    gate_sha256: Sha256
    total: _Total
    rows: dict[str, dict[str, _Refused]]


class _Brightness(Schema):
    counts: Counts

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not sum(self.counts):
            raise ValueError("a set has images")
        return self


class _Levels(Schema):
    as_they_come: list[Finite] | None
    equalised: list[Finite] | None
    lungs_equalised: list[Finite] | None


class _Example(Schema):
    name: str
    brightness: Finite


class _Set(Schema):
    films: PositiveInt
    sources: Annotated[dict[str, NonNegativeInt], Field(min_length=1)]
    brightness: _Brightness
    levels: _Levels
    examples: list[_Example]


class _Duplicates(Schema):
    films_in_them: NonNegativeInt
    groups_of_several: NonNegativeInt
    largest: NonNegativeInt
    across_classes: NonNegativeInt


class Database(Schema):
    """``database.json``: what `pipeline.data.exploration` counted."""

    films: NonNegativeInt
    file_list_sha256: Sha256
    whole: dict[Class, Annotated[dict[str, PositiveInt], Field(min_length=1)]] | None
    sets: dict[str, _Set]
    near_duplicates: _Duplicates

    @model_validator(mode="after")
    def _has_all_classes(self) -> Self:
        if not {*CLASSES} <= (self.sets if self.whole is None else self.whole).keys():
            raise ValueError("every class is counted")
        return self
