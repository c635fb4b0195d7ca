"""Radiotherapy objects: plans by beam, structure sets by region, doses by histogram."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lakehouse.formats.dicom.content.items import Row, SequenceItem, common
from lakehouse.formats.dicom.vocabulary.dictionary import keyword_tag
from lakehouse.identifiers import qualified_number

TAGS = """BeamSequence IonBeamSequence ApplicationSetupSequence FractionGroupSequence
    DoseReferenceSequence ReferencedStructureSetSequence RTPlanLabel RTPlanDate RTPlanTime
    RTPlanGeometry PlanIntent StructureSetROISequence ROIContourSequence StructureSetLabel
    RTROIObservationsSequence StructureSetDate StructureSetTime InstanceCreationDate
    InstanceCreationTime ReferencedFrameOfReferenceSequence DVHSequence DoseUnits DoseType
    DoseSummationType DoseGridScaling DVHNormalizationDoseValue ReferencedRTPlanSequence Rows
    Columns NumberOfFrames PixelSpacing BrachyTreatmentType""".split()  # noqa: SIM905

MARKS = frozenset(
    keyword_tag(k)
    for k in ("RTPlanLabel", "FractionGroupSequence", "StructureSetROISequence", "DoseGridScaling")
) | {keyword_tag("DVHSequence"), keyword_tag("DoseSummationType"), keyword_tag("BeamSequence")}


def rows(root: SequenceItem) -> Iterator[tuple[str, list[Row]]]:
    """Yield tables with their rows of one radiotherapy object; nothing for other objects."""
    has = {keyword for keyword in TAGS if keyword_tag(keyword) in root.item}
    if has & {"RTPlanLabel", "FractionGroupSequence", "BeamSequence", "IonBeamSequence"}:
        yield "rt_plans", list(_plans(root))
    if "StructureSetROISequence" in has:
        yield "rt_structures", list(_structures(root))
    if has & {"DoseGridScaling", "DoseSummationType", "DVHSequence"}:
        yield "rt_doses", list(_doses(root))


def _plans(root: SequenceItem) -> Iterator[Row]:
    beams = [*root.sequence("BeamSequence"), *root.sequence("IonBeamSequence")]
    setups = list(root.sequence("ApplicationSetupSequence"))
    groups = list(root.sequence("FractionGroupSequence"))
    doses = [d.number("TargetPrescriptionDose") for d in root.sequence("DoseReferenceSequence")]
    plan = common(root, "rt_plans") | {
        "structure_set_uid": root.first("ReferencedStructureSetSequence").text(
            "ReferencedSOPInstanceUID"
        ),
        "plan_label": root.text("RTPlanLabel"),
        "plan_intent": root.text("PlanIntent"),
        "plan_geometry": root.text("RTPlanGeometry"),
        "planned_at": root.moment("RTPlanDate", "RTPlanTime"),
        "n_fraction_groups": len(groups),
        "fractions_planned": groups[0].integer("NumberOfFractionsPlanned") if groups else None,
        "n_beams": len(beams),
        "n_brachy_setups": len(setups),
        "prescribed_dose_gy": max((d for d in doses if d is not None), default=None),
    }
    given: dict[int | None, SequenceItem] = {}
    if groups:
        for beam in groups[0].sequence("ReferencedBeamSequence"):
            given[beam.integer("ReferencedBeamNumber")] = beam
    for beam in beams:
        yield plan | _beam(beam, given)
    for setup in setups:
        yield plan | {
            "beam_number": setup.integer("ApplicationSetupNumber"),
            "beam_type": setup.text("ApplicationSetupType"),
            "delivery_type": root.text("BrachyTreatmentType"),
        }
    if not beams and not setups:
        yield plan


def _beam(beam: SequenceItem, given: dict[int | None, SequenceItem]) -> dict[str, Any]:
    number = beam.integer("BeamNumber")
    points = beam.first("ControlPointSequence")
    if not points.item:
        points = beam.first("IonControlPointSequence")
    group = given.get(number)
    machine = beam.text("TreatmentMachineName")
    return {
        "beam_number": number,
        "beam_type": beam.text("BeamType"),
        "radiation_type": beam.text("RadiationType"),
        "delivery_type": beam.text("TreatmentDeliveryType"),
        "machine_id": qualified_number(None, machine),
        "manufacturer": beam.text("Manufacturer"),
        "model": beam.text("ManufacturerModelName"),
        "dosimeter_unit": beam.text("PrimaryDosimeterUnit"),
        "source_axis_distance_mm": beam.number("SourceAxisDistance"),
        "n_control_points": beam.integer("NumberOfControlPoints"),
        "nominal_energy": points.number("NominalBeamEnergy"),
        "gantry_angle_deg": points.number("GantryAngle"),
        "collimator_angle_deg": points.number("BeamLimitingDeviceAngle"),
        "couch_angle_deg": points.number("PatientSupportAngle"),
        "beam_meterset": group.number("BeamMeterset") if group else None,
        "beam_dose_gy": group.number("BeamDose") if group else None,
    }


def _structures(root: SequenceItem) -> Iterator[Row]:
    contours = {
        c.integer("ReferencedROINumber"): list(c.sequence("ContourSequence"))
        for c in root.sequence("ROIContourSequence")
    }
    observed = {
        o.integer("ReferencedROINumber"): o for o in root.sequence("RTROIObservationsSequence")
    }
    frame = root.first("ReferencedFrameOfReferenceSequence")
    series = frame.first("RTReferencedStudySequence").first("RTReferencedSeriesSequence")
    shared = common(root, "rt_structures") | {
        "referenced_series_uid": series.text("SeriesInstanceUID"),
        "set_label": root.text("StructureSetLabel"),
        "drawn_at": root.moment("StructureSetDate", "StructureSetTime"),
    }
    for roi in root.sequence("StructureSetROISequence"):
        number = roi.integer("ROINumber")
        name = roi.text("ROIName")
        drawn = contours.get(number, [])
        note = observed.get(number, SequenceItem(root.record, {}))
        code, system, _ = note.code("RTROIIdentificationCodeSequence")
        yield shared | {
            "frame_of_reference_uid": roi.text("ReferencedFrameOfReferenceUID"),
            "roi_number": number,
            "roi_name": name,
            "roi_name_id": qualified_number(None, name),
            "generation": roi.text("ROIGenerationAlgorithm"),
            "interpreted_type": note.text("RTROIInterpretedType"),
            "identification_code": code,
            "identification_system": system,
            "volume_ml": roi.number("ROIVolume"),
            "n_contours": len(drawn),
            "n_points": sum(c.integer("NumberOfContourPoints") or 0 for c in drawn),
            "geometric_type": drawn[0].text("ContourGeometricType") if drawn else None,
        }


def _doses(root: SequenceItem) -> Iterator[Row]:
    shared = common(root, "rt_doses") | {
        "plan_uid": root.first("ReferencedRTPlanSequence").text("ReferencedSOPInstanceUID"),
        "structure_set_uid": root.first("ReferencedStructureSetSequence").text(
            "ReferencedSOPInstanceUID"
        ),
        "dose_units": root.text("DoseUnits"),
        "dose_type": root.text("DoseType"),
        "summation_type": root.text("DoseSummationType"),
        "grid_scaling": root.number("DoseGridScaling"),
        "rows": root.integer("Rows"),
        "columns": root.integer("Columns"),
        "frames": root.integer("NumberOfFrames"),
        "pixel_spacing_row_mm": root.number("PixelSpacing"),
        "pixel_spacing_column_mm": root.number("PixelSpacing", 1),
        "normalization_dose": root.number("DVHNormalizationDoseValue"),
        "computed_at": root.moment("InstanceCreationDate", "InstanceCreationTime")
        or root.moment("StudyDate", "StudyTime"),
    }
    histograms = list(root.sequence("DVHSequence"))
    for histogram in histograms:
        roi = histogram.first("DVHReferencedROISequence")
        yield shared | {
            "roi_number": roi.integer("ReferencedROINumber"),
            "dvh_type": histogram.text("DVHType"),
            "dvh_dose_units": histogram.text("DoseUnits"),
            "dvh_volume_units": histogram.text("DVHVolumeUnits"),
            "dvh_bins": histogram.integer("DVHNumberOfBins"),
            "minimum_dose": histogram.number("DVHMinimumDose"),
            "maximum_dose": histogram.number("DVHMaximumDose"),
            "mean_dose": histogram.number("DVHMeanDose"),
        }
    if not histograms:
        yield shared
