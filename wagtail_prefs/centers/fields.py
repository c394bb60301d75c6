"""The StreamField of a center's body: its blocks come from the registry, and no migration ever names them."""

from __future__ import annotations

import contextlib
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import cached_property
from wagtail.blocks import StreamBlock
from wagtail.fields import StreamField

from ..blocks.registry import block_classes


class CenterStreamField(StreamField):
    """A StreamField without blocks in its signature (docs/decisions/blocks-stay-out-of-migrations.md).

    The path of this class stands in migrations, ours and those of sites with their own center page: it stays.
    """

    def __init__(self, **kwargs: Any) -> None:
        # A historical migration may hand over what a plain StreamField would have frozen.
        kwargs.pop("block_types", None)
        super().__init__([], **kwargs)

    @cached_property
    def stream_block(self) -> StreamBlock:
        """Not built with the model: the setting may name blocks of apps that are loaded after it."""
        block = StreamBlock([(name, cls()) for name, cls in block_classes().items()])
        block.set_meta_options(self.block_opts)
        return block

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        name, path, _args, kwargs = super(StreamField, self).deconstruct()
        return name, path, [], kwargs


def build_blocks() -> None:
    """Build the blocks of every center's body, in the same order in every process.

    Wagtail's block picker asks for a preview by a number that counts how many blocks the process had made before. If
    they were made by the first request that needs them, one process of a server would not know another's numbers.
    """
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, CenterStreamField):
                with contextlib.suppress(ImproperlyConfigured):  # the checks tell
                    _ = field.stream_block
