"""Odd and damaged PEM and DER: read without a crash, and as Go, openssl and `cryptography` read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.endurance.trial import Check, Part
from tests.gojudge import GoJudge, build
from tests.scan import test_like_go, test_pem, test_three_readers
from tests.scan.odd import mutated, sound, sound_requests

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Iterator

    from tests.endurance.trial import LabBuilder

    Differences = Callable[[random.Random, int, LabBuilder], Iterable[str]]

A_TRIAL = 500
"""Cases in one trial."""


def _judge(ground: LabBuilder) -> GoJudge:
    folder = ground.folder / "gojudge"
    if not folder.exists():
        folder.mkdir()
        build(folder)
    return GoJudge(folder / "gojudge")


def _crashes(chance: random.Random, count: int, _: LabBuilder) -> Iterable[str]:
    return test_three_readers.crashes(chance, count)


def _readers(chance: random.Random, count: int, _: LabBuilder) -> Iterable[str]:
    return test_three_readers.differences([mutated(chance, chance.choice(sound())) for _ in range(count)])


def _certificates(chance: random.Random, count: int, ground: LabBuilder) -> Iterable[str]:
    cases = [mutated(chance, chance.choice(sound())) for _ in range(count)]
    return test_like_go.certificate_differences(_judge(ground), cases)


def _requests(chance: random.Random, count: int, ground: LabBuilder) -> Iterable[str]:
    cases = [mutated(chance, chance.choice(sound_requests())) for _ in range(count)]
    return test_like_go.request_differences(_judge(ground), cases)


def _forms(chance: random.Random, count: int, ground: LabBuilder) -> Iterable[str]:
    cases = [test_like_go.disguised(chance) for _ in range(count)]
    return map(repr, test_like_go.request_form_differences(_judge(ground), cases))


def _pem(chance: random.Random, count: int, ground: LabBuilder) -> Iterable[str]:
    cases = [test_pem.mutated(chance) for _ in range(count)]
    return map(repr, test_pem.differences(_judge(ground), cases))


def _course(name: str, differences: Differences) -> Callable[[LabBuilder, int], Iterator[Check]]:
    def course(ground: LabBuilder, times: int) -> Iterator[Check]:
        for number in range((times + A_TRIAL - 1) // A_TRIAL):
            cases = min(A_TRIAL, times - number * A_TRIAL)
            with ground.trial(name, number) as (trial, _, chance):
                trial.repeat, trial.cases = f"{name} --seed {ground.seed + number} --times {cases}", cases
                trial.wrong += differences(chance, cases, ground)
            yield trial

    return course


PARTS = (
    Part("damaged", "damaged DER: no crash, no hang", _course("damaged", _crashes), 100_000, 300),
    Part("readers", "odd certificates: as cryptography and openssl read them", _course("readers", _readers), 1_000, 10),
    Part(
        "certificates", "odd certificates: refused where Go refuses", _course("certificates", _certificates), 5_000, 200
    ),
    Part("requests", "odd requests: refused where Go refuses", _course("requests", _requests), 5_000, 200),
    Part("forms", "odd PEM of requests: what Go and openssl read", _course("forms", _forms), 5_000, 100),
    Part("pem", "odd PEM: the blocks that Go finds", _course("pem", _pem), 20_000, 300),
)
