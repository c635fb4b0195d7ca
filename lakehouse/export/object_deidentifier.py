"""De-identifies one DICOM object: keeps, replaces, cleans or removes every element of every level.

An element that table E.1-1 names follows the table. Any other element stays only when it is known
to be harmless (PS3.15 E.1.1 note 5): an attribute of the current standard with its own value
representation, whose value cannot be a name (``elements``). Private and unknown elements are
removed. An empty element stays empty, because a dummy value would be a false fact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from lakehouse.definitions.csv_rows import read_rows
from lakehouse.definitions.resources import resource
from lakehouse.export import code_items, dummies
from lakehouse.export.elements import (
    has_type,
    is_empty,
    is_standard_attribute,
    keep_if_harmless,
    matches_type,
    values_of,
)
from lakehouse.export.private_elements import SafePrivate
from lakehouse.export.profile import Options, action
from lakehouse.formats.dicom.mapping import PATIENT
from lakehouse.formats.dicom.vocabulary.dictionary import keyword_tag
from lakehouse.formats.dicom.vocabulary.safe_values import matches_vr
from lakehouse.identifiers import SEPARATOR, normal_text, qualified_number
from lakehouse.privacy.identity.pseudonyms import new_uid, offset_days, pseudonym
from lakehouse.privacy.keys.secret import Secret

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

MAX_DEPTH = 64
SH_LENGTH = 16
"""Characters of a short string; an accession pseudonym is cut to as many."""

_LENGTHS = {"SH": SH_LENGTH, "CS": 16, "LO": 64}

_DATES = frozenset(["DA", "DT"])
_PATIENT_ID, _PATIENT_NAME, _ACCESSION = 0x00100020, 0x00100010, 0x00080050
_BIRTH_DATE, _STUDY_DATE = 0x00100030, 0x00080020
_AGE = 0x00101010
_ENCRYPTED = 0x04000500
_GRAPHIC_LAYER = 0x00700002
_CONTENT = frozenset([0x0040A730, 0x00400555, 0x00400610])
_OVERLAY_DATA = 0x3000
_TEXT_OBJECTS = 0x00700008
_SPOKEN = frozenset(["TEXT", "PNAME"])


class ObjectDeidentifier:
    """De-identifies the data set of one object after the other, in place.

    Args:
        secret: The warehouse's secret.
        options: Options of the profile.
        authority: Assigning authority of record numbers that state none.

    Attributes:
        counts: Elements by action: ``X``, ``Z``, ``D``, ``U``, ``K``, ``C``.

    Examples:
        ::

            deidentify = ObjectDeidentifier(secret, Options(device=True))
            deidentify(dataset)
    """

    def __init__(self, secret: Secret, options: Options | None = None, authority: str = "") -> None:
        self.options = options or Options()
        self.counts: Counter[str] = Counter()
        self._secret = secret
        self._authority = authority
        self._number: str | None = None
        self._issuer = ""
        self._age: str | None = None
        self._layers: dict[str, str] = {}
        self._days: int | None = None
        self._uids: Callable[[str], str] = cache(lambda uid: new_uid(secret, uid))

    def __call__(self, dataset: Dataset) -> None:
        """De-identify a data set and all data sets nested in it.

        Raises:
            RecursionError: Sequences are nested deeper than any real object's.
        """
        self._issuer, self._number = identity(dataset, self._authority)
        self._days = (
            None if self._number is None else offset_days(self._secret, self._issuer, self._number)
        )
        self._age = age_of(dataset)
        self._layers = {}
        self._deidentify_level(dataset, 0)
        self._state_method(dataset)

    # ------------------------------------------------------------------ the walk

    def _deidentify_level(self, dataset: Dataset, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise RecursionError
        safe = SafePrivate(dataset) if self.options.safe_private else None
        code_items.replace_local_code(dataset)
        for tag in sorted(dataset.keys()):
            number = int(tag)
            letter = action(number, self.options)
            if letter == "X" or number & 0xFFFF == 0:
                self._remove(dataset, number)
                continue
            try:
                element = dataset[tag]
                if letter == "C" and number >> 16 & 1:
                    stays = safe is not None and safe.keeps(element)
                    self._count("C" if stays else "X", dataset, number, remove=not stays)
                elif is_empty(element) and (
                    letter or is_standard_attribute(number, str(element.VR))
                ):
                    element.value = [] if element.VR == "SQ" else None
                    self._count(letter or "K", dataset, number)
                elif letter is None:
                    self._apply_default(dataset, element, depth)
                else:
                    self._apply_action(dataset, element, letter, depth)
            except RecursionError:
                raise
            except Exception:  # a value that cannot be decoded may identify
                self._remove(dataset, number)

    def _apply_action(
        self, dataset: Dataset, element: DataElement, letter: str, depth: int
    ) -> None:
        number = int(element.tag)
        if letter == "C":
            self._clean(dataset, element, depth)
            return
        if element.VR == "SQ" and letter in "KU":
            self._items(element, depth)
        elif letter == "U":
            element.value = self._new_uids(element)
        elif letter == "K" and number == _AGE:
            self._replace(element, self._age)
        elif letter == "K" and not (has_type(number, str(element.VR)) and matches_type(element)):
            self._remove(dataset, number)
            return
        elif letter == "Z":
            self._replace(element, self._stand_in(number))
        elif letter == "D":
            self._dummy(element)
        self._count(letter, dataset, number)

    def _apply_default(self, dataset: Dataset, element: DataElement, depth: int) -> None:
        """Keep a harmless element that the table does not name (PS3.15 E.1.1 notes 4, 5 and 7)."""
        number, vr = int(element.tag), str(element.VR)
        if (
            not is_standard_attribute(number, vr)
            or number == _ENCRYPTED
            or (number >> 24 == 0x60 and not self._keeps_overlay(vr))
        ):
            self._remove(dataset, number)
        elif vr == "SQ":
            self._items(element, depth)
            self._count("K", dataset, number)
        elif vr in _DATES:
            self._dates(dataset, element, "X")
        elif vr == "UI" and not self.options.uids and not _names_a_class(element):
            element.value = self._new_uids(element)
            self._count("U", dataset, number)
        elif number == _GRAPHIC_LAYER and self.options.graphics:
            name = str(element.value)
            element.value = self._layers.setdefault(name, f"LAYER{len(self._layers) + 1}")
            self._count("D", dataset, number)
        elif (vr == "UI" and matches_type(element)) or keep_if_harmless(dataset, element, depth):
            self._count("K", dataset, number)
        else:
            self._remove(dataset, number)

    def _keeps_overlay(self, vr: str) -> bool:
        """Return whether an element that describes an overlay stays; its texts never do."""
        return self.options.graphics and vr != "LO"

    def _items(self, element: DataElement, depth: int) -> None:
        for item in element.value:
            self._deidentify_level(item, depth + 1)

    # ------------------------------------------------------------------ cleaning

    def _clean(self, dataset: Dataset, element: DataElement, depth: int) -> None:
        """Clean an element for which an option that cleans is active."""
        number, vr = int(element.tag), str(element.VR)
        if number in _CONTENT:
            element.value = [i for i in element.value if i.get("ValueType", "") not in _SPOKEN]
            self._items(element, depth)
            self._count("C", dataset, number)
        elif vr == "SQ":
            self._items(element, depth)
            for item in element.value:
                if _TEXT_OBJECTS in item:
                    del item[_TEXT_OBJECTS]
            self._count("C", dataset, number)
        elif vr in _DATES:
            self._dates(dataset, element, None)
        elif vr == "TM" or number == 0x00080201:  # whole days: the time of day stays
            if not all(map(_is_clock, values_of(element))):
                self._fall_back(dataset, element)
            else:
                self._count("C", dataset, number)
        elif number >> 24 == 0x60 and number & 0xFFFF == _OVERLAY_DATA:
            element.value = bytes(len(element.value or b""))
            self._count("C", dataset, number)
        elif vr in ("LO", "SH", "ST", "LT", "UT", "UC", "CS") and number >> 24 != 0x50:
            words = dummies.clean_text(str(element.value or "").replace("\\", " "))
            if words:
                element.value = words[: _LENGTHS.get(vr)]
                self._count("C", dataset, number)
            else:
                self._fall_back(dataset, element)
        else:
            self._fall_back(dataset, element)

    def _dates(self, dataset: Dataset, element: DataElement, otherwise: str | None) -> None:
        """Shift dates by the patient's offset; where that fails, act as without the option."""
        number = int(element.tag)
        if self.options.full_dates and matches_type(element):
            self._count("K", dataset, number)
            return
        move = dummies.shift_date if element.VR == "DA" else dummies.shift_datetime
        values = [str(v) for v in values_of(element)]
        days = self._days if self.options.modified_dates else None
        shifted = None if days is None else [move(v, days) for v in values]
        if shifted and all(shifted):
            element.value = shifted if len(shifted) > 1 else shifted[0]
            self._count("C", dataset, number)
        elif otherwise == "X":
            self._remove(dataset, number)
        elif values:
            self._fall_back(dataset, element)
            if self.options.modified_dates and element.value == dummies.dummy("DT"):
                element.value = dummies.with_dummy_date(values[0])  # by days, not by hours

    def _fall_back(self, dataset: Dataset, element: DataElement) -> None:
        """Apply the action of the profile without the options that clean."""
        number = int(element.tag)
        letter = action(number, Options(modified_dates=False))
        if letter == "X" or letter is None:
            self._remove(dataset, number)
        elif letter == "D":
            self._dummy(element)
            self._count(letter, dataset, number)
        else:
            self._replace(element, self._stand_in(number))
            self._count("Z", dataset, number)

    # ------------------------------------------------------------------ replacements

    def _stand_in(self, number: int) -> str | None:
        """Return the pseudonym that links an object to the tables; None for other elements."""
        if number in (_PATIENT_ID, _PATIENT_NAME) and self._number is not None:
            return pseudonym(self._secret, "patient", self._issuer, self._number)
        return None

    def _dummy(self, element: DataElement) -> None:
        from pydicom.dataset import Dataset

        stand_in = self._stand_in(int(element.tag))
        if int(element.tag) == _PATIENT_ID and stand_in is None:
            element.value = None  # a shared dummy would merge all patients without a number
        elif element.VR == "SQ":
            item = Dataset()
            if element.keyword.endswith("CodeSequence"):
                item.CodeValue = "0"
                item.CodingSchemeDesignator = dummies.LOCAL_SCHEME
                item.CodeMeaning = dummies.REMOVED
            element.value = [item]
        elif element.VR == "UI":
            element.value = self._new_uids(element) or dummies.dummy("UI")
        else:
            element.value = stand_in or dummies.dummy(str(element.VR))

    def _replace(self, element: DataElement, value: str | None) -> None:
        if element.VR == "SQ":
            element.value = []
        elif int(element.tag) == _ACCESSION and element.value:
            number = str(values_of(element)[0])
            stand_in = normal_text(number) and pseudonym(
                self._secret, "identifier.order", "", number
            )
            element.value = stand_in[:SH_LENGTH]
        else:
            element.value = value

    def _new_uids(self, element: DataElement) -> Any:
        replacements = [self._uids(str(v)) for v in values_of(element) if str(v).strip(" \0")]
        return replacements if len(replacements) > 1 else replacements[0] if replacements else None

    def _remove(self, dataset: Dataset, number: int) -> None:
        del dataset[number]
        self.counts["X"] += 1

    def _count(self, letter: str, dataset: Dataset, number: int, remove: bool = False) -> None:
        self.counts[letter] += 1
        if remove:
            del dataset[number]

    # ------------------------------------------------------------------ the statement of the method

    def _state_method(self, dataset: Dataset) -> None:
        """Add the attributes that state the method of de-identification (PS3.15 E.1.1)."""
        from pydicom.dataset import Dataset

        items = []
        for row in read_rows(resource("catalog/dicom") / "deidentification_methods.csv"):
            if row["option"] in ("basic", *self.options.active_options()):
                item = Dataset()
                item.CodeValue = row["code"]
                item.CodingSchemeDesignator = "DCM"
                item.CodeMeaning = row["meaning"]
                items.append(item)
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = "clinical-lakehouse, PS3.15 Basic Profile"
        dataset.DeidentificationMethodCodeSequence = items
        dataset.LongitudinalTemporalInformationModified = (
            "UNMODIFIED"
            if self.options.full_dates
            else "MODIFIED"
            if self.options.modified_dates
            else "REMOVED"
        )


