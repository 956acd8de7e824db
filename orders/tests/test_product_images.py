"""Pictures of products: what is kept of an upload, their order, and what becomes of their files."""

import os
from io import BytesIO
from pathlib import Path

import orjson
import pytest
from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from orders import fragments, images
from orders.admin_images import PicturesField
from orders.commands import AddProductImage, ArrangeProductImages
from orders.handlers.images import MOST
from socialapp.cqrs import events
from socialapp.cqrs.execute import execute
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.problems import NotFound, Problem

ORIENTATION, CAMERA, TURNED_RIGHT = 0x0112, 0x010F, 6


def upload(
    kind: str = "JPEG", size: tuple[int, int] = (60, 40), mode: str = "RGB", color: object = 0, **options
) -> BytesIO:
    file = BytesIO()
    Image.new(mode, size, color).save(file, kind, **options)
    file.seek(0)
    return file


def read(file: BytesIO) -> images.Picture:
    return images.read(file, len(file.getbuffer()))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_every_kind_becomes_webp(kind):
    picture = read(upload(kind))
    kept = Image.open(BytesIO(picture.content))
    assert (kept.format, kept.size) == ("WEBP", (60, 40)) == ("WEBP", (picture.width, picture.height))


def test_metadata_are_dropped_and_the_picture_is_upright():
    exif = Image.Exif()
    exif[ORIENTATION], exif[CAMERA] = TURNED_RIGHT, "a camera that somebody owns"
    kept = Image.open(BytesIO(read(upload(exif=exif, comment=b"where I live", icc_profile=b"x" * 200)).content))
    kept.load()
    assert kept.size == (40, 60)
    assert not kept.getexif() and not set(kept.info) & {"exif", "xmp", "icc_profile", "comment"}


def test_transparency_stays():
    kept = Image.open(BytesIO(read(upload("PNG", mode="RGBA", color=(255, 0, 0, 99))).content))
    assert kept.mode == "RGBA"


def test_what_is_too_long_is_scaled_down():
    picture = read(upload(size=(5000, 100)))
    assert (picture.width, picture.height) == (2048, 41)


def damaged() -> BytesIO:
    return BytesIO(upload("PNG", size=(300, 300)).getvalue()[:200])


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (BytesIO(b"<svg onload='alert(1)'/>"), "unknown_format"),
        (BytesIO(b""), "unknown_format"),
        (upload("BMP"), "unknown_format"),
        (upload("TIFF"), "unknown_format"),
        (damaged(), "damaged"),
        # 40 KB that would fill 180 MB, and what Pillow itself calls a bomb
        (upload("PNG", size=(9000, 5000), mode="1"), "too_many_pixels"),
        (upload("PNG", size=(20_000, 20_000), mode="1"), "too_many_pixels"),
    ],
)
def test_what_is_no_picture_or_a_bomb_is_refused(file, code):
    with pytest.raises(ValidationError) as refused:
        read(file)
    assert refused.value.code == code


def test_a_large_file_is_refused_before_it_is_read():
    with pytest.raises(ValidationError, match="10 MiB"):
        images.read(None, images.LARGEST_FILE + 1)


def add(product_id, alt: str = "") -> str:
    picture = read(upload())
    name = picture.store()
    execute(AddProductImage(name, picture.width, picture.height, alt), actor_id=None, resource_id=product_id)
    return name


def arrange(product_id, files, alts=None, removed=()):
    command = ArrangeProductImages(tuple(files), tuple(alts or [""] * len(files)), tuple(removed))
    execute(command, actor_id=None, resource_id=product_id)


def shown(product_id) -> list[dict]:
    return orjson.loads(fragments.products.get(product_id).body)["images"]


def names(product_id) -> list[str]:
    return [image["url"].partition("/media/")[2] for image in shown(product_id)]


@pytest.fixture
def product(clean_stores, add_product):
    return add_product()


def test_pictures_are_shown_in_their_order(product):
    assert shown(product) == []
    first, second = add(product, "from the left"), add(product)
    assert shown(product)[0] == {
        "url": default_storage.url(first), "alt": "from the left", "width": 60, "height": 40,
    }  # fmt: skip
    assert names(product) == [first, second]
    arrange(product, [second, first], ["in front", "behind"])
    assert names(product) == [second, first]
    assert [image["alt"] for image in shown(product)] == ["in front", "behind"]


def test_a_removed_pictures_file_is_deleted_and_its_place_taken(product):
    first, second = add(product), add(product)
    arrange(product, [second], removed=[first])
    assert names(product) == [second]
    assert not default_storage.exists(first) and default_storage.exists(second)
    third = add(product)
    assert names(product) == [second, third]
    last = events.read("aggregate_id = %s", [product])[-2].event
    assert (last.files, last.removed) == ((second,), (first,))


def test_what_another_operator_has_added_or_removed_meanwhile_is_left_alone(product):
    first, second = add(product), add(product)
    arrange(product, [second], removed=[first])
    third = add(product)
    # from a page that was opened before
    arrange(product, [first, second], ["gone", "still there"])
    assert names(product) == [second, third]


def test_a_product_has_so_many_and_others_files_cannot_be_removed(product, add_product):
    mine = [add(product) for _ in range(MOST)]
    with pytest.raises(Problem) as refused:
        add(product)
    assert (refused.value.status, refused.value.code) == (409, "too_many_images")
    other = add_product()
    arrange(other, [], removed=mine)
    assert names(product) == mine and all(map(default_storage.exists, mine))
    with pytest.raises(NotFound):
        add(new_id())


def test_files_are_served_for_good_and_as_nothing_but_pictures(stack, api):
    name = "test/0123.webp"
    put(stack.layout.media / name, read(upload()).content)
    answer = api.get(f"/media/{name}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/webp")
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    put(stack.layout.media / ".imports" / "0123", b"sku,name")
    assert api.get("/media/.imports/0123").status == 404
    for nothing in ("/media/", "/media/test/", "/media/../stack.env", "/media/none.webp"):
        assert api.get(nothing).status in (400, 403, 404)


def put(file: Path, content: bytes) -> None:
    """Write a file in a folder of MEDIA_ROOT, as the stack's own user would: its servers go on using the folder."""
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    owner = file.parents[1].stat()
    for path in (file.parent, file):
        os.chown(path, owner.st_uid, owner.st_gid)


def files(count: int, size: tuple[int, int]) -> list[SimpleUploadedFile]:
    content = upload("PNG", size=size, mode="1").getvalue()
    return [SimpleUploadedFile(f"{number}.png", content, "image/png") for number in range(count)]


@pytest.mark.parametrize(
    ("count", "size", "code"), [(MOST + 1, (10, 10), "too_many_images"), (5, (8000, 4900), "too_many_pixels")]
)
def test_what_is_too_much_together_is_refused_before_a_picture_is_unpacked(monkeypatch, count, size, code):
    monkeypatch.setattr(images, "read", lambda *_: pytest.fail("a picture was unpacked"))
    with pytest.raises(ValidationError) as refused:
        PicturesField().clean(files(count, size))
    assert refused.value.code == code


def test_as_many_as_are_allowed_are_read():
    assert len(PicturesField().clean(files(MOST, (30, 20)))) == MOST
