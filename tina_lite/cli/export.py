"""The command tina-lite export RUN --to merged | gguf | adapter | hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from tina_lite.cli.arguments import named
from tina_lite.console.text import clean
from tina_lite.util.errors import BadInput

if TYPE_CHECKING:
    from tina_lite.export.hub import Upload
    from tina_lite.policy.model_ref import ModelRef


@click.command()
@click.argument("run")
@click.option("--to", type=click.Choice(["merged", "gguf", "adapter", "hub"]), required=True, help="The format.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Default RUN/export/FORMAT.")
@click.option("--type", "file_type", type=click.Choice(["f16", "q8_0"]), default="f16", help="Of gguf; default f16.")
@click.option("--repo", metavar="OWNER/NAME", help="Of hub: the repository.")
@click.option(
    "--push", metavar="FORMAT", default="adapter", help="Of hub: adapter (default), or an export by its name."
)
@click.option("--public", is_flag=True, help="Of hub: for everyone to see; default private.")
@click.option("--dry-run", is_flag=True, help="Of hub: show what would be sent, without a network.")
def export(
    run: str,
    to: Literal["merged", "gguf", "adapter", "hub"],
    out: Path | None,
    file_type: Literal["f16", "q8_0"],
    repo: str | None,
    push: str,
    public: bool,
    dry_run: bool,
) -> None:
    """Write what RUN, a run or adapter folder, has learnt in another format.

    merged: a plain model of transformers. gguf: for llama.cpp, f16 or q8_0. adapter: PEFT's layout. hub: a private
    repository on the Hugging Face hub, from the adapter or from what was exported before.
    """
    from tina_lite.policy.model_ref import resolve

    target = resolve(named(run))
    if target.adapter is None:
        raise BadInput(f"{run}: is a model without an adapter; export takes a run folder or an adapter folder")
    if to == "hub":
        _to_hub(target, target.adapter, out, repo, push, public, dry_run)
        return
    if dry_run or repo is not None:
        raise BadInput(f"--{'dry-run' if dry_run else 'repo'} belongs to --to hub")
    _to_folder(target, to, file_type, _folder(target, f"gguf-{file_type}" if to == "gguf" else to, out))


def _to_folder(target: "ModelRef", to: str, file_type: Literal["f16", "q8_0"], out: Path) -> None:
    from tina_lite.export.folder import export_adapter, export_merged, refuse_existing
    from tina_lite.export.gguf import export_gguf, refuse_without_gguf
    from tina_lite.policy.load import load_model

    refuse_existing(out)
    if to == "gguf":
        refuse_without_gguf()
    policy = load_model(target)
    if to == "gguf":
        found = export_gguf(target, policy, out, file_type)
    else:
        found = (export_merged if to == "merged" else export_adapter)(target, policy, out)
    click.echo(f"read back: {found}", err=True)
    click.echo(str(out))


def _folder(target: "ModelRef", name: str, out: Path | None) -> Path:
    if out is not None:
        return out
    if target.run is None:
        raise BadInput(f"{target.adapter}: stands in no run folder; say where to with --out DIR")
    return target.run / "export" / name


def _to_hub(
    target: "ModelRef", adapter: Path, out: Path | None, repo: str | None, what: str, public: bool, dry_run: bool
) -> None:
    from tina_lite.export.hub import plan_upload
    from tina_lite.export.hub import push as push_to_hub

    if repo is None:
        raise BadInput("export --to hub: name the repository with --repo OWNER/NAME")
    upload = plan_upload(adapter if what == "adapter" and out is None else _folder(target, what, out), repo, not public)
    _show(upload)
    if not dry_run:
        click.echo(push_to_hub(upload))


def _show(upload: "Upload") -> None:
    for name, size in upload.files:
        click.echo(clean(f"{size:>15,} bytes  {name}"))
    kind = "private" if upload.private else "public"
    click.echo(clean(f"{upload.bytes:>15,} bytes  from {upload.folder} to {upload.repo} ({kind})"))
    for warning in upload.warnings:
        click.echo(clean(f"warning: {warning}"), err=True)
