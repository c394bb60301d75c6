"""The StreamField of a center's body: its blocks come from the registry, and no migration ever names them."""

from __future__ import annotations

from typing import Any

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
        """Built on first use: the setting may name blocks of apps that are loaded after this model."""
        block = StreamBlock([(name, cls()) for name, cls in block_classes().items()])
        block.set_meta_options(self.block_opts)
        return block

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        name, path, _args, kwargs = super(StreamField, self).deconstruct()
        return name, path, [], kwargs
