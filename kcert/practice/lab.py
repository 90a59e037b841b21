"""The types that all labs share.

A lab is a module in ``kcert.practice.labs`` with one ``Lab``; its words (title, story, hints, solution) are in
``kcert/lessons/labs/NAME.md`` and its lesson in ``kcert/lessons/NAME.md``. To add one: write the three files, and
add the name to ``kcert.practice.labs.NAMES``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from kcert.certificates import Certificate
    from kcert.config import Cluster
    from kcert.practice.builder import LabBuilder
    from kcert.practice.grader import Grader
    from kcert.practice.rng import ScenarioRng


@dataclass(frozen=True)
class Check:
    """A thing that has to work: ``what`` in the present tense, and ``why`` it does not.

    Neither says how to fix it. ``pending``: it cannot be checked yet, because something it needs does not exist.
    """

    what: str
    works: bool
    why: str = ""
    pending: bool = False

    @property
    def status(self) -> str:
        """One of ``works``, ``not yet``, ``fails``."""
        return "works" if self.works else "not yet" if self.pending else "fails"


@dataclass(frozen=True)
class Scenario:
    """One start of a lab: everything that follows from its seed and the time of its start.

    ``specs`` are the certificates of the lab as they have to be, a CA before what it signs; ``made`` those among
    them that are made with a fault, by name. ``values`` are for the placeholders of the lab's words. ``folder`` is
    the PKI folder, below the lab's. ``kept`` are files, relative to the lab's folder, that must not change.
    """

    cluster: Cluster
    now: datetime
    specs: tuple[Certificate, ...] = ()
    made: Mapping[str, Certificate] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    folder: str = "pki"
    kept: tuple[str, ...] = ()

    def spec(self, name: str) -> Certificate:
        """Return the certificate called *name*, as it has to be."""
        return next(one for one in self.specs if one.name == name)


@dataclass(frozen=True)
class ExpectedAnswer:
    """The right answer to a question: ``kind`` tells how answers are compared with ``text``.

    ``words`` (case, blanks and a full stop do not matter), ``path`` (from the lab's folder or the end of it), ``date``
    (any usual form), ``number``, ``names`` (a list in any order).
    """

    text: str
    kind: str = "words"
    also: tuple[str, ...] = ()

    @property
    def form(self) -> str:
        """The form of an answer of this kind, for a learner whose answer is not right."""
        return _FORMS[self.kind]


_FORMS = {
    "words": "a word or a few words, as openssl prints them",
    "path": "a path from the lab's folder, such as pki/etcd-ca.crt",
    "date": "a date, such as 2027-03-05",
    "number": "a number",
    "names": "a list, such as localhost, 127.0.0.1",
}


@dataclass(frozen=True)
class Lab:
    """One exercise.

    ``generate`` makes the scenario from a seed, ``setup`` the files in the lab's folder with one thing broken in them,
    ``grade`` checks what has to work. ``asks`` returns the right answers, for a lab with questions.
    """

    name: str
    generate: Callable[[ScenarioRng], Scenario]
    setup: Callable[[Scenario, LabBuilder], None]
    grade: Callable[[Scenario, Grader], Iterator[Check]]
    asks: Callable[[Scenario], tuple[ExpectedAnswer, ...]] | None = None
