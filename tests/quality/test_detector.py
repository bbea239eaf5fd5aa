"""The detector behind the gate: what the whole image looks like."""

import json

import numpy as np
import pytest

from pipeline.io.radiograph import Radiograph
from pipeline.models import registry
from pipeline.quality.detector import Detector, compress, read_gate, standardise, strangeness
from pipeline.quality.gate import UNLIKE, WHOLE, judge
from pipeline.quality.limits import DETECTOR_TAILS, detector_limits, fit_detector, open_gate

SIZE = 40


@pytest.fixture(scope="module")
def contexts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two clouds in 40 dimensions, one of which stands for radiographs of two sources."""
    rng = np.random.default_rng(0)
    chest = np.arange(1200) % 3 > 0
    found = rng.normal(0, 1, (1200, SIZE)) @ rng.normal(0, 0.3, (SIZE, SIZE))
    found[~chest] += 1.5
    groups = np.where(chest, np.where(np.arange(1200) % 2, "a", "b"), "c")
    return found.astype(np.float32), chest, groups


@pytest.fixture(scope="module")
def detector(contexts) -> Detector:
    return fit_detector(*contexts)


def test_the_logarithm_keeps_the_sign_and_the_order():
    values = np.float32([-20, -1, 0, 1e-3, 5])
    squeezed = compress(values)
    assert (np.diff(squeezed) > 0).all()
    np.testing.assert_array_equal(np.sign(squeezed), np.sign(values))


def test_radiographs_resemble_radiographs_and_are_not_strange(contexts, detector):
    found, chest, _ = contexts
    measures = [detector.measure(context) for context in found]
    resemblance, strange = (np.array([m[name] for m in measures]) for name in WHOLE)
    assert np.mean((resemblance > 0) == chest) > 0.97
    assert np.mean(strange[chest] ** 2) == pytest.approx(1, abs=0.05)
    assert strange[~chest].mean() > strange[chest].mean()
    assert detector.measure(found[0] * 50)["strangeness"] > strange.max()


def test_strangeness_is_mahalanobis_distance_where_every_axis_is_known():
    rng = np.random.default_rng(1)
    mixing = rng.normal(0, 1, (6, 6))
    covariance = mixing @ mixing.T
    variances, axes = np.linalg.eigh(covariance)
    point = rng.normal(0, 1, 6)
    expected = np.sqrt(point @ np.linalg.inv(covariance) @ point / 6)
    assert strangeness(point, axes, 1 / variances, 0.0) == pytest.approx(expected)


def test_radiographs_lose_no_more_than_the_tails(contexts, detector):
    found, chest, groups = contexts
    limits = detector_limits(detector, found[chest], groups[chest])
    measures = [detector.measure(context) for context in found[chest]]
    for name, tail in DETECTOR_TAILS.items():
        low, high = limits[name]
        refused = np.array([not low <= row[name] <= high for row in measures])
        assert refused.mean() <= tail
        if name == "strangeness":  # and of every group
            assert max(refused[groups[chest] == g].mean() for g in "ab") <= tail


def test_a_large_group_does_not_outweigh_a_small_one():
    """Few of group "d" among many of "c": both are told from radiographs."""
    rng = np.random.default_rng(2)
    centres = {"a": (0, 0), "c": (3, 0), "d": (0, 5)}
    groups = np.repeat(["a", "c", "d"], [300, 900, 40])
    found = np.stack([rng.normal(centres[g], 0.4) for g in groups]).astype(np.float32)
    found = np.hstack([found, rng.normal(0, 1, (len(found), 38)).astype(np.float32)])
    fitted = fit_detector(found, groups == "a", groups)
    numbers = standardise(found, fitted.centre, fitted.scale) @ fitted.weights + fitted.bias
    for group in "acd":
        assert np.mean((numbers[groups == group] > 0) == (group == "a")) > 0.85, group


def write_registry(folder, detector: dict[str, str]) -> None:
    """The shipped registry with an open gate and this detector."""
    limits = dict.fromkeys(("resemblance", "strangeness"), (-1e12, 1e12))
    gate = open_gate() | {"detector": detector}
    gate["limits"] |= limits
    (folder / "registry.json").write_text(json.dumps(registry.read_registry() | {"gate": gate}))


def test_what_is_saved_is_read_and_checked(detector, contexts, tmp_path):
    detector.save(tmp_path / "gate.npz")
    named = {"file": "gate.npz", "sha256": registry.file_sha256(tmp_path / "gate.npz")}
    write_registry(tmp_path, named)
    read = read_gate(tmp_path)["detector"]
    one, other = (d.measure(contexts[0][0]) for d in (detector, read))
    assert one == pytest.approx(other, rel=1e-4)
    assert registry.gate_sha256(tmp_path)
    (tmp_path / "gate.npz").write_bytes(b"other numbers")
    with pytest.raises(registry.WeightsError, match="differs"):
        read_gate(tmp_path)
    (tmp_path / "gate.npz").unlink()
    with pytest.raises(registry.WeightsError, match="missing"):
        read_gate(tmp_path)


def test_the_hash_of_the_gate_covers_the_detector(tmp_path):
    hashes = set()
    for sha256 in ("0" * 64, "1" * 64):
        folder = tmp_path / sha256[0]
        folder.mkdir()
        write_registry(folder, {"file": "gate.npz", "sha256": sha256})
        hashes.add(registry.gate_sha256(folder))
    assert len(hashes) == 2


def test_a_gate_without_a_detector_judges_the_mask_alone(contexts, detector):
    image = np.random.default_rng(0).uniform(0, 255, (64, 64)).astype(np.float32)
    lungs = np.zeros((64, 64), np.float32)
    lungs[20:50, 10:25] = lungs[20:50, 40:55] = 1
    far = contexts[0][0] + 30
    radiograph, gate = Radiograph(image, "0", "png"), open_gate()
    assert judge(radiograph, lungs, gate, far).may_score
    limits = {"resemblance": [0.0, 1e12], "strangeness": [0.0, 2.0]}
    gate |= {"detector": detector, "limits": gate["limits"] | limits}
    assert judge(radiograph, lungs, gate).may_score
    reasons = judge(radiograph, lungs, gate, far).reasons
    assert [reason.code for reason in reasons] == [UNLIKE]
