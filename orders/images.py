"""What an uploaded picture is checked for, and what is kept of it: a WebP without any metadata, under a random name."""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
LARGEST_FILE = 10 * 1024 * 1024
# Unpacked, a pixel takes 4 bytes, however small the file is.
MOST_PIXELS = 40_000_000
# Of all pictures of one form: to unpack and scale them takes a core 3 s.
MOST_PIXELS_TOGETHER = 160_000_000
# Of the longer side, in pixels.
LONGEST_SIDE = 2048


@dataclass(frozen=True, slots=True)
class Picture:
    """content: WebP. Sizes in pixels."""

    content: bytes
    width: int
    height: int

    def store(self) -> str:
        """Its name in the default storage."""
        return default_storage.save(f"products/{secrets.token_hex(16)}.webp", ContentFile(self.content))


def pixels(file: BinaryIO, size: int) -> int:
    """How many a picture has by its header, without unpacking one. Leaves the file at its beginning.

    size: of the file, in bytes. Raises ValidationError for what is no picture, or too large a one.
    """
    with _opened(file, size) as image:
        counted = image.width * image.height
    file.seek(0)
    return counted


def require_bearable_together(counts: Iterable[int]) -> None:
    """Raises ValidationError for pictures that have too many pixels together."""
    if sum(counts) > MOST_PIXELS_TOGETHER:
        most = MOST_PIXELS_TOGETHER // 1_000_000
        raise ValidationError(f"Pictures that are added together may have {most} million pixels.", "too_many_pixels")


def read(file: BinaryIO, size: int) -> Picture:
    """Decode and encode again, which keeps nothing but the pixels; of an animation the first. Raises as `pixels`."""
    with _opened(file, size) as image:
        return _encoded(_upright(image))


@contextmanager
def _opened(file: BinaryIO, size: int) -> Iterator[Image.Image]:
    """A picture of which the header is read, and known to be bearable."""
    if size > LARGEST_FILE:
        raise ValidationError(f"A picture may have {LARGEST_FILE // 1024**2} MiB.", code="too_large")
    try:
        with Image.open(file, formats=FORMATS) as image:
            _require_bearable(image)
            yield image
    except UnidentifiedImageError as error:
        raise ValidationError(f"Only {', '.join(FORMATS)} can be read.", code="unknown_format") from error
    except Image.DecompressionBombError as error:
        raise _too_many_pixels() from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        # As Pillow's decoders word it that a file is cut off or not what it says.
        raise ValidationError("The picture is damaged.", code="damaged") from error


def _require_bearable(image: Image.Image) -> None:
    """By the header, before a pixel is unpacked."""
    if image.width * image.height > MOST_PIXELS:
        raise _too_many_pixels()


def _too_many_pixels() -> ValidationError:
    return ValidationError(f"A picture may have {MOST_PIXELS // 1_000_000} million pixels.", code="too_many_pixels")


def _upright(image: Image.Image) -> Image.Image:
    """At most LONGEST_SIDE, and turned as the camera was held, which only the metadata say."""
    # A JPEG is unpacked at a fraction of its size already.
    image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
    transparent = "A" in image.getbands() or "transparency" in image.info
    turned = ImageOps.exif_transpose(image).convert("RGBA" if transparent else "RGB")
    turned.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return turned


def _encoded(image: Image.Image) -> Picture:
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=85, exif=b"", xmp=b"", icc_profile=b"")
    return Picture(buffer.getvalue(), image.width, image.height)