def identity(dataset: Dataset, authority: str) -> tuple[str, str | None]:
    """Return issuer and number of an object's patient, by the mapping of the tables.

    Args:
        dataset: The object, as it was read.
        authority: Assigning authority of a number that states none.
    """
    number = _text(dataset, keyword_tag(PATIENT["id"]))
    issuer = _text(dataset, keyword_tag(PATIENT["issuer"]))
    raw = qualified_number(issuer or authority, number)
    if raw is None or not normal_text(number or "").strip('"'):
        return authority, None
    return raw.partition(SEPARATOR)[0], number


def age_of(dataset: Dataset) -> str | None:
    """Return the age from the birth date, else the stated one, top-coded at 90."""
    stated, birth = _text(dataset, _AGE), _text(dataset, _BIRTH_DATE)
    return dummies.top_code_age(stated or "", birth, _text(dataset, _STUDY_DATE))


def _text(dataset: Dataset, tag: int) -> str | None:
    try:
        element = dataset.get(tag)
        values = [] if element is None else values_of(element)
        text = str(values[0]).strip(" \0") if values else ""
    except Exception:  # a value that cannot be decoded names nobody
        return None
    return text or None


def _is_clock(value: Any) -> bool:
    text = str(value).strip(" \0")
    return matches_vr("TM", text) or dummies.is_utc_offset(text)


def _names_a_class(element: DataElement) -> bool:
    """Return whether a UID names a definition of the standard, not an instance."""
    from pydicom.uid import UID_dictionary

    return all(str(v).strip(" \0") in UID_dictionary for v in values_of(element))
