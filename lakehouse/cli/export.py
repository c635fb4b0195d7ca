"""Commands that send data out: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli import output
from lakehouse.cli.app import DEFAULT_WAREHOUSE, KEEP, Json, KeyFile, Warehouse, app, example

export = typer.Typer(
    help="Write de-identified copies of source objects.",
    epilog=example("lakehouse export dicom ./archive ./research"),
    no_args_is_help=True,
)
app.add_typer(export, name="export", rich_help_panel=KEEP)


@export.command(epilog=example("lakehouse export dicom ./archive ./research --retain-device"))
def dicom(
    source: Annotated[str, typer.Argument(metavar="SRC", help="File, folder, glob or URI.")],
    target: Annotated[Path, typer.Argument(metavar="DEST", help="Folder for the copies.")],
    retain_uids: Annotated[bool, typer.Option("--retain-uids", help="Keep UIDs.")] = False,
    retain_device: Annotated[
        bool, typer.Option("--retain-device", help="Keep what names the device.")
    ] = False,
    retain_institution: Annotated[
        bool, typer.Option("--retain-institution", help="Keep what names the institution.")
    ] = False,
    retain_patient_characteristics: Annotated[
        bool,
        typer.Option("--retain-patient-characteristics", help="Keep age, sex, size and weight."),
    ] = False,
    retain_full_dates: Annotated[
        bool, typer.Option("--retain-full-dates", help="Keep true dates.")
    ] = False,
    modified_dates: Annotated[
        bool | None,
        typer.Option(
            "--modified-dates/--no-dates",
            help="Move dates by the patient's offset, as in the tables (default), or remove them.",
        ),
    ] = None,
    clean_descriptors: Annotated[
        bool, typer.Option("--clean-descriptors", help="Keep the harmless words of descriptions.")
    ] = False,
    clean_structured_content: Annotated[
        bool, typer.Option("--clean-structured-content", help="Take reports, without their texts.")
    ] = False,
    clean_graphics: Annotated[
        bool, typer.Option("--clean-graphics", help="Keep annotations without their texts.")
    ] = False,
    retain_safe_private: Annotated[
        bool, typer.Option("--retain-safe-private", help="Keep private elements known to be safe.")
    ] = False,
    clean_pixels: Annotated[
        Path | None,
        typer.Option(
            "--clean-pixels",
            metavar="REGIONS.toml",
            help="Blank named regions of named devices instead of refusing their images.",
        ),
    ] = None,
    authority: Annotated[
        str | None, typer.Option(help="Assigning authority of record numbers that state none.")
    ] = None,
    mappings: Annotated[
        list[str] | None, typer.Option("--mappings", metavar="DIR", help="The site's own mappings.")
    ] = None,
    key_file: KeyFile = None,
    as_json: Json = False,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
) -> None:
    """Write de-identified copies of DICOM objects by PS3.15, under the warehouse's pseudonyms."""
    from lakehouse.export import Options, Regions, export_dicom
    from lakehouse.pipeline.steps import warehouse_secret
    from lakehouse.storage.warehouse import Warehouse as Opened

    options = Options(
        uids=retain_uids,
        device=retain_device,
        institution=retain_institution,
        patient_characteristics=retain_patient_characteristics,
        full_dates=retain_full_dates,
        modified_dates=not retain_full_dates if modified_dates is None else modified_dates,
        descriptors=clean_descriptors,
        structured_content=clean_structured_content,
        graphics=clean_graphics,
        safe_private=retain_safe_private,
    )
    with Opened.open(warehouse) as opened:
        secret, _ = warehouse_secret(opened, key_file)
        report = export_dicom(
            source,
            target,
            secret,
            options=options,
            regions=None if clean_pixels is None else Regions.load(clean_pixels),
            authority=opened.settings.authority if authority is None else authority,
            mappings=mappings or (),
        )
    output.note(f"Exported [bold]{report.n_exported:,}[/bold] of {report.n_files:,} files.")
    refused = [
        (status, reason, n) for (status, reason), n in sorted(report.outcomes.items()) if reason
    ]
    output.table(("status", "why", "files"), refused, as_json=as_json)
